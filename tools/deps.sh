#!/bin/sh
# Installs what is missing on Debian or Ubuntu, for the groups that are named:
#   tools/deps.sh build test arm64
# Says what it installs. Where it may not, it says what somebody else must install.
set -eu

packages() {
	case $1 in
	build) echo gcc g++ libc6-dev nlohmann-json3-dev libstb-dev ;;
	arm64) echo gcc-aarch64-linux-gnu g++-aarch64-linux-gnu qemu-user-static ;;
	test) echo mosquitto mosquitto-clients procps e2fsprogs systemd ;;
	deb) echo mmdebstrap lintian nftables iproute2 util-linux ;;
	vm) echo qemu-system-arm mmdebstrap uidmap e2fsprogs kmod cpio device-tree-compiler debian-archive-keyring ;;
	image) echo mmdebstrap uidmap genimage mtools dosfstools squashfs-tools e2fsprogs rauc bmap-tools openssl kmod debian-archive-keyring ;;
	train) echo python3-torch python3-numpy libopenblas0-pthread ;;
	*)
		echo "deps.sh: unknown group '$1': want build, arm64, test, deb, vm, image or train" >&2
		exit 2
		;;
	esac
}

go_wanted=$(sed -n 's/^go //p' "$(dirname "$0")/../go.mod")
if ! command -v go >/dev/null; then
	echo "deps.sh: no go on the PATH: install Go $go_wanted or newer from go.dev/dl" >&2
	exit 1
fi

missing=
for group in "$@"; do
	for p in $(packages "$group"); do
		dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q '^install ok installed' || missing="$missing $p"
	done
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
	echo "deps.sh: this is no Debian or Ubuntu: install these packages by your system's means, then run make again:$missing" >&2
	exit 1
fi
as=
if [ "$(id -u)" -ne 0 ]; then
	if ! sudo -n true 2>/dev/null; then
		echo "deps.sh: packages are missing and this user may not install them. Run this, then make again:" >&2
		echo "    sudo apt-get install --no-install-recommends$missing" >&2
		exit 1
	fi
	as="sudo -n"
fi
echo "deps: installing$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
run() {
	# shellcheck disable=SC2086
	$as env DEBIAN_FRONTEND=noninteractive "$@" >"$log" 2>&1 </dev/null
}
if ! { run apt-get update -q && run apt-get install -y -q --no-install-recommends $missing; }; then
	tail -n 15 "$log" >&2
	echo "deps.sh: apt-get could not install them: mend what it says above, then run make again" >&2
	exit 1
fi

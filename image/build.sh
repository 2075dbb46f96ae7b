#!/bin/sh
# Makes the card's image and the update bundle for Raspberry Pi 4 and 5, as any user.
#
#   image/build.sh [-k debian|rpi] [-v VERSION] [-s KEYS] PACKAGE.deb OUT
#
# -k  debian (default): Debian's own kernel, for virtual machines and tests. rpi: the kernels and
#     the firmware of Raspberry Pi's archive; LINESIDE_RPI_SOURCE is apt's line for it, as in
#     "deb [signed-by=KEY.gpg] URL bookworm main".
# -v  the image's version; the package's where absent.
# -s  folder with release.key (PEM) and release.pem (its certificate), which sign the update;
#     the certificate's issuer keyring.pem there is what boards trust. Made for this one image,
#     and good for tests only, where absent.
#
# In OUT: lineside.img, .bmap, lineside.raucb, packages.list, sbom.cdx.json, SHA256SUMS. The same
# inputs give the same bytes: times are SOURCE_DATE_EPOCH's, the last commit's where unset.
set -eu
export LC_ALL=C TZ=UTC
umask 022
top=$(dirname "$(dirname "$(realpath "$0")")")

kernel=debian version= keys=
while getopts k:v:s: o; do
	case $o in
	k) kernel=$OPTARG ;;
	v) version=$OPTARG ;;
	s) keys=$(realpath "$OPTARG") ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
if [ $# != 2 ]; then
	echo "usage: image/build.sh [-k debian|rpi] [-v VERSION] [-s KEYS] PACKAGE.deb OUT" >&2
	exit 2
fi
deb=$(realpath "$1")
mkdir -p "$2"
out=$(realpath "$2")
[ -n "$version" ] || version=$(dpkg-deb -f "$deb" Version)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$top" log -1 --format=%ct)}
export SOURCE_DATE_EPOCH

case $kernel in
debian) kernels=linux-image-arm64 ;;
rpi)
	kernels="linux-image-rpi-v8 linux-image-rpi-2712 raspi-firmware firmware-brcm80211"
	if [ -z "${LINESIDE_RPI_SOURCE:-}" ]; then
		echo "build.sh: -k rpi needs LINESIDE_RPI_SOURCE, apt's line for Raspberry Pi's archive: see docs/image.md" >&2
		exit 2
	fi
	;;
*)
	echo "build.sh: no kernel '$kernel': debian or rpi" >&2
	exit 2
	;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
parts=$work/parts
mkdir "$parts" "$work/out" "$work/tmp"
say() { echo "image: $*"; }

if [ -z "$keys" ]; then
	keys=$work/keys
	say "no keys named: this image trusts a key of its own and is good for tests only"
	"$top/image/testkeys.sh" "$keys"
fi

say "the system: Debian's packages and Lineside $version"
packages=$(sed 's/#.*//' "$top/image/packages.txt")
cp "$keys/keyring.pem" "$work/keyring.pem"
# shellcheck disable=SC2086
DEBROOT_SOURCE=${LINESIDE_RPI_SOURCE:-} "$top/tools/debroot.sh" arm64 \
	"'$top/image/root.sh' \"\$1\" '$deb' $kernel '$version' '$work/out' '$work/keyring.pem'" \
	$packages $kernels >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; exit 1; }

say "kernel, initial RAM file system, boot partitions"
cd "$top"
CGO_ENABLED=0 GOOS=linux GOARCH=arm64 go build -buildvcs=false -trimpath -ldflags='-s -w' -o "$work/init" ./image/initrd/init
virtual=
[ "$kernel" != debian ] || virtual=-virtual
CGO_ENABLED=0 go run -buildvcs=false ./image/parts -o "$parts" -name lineside -modules "$work/out/modules" -init "$work/init" $virtual
echo "$version" >"$work/version.txt"

# fat IMAGE MIB LABEL ID FILE... : a FAT file system of these files.
fat() {
	image=$1 mib=$2 label=$3 id=$4
	shift 4
	truncate -s "${mib}M" "$image"
	/sbin/mkfs.vfat -F 32 -n "$label" -i "$id" --invariant "$image" >/dev/null
	[ $# = 0 ] || mcopy -s -p -m -i "$image" "$@" ::/
}

boot=$work/out/boot
cp "$parts"/initrd*.img "$boot/"
cp "$top/image/files/config-$kernel.txt" "$boot/config.txt"
cp "$work/version.txt" "$boot/version.txt"
for slot in a b; do
	mkdir "$work/boot-$slot"
	cp -R "$boot/." "$work/boot-$slot/"
	cp "$parts/cmdline-$slot.txt" "$work/boot-$slot/cmdline.txt"
	find "$work/boot-$slot" -exec touch -d "@$SOURCE_DATE_EPOCH" {} +
done
cp "$parts/autoboot.txt" "$work/autoboot.txt"
cp "$top/image/files/lineside.toml" "$work/lineside.toml"
cp "$top/image/files/README.txt" "$work/README.txt"
touch -d "@$SOURCE_DATE_EPOCH" "$work/autoboot.txt" "$work/lineside.toml" "$work/README.txt"

say "the card"
images=$work/images
mkdir "$images"
fat "$images/selector.img" 64 LINESIDE 4c530001 "$work/autoboot.txt" "$work/lineside.toml" "$work/README.txt"
fat "$images/boot-a.img" 256 BOOT-A 4c530002 "$work"/boot-a/*
fat "$images/boot-b.img" 256 BOOT-B 4c530003 "$work"/boot-b/*
cp "$work/out/root.squashfs" "$images/root-a.img"
cp --reflink=auto "$work/out/root.squashfs" "$images/root-b.img"
mkdir "$work/empty"
# Folders by debugfs: mkfs's -d would copy the times at which they were made.
export E2FSPROGS_FAKE_TIME="$SOURCE_DATE_EPOCH"
truncate -s 512M "$images/data.img"
/sbin/mkfs.ext4 -q -F -L lineside-data -U 4c534445-0000-4000-8000-000000000007 -E root_owner=0:0 \
	-E hash_seed=4c534445-0000-4000-8000-000000000008,lazy_itable_init=0,lazy_journal_init=0 "$images/data.img"
for d in lineside lineside-engine config rauc slots; do echo "mkdir $d"; done | /sbin/debugfs -w -f - "$images/data.img" >"$work/log" 2>&1
genimage --config "$parts/genimage.cfg" --inputpath "$images" --outputpath "$work/card" --rootpath "$work/empty" --tmppath "$work/tmp/g" >"$work/log" 2>&1 ||
	{ tail -n 20 "$work/log" >&2; exit 1; }
cp --sparse=always "$work/card/lineside.img" "$out/lineside.img"
bmaptool create -o "$out/lineside.img.bmap" "$out/lineside.img" 2>/dev/null

say "the update"
mkdir "$work/bundle"
cp "$work/out/root.squashfs" "$work/bundle/rootfs.img"
# RAUC fills whichever boot partition it is: the command line is the slot's own, and comes by the hook.
# A whole file system, because RAUC itself would make FAT16 of one this size.
find "$boot" -exec touch -d "@$SOURCE_DATE_EPOCH" {} +
fat "$work/bundle/boot.vfat" 256 BOOT 4c530004 "$boot"/*
cp "$top/image/files/hook.sh" "$work/bundle/hook.sh"
for slot in a b; do cp "$parts/cmdline-$slot.txt" "$work/bundle/"; done
sed -e "s/@VERSION@/$version/" "$top/image/files/manifest.raucm" >"$work/bundle/manifest.raucm"
find "$work/bundle" -exec touch -d "@$SOURCE_DATE_EPOCH" {} +
rm -f "$out/lineside.raucb"
rauc --cert="$keys/release.pem" --key="$keys/release.key" --keyring="$keys/keyring.pem" bundle "$work/bundle" "$out/lineside.raucb" >"$work/log" 2>&1 ||
	{ tail -n 20 "$work/log" >&2; exit 1; }

cp "$work/out/packages.list" "$out/packages.list"
CGO_ENABLED=0 go run -buildvcs=false ./tools/sbom -version "$version" -dpkg "$work/out/dpkg-status" -o "$out/sbom.cdx.json"
(cd "$out" && sha256sum lineside.img lineside.img.bmap lineside.raucb packages.list sbom.cdx.json >SHA256SUMS)
say "done: $(wc -l <"$out/packages.list") packages, root $(($(stat -c %s "$work/out/root.squashfs") >> 20)) MiB, update $(($(stat -c %s "$out/lineside.raucb") >> 20)) MiB, card $(($(stat -c %s "$out/lineside.img") >> 20)) MiB of which $(($(du -k "$out/lineside.img" | cut -f1) >> 10)) are written"

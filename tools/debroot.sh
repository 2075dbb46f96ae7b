#!/bin/sh
# Makes the root of a Debian system for another architecture without running a single
# program of it: packages are unpacked, and what their maintainer scripts would do for a
# system that systemd starts is done here, natively. Seconds instead of many minutes of
# emulation, no binfmt_misc, and no rights where user namespaces are allowed.
#
#   tools/debroot.sh ARCH COMMAND PACKAGE...
#
# COMMAND is run by sh with the finished root as $1, as the root's own root user, and
# keeps what it wants of it, as in 'mkfs.ext4 -q -d "$1" disk.ext4 1G'. The root is gone
# afterwards. DEBROOT_SOURCE may be one more line of apt's sources. Without a kernel's hooks there is no initramfs: image/initrd makes one.
set -eu
export LC_ALL=C
suite=bookworm

# installed PACKAGE.deb: its record in dpkg's status file.
installed() {
	dpkg-deb -f "$1" | sed '1a\
Status: install ok installed'
	# dpkg wants to know which files are the administrator's.
	conffiles=$(dpkg-deb -I "$1" conffiles 2>/dev/null || true)
	if [ -n "$conffiles" ]; then
		echo Conffiles:
		echo "$conffiles" | grep '^/' | while read -r f; do
			# A file that the kernel or base-files left out has no sum.
			[ ! -f "$root$f" ] || echo " $f $(md5sum <"$root$f" | cut -d' ' -f1)"
		done
	fi
	echo
}

# finish does what the maintainer scripts would have done.
finish() {
	root=$1
	info=$root/var/lib/dpkg/info
	for deb in "$root"/var/cache/apt/archives/*.deb; do
		installed "$deb"
		name=$(dpkg-deb -f "$deb" Package)
		[ "$(dpkg-deb -f "$deb" Multi-Arch)" != same ] || name=$name:$(dpkg-deb -f "$deb" Architecture)
		dpkg-deb --fsys-tarfile "$deb" | tar -t | sed -e 's,^\.,,; s,/$,,; s,^$,/.,' >"$info/$name.list"
	done >>"$root/var/lib/dpkg/status" # after usr-is-merged, which the hook installed
	echo 1 >"$info/format"
	: >"$root/var/lib/dpkg/available"

	# base-passwd
	cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
	cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
	sed -i 's,^root:[^:]*,root:x,' "$root/etc/passwd"
	sed 's,^\([^:]*\):.*,\1:*:19000:0:99999:7:::,' "$root/etc/passwd" >"$root/etc/shadow"
	sed 's,^\([^:]*\):.*,\1:*::,' "$root/etc/group" >"$root/etc/gshadow"
	chmod 640 "$root/etc/shadow" "$root/etc/gshadow"
	chgrp 42 "$root/etc/shadow" "$root/etc/gshadow" # shadow
	systemd-sysusers --root="$root"
	printf 'g %s - -\n' input kvm render sgx | systemd-sysusers --root="$root" - # udev

	# alternatives, and the C library's cache of libraries, which it lives without
	[ -e "$root/usr/bin/awk" ] || ln -s mawk "$root/usr/bin/awk"

	# base-files
	mkdir -p "$root/proc" "$root/sys" "$root/dev" "$root/run" "$root/tmp" "$root/var/tmp" "$root/root"
	chmod 1777 "$root/tmp" "$root/var/tmp"
	chmod 700 "$root/root"
	[ -e "$root/var/run" ] || ln -s /run "$root/var/run"
	[ -e "$root/var/lock" ] || ln -s /run/lock "$root/var/lock"
	touch "$root/etc/machine-id" "$root/etc/fstab"

	for modules in "$root"/lib/modules/*; do
		[ ! -d "$modules" ] || depmod -b "$root" "${modules##*/}"
	done
	rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*
}

if [ "$1" = --finish ]; then
	finish "$2"
	exit
fi

arch=$1 command=$2
shift 2
# Whoever is not root is it in a namespace of its own: what the command writes is the user's.
if [ "$(id -u)" = 0 ]; then as=; else as="unshare --map-root-user --map-auto"; fi
exec $as mmdebstrap --mode=root --architectures="$arch" --variant=extract --format=null \
	--skip=chroot/mount,chroot/policy-rc.d,chroot/start-stop-daemon \
	--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
	--include="$(echo "$@" | tr ' ' ,)" \
	--extract-hook="sh '$(realpath "$0")' --finish \"\$1\"" --extract-hook="$command" \
	${DEBROOT_SOURCE:+--setup-hook="echo '$DEBROOT_SOURCE' >\"\$1\"/etc/apt/sources.list.d/more.list"} \
	"$suite"

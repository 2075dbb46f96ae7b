#!/bin/sh
# Makes the system of the card of a Debian root: adds what is Lineside's, takes out what no
# appliance needs. Run by image/build.sh through tools/debroot.sh, as the root's own root user.
#
#   image/root.sh ROOT PACKAGE.deb KERNEL VERSION OUT KEYRING.pem
#
# In OUT land root.squashfs, boot with kernels and firmware, modules with those of each kernel, and dpkg's lists.
set -eu
export LC_ALL=C
root=$1 deb=$2 kernel=$3 version=$4 out=$5 keyring=$6
here=$(dirname "$(realpath "$0")")
units=usr/lib/systemd/system

put() { # MODE FILE DESTINATION
	install -D -m "$1" "$here/files/$2" "$root/$3"
}

# Lineside's own package, as dpkg would have unpacked it.
dpkg-deb -x "$deb" "$root"
{
	dpkg-deb -f "$deb" | sed '1a\
Status: install ok installed'
	echo
} >>"$root/var/lib/dpkg/status"
dpkg-deb --fsys-tarfile "$deb" | tar -t | sed -e 's,^\.,,; s,/$,,; s,^$,/.,' >"$root/var/lib/dpkg/info/lineside.list"

# The card.
mkdir -p "$root/selector" "$root/data" "$root/boot" "$root/home" "$root/media" "$root/mnt" "$root/opt" "$root/srv"
put 644 fstab etc/fstab
put 644 rauc.conf etc/rauc/system.conf
put 755 rauc-backend usr/lib/lineside/rauc-backend
put 755 data.sh usr/lib/lineside/data
put 644 var.conf usr/lib/tmpfiles.d/00-lineside-var.conf
put 644 sysusers.conf usr/lib/sysusers.d/lineside-image.conf
put 440 sudoers etc/sudoers.d/technician
put 644 sshd.conf etc/ssh/sshd_config.d/lineside.conf
put 644 ssh.service.conf "$units/ssh.service.d/lineside.conf"
put 644 emergency.conf "$units/emergency.service.d/lineside.conf"
put 644 emergency.conf "$units/rescue.service.d/lineside.conf"
put 644 udevd.conf "$units/systemd-udevd.service.d/lineside.conf"
put 644 coldplug.conf "$units/systemd-udev-trigger.service.d/lineside.conf"
for unit in dbus systemd-logind systemd-user-sessions systemd-timesyncd ssh lineside-slots; do put 644 late.conf "$units/$unit.service.d/late.conf"; done
put 644 card.conf "$units/linesided.service.d/card.conf"
put 644 modules.conf usr/lib/modules-load.d/lineside.conf
for unit in "$here"/files/units/*; do put 644 "units/${unit##*/}" "$units/${unit##*/}"; done
install -D -m 644 "$keyring" "$root/etc/rauc/keyring.pem"
# Examples stand beside the documents; a card's own lineside.toml has its place on the selector.
rm -rf "$root/etc/lineside" && mkdir -p "$root/etc/lineside"
put 644 lineside.toml usr/share/lineside/card.toml
# The demo model, so that a board can be tried before it has a real one.
demo=$here/../inference/model/demo
install -D -m 644 "$demo/lineside-demo.gguf" "$root/usr/share/lineside/demo/lineside-demo.gguf"
install -D -m 644 -t "$root/usr/share/lineside/demo/skills" "$demo"/skills/*.toml

systemd-sysusers --root="$root"
sed -e '/^IMAGE_/d' "$root/usr/lib/os-release" >"$root/usr/lib/os-release.new"
printf 'IMAGE_ID=lineside\nIMAGE_VERSION=%s\n' "$version" >>"$root/usr/lib/os-release.new"
mv "$root/usr/lib/os-release.new" "$root/usr/lib/os-release"
echo 127.0.0.1 localhost >"$root/etc/hosts"
: >"$root/etc/hostname"
: >"$root/etc/machine-id" # anew at every start, and no start is a first one, which takes long
ln -sf /run/lineside-image/localtime "$root/etc/localtime"
ln -sf /run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
sed -i 's/^hosts:.*/hosts: files resolve [!UNAVAIL=return] dns/' "$root/etc/nsswitch.conf" 2>/dev/null ||
	printf 'passwd: files\ngroup: files\nshadow: files\nhosts: files resolve [!UNAVAIL=return] dns\n' >"$root/etc/nsswitch.conf"

# What radio may do in which country: signed by those whom every kernel trusts, Debian's and Raspberry Pi's.
for f in regulatory.db regulatory.db.p7s; do ln -s "$f-upstream" "$root/lib/firmware/$f"; done
rm -rf "$root/etc/init.d" "$root"/etc/rc?.d # systemctl would hand their services to another tool

# What starts. Nobody logs in but by SSH, and only with a key from the card.
systemctl --root="$root" -q set-default multi-user.target
systemctl --root="$root" -q enable ssh.service systemd-networkd.service systemd-resolved.service systemd-timesyncd.service
for unit in "$here"/../systemd/units/*.* "$here"/files/units/*; do # as the package does when it is installed
	! grep -q '^\[Install\]' "$unit" || systemctl --root="$root" -q enable "${unit##*/}"
done
# No update marks itself good, nobody sits at a console, and nothing is kept in /var.
systemctl --root="$root" -q mask rauc-mark-good.service getty.target ssh.socket wpa_supplicant.service e2scrub_reap.service \
	e2scrub_all.timer fstrim.timer systemd-pcrphase.service systemd-pcrphase-sysinit.service \
	systemd-networkd-wait-online.service systemd-machine-id-commit.service systemd-update-utmp.service \
	systemd-update-utmp-runlevel.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer
# Every start is short: what a read-only system that was made whole has no use for.
systemctl --root="$root" -q mask systemd-firstboot.service systemd-repart.service systemd-sysusers.service \
	systemd-journal-flush.service systemd-random-seed.service systemd-rfkill.socket systemd-initctl.socket \
	systemd-ask-password-console.path systemd-ask-password-wall.path systemd-binfmt.service \
	proc-sys-fs-binfmt_misc.automount dev-hugepages.mount dev-mqueue.mount sys-fs-fuse-connections.mount \
	sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
	systemd-network-generator.service systemd-remount-fs.service modprobe@drm.service \
	modprobe@ledtrig_pattern.service modprobe@ledtrig_timer.service modprobe@ledtrig_oneshot.service # files/modules.conf
# Units are made of fstab only: this runs at each reading of them.
find "$root/usr/lib/systemd/system-generators" ! -name systemd-fstab-generator -type f -delete
# The clock and names are there when they are; the start does not wait for them.
sed -i '/^Before=/s/ *sysinit\.target//' "$root/$units/systemd-timesyncd.service" "$root/$units/systemd-resolved.service"

# What goes to the boot partitions, and the modules of each kernel for its initrd. The kernels have
# the names that the Pi's firmware looks for, in the test image too, so that what starts a slot is the same.
mkdir "$out/boot" "$out/modules"
case $kernel in
rpi)
	cp "$root"/boot/vmlinuz-*-rpi-v8 "$out/boot/kernel8.img"
	cp "$root"/boot/vmlinuz-*-rpi-2712 "$out/boot/kernel_2712.img"
	cp -R "$root"/lib/modules/*-rpi-v8 "$out/modules/kernel8"
	cp -R "$root"/lib/modules/*-rpi-2712 "$out/modules/kernel_2712"
	cp "$root"/usr/lib/raspi-firmware/*4.elf "$root"/usr/lib/raspi-firmware/*4.dat "$out/boot/"
	cp "$root"/usr/lib/linux-image-*-rpi-v8/broadcom/bcm2711-*.dtb "$root"/usr/lib/linux-image-*-rpi-2712/broadcom/bcm2712*.dtb "$out/boot/"
	cp -R "$root"/usr/lib/linux-image-*-rpi-v8/overlays "$out/boot/overlays"
	rm -rf "$root"/usr/lib/raspi-firmware "$root"/usr/lib/linux-image-*
	;;
debian)
	cp "$root"/boot/vmlinuz-* "$out/boot/kernel8.img"
	cp "$out/boot/kernel8.img" "$out/boot/kernel_2712.img"
	modules=$(ls "$root/lib/modules")
	cp -R "$root/lib/modules/$modules" "$out/modules/kernel8"
	# The test image meets virtual hardware only.
	(cd "$root/lib/modules/$modules/kernel" && rm -rf sound drivers/gpu drivers/media drivers/infiniband \
		drivers/iio drivers/staging drivers/net/ethernet drivers/net/wireless drivers/hid drivers/input)
	depmod -b "$root" "$modules"
	;;
esac
rm -rf "$root"/boot/* "$root"/usr/share/doc/[!l]* "$root"/usr/share/man "$root"/usr/share/locale "$root"/usr/share/i18n \
	"$root"/usr/share/info "$root"/usr/share/lintian "$root"/usr/share/bash-completion "$root"/usr/lib/udev/hwdb.d \
	"$root"/usr/lib/udev/hwdb.bin "$root"/var/log/*
# Which packages there are, for the list beside the image.
awk '/^Package:/ { p = $2 } /^Version:/ { print p, $2 }' "$root/var/lib/dpkg/status" | sort >"$out/packages.list"
cp "$root/var/lib/dpkg/status" "$out/dpkg-status"
mkdir -p "$root/usr/lib/lineside/dpkg"
cp "$out/packages.list" "$root/usr/lib/lineside/dpkg/packages.list"
# /var is memory's (files/var.conf), and nothing is ever installed by apt. Times are SOURCE_DATE_EPOCH's.
mksquashfs "$root" "$out/root.squashfs" -noappend -quiet -no-progress -comp zstd -Xcompression-level 12 -b 256K \
	-wildcards -e 'var/*' 'tmp/*' etc/apt # mmdebstrap leaves a file of a random name in /tmp

#!/bin/sh
# RAUC runs this after it filled a boot partition: the kernel's command line names the root of
# the same slot.
set -eu
case $1 in
slot-post-install)
	case $RAUC_SLOT_NAME in
	boot.0) slot=a ;;
	boot.1) slot=b ;;
	*)
		echo "no slot of ours: $RAUC_SLOT_NAME" >&2
		exit 1
		;;
	esac
	cp "$RAUC_BUNDLE_MOUNT_POINT/cmdline-$slot.txt" "$RAUC_SLOT_MOUNT_POINT/cmdline.txt"
	sync -f "$RAUC_SLOT_MOUNT_POINT/cmdline.txt"
	;;
esac

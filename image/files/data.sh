#!/bin/sh
# Before the data partition is mounted: it reaches to the end of the card, and its file
# system is sound. What cannot be mended is made anew, so that the board answers again.
# Where something may be missing then, STATUS.txt says so (image/provision).
#
#   data PARTITION
#
# A worn-out card takes no writes any more: it says so, or each of them fails. What is on it is
# then read as it stands, and the board answers until somebody brings a new one.
#
# No step has a time limit: a large card takes its time after a power cut. Each can be cut
# short and is done again at the next start.
set -u
part=$(realpath "$1")
sys=$(realpath "/sys/class/block/${part##*/}") # .../block/mmcblk0/mmcblk0p7
note=/run/lineside-image/data-lost

takes_writes() { # the block of the superblock, which every mount writes
	read -r fixed <"$sys/ro"
	[ "$fixed" = 0 ] && dd if="$part" of="$part" bs=4096 count=1 iflag=direct oflag=direct conv=notrunc status=none
}
if ! takes_writes; then
	echo "the card takes no writes: it is read as it stands, and nothing is kept; plan a new one" >&2
	# Without the journal's last changes, which would have to be written; data.mount finds it done.
	exec mount -t ext4 -o ro,noload,nosuid,nodev,noexec,noatime "$part" /data
fi

# 8192 sectors are the 4 MiB that a grown partition's end is aligned to: see image/grow.
read -r size <"${sys%/*}/size"
read -r start <"$sys/start"
read -r length <"$sys/size"
if [ $((size / 8192 * 8192)) -gt $((start + length)) ]; then
	disk=${sys%/*}
	lineside image grow "/dev/${disk##*/}"
fi

lost() {
	echo "$1" >&2
	mkdir -p "$(dirname "$note")"
	echo "$1" >"$note"
}

e2fsck -p "$part"
status=$?
if [ "$status" -ge 4 ]; then # what it would not do unasked
	e2fsck -fy "$part"
	status=$?
	[ "$status" -ge 4 ] || lost "the data partition was damaged and was mended: models, audit or waiting asks may be missing"
fi
if [ "$status" -ge 4 ]; then
	mkfs.ext4 -q -F -L lineside-data -E lazy_itable_init=0,lazy_journal_init=0 "$part" || exit 1
	lost "the data partition was damaged beyond repair and was made anew: models, audit and waiting asks are lost"
fi
# The file system's own words on its size, in 1024 << WORD bytes (ext4's superblock: s_blocks_count_lo, s_log_block_size).
read -r length <"$sys/size"
# shellcheck disable=SC2046
set -- $(od -A n -v -t u4 -j 1024 -N 32 "$part")
if [ $(($2 * (2 << $7))) -lt $((length / (2 << $7) * (2 << $7))) ]; then
	# resize2fs wants a check that it can see.
	resize2fs "$part" 2>/dev/null || { e2fsck -fy "$part"; resize2fs "$part"; } || true
fi
exit 0

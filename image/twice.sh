#!/bin/sh
# Builds the image twice of one package and shows that the bytes are the same. Arguments are
# build.sh's without OUT.
set -eu
top=$(dirname "$(realpath "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$top/testkeys.sh" "$work/keys"
for n in 1 2; do "$top/build.sh" -s "$work/keys" "$@" "$work/$n"; done
status=0
for f in lineside.img lineside.img.bmap packages.list sbom.cdx.json; do
	if cmp "$work/1/$f" "$work/2/$f"; then
		echo "same: $f $(sha256sum <"$work/1/$f" | cut -c1-16)"
	else
		status=1
	fi
done
exit $status

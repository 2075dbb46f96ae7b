#!/bin/sh
# Makes dist/lineside-jetson_VERSION_arm64.deb of the arm64 package: the same, but its programs
# become a folder per version below /opt/lineside, so that an upgrade can be taken back.
# For L4T of JetPack 6 (Ubuntu 22.04) and 7 (24.04).
#
#   tools/deb/jetson.sh PACKAGE.deb [OUT]
#
# An engine for the GPU, bin/cuda/lineside-engine of make build-cuda, goes in where it is there;
# else the one with dot products, which is the board's processor.
set -eu
cd "$(dirname "$0")/../.."
deb=$(realpath "$1") out=${2:-dist}
export LC_ALL=C TZ=UTC
umask 022
here=tools/deb/jetson

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
dpkg-deb -R "$deb" "$root"
[ "$(dpkg-deb -f "$deb" Architecture)" = arm64 ] || { echo "jetson.sh: $1 is not for arm64" >&2; exit 2; }
version=$(dpkg-deb -f "$deb" Version)
epoch=$(stat -c %Y "$root/usr/bin/linesided")

programs=$root/usr/lib/lineside/programs
mkdir -p "$programs"
mv "$root/usr/bin/linesided" "$root/usr/bin/lineside" "$root/usr/bin/lineside-engine" "$programs/"
if [ -f bin/cuda/lineside-engine ]; then
	install -m 755 bin/cuda/lineside-engine "$programs/lineside-engine"
	install -D -m 644 systemd/conf/jetson-gpu.conf "$root/usr/lib/systemd/system/lineside-engine.service.d/60-gpu.conf"
elif [ -f "$root/usr/lib/lineside/lineside-engine-dotprod" ]; then
	mv "$root/usr/lib/lineside/lineside-engine-dotprod" "$programs/lineside-engine"
fi
rm -f "$root/usr/lib/lineside/lineside-engine-dotprod"
for p in linesided lineside lineside-engine; do ln -s "/opt/lineside/current/$p" "$root/usr/bin/$p"; done
for u in "$here"/*.service; do install -m 644 "$u" "$root/usr/lib/systemd/system/${u##*/}"; done
for u in linesided lineside-engine; do
	install -D -m 644 "$here/exec.conf" "$root/usr/lib/systemd/system/$u.service.d/60-jetson.conf"
done

sed -i -e 's/^Package: .*/Package: lineside-jetson/' -e 's/^Depends: /Provides: lineside\nConflicts: lineside\nReplaces: lineside\nDepends: /' "$root/DEBIAN/control"
{
	sed -n 1p "$root/DEBIAN/postinst"
	echo set -e
	sed -e "s/@VERSION@/$version/" "$here/postinst"
	echo 'package() {'
	sed -e 1d -e 's/exit 0/return 0/' "$root/DEBIAN/postinst"
	printf '}\npackage "$@"\n'
	cat "$here/postinst.end"
} >"$root/DEBIAN/postinst.new"
mv "$root/DEBIAN/postinst.new" "$root/DEBIAN/postinst"
chmod 755 "$root/DEBIAN/postinst"
cat >>"$root/DEBIAN/postrm" <<'END'
if [ "$1" = purge ]; then
	rm -f /etc/systemd/system/*.wants/lineside-versions.service /etc/systemd/system/*.wants/lineside-gate.service
	rm -rf /opt/lineside
fi
END
(cd "$root" && find usr -type f | sort | xargs md5sum) >"$root/DEBIAN/md5sums"
find "$root" -exec touch -h -d "@$epoch" {} +
mkdir -p "$out"
SOURCE_DATE_EPOCH=$epoch dpkg-deb --root-owner-group -Zxz --build "$root" "$out/lineside-jetson_${version}_arm64.deb" >/dev/null
echo "$out/lineside-jetson_${version}_arm64.deb"

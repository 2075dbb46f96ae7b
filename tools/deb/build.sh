#!/bin/sh
# Makes dist/lineside_VERSION_ARCH.deb, its bill of materials and SHA256SUMS of the programs in bin/deb/ARCH. The same commit gives
# the same bytes: times are the commit's, owners root, the order dpkg's own.
#
#   tools/deb/build.sh arm64|amd64 [OUT]        ($VERSION and $COMPRESS replace what it would take)
#
# dpkg-deb and no packaging framework: it is what reads the package, too.
set -eu
cd "$(dirname "$0")/../.."
arch=$1 out=${2:-dist}
bin=bin/deb/$arch
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH="$epoch" LC_ALL=C TZ=UTC
umask 022

# v1.2.3 and what came after it; a tree without tags counts by its commit's time.
version=$(git describe --tags --match 'v[0-9]*' 2>/dev/null | sed -e 's/^v//' -e 's/-\([0-9]*\)-g/+\1.g/') || true
[ -n "$version" ] || version=0~$(date -d "@$epoch" +%Y%m%d%H%M%S).$(git rev-parse --short=10 HEAD)
version=${VERSION:-$version}-1
maintainer=$(sed -n 's/^Maintainer: //p' tools/deb/control)

root=$(mktemp -d)
chmod 755 "$root"
trap 'rm -rf "$root"' EXIT
put() { # MODE FILE DESTINATION
	install -D -m "$1" "$2" "$root/$3"
}

for p in linesided lineside lineside-engine; do put 755 "$bin/$p" "usr/bin/$p"; done
[ ! -f "$bin/lineside-engine-dotprod" ] || put 755 "$bin/lineside-engine-dotprod" usr/lib/lineside/lineside-engine-dotprod
for u in systemd/units/*.*; do [ ! -f "$u" ] || put 644 "$u" "usr/lib/systemd/system/${u##*/}"; done
for d in systemd/units/*.d/*.conf; do [ ! -f "$d" ] || put 644 "$d" "usr/lib/systemd/system/${d#systemd/units/}"; done
put 644 systemd/conf/sysusers.conf usr/lib/sysusers.d/lineside.conf
put 644 systemd/conf/tmpfiles.conf usr/lib/tmpfiles.d/lineside.conf
put 644 systemd/conf/udev.rules usr/lib/udev/rules.d/60-lineside.rules
put 644 systemd/conf/journald.conf usr/lib/systemd/journald.conf.d/50-lineside.conf
put 644 systemd/conf/watchdog.conf usr/lib/systemd/system.conf.d/50-lineside.conf
put 644 docs/lineside.toml etc/lineside/lineside.toml
for s in inference/model/demo/skills/*.toml; do put 644 "$s" "usr/share/doc/lineside/examples/skills/${s##*/}"; done
for f in README.md ARCHITECTURE.md docs/*.md docs/led-card.svg; do put 644 "$f" "usr/share/doc/lineside/${f##*/}"; done
put 644 tools/deb/overrides usr/share/lintian/overrides/lineside
put 644 tools/deb/copyright usr/share/doc/lineside/copyright
put 644 systemd/conf/jetson-gpu.conf usr/share/doc/lineside/examples/jetson-gpu.conf
# systemd sets a clock that is older than this file's time to it (from version 251 on).
install -D -m 644 /dev/null "$root/usr/lib/clock-epoch"

mkdir -p "$out"
name=lineside_${version}_$arch
go run ./tools/sbom -version "$version" -o "$out/$name.cdx.json" -notices "$root/third-party.txt" \
	"$bin/linesided" "$bin/lineside" "$bin"/lineside-engine*
gzip -9n <"$root/third-party.txt" >"$root/usr/share/doc/lineside/third-party.txt.gz"
rm "$root/third-party.txt"
gzip -9n <CHANGELOG.md >"$root/usr/share/doc/lineside/changelog.gz"
printf 'lineside (%s) unstable; urgency=medium\n\n  * See changelog.gz.\n\n -- %s  %s\n' \
	"$version" "$maintainer" "$(date -R -d "@$epoch")" | gzip -9n >"$root/usr/share/doc/lineside/changelog.Debian.gz"
install -d -m 755 "$root/etc/lineside/skills"

find "$root" -exec touch -h -d "@$epoch" {} +
size=$(du -k -s --apparent-size "$root" | cut -f1)
mkdir "$root/DEBIAN"
(cd "$root" && find etc -type f | sed 's,^,/,' | sort) >"$root/DEBIAN/conffiles"
(cd "$root" && find usr -type f | sort | xargs md5sum) >"$root/DEBIAN/md5sums"
sed -e "s/@VERSION@/$version/; s/@ARCH@/$arch/; s/@SIZE@/$size/" tools/deb/control >"$root/DEBIAN/control"
units=$(cd systemd/units && grep -l '^\[Install\]' ./*.* | sed 's,^./,,' | sort | tr '\n' ' ')
for s in postinst prerm postrm; do
	sed "s/@UNITS@/${units% }/" "tools/deb/$s" >"$root/DEBIAN/$s"
	chmod 755 "$root/DEBIAN/$s"
done
find "$root/DEBIAN" "$root" -maxdepth 0 -exec touch -d "@$epoch" {} +
find "$root/DEBIAN" -exec touch -d "@$epoch" {} +

dpkg-deb --root-owner-group "-Z${COMPRESS:-xz}" --build "$root" "$out/$name.deb" >/dev/null
(cd "$out" && sha256sum lineside_*.deb lineside_*.cdx.json >SHA256SUMS)
echo "$out/$name.deb"

#!/bin/sh
# Makes dist/lineside_VERSION_ARCH.deb, its bill of materials and SHA256SUMS of the programs in bin/deb/ARCH. The same commit gives
# the same bytes: times are the commit's, owners root.
#
#   tools/deb/build.sh arm64|amd64 [OUT]        ($VERSION and $COMPRESS replace what it would take)
#
# What goes where stands in nfpm.yaml; nfpm.mod pins the nfpm that packs it.
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
maintainer=$(sed -n 's/^maintainer: //p' tools/deb/nfpm.yaml)

made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
mkdir -p "$out"
name=lineside_${version}_$arch
go run ./tools/sbom -version "$version" -o "$out/$name.cdx.json" -notices "$made/third-party.txt" \
	"$bin/linesided" "$bin/lineside" "$bin"/lineside-engine*
gzip -9n "$made/third-party.txt"
gzip -9n <CHANGELOG.md >"$made/changelog.gz"
printf 'lineside (%s) unstable; urgency=medium\n\n  * See changelog.gz.\n\n -- %s  %s\n' \
	"$version" "$maintainer" "$(date -R -d "@$epoch")" | gzip -9n >"$made/changelog.Debian.gz"
units=$(cd systemd/units && grep -l '^\[Install\]' ./*.* | sed 's,^./,,' | sort | tr '\n' ' ')
for s in postinst prerm postrm; do sed "s/@UNITS@/${units% }/" "tools/deb/$s" >"$made/$s"; done

sed -e "s,@VERSION@,$version,; s,@ARCH@,$arch,; s,@COMPRESS@,${COMPRESS:-xz},; s,@MADE@,$made," tools/deb/nfpm.yaml >"$made/nfpm.yaml"
if [ -f "$bin/lineside-engine-dotprod" ]; then # its contents come last
	echo "  - {src: $bin/lineside-engine-dotprod, dst: /usr/lib/lineside/lineside-engine-dotprod, file_info: {mode: 0755}}" >>"$made/nfpm.yaml"
fi
go tool -modfile=tools/deb/nfpm.mod nfpm package --config "$made/nfpm.yaml" --packager deb --target "$out/$name.deb" >"$made/log" ||
	{ cat "$made/log" >&2; exit 1; }
(cd "$out" && sha256sum lineside_*.deb lineside_*.cdx.json >SHA256SUMS)
echo "$out/$name.deb"

#!/bin/sh
# Prints the environment that builds llama.cpp for one target, as shell
# exports:   eval "$(tools/cgoenv.sh native)"
#
# Targets: native (this machine), amd64 (x86-64-v3, for packages), pi4 (armv8-a), pi5 (dot products and
# half floats, also Jetson Orin).
#
# Why a script and not #cgo lines: Go gives C++ only -O2 and no CPU features,
# and the C++ lives in a module that is not ours. The include folder is copied
# to the user's cache under its own hash, so that every checkout compiles with
# the same flags and shares one build cache.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
src=$here/inference/llama/include
sum=$(cd "$src" && find . -type f | LC_ALL=C sort | xargs cat | sha256sum | cut -c1-12)
inc=${XDG_CACHE_HOME:-$HOME/.cache}/lineside/include-$sum
if [ ! -d "$inc" ]; then
	mkdir -p "${inc%/*}"
	tmp=$(mktemp -d "$inc.XXXXXX")
	cp -R "$src/." "$tmp/"
	chmod 755 "$tmp"
	mv -T "$tmp" "$inc" 2>/dev/null || rm -rf "$tmp"
fi
mod=$(cd "$here" && go list -m -f '{{.Dir}}' github.com/ollama/ollama)
if [ -z "$mod" ]; then
	(cd "$here" && go mod download github.com/ollama/ollama)
	mod=$(cd "$here" && go list -m -f '{{.Dir}}' github.com/ollama/ollama)
fi
case ${1:-native} in
native) march=-march=native ;;
amd64) march=-march=x86-64-v3 ;;
pi4) march=-march=armv8-a ;;
pi5) march=-march=armv8.2-a+dotprod+fp16 ;;
*)
	echo "cgoenv.sh: unknown target '$1': want native, amd64, pi4 or pi5" >&2
	exit 2
	;;
esac
cat <<EOT
export CGO_ENABLED=1
export CGO_CFLAGS='-O3 $march'
export CGO_CXXFLAGS='-O3 $march'
export CGO_CPPFLAGS='-I$inc -I$mod/llama/llama.cpp/include -I$mod/ml/backend/ggml/ggml/include -DGGML_USE_CPU_REPACK'
EOT
case ${1:-native} in
pi4 | pi5)
	cat <<EOT
export GOOS=linux GOARCH=arm64
export CC=aarch64-linux-gnu-gcc CXX=aarch64-linux-gnu-g++
export CGO_CPPFLAGS="\$CGO_CPPFLAGS -idirafter /usr/include"
EOT
	;;
esac

#!/bin/sh
# Prints the environment that builds llama.cpp for one target, as shell
# exports:   eval "$(tools/cgoenv.sh native)"
#
# Targets: native (this machine), amd64 (x86-64-v3, for packages), pi4
# (armv8-a), pi5 (dot products and half floats, also Jetson Orin).
#
# Why a script and not #cgo lines: Go gives C++ only -O2 and no CPU features,
# and the C++ lives in a module that is not ours. The include folder holds our
# miniaudio.h and the two header libraries that module zips drop (Debian's
# nlohmann-json3-dev and libstb-dev, copied so that a cross compiler never
# looks into /usr/include). It lies in the user's cache under its own hash, so
# that every checkout compiles with the same flags and shares one build cache.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
die() {
	echo "cgoenv.sh: $*" >&2
	echo false # so that eval in a script with set -e stops too
	exit 2
}

target=${1:-native}
cross=
case $target in
native) march=-march=native ;;
amd64) march=-march=x86-64-v3 ;;
pi4) march=-march=armv8-a cross=arm64 ;;
pi5) march=-march=armv8.2-a+dotprod+fp16 cross=arm64 ;;
*) die "unknown target '$target': want native, amd64, pi4 or pi5" ;;
esac
# ggml asks for kernels with AMX where the processor has it, and the module comes without them.
[ "$target/$(go env GOHOSTARCH)" != native/amd64 ] || march="$march -mno-amx-tile -mno-amx-int8 -mno-amx-bf16"
[ "$(go env GOHOSTARCH)" != "$cross" ] || cross= # an arm64 machine builds for itself

for h in nlohmann/json.hpp stb/stb_image.h; do
	[ -f "/usr/include/$h" ] || die "/usr/include/$h is missing: apt-get install nlohmann-json3-dev libstb-dev"
done
hash() {
	(cd "$here/inference/llama/include" && find . -type f && cd /usr/include && find nlohmann stb -type f) |
		LC_ALL=C sort | tr '\n' ' '
	cat "$here/inference/llama/include/miniaudio/miniaudio.h" /usr/include/nlohmann/detail/abi_macros.hpp \
		/usr/include/nlohmann/json.hpp /usr/include/stb/stb_image.h 2>/dev/null || true
}
inc=${XDG_CACHE_HOME:-$HOME/.cache}/lineside/include-$(hash | sha256sum | cut -c1-12)
if [ ! -d "$inc" ]; then
	mkdir -p "${inc%/*}"
	tmp=$(mktemp -d "$inc.XXXXXX")
	cp -R "$here/inference/llama/include/." /usr/include/nlohmann /usr/include/stb "$tmp/"
	chmod 755 "$tmp"
	mv -T "$tmp" "$inc" 2>/dev/null || rm -rf "$tmp"
fi
mod=$(cd "$here" && go list -m -f '{{.Dir}}' github.com/ollama/ollama)
if [ -z "$mod" ]; then
	(cd "$here" && go mod download github.com/ollama/ollama)
	mod=$(cd "$here" && go list -m -f '{{.Dir}}' github.com/ollama/ollama)
fi

# stringop-overflow: gcc 12 misjudges a loop in ggml's repack.cpp.
# NDEBUG: a wrong argument comes back as an error where llama.cpp would abort.
# OpenMP: its threads stay, and sleep after a short spin where another program
# holds a core; ggml's own spin on, and a loaded board decodes ten times slower.
# The C++ runtime is linked in: the board needs glibc alone.
cat <<EOT
export CGO_ENABLED=1
export CGO_CFLAGS='-O3 $march -Wno-stringop-overflow -fopenmp -DGGML_USE_OPENMP'
export CGO_CXXFLAGS='-O3 $march -Wno-stringop-overflow -fopenmp -DGGML_USE_OPENMP'
export CGO_CPPFLAGS='-I$inc -I$mod/llama/llama.cpp/include -I$mod/ml/backend/ggml/ggml/include -DGGML_USE_CPU_REPACK -DNDEBUG'
export CGO_LDFLAGS='-static-libstdc++ -static-libgcc -l:libgomp.a'
EOT
if [ -n "$cross" ]; then
	command -v aarch64-linux-gnu-g++ >/dev/null ||
		die "the arm64 compiler is missing: apt-get install gcc-aarch64-linux-gnu g++-aarch64-linux-gnu"
	cat <<EOT
export GOOS=linux GOARCH=arm64
export CC=aarch64-linux-gnu-gcc CXX=aarch64-linux-gnu-g++
EOT
fi

#!/bin/sh
# Builds lineside-engine for an NVIDIA GPU: bin/cuda/lineside-engine. Run it on the Jetson
# itself, with JetPack's CUDA toolkit (nvcc) and Go; takes the better part of an hour there.
#
#   tools/cuda.sh [ARCH]     GPU architecture; 87 is Orin
#   tools/cuda.sh --check    without a toolkit: builds everything but the GPU's own code, with a
#                            stand-in for it that finds no GPU, as build/cuda/lineside-engine-check
set -eu
cd "$(dirname "$0")/.."
arch=${1:-87} out=build/cuda
mkdir -p "$out" bin/cuda
ggml=$(go list -m -f '{{.Dir}}' github.com/ollama/ollama)/ml/backend/ggml/ggml
includes="-I$ggml/include -I$ggml/src -I$ggml/src/ggml-cuda"

# engine OUT LIBRARIES: the engine with the GPU's part.
engine() {
	CGO_CPPFLAGS="$CGO_CPPFLAGS -DGGML_USE_CUDA" CGO_LDFLAGS="$CGO_LDFLAGS -L$PWD/$out $2" \
		go build -buildvcs=false -trimpath -buildmode=pie -ldflags "-s -w -X main.version=${VERSION:-cuda} -bindnow" -o "$1" ./cmd/lineside-engine
}

if [ "$arch" = --check ]; then
	eval "$(tools/cgoenv.sh native)"
	# shellcheck disable=SC2086
	g++ -O1 -std=c++17 -fPIC $includes -c tools/cuda/none.cpp -o "$out/none.o"
	ar rcs "$out/liblineside-none.a" "$out/none.o"
	engine "$out/lineside-engine-check" "-llineside-none"
	echo "$out/lineside-engine-check"
	exit
fi

nvcc=$(command -v nvcc || true)
[ -n "$nvcc" ] || [ ! -x /usr/local/cuda/bin/nvcc ] || nvcc=/usr/local/cuda/bin/nvcc
if [ -z "$nvcc" ]; then
	echo "cuda.sh: there is no nvcc: install JetPack's toolkit (sudo apt install nvidia-jetpack), or put nvcc on the PATH" >&2
	exit 1
fi
# Where the toolkit's libraries are, nvcc says itself: LIBRARIES= "-L..." "-L...". Debian has them among its own.
: >"$out/empty.cu"
folders=$("$nvcc" --dryrun "$out/empty.cu" 2>&1 | sed -n 's/^#\$ LIBRARIES=//p' | tr -d '"')
for d in $(printf '%s' "$folders" | sed 's/-L//g') "/usr/lib/$(gcc -print-multiarch)"; do
	case $d in */stubs*) continue ;; esac # to link with, not to run with
	[ ! -e "$d/libcublas.so" ] || { cublas=$(realpath "$d") && break; }
done
if [ -z "${cublas:-}" ]; then
	echo "cuda.sh: $nvcc names no folder with libcublas.so: install the toolkit's cuBLAS (libcublas-dev)" >&2
	exit 1
fi

case $(go env GOARCH) in
arm64) eval "$(tools/cgoenv.sh pi5)" ;; # Orin's cores know dot products and half floats
*) eval "$(tools/cgoenv.sh native)" ;;
esac

# What ggml's own build takes: attention with the pairs of cache types that it cannot do without.
(
	cd "$ggml/src/ggml-cuda"
	ls ./*.cu template-instances/fattn-tile*.cu template-instances/fattn-mma*.cu template-instances/mmq*.cu \
		template-instances/mmf*.cu template-instances/fattn-vec*f16-f16.cu template-instances/fattn-vec*q4_0-q4_0.cu \
		template-instances/fattn-vec*q8_0-q8_0.cu
) >"$out/sources"
echo "compiling $(wc -l <"$out/sources") files for sm_$arch with $("$nvcc" --version | sed -n 's/.*release \([^,]*\).*/CUDA \1/p')"
export nvcc arch out ggml includes
# Two at a time: one file can take 2 GB.
xargs -P "${JOBS:-2}" -I{} sh -c '
	o=$out/$(basename "{}" .cu).o
	[ -s "$o" ] || { "$nvcc" -O3 -std=c++17 -gencode "arch=compute_$arch,code=sm_$arch" -use_fast_math -extended-lambda \
		-Xcompiler -fPIC -DNDEBUG -DGGML_CUDA_USE_GRAPHS -DGGML_CUDA_PEER_MAX_BATCH_SIZE=128 $includes -c "$ggml/src/ggml-cuda/{}" -o "$o.part" && mv "$o.part" "$o" && echo "  {}"; }
' <"$out/sources"
rm -f "$out/liblineside-cuda.a"
sed 's,.*/,,; s,\.cu$,.o,' "$out/sources" | (cd "$out" && xargs ar rcs liblineside-cuda.a)
engine bin/cuda/lineside-engine "-llineside-cuda -Wl,-rpath,$cublas $folders -lcudart_static -lcublas -lcuda -ldl -lrt -lpthread"
echo bin/cuda/lineside-engine

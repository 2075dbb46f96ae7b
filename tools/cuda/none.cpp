// Stands in for ggml's CUDA backend where there is no toolkit to compile it: a backend that
// finds no GPU. tools/cuda.sh --check links it, so that the rest is compiled as for a GPU.
#include "ggml-backend-impl.h"
#include "ggml-cuda.h"

static const char *name(ggml_backend_reg_t) { return "CUDA"; }
static size_t count(ggml_backend_reg_t) { return 0; }
static ggml_backend_dev_t device(ggml_backend_reg_t, size_t) { return nullptr; }
static void *address(ggml_backend_reg_t, const char *) { return nullptr; }

ggml_backend_reg_t ggml_backend_cuda_reg(void) {
	static ggml_backend_reg reg = {GGML_BACKEND_API_VERSION, {name, count, device, address}, nullptr};
	return &reg;
}

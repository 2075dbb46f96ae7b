// Refuses to run on a processor that lacks a feature this binary was built for,
// with a sentence instead of SIGILL. It runs before every C++ initialiser and
// before Go, and is compiled for the plainest processor (see cpu.go).
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "ggml-cpu.h"

#if defined(__x86_64__)

#include <cpuid.h>

static int has(const char *name) {
	__builtin_cpu_init();
#define F(n, f) if (strcmp(name, n) == 0) return __builtin_cpu_supports(f)
	F("SSSE3", "ssse3");
	F("AVX", "avx");
	F("AVX2", "avx2");
	F("BMI2", "bmi2");
	F("FMA", "fma");
	F("AVX512", "avx512f");
	F("AVX512_VBMI", "avx512vbmi");
	F("AVX512_VNNI", "avx512vnni");
	F("AVX512_BF16", "avx512bf16");
#undef F
	unsigned a, b, c, d;
	if (strcmp(name, "F16C") == 0) return __get_cpuid(1, &a, &b, &c, &d) && (c >> 29 & 1);
	if (strcmp(name, "AVX_VNNI") == 0) return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
	if (strcmp(name, "AMX_INT8") == 0) return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 25 & 1);
	return 1;
}

static const struct {
	const char *name;
	int (*built)(void); // what ggml was compiled for
} features[] = {
	{"SSSE3", ggml_cpu_has_ssse3},
	{"AVX", ggml_cpu_has_avx},
	{"AVX2", ggml_cpu_has_avx2},
	{"BMI2", ggml_cpu_has_bmi2},
	{"F16C", ggml_cpu_has_f16c},
	{"FMA", ggml_cpu_has_fma},
	{"AVX_VNNI", ggml_cpu_has_avx_vnni},
	{"AVX512", ggml_cpu_has_avx512},
	{"AVX512_VBMI", ggml_cpu_has_avx512_vbmi},
	{"AVX512_VNNI", ggml_cpu_has_avx512_vnni},
	{"AVX512_BF16", ggml_cpu_has_avx512_bf16},
	{"AMX_INT8", ggml_cpu_has_amx_int8},
};

#elif defined(__aarch64__)

#include <asm/hwcap.h>
#include <sys/auxv.h>

static int has(const char *name) {
	unsigned long cap = getauxval(AT_HWCAP), cap2 = getauxval(AT_HWCAP2);
	if (strcmp(name, "FP16") == 0) return (cap & HWCAP_FPHP) && (cap & HWCAP_ASIMDHP);
	if (strcmp(name, "DOTPROD") == 0) return (cap & HWCAP_ASIMDDP) != 0;
	if (strcmp(name, "SVE") == 0) return (cap & HWCAP_SVE) != 0;
	if (strcmp(name, "I8MM") == 0) return (cap2 & HWCAP2_I8MM) != 0;
	return 1;
}

static const struct {
	const char *name;
	int (*built)(void);
} features[] = {
	{"FP16", ggml_cpu_has_fp16_va},
	{"DOTPROD", ggml_cpu_has_dotprod},
	{"SVE", ggml_cpu_has_sve},
	{"I8MM", ggml_cpu_has_matmul_int8},
};

#else
#error "no processor check for this architecture"
#endif

// 101 is the first priority that programs may use; C++ initialisers have the last.
__attribute__((constructor(101))) static void check_cpu(void) {
	char msg[512] = "this program was built for a newer processor: this one lacks";
	size_t n = strlen(msg);
	int missing = 0;
	for (size_t i = 0; i < sizeof features / sizeof *features; i++) {
		if (!features[i].built() || has(features[i].name)) continue;
		size_t m = strlen(features[i].name);
		if (missing++) msg[n++] = ',';
		msg[n++] = ' ';
		memcpy(msg + n, features[i].name, m);
		n += m;
	}
	if (!missing) return;
	static const char end[] = ". Install the build for this board.\n";
	memcpy(msg + n, end, sizeof end);
	ssize_t written = write(2, msg, n + sizeof end - 1);
	(void)written;
	_exit(1);
}

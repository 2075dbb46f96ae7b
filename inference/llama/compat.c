// The C++ runtime that is linked in was compiled for glibc 2.36 and takes its
// randomness from there. JetPack 6 has 2.35, so the one call lives here.
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>

uint32_t arc4random(void) {
	uint32_t v;
	if (getrandom(&v, sizeof v, 0) != (ssize_t)sizeof v) abort(); // cannot be short: getrandom(2)
	return v;
}

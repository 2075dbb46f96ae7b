// How long OpenMP's threads spin at a barrier before they sleep. A decode step has
// hundreds of barriers. Spinning as long as libgomp likes to (milliseconds) makes a
// board with other work crawl: at load 9 on two cores one stream of a 1B decodes 0.5
// tokens/s, and 5 with this. On a quiet machine both are the same.
#include <stdlib.h>

#if defined(__x86_64__)
#define SPINS "3000" // of the pause instruction: some 40 microseconds
#else
#define SPINS "20000" // of an empty loop
#endif

// libgomp reads its environment in a constructor of the last priority. What the
// environment says already stays.
__attribute__((constructor(102))) static void set_spins(void) { setenv("GOMP_SPINCOUNT", SPINS, 0); }

// The calls into llama.cpp that Go makes. Every C++ exception ends behind them.
#ifndef LINESIDE_SHIM_H
#define LINESIDE_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "llama.h"

#ifdef __cplusplus
extern "C" {
#endif

// A model with its context, threads and the Go side that it reports to.
// Without context it is a vocabulary alone.
typedef struct ls_session ls_session;

typedef struct {
	uint32_t cells, batch, chunk, sequences;
	bool vocab_only, mapped, lock;
	uintptr_t go_; // handle that progress and abort calls carry
} ls_options;

// Reasons of the last failure, in llama.cpp's words, go to err.
ls_session *ls_open(const char *path, const ls_options *o, char *err, size_t cap);
void ls_close(ls_session *s);

// Results of ls_decode besides llama_decode's own (0 done, 1 no cells, 2 aborted).
enum { LS_THROWN = -100 };

// seqs holds the ids of all tokens one after the other, n_seqs how many each has.
int ls_decode(ls_session *s, int n, int threads, const int32_t *token, const int32_t *pos,
	const int32_t *n_seqs, const int32_t *seqs, const int8_t *logits, char *err, size_t cap);
// The logits of batch place i, or NULL; *finite says whether all are numbers.
const float *ls_logits(ls_session *s, int i, bool *finite);

int32_t ls_last(ls_session *s, int32_t seq); // last position, or -1
bool ls_remove(ls_session *s, int32_t seq, int32_t from, int32_t to);
void ls_clear(ls_session *s); // empties all sequences
// Gives the pages of the KV cache, which is empty, back to the system until they
// are written again. Returns how many bytes; 0 before the first pass.
size_t ls_release(ls_session *s);
void ls_copy(ls_session *s, int32_t src, int32_t dst, int32_t from, int32_t to);
size_t ls_state_size(ls_session *s, int32_t seq);
size_t ls_state_get(ls_session *s, int32_t seq, uint8_t *dst, size_t size);
size_t ls_state_set(ls_session *s, int32_t seq, const uint8_t *src, size_t size, char *err, size_t cap);

// Adapters are numbered in the order of loading; they live as long as the session.
bool ls_adapter_load(ls_session *s, const char *path, char *err, size_t cap);
// Lays an adapter over the model, or none where index < 0, and empties the cache. After a
// failure the session can only be closed.
bool ls_adapter_wear(ls_session *s, int index, char *err, size_t cap);

int32_t ls_vocab_size(ls_session *s);
// Tokens of text, or minus the number that would fit, or INT32_MIN on failure.
int32_t ls_tokenize(ls_session *s, const char *text, int32_t len, int32_t *out, int32_t cap, bool special);
// All pieces one after the other; end[i] is where the i-th ends. Returns the bytes needed.
size_t ls_pieces(ls_session *s, char *buf, size_t cap, uint32_t *end, bool *eog);

// Readies the process once, and sends llama.cpp's log to Go.
void ls_init(void);

#ifdef __cplusplus
}
#endif
#endif

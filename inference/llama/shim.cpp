#include "shim.h"

#include <csignal>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

extern "C" {
// Written in Go.
bool linesideProgress(float part, uintptr_t go);
bool linesideAbort(uintptr_t go);
void linesideLog(int level, char *text);
}

struct ls_session {
	llama_model *model = nullptr;
	llama_context *ctx = nullptr;
	uintptr_t go = 0;
	std::chrono::steady_clock::time_point asked{};
	std::vector<llama_seq_id *> seq_ptr;
	std::vector<ggml_tensor *> cells; // keys and values of every layer, once a pass has shown them
	bool cells_known = false;
	llama_context_params params{};
	std::vector<llama_adapter_lora *> adapters;

	~ls_session() {
		if (ctx) llama_free(ctx);
		for (auto *a : adapters) llama_adapter_lora_free(a);
		if (model) llama_model_free(model);
	}
};

// What llama.cpp logs as errors while a call runs is the reason of its failure.
static thread_local std::string *reasons = nullptr;

namespace {
struct listen {
	std::string text;
	listen() { reasons = &text; }
	~listen() { reasons = nullptr; }
	void to(char *err, size_t cap) const {
		if (cap == 0) return;
		size_t n = text.size() < cap - 1 ? text.size() : cap - 1;
		memcpy(err, text.data(), n);
		err[n] = 0;
	}
};
} // namespace

static void on_log(ggml_log_level level, const char *text, void *) {
	if (level == GGML_LOG_LEVEL_ERROR && reasons) reasons->append(text);
	linesideLog(level, const_cast<char *>(text));
}

void ls_init(void) {
	// Large buffers come from the system and go back to it when they are freed;
	// glibc would come to keep them, as its threshold rises with use.
	mallopt(M_MMAP_THRESHOLD, 1 << 20);
	llama_log_set(on_log, nullptr);
	llama_backend_init();
}

// llama.cpp asks after every node of the graph; Go is asked once a millisecond.
static bool on_abort(void *p) {
	auto *s = static_cast<ls_session *>(p);
	auto now = std::chrono::steady_clock::now();
	if (now - s->asked < std::chrono::milliseconds(1)) return false;
	s->asked = now;
	return linesideAbort(s->go);
}

// llama.cpp does not say where its KV cache lies, but it shows every node of a
// graph before it is computed. None of them is asked for.
static bool on_eval(ggml_tensor *t, bool, void *p) {
	auto *s = static_cast<ls_session *>(p);
	if (s->cells_known) return false;
	for (ggml_tensor *src : t->src) {
		if (!src) continue;
		ggml_tensor *base = src->view_src ? src->view_src : src;
		if (strncmp(base->name, "cache_", 6) == 0 && std::find(s->cells.begin(), s->cells.end(), base) == s->cells.end())
			s->cells.push_back(base);
	}
	return false;
}

static bool on_progress(float part, void *p) {
	return linesideProgress(part, static_cast<ls_session *>(p)->go);
}

#ifdef GGML_USE_CUDA
// An engine that was built for a GPU takes all of the model there, or says why not: on the
// processor it would be slower than the plain one without a word.
static int gpu_layers() {
	if (!ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_GPU))
		throw std::runtime_error("no NVIDIA GPU is found"); // Go says the rest
	return 999;
}
static const auto flash_attention = LLAMA_FLASH_ATTN_TYPE_AUTO;
#else
static int gpu_layers() { return 0; }
static const auto flash_attention = LLAMA_FLASH_ATTN_TYPE_DISABLED; // on a processor it prefills 7 to 15% slower
#endif

static bool open_session(ls_session *s, const char *path, const ls_options *o) {
	llama_model_params mp = llama_model_default_params();
	mp.n_gpu_layers = gpu_layers();
	mp.vocab_only = o->vocab_only;
	mp.use_mmap = o->mapped;
	mp.use_mlock = o->lock;
	mp.use_extra_bufts = !o->mapped; // repacking a mapped file would keep two copies
	mp.progress_callback = on_progress;
	mp.progress_callback_user_data = s;
	s->model = llama_model_load_from_file(path, mp);
	if (!s->model) return false;
	if (o->vocab_only) return true;
	// An assertion that fails all the same ends the process with its own line, not with a dump of Go's threads.
	std::signal(SIGABRT, SIG_DFL);

	llama_context_params cp = llama_context_default_params();
	cp.n_ctx = o->cells;
	cp.n_batch = o->batch;
	cp.n_ubatch = o->chunk;
	cp.n_seq_max = o->sequences;
	cp.flash_attn_type = flash_attention;
	cp.type_k = GGML_TYPE_F16;
	cp.type_v = GGML_TYPE_F16;
	cp.abort_callback = on_abort;
	cp.abort_callback_data = s;
	cp.cb_eval = on_eval;
	cp.cb_eval_user_data = s;
	cp.embeddings = false;
	cp.no_perf = true;
	cp.swa_full = true;    // a sliding window must not drop cells of a shared prefix
	cp.kv_unified = true;  // one pool of cells: sequences share them without copying
	s->params = cp;
	s->ctx = llama_init_from_model(s->model, cp);
	return s->ctx != nullptr;
}

ls_session *ls_open(const char *path, const ls_options *o, char *err, size_t cap) {
	listen l;
	ls_session *s = nullptr;
	try {
		s = new ls_session;
		s->go = o->go_;
		if (open_session(s, path, o)) return s;
	} catch (const std::exception &e) {
		l.text += e.what();
	} catch (...) {
		l.text += "unknown exception";
	}
	delete s;
	l.to(err, cap);
	return nullptr;
}

void ls_close(ls_session *s) { delete s; }

bool ls_adapter_load(ls_session *s, const char *path, char *err, size_t cap) {
	listen l;
	try {
		if (auto *a = llama_adapter_lora_init(s->model, path)) {
			s->adapters.push_back(a);
			return true;
		}
	} catch (const std::exception &e) {
		l.text += e.what();
	} catch (...) {
		l.text += "unknown exception";
	}
	l.to(err, cap);
	return false;
}

// The context is made anew: llama.cpp would use the graph of the last pass again, in which
// the adapters are built in.
bool ls_adapter_wear(ls_session *s, int index, char *err, size_t cap) {
	listen l;
	try {
		s->cells.clear(); // they go with the context
		s->cells_known = false;
		if (s->ctx) llama_free(s->ctx);
		s->ctx = nullptr;
		s->ctx = llama_init_from_model(s->model, s->params);
		if (s->ctx && (index < 0 || llama_set_adapter_lora(s->ctx, s->adapters.at(index), 1.0f) == 0)) return true;
	} catch (const std::exception &e) {
		l.text += e.what();
	} catch (...) {
		l.text += "unknown exception";
	}
	l.to(err, cap);
	return false;
}

int ls_decode(ls_session *s, int n, int threads, const int32_t *token, const int32_t *pos,
	const int32_t *n_seqs, const int32_t *seqs, const int8_t *logits, char *err, size_t cap) {
	listen l;
	int rc = LS_THROWN;
	try {
		llama_set_n_threads(s->ctx, threads, threads);
		s->seq_ptr.resize(n);
		llama_seq_id *next = const_cast<llama_seq_id *>(seqs);
		for (int i = 0; i < n; i++) {
			s->seq_ptr[i] = next;
			next += n_seqs[i];
		}
		llama_batch b = {};
		b.n_tokens = n;
		b.token = const_cast<llama_token *>(token);
		b.pos = const_cast<llama_pos *>(pos);
		b.n_seq_id = const_cast<int32_t *>(n_seqs);
		b.seq_id = s->seq_ptr.data();
		b.logits = const_cast<int8_t *>(logits);
		rc = llama_decode(s->ctx, b);
		if (rc == 0) {
			llama_synchronize(s->ctx);
			s->cells_known = true;
		}
	} catch (const std::exception &e) {
		l.text += e.what();
	} catch (...) {
		l.text += "unknown exception";
	}
	l.to(err, cap);
	return rc;
}

const float *ls_logits(ls_session *s, int i, bool *finite) {
	const float *p = nullptr;
	try {
		p = llama_get_logits_ith(s->ctx, i);
	} catch (...) {
	}
	if (!p) return nullptr;
	// NaN and infinity have every bit of the exponent set.
	const int32_t n = ls_vocab_size(s);
	uint32_t bad = 0;
	for (int32_t j = 0; j < n; j++) {
		uint32_t u;
		memcpy(&u, p + j, sizeof u);
		bad |= (u & 0x7f800000u) == 0x7f800000u;
	}
	*finite = !bad;
	return p;
}

int32_t ls_last(ls_session *s, int32_t seq) {
	return llama_memory_seq_pos_max(llama_get_memory(s->ctx), seq);
}

bool ls_remove(ls_session *s, int32_t seq, int32_t from, int32_t to) {
	return llama_memory_seq_rm(llama_get_memory(s->ctx), seq, from, to);
}

void ls_clear(ls_session *s) { if (s->ctx) llama_memory_clear(llama_get_memory(s->ctx), false); }

size_t ls_release(ls_session *s) {
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	size_t given = 0;
	for (ggml_tensor *t : s->cells) {
		uintptr_t from = ((uintptr_t)t->data + page - 1) & ~(page - 1);
		uintptr_t to = ((uintptr_t)t->data + ggml_nbytes(t)) & ~(page - 1);
		// The pages read as zeros afterwards, which is what an empty cache holds.
		if (from < to && madvise((void *)from, to - from, MADV_DONTNEED) == 0) given += to - from;
	}
	return given;
}

void ls_copy(ls_session *s, int32_t src, int32_t dst, int32_t from, int32_t to) {
	llama_memory_seq_cp(llama_get_memory(s->ctx), src, dst, from, to);
}

size_t ls_state_size(ls_session *s, int32_t seq) {
	try {
		return llama_state_seq_get_size(s->ctx, seq);
	} catch (...) {
		return 0;
	}
}

size_t ls_state_get(ls_session *s, int32_t seq, uint8_t *dst, size_t size) {
	try {
		return llama_state_seq_get_data(s->ctx, dst, size, seq);
	} catch (...) {
		return 0;
	}
}

size_t ls_state_set(ls_session *s, int32_t seq, const uint8_t *src, size_t size, char *err, size_t cap) {
	listen l;
	size_t n = 0;
	try {
		n = llama_state_seq_set_data(s->ctx, src, size, seq);
	} catch (...) {
	}
	l.to(err, cap);
	return n;
}

int32_t ls_vocab_size(ls_session *s) { return llama_vocab_n_tokens(llama_model_get_vocab(s->model)); }

int32_t ls_tokenize(ls_session *s, const char *text, int32_t len, int32_t *out, int32_t cap, bool special) {
	try {
		return llama_tokenize(llama_model_get_vocab(s->model), text, len, out, cap, false, special);
	} catch (...) {
		return INT32_MIN;
	}
}

size_t ls_pieces(ls_session *s, char *buf, size_t cap, uint32_t *end, bool *eog) {
	const llama_vocab *v = llama_model_get_vocab(s->model);
	const int32_t n = llama_vocab_n_tokens(v);
	std::string piece(256, 0);
	size_t used = 0;
	for (int32_t i = 0; i < n; i++) {
		int32_t m = 0;
		try {
			m = llama_token_to_piece(v, i, &piece[0], (int32_t)piece.size(), 0, false);
			if (m < 0) {
				piece.resize(-m);
				m = llama_token_to_piece(v, i, &piece[0], (int32_t)piece.size(), 0, false);
			}
		} catch (...) {
			m = 0; // a token that stands for no text
		}
		if (m > 0 && used + m <= cap) memcpy(buf + used, piece.data(), m);
		if (m > 0) used += m;
		end[i] = (uint32_t)used;
		eog[i] = llama_vocab_is_eog(v, i);
	}
	return used;
}

/* Stands where mtmd-helper.cpp expects an audio decoder. The appliance has no
 * microphone and hears nothing: every call answers "not implemented". */
#ifndef LINESIDE_MINIAUDIO_H
#define LINESIDE_MINIAUDIO_H
#include <stdint.h>
typedef int ma_result;
typedef uint64_t ma_uint64;
typedef struct { int unused; } ma_decoder_config;
typedef struct { int unused; } ma_decoder;
enum { MA_SUCCESS = 0, MA_NOT_IMPLEMENTED = -29, ma_format_f32 = 5 };
static inline ma_decoder_config ma_decoder_config_init(int, unsigned, unsigned) { return ma_decoder_config(); }
static inline ma_result ma_decoder_init_memory(const void *, size_t, const ma_decoder_config *, ma_decoder *) { return MA_NOT_IMPLEMENTED; }
static inline ma_result ma_decoder_get_length_in_pcm_frames(ma_decoder *, ma_uint64 *) { return MA_NOT_IMPLEMENTED; }
static inline ma_result ma_decoder_read_pcm_frames(ma_decoder *, void *, ma_uint64, ma_uint64 *) { return MA_NOT_IMPLEMENTED; }
static inline ma_result ma_decoder_uninit(ma_decoder *) { return MA_NOT_IMPLEMENTED; }
#endif

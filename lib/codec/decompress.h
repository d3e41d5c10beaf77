#pragma once
/* Streaming decompression of gzip and zstd from outside, in memory that the data cannot choose. */
#include "codec/compress.h"

/** Up to n bytes (n > 0) to dst; *out_n is 0 only at the end. */
typedef kv_code kv_pull_fn(void *ctx, void *dst, size_t n, size_t *out_n, kv_error *err);

/* A zstd frame may ask for any window; larger ones are refused. Levels up to 20 of the zstd program
 * stay below it, and RFC 8878 asks a decoder for 8 MiB. Decision record 0033. */
#define KV_ZSTD_WINDOW_LOG_MAX 25u

/**
 * Pulls compressed bytes and hands out what they stand for: members of gzip, frames of zstd, one
 * behind the other. What follows the last gzip member and is none is not looked at.
 * Memory: 0.2 MiB, with zstd also the window, at most 32 MiB.
 * Threads: one at a time. Source: RFC 1952, RFC 8878.
 */
typedef struct kv_decompressor kv_decompressor;
kv_decompressor *kv_decompressor_new(kv_codec codec, kv_pull_fn *pull,
                                     void *ctx); /* NULL: no memory */
/**
 * As kv_pull_fn; d is a kv_decompressor. Errors: KV_E_CORRUPT (not of that form, damaged, cut),
 * KV_E_LIMIT (a zstd window that is too large), those of pull.
 */
KV_MUST_CHECK kv_code kv_decompressor_pull(void *d, void *dst, size_t n, size_t *out_n,
                                           kv_error *err);
void kv_decompressor_free(kv_decompressor *d);
KV_DEFINE_AUTO(kv_decompressor, kv_decompressor_free)

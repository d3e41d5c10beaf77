#pragma once
/* Streaming compression: gzip with kit's header, zstd. */
#include "base/str.h"

/** Takes bytes in order; non-KV_OK stops the producer and is returned by it. */
typedef kv_code kv_sink_fn(void *ctx, const void *p, size_t n, kv_error *err);

typedef enum kv_codec { KV_CODEC_GZIP, KV_CODEC_GZIP_FASTEST, KV_CODEC_ZSTD } kv_codec;

/**
 * A compressor that hands its output to a sink, in pieces of less than 1 MiB. gzip is one member for
 * each 256 KiB, compressed by one thread per processor; the bytes depend on the input alone.
 * Memory: 1 MiB for gzip, 6 MiB from 1 MiB of input on; 5 MiB for zstd. Threads: one at a time.
 * gzip has the header of kit's (no name, no time, system 255); the deflate bytes are libdeflate's,
 * so digests are not kit's. Source: RFC 1952, RFC 8878, kit-compat 2.3. Decision record 0025.
 */
typedef struct kv_compressor kv_compressor;
kv_compressor *kv_compressor_new(kv_codec codec, kv_sink_fn *sink, void *ctx); /* NULL: no memory */
KV_MUST_CHECK kv_code kv_compressor_add(kv_compressor *c, const void *p, size_t n, kv_error *err);
/** Writes what is left and the trailer; only kv_compressor_free may follow. */
KV_MUST_CHECK kv_code kv_compressor_end(kv_compressor *c, kv_error *err);
void kv_compressor_free(kv_compressor *c);
KV_DEFINE_AUTO(kv_compressor, kv_compressor_free)

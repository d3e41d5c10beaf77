#include "codec/decompress.h"

#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

enum {
    IN_BYTES = 128 * 1024,
    OUT_BYTES_MAX = 1 << 20,
    GZIP_WINDOW_BITS = 15 + 16 /* 16: a gzip header, nothing else */
};

struct kv_decompressor {
    kv_codec codec;
    kv_pull_fn *pull;
    void *ctx;
    z_stream gzip;
    ZSTD_DStream *zstd;
    ZSTD_inBuffer in; /* of both */
    bool source_ended, ended;
    bool between;  /* no member or frame is open */
    bool one_read; /* a whole one is behind us */
    char block[IN_BYTES];
};

static bool set_up(kv_decompressor *d)
{
    if (d->codec != KV_CODEC_ZSTD) return inflateInit2(&d->gzip, GZIP_WINDOW_BITS) == Z_OK;
    d->zstd = ZSTD_createDStream();
    return d->zstd && !ZSTD_isError(ZSTD_DCtx_setParameter(d->zstd, ZSTD_d_windowLogMax,
                                                           (int)KV_ZSTD_WINDOW_LOG_MAX));
}

kv_decompressor *kv_decompressor_new(kv_codec codec, kv_pull_fn *pull, void *ctx)
{
    kv_decompressor *d = calloc(1, sizeof(*d));
    if (!d) return NULL;
    d->codec = codec;
    d->pull = pull;
    d->ctx = ctx;
    d->in.src = d->block;
    d->between = true;
    if (set_up(d)) return d;
    kv_decompressor_free(d);
    return NULL;
}

void kv_decompressor_free(kv_decompressor *d)
{
    if (!d) return;
    if (d->codec != KV_CODEC_ZSTD) inflateEnd(&d->gzip);
    ZSTD_freeDStream(d->zstd);
    free(d);
}

/* Fresh bytes behind those that are still to be used. */
static kv_code fill(kv_decompressor *d, kv_error *err)
{
    if (d->in.pos < d->in.size || d->source_ended) return KV_OK;
    d->in.pos = d->in.size = 0;
    KV_TRY(d->pull(d->ctx, d->block, sizeof(d->block), &d->in.size, err));
    d->source_ended = d->in.size == 0;
    return KV_OK;
}

static kv_code zstd_fail(size_t code, kv_error *err)
{
    if (ZSTD_getErrorCode(code) == ZSTD_error_frameParameter_windowTooLarge)
        return kv_fail(err, KV_E_LIMIT,
                       "zstd data that asks for a window of more than %u MiB (it was compressed "
                       "with --ultra or --long)",
                       (1u << KV_ZSTD_WINDOW_LOG_MAX) >> 20);
    if (ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation)
        return kv_fail(err, KV_E_NOMEM, "out of memory");
    return kv_fail(err, KV_E_CORRUPT, "damaged zstd data: %s", ZSTD_getErrorName(code));
}

static kv_code zstd_step(kv_decompressor *d, void *dst, size_t n, size_t *out_n, kv_error *err)
{
    ZSTD_outBuffer out = {.dst = dst, .size = n};
    size_t left = ZSTD_decompressStream(d->zstd, &out, &d->in);
    if (ZSTD_isError(left)) return zstd_fail(left, err);
    d->between = left == 0;
    *out_n = out.pos;
    return KV_OK;
}

static kv_code gzip_step(kv_decompressor *d, void *dst, size_t n, size_t *out_n, kv_error *err)
{
    z_stream *z = &d->gzip;
    z->next_in = (unsigned char *)d->block + d->in.pos;
    z->avail_in = (uInt)(d->in.size - d->in.pos);
    z->next_out = dst;
    z->avail_out = (uInt)n;
    int rc = inflate(z, Z_NO_FLUSH);
    d->in.pos = d->in.size - z->avail_in;
    *out_n = n - z->avail_out;
    d->between = rc == Z_STREAM_END;
    if (rc == Z_STREAM_END && inflateReset(z) == Z_OK) return KV_OK;
    if (rc == Z_MEM_ERROR) return kv_fail(err, KV_E_NOMEM, "out of memory");
    /* Z_BUF_ERROR: nothing moved; whoever calls sees whether the source has ended. */
    if (rc == Z_OK || rc == Z_BUF_ERROR) return KV_OK;
    return kv_fail(err, KV_E_CORRUPT, "damaged gzip data: %s", z->msg ? z->msg : "unknown form");
}

/* Whether nothing follows the members or frames that were read. */
static bool is_over(const kv_decompressor *d)
{
    if (!d->between) return false;
    if (d->source_ended) return true;
    bool gzip_behind_another = d->codec != KV_CODEC_ZSTD && d->one_read;
    return gzip_behind_another && (unsigned char)d->block[d->in.pos] != 0x1f;
}

kv_code kv_decompressor_pull(void *ctx, void *dst, size_t n, size_t *out_n, kv_error *err)
{
    kv_decompressor *d = ctx;
    bool flushed = false; /* the source has ended, and what was inside is out */
    *out_n = 0;
    if (n > OUT_BYTES_MAX) n = OUT_BYTES_MAX;
    while (*out_n == 0 && !d->ended) {
        KV_TRY(fill(d, err));
        d->ended = is_over(d);
        if (d->ended) break;
        if (flushed)
            return kv_fail(err, KV_E_CORRUPT, "%s data that ends in the middle",
                           d->codec == KV_CODEC_ZSTD ? "zstd" : "gzip");
        flushed = d->source_ended;
        KV_TRY(d->codec == KV_CODEC_ZSTD ? zstd_step(d, dst, n, out_n, err)
                                         : gzip_step(d, dst, n, out_n, err));
        d->one_read = d->one_read || d->between;
    }
    return KV_OK;
}

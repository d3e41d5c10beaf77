#include "codec/compress.h"

#define ZLIB_CONST /* next_in is a pointer to const */
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

enum { OUT_BYTES = 256 * 1024, ZSTD_LEVEL = 3 /* the library's default */ };

struct kv_compressor {
    kv_codec codec;
    kv_sink_fn *sink;
    void *sink_ctx;
    z_stream gz;
    bool gz_open, begun;
    uint32_t crc, n_in; /* gzip trailer; RFC 1952 counts modulo 2^32 */
    ZSTD_CStream *zs;
    char out[OUT_BYTES];
};

kv_compressor *kv_compressor_new(kv_codec codec, kv_sink_fn *sink, void *ctx)
{
    kv_compressor *c = calloc(1, sizeof(*c));
    if (!c) return NULL;
    c->codec = codec;
    c->sink = sink;
    c->sink_ctx = ctx;
    bool ok;
    if (codec == KV_CODEC_ZSTD) {
        c->zs = ZSTD_createCStream();
        ok = c->zs && !ZSTD_isError(ZSTD_initCStream(c->zs, ZSTD_LEVEL));
    } else {
        int level = codec == KV_CODEC_GZIP_FASTEST ? 1 : 6;
        /* Negative window bits: bare deflate, since header and trailer are written here. */
        ok = deflateInit2(&c->gz, level, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) == Z_OK;
        c->gz_open = ok;
    }
    if (!ok) {
        kv_compressor_free(c);
        return NULL;
    }
    return c;
}

void kv_compressor_free(kv_compressor *c)
{
    if (!c) return;
    if (c->gz_open) deflateEnd(&c->gz);
    ZSTD_freeCStream(c->zs);
    free(c);
}

static kv_code gzip_header(kv_compressor *c, kv_error *err)
{
    if (c->begun) return KV_OK;
    c->begun = true;
    uint8_t h[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255};
    if (c->codec == KV_CODEC_GZIP_FASTEST) h[8] = 4;
    return c->sink(c->sink_ctx, h, sizeof(h), err);
}

static kv_code gzip_run(kv_compressor *c, const void *p, size_t n, int flush, kv_error *err)
{
    const uint8_t *at = p;
    for (;;) {
        uInt step = n > OUT_BYTES ? OUT_BYTES : (uInt)n;
        int mode = step == n ? flush : Z_NO_FLUSH;
        c->gz.next_in = at;
        c->gz.avail_in = step;
        do {
            c->gz.next_out = (Bytef *)c->out;
            c->gz.avail_out = OUT_BYTES;
            int rc = deflate(&c->gz, mode);
            if (rc == Z_STREAM_ERROR) return kv_fail(err, KV_E_INTERNAL, "deflate failed");
            size_t made = OUT_BYTES - c->gz.avail_out;
            if (made) KV_TRY(c->sink(c->sink_ctx, c->out, made, err));
        } while (c->gz.avail_out == 0);
        if (step == n) return KV_OK;
        at += step;
        n -= step;
    }
}

static kv_code zstd_run(kv_compressor *c, const void *p, size_t n, ZSTD_EndDirective end,
                        kv_error *err)
{
    ZSTD_inBuffer in = {p, n, 0};
    for (;;) {
        ZSTD_outBuffer out = {c->out, OUT_BYTES, 0};
        size_t left = ZSTD_compressStream2(c->zs, &out, &in, end);
        if (ZSTD_isError(left))
            return kv_fail(err, KV_E_INTERNAL, "zstd: %s", ZSTD_getErrorName(left));
        if (out.pos) KV_TRY(c->sink(c->sink_ctx, c->out, out.pos, err));
        if (end == ZSTD_e_continue ? in.pos == in.size : left == 0) return KV_OK;
    }
}

kv_code kv_compressor_add(kv_compressor *c, const void *p, size_t n, kv_error *err)
{
    if (n == 0) return KV_OK;
    if (c->codec == KV_CODEC_ZSTD) return zstd_run(c, p, n, ZSTD_e_continue, err);
    KV_TRY(gzip_header(c, err));
    c->crc = (uint32_t)crc32_z(c->crc, p, n);
    c->n_in += (uint32_t)n;
    return gzip_run(c, p, n, Z_NO_FLUSH, err);
}

kv_code kv_compressor_end(kv_compressor *c, kv_error *err)
{
    if (c->codec == KV_CODEC_ZSTD) return zstd_run(c, "", 0, ZSTD_e_end, err);
    KV_TRY(gzip_header(c, err));
    KV_TRY(gzip_run(c, "", 0, Z_FINISH, err));
    uint8_t t[8];
    for (int i = 0; i < 4; i++) {
        t[i] = (uint8_t)(c->crc >> 8 * i);
        t[4 + i] = (uint8_t)(c->n_in >> 8 * i);
    }
    return c->sink(c->sink_ctx, t, sizeof(t), err);
}

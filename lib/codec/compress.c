#include "codec/compress.h"

#include <libdeflate.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/pool.h"

/*
 * gzip is written as members of BLOCK_BYTES each. One set of them is compressed by several threads while
 * the caller fills the other. The bytes depend on the input alone. Weights hardly become smaller and then no smaller by trying hard:
 * a block that the quick level leaves above STUBBORN_PERCENT stays as that level made it.
 */
enum {
    OUT_BYTES = 256 * 1024,
    ZSTD_LEVEL = 3, /* the library's default */
    BLOCK_BYTES = 256 * 1024,
    BLOCKS = 4, /* at once, while as many are filled: 4.2 MiB in all */
    LEVEL = 6,
    LEVEL_QUICK = 1,
    STUBBORN_PERCENT = 75,
    HEADER_BYTES = 10,
    TRAILER_BYTES = 8,
};

typedef struct block {
    char *in, *out; /* out has room for a whole member */
    size_t n_in, n_out;
} block;

typedef struct block_set {
    block blocks[BLOCKS];
    size_t n; /* full ones */
    struct kv_compressor *owner;
    pthread_t thread; /* compresses them */
    bool running;
    kv_code code;
    kv_error err;
} block_set;

struct kv_compressor {
    kv_codec codec;
    kv_sink_fn *sink;
    void *sink_ctx;
    block_set sets[2];
    size_t filling; /* the set that takes bytes; the other one may be running */
    size_t bound;   /* room of each block's out */
    bool wrote;     /* a member */
    kv_pool *pool;  /* NULL: one block after the other */
    ZSTD_CStream *zs;
    char *zstd_out;
};

static bool open_zstd(kv_compressor *c)
{
    c->zs = ZSTD_createCStream();
    c->zstd_out = malloc(OUT_BYTES);
    return c->zs && c->zstd_out && !ZSTD_isError(ZSTD_initCStream(c->zs, ZSTD_LEVEL));
}

/* The other blocks follow when the first is full: most layers of code and docs are small. */
static bool open_block(kv_compressor *c, block *b)
{
    if (b->in) return true;
    c->bound = HEADER_BYTES + libdeflate_deflate_compress_bound(NULL, BLOCK_BYTES) + TRAILER_BYTES;
    b->in = malloc(BLOCK_BYTES);
    b->out = malloc(c->bound);
    return b->in && b->out;
}

kv_compressor *kv_compressor_new(kv_codec codec, kv_sink_fn *sink, void *ctx)
{
    kv_compressor *c = calloc(1, sizeof(*c));
    if (!c) return NULL;
    c->codec = codec;
    c->sink = sink;
    c->sink_ctx = ctx;
    if (codec == KV_CODEC_ZSTD ? open_zstd(c) : open_block(c, &c->sets[0].blocks[0])) return c;
    kv_compressor_free(c);
    return NULL;
}

static void join(block_set *s)
{
    if (s->running) pthread_join(s->thread, NULL);
    s->running = false;
}

static void free_set(block_set *s)
{
    join(s);
    for (size_t i = 0; i < BLOCKS; i++) {
        free(s->blocks[i].in);
        free(s->blocks[i].out);
    }
}

void kv_compressor_free(kv_compressor *c)
{
    if (!c) return;
    for (size_t i = 0; i < 2; i++) free_set(&c->sets[i]);
    kv_pool_free(c->pool);
    ZSTD_freeCStream(c->zs);
    free(c->zstd_out);
    free(c);
}

/* --- gzip --- */

static kv_code deflate_at(const kv_compressor *c, block *b, int level, kv_error *err)
{
    struct libdeflate_compressor *d = libdeflate_alloc_compressor(level);
    if (!d) return kv_fail(err, KV_E_NOMEM, "out of memory");
    size_t n = libdeflate_deflate_compress(d, b->in, b->n_in, b->out + HEADER_BYTES,
                                           c->bound - HEADER_BYTES - TRAILER_BYTES);
    libdeflate_free_compressor(d);
    if (n == 0) return kv_fail(err, KV_E_INTERNAL, "deflate failed");
    b->n_out = HEADER_BYTES + n;
    return KV_OK;
}

/* Header and trailer are kit's, whatever level a block took. */
static void frame(const kv_compressor *c, block *b)
{
    static const uint8_t HEADER[HEADER_BYTES] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255};
    memcpy(b->out, HEADER, HEADER_BYTES);
    if (c->codec == KV_CODEC_GZIP_FASTEST) b->out[8] = 4;
    uint32_t crc = libdeflate_crc32(0, b->in, b->n_in), n = (uint32_t)b->n_in;
    for (int i = 0; i < 4; i++) {
        b->out[b->n_out + (size_t)i] = (char)(crc >> 8 * i & 0xff);
        b->out[b->n_out + 4 + (size_t)i] = (char)(n >> 8 * i & 0xff);
    }
    b->n_out += TRAILER_BYTES;
}

static kv_code gzip_block(void *ctx, size_t i, kv_error *err)
{
    block_set *s = ctx;
    const kv_compressor *c = s->owner;
    block *b = &s->blocks[i];
    KV_TRY(deflate_at(c, b, LEVEL_QUICK, err));
    bool stubborn = b->n_out > b->n_in / 100 * STUBBORN_PERCENT;
    if (c->codec == KV_CODEC_GZIP && !stubborn) KV_TRY(deflate_at(c, b, LEVEL, err));
    frame(c, b);
    return KV_OK;
}

static void *gzip_set(void *arg)
{
    block_set *s = arg;
    s->code = kv_pool_each(s->owner->pool, s->n, 0, gzip_block, s, &s->err);
    return NULL;
}

/* Hands over what a set became; it is empty then. */
static kv_code take_set(kv_compressor *c, block_set *s, kv_error *err)
{
    join(s);
    if (s->code != KV_OK) {
        if (err) *err = s->err;
        return s->code;
    }
    for (size_t i = 0; i < s->n; i++) {
        KV_TRY(c->sink(c->sink_ctx, s->blocks[i].out, s->blocks[i].n_out, err));
        s->blocks[i].n_in = 0;
        c->wrote = true;
    }
    s->n = 0;
    return KV_OK;
}

/* The filled set begins to run once the one before it is handed over, which is filled next. */
static kv_code next_set(kv_compressor *c, kv_error *err)
{
    block_set *full = &c->sets[c->filling], *other = &c->sets[1 - c->filling];
    KV_TRY(take_set(c, other, err));
    full->owner = c;
    if (!c->pool) c->pool = kv_pool_new(0);
    full->running = pthread_create(&full->thread, NULL, gzip_set, full) == 0;
    if (!full->running) (void)gzip_set(full);
    c->filling = 1 - c->filling;
    return KV_OK;
}

static kv_code gzip_add(kv_compressor *c, const char *p, size_t n, kv_error *err)
{
    while (n) {
        block_set *s = &c->sets[c->filling];
        block *b = &s->blocks[s->n];
        if (!open_block(c, b)) return kv_fail(err, KV_E_NOMEM, "out of memory");
        size_t step = BLOCK_BYTES - b->n_in < n ? BLOCK_BYTES - b->n_in : n;
        memcpy(b->in + b->n_in, p, step);
        b->n_in += step;
        p += step;
        n -= step;
        if (b->n_in == BLOCK_BYTES && ++s->n == BLOCKS) KV_TRY(next_set(c, err));
    }
    return KV_OK;
}

static kv_code gzip_end(kv_compressor *c, kv_error *err)
{
    KV_TRY(take_set(c, &c->sets[1 - c->filling], err));
    block_set *last = &c->sets[c->filling];
    if (last->blocks[last->n].n_in) last->n++;  /* never the last one: a full set went before */
    if (last->n == 0 && !c->wrote) last->n = 1; /* nothing is a member, too */
    last->owner = c;
    (void)gzip_set(last);
    return take_set(c, last, err);
}

/* --- zstd --- */

static kv_code zstd_run(kv_compressor *c, const void *p, size_t n, ZSTD_EndDirective end,
                        kv_error *err)
{
    ZSTD_inBuffer in = {p, n, 0};
    for (;;) {
        ZSTD_outBuffer out = {c->zstd_out, OUT_BYTES, 0};
        size_t left = ZSTD_compressStream2(c->zs, &out, &in, end);
        if (ZSTD_isError(left))
            return kv_fail(err, KV_E_INTERNAL, "zstd: %s", ZSTD_getErrorName(left));
        if (out.pos) KV_TRY(c->sink(c->sink_ctx, c->zstd_out, out.pos, err));
        if (end == ZSTD_e_continue ? in.pos == in.size : left == 0) return KV_OK;
    }
}

kv_code kv_compressor_add(kv_compressor *c, const void *p, size_t n, kv_error *err)
{
    if (n == 0) return KV_OK;
    if (c->codec == KV_CODEC_ZSTD) return zstd_run(c, p, n, ZSTD_e_continue, err);
    return gzip_add(c, p, n, err);
}

kv_code kv_compressor_end(kv_compressor *c, kv_error *err)
{
    if (c->codec == KV_CODEC_ZSTD) return zstd_run(c, "", 0, ZSTD_e_end, err);
    return gzip_end(c, err);
}

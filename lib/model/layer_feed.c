#include "model/layer_feed.h"

#include <stdlib.h>

#include "base/mem.h"

enum {
    DRAIN_BYTES = 256 * 1024,
    ASIDE_BYTES = 4 << 20 /* a layer worth a thread is hashed beside the use of its bytes */
};

kv_code kv_layer_feed_open(kv_layer_feed *f, const kv_kit_source *src, const kv_reference *ref,
                           const kv_descriptor *d, kv_error *err)
{
    f->d = d;
    kv_hasher_init(&f->hashing.hasher, d->digest.alg);
    if (d->size >= ASIDE_BYTES) kv_hashing_aside(&f->hashing);
    return src->open(src->ctx, ref, d, &f->stream, err);
}

void kv_layer_feed_close(kv_layer_feed *f)
{
    (void)kv_hashing_join(&f->hashing);
    if (f->stream.close) f->stream.close(f->stream.ctx);
    f->stream = (kv_kit_stream){0};
}

kv_code kv_layer_feed_pull(void *ctx, void *dst, size_t n, size_t *out_n, kv_error *err)
{
    kv_layer_feed *f = ctx;
    KV_TRY(kv_check_cancel(f->report, err));
    KV_TRY(f->stream.read(f->stream.ctx, dst, n, out_n, err));
    kv_hashing_add(&f->hashing, dst, *out_n);
    f->n += *out_n;
    if (f->n > f->d->size)
        return kv_fail(err, KV_E_DIGEST, "layer %s is longer than its %llu bytes",
                       kv_digest_str(&f->d->digest).s, (unsigned long long)f->d->size);
    kv_progress(f->report, f->id, f->what, f->n, f->d->size);
    return KV_OK;
}

kv_code kv_layer_feed_verify(kv_layer_feed *f, kv_error *err)
{
    kv_auto_str rest = malloc(DRAIN_BYTES);
    if (!rest) return kv_fail(err, KV_E_NOMEM, "out of memory");
    size_t n;
    do KV_TRY(kv_layer_feed_pull(f, rest, DRAIN_BYTES, &n, err));
    while (n);
    kv_digest got;
    kv_hasher_end(kv_hashing_join(&f->hashing), &got);
    if (f->n == f->d->size && kv_digest_eq(&got, &f->d->digest)) return KV_OK;
    return kv_fail(err, KV_E_DIGEST, "layer %s is damaged: its bytes have another digest",
                   kv_digest_str(&f->d->digest).s);
}

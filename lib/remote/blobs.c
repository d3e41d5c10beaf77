#include "remote/blobs.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "kitvault/remote.h"

/* Each blob on its way has some 2.5 MiB of buffers, and the process is to stay below 64 MiB. */
enum { CONCURRENCY_MAX = 16 };

void kv_blob_list_clear(kv_blob_list *l)
{
    free(l->items);
    *l = (kv_blob_list){0};
}

static int by_digest(const void *a, const void *b)
{
    const kv_descriptor *const *x = a, *const *y = b;
    int order = memcmp(&(*x)->digest, &(*y)->digest, sizeof((*x)->digest));
    if (order) return order;
    return *x < *y ? -1 : *x > *y; /* the first in the manifest stands for all */
}

static int by_place(const void *a, const void *b)
{
    const kv_descriptor *const *x = a, *const *y = b;
    return *x < *y ? -1 : *x > *y;
}

static kv_code fail_sizes(const kv_descriptor *d, kv_error *err)
{
    return kv_fail(err, KV_E_INVALID, "the manifest gives %s two sizes",
                   kv_digest_str(&d->digest).s);
}

kv_code kv_blob_list_of(const kv_manifest *m, kv_blob_list *out, kv_error *err)
{
    kv_auto_blob_list l = {0};
    l.items = calloc(m->n_layers + 1, sizeof(*l.items));
    if (!l.items) return kv_fail(err, KV_E_NOMEM, "out of memory");
    for (size_t i = 0; i < m->n_layers; i++) l.items[l.n++] = &m->layers[i];
    qsort(l.items, l.n, sizeof(*l.items), by_digest);
    size_t kept = 0;
    for (size_t i = 0; i < l.n; i++) {
        const kv_descriptor *d = l.items[i], *last = kept ? l.items[kept - 1] : NULL;
        if (!last || !kv_digest_eq(&last->digest, &d->digest)) {
            l.items[kept++] = d;
        } else if (last->size != d->size) {
            return fail_sizes(d, err);
        }
    }
    l.n = kept;
    qsort(l.items, l.n, sizeof(*l.items), by_place);
    bool config = m->config.digest.alg != 0;
    for (size_t i = 0; config && i < l.n; i++) {
        if (!kv_digest_eq(&l.items[i]->digest, &m->config.digest)) continue;
        if (l.items[i]->size != m->config.size) return fail_sizes(&m->config, err);
        config = false;
    }
    if (config) { /* first: it is small, and without it there is no kit */
        memmove(l.items + 1, l.items, l.n * sizeof(*l.items));
        l.items[0] = &m->config;
        l.n++;
    }
    *out = l;
    l = (kv_blob_list){0};
    return KV_OK;
}

kv_code kv_blob_list_each(const kv_blob_list *l, unsigned concurrency, kv_task_fn *fn, void *ctx,
                          kv_error *err)
{
    if (!concurrency) concurrency = KV_REMOTE_CONCURRENCY;
    if (concurrency > CONCURRENCY_MAX) concurrency = CONCURRENCY_MAX;
    if (concurrency > l->n) concurrency = (unsigned)l->n;
    kv_auto(kv_pool) pool = concurrency > 1 ? kv_pool_new(concurrency) : NULL;
    return kv_pool_each(pool, l->n, concurrency, fn, ctx, err);
}

kv_sv kv_copying_text(const kv_descriptor *d, char buf[KV_COPYING_TEXT_MAX])
{
    kv_digest_text text = kv_digest_str(&d->digest);
    const char *hex = strchr(text.s, ':');
    snprintf(buf, KV_COPYING_TEXT_MAX, "Copying %.8s", hex ? hex + 1 : "");
    return kv_sv_of(buf);
}

uint64_t kv_progress_id(void)
{
    static atomic_uint_fast64_t next;
    return atomic_fetch_add(&next, 1);
}

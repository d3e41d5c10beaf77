#include "store/survey.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/layout.h"

void kv_digests_clear(kv_digests *d)
{
    free(d->items);
    *d = (kv_digests){0};
}

kv_code kv_digests_add(kv_digests *set, const kv_digest *d, kv_error *err)
{
    if (!d->alg) return KV_OK;
    if (!KV_GROW(set->items, set->n, &set->cap)) return kv_fail(err, KV_E_NOMEM, "out of memory");
    set->items[set->n++] = *d;
    return KV_OK;
}

static int by_digest(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(kv_digest));
}

void kv_digests_sort(kv_digests *set)
{
    size_t kept = 0;
    if (set->n) qsort(set->items, set->n, sizeof(set->items[0]), by_digest);
    for (size_t i = 0; i < set->n; i++)
        if (!kept || !kv_digest_eq(&set->items[kept - 1], &set->items[i]))
            set->items[kept++] = set->items[i];
    set->n = kept;
}

bool kv_digests_has(const kv_digests *set, const kv_digest *d)
{
    return set->n && bsearch(d, set->items, set->n, sizeof(set->items[0]), by_digest);
}

static kv_code add_manifest(kv_store *s, const kv_digest *d, kv_digests *set, unsigned depth,
                            kv_error *err)
{
    kv_auto(kv_manifest) m = NULL;
    KV_TRY(kv_digests_add(set, d, err));
    KV_TRY(kv_store_manifest(s, d, &m, err));
    KV_TRY(kv_digests_add(set, &m->config.digest, err));
    for (size_t i = 0; i < m->n_layers; i++) KV_TRY(kv_digests_add(set, &m->layers[i].digest, err));
    for (size_t i = 0; i < m->n_manifests; i++) {
        KV_TRY(kv_digests_add(set, &m->manifests[i].digest, err));
        if (depth < KV_INDEX_DEPTH_MAX)
            KV_TRY(add_manifest(s, &m->manifests[i].digest, set, depth + 1, err));
    }
    return KV_OK;
}

typedef struct lists {
    kv_store *store;
    kv_digests *listed;
} lists;

static kv_code add_list(void *ctx, const char *stem, kv_sv name, kv_error *err)
{
    (void)name;
    const lists *l = ctx;
    kv_auto_store_list index = {0};
    KV_TRY(kv_store_read_index(l->store, stem, &index, err));
    for (size_t i = 0; i < index.n; i++)
        KV_TRY(kv_digests_add(l->listed, &index.items[i].digest, err));
    return KV_OK;
}

kv_code kv_survey_make(kv_store *s, const kv_report *report, kv_survey *out, kv_error *err)
{
    kv_auto_survey v = {0};
    lists l = {.store = s, .listed = &v.listed};
    KV_TRY(kv_store_each_repo(s, add_list, &l, err));
    kv_digests_sort(&v.listed);
    for (size_t i = 0; i < v.listed.n; i++) {
        KV_TRY(kv_check_cancel(report, err));
        kv_code rc = add_manifest(s, &v.listed.items[i], &v.used, 0, NULL);
        if (rc == KV_E_NOMEM) return kv_fail(err, rc, "out of memory");
        if (rc != KV_OK) v.unreadable = v.listed.items[i];
    }
    kv_digests_sort(&v.used);
    *out = v;
    v = (kv_survey){0};
    return KV_OK;
}

void kv_survey_clear(kv_survey *v)
{
    kv_digests_clear(&v->listed);
    kv_digests_clear(&v->used);
}

#include "kitvault/usage.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/layout.h"

enum { NAMES_BYTES_MAX = 32 << 20 };

/* One blob that one ModelKit names. */
typedef struct use {
    kv_digest digest;
    size_t kit;
} use;
typedef struct survey {
    kv_store *store;
    const kv_report *report;
    kv_usage *usage;
    size_t cap;
    use *uses;
    size_t n_uses, cap_uses;
} survey;

static kv_code add_use(survey *v, const kv_descriptor *d, kv_error *err)
{
    kv_kit_usage *kit = &v->usage->kits[v->usage->n - 1];
    if (!d->digest.alg) return KV_OK;
    if (kv_ckd_add(&kit->logical, kit->logical, d->size)) kit->logical = UINT64_MAX;
    if (!KV_GROW(v->uses, v->n_uses, &v->cap_uses))
        return kv_fail(err, KV_E_NOMEM, "out of memory");
    v->uses[v->n_uses++] = (use){.digest = d->digest, .kit = v->usage->n - 1};
    return KV_OK;
}

static kv_code add_name(const survey *v, const kv_store_iter *it, kv_kit_usage *kit, kv_error *err)
{
    const kv_reference ref = {
        .registry = it->registry, .repository = it->repository, .digest = it->digest};
    kv_auto_str shown = kv_reference_display(&ref);
    if (!shown) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kit->name = kv_arena_dup(v->usage->arena, kv_sv_of(shown));
    return kit->name.p ? KV_OK : kv_fail(err, KV_E_LIMIT, "too many ModelKits");
}

static kv_code add_kit(survey *v, const kv_store_iter *it, kv_error *err)
{
    KV_TRY(kv_check_cancel(v->report, err));
    kv_usage *u = v->usage;
    if (!KV_GROW(u->kits, u->n, &v->cap)) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_kit_usage *kit = &u->kits[u->n++];
    *kit = (kv_kit_usage){.digest = it->digest};
    KV_TRY(add_name(v, it, kit, err));
    kv_auto(kv_manifest) m = NULL;
    kv_code rc = kv_store_manifest(v->store, &it->digest, &m, err);
    if (rc == KV_E_NOTFOUND) rc = KV_E_CORRUPT; /* listed and gone is damage */
    if (rc != KV_OK) return kv_wrap(err, rc, "%.*s", KV_ARG(kit->name));
    kv_descriptor self = {.digest = m->digest, .size = m->bytes.n};
    KV_TRY(add_use(v, &self, err));
    KV_TRY(add_use(v, &m->config, err));
    for (size_t i = 0; i < m->n_layers; i++) KV_TRY(add_use(v, &m->layers[i], err));
    for (size_t i = 0; i < m->n_manifests; i++) KV_TRY(add_use(v, &m->manifests[i], err));
    if (kv_ckd_add(&u->total.logical, u->total.logical, kit->logical))
        u->total.logical = UINT64_MAX;
    return KV_OK;
}

static int by_digest_and_kit(const void *a, const void *b)
{
    const use *x = a, *y = b;
    int c = memcmp(&x->digest, &y->digest, sizeof(x->digest));
    if (c) return c;
    return x->kit < y->kit ? -1 : x->kit > y->kit;
}

static uint64_t stored_size(const survey *v, const kv_digest *d)
{
    kv_auto_buf path = KV_BUF(KV_STORE_PATH_MAX);
    struct stat st;
    if (kv_store_blob_path(v->store, d, &path, NULL) != KV_OK || stat(path.p, &st) < 0) return 0;
    return (uint64_t)st.st_size;
}

/* The uses [from, to) are of one blob. */
static void count_blob(const survey *v, size_t from, size_t to)
{
    uint64_t size = stored_size(v, &v->uses[from].digest);
    bool shared = v->uses[from].kit != v->uses[to - 1].kit;
    v->usage->total.stored += size;
    if (shared) v->usage->total.shared += size;
    for (size_t i = from; i < to; i++) {
        if (i > from && v->uses[i].kit == v->uses[i - 1].kit) continue;
        v->usage->kits[v->uses[i].kit].stored += size;
        if (shared) v->usage->kits[v->uses[i].kit].shared += size;
    }
}

static kv_code survey_store(survey *v, kv_error *err)
{
    kv_store_iter it = kv_store_begin(v->store);
    kv_code rc = KV_OK;
    while (rc == KV_OK && kv_store_next(&it)) rc = add_kit(v, &it, err);
    kv_code end = kv_store_end(&it, rc == KV_OK ? err : NULL);
    if (rc == KV_OK) rc = end;
    if (rc != KV_OK) return rc;
    if (v->n_uses) qsort(v->uses, v->n_uses, sizeof(v->uses[0]), by_digest_and_kit);
    for (size_t from = 0, to; from < v->n_uses; from = to) {
        for (to = from + 1; to < v->n_uses; to++)
            if (!kv_digest_eq(&v->uses[from].digest, &v->uses[to].digest)) break;
        count_blob(v, from, to);
    }
    return KV_OK;
}

kv_code kv_store_usage(kv_store *s, const kv_report *report, kv_usage **out, kv_error *err)
{
    kv_auto(kv_usage) u = calloc(1, sizeof(*u));
    if (u) u->arena = kv_arena_new(NAMES_BYTES_MAX);
    if (!u || !u->arena) return kv_fail(err, KV_E_NOMEM, "out of memory");
    survey v = {.store = s, .report = report, .usage = u};
    kv_code rc = survey_store(&v, err);
    free(v.uses);
    if (rc == KV_OK) *out = KV_TAKE(u);
    return rc;
}

void kv_usage_free(kv_usage *u)
{
    if (!u) return;
    kv_arena_free(u->arena);
    free(u->kits);
    free(u);
}

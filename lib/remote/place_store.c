/* The local store as a place: one repository of it. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "kitvault/store.h"
#include "remote/place.h"
#include "store/layout.h"

enum { STEP_BYTES = 1 << 20 };

typedef struct store_remote {
    kv_remote base;
    kv_store *store;
    kv_reference ref; /* tag and digest are not used */
    int hold;
} store_remote;

static store_remote *of(kv_remote *r)
{
    return (store_remote *)(void *)r;
}

/* The repository's reference with ref as its last part. */
static kv_code full_reference(const store_remote *r, kv_sv ref, kv_reference *out, kv_error *err)
{
    bool is_digest;
    kv_digest d;
    KV_TRY(kv_remote_ref_parse(ref, &is_digest, &d, err));
    KV_TRY(kv_reference_with_tag(&r->ref, is_digest ? (kv_sv){0} : ref, out, err));
    if (is_digest) out->digest = d;
    return KV_OK;
}

static kv_code resolve(kv_remote *base, kv_sv ref, kv_digest *out, kv_error *err)
{
    kv_auto_reference full = {0};
    KV_TRY(full_reference(of(base), ref, &full, err));
    kv_error local = {0};
    kv_code rc = kv_store_resolve(of(base)->store, &full, out, &local);
    /* What an index names is a blob that no list has. */
    kv_auto_fd blob = -1;
    if (rc == KV_E_NOTFOUND && full.digest.alg &&
        kv_store_open_blob(of(base)->store, &full.digest, &blob, NULL, NULL) == KV_OK) {
        *out = full.digest;
        return KV_OK;
    }
    if (rc != KV_OK && err) *err = local;
    return rc;
}

static kv_code get_manifest(kv_remote *base, kv_sv ref, kv_buf *bytes, kv_buf *media_type,
                            kv_error *err)
{
    (void)media_type; /* the shape tells */
    kv_digest d;
    size_t n;
    kv_auto_str text = NULL;
    KV_TRY(resolve(base, ref, &d, err));
    KV_TRY(kv_store_read(of(base)->store, &d, KV_MANIFEST_BYTES_MAX, &text, &n, err));
    kv_buf_add(bytes, (kv_sv){text, n});
    return kv_buf_check(bytes, err);
}

static kv_code put_child(kv_remote *base, const kv_manifest *m, kv_error *err)
{
    return kv_store_put(of(base)->store, m->bytes, KV_STORE_MODE_PULLED, NULL, NULL, err);
}

static kv_code put_manifest(kv_remote *base, kv_sv ref, const kv_manifest *m, kv_error *err)
{
    kv_auto_reference full = {0};
    KV_TRY(full_reference(of(base), ref, &full, err));
    KV_TRY(put_child(base, m, err));
    return kv_store_add(of(base)->store, &full, m, err);
}

/* --- blobs --- */

typedef struct store_reader {
    kv_remote_reader base;
    int fd;
    uint64_t at, size;
} store_reader;

static kv_code reader_read(kv_remote_reader *base, void *dst, size_t n, size_t *out_n,
                           kv_error *err)
{
    store_reader *r = (store_reader *)(void *)base;
    uint64_t left = r->size - r->at;
    *out_n = n < left ? n : (size_t)left;
    KV_TRY(kv_pread_all(r->fd, "blob", dst, *out_n, r->at, err));
    r->at += *out_n;
    return KV_OK;
}

static void reader_close(kv_remote_reader *base)
{
    store_reader *r = (store_reader *)(void *)base;
    kv_close_fd(&r->fd);
    free(r);
}

static kv_code stat_blob(kv_remote *base, const kv_digest *d, uint64_t *out_size, kv_error *err)
{
    kv_auto_fd fd = -1;
    return kv_store_open_blob(of(base)->store, d, &fd, out_size, err);
}

static kv_code open_blob(kv_remote *base, const kv_digest *d, uint64_t size, uint64_t offset,
                         kv_remote_reader **out, kv_error *err)
{
    static const kv_remote_reader_ops OPS = {.read = reader_read, .close = reader_close};
    kv_auto_fd fd = -1;
    uint64_t has;
    KV_TRY(kv_store_open_blob(of(base)->store, d, &fd, &has, err));
    if (has != size)
        return kv_fail(err, KV_E_DIGEST, "blob %s has %llu bytes in local storage, not %llu",
                       kv_digest_str(d).s, (unsigned long long)has, (unsigned long long)size);
    store_reader *r = calloc(1, sizeof(*r));
    if (!r) return kv_fail(err, KV_E_NOMEM, "out of memory");
    *r = (store_reader){.base.ops = &OPS, .fd = fd, .at = offset, .size = size};
    fd = -1;
    *out = &r->base;
    return KV_OK;
}

static kv_code ingest(kv_store *s, const kv_digest *d, const kv_http_source *source,
                      bool *out_continued, kv_error *err)
{
    kv_auto(kv_ingest) in = NULL;
    KV_TRY(kv_ingest_begin(s, d, source->size, &in, err));
    *out_continued = kv_ingest_offset(in) > 0;
    kv_auto_str block = malloc(STEP_BYTES);
    if (!block) return kv_fail(err, KV_E_NOMEM, "out of memory");
    for (uint64_t at; (at = kv_ingest_offset(in)) < source->size;) {
        uint64_t left = source->size - at;
        size_t n = left < STEP_BYTES ? (size_t)left : STEP_BYTES, got = 0;
        KV_TRY(source->read(source->ctx, at, block, n, &got, err));
        KV_TRY(kv_ingest_write(in, block, got, err));
    }
    return kv_ingest_commit(KV_TAKE(in), err);
}

static kv_code put_blob(kv_remote *base, const kv_digest *d, const kv_http_source *source,
                        const char *mount_from, kv_error *err)
{
    (void)mount_from;
    bool continued = false;
    kv_code rc = ingest(of(base)->store, d, source, &continued, err);
    /* The fault may lie in what a former try left here; that is gone now. */
    if (rc == KV_E_DIGEST && continued) rc = ingest(of(base)->store, d, source, &continued, err);
    return rc;
}

/* --- lists --- */

static bool is_of_repository(const store_remote *r, const kv_store_iter *it)
{
    return kv_sv_eq(it->registry, r->ref.registry) && kv_sv_eq(it->repository, r->ref.repository);
}

static kv_code list_tags(kv_remote *base, const char *at, kv_remote_page *out, kv_error *err)
{
    (void)at; /* one page has them all */
    kv_store_iter it = kv_store_begin(of(base)->store);
    while (kv_store_next(&it)) {
        if (!is_of_repository(of(base), &it)) continue;
        for (size_t i = 0; i < it.n_tags; i++) {
            kv_buf_add(&out->names, it.tags[i]);
            kv_buf_addc(&out->names, '\0');
        }
    }
    KV_TRY(kv_store_end(&it, err));
    return kv_buf_check(&out->names, err);
}

static kv_code refer(store_remote *r, const kv_digest *d, const kv_digest *subject,
                     kv_referrer_fn *fn, void *ctx, kv_error *err)
{
    KV_TRY(kv_check_cancel(r->base.report, err));
    kv_auto(kv_manifest) m = NULL;
    /* A manifest that cannot be read refers to nothing that anybody could tell. */
    if (kv_store_manifest(r->store, d, &m, NULL) != KV_OK) return KV_OK;
    return kv_digest_eq(&m->subject.digest, subject) ? fn(ctx, d, err) : KV_OK;
}

static kv_code each_referrer(kv_remote *base, const kv_digest *subject, kv_referrer_fn *fn,
                             void *ctx, kv_error *err)
{
    kv_code rc = KV_OK;
    kv_store_iter it = kv_store_begin(of(base)->store);
    while (rc == KV_OK && kv_store_next(&it))
        if (is_of_repository(of(base), &it))
            rc = refer(of(base), &it.digest, subject, fn, ctx, err);
    kv_code end = kv_store_end(&it, rc == KV_OK ? err : NULL);
    return rc == KV_OK ? end : rc;
}

static kv_code drop(kv_remote *base, kv_sv ref, kv_error *err)
{
    kv_auto_reference full = {0};
    KV_TRY(full_reference(of(base), ref, &full, err));
    return kv_store_remove(of(base)->store, &full, false, NULL, err);
}

static void store_free(kv_remote *base)
{
    store_remote *r = of(base);
    kv_close_fd(&r->hold);
    kv_reference_clear(&r->ref);
    free(r);
}

static const kv_remote_ops STORE_OPS = {
    .scheme = "store",
    .resolve = resolve,
    .get_manifest = get_manifest,
    .put_manifest = put_manifest,
    .stat_blob = stat_blob,
    .open_blob = open_blob,
    .put_blob = put_blob,
    .list_tags = list_tags,
    .drop = drop,
    .each_referrer = each_referrer,
    .put_child = put_child,
    .free = store_free,
};

kv_code kv_remote_open_store(kv_store *store, const kv_reference *ref, bool write,
                             const kv_report *report, kv_remote **out, kv_error *err)
{
    if (!store) return kv_fail(err, KV_E_ARG, "no local store");
    store_remote *r = calloc(1, sizeof(*r));
    if (!r) return kv_fail(err, KV_E_NOMEM, "out of memory");
    *r = (store_remote){.base = {.ops = &STORE_OPS, .report = report}, .store = store, .hold = -1};
    kv_auto(kv_remote) owned = &r->base;
    KV_TRY(kv_reference_with_tag(ref, (kv_sv){0}, &r->ref, err));
    if (write) KV_TRY(kv_store_recover(store, report, err));
    if (write) KV_TRY(kv_store_prepare(store, err));
    KV_TRY(kv_store_hold(store, &r->hold, err));
    *out = KV_TAKE(owned);
    return KV_OK;
}

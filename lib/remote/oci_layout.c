#include "remote/oci_layout.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "codec/hasher.h"

enum { INDEX_TRIES = 20 };

typedef struct layout_remote {
    kv_remote base;
    kv_layout *layout;
    pthread_mutex_t lock; /* of the index, within this process */
} layout_remote;

static layout_remote *of(kv_remote *r)
{
    return (layout_remote *)(void *)r;
}

static kv_code read_index(kv_layout *l, kv_layout_index *out, kv_error *err)
{
    kv_auto_buf text = KV_BUF(KV_LAYOUT_INDEX_MAX);
    KV_TRY(l->ops->get_index(l, &text, err));
    kv_code rc = kv_layout_index_parse(kv_buf_sv(&text), "index.json", out, err);
    return rc == KV_OK ? KV_OK : kv_wrap(err, rc, "%s", l->name);
}

static kv_code not_found(const kv_layout *l, kv_sv ref, kv_error *err)
{
    bool digest = kv_sv_find(ref, ':') != SIZE_MAX;
    return kv_fail(err, KV_E_NOTFOUND, "%s%s%.*s: not found", l->name, digest ? "@" : ":",
                   KV_ARG(ref));
}

/* --- reading --- */

static kv_code resolve(kv_remote *base, kv_sv ref, kv_digest *out, kv_error *err)
{
    kv_layout *l = of(base)->layout;
    bool is_digest;
    KV_TRY(kv_remote_ref_parse(ref, &is_digest, out, err));
    if (is_digest) {
        kv_auto(kv_blob_reader) r = NULL;
        return l->ops->open(l, out, &r, err);
    }
    kv_auto_layout_index x = {0};
    KV_TRY(read_index(l, &x, err));
    const kv_layout_entry *e = kv_layout_find_tag(&x, ref);
    if (!e) return not_found(l, ref, err);
    *out = e->digest;
    return KV_OK;
}

static kv_code read_blob(kv_layout *l, const kv_digest *d, kv_buf *out, kv_error *err)
{
    kv_auto(kv_blob_reader) r = NULL;
    KV_TRY(l->ops->open(l, d, &r, err));
    if (r->size > out->max)
        return kv_fail(err, KV_E_LIMIT, "%s: blob %s has %llu bytes", l->name, kv_digest_str(d).s,
                       (unsigned long long)r->size);
    char *p = r->size ? kv_buf_extend(out, (size_t)r->size) : NULL;
    if (!p) return r->size ? kv_buf_check(out, err) : KV_OK;
    return kv_blob_read(r, 0, p, (size_t)r->size, err);
}

static kv_code get_manifest(kv_remote *base, kv_sv ref, kv_buf *bytes, kv_buf *media_type,
                            kv_error *err)
{
    (void)media_type; /* the shape tells, and the index may be wrong */
    kv_layout *l = of(base)->layout;
    kv_digest d;
    KV_TRY(resolve(base, ref, &d, err));
    KV_TRY(read_blob(l, &d, bytes, err));
    kv_digest got = kv_digest_of(d.alg, kv_buf_sv(bytes));
    if (kv_digest_eq(&got, &d)) return KV_OK;
    return kv_fail(err, KV_E_DIGEST, "%s: manifest %s is damaged", l->name, kv_digest_str(&d).s);
}

static kv_code stat_blob(kv_remote *base, const kv_digest *d, uint64_t *out_size, kv_error *err)
{
    kv_layout *l = of(base)->layout;
    kv_auto(kv_blob_reader) r = NULL;
    KV_TRY(l->ops->open(l, d, &r, err));
    *out_size = r->size;
    return KV_OK;
}

typedef struct layout_reader {
    kv_remote_reader base;
    kv_blob_reader *blob;
    uint64_t at;
} layout_reader;

static kv_code reader_read(kv_remote_reader *base, void *dst, size_t n, size_t *out_n,
                           kv_error *err)
{
    layout_reader *r = (layout_reader *)(void *)base;
    uint64_t left = r->blob->size - r->at;
    *out_n = n < left ? n : (size_t)left;
    if (*out_n) KV_TRY(kv_blob_read(r->blob, r->at, dst, *out_n, err));
    r->at += *out_n;
    return KV_OK;
}

static void reader_close(kv_remote_reader *base)
{
    layout_reader *r = (layout_reader *)(void *)base;
    kv_blob_close(r->blob);
    free(r);
}

static kv_code open_blob(kv_remote *base, const kv_digest *d, uint64_t size, uint64_t offset,
                         kv_remote_reader **out, kv_error *err)
{
    static const kv_remote_reader_ops OPS = {.read = reader_read, .close = reader_close};
    kv_layout *l = of(base)->layout;
    kv_auto(kv_blob_reader) blob = NULL;
    KV_TRY(l->ops->open(l, d, &blob, err));
    if (blob->size != size)
        return kv_fail(err, KV_E_DIGEST, "%s: blob %s has %llu bytes, not %llu", l->name,
                       kv_digest_str(d).s, (unsigned long long)blob->size,
                       (unsigned long long)size);
    layout_reader *r = calloc(1, sizeof(*r));
    if (!r) return kv_fail(err, KV_E_NOMEM, "out of memory");
    r->base.ops = &OPS;
    r->at = offset;
    r->blob = KV_TAKE(blob);
    *out = &r->base;
    return KV_OK;
}

static kv_code list_tags(kv_remote *base, const char *at, kv_remote_page *out, kv_error *err)
{
    (void)at; /* one page has them all */
    kv_auto_layout_index x = {0};
    KV_TRY(read_index(of(base)->layout, &x, err));
    for (size_t i = 0; i < x.n; i++) {
        if (!x.items[i].digest.alg || !kv_tag_name_valid(x.items[i].tag)) continue;
        kv_buf_add(&out->names, x.items[i].tag);
        kv_buf_addc(&out->names, '\0');
    }
    return kv_buf_check(&out->names, err);
}

/* True when there is nothing of the kind a referrer search looks for: no manifest we can read. */
static bool is_none_of_ours(kv_code rc)
{
    return rc == KV_E_NOTFOUND || rc == KV_E_SYNTAX || rc == KV_E_INVALID ||
           rc == KV_E_UNSUPPORTED || rc == KV_E_LIMIT;
}

static kv_code refers_to(kv_layout *l, const kv_digest *d, const kv_digest *subject, bool *out,
                         kv_error *err)
{
    *out = false;
    kv_error e = {0};
    kv_auto_buf bytes = KV_BUF(KV_MANIFEST_BYTES_MAX);
    kv_auto(kv_manifest) m = NULL;
    kv_code rc = read_blob(l, d, &bytes, &e);
    if (rc == KV_OK) rc = kv_manifest_parse(kv_buf_sv(&bytes), (kv_sv){0}, &m, &e);
    if (rc == KV_OK) *out = kv_digest_eq(&m->subject.digest, subject);
    if (rc == KV_OK || is_none_of_ours(rc)) return KV_OK;
    if (err) *err = e;
    return rc;
}

static kv_code each_referrer(kv_remote *base, const kv_digest *subject, kv_referrer_fn *fn,
                             void *ctx, kv_error *err)
{
    kv_layout *l = of(base)->layout;
    kv_auto_layout_index x = {0};
    KV_TRY(read_index(l, &x, err));
    for (size_t i = 0; i < x.n; i++) {
        const kv_digest *d = &x.items[i].digest;
        bool refers = false;
        KV_TRY(kv_check_cancel(base->report, err));
        /* With several tags it is listed several times. */
        if (!d->alg || kv_layout_find_digest(&x, d) != &x.items[i]) continue;
        KV_TRY(refers_to(l, d, subject, &refers, err));
        if (refers) KV_TRY(fn(ctx, d, err));
    }
    return KV_OK;
}

/* --- writing --- */

static kv_code put_blob(kv_remote *base, const kv_digest *d, const kv_http_source *source,
                        const char *mount_from, kv_error *err)
{
    (void)mount_from;
    kv_layout *l = of(base)->layout;
    return l->ops->put_blob(l, d, source, err);
}

static kv_code read_bytes(void *ctx, uint64_t off, void *dst, size_t n, size_t *out_n,
                          kv_error *err)
{
    (void)err;
    const kv_sv *bytes = ctx;
    memcpy(dst, bytes->p + off, n);
    *out_n = n;
    return KV_OK;
}

static kv_code put_child(kv_remote *base, const kv_manifest *m, kv_error *err)
{
    kv_layout *l = of(base)->layout;
    kv_sv bytes = m->bytes;
    kv_http_source source = {.read = read_bytes, .ctx = &bytes, .size = bytes.n};
    kv_auto(kv_blob_reader) there = NULL;
    if (l->ops->open(l, &m->digest, &there, NULL) == KV_OK && there->size == bytes.n) return KV_OK;
    return l->ops->put_blob(l, &m->digest, &source, err);
}

static kv_code change_index(kv_layout *l, const kv_layout_entry *e, kv_error *err)
{
    kv_auto_fd lock = -1;
    if (l->ops->lock) KV_TRY(l->ops->lock(l, &lock, err));
    kv_auto_layout_index x = {0};
    kv_error local = {0};
    kv_code rc = read_index(l, &x, &local);
    if (rc != KV_OK && rc != KV_E_NOTFOUND) {
        if (err) *err = local;
        return rc;
    }
    KV_TRY(kv_layout_index_put(&x, e, err));
    kv_auto_buf text = KV_BUF(KV_LAYOUT_INDEX_MAX);
    kv_layout_index_format(&x, &text);
    KV_TRY(kv_buf_check(&text, err));
    return l->ops->put_index(l, kv_buf_sv(&text), err);
}

static kv_code put_manifest(kv_remote *base, kv_sv ref, const kv_manifest *m, kv_error *err)
{
    layout_remote *r = of(base);
    bool is_digest;
    kv_digest d;
    KV_TRY(kv_remote_ref_parse(ref, &is_digest, &d, err));
    KV_TRY(put_child(base, m, err));
    kv_layout_entry e = {.tag = is_digest ? (kv_sv){0} : ref,
                         .media_type = m->media_type,
                         .artifact_type = m->artifact_type,
                         .digest = m->digest,
                         .size = m->bytes.n};
    pthread_mutex_lock(&r->lock);
    kv_code rc = KV_E_BUSY;
    for (int i = 0; rc == KV_E_BUSY && i < INDEX_TRIES; i++) rc = change_index(r->layout, &e, err);
    pthread_mutex_unlock(&r->lock);
    return rc;
}

static kv_code drop(kv_remote *base, kv_sv ref, kv_error *err)
{
    (void)ref;
    return kv_fail(err, KV_E_UNSUPPORTED, "%s: nothing can be removed there",
                   of(base)->layout->name);
}

static kv_code finish(kv_remote *base, kv_error *err)
{
    kv_layout *l = of(base)->layout;
    return l->ops->finish ? l->ops->finish(l, err) : KV_OK;
}

static void layout_free(kv_remote *base)
{
    layout_remote *r = of(base);
    r->layout->ops->free(r->layout);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

static const kv_remote_ops LAYOUT_OPS = {
    .scheme = "layout",
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
    .finish = finish,
    .free = layout_free,
};

kv_code kv_layout_remote(kv_layout *l, const kv_report *report, kv_remote **out, kv_error *err)
{
    layout_remote *r = calloc(1, sizeof(*r));
    if (!r) {
        l->ops->free(l);
        return kv_fail(err, KV_E_NOMEM, "out of memory");
    }
    r->base = (kv_remote){.ops = &LAYOUT_OPS, .report = report};
    r->layout = l;
    pthread_mutex_init(&r->lock, NULL);
    *out = &r->base;
    return KV_OK;
}

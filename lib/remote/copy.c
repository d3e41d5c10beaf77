/*
 * A kit from one place to another: blobs, then what refers to it, then the manifest with its tag, so
 * that a tag never names what is not complete.
 */
#include "kitvault/copy.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "remote/blobs.h"
#include "remote/place.h"

enum { DEPTH_MAX = 8 }; /* of indexes in indexes, and of referrers of referrers; own */

typedef struct digest_list {
    kv_digest *items;
    size_t n, cap;
} digest_list;
static void digest_list_clear(digest_list *l)
{
    free(l->items);
}
#define auto_digest_list KV_CLEANUP(digest_list_clear) digest_list

static kv_code add_digest(void *ctx, const kv_digest *d, kv_error *err)
{
    digest_list *l = ctx;
    for (size_t i = 0; i < l->n; i++)
        if (kv_digest_eq(&l->items[i], d)) return KV_OK;
    if (l->n == KV_MANIFEST_ENTRIES_MAX)
        return kv_fail(err, KV_E_LIMIT, "more than %u referrers", KV_MANIFEST_ENTRIES_MAX);
    if (!KV_GROW(l->items, l->n, &l->cap)) return kv_fail(err, KV_E_NOMEM, "out of memory");
    l->items[l->n++] = *d;
    return KV_OK;
}

typedef struct copy_job {
    kv_remote *src, *dst;
    const char *mount_from; /* a repository of dst's registry; NULL: none */
    unsigned concurrency;
    const kv_report *report;
    digest_list seen; /* manifests that were copied as referrers */
    atomic_uint_fast64_t n_blobs, n_bytes, n_kept, n_kept_bytes;
} copy_job;

/* --- one blob --- */

typedef struct blob_feed { /* a blob of src as a body for dst */
    copy_job *job;
    const kv_descriptor *d;
    kv_remote_reader *reader; /* NULL: not open */
    uint64_t at;              /* where it reads on */
    kv_sv what;
    uint64_t id;
} blob_feed;

static kv_code feed(void *ctx, uint64_t off, void *dst, size_t n, size_t *out_n, kv_error *err)
{
    blob_feed *f = ctx;
    const kv_remote *src = f->job->src;
    KV_TRY(kv_check_cancel(f->job->report, err));
    if (f->reader && f->at != off) { /* the other side goes on elsewhere */
        kv_remote_reader_close(f->reader);
        f->reader = NULL;
    }
    if (!f->reader) {
        KV_TRY(src->ops->open_blob(f->job->src, &f->d->digest, f->d->size, off, &f->reader, err));
        f->at = off;
    }
    KV_TRY(f->reader->ops->read(f->reader, dst, n, out_n, err));
    if (*out_n == 0)
        return kv_fail(err, KV_E_DIGEST, "%s ends after %llu of %llu bytes",
                       kv_digest_str(&f->d->digest).s, (unsigned long long)off,
                       (unsigned long long)f->d->size);
    f->at = off + *out_n;
    kv_progress(f->job->report, f->id, f->what, f->at, f->d->size);
    return KV_OK;
}

static kv_code move_blob(copy_job *job, const kv_descriptor *d, kv_error *err)
{
    char buf[KV_COPYING_TEXT_MAX];
    blob_feed f = {.job = job, .d = d, .what = kv_copying_text(d, buf), .id = kv_progress_id()};
    kv_http_source source = {.read = feed, .ctx = &f, .size = d->size};
    kv_progress(job->report, f.id, f.what, 0, d->size);
    kv_code rc = job->dst->ops->put_blob(job->dst, &d->digest, &source, job->mount_from, err);
    kv_remote_reader_close(f.reader);
    if (rc != KV_OK) return rc;
    kv_progress(job->report, f.id, f.what, d->size, d->size);
    kv_crash_point("copy.after-blob");
    atomic_fetch_add(&job->n_blobs, 1);
    atomic_fetch_add(&job->n_bytes, d->size);
    return KV_OK;
}

/* The size is asked too: a place that holds something else under this digest is broken. */
static kv_code is_there(kv_remote *r, const kv_descriptor *d, bool *out, kv_error *err)
{
    uint64_t size;
    kv_error e = {0};
    kv_code rc = r->ops->stat_blob(r, &d->digest, &size, &e);
    *out = rc == KV_OK && (size == d->size || size == UINT64_MAX);
    if (rc == KV_OK || rc == KV_E_NOTFOUND) return KV_OK;
    if (err) *err = e;
    return rc;
}

static kv_code copy_blob(copy_job *job, const kv_descriptor *d, kv_error *err)
{
    bool there;
    KV_TRY(kv_check_cancel(job->report, err));
    KV_TRY(is_there(job->dst, d, &there, err));
    if (there) {
        atomic_fetch_add(&job->n_kept, 1);
        atomic_fetch_add(&job->n_kept_bytes, d->size);
        return KV_OK;
    }
    if (d->has_urls) { /* may live elsewhere, and then stays there */
        KV_TRY(is_there(job->src, d, &there, err));
        if (!there) return KV_OK;
    }
    return move_blob(job, d, err);
}

typedef struct blob_task {
    copy_job *job;
    kv_blob_list blobs;
} blob_task;

static kv_code run_blob(void *ctx, size_t i, kv_error *err)
{
    const blob_task *t = ctx;
    const kv_descriptor *d = t->blobs.items[i];
    kv_code rc = copy_blob(t->job, d, err);
    if (rc == KV_OK || rc == KV_E_CANCELLED) return rc;
    return kv_wrap(err, rc, "failed to copy %s", kv_digest_str(&d->digest).s);
}

/* --- manifests --- */

static kv_code fetch(copy_job *job, const kv_digest *d, kv_manifest **out, kv_error *err)
{
    KV_TRY(kv_check_cancel(job->report, err));
    return kv_remote_manifest(job->src, kv_sv_of(kv_digest_str(d).s), out, err);
}

static kv_code put_by_digest(kv_remote *dst, const kv_manifest *m, kv_error *err)
{
    kv_digest_text own = kv_digest_str(&m->digest);
    return dst->ops->put_manifest(dst, kv_sv_of(own.s), m, err);
}

/* All that m names, and m itself not. */
/* NOLINTNEXTLINE(misc-no-recursion): indexes in indexes, bounded by depth */
static kv_code copy_content(copy_job *job, const kv_manifest *m, unsigned depth, kv_error *err)
{
    if (depth == DEPTH_MAX)
        return kv_fail(err, KV_E_LIMIT, "indexes in indexes, more than %d deep", DEPTH_MAX);
    for (size_t i = 0; i < m->n_manifests; i++) {
        kv_auto(kv_manifest) child = NULL;
        KV_TRY(fetch(job, &m->manifests[i].digest, &child, err));
        KV_TRY(copy_content(job, child, depth + 1, err));
        KV_TRY(job->dst->ops->put_child ? job->dst->ops->put_child(job->dst, child, err)
                                        : put_by_digest(job->dst, child, err));
    }
    kv_auto_blob_list blobs = {0};
    KV_TRY(kv_blob_list_of(m, &blobs, err));
    blob_task t = {.job = job, .blobs = blobs};
    return kv_blob_list_each(&blobs, job->concurrency, run_blob, &t, err);
}

/* NOLINTNEXTLINE(misc-no-recursion): referrers of referrers, bounded by depth */
static kv_code copy_referrers(copy_job *job, const kv_digest *subject, unsigned depth,
                              kv_error *err)
{
    if (depth == DEPTH_MAX)
        return kv_fail(err, KV_E_LIMIT, "referrers of referrers, more than %d deep", DEPTH_MAX);
    auto_digest_list found = {0};
    KV_TRY(job->src->ops->each_referrer(job->src, subject, add_digest, &found, err));
    for (size_t i = 0; i < found.n; i++) {
        size_t before = job->seen.n;
        KV_TRY(add_digest(&job->seen, &found.items[i], err));
        if (job->seen.n == before) continue;
        kv_auto(kv_manifest) m = NULL;
        KV_TRY(fetch(job, &found.items[i], &m, err));
        KV_TRY(copy_content(job, m, 0, err));
        KV_TRY(copy_referrers(job, &found.items[i], depth + 1, err));
        KV_TRY(put_by_digest(job->dst, m, err));
    }
    return KV_OK;
}

/* --- names --- */

/* The last part of src's name where it has none: the only tag, or `latest`. */
static kv_code default_tag(kv_remote *src, const kv_place *p, kv_buf *out, kv_error *err)
{
    if (p->kind == KV_PLACE_STORE || p->kind == KV_PLACE_REGISTRY) {
        kv_buf_adds(out, "latest");
        return kv_buf_check(out, err);
    }
    size_t n = 0;
    kv_auto_remote_tags it = kv_remote_tags_begin(src);
    for (; kv_remote_tags_next(&it); n++) {
        kv_buf_truncate(out, 0);
        kv_buf_add(out, it.tag);
    }
    KV_TRY(kv_remote_tags_end(&it, err));
    if (n == 1) return kv_buf_check(out, err);
    if (n) return kv_fail(err, KV_E_ARG, "%s has %zu tags: name one", p->text, n);
    return kv_fail(err, KV_E_ARG, "%s has no tags: name a digest", p->text);
}

static kv_code source_ref(kv_remote *src, const kv_place *p, kv_buf *out, kv_error *err)
{
    if (!p->digest.alg && !p->tag.n) return default_tag(src, p, out, err);
    if (p->digest.alg)
        kv_buf_adds(out, kv_digest_str(&p->digest).s);
    else
        kv_buf_add(out, p->tag);
    return kv_buf_check(out, err);
}

/* Under dst's tag, src's, or none. */
static kv_code put_root(copy_job *job, const kv_place *dst, kv_sv src_ref, const kv_manifest *m,
                        kv_error *err)
{
    kv_crash_point("copy.before-manifest");
    bool src_has_tag = kv_sv_find(src_ref, ':') == SIZE_MAX;
    if (dst->digest.alg || (!dst->tag.n && !src_has_tag)) return put_by_digest(job->dst, m, err);
    return job->dst->ops->put_manifest(job->dst, dst->tag.n ? dst->tag : src_ref, m, err);
}

static kv_code copy_all(copy_job *job, const kv_place *src, const kv_place *dst, bool referrers,
                        kv_copy_result *out, kv_error *err)
{
    kv_auto_buf ref = KV_BUF(1024);
    kv_auto(kv_manifest) m = NULL;
    KV_TRY(source_ref(job->src, src, &ref, err));
    KV_TRY(kv_remote_manifest(job->src, kv_buf_sv(&ref), &m, err));
    if (dst->digest.alg && !kv_digest_eq(&dst->digest, &m->digest))
        return kv_fail(err, KV_E_ARG, "%s has digest %s, and cannot be copied to %s", src->text,
                       kv_digest_str(&m->digest).s, dst->text);
    out->digest = m->digest;
    KV_TRY(copy_content(job, m, 0, err));
    if (referrers) KV_TRY(copy_referrers(job, &m->digest, 0, err));
    KV_TRY(put_root(job, dst, kv_buf_sv(&ref), m, err));
    return job->dst->ops->finish ? job->dst->ops->finish(job->dst, err) : KV_OK;
}

/* A repository of the same registry may lend its blobs. */
static char *mount_source(const kv_place *src, const kv_place *dst)
{
    if (src->kind != KV_PLACE_REGISTRY || dst->kind != KV_PLACE_REGISTRY) return NULL;
    if (!kv_sv_eq(src->ref.registry, dst->ref.registry)) return NULL;
    if (kv_sv_eq(src->ref.repository, dst->ref.repository)) return NULL;
    return kv_sv_dup(src->ref.repository);
}

kv_code kv_copy(struct kv_store *store, const kv_place *src, const kv_place *dst,
                const kv_copy_options *options, kv_copy_result *out, kv_error *err)
{
    static const kv_copy_options DEFAULTS = KV_COPY_OPTIONS_INIT;
    static const kv_remote_options NETWORK = KV_REMOTE_OPTIONS_INIT;
    kv_copy_result ignored;
    if (!options) options = &DEFAULTS;
    if (!out) out = &ignored;
    *out = (kv_copy_result){0};
    kv_remote_options network = options->network ? *options->network : NETWORK;
    network.report = options->report;

    kv_auto(kv_remote) from = NULL;
    kv_auto(kv_remote) to = NULL;
    KV_TRY(kv_place_open(store, src, false, &network, &from, err));
    KV_TRY(kv_place_open(store, dst, true, &network, &to, err));
    kv_auto_str mount = mount_source(src, dst);
    copy_job job = {.src = from,
                    .dst = to,
                    .mount_from = mount,
                    .concurrency = network.concurrency,
                    .report = options->report};
    kv_code rc = copy_all(&job, src, dst, options->referrers, out, err);
    out->n_blobs = job.n_blobs;
    out->n_bytes = job.n_bytes;
    out->n_kept = job.n_kept;
    out->n_kept_bytes = job.n_kept_bytes;
    out->n_referrers = job.seen.n;
    digest_list_clear(&job.seen);
    return rc;
}

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crash.h"
#include "base/file.h"
#include "base/pool.h"
#include "kitvault/store.h"
#include "remote/blobs.h"
#include "remote/remote.h"

typedef struct push_job {
    kv_store *store;
    kv_remote *remote;
    const char *mount_from;
    const kv_report *report;
    kv_blob_list blobs;
} push_job;

typedef struct blob_file { /* a stored blob as a body, which tells how far it is */
    int fd;
    const push_job *job;
    const kv_descriptor *d;
    kv_sv what;
    uint64_t id;
} blob_file;

static kv_code read_file(void *ctx, uint64_t off, void *dst, size_t n, size_t *out_n, kv_error *err)
{
    const blob_file *f = ctx;
    KV_TRY(kv_pread_all(f->fd, f->what.p, dst, n, off, err));
    *out_n = n;
    kv_progress(f->job->report, f->id, f->what, off + n, f->d->size);
    return KV_OK;
}

static kv_code upload(push_job *job, size_t i, kv_error *err)
{
    const kv_descriptor *d = job->blobs.items[i];
    kv_auto_fd fd = -1;
    uint64_t size;
    KV_TRY(kv_store_open_blob(job->store, &d->digest, &fd, &size, err));
    if (size != d->size)
        return kv_fail(err, KV_E_CORRUPT, "blob %s has %llu bytes in local storage, not %llu",
                       kv_digest_str(&d->digest).s, (unsigned long long)size,
                       (unsigned long long)d->size);
    char what[KV_COPYING_TEXT_MAX];
    blob_file f = {
        .fd = fd, .job = job, .d = d, .what = kv_copying_text(d, what), .id = kv_progress_id()};
    kv_http_source source = {.read = read_file, .ctx = &f, .size = size};
    kv_progress(job->report, f.id, f.what, 0, size);
    kv_code rc = job->remote->ops->put_blob(job->remote, &d->digest, &source, job->mount_from, err);
    if (rc == KV_OK) kv_progress(job->report, f.id, f.what, size, size);
    return rc;
}

/* The size is asked too: a registry that holds something else under this digest is broken. */
static kv_code is_there(push_job *job, const kv_descriptor *d, bool *out, kv_error *err)
{
    uint64_t size;
    kv_error e = {0};
    kv_code rc = job->remote->ops->stat_blob(job->remote, &d->digest, &size, &e);
    *out = rc == KV_OK && (size == d->size || size == UINT64_MAX);
    if (rc == KV_OK || rc == KV_E_NOTFOUND) return KV_OK;
    if (err) *err = e;
    return rc;
}

static kv_code push_blob(void *ctx, size_t i, kv_error *err)
{
    push_job *job = ctx;
    const kv_descriptor *d = job->blobs.items[i];
    bool there;
    KV_TRY(kv_check_cancel(job->report, err));
    kv_code rc = is_there(job, d, &there, err);
    if (rc == KV_OK && !there) rc = upload(job, i, err);
    if (rc == KV_OK || rc == KV_E_CANCELLED) return rc;
    return kv_wrap(err, rc, "failed to copy %s", kv_digest_str(&d->digest).s);
}

static kv_code put_tags(push_job *job, const kv_reference *dst, const kv_manifest *m, kv_error *err)
{
    kv_auto_str last = kv_reference_last(dst);
    if (!last) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_digest_text own = kv_digest_str(&m->digest);
    kv_sv ref = last[0] ? kv_sv_of(last) : kv_sv_of(own.s);
    kv_crash_point("push.before-manifest");
    KV_TRY(job->remote->ops->put_manifest(job->remote, ref, m, err));
    for (size_t i = 0; i < dst->n_extra; i++)
        KV_TRY(job->remote->ops->put_manifest(job->remote, dst->extra[i], m, err));
    return KV_OK;
}

/* A repository of the same registry that holds the same kit may lend its blobs. */
static char *mount_source(const kv_reference *src, const kv_reference *dst)
{
    if (!kv_sv_eq(src->registry, dst->registry) || kv_sv_eq(src->repository, dst->repository))
        return NULL;
    return kv_sv_dup(src->repository);
}

kv_code kv_push(kv_store *store, const kv_reference *src, const kv_reference *dst,
                const kv_remote_options *options, kv_digest *out_digest, kv_error *err)
{
    static const kv_remote_options DEFAULTS = KV_REMOTE_OPTIONS_INIT;
    if (!options) options = &DEFAULTS;
    kv_digest digest;
    kv_auto(kv_manifest) m = NULL;
    kv_auto_fd hold = -1;
    KV_TRY(kv_store_hold(store, &hold, err));
    KV_TRY(kv_store_resolve(store, src, &digest, err));
    KV_TRY(kv_store_manifest(store, &digest, &m, err));
    if (m->kind != KV_MANIFEST_IMAGE)
        return kv_fail(err, KV_E_UNSUPPORTED, "an index cannot be pushed");
    if (dst->digest.alg && !kv_digest_eq(&dst->digest, &m->digest))
        return kv_fail(err, KV_E_ARG, "the kit has digest %s, and cannot be pushed as %s",
                       kv_digest_str(&m->digest).s, kv_digest_str(&dst->digest).s);

    kv_auto(kv_remote) remote = NULL;
    KV_TRY(kv_remote_open(dst, options, &remote, err));
    kv_auto_str mount = mount_source(src, dst);
    kv_auto_blob_list blobs = {0};
    KV_TRY(kv_blob_list_of(m, &blobs, err));
    push_job job = {.store = store,
                    .remote = remote,
                    .mount_from = mount,
                    .report = options->report,
                    .blobs = blobs};
    KV_TRY(kv_blob_list_each(&blobs, options->concurrency, push_blob, &job, err));
    KV_TRY(put_tags(&job, dst, m, err));
    if (out_digest) *out_digest = m->digest;
    return KV_OK;
}

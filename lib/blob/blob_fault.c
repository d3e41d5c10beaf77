/* Wraps another backend and fails its n-th call of one operation, for tests of everything above. */
#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "blob/blob.h"

typedef struct fault_blobs {
    kv_blobs base;
    kv_blobs *inner;
    const char *op;
    uint64_t n;
    kv_code code;
    _Atomic uint64_t calls;
} fault_blobs;

typedef struct fault_reader {
    kv_blob_reader base;
    fault_blobs *blobs;
    kv_blob_reader *inner;
} fault_reader;

typedef struct fault_writer {
    kv_blob_writer base;
    fault_blobs *blobs;
    kv_blob_writer *inner;
} fault_writer;

static const kv_blobs_ops FAULT_OPS;

static fault_blobs *fault_of(kv_blobs *b)
{
    assert(b->ops == &FAULT_OPS);
    return (fault_blobs *)(void *)b;
}

/* Counts the call, and fails when it is the one. */
static kv_code pass(fault_blobs *f, const char *op, kv_error *err)
{
    if (strcmp(op, f->op) != 0) return KV_OK;
    if (atomic_fetch_add(&f->calls, 1) + 1 != f->n) return KV_OK;
    return kv_fail(err, f->code, "fault: %s number %llu", op, (unsigned long long)f->n);
}

static kv_code fault_read(kv_blob_reader *base, uint64_t off, void *dst, size_t n, kv_error *err)
{
    fault_reader *r = (fault_reader *)(void *)base;
    KV_TRY(pass(r->blobs, "read", err));
    return r->inner->ops->read(r->inner, off, dst, n, err);
}

static void fault_close(kv_blob_reader *base)
{
    fault_reader *r = (fault_reader *)(void *)base;
    kv_blob_close(r->inner);
    free(r);
}

static const kv_blob_reader_ops FAULT_READER_OPS = {.read = fault_read, .close = fault_close};

static kv_code fault_open(kv_blobs *b, const kv_digest *d, kv_blob_reader **out, kv_error *err)
{
    fault_blobs *f = fault_of(b);
    KV_TRY(pass(f, "open", err));
    kv_auto(kv_blob_reader) inner = NULL;
    KV_TRY(kv_blobs_open(f->inner, d, &inner, err));
    fault_reader *r = calloc(1, sizeof(*r));
    if (!r) return kv_fail(err, KV_E_NOMEM, "out of memory");
    /* No descriptor is handed out, so that every byte passes through here. */
    *r = (fault_reader){.base = {.ops = &FAULT_READER_OPS, .size = inner->size, .fd = -1},
                        .blobs = f};
    r->inner = KV_TAKE(inner);
    *out = &r->base;
    return KV_OK;
}

static kv_code fault_expect(kv_blob_writer *base, uint64_t n, kv_error *err)
{
    fault_writer *w = (fault_writer *)(void *)base;
    KV_TRY(pass(w->blobs, "expect", err));
    return kv_blob_expect(w->inner, n, err);
}

static kv_code fault_append(kv_blob_writer *base, const void *p, size_t n, kv_error *err)
{
    fault_writer *w = (fault_writer *)(void *)base;
    KV_TRY(pass(w->blobs, "append", err));
    return kv_blob_append(w->inner, p, n, err);
}

static kv_code fault_sync(kv_blob_writer *base, kv_buf *state, kv_error *err)
{
    fault_writer *w = (fault_writer *)(void *)base;
    KV_TRY(pass(w->blobs, "sync", err));
    return w->inner->ops->sync(w->inner, state, err);
}

static kv_code fault_reread(kv_blob_writer *base, uint64_t off, void *dst, size_t n, kv_error *err)
{
    fault_writer *w = (fault_writer *)(void *)base;
    KV_TRY(pass(w->blobs, "read", err));
    return w->inner->ops->reread(w->inner, off, dst, n, err);
}

static kv_code fault_finish(kv_blob_writer *base, const kv_digest *d, kv_error *err)
{
    fault_writer *w = (fault_writer *)(void *)base;
    KV_TRY(pass(w->blobs, "finish", err));
    return w->inner->ops->finish(w->inner, d, err);
}

static void fault_release(kv_blob_writer *base, bool forget)
{
    fault_writer *w = (fault_writer *)(void *)base;
    w->inner->ops->release(w->inner, forget);
    free(w);
}

static const kv_blob_writer_ops FAULT_WRITER_OPS = {
    .append = fault_append,
    .expect = fault_expect,
    .sync = fault_sync,
    .reread = fault_reread,
    .finish = fault_finish,
    .release = fault_release,
};

static kv_code wrap_writer(fault_blobs *f, kv_blob_writer *inner, kv_blob_writer **out,
                           kv_error *err)
{
    fault_writer *w = calloc(1, sizeof(*w));
    if (!w) {
        inner->ops->release(inner, false);
        return kv_fail(err, KV_E_NOMEM, "out of memory");
    }
    *w = (fault_writer){.base.ops = &FAULT_WRITER_OPS, .blobs = f, .inner = inner};
    *out = &w->base;
    return KV_OK;
}

static kv_code fault_begin(kv_blobs *b, const char *id, kv_blob_writer **out, kv_error *err)
{
    fault_blobs *f = fault_of(b);
    kv_blob_writer *inner = NULL;
    KV_TRY(pass(f, "begin", err));
    KV_TRY(kv_blob_begin(f->inner, id, KV_SHA256, &inner, err));
    return wrap_writer(f, inner, out, err);
}

static kv_code fault_resume(kv_blobs *b, const char *id, kv_sv state, uint64_t offset,
                            kv_blob_writer **out, kv_error *err)
{
    fault_blobs *f = fault_of(b);
    kv_blob_writer *inner = NULL;
    KV_TRY(pass(f, "resume", err));
    KV_TRY(f->inner->ops->resume(f->inner, id, state, offset, &inner, err));
    kv_hasher_init(&inner->hashing.hasher, KV_SHA256); /* unused: the outer writer hashes */
    inner->offset = offset;
    return wrap_writer(f, inner, out, err);
}

static kv_code fault_forget(kv_blobs *b, const char *id, kv_error *err)
{
    return kv_blobs_forget(fault_of(b)->inner, id, err);
}

static kv_code fault_drop(kv_blobs *b, const kv_digest *d, kv_error *err)
{
    KV_TRY(pass(fault_of(b), "drop", err));
    return kv_blobs_drop(fault_of(b)->inner, d, err);
}

static kv_code fault_each(kv_blobs *b, kv_blob_fn *fn, void *ctx, kv_error *err)
{
    return kv_blobs_each(fault_of(b)->inner, fn, ctx, err);
}

static void fault_free(kv_blobs *b)
{
    fault_blobs *f = fault_of(b);
    kv_blobs_free(f->inner);
    free(f);
}

static const kv_blobs_ops FAULT_OPS = {
    .scheme = "fault",
    .open = fault_open,
    .begin = fault_begin,
    .resume = fault_resume,
    .forget = fault_forget,
    .drop = fault_drop,
    .each = fault_each,
    .free = fault_free,
};

kv_blobs *kv_blobs_new_fault(kv_blobs *inner, const char *op, uint64_t n, kv_code code)
{
    fault_blobs *f = calloc(1, sizeof(*f));
    if (!f) {
        kv_blobs_free(inner);
        return NULL;
    }
    f->base.ops = &FAULT_OPS;
    f->inner = inner;
    f->op = op;
    f->n = n;
    f->code = code;
    return &f->base;
}

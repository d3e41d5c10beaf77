/* Blobs in memory: the specification of the other backends. */
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "blob/blob.h"

typedef struct mem_object { /* a stored blob, or the staged bytes of an upload */
    struct mem_object *next;
    kv_digest digest; /* blobs */
    char id[72];      /* uploads */
    kv_buf bytes;
    unsigned refs; /* the list and every open reader */
} mem_object;

typedef struct mem_blobs {
    kv_blobs base;
    pthread_mutex_t lock; /* guards both lists and every refs */
    mem_object *blobs, *uploads;
} mem_blobs;

typedef struct mem_reader {
    kv_blob_reader base;
    mem_blobs *blobs;
    mem_object *object;
} mem_reader;

typedef struct mem_writer {
    kv_blob_writer base;
    mem_blobs *blobs;
    mem_object *object; /* in the uploads list while the writer lives */
} mem_writer;

static const kv_blobs_ops MEM_OPS;

static mem_blobs *mem_of(kv_blobs *b)
{
    assert(b->ops == &MEM_OPS);
    return (mem_blobs *)(void *)b;
}

static void unref(mem_object *o)
{
    if (!o || --o->refs) return;
    kv_buf_clear(&o->bytes);
    free(o);
}

static mem_object **find_blob(mem_blobs *m, const kv_digest *d)
{
    mem_object **at = &m->blobs;
    while (*at && !kv_digest_eq(&(*at)->digest, d)) at = &(*at)->next;
    return at;
}

static mem_object **find_upload(mem_blobs *m, const char *id)
{
    mem_object **at = &m->uploads;
    while (*at && strcmp((*at)->id, id) != 0) at = &(*at)->next;
    return at;
}

/* Takes the object out of its list; the reference of the list is the caller's then. */
static mem_object *cut_out(mem_object **at)
{
    mem_object *o = *at;
    if (!o) return NULL;
    *at = o->next;
    o->next = NULL;
    return o;
}

static kv_code mem_read(kv_blob_reader *r, uint64_t off, void *dst, size_t n, kv_error *err)
{
    (void)err;
    memcpy(dst, ((mem_reader *)(void *)r)->object->bytes.p + off, n);
    return KV_OK;
}

static void mem_close(kv_blob_reader *base)
{
    mem_reader *r = (mem_reader *)(void *)base;
    pthread_mutex_lock(&r->blobs->lock);
    unref(r->object);
    pthread_mutex_unlock(&r->blobs->lock);
    free(r);
}

static const kv_blob_reader_ops MEM_READER_OPS = {.read = mem_read, .close = mem_close};

static kv_code mem_open(kv_blobs *b, const kv_digest *d, kv_blob_reader **out, kv_error *err)
{
    mem_blobs *m = mem_of(b);
    mem_reader *r = calloc(1, sizeof(*r));
    if (!r) return kv_fail(err, KV_E_NOMEM, "out of memory");
    pthread_mutex_lock(&m->lock);
    mem_object *o = *find_blob(m, d);
    if (o) o->refs++;
    pthread_mutex_unlock(&m->lock);
    if (!o) {
        free(r);
        return kv_fail(err, KV_E_NOTFOUND, "blob %s not found", kv_digest_str(d).s);
    }
    *r = (mem_reader){
        .base = {.ops = &MEM_READER_OPS, .size = o->bytes.n, .fd = -1}, .blobs = m, .object = o};
    *out = &r->base;
    return KV_OK;
}

static kv_code mem_append(kv_blob_writer *w, const void *p, size_t n, kv_error *err)
{
    kv_buf *b = &((mem_writer *)(void *)w)->object->bytes;
    kv_buf_add(b, (kv_sv){p, n});
    return kv_buf_check(b, err);
}

static kv_code mem_sync(kv_blob_writer *w, kv_buf *state, kv_error *err)
{
    (void)w;
    (void)state;
    (void)err;
    return KV_OK;
}

static kv_code mem_reread(kv_blob_writer *w, uint64_t off, void *dst, size_t n, kv_error *err)
{
    (void)err;
    memcpy(dst, ((mem_writer *)(void *)w)->object->bytes.p + off, n);
    return KV_OK;
}

static kv_code mem_finish(kv_blob_writer *base, const kv_digest *d, kv_error *err)
{
    (void)err;
    mem_writer *w = (mem_writer *)(void *)base;
    mem_blobs *m = w->blobs;
    pthread_mutex_lock(&m->lock);
    mem_object **old = find_blob(m, d);
    unref(cut_out(old));
    mem_object *o = cut_out(find_upload(m, w->object->id));
    assert(o == w->object);
    o->digest = *d;
    o->next = m->blobs;
    m->blobs = o;
    pthread_mutex_unlock(&m->lock);
    w->object = NULL;
    return KV_OK;
}

static void mem_release(kv_blob_writer *base, bool forget)
{
    mem_writer *w = (mem_writer *)(void *)base;
    if (forget && w->object) {
        pthread_mutex_lock(&w->blobs->lock);
        unref(cut_out(find_upload(w->blobs, w->object->id)));
        pthread_mutex_unlock(&w->blobs->lock);
    }
    free(w);
}

static const kv_blob_writer_ops MEM_WRITER_OPS = {
    .append = mem_append,
    .sync = mem_sync,
    .reread = mem_reread,
    .finish = mem_finish,
    .release = mem_release,
};

static kv_code mem_begin(kv_blobs *b, const char *id, kv_blob_writer **out, kv_error *err)
{
    mem_blobs *m = mem_of(b);
    mem_object *o = calloc(1, sizeof(*o));
    mem_writer *w = calloc(1, sizeof(*w));
    if (!o || !w) {
        free(o);
        free(w);
        return kv_fail(err, KV_E_NOMEM, "out of memory");
    }
    o->refs = 1;
    o->bytes = KV_BUF(SIZE_MAX / 2);
    memcpy(o->id, id, strlen(id) + 1); /* at most 64 bytes, checked by the wrapper */
    *w = (mem_writer){.base.ops = &MEM_WRITER_OPS, .blobs = m, .object = o};
    pthread_mutex_lock(&m->lock);
    bool taken = *find_upload(m, id) != NULL;
    if (!taken) {
        o->next = m->uploads;
        m->uploads = o;
    }
    pthread_mutex_unlock(&m->lock);
    if (taken) {
        unref(o);
        free(w);
        return kv_fail(err, KV_E_EXISTS, "upload '%s' exists", id);
    }
    *out = &w->base;
    return KV_OK;
}

static kv_code mem_resume(kv_blobs *b, const char *id, kv_sv state, uint64_t offset,
                          kv_blob_writer **out, kv_error *err)
{
    (void)state;
    mem_blobs *m = mem_of(b);
    pthread_mutex_lock(&m->lock);
    mem_object *o = *find_upload(m, id);
    pthread_mutex_unlock(&m->lock);
    if (!o) return kv_fail(err, KV_E_NOTFOUND, "upload '%s' not found", id);
    if (o->bytes.n < offset)
        return kv_fail(err, KV_E_CORRUPT, "upload '%s' has %zu bytes, its state says %llu", id,
                       o->bytes.n, (unsigned long long)offset);
    mem_writer *w = calloc(1, sizeof(*w));
    if (!w) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_buf_truncate(&o->bytes, (size_t)offset);
    *w = (mem_writer){.base.ops = &MEM_WRITER_OPS, .blobs = m, .object = o};
    *out = &w->base;
    return KV_OK;
}

static kv_code mem_forget(kv_blobs *b, const char *id, kv_error *err)
{
    (void)err;
    mem_blobs *m = mem_of(b);
    pthread_mutex_lock(&m->lock);
    mem_object **at = find_upload(m, id);
    unref(cut_out(at));
    pthread_mutex_unlock(&m->lock);
    return KV_OK;
}

static kv_code mem_drop(kv_blobs *b, const kv_digest *d, kv_error *err)
{
    mem_blobs *m = mem_of(b);
    pthread_mutex_lock(&m->lock);
    mem_object **at = find_blob(m, d);
    bool found = *at != NULL;
    if (found) unref(cut_out(at));
    pthread_mutex_unlock(&m->lock);
    return found ? KV_OK : kv_fail(err, KV_E_NOTFOUND, "blob %s not found", kv_digest_str(d).s);
}

static kv_code mem_each(kv_blobs *b, kv_blob_fn *fn, void *ctx, kv_error *err)
{
    /* A copy of the list first: no callback runs under the lock. */
    mem_blobs *m = mem_of(b);
    typedef struct entry {
        kv_digest digest;
        uint64_t size;
    } entry;
    pthread_mutex_lock(&m->lock);
    size_t n = 0, i = 0;
    for (mem_object *o = m->blobs; o; o = o->next) n++;
    entry *list = calloc(n ? n : 1, sizeof(*list));
    for (mem_object *o = m->blobs; o && list; o = o->next)
        list[i++] = (entry){o->digest, o->bytes.n};
    pthread_mutex_unlock(&m->lock);
    if (!list) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_code rc = KV_OK;
    for (i = 0; i < n && rc == KV_OK; i++) rc = fn(ctx, &list[i].digest, list[i].size, err);
    free(list);
    return rc;
}

static void mem_free(kv_blobs *b)
{
    mem_blobs *m = mem_of(b);
    while (m->blobs) unref(cut_out(&m->blobs));
    while (m->uploads) unref(cut_out(&m->uploads));
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static const kv_blobs_ops MEM_OPS = {
    .scheme = "mem",
    .open = mem_open,
    .begin = mem_begin,
    .resume = mem_resume,
    .forget = mem_forget,
    .drop = mem_drop,
    .each = mem_each,
    .free = mem_free,
};

kv_blobs *kv_blobs_new_mem(void)
{
    mem_blobs *m = calloc(1, sizeof(*m));
    if (!m) return NULL;
    m->base.ops = &MEM_OPS;
    pthread_mutex_init(&m->lock, NULL);
    return &m->base;
}

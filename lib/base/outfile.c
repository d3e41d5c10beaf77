#include "base/outfile.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum { PAGE = 4096, N_BUFFERS = 2 };
#define BUFFER_BYTES (2u << 20)

struct kv_outfile {
    int fd;
    bool write_back;
    const char *name;
    char *buffers[N_BUFFERS];
    unsigned current; /* the buffer that is being filled */
    size_t fill;
    uint64_t handed; /* bytes of full buffers, written or about to be */

    bool has_thread;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    const char *pending; /* a full buffer for the thread */
    uint64_t pending_at;
    bool stop;
    kv_code code; /* first failure; kept for every later call */
    kv_error err;
};

kv_outfile *kv_outfile_new(int fd, const char *name, bool write_back)
{
    kv_outfile *o = calloc(1, sizeof(*o));
    if (!o) return NULL;
    o->fd = fd;
    o->name = name;
    o->write_back = write_back;
    pthread_mutex_init(&o->lock, NULL);
    pthread_cond_init(&o->changed, NULL);
    for (unsigned i = 0; i < N_BUFFERS; i++) {
        o->buffers[i] = aligned_alloc(PAGE, BUFFER_BYTES);
        if (!o->buffers[i]) {
            kv_outfile_free(o);
            return NULL;
        }
    }
    return o;
}

static kv_code write_buffer(kv_outfile *o, const char *p, size_t n, uint64_t at, kv_error *err)
{
    KV_TRY(kv_pwrite_all(o->fd, o->name, p, n, at, err));
    /* A hint: what it cannot do shows in the fsync. */
    if (o->write_back) (void)sync_file_range(o->fd, (off_t)at, (off_t)n, SYNC_FILE_RANGE_WRITE);
    return KV_OK;
}

static void *writer(void *arg)
{
    kv_outfile *o = arg;
    pthread_mutex_lock(&o->lock);
    for (;;) {
        while (!o->pending && !o->stop) pthread_cond_wait(&o->changed, &o->lock);
        if (!o->pending) break;
        const char *p = o->pending;
        uint64_t at = o->pending_at;
        pthread_mutex_unlock(&o->lock);
        kv_error err = {0};
        kv_code rc = write_buffer(o, p, BUFFER_BYTES, at, &err);
        pthread_mutex_lock(&o->lock);
        if (rc != KV_OK && o->code == KV_OK) {
            o->code = rc;
            o->err = err;
        }
        o->pending = NULL;
        pthread_cond_signal(&o->changed);
    }
    pthread_mutex_unlock(&o->lock);
    return NULL;
}

/* Waits until the thread has nothing left to write; its failure, if any. */
static kv_code wait_idle(kv_outfile *o, kv_error *err)
{
    pthread_mutex_lock(&o->lock);
    while (o->pending) pthread_cond_wait(&o->changed, &o->lock);
    kv_code rc = o->code;
    if (rc != KV_OK && err) *err = o->err;
    pthread_mutex_unlock(&o->lock);
    return rc;
}

/* A buffer is full. */
static kv_code hand_over(kv_outfile *o, kv_error *err)
{
    if (!o->has_thread) o->has_thread = pthread_create(&o->thread, NULL, writer, o) == 0;
    const char *full = o->buffers[o->current];
    uint64_t at = o->handed;
    if (o->has_thread) {
        KV_TRY(wait_idle(o, err));
        pthread_mutex_lock(&o->lock);
        o->pending = full;
        o->pending_at = at;
        pthread_cond_signal(&o->changed);
        pthread_mutex_unlock(&o->lock);
        o->current = (o->current + 1) % N_BUFFERS;
    } else {
        KV_TRY(write_buffer(o, full, BUFFER_BYTES, at, err));
    }
    o->handed += BUFFER_BYTES;
    o->fill = 0;
    return KV_OK;
}

static void stop_thread(kv_outfile *o)
{
    if (!o->has_thread) return;
    pthread_mutex_lock(&o->lock);
    o->stop = true;
    pthread_cond_signal(&o->changed);
    pthread_mutex_unlock(&o->lock);
    pthread_join(o->thread, NULL);
    o->has_thread = false;
}

void kv_outfile_free(kv_outfile *o)
{
    if (!o) return;
    stop_thread(o);
    for (unsigned i = 0; i < N_BUFFERS; i++) free(o->buffers[i]);
    pthread_cond_destroy(&o->changed);
    pthread_mutex_destroy(&o->lock);
    free(o);
}

char *kv_outfile_room(kv_outfile *o, size_t *out_n)
{
    *out_n = BUFFER_BYTES - o->fill;
    return o->buffers[o->current] + o->fill;
}

kv_code kv_outfile_took(kv_outfile *o, size_t n, kv_error *err)
{
    o->fill += n;
    return o->fill == BUFFER_BYTES ? hand_over(o, err) : KV_OK;
}

kv_code kv_outfile_add(kv_outfile *o, const void *p, size_t n, kv_error *err)
{
    const char *at = p;
    while (n) {
        size_t room;
        char *dst = kv_outfile_room(o, &room);
        size_t step = n < room ? n : room;
        memcpy(dst, at, step);
        KV_TRY(kv_outfile_took(o, step, err));
        at += step;
        n -= step;
    }
    return KV_OK;
}

kv_code kv_outfile_end(kv_outfile *o, kv_error *err)
{
    KV_TRY(wait_idle(o, err));
    stop_thread(o);
    if (!o->fill) return KV_OK;
    return write_buffer(o, o->buffers[o->current], o->fill, o->handed, err);
}

uint64_t kv_outfile_size(const kv_outfile *o)
{
    return o->handed + o->fill;
}

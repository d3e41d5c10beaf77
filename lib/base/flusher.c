#include "base/flusher.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct kv_flusher {
    pthread_mutex_t lock; /* guards the rest, and the private part of every file */
    pthread_cond_t changed;
    pthread_t thread;
    bool has_thread, stop;
    kv_flush *first; /* asked for, in order */
};

kv_flusher *kv_flusher_new(void)
{
    kv_flusher *f = calloc(1, sizeof(*f));
    if (!f) return NULL;
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
    return f;
}

static void flush_one(kv_flusher *f, kv_flush *file)
{
    file->asked = false;
    file->running = true;
    int fd = file->fd;
    pthread_mutex_unlock(&f->lock);
    int sys = fdatasync(fd) < 0 ? errno : 0;
    pthread_mutex_lock(&f->lock);
    if (!file->sys) file->sys = sys;
    file->running = false;
    pthread_cond_broadcast(&f->changed);
}

static void *serve(void *arg)
{
    kv_flusher *f = arg;
    pthread_mutex_lock(&f->lock);
    while (!f->stop) {
        kv_flush *file = f->first;
        if (!file) {
            pthread_cond_wait(&f->changed, &f->lock);
            continue;
        }
        f->first = file->next;
        flush_one(f, file);
    }
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

void kv_flusher_free(kv_flusher *f)
{
    if (!f) return;
    pthread_mutex_lock(&f->lock);
    f->stop = true;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    if (f->has_thread) pthread_join(f->thread, NULL);
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

void kv_flusher_ask(kv_flusher *f, kv_flush *file)
{
    pthread_mutex_lock(&f->lock);
    if (!f->has_thread) f->has_thread = pthread_create(&f->thread, NULL, serve, f) == 0;
    if (f->has_thread && !file->asked) {
        kv_flush **tail = &f->first;
        while (*tail) tail = &(*tail)->next;
        *tail = file;
        file->next = NULL;
        file->asked = true;
        pthread_cond_broadcast(&f->changed);
    }
    pthread_mutex_unlock(&f->lock);
}

kv_code kv_flusher_wait(kv_flusher *f, kv_flush *file, kv_error *err)
{
    pthread_mutex_lock(&f->lock);
    if (file->asked) {
        kv_flush **at = &f->first;
        while (*at != file) at = &(*at)->next;
        *at = file->next;
        file->asked = false;
    }
    while (file->running) pthread_cond_wait(&f->changed, &f->lock);
    int sys = file->sys;
    pthread_mutex_unlock(&f->lock);
    if (!sys) return KV_OK;
    errno = sys;
    return kv_fail_sys(err, "cannot make durable what was written");
}

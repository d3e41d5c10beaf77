#include "hub/job/chores.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "hub/log.h"

enum { AFTER_FAILURE_MS = 30 * 1000 }; /* a full disk must not fill the log too */

struct kv_chores {
    pthread_t thread;
    pthread_mutex_t lock; /* guards stop */
    pthread_cond_t wake;
    bool stop;
    const kv_chore *chores;
    size_t n;
    void *ctx;
    uint64_t due_us[]; /* monotonic */
};

/* Milliseconds until its next turn. */
static unsigned run_one(const kv_chore *c, void *ctx)
{
    kv_error err = {0};
    if (c->run(ctx, &err) == KV_OK) return c->period_ms;
    kv_log(KV_ERROR, "%s: %s", c->name, err.msg);
    return c->period_ms > AFTER_FAILURE_MS ? c->period_ms : AFTER_FAILURE_MS;
}

/* Runs what is due; returns when the next one is. */
static uint64_t run_due(kv_chores *c)
{
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < c->n; i++) {
        if (c->due_us[i] <= kv_mono_us()) {
            unsigned pause_ms = run_one(&c->chores[i], c->ctx);
            c->due_us[i] = kv_mono_us() + pause_ms * UINT64_C(1000);
        }
        if (c->due_us[i] < next) next = c->due_us[i];
    }
    return next;
}

static void *serve(void *arg)
{
    kv_chores *c = arg;
    pthread_mutex_lock(&c->lock);
    while (!c->stop) {
        pthread_mutex_unlock(&c->lock);
        uint64_t next = run_due(c);
        struct timespec until = {.tv_sec = (time_t)(next / 1000000),
                                 .tv_nsec = (long)(next % 1000000) * 1000};
        pthread_mutex_lock(&c->lock);
        while (!c->stop && pthread_cond_timedwait(&c->wake, &c->lock, &until) != ETIMEDOUT) {}
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

kv_code kv_chores_start(const kv_chore *chores, size_t n, void *ctx, kv_chores **out, kv_error *err)
{
    *out = NULL;
    kv_chores *c = calloc(1, sizeof(*c) + n * sizeof(c->due_us[0]));
    if (!c) return kv_fail(err, KV_E_NOMEM, "out of memory");
    c->chores = chores;
    c->n = n;
    c->ctx = ctx;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&c->lock, NULL);
    int rc = pthread_create(&c->thread, NULL, serve, c);
    if (rc != 0) {
        pthread_cond_destroy(&c->wake);
        pthread_mutex_destroy(&c->lock);
        free(c);
        errno = rc;
        return kv_fail_sys(err, "cannot start a thread");
    }
    *out = c;
    return KV_OK;
}

void kv_chores_stop(kv_chores *c)
{
    if (!c) return;
    pthread_mutex_lock(&c->lock);
    c->stop = true;
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->lock);
    pthread_join(c->thread, NULL);
    pthread_cond_destroy(&c->wake);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

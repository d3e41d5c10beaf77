#include "base/pool.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

/* One call of kv_pool_each. It lies on its caller's stack, in the pool's list of open calls. */
typedef struct batch {
    struct batch *next;
    kv_task_fn *fn;
    void *ctx;
    size_t n, begun, running;
    size_t at_most;
    kv_code code; /* first failure; stops what has not begun */
    kv_error *err;
    pthread_cond_t done;
} batch;

struct kv_pool {
    pthread_mutex_t lock; /* guards everything below and every open batch */
    pthread_cond_t work;
    batch *open;
    bool stop;
    unsigned n_threads;
    pthread_t threads[];
};

static bool ready(const batch *b)
{
    return b->code == KV_OK && b->begun < b->n && b->running < b->at_most;
}

static batch *find_ready(kv_pool *p)
{
    for (batch *b = p->open; b; b = b->next)
        if (ready(b)) return b;
    return NULL;
}

/* Runs the next index of b; called and returns with the lock held. */
static void run_one(kv_pool *p, batch *b)
{
    size_t i = b->begun++;
    b->running++;
    pthread_mutex_unlock(&p->lock);
    kv_error err = {0};
    kv_code code = b->fn(b->ctx, i, &err);
    pthread_mutex_lock(&p->lock);
    b->running--;
    if (code != KV_OK && b->code == KV_OK) {
        b->code = code;
        if (b->err) *b->err = err;
    }
    if (ready(b)) pthread_cond_signal(&p->work);
    if (b->running == 0 && !ready(b)) pthread_cond_signal(&b->done);
}

static void *worker(void *arg)
{
    kv_pool *p = arg;
    pthread_mutex_lock(&p->lock);
    while (!p->stop) {
        batch *b = find_ready(p);
        if (b)
            run_one(p, b);
        else
            pthread_cond_wait(&p->work, &p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

kv_pool *kv_pool_new(unsigned n_threads)
{
    if (n_threads == 0) {
        long n = sysconf(_SC_NPROCESSORS_ONLN);
        n_threads = n > 0 ? (unsigned)n : 1;
    }
    kv_pool *p = calloc(1, sizeof(*p) + n_threads * sizeof(p->threads[0]));
    if (!p) return NULL;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    for (; p->n_threads < n_threads; p->n_threads++)
        if (pthread_create(&p->threads[p->n_threads], NULL, worker, p)) break;
    if (p->n_threads == 0) {
        kv_pool_free(p);
        return NULL;
    }
    return p;
}

void kv_pool_free(kv_pool *p)
{
    if (!p) return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->n_threads; i++) pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

unsigned kv_pool_threads(const kv_pool *p)
{
    return p ? p->n_threads : 1;
}

static kv_code run_here(size_t n, kv_task_fn *fn, void *ctx, kv_error *err)
{
    for (size_t i = 0; i < n; i++) KV_TRY(fn(ctx, i, err));
    return KV_OK;
}

kv_code kv_pool_each(kv_pool *p, size_t n, unsigned at_most, kv_task_fn *fn, void *ctx,
                     kv_error *err)
{
    if (!p || n == 1 || at_most == 1) return run_here(n, fn, ctx, err);
    if (n == 0) return KV_OK;
    batch b = {.fn = fn, .ctx = ctx, .n = n, .at_most = at_most ? at_most : n, .err = err};
    pthread_cond_init(&b.done, NULL);
    pthread_mutex_lock(&p->lock);
    batch **tail = &p->open;
    while (*tail) tail = &(*tail)->next;
    *tail = &b;
    pthread_cond_broadcast(&p->work);
    while (b.running || ready(&b)) pthread_cond_wait(&b.done, &p->lock);
    for (batch **at = &p->open; *at; at = &(*at)->next)
        if (*at == &b) {
            *at = b.next;
            break;
        }
    pthread_mutex_unlock(&p->lock);
    pthread_cond_destroy(&b.done);
    return b.code;
}

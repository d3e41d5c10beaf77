#include "codec/aside.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SLOT = 256 << 10, /* what a hub's request body hands out at once; stays in cache */
    N_SLOTS = 3,      /* one filled, one hashed, one between */
    AT_ONCE_MAX = 16,
};

typedef struct slot {
    size_t n;
    uint8_t *bytes;
} slot;

typedef struct kv_aside {
    kv_hasher hasher; /* the other thread's until it has ended */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    slot slots[N_SLOTS];
    size_t n_filled, n_hashed; /* slots so far; the lock guards both and end */
    bool end;
    size_t in_slot; /* bytes in the slot being filled; the caller's */
} kv_aside;

static atomic_uint n_alive;

static unsigned at_once(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    if (n < 2) return 0;
    return n < AT_ONCE_MAX ? (unsigned)n : AT_ONCE_MAX;
}

static void *hash_all(void *arg)
{
    kv_aside *a = arg;
    pthread_mutex_lock(&a->lock);
    for (;;) {
        while (a->n_hashed == a->n_filled && !a->end) pthread_cond_wait(&a->changed, &a->lock);
        if (a->n_hashed == a->n_filled) break;
        const slot *s = &a->slots[a->n_hashed % N_SLOTS];
        pthread_mutex_unlock(&a->lock);
        kv_hasher_add(&a->hasher, s->bytes, s->n);
        pthread_mutex_lock(&a->lock);
        a->n_hashed++;
        pthread_cond_signal(&a->changed);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

static void free_aside(kv_aside *a)
{
    for (size_t i = 0; i < N_SLOTS; i++) free(a->slots[i].bytes);
    pthread_cond_destroy(&a->changed);
    pthread_mutex_destroy(&a->lock);
    free(a);
    atomic_fetch_sub(&n_alive, 1);
}

static kv_aside *make_aside(const kv_hasher *h)
{
    kv_aside *a = calloc(1, sizeof(*a));
    if (!a) {
        atomic_fetch_sub(&n_alive, 1);
        return NULL;
    }
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->changed, NULL);
    a->hasher = *h;
    bool ok = true;
    for (size_t i = 0; i < N_SLOTS && ok; i++) ok = (a->slots[i].bytes = malloc(SLOT)) != NULL;
    if (!ok || pthread_create(&a->thread, NULL, hash_all, a) != 0) {
        free_aside(a);
        return NULL;
    }
    return a;
}

void kv_hashing_aside(kv_hashing *h)
{
    if (h->aside) return;
    if (atomic_fetch_add(&n_alive, 1) >= at_once())
        atomic_fetch_sub(&n_alive, 1);
    else
        h->aside = make_aside(&h->hasher);
}

/* The slot being filled, once the other thread has left it. */
static slot *free_slot(kv_aside *a)
{
    pthread_mutex_lock(&a->lock);
    while (a->n_filled - a->n_hashed == N_SLOTS) pthread_cond_wait(&a->changed, &a->lock);
    slot *s = &a->slots[a->n_filled % N_SLOTS];
    pthread_mutex_unlock(&a->lock);
    return s;
}

static void hand_over(kv_aside *a, slot *s)
{
    s->n = a->in_slot;
    a->in_slot = 0;
    pthread_mutex_lock(&a->lock);
    a->n_filled++;
    pthread_cond_signal(&a->changed);
    pthread_mutex_unlock(&a->lock);
}

static void add(kv_aside *a, const void *p, size_t n)
{
    const uint8_t *at = p;
    while (n) {
        slot *s = free_slot(a);
        size_t part = SLOT - a->in_slot < n ? SLOT - a->in_slot : n;
        memcpy(s->bytes + a->in_slot, at, part);
        a->in_slot += part;
        at += part;
        n -= part;
        if (a->in_slot == SLOT) hand_over(a, s);
    }
}

void kv_hashing_add(kv_hashing *h, const void *p, size_t n)
{
    if (h->aside)
        add(h->aside, p, n);
    else
        kv_hasher_add(&h->hasher, p, n);
}

kv_hasher *kv_hashing_join(kv_hashing *h)
{
    kv_aside *a = h->aside;
    if (!a) return &h->hasher;
    if (a->in_slot) hand_over(a, free_slot(a));
    pthread_mutex_lock(&a->lock);
    a->end = true;
    pthread_cond_signal(&a->changed);
    pthread_mutex_unlock(&a->lock);
    pthread_join(a->thread, NULL);
    h->hasher = a->hasher;
    h->aside = NULL;
    free_aside(a);
    return &h->hasher;
}

#include "hub/service/byte_cache.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { N_CHAINS = 1024, ENTRY_COST = 128 /* what an entry takes beside its content, about */ };

struct kv_bytes {
    kv_bytes *chain;         /* of the same hash */
    kv_bytes *newer, *older; /* by last use */
    atomic_uint held;        /* one by the cache while it is in there */
    size_t n_name, n;
    char mem[]; /* name, content */
};

struct kv_byte_cache {
    pthread_mutex_t lock;
    size_t max_bytes, max_entry, used;
    kv_bytes *newest, *oldest;
    kv_bytes *chains[N_CHAINS];
};

kv_byte_cache *kv_byte_cache_new(size_t max_bytes, size_t max_entry)
{
    kv_byte_cache *c = calloc(1, sizeof(*c));
    if (!c) return NULL;
    pthread_mutex_init(&c->lock, NULL);
    c->max_bytes = max_bytes;
    c->max_entry = max_entry;
    return c;
}

static size_t cost_of(const kv_bytes *b)
{
    return b->n_name + b->n + ENTRY_COST;
}

/* FNV-1a; names are digests, so nobody chooses them freely. */
static kv_bytes **chain_of(kv_byte_cache *c, kv_sv name)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < name.n; i++) h = (h ^ (uint8_t)name.p[i]) * 16777619u;
    return &c->chains[h % N_CHAINS];
}

static kv_sv name_of(const kv_bytes *b)
{
    return (kv_sv){b->mem, b->n_name};
}

static void leave_row(kv_byte_cache *c, kv_bytes *b)
{
    *(b->newer ? &b->newer->older : &c->newest) = b->older;
    *(b->older ? &b->older->newer : &c->oldest) = b->newer;
}

static void enter_row(kv_byte_cache *c, kv_bytes *b)
{
    b->newer = NULL;
    b->older = c->newest;
    *(c->newest ? &c->newest->newer : &c->oldest) = b;
    c->newest = b;
}

static void drop(kv_byte_cache *c, kv_bytes *b)
{
    kv_bytes **at = chain_of(c, name_of(b));
    while (*at != b) at = &(*at)->chain;
    *at = b->chain;
    leave_row(c, b);
    c->used -= cost_of(b);
    kv_bytes_release(b);
}

static kv_bytes *find(kv_byte_cache *c, kv_sv name)
{
    for (kv_bytes *b = *chain_of(c, name); b; b = b->chain)
        if (kv_sv_eq(name_of(b), name)) return b;
    return NULL;
}

void kv_byte_cache_free(kv_byte_cache *c)
{
    if (!c) return;
    while (c->oldest) drop(c, c->oldest);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

kv_bytes *kv_byte_cache_get(kv_byte_cache *c, kv_sv name)
{
    pthread_mutex_lock(&c->lock);
    kv_bytes *b = find(c, name);
    if (b) {
        leave_row(c, b);
        enter_row(c, b);
        atomic_fetch_add(&b->held, 1);
    }
    pthread_mutex_unlock(&c->lock);
    return b;
}

static kv_bytes *new_entry(kv_sv name, kv_sv bytes)
{
    kv_bytes *b = malloc(sizeof(*b) + name.n + bytes.n);
    if (!b) return NULL;
    *b = (kv_bytes){.n_name = name.n, .n = bytes.n};
    atomic_init(&b->held, 1); /* by the caller */
    memcpy(b->mem, name.p, name.n);
    if (bytes.n) memcpy(b->mem + name.n, bytes.p, bytes.n);
    return b;
}

kv_bytes *kv_byte_cache_put(kv_byte_cache *c, kv_sv name, kv_sv bytes)
{
    kv_bytes *b = new_entry(name, bytes);
    if (!b || bytes.n > c->max_entry) return b;
    pthread_mutex_lock(&c->lock);
    if (!find(c, name)) {
        kv_bytes **at = chain_of(c, name);
        b->chain = *at;
        *at = b;
        enter_row(c, b);
        atomic_fetch_add(&b->held, 1);
        c->used += cost_of(b);
        while (c->used > c->max_bytes) drop(c, c->oldest);
    }
    pthread_mutex_unlock(&c->lock);
    return b;
}

kv_sv kv_bytes_sv(const kv_bytes *b)
{
    return (kv_sv){b->mem + b->n_name, b->n};
}

void kv_bytes_release(kv_bytes *b)
{
    if (b && atomic_fetch_sub(&b->held, 1) == 1) free(b);
}

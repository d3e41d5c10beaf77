#include "base/mem.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void kv_close_fd(int *fd)
{
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

void kv_free_str(char **p)
{
    free(*p);
    *p = NULL;
}

void *kv_take(void *pp)
{
    void *p;
    memcpy(&p, pp, sizeof(p));
    memset(pp, 0, sizeof(p)); /* all-zero is NULL on every platform we build for */
    return p;
}

bool kv_grow(void *items, size_t n, size_t *cap, size_t size)
{
    if (n < *cap) return true;
    size_t want = *cap ? *cap : 8, bytes;
    if (*cap && kv_ckd_mul(&want, *cap, (size_t)2)) return false;
    if (kv_ckd_mul(&bytes, want, size)) return false;
    void *old;
    memcpy(&old, items, sizeof(old));
    void *p = realloc(old, bytes);
    if (!p) return false;
    memcpy(items, &p, sizeof(p));
    *cap = want;
    return true;
}

typedef struct chunk {
    struct chunk *next;
    alignas(max_align_t) char bytes[];
} chunk;

struct kv_arena {
    chunk *chunks;
    char *at;
    size_t left;      /* bytes left in the current chunk */
    size_t max, used; /* bytes handed out, rounded up */
};

enum { CHUNK_BYTES = 4096 - sizeof(chunk) - 16 };

kv_arena *kv_arena_new(size_t max_bytes)
{
    kv_arena *a = calloc(1, sizeof(*a));
    if (a) a->max = max_bytes;
    return a;
}

void *kv_arena_alloc(kv_arena *a, size_t n, size_t size)
{
    size_t bytes;
    if (kv_ckd_mul(&bytes, n, size)) return NULL;
    if (kv_ckd_add(&bytes, bytes, alignof(max_align_t) - 1)) return NULL;
    bytes &= ~(alignof(max_align_t) - 1);
    if (bytes == 0) bytes = alignof(max_align_t);
    if (bytes > a->max - a->used) return NULL;
    if (bytes > a->left) {
        size_t want = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
        chunk *c = calloc(1, sizeof(*c) + want);
        if (!c) return NULL;
        c->next = a->chunks;
        a->chunks = c;
        a->at = c->bytes;
        a->left = want;
    }
    void *p = a->at;
    a->at += bytes;
    a->left -= bytes;
    a->used += bytes;
    return p;
}

kv_sv kv_arena_dup(kv_arena *a, kv_sv s)
{
    size_t n;
    if (kv_ckd_add(&n, s.n, (size_t)1)) return (kv_sv){0};
    char *p = kv_arena_alloc(a, n, 1);
    if (!p) return (kv_sv){0};
    if (s.n) memcpy(p, s.p, s.n);
    return (kv_sv){p, s.n};
}

void kv_arena_free(kv_arena *a)
{
    if (!a) return;
    for (chunk *c = a->chunks; c;) {
        chunk *next = c->next;
        free(c);
        c = next;
    }
    free(a);
}

#pragma once
/* Memory: cleanup variables, checked arithmetic, arenas. */
#include <stddef.h>

#include "kitvault/sv.h"

#define KV_COUNT(a) (sizeof(a) / sizeof((a)[0]))

void kv_close_fd(int *fd); /* closes once, never again on EINTR: Linux has already released it */
#define kv_auto_fd KV_CLEANUP(kv_close_fd) int /* initialise with -1 or an open descriptor */
void kv_free_str(char **p);
typedef char *kv_owned_str;
#define kv_auto_str KV_CLEANUP(kv_free_str) kv_owned_str /* malloc'ed text, or NULL */
void *kv_take(void *pp); /* pp points to a pointer: returns it, leaves NULL behind */
#define KV_TAKE(p) ((__typeof__(p))kv_take(&(p)))

/* Result in *out; true means overflow. Argument order of C23 <stdckdint.h>. */
#define kv_ckd_add(out, a, b) __builtin_add_overflow((a), (b), (out))
#define kv_ckd_mul(out, a, b) __builtin_mul_overflow((a), (b), (out))

/**
 * Makes room for one more element: *items (malloc'ed array of *cap elements of `size` bytes, may
 * be NULL) has at least n + 1 afterwards. Returns false when memory is gone; *items is then
 * untouched. Use: if (!KV_GROW(v->items, v->n, &v->cap)) return kv_fail(err, KV_E_NOMEM, ...);
 */
bool kv_grow(void *items, size_t n, size_t *cap, size_t size);
#define KV_GROW(items, n, cap) kv_grow(&(items), (n), (cap), sizeof(*(items)))

/**
 * An arena: zeroed memory, aligned for any type, freed together.
 * max_bytes bounds what may be handed out in all; the bound is the caller's limit on hostile input.
 * Threads: one at a time.
 */
typedef struct kv_arena kv_arena;
kv_arena *kv_arena_new(size_t max_bytes);                 /* NULL: no memory */
void *kv_arena_alloc(kv_arena *a, size_t n, size_t size); /* NULL: overflow, limit, no memory */
/** A NUL-terminated copy in the arena: {NULL, 0} when memory or limit is gone. */
kv_sv kv_arena_dup(kv_arena *a, kv_sv s);
void kv_arena_free(kv_arena *a);
#define KV_NEW(arena, T, n) ((T *)kv_arena_alloc((arena), (n), sizeof(T)))
KV_DEFINE_AUTO(kv_arena, kv_arena_free)

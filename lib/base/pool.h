#pragma once
/* The thread pool. One per process, made in main, passed down. */
#include "kitvault/error.h"
#include "kitvault/sv.h"

typedef struct kv_pool kv_pool;
/** n_threads 0: one per processor. NULL when threads or memory cannot be had. */
kv_pool *kv_pool_new(unsigned n_threads);
void kv_pool_free(kv_pool *pool);
unsigned kv_pool_threads(const kv_pool *pool); /* NULL: 1 */
KV_DEFINE_AUTO(kv_pool, kv_pool_free)

typedef kv_code kv_task_fn(void *ctx, size_t i, kv_error *err);
/**
 * Runs fn(ctx, 0..n-1) on the pool, and returns when all are done. The first error is kept and
 * stops indices that have not begun. A task owns its slot of the result array, and never waits for
 * another task of the same pool. at_most bounds how many run at once (0: the pool's threads).
 * pool NULL: runs in the caller, in order. Threads: shared.
 */
KV_MUST_CHECK kv_code kv_pool_each(kv_pool *pool, size_t n, unsigned at_most, kv_task_fn *fn,
                                   void *ctx, kv_error *err);

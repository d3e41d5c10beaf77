#pragma once
/*
 * What the hub does from time to time, on one thread: each chore when its period is over, and once
 * at the start. Chores may be skipped or repeated without harm; work that must not be lost is a
 * row of the job table. Threads: shared.
 */
#include "base/str.h"

typedef struct kv_chores kv_chores;
/** A failure is logged, and the chore tried again when its period is over, and not before half a
 * minute. */
typedef kv_code kv_chore_fn(void *ctx, kv_error *err);
typedef struct kv_chore {
    const char *name; /* for the log */
    unsigned period_ms;
    kv_chore_fn *run;
} kv_chore;

/** Starts the thread. The table is borrowed; ctx goes to every chore. */
KV_MUST_CHECK kv_code kv_chores_start(const kv_chore *chores, size_t n, void *ctx, kv_chores **out,
                                      kv_error *err);
/** Waits for the chore that runs, and ends the thread. NULL is fine. */
void kv_chores_stop(kv_chores *c);
KV_DEFINE_AUTO(kv_chores, kv_chores_stop)

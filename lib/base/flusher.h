#pragma once
/*
 * Makes files durable while they are still being written. Writing back what is dirty is not enough:
 * a disk, or the machine under a virtual one, keeps a cache of its own, and the flush of that cache
 * is what the sync at the end of a large file waits for (half of the time, where it was measured).
 * One thread for all files, begun with the first.
 */
#include "base/str.h"

typedef struct kv_flusher kv_flusher; /* shared */
kv_flusher *kv_flusher_new(void);     /* NULL: no memory */
void kv_flusher_free(kv_flusher *f);  /* every file was waited for; NULL is fine */

/** One file that is being written. Zero it, set fd, keep it in place. One thread at a time. */
typedef struct kv_flush {
    int fd; /* borrowed */
    /* private */
    struct kv_flush *next;
    bool asked, running;
    int sys; /* errno of the first failure: the system tells it once */
} kv_flush;

/** Asks for what was written so far to be made durable; returns at once. */
void kv_flusher_ask(kv_flusher *f, kv_flush *file);
/**
 * No flush of the file runs or will run when it returns. What was written is not durable by this
 * alone: the caller syncs the rest, and then this failure counts as its own.
 */
KV_MUST_CHECK kv_code kv_flusher_wait(kv_flusher *f, kv_flush *file, kv_error *err);

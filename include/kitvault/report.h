#pragma once
/* How long work tells its caller what it does: lines, progress, and the wish to stop. */
#include <stdatomic.h>

#include "kitvault/error.h"
#include "kitvault/sv.h"

typedef enum kv_level { KV_TRACE, KV_DEBUG, KV_INFO, KV_WARN, KV_ERROR } kv_level;

/**
 * The host's ears. Every member may be NULL, and so may a pointer to the whole.
 * Threads: the callbacks are called from any thread, also at once; the host locks.
 */
typedef struct kv_report {
    /* One finished line without newline. KV_INFO lines are the texts users and scripts read. */
    void (*line)(void *ctx, kv_level level, kv_sv text);
    /* Progress of one piece of work: id is unique while it runs, done <= total (bytes). Total 0:
     * unknown. what: "Packing", "Unpacking", "Copying 1c18a3e8"; done == total ends it. */
    void (*progress)(void *ctx, uint64_t id, kv_sv what, uint64_t done, uint64_t total);
    void *ctx;
    const atomic_bool *cancel; /* true: stop as soon as nothing is lost, with KV_E_CANCELLED */
} kv_report;

/** Formats one line and hands it to report->line. report may be NULL. */
KV_API void kv_say(const kv_report *report, kv_level level, const char *fmt, ...) KV_PRINTF(3, 4);
/** Hands progress on; costs nothing when nobody listens. */
KV_API void kv_progress(const kv_report *report, uint64_t id, kv_sv what, uint64_t done,
                        uint64_t total);
/** KV_E_CANCELLED with a text when the host asked to stop, else KV_OK. */
KV_API KV_MUST_CHECK kv_code kv_check_cancel(const kv_report *report, kv_error *err);

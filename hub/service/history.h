#pragma once
/* Reading the audit log: all of it, or what happened to one repository, tag or digest. */
#include "hub/db/q_audit.h"
#include "hub/service/audit.h"

typedef struct kv_event_page { /* what to read */
    int64_t before;            /* leaves with a smaller seq, newest first; 0: from the newest */
    bool upwards;              /* instead: leaves behind `since`, oldest first */
    int64_t since;
    int64_t at_most;
} kv_event_page;

/** Events of the whole hub. fn gets each; non-KV_OK from it stops and is returned. */
KV_MUST_CHECK kv_code kv_events_all(kv_db *db, const kv_event_page *page, kv_leaf_fn *fn, void *ctx,
                                    kv_error *err);
/** Changes in a repository; tag and digest ("": any) narrow it. Errors: KV_E_NOTFOUND. */
KV_MUST_CHECK kv_code kv_events_of_repository(kv_db *db, kv_sv repository, kv_sv tag, kv_sv digest,
                                              const kv_event_page *page, kv_leaf_fn *fn, void *ctx,
                                              kv_error *err);
/** How many events there are: the number of the last one. */
KV_MUST_CHECK kv_code kv_events_count(kv_db *db, int64_t *out, kv_error *err);

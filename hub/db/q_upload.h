#pragma once
/* Rows of uploads in progress (a working table). Threads: as kv_tx. */
#include "base/clock.h"
#include "codec/hasher.h"
#include "hub/db/db.h"

typedef struct kv_upload_row {
    char id[KV_UUID_MAX];
    char principal_id[KV_UUID_MAX]; /* "": anonymous, or authorisation is off */
    kv_digest_alg alg;
    uint64_t n_received; /* bytes that state covers */
} kv_upload_row;

KV_MUST_CHECK kv_code kv_q_upload_insert(kv_tx *tx, const kv_upload_row *row, kv_sv repository,
                                         int64_t now_us, kv_error *err);
/** The upload of that id in that repository; state (may be NULL) gets what was saved, nothing when
 * nothing was. Errors: KV_E_NOTFOUND. */
KV_MUST_CHECK kv_code kv_q_upload_find(kv_tx *tx, const char *id, kv_sv repository,
                                       kv_upload_row *out, kv_buf *state, kv_error *err);
KV_MUST_CHECK kv_code kv_q_upload_save(kv_tx *tx, const char *id, uint64_t n_received, kv_sv state,
                                       int64_t now_us, kv_error *err);
/** Puts off its expiry. */
KV_MUST_CHECK kv_code kv_q_upload_touch(kv_tx *tx, const char *id, int64_t now_us, kv_error *err);
/** A missing one is fine. */
KV_MUST_CHECK kv_code kv_q_upload_delete(kv_tx *tx, const char *id, kv_error *err);
/** How many there are: of one principal ("" counts those of nobody). */
KV_MUST_CHECK kv_code kv_q_upload_count(kv_tx *tx, const char *principal_id, uint64_t *out,
                                        kv_error *err);
/** The id of one that nobody touched since before_us. Errors: KV_E_NOTFOUND: none is. */
KV_MUST_CHECK kv_code kv_q_upload_stale(kv_tx *tx, int64_t before_us, char out_id[KV_UUID_MAX],
                                        kv_error *err);

#pragma once
/* Rows of referrers: manifests of a repository that name a subject. Threads: as kv_tx. */
#include "hub/db/db.h"

typedef struct kv_referrer_row {
    const char *subject, *digest;
    kv_sv artifact_type; /* empty: none */
    kv_sv descriptor;    /* JSON, as the referrers list shows it */
} kv_referrer_row;

/** Known already is fine. */
KV_MUST_CHECK kv_code kv_q_referrer_add(kv_tx *tx, const char *repository_id,
                                        const kv_referrer_row *row, kv_error *err);
/** Forgets a manifest as a referrer; it need not be one. */
KV_MUST_CHECK kv_code kv_q_referrer_drop(kv_tx *tx, const char *repository_id, const char *digest,
                                         kv_error *err);
/** Bytes of all descriptors kv_q_referrer_each would show. */
KV_MUST_CHECK kv_code kv_q_referrer_bytes(kv_tx *tx, kv_sv repository, const char *subject,
                                          kv_sv artifact_type, kv_sv last, uint64_t *out,
                                          kv_error *err);
/** Called for each row; false stops. Both texts are borrowed for the call. */
typedef bool kv_referrer_fn(void *ctx, kv_sv digest, kv_sv descriptor);
/** Referrers of subject in a repository of that name behind `last` in byte order of their digests;
 * of one artifact type unless that is empty. No such repository: none. fn must not use tx. */
KV_MUST_CHECK kv_code kv_q_referrer_each(kv_tx *tx, kv_sv repository, const char *subject,
                                         kv_sv artifact_type, kv_sv last, kv_referrer_fn *fn,
                                         void *ctx, kv_error *err);

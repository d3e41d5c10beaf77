#pragma once
/* Rows of the audit log: leaves, tree nodes, checkpoints, and the personal data leaves name by
 * hash. Threads: as kv_tx. */
#include "codec/merkle.h"
#include "hub/db/db.h"

typedef struct kv_leaf_row { /* borrows; empty members are stored as NULL */
    int64_t seq, time_us;
    kv_sv actor_id, action, object_key, object_digest, repo_id;
    kv_sv leaf;
} kv_leaf_row;

/** Number and time of the last leaf; both 0 when there is none. */
KV_MUST_CHECK kv_code kv_q_audit_last(kv_tx *tx, int64_t *out_seq, int64_t *out_time_us,
                                      kv_error *err);
/** Number of the last leaf about the object; 0: there is none. */
KV_MUST_CHECK kv_code kv_q_audit_last_of(kv_tx *tx, kv_sv object_key, int64_t *out_seq,
                                         kv_error *err);
/** Adds the row and the nodes it completes, and counts the leaf for tx. seq is the next one. */
KV_MUST_CHECK kv_code kv_q_audit_append(kv_tx *tx, const kv_leaf_row *row, kv_error *err);
/** Root of the tree of the first `size` leaves. Errors: KV_E_CORRUPT (a node is missing). */
KV_MUST_CHECK kv_code kv_q_audit_root(kv_tx *tx, int64_t size, kv_hash32 *out, kv_error *err);

typedef kv_code kv_hash_fn(void *ctx, const kv_hash32 *hash, kv_error *err);
/** The n nodes of a level from idx on, in order. Errors: KV_E_CORRUPT (one is missing). */
KV_MUST_CHECK kv_code kv_q_audit_nodes(kv_tx *tx, unsigned level, int64_t idx, int64_t n,
                                       kv_hash_fn *fn, void *ctx, kv_error *err);

typedef struct kv_leaf_view { /* borrowed for the duration of the call */
    int64_t seq, time_us;
    kv_sv leaf;
    kv_sv actor_name; /* of today; "": not known (any more) */
} kv_leaf_view;
typedef kv_code kv_leaf_fn(void *ctx, const kv_leaf_view *leaf, kv_error *err);
/** Leaves with from <= seq, at most limit, upwards; fn must not use tx. Non-KV_OK stops. */
KV_MUST_CHECK kv_code kv_q_audit_from(kv_tx *tx, int64_t from, int64_t limit, kv_leaf_fn *fn,
                                      void *ctx, kv_error *err);
/** Leaves with seq < before, at most limit, downwards. */
KV_MUST_CHECK kv_code kv_q_audit_before(kv_tx *tx, int64_t before, int64_t limit, kv_leaf_fn *fn,
                                        void *ctx, kv_error *err);
/**
 * The same for what happened in one repository: leaves about its tags and versions that changed
 * something (no pulls). tag and digest narrow it, "" does not.
 */
KV_MUST_CHECK kv_code kv_q_audit_of_repository(kv_tx *tx, kv_sv repo_id, kv_sv tag, kv_sv digest,
                                               int64_t before, int64_t limit, kv_leaf_fn *fn,
                                               void *ctx, kv_error *err);

/** Size of the last checkpoint; 0: none. */
KV_MUST_CHECK kv_code kv_q_checkpoint_last(kv_tx *tx, int64_t *out_size, kv_error *err);
/** Adds one; the same size again is fine. */
KV_MUST_CHECK kv_code kv_q_checkpoint_add(kv_tx *tx, int64_t size, const kv_hash32 *root,
                                          int64_t time_us, kv_sv note, kv_error *err);

/** The hash under which a person's datum is known; false when it is not. */
KV_MUST_CHECK kv_code kv_q_pii_find(kv_tx *tx, kv_sv principal_id, kv_sv kind, kv_sv value,
                                    kv_buf *out_hash, bool *out_found, kv_error *err);
KV_MUST_CHECK kv_code kv_q_pii_add(kv_tx *tx, kv_sv hash, kv_sv principal_id, kv_sv kind,
                                   kv_sv value, kv_sv salt, int64_t now_us, kv_error *err);

/** A number a background job keeps; 0 when it has none yet. */
KV_MUST_CHECK kv_code kv_q_progress_get(kv_tx *tx, kv_sv name, int64_t *out, kv_error *err);
KV_MUST_CHECK kv_code kv_q_progress_set(kv_tx *tx, kv_sv name, int64_t value, kv_error *err);

#pragma once
/* Rows of blobs and of their links to repositories. Digests are text. Threads: as kv_tx. */
#include "hub/db/db.h"
#include "hub/db/q_repository.h"

/** Size of a blob that the repository of that name hands out. Errors: KV_E_NOTFOUND. */
KV_MUST_CHECK kv_code kv_q_blob_in(kv_tx *tx, kv_sv repository, const char *digest,
                                   uint64_t *out_size, kv_error *err);
/** The same by the repository's id. */
KV_MUST_CHECK kv_code kv_q_blob_linked(kv_tx *tx, const char *repository_id, const char *digest,
                                       uint64_t *out_size, kv_error *err);
/** Says that the store holds a blob; known already is fine. */
KV_MUST_CHECK kv_code kv_q_blob_add(kv_tx *tx, const char *digest, uint64_t size, int64_t now_us,
                                    kv_error *err);
/** Lets a repository hand it out; linked already is fine. */
KV_MUST_CHECK kv_code kv_q_blob_link(kv_tx *tx, const char *repository_id, const char *digest,
                                     int64_t now_us, kv_error *err);
KV_MUST_CHECK kv_code kv_q_blob_unlink(kv_tx *tx, const char *repository_id, const char *digest,
                                       kv_error *err);
/** Whether a live version of the repository needs the blob. */
KV_MUST_CHECK kv_code kv_q_blob_in_use(kv_tx *tx, const char *repository_id, const char *digest,
                                       bool *out, kv_error *err);
/** Names of the repositories that hold a blob, in order. fn must not use tx. */
KV_MUST_CHECK kv_code kv_q_blob_holders(kv_tx *tx, const char *digest, kv_name_fn *fn, void *ctx,
                                        kv_error *err);

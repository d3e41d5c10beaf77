#pragma once
/* Rows of tags: history, of which those without an end are live. Threads: as kv_tx. */
#include "hub/db/db.h"
#include "hub/db/q_repository.h"
#include "kitvault/digest.h"

/** The digest a live tag names. Errors: KV_E_NOTFOUND. */
KV_MUST_CHECK kv_code kv_q_tag_find(kv_tx *tx, const char *repository_id, kv_sv name,
                                    char out_digest[KV_DIGEST_TEXT_MAX], kv_error *err);
/** Ends the live row of a tag. */
KV_MUST_CHECK kv_code kv_q_tag_end(kv_tx *tx, const char *repository_id, kv_sv name, int64_t seq,
                                   kv_error *err);
/** Begins a live row. */
KV_MUST_CHECK kv_code kv_q_tag_begin(kv_tx *tx, const char *repository_id, kv_sv name,
                                     const char *digest, int64_t seq, kv_error *err);
/** Live tags behind `last` ("" for all) in byte order. fn must not use tx. */
KV_MUST_CHECK kv_code kv_q_tag_each(kv_tx *tx, const char *repository_id, kv_sv last,
                                    kv_name_fn *fn, void *ctx, kv_error *err);
/** Live tags that name a digest, in byte order. fn must not use tx. */
KV_MUST_CHECK kv_code kv_q_tag_each_of(kv_tx *tx, const char *repository_id, const char *digest,
                                       kv_name_fn *fn, void *ctx, kv_error *err);

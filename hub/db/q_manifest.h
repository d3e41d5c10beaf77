#pragma once
/* Rows of manifests, of what they point to, and of versions (a manifest in a repository). Digests
 * are text, as the manifest was pushed: one document under sha256 and sha512 is two of them.
 * Threads: as kv_tx. */
#include "base/clock.h"
#include "hub/db/db.h"
#include "kitvault/digest.h"

#define KV_MEDIA_TYPE_MAX 256 /* bytes with NUL; RFC 6838 allows 127 + '/' + 127 */

/** What answers a read: a live version found by tag or digest. */
typedef struct kv_version_found {
    char repository_id[KV_UUID_MAX];
    char version_id[KV_UUID_MAX];
    char digest[KV_DIGEST_TEXT_MAX];
    char media_type[KV_MEDIA_TYPE_MAX];
    uint64_t size; /* bytes of the manifest */
} kv_version_found;
/** Errors: KV_E_NOTFOUND. */
KV_MUST_CHECK kv_code kv_q_version_by_tag(kv_tx *tx, kv_sv repository, kv_sv tag,
                                          kv_version_found *out, kv_error *err);
KV_MUST_CHECK kv_code kv_q_version_by_digest(kv_tx *tx, kv_sv repository, const char *digest,
                                             kv_version_found *out, kv_error *err);
/** Errors: KV_E_NOTFOUND. */
KV_MUST_CHECK kv_code kv_q_manifest_bytes(kv_tx *tx, const char *digest, kv_buf *out,
                                          kv_error *err);

typedef struct kv_manifest_row {
    const char *digest;
    kv_sv media_type, artifact_type, subject; /* empty: none */
    kv_sv bytes;
} kv_manifest_row;
/** Known already is fine; out_new (may be NULL) tells. */
KV_MUST_CHECK kv_code kv_q_manifest_add(kv_tx *tx, const kv_manifest_row *row, bool *out_new,
                                        kv_error *err);
/** kind: "config", "layer" or "manifest". The same one twice is fine. */
KV_MUST_CHECK kv_code kv_q_manifest_points_to(kv_tx *tx, const char *manifest, const char *digest,
                                              const char *kind, uint64_t size, kv_error *err);

typedef struct kv_version_row {
    char id[KV_UUID_MAX];
    int64_t number; /* 0: none yet */
    bool live;
} kv_version_row;
/** Live or not. Errors: KV_E_NOTFOUND. */
KV_MUST_CHECK kv_code kv_q_version_find(kv_tx *tx, const char *repository_id, const char *digest,
                                        kv_version_row *out, kv_error *err);
/** Size of a live version's manifest. Errors: KV_E_NOTFOUND. */
KV_MUST_CHECK kv_code kv_q_version_size(kv_tx *tx, const char *repository_id, const char *digest,
                                        uint64_t *out_size, kv_error *err);
/** A new row, live from seq. number 0: none. by: a principal's id, "" for none. */
KV_MUST_CHECK kv_code kv_q_version_insert(kv_tx *tx, const kv_version_row *row,
                                          const char *repository_id, const char *digest, kv_sv by,
                                          int64_t now_us, int64_t seq, kv_error *err);
/** Makes an ended row live again. */
KV_MUST_CHECK kv_code kv_q_version_revive(kv_tx *tx, const char *id, kv_sv by, int64_t now_us,
                                          int64_t seq, kv_error *err);
KV_MUST_CHECK kv_code kv_q_version_set_number(kv_tx *tx, const char *id, int64_t number,
                                              kv_error *err);
KV_MUST_CHECK kv_code kv_q_version_end(kv_tx *tx, const char *id, int64_t seq, kv_error *err);

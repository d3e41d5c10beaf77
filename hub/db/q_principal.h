#pragma once
/* Rows of people, their passwords and what they were granted; the hub's own identity and keys.
 * Threads: as kv_tx. */
#include "base/clock.h"
#include "codec/secret.h"
#include "hub/db/db.h"

#define KV_USER_NAME_MAX 64

typedef struct kv_principal_row {
    char id[KV_UUID_MAX];
    char name[KV_USER_NAME_MAX + 1];
    int64_t created_at_us;
    bool disabled;
    bool admin;         /* holds the role admin of the whole hub */
    int64_t generation; /* of the password; 0: has none */
    char password_hash[KV_PASSWORD_HASH_MAX];
} kv_principal_row;

/** Errors: KV_E_NOTFOUND. */
KV_MUST_CHECK kv_code kv_q_principal_by_name(kv_tx *tx, kv_sv name, kv_principal_row *out,
                                             kv_error *err);
KV_MUST_CHECK kv_code kv_q_principal_by_id(kv_tx *tx, kv_sv id, kv_principal_row *out,
                                           kv_error *err);
typedef kv_code kv_principal_fn(void *ctx, const kv_principal_row *row, kv_error *err);
/** Those whose name is behind `after`, by name, at most limit; fn must not use tx. */
KV_MUST_CHECK kv_code kv_q_principal_each(kv_tx *tx, kv_sv after, int64_t limit,
                                          kv_principal_fn *fn, void *ctx, kv_error *err);
KV_MUST_CHECK kv_code kv_q_principal_has_admin(kv_tx *tx, bool *out, kv_error *err);
/** Adds a user. Errors: KV_E_EXISTS (the name). */
KV_MUST_CHECK kv_code kv_q_principal_add(kv_tx *tx, const char *id, kv_sv name, int64_t now_us,
                                         int64_t seq, kv_error *err);
/** Sets the password, with the next generation. */
KV_MUST_CHECK kv_code kv_q_password_set(kv_tx *tx, const char *principal_id, const char *hash,
                                        int64_t seq, kv_error *err);

typedef kv_code kv_grant_fn(void *ctx, kv_sv ns, kv_sv role, kv_error *err);
/** Live grants of namespaces, by namespace. fn must not use tx. */
KV_MUST_CHECK kv_code kv_q_grant_each(kv_tx *tx, kv_sv principal_id, kv_grant_fn *fn, void *ctx,
                                      kv_error *err);
/** The live role in a scope (a namespace's id, "" the whole hub); "" when there is none. */
KV_MUST_CHECK kv_code kv_q_grant_get(kv_tx *tx, kv_sv principal_id, kv_sv scope, kv_buf *out_role,
                                     kv_error *err);
/** Ends the live grant of the scope, if any. */
KV_MUST_CHECK kv_code kv_q_grant_end(kv_tx *tx, kv_sv principal_id, kv_sv scope, int64_t seq,
                                     kv_error *err);
KV_MUST_CHECK kv_code kv_q_grant_add(kv_tx *tx, kv_sv principal_id, kv_sv scope, kv_sv role,
                                     int64_t seq, kv_error *err);

/** The hub's id, made by kv_q_instance_add at its first start. Errors: KV_E_NOTFOUND. */
KV_MUST_CHECK kv_code kv_q_instance_get(kv_tx *tx, char out_id[KV_UUID_MAX], kv_error *err);
KV_MUST_CHECK kv_code kv_q_instance_add(kv_tx *tx, const char *id, int64_t now_us, kv_error *err);
/** A key all nodes share. Errors: KV_E_NOTFOUND, KV_E_CORRUPT (not of n bytes). */
KV_MUST_CHECK kv_code kv_q_secret_get(kv_tx *tx, kv_sv name, void *out, size_t n, kv_error *err);
KV_MUST_CHECK kv_code kv_q_secret_add(kv_tx *tx, kv_sv name, const void *value, size_t n,
                                      int64_t now_us, kv_error *err);

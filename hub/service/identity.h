#pragma once
/*
 * Who asks: passwords, tokens, and what their owners are granted.
 *
 * A password costs tens of milliseconds and 19 MiB to check, so one is checked at a time, and what
 * was right is remembered for some minutes as a keyed hash in memory. People and their grants are
 * kept in memory too, until one of them changes.
 * Threads: shared.
 */
#include "codec/secret.h"
#include "hub/service/audit.h"

typedef struct kv_identity kv_identity;

/**
 * Opens, with the hub's id and its token key; makes both at the first start, in one transaction
 * with the leaf node.started that every start writes.
 * authorization  false: nobody is asked who they are (only told in the leaf)
 * Ownership: db and audit are borrowed.
 */
KV_MUST_CHECK kv_code kv_identity_open(kv_db *db, kv_audit *audit, bool authorization,
                                       kv_identity **out, kv_error *err);
void kv_identity_close(kv_identity *id); /* NULL is fine */
KV_DEFINE_AUTO(kv_identity, kv_identity_close)
kv_db *kv_identity_db(const kv_identity *id);
kv_audit *kv_identity_audit(const kv_identity *id);

/* The two below fill in who is meant; the source (address, user_agent, ...) is already in *io.
 * What they add lies in arena. */

/**
 * By name and password.
 * out_wait_s is 0, or the seconds to wait before another try is looked at.
 * Errors: KV_E_AUTH (wrong, or to wait), KV_E_BUSY (too many are being checked), those of the
 * database.
 */
KV_MUST_CHECK kv_code kv_identity_password(kv_identity *id, kv_sv name, kv_sv password,
                                           kv_arena *arena, kv_principal *io, unsigned *out_wait_s,
                                           kv_error *err);
/** By a token of kv_identity_issue. Errors: KV_E_AUTH (not ours, expired, its owner's password has
 * changed or its owner is disabled). */
KV_MUST_CHECK kv_code kv_identity_token(kv_identity *id, kv_sv token, kv_arena *arena,
                                        kv_principal *io, kv_error *err);

typedef struct kv_issued {
    kv_sv token;
    int64_t issued_us;
    unsigned expires_in_s;
    const kv_scope *scopes; /* what of the asked was granted */
    size_t n_scopes;
} kv_issued;
/**
 * A token for who with what of `asked` they are granted now; nothing of it is no error. A token
 * that allows to push lives for hours, since clients use one for a whole upload.
 * Errors: KV_E_LIMIT (too many repositories at once).
 */
KV_MUST_CHECK kv_code kv_identity_issue(kv_identity *id, const kv_principal *who,
                                        const kv_scope *asked, size_t n_asked, kv_arena *arena,
                                        kv_issued *out, kv_error *err);

typedef struct kv_sign_ins { /* since the start */
    uint64_t password_ok, password_failed, token_ok, token_failed;
} kv_sign_ins;
kv_sign_ins kv_identity_sign_ins(const kv_identity *id);

/** Hashes a new password, one at a time. Errors: KV_E_INVALID (too short or long), KV_E_BUSY. */
KV_MUST_CHECK kv_code kv_identity_hash(kv_identity *id, kv_sv password,
                                       char out[KV_PASSWORD_HASH_MAX], kv_error *err);
/** The hub's id: a UUID, made at its first start. */
const char *kv_identity_hub(const kv_identity *id);

/** After every change of users, passwords and grants: what is kept in memory is no longer good. */
void kv_identity_changed(kv_identity *id);

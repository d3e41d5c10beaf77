#pragma once
/*
 * Bearer tokens of the registry: opaque to clients, sealed with a key of the hub, so that checking
 * one takes no database.
 *
 *   "kvs_" base64url(CLAIMS) "." base64url(HMAC-SHA-256(key, everything before the dot))
 *
 * CLAIMS is text, a line each: principal id (empty: anonymous), generation of its password, id of
 * the token, issued at, expires at (seconds), then per repository "ALLOW NAME" with ALLOW a decimal
 * sum of KV_ALLOW_... . What a token allows is at most this and at most what its owner is granted
 * at the time of use.
 */
#include "codec/secret.h"
#include "hub/service/principal.h"

#define KV_TOKEN_TEXT_MAX 6144 /* must fit into a request's head with everything else */
#define KV_TOKEN_SCOPES_MAX 64

typedef struct kv_token { /* borrows */
    kv_sv principal_id, id;
    int64_t generation;
    int64_t issued_s, expires_s;
    const kv_scope *scopes;
    size_t n_scopes;
} kv_token;

/** Appends the text. Errors: KV_E_LIMIT (too many scopes). Pure. */
KV_MUST_CHECK kv_code kv_token_format(const uint8_t key[KV_MAC_BYTES], const kv_token *t,
                                      kv_buf *out, kv_error *err);
/** Errors: KV_E_AUTH (not one of ours, changed, expired), KV_E_NOMEM. out lies in arena. Pure. */
KV_MUST_CHECK kv_code kv_token_parse(const uint8_t key[KV_MAC_BYTES], kv_sv text, int64_t now_s,
                                     kv_arena *arena, kv_token *out, kv_error *err);

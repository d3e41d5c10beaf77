#pragma once
/* Header fields with an inner grammar, as servers send them. Pure parsers of hostile bytes. */
#include "base/str.h"

typedef struct kv_challenge { /* one way to authenticate; strings lie in the arena */
    kv_sv scheme;             /* "Bearer", "Basic", ... in any case */
    kv_sv realm, service, scope, error;
} kv_challenge;
#define KV_CHALLENGES_MAX 16 /* own; registries send one or two */
/**
 * Parses one WWW-Authenticate value, which may hold several challenges; appends to out[*n].
 * Parameters that are not named above are skipped.
 * Errors: KV_E_SYNTAX (out keeps what came before), KV_E_LIMIT, KV_E_NOMEM.
 * Source: RFC 9110, 11.6.1.
 */
KV_MUST_CHECK kv_code kv_challenge_parse(kv_sv value, kv_arena *arena,
                                         kv_challenge out[KV_CHALLENGES_MAX], size_t *n,
                                         kv_error *err);

/** The target of the first link with rel=next in a Link value; {NULL, 0} when there is none, or
 * none that parses. Source: RFC 8288, section 3. */
kv_sv kv_link_next(kv_sv value);

/**
 * "0-41" as registries tell how much of an upload they hold: *out_n 42. "bytes=0-41" is taken too.
 * "0-0" is how some say that they hold nothing, and means so here. False: not of that form.
 * Source: OCI distribution-spec 1.1, "Pushing a blob in chunks"; oci-registry.md 4.
 */
bool kv_upload_range_parse(kv_sv value, uint64_t *out_n);

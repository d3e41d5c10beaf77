#pragma once
/* The one decision on who may do what. Pure: all that counts is in the principal. */
#include "hub/hub.h"
#include "hub/service/principal.h"

/**
 * May who exercise right on the repository (its whole name; "" where the right has no object)?
 * The answer is the same whether or not the repository exists.
 * Errors: KV_E_AUTH (not signed in, or with a token that does not reach this far: the challenge
 * asks for more), KV_E_NOTFOUND (signed in and without read: as if absent), KV_E_DENIED (may read,
 * and not this).
 * Source: hub-features.md 4.3, oci-registry.md 6.
 */
KV_MUST_CHECK kv_code kv_rights_check(const kv_principal *who, kv_right right, kv_sv repository,
                                      kv_error *err);

/** The role of who in a namespace, whatever token they came with. Pure. */
kv_role kv_rights_role(const kv_principal *who, kv_sv ns);
/** "team" of "team/demo"; "_" for a name of one component. Borrowed or static. */
kv_sv kv_rights_namespace(kv_sv repository);
/** The actions (KV_ALLOW_...) somebody of that role may take. */
unsigned kv_rights_allowed(kv_role role);

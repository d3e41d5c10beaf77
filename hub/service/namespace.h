#pragma once
/* Namespaces: the first component of a repository's name, what rights are granted on. */
#include "base/clock.h"
#include "hub/service/audit.h"

/** 2 to 64 of a-z 0-9 with single '.', '_' or '-' between; not a word the hub's own pages need;
 * or "_", the namespace of repositories with one component. Pure. Source: hub-features.md 1. */
bool kv_namespace_name_valid(kv_sv name);
/** 2 to 64 characters of the same grammar, for the names of users. Pure. */
bool kv_user_name_valid(kv_sv name);

/** Finds the id of the namespace, or makes it with its leaf; tx is a state transaction. A push may
 * bring any first component of a repository's name, but for the words the hub needs itself.
 * Errors: KV_E_INVALID (such a word). */
KV_MUST_CHECK kv_code kv_namespace_ensure(kv_audit *audit, kv_tx *tx, const kv_principal *who,
                                          kv_sv ns, char out_id[KV_UUID_MAX], kv_error *err);

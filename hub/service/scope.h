#pragma once
/* The scope of a token request: "repository:team/demo:pull,push". */
#include "hub/service/principal.h"

/**
 * Parses one scope: TYPE[(CLASS)]:NAME:ACTIONS, cut at the first and the last colon, since a name
 * may hold a host and a port. Actions that are not known are left out; "*" is all of them.
 * out_known false: nothing we grant anything on (another type, a name that is no repository's), to
 * be ignored. out borrows from text.
 * Errors: KV_E_SYNTAX (fewer than two colons, an empty part).
 * Threads: pure. Source: distribution, docs/spec/auth/scope; oci-registry.md 6.2.
 */
KV_MUST_CHECK kv_code kv_scope_parse(kv_sv text, kv_scope *out, bool *out_known, kv_error *err);
/** "pull,push,delete" as far as allow has them. */
void kv_scope_actions_add(unsigned allow, kv_buf *out);

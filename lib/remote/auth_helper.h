#pragma once
/* Docker's credential helpers: programs docker-credential-NAME that keep logins. */
#include "base/str.h"
#include "kitvault/credentials.h"

/*
 * name comes from a config file and must be a plain word; server is the address the helper keys
 * logins by. Errors of all: KV_E_INVALID (name), KV_E_IO (the helper failed; its words),
 * KV_E_UNSUPPORTED (no such program), KV_E_TIMEOUT (30 s). Source: oci-registry.md 6.3.
 */

/** Errors: also KV_E_NOTFOUND when the helper knows no login. */
KV_MUST_CHECK kv_code kv_auth_helper_get(kv_sv name, const char *server, kv_login *out,
                                         kv_error *err);
KV_MUST_CHECK kv_code kv_auth_helper_store(kv_sv name, const char *server, const kv_login *login,
                                           kv_error *err);
/** None there is fine. */
KV_MUST_CHECK kv_code kv_auth_helper_erase(kv_sv name, const char *server, kv_error *err);

/** The answer of "get", for tests and fuzzing: {"Username","Secret"}; the user "<token>" means that
 * the secret is an identity token. Errors: KV_E_INVALID, of the JSON parser. */
KV_MUST_CHECK kv_code kv_auth_helper_parse(kv_sv json, kv_login *out, kv_error *err);

#pragma once
/* Docker's config format as far as it concerns logins: parse, look up, rewrite. Pure. */
#include "kitvault/credentials.h"
#include "json/json.h"

#define KV_AUTH_FILE_MAX (1u << 20) /* own */

typedef struct kv_auth_file { /* zero it; clear it. The zero value is an empty file */
    kv_jdoc *doc;
} kv_auth_file;
void kv_auth_file_clear(kv_auth_file *f);
#define kv_auto_auth_file KV_CLEANUP(kv_auth_file_clear) kv_auth_file

/** Errors: of kv_jdoc_parse; KV_E_INVALID (a member that should be an object is not). Text of
 * blanks alone is an empty file. Source: oci-registry.md 6.3. */
KV_MUST_CHECK kv_code kv_auth_file_parse(kv_sv text, kv_auth_file *out, kv_error *err);

/**
 * What all names of one registry come down to: "https://Hub.example/v1/" -> "hub.example"; the
 * names of Docker Hub are "index.docker.io".
 */
KV_MUST_CHECK kv_code kv_auth_host(kv_sv name, kv_buf *out, kv_error *err);

/** Name of the helper for host (canonical): credHelpers, else credsStore; empty: none. */
kv_sv kv_auth_file_helper(const kv_auth_file *f, kv_sv host);
/** The login kept in the file itself. Errors: KV_E_NOTFOUND, KV_E_INVALID ("auth" is broken). */
KV_MUST_CHECK kv_code kv_auth_file_get(const kv_auth_file *f, kv_sv host, kv_login *out,
                                       kv_error *err);
/**
 * The file's text with host's entry replaced (login NULL: dropped) and everything else kept, as kit
 * writes it: indented by tabs, no newline at the end.
 */
KV_MUST_CHECK kv_code kv_auth_file_format(const kv_auth_file *f, kv_sv host, const kv_login *login,
                                          kv_buf *out, kv_error *err);

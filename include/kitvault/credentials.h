#pragma once
/* Logins to registries, kept as kit and Docker keep them. */
#include "kitvault/error.h"
#include "kitvault/sv.h"

/** One login, owned by whoever holds it. Zero it, fill it, clear it. */
typedef struct kv_login {
    char *user;   /* NULL: secret is an identity (refresh) token */
    char *secret; /* password or token; NULL: no login */
    bool bearer;  /* secret is a finished bearer token ("registrytoken") */
} kv_login;
/** Wipes and frees. */
KV_API void kv_login_clear(kv_login *login);
#define kv_auto_login KV_CLEANUP(kv_login_clear) kv_login

/** A credentials file, and Docker's own behind it for reading. Threads: shared (one lock inside). */
typedef struct kv_credentials kv_credentials;
/**
 * path is `credentials.json` in the home; it need not exist. Nothing is read before it is needed.
 * Source: kit-compat.md 7.2, oci-registry.md 6.3.
 */
KV_API KV_MUST_CHECK kv_code kv_credentials_open(const char *path, kv_credentials **out,
                                                 kv_error *err);
KV_API void kv_credentials_close(kv_credentials *c);
KV_DEFINE_AUTO(kv_credentials, kv_credentials_close)

/**
 * The login for a registry ("host" or "host:port"); "docker.io" and its other names are one host.
 * Order: credHelpers, credsStore, auths of our file; then the same of $DOCKER_CONFIG/config.json or
 * ~/.docker/config.json. A helper is a program; asking it may take up to 30 s.
 * Errors: KV_E_NOTFOUND (none), KV_E_SYNTAX or KV_E_INVALID (a broken file, named), KV_E_IO (a
 * helper failed).
 */
KV_API KV_MUST_CHECK kv_code kv_credentials_get(kv_credentials *c, kv_sv host, kv_login *out,
                                                kv_error *err);
/**
 * Keeps a login in our file (mode 0600, replaced as a whole, unknown keys kept), or in the helper
 * that the file names. Never touches Docker's file.
 */
KV_API KV_MUST_CHECK kv_code kv_credentials_put(kv_credentials *c, kv_sv host,
                                                const kv_login *login, kv_error *err);
/** Forgets a login; none there is fine. */
KV_API KV_MUST_CHECK kv_code kv_credentials_drop(kv_credentials *c, kv_sv host, kv_error *err);

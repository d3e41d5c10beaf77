#pragma once
/* The first administrator of a hub that has none. */
#include "hub/service/user.h"

/**
 * Adds the user "admin" when nobody can administer the hub yet, with the password in password_file
 * (its first line), or, when that is "", with a new one that is written to
 * DATA/initial-admin-password (mode 0600) before the user exists, so that no crash leaves a user
 * whose password nobody knows.
 * out_made: a new password was written. Errors: those of the file, KV_E_INVALID (its password).
 */
KV_MUST_CHECK kv_code kv_first_admin(kv_identity *id, const char *data, const char *password_file,
                                     bool *out_made, kv_error *err);

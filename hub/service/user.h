#pragma once
/* Users: adding, listing, passwords, grants. That the caller may was decided before, except that
 * kv_user_get and kv_user_set_password also serve users about themselves. */
#include "hub/service/identity.h"

typedef struct kv_user { /* lies in the caller's arena */
    kv_sv id, name;
    bool admin, disabled;
    int64_t created_at_us;
    const kv_member *grants;
    size_t n_grants;
} kv_user;

/** Errors: KV_E_NOTFOUND; the same for somebody else's name unless who is an administrator. */
KV_MUST_CHECK kv_code kv_user_get(kv_identity *id, const kv_principal *who, kv_sv name,
                                  kv_arena *arena, kv_user *out, kv_error *err);

typedef struct kv_users {
    kv_user *items;
    size_t n;
    bool more; /* there are others behind the last one */
} kv_users;
/** Users whose name is behind `after`, by name, at most `at_most`. */
KV_MUST_CHECK kv_code kv_user_list(kv_identity *id, kv_sv after, size_t at_most, kv_arena *arena,
                                   kv_users *out, kv_error *err);

typedef struct kv_new_user {
    kv_sv name, password;
    kv_sv email; /* "": none; goes into the erasable table alone */
    bool admin;
} kv_new_user;
/** Errors: KV_E_INVALID (name, password), KV_E_EXISTS. */
KV_MUST_CHECK kv_code kv_user_add(kv_identity *id, const kv_principal *who, const kv_new_user *u,
                                  kv_error *err);
/** Every login and token of before is no longer valid. Errors: KV_E_NOTFOUND, KV_E_INVALID. */
KV_MUST_CHECK kv_code kv_user_set_password(kv_identity *id, const kv_principal *who, kv_sv name,
                                           kv_sv password, kv_error *err);
/**
 * Gives a user a role in a namespace, which is made when missing; KV_ROLE_NONE takes it away. The
 * role that is there already is no change and no event.
 * Errors: KV_E_NOTFOUND (user), KV_E_INVALID (name of the namespace).
 */
KV_MUST_CHECK kv_code kv_user_grant(kv_identity *id, const kv_principal *who, kv_sv name, kv_sv ns,
                                    kv_role role, kv_error *err);

/** Whether anybody can administer this hub yet. */
KV_MUST_CHECK kv_code kv_user_has_admin(kv_identity *id, bool *out, kv_error *err);

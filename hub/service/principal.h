#pragma once
/* Who asks, and from where: made by the authorisation hook for every request, handed to every
 * service call. */
#include "base/str.h"

/** A namespace and what somebody may do there. */
typedef enum kv_role { KV_ROLE_NONE, KV_ROLE_READ, KV_ROLE_WRITE, KV_ROLE_ADMIN } kv_role;
const char *kv_role_name(kv_role role); /* "read" */

/** Bits of what a token allows in one repository; the OCI actions. */
enum { KV_ALLOW_PULL = 1, KV_ALLOW_PUSH = 2, KV_ALLOW_DELETE = 4 };
typedef struct kv_scope {
    kv_sv repository;
    unsigned allow;
} kv_scope;

typedef struct kv_member { /* one live grant */
    kv_sv ns;
    kv_role role;
} kv_member;

/** Borrows everything from the request's arena. Read-only once made. */
typedef struct kv_principal {
    const char *type;  /* "user", "anonymous", "system": actor.type of a leaf */
    kv_sv id;          /* UUID; "" for anonymous */
    kv_sv name;        /* as it is today */
    const char *authn; /* "password", "token", "none" */
    unsigned aal;      /* 0: nobody was authenticated */
    kv_sv token_id;
    bool everything; /* authorisation is off (--no-auth), or the hub itself acts */
    bool admin;
    const kv_member *members;
    size_t n_members;
    bool limited; /* signed in with a token: scopes bounds what is allowed */
    const kv_scope *scopes;
    size_t n_scopes;
    /* the source of the request; address and user_agent are personal data */
    kv_sv address, user_agent, request_id;
    const char *adapter; /* "oci", "api"; NULL: none */
} kv_principal;

/** The hub itself, for what no request asked for. */
extern const kv_principal KV_PRINCIPAL_SYSTEM;

#include "hub/service/rights.h"

kv_sv kv_rights_namespace(kv_sv repository)
{
    size_t slash = kv_sv_find(repository, '/');
    return slash == SIZE_MAX ? KV_SV("_") : kv_sv_sub(repository, 0, slash);
}

kv_role kv_rights_role(const kv_principal *who, kv_sv ns)
{
    if (who->everything || who->admin) return KV_ROLE_ADMIN;
    for (size_t i = 0; i < who->n_members; i++)
        if (kv_sv_eq(who->members[i].ns, ns)) return who->members[i].role;
    return KV_ROLE_NONE;
}

unsigned kv_rights_allowed(kv_role role)
{
    switch (role) {
    case KV_ROLE_NONE: return 0;
    case KV_ROLE_READ: return KV_ALLOW_PULL;
    case KV_ROLE_WRITE:
    case KV_ROLE_ADMIN: return KV_ALLOW_PULL | KV_ALLOW_PUSH | KV_ALLOW_DELETE;
    }
    return 0;
}

static unsigned needed(kv_right right)
{
    switch (right) {
    case KV_RIGHT_NONE:
    case KV_RIGHT_PING:
    case KV_RIGHT_USER:
    case KV_RIGHT_ADMIN: return 0;
    case KV_RIGHT_PULL: return KV_ALLOW_PULL;
    case KV_RIGHT_PUSH: return KV_ALLOW_PUSH;
    case KV_RIGHT_DELETE: return KV_ALLOW_DELETE;
    }
    return 0;
}

static unsigned token_allows(const kv_principal *who, kv_sv repository)
{
    if (!who->limited) return KV_ALLOW_PULL | KV_ALLOW_PUSH | KV_ALLOW_DELETE;
    unsigned allow = 0;
    for (size_t i = 0; i < who->n_scopes; i++)
        if (kv_sv_eq(who->scopes[i].repository, repository)) allow |= who->scopes[i].allow;
    return allow & KV_ALLOW_PUSH ? allow | KV_ALLOW_PULL : allow;
}

kv_code kv_rights_check(const kv_principal *who, kv_right right, kv_sv repository, kv_error *err)
{
    if (right == KV_RIGHT_NONE || who->everything) return KV_OK;
    if (!who->id.n) return kv_fail(err, KV_E_AUTH, "authentication required");
    unsigned need = needed(right);
    if (right == KV_RIGHT_ADMIN && !who->admin)
        return kv_fail(err, KV_E_DENIED, "only an administrator may do this");
    if (right == KV_RIGHT_ADMIN && who->limited)
        return kv_fail(err, KV_E_AUTH, "a registry token does not reach the administration");
    if (need == 0) return KV_OK;

    unsigned role_allows = kv_rights_allowed(kv_rights_role(who, kv_rights_namespace(repository)));
    if (!(role_allows & KV_ALLOW_PULL))
        return kv_fail(err, KV_E_NOTFOUND, "repository '%.*s' not found", KV_ARG(repository));
    if (!(role_allows & need))
        return kv_fail(err, KV_E_DENIED, "%.*s of '%.*s' is not granted to you",
                       KV_ARG(need == KV_ALLOW_PUSH ? KV_SV("push") : KV_SV("delete")),
                       KV_ARG(repository));
    if (!(token_allows(who, repository) & need))
        return kv_fail(err, KV_E_AUTH, "the token does not reach this repository and action");
    return KV_OK;
}

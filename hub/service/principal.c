#include "hub/service/principal.h"

const char *kv_role_name(kv_role role)
{
    switch (role) {
    case KV_ROLE_NONE: return "none";
    case KV_ROLE_READ: return "read";
    case KV_ROLE_WRITE: return "write";
    case KV_ROLE_ADMIN: return "admin";
    }
    return "none";
}

const kv_principal KV_PRINCIPAL_SYSTEM = {.type = "system", .authn = "none", .everything = true};

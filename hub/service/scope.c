#include "hub/service/scope.h"

#include "kitvault/reference.h"

static const struct {
    const char *name;
    unsigned allow;
} ACTIONS[] = {
    {"pull", KV_ALLOW_PULL},
    {"push", KV_ALLOW_PUSH},
    {"delete", KV_ALLOW_DELETE},
    {"*", KV_ALLOW_PULL | KV_ALLOW_PUSH | KV_ALLOW_DELETE},
};

static unsigned actions_of(kv_sv list)
{
    unsigned allow = 0;
    for (bool more = true; more;) {
        kv_sv action;
        list = kv_sv_cut(list, ',', &action, &more);
        for (size_t i = 0; i < KV_COUNT(ACTIONS); i++)
            if (kv_sv_is(action, ACTIONS[i].name)) allow |= ACTIONS[i].allow;
    }
    return allow;
}

kv_code kv_scope_parse(kv_sv text, kv_scope *out, bool *out_known, kv_error *err)
{
    size_t first = kv_sv_find(text, ':'), last = kv_sv_rfind(text, ':');
    *out_known = false;
    if (first == SIZE_MAX || first == last || first == 0 || last == first + 1 || last + 1 == text.n)
        return kv_fail(err, KV_E_SYNTAX, "scope '%.*s' is not of the form TYPE:NAME:ACTIONS",
                       KV_ARG(kv_sv_sub(text, 0, 300)));
    kv_sv type = kv_sv_sub(text, 0, first);
    size_t open = kv_sv_find(type, '('); /* a class tells nothing here */
    if (open != SIZE_MAX && kv_sv_ends(type, KV_SV(")"))) type = kv_sv_sub(type, 0, open);
    *out = (kv_scope){.repository = kv_sv_sub(text, first + 1, last),
                      .allow = actions_of(kv_sv_from(text, last + 1))};
    *out_known = kv_sv_is(type, "repository") && kv_repository_name_valid(out->repository);
    return KV_OK;
}

void kv_scope_actions_add(unsigned allow, kv_buf *out)
{
    bool first = true;
    for (size_t i = 0; i < 3; i++) {
        if (!(allow & ACTIONS[i].allow)) continue;
        if (!first) kv_buf_addc(out, ',');
        kv_buf_adds(out, ACTIONS[i].name);
        first = false;
    }
}

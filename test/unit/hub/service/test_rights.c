#include "hub/service/rights.h"

#include "test/test.h"

static const kv_member MEMBERS[] = {{KV_SV_INIT("team"), KV_ROLE_WRITE},
                                    {KV_SV_INIT("pub"), KV_ROLE_READ}};
static const kv_scope PULL[] = {{KV_SV_INIT("team/demo"), KV_ALLOW_PULL}};
static const kv_scope PUSH[] = {{KV_SV_INIT("team/demo"), KV_ALLOW_PUSH}};
#define ANNA .type = "user", .id = KV_SV_INIT("u1"), .members = MEMBERS, .n_members = 2
static const kv_principal NOBODY = {.type = "anonymous"};
static const kv_principal OPEN = {.type = "anonymous", .everything = true};
static const kv_principal USER = {ANNA};
static const kv_principal PULLER = {ANNA, .limited = true, .scopes = PULL, .n_scopes = 1};
static const kv_principal PUSHER = {ANNA, .limited = true, .scopes = PUSH, .n_scopes = 1};
static const kv_principal ADMIN = {.type = "user", .id = KV_SV_INIT("u0"), .admin = true};
static const kv_principal ADMIN_TOKEN = {
    .type = "user", .id = KV_SV_INIT("u0"), .admin = true, .limited = true};

static void decisions(void **state)
{
    static const struct {
        const char *name;
        const kv_principal *who;
        kv_right right;
        const char *repository;
        kv_code want;
    } CASES[] = {
        {"anybody may ask for health", &NOBODY, KV_RIGHT_NONE, "", KV_OK},
        {"ping is challenged", &NOBODY, KV_RIGHT_PING, "", KV_E_AUTH},
        {"ping", &USER, KV_RIGHT_PING, "", KV_OK},
        {"anonymous pull", &NOBODY, KV_RIGHT_PULL, "team/demo", KV_E_AUTH},
        {"anonymous push", &NOBODY, KV_RIGHT_PUSH, "team/demo", KV_E_AUTH},
        {"no authorisation", &OPEN, KV_RIGHT_ADMIN, "", KV_OK},
        {"no authorisation, push", &OPEN, KV_RIGHT_PUSH, "a", KV_OK},
        {"writer pulls", &USER, KV_RIGHT_PULL, "team/demo", KV_OK},
        {"writer pushes", &USER, KV_RIGHT_PUSH, "team/new", KV_OK},
        {"writer deletes", &USER, KV_RIGHT_DELETE, "team/a/b", KV_OK},
        {"reader pulls", &USER, KV_RIGHT_PULL, "pub/x", KV_OK},
        {"reader pushes", &USER, KV_RIGHT_PUSH, "pub/x", KV_E_DENIED},
        {"reader deletes", &USER, KV_RIGHT_DELETE, "pub/x", KV_E_DENIED},
        {"stranger pulls", &USER, KV_RIGHT_PULL, "other/x", KV_E_NOTFOUND},
        {"stranger pushes", &USER, KV_RIGHT_PUSH, "other/x", KV_E_NOTFOUND},
        {"a prefix is not the namespace", &USER, KV_RIGHT_PULL, "team2/x", KV_E_NOTFOUND},
        {"namespace of short names", &USER, KV_RIGHT_PULL, "team", KV_E_NOTFOUND},
        {"user administers", &USER, KV_RIGHT_ADMIN, "", KV_E_DENIED},
        {"token pulls", &PULLER, KV_RIGHT_PULL, "team/demo", KV_OK},
        {"token of another repository", &PULLER, KV_RIGHT_PULL, "team/other", KV_E_AUTH},
        {"token pushes", &PULLER, KV_RIGHT_PUSH, "team/demo", KV_E_AUTH},
        {"token of an ungranted one", &PULLER, KV_RIGHT_PULL, "other/x", KV_E_NOTFOUND},
        {"push token pulls", &PUSHER, KV_RIGHT_PULL, "team/demo", KV_OK},
        {"push token deletes", &PUSHER, KV_RIGHT_DELETE, "team/demo", KV_E_AUTH},
        {"administrator pushes", &ADMIN, KV_RIGHT_PUSH, "any/thing", KV_OK},
        {"administrator", &ADMIN, KV_RIGHT_ADMIN, "", KV_OK},
        {"administrator by registry token", &ADMIN_TOKEN, KV_RIGHT_ADMIN, "", KV_E_AUTH},
        {"administrator by empty token", &ADMIN_TOKEN, KV_RIGHT_PULL, "a/b", KV_E_AUTH},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_error err = {0};
        kv_code got = kv_rights_check(CASES[i].who, CASES[i].right, kv_sv_of(CASES[i].repository),
                                      &err);
        if (got != CASES[i].want) fail_msg("%s: %d '%s'", CASES[i].name, (int)got, err.msg);
    }
}

KV_TEST_MAIN(cmocka_unit_test(decisions))

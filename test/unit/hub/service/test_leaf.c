#include "hub/service/leaf.h"

#include "test/test.h"
#include "json/json.h"

static const kv_member MEMBERS[] = {{KV_SV_INIT("team"), KV_ROLE_WRITE}};
static const kv_principal ANNA = {
    .type = "user",
    .id = KV_SV_INIT("0193596c-0000-7000-8000-000000000001"),
    .name = KV_SV_INIT("anna"),
    .authn = "token",
    .aal = 1,
    .token_id = KV_SV_INIT("t1"),
    .members = MEMBERS,
    .n_members = 1,
    .user_agent = KV_SV_INIT("oras/1.2.0 (linux)"),
    .request_id = KV_SV_INIT("r1"),
    .adapter = "oci",
};
static const kv_principal NOBODY = {.type = "anonymous", .authn = "none", .everything = true};

static const kv_event MOVED = {
    .action = "tag.moved",
    .object = {.type = "tag",
               .id = KV_SV_INIT("repo-id"),
               .ns = KV_SV_INIT("team"),
               .repo = KV_SV_INIT("team/demo"),
               .ref = KV_SV_INIT("v1"),
               .digest = KV_SV_INIT("sha256:bb"),
               .repo_id = KV_SV_INIT("repo-id")},
    .old_value = KV_SV_INIT("{\"digest\":\"sha256:aa\"}"),
    .new_value = KV_SV_INIT("{\"digest\":\"sha256:bb\"}"),
    .detail = KV_SV_INIT("{\"media_type\":\"a/b\"}"),
    .size = 12,
};
static const kv_event STARTED = {.action = "node.started"};
static const kv_event REFUSED = {
    .action = "auth.failed", .outcome = KV_OUTCOME_DENIED, .code = KV_SV_INIT("bad_password")};

/* Written by hand from docs/format/audit-leaf.md: these bytes can never change. */
static void fixed_bytes(void **state)
{
    static const struct {
        const char *name;
        kv_leaf leaf;
        const char *want;
    } CASES[] = {
        {"everything",
         {.seq = 7,
          .time_us = 1764000000123456,
          .prev_object_seq = 3,
          .node = KV_SV_INIT("n1"),
          .who = &ANNA,
          .ev = &MOVED,
          .ip_hash = KV_SV_INIT("ab"),
          .pii = {{KV_SV_INIT("email"), KV_SV_INIT("cd")},
                  {KV_SV_INIT("user_agent"), KV_SV_INIT("ef")}},
          .n_pii = 2},
         "{\"action\":\"tag.moved\",\"actor\":{\"aal\":1,\"authn\":\"token\",\"id\":\"0193596c-"
         "0000-7000-8000-000000000001\",\"roles\":[\"write\"],\"token_id\":\"t1\",\"type\":"
         "\"user\"},\"detail\":{\"media_type\":\"a/b\"},\"new\":{\"digest\":\"sha256:bb\"},"
         "\"node\":\"n1\",\"object\":{\"digest\":\"sha256:bb\",\"id\":\"repo-id\",\"ns\":\"team\","
         "\"ref\":\"v1\",\"repo\":\"team/demo\",\"type\":\"tag\"},\"old\":{\"digest\":\"sha256:aa\""
         "},\"outcome\":\"ok\",\"pii_hash\":{\"email\":\"cd\",\"user_agent\":\"ef\"},"
         "\"prev_object_seq\":3,\"request_id\":\"r1\",\"seq\":7,\"size\":12,\"source\":{"
         "\"adapter\":\"oci\",\"ip_hash\":\"ab\",\"ua_class\":\"oras\"},\"time\":\"2025-11-24T16:"
         "00:00.123456Z\",\"v\":1}"},
        {"almost nothing",
         {.seq = 1, .time_us = 0, .who = &KV_PRINCIPAL_SYSTEM, .ev = &STARTED},
         "{\"action\":\"node.started\",\"actor\":{\"authn\":\"none\",\"type\":\"system\"},"
         "\"outcome\":\"ok\",\"seq\":1,\"time\":\"1970-01-01T00:00:00.000000Z\",\"v\":1}"},
        {"refused",
         {.seq = 2, .time_us = 1, .who = &NOBODY, .ev = &REFUSED},
         "{\"action\":\"auth.failed\",\"actor\":{\"authn\":\"none\",\"type\":\"anonymous\"},"
         "\"code\":\"bad_password\",\"outcome\":\"denied\",\"seq\":2,\"time\":\"1970-01-01T00:00:"
         "00.000001Z\",\"v\":1}"},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_error err = {0};
        kv_auto_buf got = KV_BUF(KV_LEAF_MAX), again = KV_BUF(KV_LEAF_MAX);
        if (kv_leaf_format(&CASES[i].leaf, &got, &err) != KV_OK ||
            !kv_sv_is(kv_buf_sv(&got), CASES[i].want))
            fail_msg("%s: '%s'\n%s", CASES[i].name, err.msg, got.p ? got.p : "");
        assert_int_equal(kv_json_canonical(kv_buf_sv(&got), &again, &err), KV_OK);
        if (!kv_sv_eq(kv_buf_sv(&again), kv_buf_sv(&got)))
            fail_msg("%s: not canonical: %s", CASES[i].name, again.p);
    }
}

static void object_keys(void **state)
{
    static const struct {
        kv_object o;
        const char *want;
    } CASES[] = {
        {{0}, ""},
        {{.type = "tag"}, ""},
        {{.type = "tag", .id = KV_SV_INIT("r"), .ref = KV_SV_INIT("v1"), .digest = KV_SV_INIT("d")},
         "tag:r:v1"},
        {{.type = "blob", .id = KV_SV_INIT("r"), .digest = KV_SV_INIT("d")}, "blob:r:d"},
        {{.type = "version", .id = KV_SV_INIT("v"), .digest = KV_SV_INIT("d")}, "version:v"},
        {{.type = "user", .id = KV_SV_INIT("u"), .name = KV_SV_INIT("anna")}, "user:u"},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto_buf b = KV_BUF(100);
        kv_object_key_add(&CASES[i].o, &b);
        if (!kv_sv_is(kv_buf_sv(&b), CASES[i].want)) fail_msg("%zu: '%s'", i, b.p ? b.p : "");
    }
}

static void user_agents(void **state)
{
    static const struct {
        kv_sv ua;
        const char *want;
    } CASES[] = {
        {KV_SV_INIT(""), ""},
        {KV_SV_INIT("kitvault/0.1.0"), "kitvault"},
        {KV_SV_INIT("Mozilla/5.0 (X11)"), "browser"},
        {KV_SV_INIT("containers/5.16.0 (github.com/containers/image)"), "containers"},
        {KV_SV_INIT("anna's own client"), "other"},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++)
        assert_string_equal(kv_user_agent_class(CASES[i].ua), CASES[i].want);
}

KV_TEST_MAIN(cmocka_unit_test(fixed_bytes), cmocka_unit_test(object_keys),
             cmocka_unit_test(user_agents))

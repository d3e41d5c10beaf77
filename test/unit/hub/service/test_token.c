#include "hub/service/token.h"

#include <string.h>

#include "hub/service/scope.h"
#include "test/test.h"

#define ALL (KV_ALLOW_PULL | KV_ALLOW_PUSH | KV_ALLOW_DELETE)

static void scopes(void **state)
{
    static const struct {
        const char *text;
        kv_code want;
        bool known;
        const char *name;
        unsigned allow;
    } CASES[] = {
        {"repository:team/demo:pull", KV_OK, true, "team/demo", KV_ALLOW_PULL},
        {"repository:team/demo:pull,push", KV_OK, true, "team/demo", KV_ALLOW_PULL | KV_ALLOW_PUSH},
        {"repository:a:*", KV_OK, true, "a", ALL},
        {"repository:a:delete,fly", KV_OK, true, "a", KV_ALLOW_DELETE},
        {"repository:a:fly", KV_OK, true, "a", 0},
        {"repository:a:pull,,pull", KV_OK, true, "a", KV_ALLOW_PULL},
        {"repository(plugin):a:pull", KV_OK, true, "a", KV_ALLOW_PULL},
        {"repository:host:5000/a:pull", KV_OK, false, NULL, 0},
        {"repository:Upper:pull", KV_OK, false, NULL, 0},
        {"repository:../a:pull", KV_OK, false, NULL, 0},
        {"registry:catalog:*", KV_OK, false, NULL, 0},
        {"samalba/my-app:pull", KV_E_SYNTAX, false, NULL, 0},
        {"", KV_E_SYNTAX, false, NULL, 0},
        {":", KV_E_SYNTAX, false, NULL, 0},
        {"::", KV_E_SYNTAX, false, NULL, 0},
        {"repository:a:", KV_E_SYNTAX, false, NULL, 0},
        {"repository::pull", KV_E_SYNTAX, false, NULL, 0},
        {":a:pull", KV_E_SYNTAX, false, NULL, 0},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_error err = {0};
        kv_scope s = {0};
        bool known = false;
        kv_code got = kv_scope_parse(kv_sv_of(CASES[i].text), &s, &known, &err);
        if (got != CASES[i].want || known != CASES[i].known)
            fail_msg("%s: %d '%s'", CASES[i].text, (int)got, err.msg);
        if (known && (!kv_sv_is(s.repository, CASES[i].name) || s.allow != CASES[i].allow))
            fail_msg("%s: %.*s, %u", CASES[i].text, KV_ARG(s.repository), s.allow);
    }
    kv_auto_buf b = KV_BUF(100);
    kv_scope_actions_add(KV_ALLOW_PULL | KV_ALLOW_DELETE, &b);
    assert_string_equal(b.p, "pull,delete");
}

static const uint8_t KEY[KV_MAC_BYTES] = {1, 2, 3};
static const uint8_t OTHER_KEY[KV_MAC_BYTES] = {1, 2, 4};
static const kv_scope SCOPES[] = {{KV_SV_INIT("team/demo"), KV_ALLOW_PULL | KV_ALLOW_PUSH},
                                  {KV_SV_INIT("pub/x"), KV_ALLOW_PULL}};
static const kv_token TOKEN = {.principal_id = KV_SV_INIT("u1"),
                               .id = KV_SV_INIT("t1"),
                               .generation = 7,
                               .issued_s = 1000,
                               .expires_s = 2000,
                               .scopes = SCOPES,
                               .n_scopes = 2};

static void round_trip(void **state)
{
    (void)state;
    kv_auto_buf text = KV_BUF(KV_TOKEN_TEXT_MAX);
    kv_auto(kv_arena) arena = kv_arena_new(1u << 20);
    kv_error err = {0};
    kv_token t;
    assert_int_equal(kv_token_format(KEY, &TOKEN, &text, &err), KV_OK);
    assert_int_equal(kv_token_parse(KEY, kv_buf_sv(&text), 1999, arena, &t, &err), KV_OK);
    assert_true(kv_sv_is(t.principal_id, "u1") && kv_sv_is(t.id, "t1"));
    assert_true(t.generation == 7 && t.issued_s == 1000 && t.expires_s == 2000 && t.n_scopes == 2);
    assert_true(kv_sv_is(t.scopes[0].repository, "team/demo") && t.scopes[0].allow == 3);
    assert_true(kv_sv_is(t.scopes[1].repository, "pub/x") && t.scopes[1].allow == 1);

    kv_token nobody = {.expires_s = 5};
    kv_buf_truncate(&text, 0);
    assert_int_equal(kv_token_format(KEY, &nobody, &text, &err), KV_OK);
    assert_int_equal(kv_token_parse(KEY, kv_buf_sv(&text), 4, arena, &t, &err), KV_OK);
    assert_true(t.principal_id.n == 0 && t.n_scopes == 0);
}

static void refuses(void **state)
{
    (void)state;
    kv_auto_buf text = KV_BUF(KV_TOKEN_TEXT_MAX);
    kv_auto(kv_arena) arena = kv_arena_new(1u << 20);
    kv_token t;
    assert_int_equal(kv_token_format(KEY, &TOKEN, &text, NULL), KV_OK);
    assert_int_equal(kv_token_parse(KEY, kv_buf_sv(&text), 2000, arena, &t, NULL), KV_E_AUTH);
    assert_int_equal(kv_token_parse(OTHER_KEY, kv_buf_sv(&text), 1, arena, &t, NULL), KV_E_AUTH);
    for (size_t i = 0; i < text.n; i++) { /* every single changed character */
        /* The last one of 43 carries two bits that mean nothing. */
        if (i == text.n - 1) break;
        char was = text.p[i];
        text.p[i] = was == 'A' ? 'B' : 'A';
        if (kv_token_parse(KEY, kv_buf_sv(&text), 1, arena, &t, NULL) != KV_E_AUTH)
            fail_msg("character %zu changed, and it passed", i);
        text.p[i] = was;
    }
    for (size_t n = 0; n < text.n; n++)
        assert_int_equal(kv_token_parse(KEY, (kv_sv){text.p, n}, 1, arena, &t, NULL), KV_E_AUTH);
    static const char *const OTHERS[] = {"", ".", "kvs_", "kvs_.", "kvs_AAAA.AAAA", "a.b.c"};
    for (size_t i = 0; i < KV_COUNT(OTHERS); i++)
        assert_int_equal(kv_token_parse(KEY, kv_sv_of(OTHERS[i]), 1, arena, &t, NULL), KV_E_AUTH);
}

static void bounds(void **state)
{
    (void)state;
    char name[251];
    memset(name, 'a', sizeof(name));
    kv_scope many[KV_TOKEN_SCOPES_MAX + 1];
    for (size_t i = 0; i < KV_COUNT(many); i++)
        many[i] = (kv_scope){.repository = {name, sizeof(name)}, .allow = 1};
    kv_token t = TOKEN;
    kv_auto_buf text = KV_BUF(KV_TOKEN_TEXT_MAX);
    t.scopes = many;
    t.n_scopes = KV_TOKEN_SCOPES_MAX + 1;
    assert_int_equal(kv_token_format(KEY, &t, &text, NULL), KV_E_LIMIT);
    t.n_scopes = KV_TOKEN_SCOPES_MAX; /* too long together */
    assert_int_equal(kv_token_format(KEY, &t, &text, NULL), KV_E_LIMIT);
    t.n_scopes = 16;
    assert_int_equal(kv_token_format(KEY, &t, &text, NULL), KV_OK);
}

KV_TEST_MAIN(cmocka_unit_test(scopes), cmocka_unit_test(round_trip), cmocka_unit_test(refuses),
             cmocka_unit_test(bounds))

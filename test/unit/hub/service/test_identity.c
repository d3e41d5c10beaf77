#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#include "hub/service/first_admin.h"
#include "hub/service/history.h"
#include "hub/service/namespace.h"
#include "hub/service/rights.h"
#include "hub/service/user.h"
#include "test/unit/hub/hub_test.h"

static const kv_sv GOOD = KV_SV_INIT("correct horse");
static const kv_sv BETTER = KV_SV_INIT("battery staple");

static kv_identity *open_identity(hub_fixture *f)
{
    kv_error err = {0};
    kv_identity *id = NULL;
    want(kv_identity_open(f->db, f->audit, true, &id, &err), KV_OK, &err);
    return id;
}

static void add(kv_identity *id, const char *name, bool admin)
{
    kv_error err = {0};
    kv_new_user u = {.name = kv_sv_of(name), .password = GOOD, .admin = admin};
    want(kv_user_add(id, &KV_PRINCIPAL_SYSTEM, &u, &err), KV_OK, &err);
}

static kv_code login(kv_identity *id, kv_sv name, kv_sv password, kv_arena *arena,
                     kv_principal *out)
{
    unsigned wait_s;
    *out = (kv_principal){.type = "anonymous", .authn = "none", .address = KV_SV("192.0.2.1")};
    return kv_identity_password(id, name, password, arena, out, &wait_s, NULL);
}

static void passwords(void **state)
{
    hub_fixture *f = *state;
    kv_auto(kv_identity) id = open_identity(f);
    kv_auto(kv_arena) arena = kv_arena_new(1u << 20);
    kv_principal who;
    kv_error err = {0};
    add(id, "anna", false);
    for (int i = 0; i < 2; i++) { /* the second time from memory */
        assert_int_equal(login(id, KV_SV("anna"), GOOD, arena, &who), KV_OK);
        assert_true(kv_sv_is(who.name, "anna") && who.id.n == 36 && !who.admin && who.aal == 1);
        assert_string_equal(who.type, "user");
        assert_string_equal(who.authn, "password");
    }
    assert_int_equal(login(id, KV_SV("anna"), BETTER, arena, &who), KV_E_AUTH);
    assert_int_equal(login(id, KV_SV("nobody"), GOOD, arena, &who), KV_E_AUTH);
    assert_int_equal(login(id, KV_SV("anna"), KV_SV(""), arena, &who), KV_E_AUTH);
    assert_int_equal(login(id, KV_SV("' OR 1=1 --"), GOOD, arena, &who), KV_E_AUTH);

    want(kv_user_set_password(id, &KV_PRINCIPAL_SYSTEM, KV_SV("anna"), BETTER, &err), KV_OK, &err);
    assert_int_equal(login(id, KV_SV("anna"), GOOD, arena, &who), KV_E_AUTH);
    assert_int_equal(login(id, KV_SV("anna"), BETTER, arena, &who), KV_OK);
    want(kv_user_set_password(id, &KV_PRINCIPAL_SYSTEM, KV_SV("bob"), BETTER, &err), KV_E_NOTFOUND,
         &err);
}

static void guessing_is_slowed(void **state)
{
    hub_fixture *f = *state;
    kv_auto(kv_identity) id = open_identity(f);
    kv_auto(kv_arena) arena = kv_arena_new(1u << 20);
    kv_principal who;
    add(id, "anna", false);
    for (int i = 0; i < 11; i++)
        assert_int_equal(login(id, KV_SV("anna"), KV_SV("wrong"), arena, &who), KV_E_AUTH);
    unsigned wait_s = 0;
    kv_principal same = {.type = "anonymous", .address = KV_SV("192.0.2.1")};
    assert_int_equal(kv_identity_password(id, KV_SV("anna"), GOOD, arena, &same, &wait_s, NULL),
                     KV_E_AUTH);
    assert_true(wait_s > 0);
    kv_principal other = {.type = "anonymous", .address = KV_SV("192.0.2.2")};
    assert_int_equal(kv_identity_password(id, KV_SV("anna"), GOOD, arena, &other, &wait_s, NULL),
                     KV_OK);
}

static void tokens(void **state)
{
    hub_fixture *f = *state;
    kv_auto(kv_identity) id = open_identity(f);
    kv_auto(kv_arena) arena = kv_arena_new(1u << 20);
    static const kv_scope ASKED[] = {
        {KV_SV_INIT("team/demo"), KV_ALLOW_PULL | KV_ALLOW_PUSH},
        {KV_SV_INIT("other/x"), KV_ALLOW_PULL},
        {KV_SV_INIT("pub/y"), KV_ALLOW_PULL | KV_ALLOW_PUSH},
        {KV_SV_INIT("team/demo"), KV_ALLOW_DELETE},
    };
    kv_error err = {0};
    kv_principal who, bearer = {.type = "anonymous"};
    kv_issued t;
    add(id, "anna", false);
    want(kv_user_grant(id, &KV_PRINCIPAL_SYSTEM, KV_SV("anna"), KV_SV("team"), KV_ROLE_WRITE, &err),
         KV_OK, &err);
    want(kv_user_grant(id, &KV_PRINCIPAL_SYSTEM, KV_SV("anna"), KV_SV("pub"), KV_ROLE_READ, &err),
         KV_OK, &err);
    assert_int_equal(login(id, KV_SV("anna"), GOOD, arena, &who), KV_OK);
    want(kv_identity_issue(id, &who, ASKED, KV_COUNT(ASKED), arena, &t, &err), KV_OK, &err);
    assert_int_equal(t.n_scopes, 2); /* asked and granted; one entry per repository */
    assert_int_equal(t.scopes[0].allow, KV_ALLOW_PULL | KV_ALLOW_PUSH | KV_ALLOW_DELETE);
    assert_int_equal(t.scopes[1].allow, KV_ALLOW_PULL);
    assert_true(t.expires_in_s >= 3600); /* outlives an upload */

    want(kv_identity_token(id, t.token, arena, &bearer, &err), KV_OK, &err);
    assert_true(kv_sv_eq(bearer.id, who.id) && bearer.limited && bearer.token_id.n == 36);
    want(kv_rights_check(&bearer, KV_RIGHT_PUSH, KV_SV("team/demo"), &err), KV_OK, &err);
    want(kv_rights_check(&bearer, KV_RIGHT_PUSH, KV_SV("team/more"), &err), KV_E_AUTH, &err);

    /* what was granted is taken away: the token no longer helps */
    want(kv_user_grant(id, &KV_PRINCIPAL_SYSTEM, KV_SV("anna"), KV_SV("team"), KV_ROLE_NONE, &err),
         KV_OK, &err);
    bearer = (kv_principal){.type = "anonymous"};
    want(kv_identity_token(id, t.token, arena, &bearer, &err), KV_OK, &err);
    want(kv_rights_check(&bearer, KV_RIGHT_PULL, KV_SV("team/demo"), &err), KV_E_NOTFOUND, &err);

    want(kv_user_set_password(id, &KV_PRINCIPAL_SYSTEM, KV_SV("anna"), BETTER, &err), KV_OK, &err);
    want(kv_identity_token(id, t.token, arena, &bearer, &err), KV_E_AUTH, &err);
    want(kv_identity_token(id, KV_SV("kvs_x.y"), arena, &bearer, &err), KV_E_AUTH, &err);

    kv_principal nobody = {.type = "anonymous"};
    want(kv_identity_issue(id, &nobody, ASKED, KV_COUNT(ASKED), arena, &t, &err), KV_OK, &err);
    assert_int_equal(t.n_scopes, 0);
    bearer = (kv_principal){.type = "anonymous"};
    want(kv_identity_token(id, t.token, arena, &bearer, &err), KV_OK, &err);
    assert_int_equal(bearer.id.n, 0);
}

static void tokens_survive_a_restart(void **state)
{
    hub_fixture *f = *state;
    kv_auto(kv_arena) arena = kv_arena_new(1u << 20);
    kv_principal who, bearer = {.type = "anonymous"};
    kv_issued t;
    kv_identity *id = open_identity(f);
    char hub[KV_UUID_MAX];
    memcpy(hub, kv_identity_hub(id), sizeof(hub));
    add(id, "anna", true);
    assert_int_equal(login(id, KV_SV("anna"), GOOD, arena, &who), KV_OK);
    assert_int_equal(kv_identity_issue(id, &who, NULL, 0, arena, &t, NULL), KV_OK);
    kv_identity_close(id);
    id = open_identity(f);
    assert_string_equal(kv_identity_hub(id), hub);
    assert_int_equal(kv_identity_token(id, t.token, arena, &bearer, NULL), KV_OK);
    assert_true(bearer.admin);
    kv_identity_close(id);
}

static void users(void **state)
{
    hub_fixture *f = *state;
    kv_auto(kv_identity) id = open_identity(f);
    kv_auto(kv_arena) arena = kv_arena_new(1u << 20);
    char long_name[66];
    memset(long_name, 'a', 65);
    long_name[65] = '\0';
    const struct {
        const char *name;
        kv_sv user, password;
        kv_code want;
    } CASES[] = {
        {"plain", KV_SV("bob"), GOOD, KV_OK},
        {"again", KV_SV("bob"), GOOD, KV_E_EXISTS},
        {"dots", KV_SV("b.o-b_2"), GOOD, KV_OK},
        {"empty", KV_SV(""), GOOD, KV_E_INVALID},
        {"short", KV_SV("b"), GOOD, KV_E_INVALID},
        {"long", kv_sv_of(long_name), GOOD, KV_E_INVALID},
        {"upper", KV_SV("Bob"), GOOD, KV_E_INVALID},
        {"two dots", KV_SV("b..b"), GOOD, KV_E_INVALID},
        {"dot at the end", KV_SV("bob."), GOOD, KV_E_INVALID},
        {"colon", KV_SV("b:b"), GOOD, KV_E_INVALID},
        {"eleven characters", KV_SV("carl"), KV_SV("12345678901"), KV_E_INVALID},
    };
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_error err = {0};
        kv_new_user u = {.name = CASES[i].user, .password = CASES[i].password};
        kv_code got = kv_user_add(id, &KV_PRINCIPAL_SYSTEM, &u, &err);
        if (got != CASES[i].want) fail_msg("%s: %d '%s'", CASES[i].name, (int)got, err.msg);
    }
    kv_users list;
    kv_error err = {0};
    want(kv_user_list(id, KV_SV(""), 1, arena, &list, &err), KV_OK, &err);
    assert_true(list.n == 1 && list.more && kv_sv_is(list.items[0].name, "b.o-b_2"));
    want(kv_user_list(id, list.items[0].name, 5, arena, &list, &err), KV_OK, &err);
    assert_true(list.n == 1 && !list.more && kv_sv_is(list.items[0].name, "bob"));

    kv_user u;
    kv_principal bob = {.type = "user", .id = list.items[0].id, .name = KV_SV("bob")};
    want(kv_user_get(id, &bob, KV_SV("bob"), arena, &u, &err), KV_OK, &err);
    want(kv_user_get(id, &bob, KV_SV("b.o-b_2"), arena, &u, &err), KV_E_NOTFOUND, &err);
    want(kv_user_get(id, &bob, KV_SV("nobody"), arena, &u, &err), KV_E_NOTFOUND, &err);
}

static kv_code count_events(void *ctx, const kv_leaf_view *leaf, kv_error *err)
{
    (void)leaf;
    (void)err;
    ++*(int *)ctx;
    return KV_OK;
}

static int n_events(hub_fixture *f)
{
    int n = 0;
    kv_event_page page = {.at_most = 1000};
    assert_int_equal(kv_events_all(f->db, &page, count_events, &n, NULL), KV_OK);
    return n;
}

static void grants(void **state)
{
    hub_fixture *f = *state;
    kv_auto(kv_identity) id = open_identity(f);
    kv_auto(kv_arena) arena = kv_arena_new(1u << 20);
    add(id, "anna", false);
    static const struct {
        const char *name, *user, *ns;
        kv_role role;
        kv_code want;
        int events; /* that it adds */
    } CASES[] = {
        {"a new namespace", "anna", "team", KV_ROLE_READ, KV_OK, 2},
        {"the same again", "anna", "team", KV_ROLE_READ, KV_OK, 0},
        {"more", "anna", "team", KV_ROLE_WRITE, KV_OK, 1},
        {"nothing", "anna", "team", KV_ROLE_NONE, KV_OK, 1},
        {"nothing again", "anna", "team", KV_ROLE_NONE, KV_OK, 0},
        {"nothing in a new one", "anna", "team2", KV_ROLE_NONE, KV_OK, 0},
        {"again after that", "anna", "team", KV_ROLE_WRITE, KV_OK, 1},
        {"short names", "anna", "_", KV_ROLE_READ, KV_OK, 2},
        {"a reserved word", "anna", "api", KV_ROLE_READ, KV_E_INVALID, 0},
        {"not a name", "anna", "a/b", KV_ROLE_READ, KV_E_INVALID, 0},
        {"nobody", "bob", "team", KV_ROLE_READ, KV_E_NOTFOUND, 0},
    };
    int n = n_events(f);
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_error err = {0};
        kv_code got = kv_user_grant(id, &KV_PRINCIPAL_SYSTEM, kv_sv_of(CASES[i].user),
                                    kv_sv_of(CASES[i].ns), CASES[i].role, &err);
        n += CASES[i].events;
        if (got != CASES[i].want || n_events(f) != n)
            fail_msg("%s: %d '%s', %d events", CASES[i].name, (int)got, err.msg, n_events(f) - n);
    }
    kv_user u;
    assert_int_equal(kv_user_get(id, &KV_PRINCIPAL_SYSTEM, KV_SV("anna"), arena, &u, NULL), KV_OK);
    assert_int_equal(u.n_grants, 2);
    assert_true(kv_sv_is(u.grants[0].ns, "_") && u.grants[0].role == KV_ROLE_READ);
    assert_true(kv_sv_is(u.grants[1].ns, "team") && u.grants[1].role == KV_ROLE_WRITE);
}

static void first_admin(void **state)
{
    hub_fixture *f = *state;
    kv_auto(kv_identity) id = open_identity(f);
    kv_auto(kv_arena) arena = kv_arena_new(1u << 20);
    kv_auto_str path = kv_path_join(f->dir, "initial-admin-password");
    kv_auto_buf text = KV_BUF(100), again = KV_BUF(100);
    kv_principal who;
    struct stat st;
    bool made;
    kv_error err = {0};
    want(kv_first_admin(id, f->dir, "", &made, &err), KV_OK, &err);
    assert_true(made);
    want(kv_file_read(path, &text, &err), KV_OK, &err);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    kv_sv password = kv_sv_trim(kv_buf_sv(&text));
    assert_int_equal(login(id, KV_SV("admin"), password, arena, &who), KV_OK);
    assert_true(who.admin);
    want(kv_first_admin(id, f->dir, "", &made, &err), KV_OK, &err);
    assert_false(made);
    want(kv_file_read(path, &again, &err), KV_OK, &err);
    assert_true(kv_sv_eq(kv_buf_sv(&text), kv_buf_sv(&again)));
}

static void first_admin_from_a_file(void **state)
{
    hub_fixture *f = *state;
    kv_auto(kv_identity) id = open_identity(f);
    kv_auto(kv_arena) arena = kv_arena_new(1u << 20);
    kv_auto_str path = kv_path_join(f->dir, "secret");
    kv_principal who;
    bool made;
    kv_error err = {0};
    want(kv_first_admin(id, f->dir, path, &made, &err), KV_E_NOTFOUND, &err);
    want(kv_file_write(path, KV_SV("short\n"), 0600, &err), KV_OK, &err);
    want(kv_first_admin(id, f->dir, path, &made, &err), KV_E_INVALID, &err);
    want(kv_file_write(path, KV_SV("correct horse\r\nmore\n"), 0600, &err), KV_OK, &err);
    want(kv_first_admin(id, f->dir, path, &made, &err), KV_OK, &err);
    assert_false(made);
    assert_int_equal(login(id, KV_SV("admin"), GOOD, arena, &who), KV_OK);
}

typedef struct asker {
    kv_identity *id;
    int failures;
} asker;

static void *ask(void *arg)
{
    asker *a = arg;
    kv_auto(kv_arena) arena = kv_arena_new(8u << 20);
    for (int i = 0; i < 200; i++) {
        kv_principal who;
        kv_code rc = login(a->id, KV_SV("anna"), GOOD, arena, &who);
        if (rc != KV_OK || who.n_members > 1) a->failures++;
    }
    return NULL;
}

static void many_at_once(void **state)
{
    hub_fixture *f = *state;
    kv_auto(kv_identity) id = open_identity(f);
    add(id, "anna", false);
    asker a[6];
    pthread_t t[6];
    for (size_t i = 0; i < 6; i++) {
        a[i] = (asker){.id = id};
        assert_int_equal(pthread_create(&t[i], NULL, ask, &a[i]), 0);
    }
    for (int i = 0; i < 20; i++) /* what is kept in memory goes stale all the time */
        assert_int_equal(kv_user_grant(id, &KV_PRINCIPAL_SYSTEM, KV_SV("anna"), KV_SV("team"),
                                       i % 2 ? KV_ROLE_READ : KV_ROLE_NONE, NULL),
                         KV_OK);
    for (size_t i = 0; i < 6; i++) {
        pthread_join(t[i], NULL);
        assert_int_equal(a[i].failures, 0);
    }
}

KV_TEST_MAIN(WITH_HUB(passwords), WITH_HUB(guessing_is_slowed), WITH_HUB(tokens),
             WITH_HUB(tokens_survive_a_restart), WITH_HUB(users), WITH_HUB(grants),
             WITH_HUB(first_admin), WITH_HUB(first_admin_from_a_file), WITH_HUB(many_at_once))

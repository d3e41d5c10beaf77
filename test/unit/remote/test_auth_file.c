#include "remote/auth_file.h"

#include <string.h>

#include "remote/auth_helper.h"
#include "test/test.h"

#define ANN "YW5uOnM6M2NyZXQ=" /* ann:s:3cret */
#define ANN_NUL "YW5uOnM6M2NyZXQAAA=="

static void parses_and_finds(void **state)
{
    static const struct {
        const char *name, *text, *host;
        kv_code parse, find;
        const char *user, *secret; /* user NULL: a token */
        bool bearer;
    } CASES[] = {
        {"auth", "{\"auths\":{\"hub.example\":{\"auth\":\"" ANN "\"}}}", "hub.example",
         .user = "ann", .secret = "s:3cret"},
        {"with port", "{\"auths\":{\"Hub.example:5000\":{\"auth\":\"" ANN "\"}}}",
         "hub.example:5000", .user = "ann", .secret = "s:3cret"},
        {"port matters", "{\"auths\":{\"hub.example:5000\":{\"auth\":\"" ANN "\"}}}", "hub.example",
         .find = KV_E_NOTFOUND},
        {"scheme and path of old",
         "{\"auths\":{\"https://hub.example/v1/\":{\"auth\":\"" ANN "\"}}}", "hub.example",
         .user = "ann", .secret = "s:3cret"},
        {"Docker Hub", "{\"auths\":{\"https://index.docker.io/v1/\":{\"auth\":\"" ANN "\"}}}",
         "index.docker.io", .user = "ann", .secret = "s:3cret"},
        {"NUL bytes behind", "{\"auths\":{\"h\":{\"auth\":\"" ANN_NUL "\"}}}", "h", .user = "ann",
         .secret = "s:3cret"},
        {"identity token", "{\"auths\":{\"h\":{\"auth\":\"" ANN "\",\"identitytoken\":\"T\"}}}",
         "h", .secret = "T"},
        {"registry token", "{\"auths\":{\"h\":{\"registrytoken\":\"T\"}}}", "h", .secret = "T",
         .bearer = true},
        {"user and password", "{\"auths\":{\"h\":{\"username\":\"u\",\"password\":\"p\"}}}", "h",
         .user = "u", .secret = "p"},
        {"empty entry", "{\"auths\":{\"h\":{}}}", "h", .find = KV_E_NOTFOUND},
        {"null entry", "{\"auths\":{\"h\":null}}", "h", .find = KV_E_NOTFOUND},
        {"no auths", "{}", "h", .find = KV_E_NOTFOUND},
        {"null auths", "{\"auths\":null}", "h", .find = KV_E_NOTFOUND},
        {"empty file", " \n", "h", .find = KV_E_NOTFOUND},
        {"not base64", "{\"auths\":{\"h\":{\"auth\":\"@@\"}}}", "h", .find = KV_E_INVALID},
        {"no colon", "{\"auths\":{\"h\":{\"auth\":\"YW5u\"}}}", "h", .find = KV_E_INVALID},
        {"NUL in a password", "{\"auths\":{\"h\":{\"auth\":\"YTpiAGM=\"}}}", "h",
         .find = KV_E_INVALID},
        {"not JSON", "{", "h", .parse = KV_E_SYNTAX},
        {"a list", "[]", "h", .parse = KV_E_INVALID},
        {"auths is a list", "{\"auths\":[]}", "h", .parse = KV_E_INVALID},
        {"credHelpers is a list", "{\"credHelpers\":[]}", "h", .parse = KV_E_INVALID},
        {"credsStore is a number", "{\"credsStore\":1}", "h", .parse = KV_E_INVALID},
        {"entry is a text", "{\"auths\":{\"h\":\"x\"}}", "h", .parse = KV_E_INVALID},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_error err = {0};
        kv_auto_auth_file f = {0};
        kv_code got = kv_auth_file_parse(kv_sv_of(CASES[i].text), &f, &err);
        if (got != CASES[i].parse) fail_msg("%s: parse %d, '%s'", CASES[i].name, (int)got, err.msg);
        if (got != KV_OK) continue;
        kv_auto_login login = {0};
        got = kv_auth_file_get(&f, kv_sv_of(CASES[i].host), &login, &err);
        if (got != CASES[i].find) fail_msg("%s: find %d, '%s'", CASES[i].name, (int)got, err.msg);
        if (got != KV_OK) continue;
        assert_string_equal(login.secret, CASES[i].secret);
        assert_int_equal(login.bearer, CASES[i].bearer);
        if (!CASES[i].user != !login.user) fail_msg("%s: user", CASES[i].name);
        if (login.user) assert_string_equal(login.user, CASES[i].user);
    }
}

static void names_helpers(void **state)
{
    static const struct {
        const char *text, *host, *helper;
    } CASES[] = {
        {"{\"credsStore\":\"pass\"}", "h", "pass"},
        {"{\"credsStore\":\"pass\",\"credHelpers\":{\"https://H/\":\"ecr\"}}", "h", "ecr"},
        {"{\"credsStore\":\"pass\",\"credHelpers\":{\"g\":\"ecr\"}}", "h", "pass"},
        {"{\"credHelpers\":{\"h\":\"\"}}", "h", ""},
        {"{}", "h", ""},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto_auth_file f = {0};
        assert_int_equal(kv_auth_file_parse(kv_sv_of(CASES[i].text), &f, NULL), KV_OK);
        assert_true(kv_sv_is(kv_auth_file_helper(&f, kv_sv_of(CASES[i].host)), CASES[i].helper));
    }
}

static char user[] = "ann", secret[] = "s:3cret";
static const kv_login PASSWORD = {.user = user, .secret = secret};
static const kv_login TOKEN = {.secret = secret};
static const kv_login BEARER = {.secret = secret, .bearer = true};

static void formats(void **state)
{
    static const struct {
        const char *name, *text, *host;
        const kv_login *login;
        const char *want;
    } CASES[] = {
        {"first", "", "h", &PASSWORD,
         "{\n\t\"auths\": {\n\t\t\"h\": {\n\t\t\t\"auth\": \"" ANN "\"\n\t\t}\n\t}\n}"},
        {"logout", "{\"auths\":{\"h\":{\"auth\":\"x\"}}}", "h", NULL, "{\n\t\"auths\": {}\n}"},
        {"logout of what is not there", "{}", "h", NULL, "{\n\t\"auths\": {}\n}"},
        {"others stay", "{\"z\":[1.50, {\"a b\":\"  c\"}],\"auths\":{\"g\":{\"auth\":\"y\"}}}", "h",
         &TOKEN,
         "{\n\t\"z\": [\n\t\t1.50,\n\t\t{\n\t\t\t\"a b\": \"  c\"\n\t\t}\n\t],\n\t\"auths\": {\n"
         "\t\t\"g\": {\n\t\t\t\"auth\": \"y\"\n\t\t},\n\t\t\"h\": {\n"
         "\t\t\t\"identitytoken\": \"s:3cret\"\n\t\t}\n\t}\n}"},
        {"every spelling is replaced",
         "{\"auths\":{\"https://H/v1/\":{\"auth\":\"y\"},\"h\":{\"auth\":\"z\"}}}", "h", &BEARER,
         "{\n\t\"auths\": {\n\t\t\"h\": {\n\t\t\t\"registrytoken\": \"s:3cret\"\n\t\t}\n\t}\n}"},
        {"Docker Hub", "{}", "index.docker.io", &TOKEN,
         "{\n\t\"auths\": {\n\t\t\"https://index.docker.io/v1/\": {\n"
         "\t\t\t\"identitytoken\": \"s:3cret\"\n\t\t}\n\t}\n}"},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto_auth_file f = {0};
        kv_auto_buf out = KV_BUF(4096);
        assert_int_equal(kv_auth_file_parse(kv_sv_of(CASES[i].text), &f, NULL), KV_OK);
        assert_int_equal(
            kv_auth_file_format(&f, kv_sv_of(CASES[i].host), CASES[i].login, &out, NULL), KV_OK);
        if (strcmp(out.p, CASES[i].want) != 0) fail_msg("%s:\n%s", CASES[i].name, out.p);
    }
}

static void reads_names(void **state)
{
    static const struct {
        const char *name, *host;
    } CASES[] = {
        {"docker.io", "index.docker.io"},
        {"registry-1.docker.io", "index.docker.io"},
        {"https://index.docker.io/v1/", "index.docker.io"},
        {"HTTP://Hub.Example:80/x/y", "hub.example:80"},
        {"hub.example", "hub.example"},
        {"", ""},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto_buf out = KV_BUF(256);
        assert_int_equal(kv_auth_host(kv_sv_of(CASES[i].name), &out, NULL), KV_OK);
        assert_true(kv_sv_is(kv_buf_sv(&out), CASES[i].host));
    }
}

static void reads_helper_answers(void **state)
{
    static const struct {
        const char *text;
        kv_code want;
        const char *user;
    } CASES[] = {
        {"{\"ServerURL\":\"h\",\"Username\":\"ann\",\"Secret\":\"s\"}", KV_OK, "ann"},
        {"{\"Username\":\"<token>\",\"Secret\":\"s\"}", KV_OK, NULL},
        {"{\"Username\":\"\",\"Secret\":\"s\"}", KV_OK, NULL},
        {"{\"Username\":\"ann\",\"Secret\":\"\"}", KV_E_INVALID, NULL},
        {"{\"Username\":\"ann\",\"Secret\":\"a\\u0000b\"}", KV_E_INVALID, NULL},
        {"{\"Username\":\"a\\u0000n\",\"Secret\":\"s\"}", KV_E_INVALID, NULL},
        {"[]", KV_E_INVALID, NULL},
        {"", KV_E_SYNTAX, NULL},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto_login login = {0};
        kv_code got = kv_auth_helper_parse(kv_sv_of(CASES[i].text), &login, NULL);
        if (got != CASES[i].want) fail_msg("case %zu: code %d", i, (int)got);
        if (got != KV_OK) continue;
        assert_string_equal(login.secret, "s");
        if (CASES[i].user)
            assert_string_equal(login.user, CASES[i].user);
        else
            assert_null(login.user);
    }
}

KV_TEST_MAIN(cmocka_unit_test(parses_and_finds), cmocka_unit_test(names_helpers),
             cmocka_unit_test(formats), cmocka_unit_test(reads_names),
             cmocka_unit_test(reads_helper_answers))

#include "hub/config.h"

#include <string.h>

#include "base/file.h"
#include "test/test.h"
#include "test/tmpdir.h"

static void reads_flags_and_variables(void **state)
{
    static const struct {
        const char *name;
        const char *argv[4];
        const char *env[3];
        kv_code want;
        const char *text; /* a line of the printed settings, or a part of the error */
    } CASES[] = {
        {"defaults", {0}, {0}, KV_OK, "listen = 127.0.0.1:8080"},
        {"flag", {"--listen", "[::1]:0"}, {0}, KV_OK, "listen = [::1]:0"},
        {"flag with =", {"--listen=h:1"}, {0}, KV_OK, "listen = h:1"},
        {"switch", {"--no-auth"}, {0}, KV_OK, "no_auth = true"},
        {"switch off", {"--log-requests=false"}, {0}, KV_OK, "log.requests = false"},
        {"number", {"--http-min-rate", "7"}, {0}, KV_OK, "http.min_rate = 7"},
        {"variable", {0}, {"KITVAULT_LISTEN=e:2"}, KV_OK, "listen = e:2"},
        {"variable of a dotted key", {0}, {"KITVAULT_LOG_LEVEL=warn"}, KV_OK, "log.level = warn"},
        {"flag before variable", {"--data=f"}, {"KITVAULT_DATA=e"}, KV_OK, "data = f"},
        {"last flag wins", {"--data=a", "--data=b"}, {0}, KV_OK, "data = b"},
        {"others' variables", {0}, {"KITVAULT_CRASH_AT=x", "PATH=/"}, KV_OK, "no_auth = false"},
        {"unknown flag", {"--bogus"}, {0}, KV_E_ARG, "unknown flag: --bogus"},
        {"key is not a flag", {"--log.level=info"}, {0}, KV_E_ARG, "unknown flag: --log.level"},
        {"value missing", {"--data"}, {0}, KV_E_ARG, "flag needs an argument: --data"},
        {"operand", {"dir"}, {0}, KV_E_ARG, "unexpected argument 'dir'"},
        {"single dash", {"-d"}, {0}, KV_E_ARG, "unexpected argument '-d'"},
        {"switch with a word",
         {"--no-auth=yes"},
         {0},
         KV_E_ARG,
         "--no-auth: expected true or false"},
        {"not a number", {"--stop-grace=1s"}, {0}, KV_E_ARG, "--stop-grace: expected a number"},
        {"too small", {"--http-idle-timeout=0"}, {0}, KV_E_ARG, "from 1 to 86400, not '0'"},
        {"too large", {"--http-max-requests=10001"}, {0}, KV_E_ARG, "from 8 to 10000"},
        {"variable wrong", {0}, {"KITVAULT_NO_AUTH=1"}, KV_E_ARG, "KITVAULT_NO_AUTH: expected"},
        {"certificate alone", {"--tls-cert=c"}, {0}, KV_E_ARG, "need each other"},
        {"key alone", {0}, {"KITVAULT_TLS_KEY=k"}, KV_E_ARG, "need each other"},
        {"file missing", {"--config=/nonexistent/file"}, {0}, KV_E_NOTFOUND, "/nonexistent/file"},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        char *argv[4] = {0}, *env[3] = {0};
        int n = 0;
        for (size_t k = 0; k < 4 && CASES[i].argv[k]; k++) argv[n++] = strdup(CASES[i].argv[k]);
        for (size_t k = 0; k < 2 && CASES[i].env[k]; k++) env[k] = strdup(CASES[i].env[k]);
        kv_auto_config c = {0};
        kv_auto_buf out = KV_BUF(100000);
        kv_error err = {0};
        kv_code got = kv_config_load(n, argv, env, &c, &err);
        if (got == KV_OK) kv_config_print(&c, &out);
        kv_sv text = got == KV_OK ? kv_buf_sv(&out) : kv_sv_of(err.msg);
        if (got != CASES[i].want || kv_sv_find_sub(text, kv_sv_of(CASES[i].text)) == SIZE_MAX)
            fail_msg("%s: code %d\n%.*s", CASES[i].name, (int)got, KV_ARG(text));
        for (size_t k = 0; k < 4; k++) free(argv[k]);
        for (size_t k = 0; k < 3; k++) free(env[k]);
    }
}

static void reads_files(void **state)
{
    static const struct {
        const char *name;
        kv_sv file;
        kv_code want;
        const char *text;
    } CASES[] = {
        {"empty", KV_SV_INIT(""), KV_OK, "listen = 127.0.0.1:8080"},
        {"lines", KV_SV_INIT("# c\n\n  data = /a b \nlog.level=debug\r\n"), KV_OK, "data = /a b\n"},
        {"no newline at the end", KV_SV_INIT("data=x"), KV_OK, "data = x"},
        {"equals in a value", KV_SV_INIT("data=a=b"), KV_OK, "data = a=b"},
        {"flag before file", KV_SV_INIT("listen = h:9"), KV_OK, "listen = f:1"},
        {"variable before file", KV_SV_INIT("public_url = http://file"), KV_OK,
         "public_url = http://env"},
        {"no equals", KV_SV_INIT("\ndata"), KV_E_SYNTAX, ":2: expected KEY = VALUE"},
        {"NUL", KV_SV_INIT("data = a\0b"), KV_E_SYNTAX, ":1: expected KEY = VALUE"},
        {"unknown", KV_SV_INIT("bogus = 1"), KV_E_INVALID, ":1: unknown setting 'bogus'"},
        {"twice", KV_SV_INIT("data = 1\ndata = 2"), KV_E_INVALID, ":2: 'data' is set twice"},
        {"wrong value", KV_SV_INIT("no_auth = maybe"), KV_E_ARG, ":1: expected true or false"},
    };
    kv_auto_str path = kv_path_join(*state, "hub.conf");
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        bool flag = strstr(CASES[i].name, "flag") != NULL;
        char config[] = "--config", listen[] = "--listen=f:1";
        char url[] = "KITVAULT_PUBLIC_URL=http://env";
        char *argv[] = {config, path, listen}, *env[] = {url, NULL};
        kv_auto_config c = {0};
        kv_auto_buf out = KV_BUF(100000);
        kv_error err = {0};
        assert_int_equal(kv_file_write(path, CASES[i].file, 0600, &err), KV_OK);
        kv_code got = kv_config_load(flag ? 3 : 2, argv, env, &c, &err);
        if (got == KV_OK) kv_config_print(&c, &out);
        kv_sv text = got == KV_OK ? kv_buf_sv(&out) : kv_sv_of(err.msg);
        if (got != CASES[i].want || kv_sv_find_sub(text, kv_sv_of(CASES[i].text)) == SIZE_MAX)
            fail_msg("%s: code %d\n%.*s", CASES[i].name, (int)got, KV_ARG(text));
    }
}

/* What kitvaultd config prints is a configuration file that means the same. */
static void prints_what_it_reads(void **state)
{
    kv_auto_str path = kv_path_join(*state, "hub.conf");
    char set[] = "--http-head-timeout=33", data[] = "--data=d", config[] = "--config";
    char *first[] = {set, data}, *second[] = {config, path}, *env[] = {NULL};
    kv_auto_config a = {0}, b = {0};
    kv_auto_buf one = KV_BUF(100000), two = KV_BUF(100000);
    assert_int_equal(kv_config_load(2, first, env, &a, NULL), KV_OK);
    kv_config_print(&a, &one);
    assert_int_equal(kv_file_write(path, kv_buf_sv(&one), 0600, NULL), KV_OK);
    assert_int_equal(kv_config_load(2, second, env, &b, NULL), KV_OK);
    kv_config_print(&b, &two);
    assert_string_equal(one.p, two.p);
    assert_int_equal(b.head_timeout_s, 33);
}

KV_TEST_MAIN(cmocka_unit_test(reads_flags_and_variables),
             cmocka_unit_test_setup_teardown(reads_files, tmpdir_setup, tmpdir_teardown),
             cmocka_unit_test_setup_teardown(prints_what_it_reads, tmpdir_setup, tmpdir_teardown))

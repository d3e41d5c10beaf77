#include "http/url.h"

#include "test/test.h"

static void tells_origins(void **state)
{
    static const struct {
        const char *url;
        kv_code want;
        const char *text, *host;
        bool tls, loopback;
    } CASES[] = {
        {"https://Hub.example/v2/", KV_OK, "https://hub.example:443", "hub.example", true, false},
        {"http://hub.example:8080/x?y", KV_OK, "http://hub.example:8080", "hub.example:8080", false,
         false},
        {"HTTP://localhost", KV_OK, "http://localhost:80", "localhost", false, true},
        {"http://127.0.0.1:5000/", KV_OK, "http://127.0.0.1:5000", "127.0.0.1:5000", false, true},
        {"http://[::1]:5000/", KV_OK, "http://[::1]:5000", "[::1]:5000", false, true},
        {"http://127.evil.example/", KV_OK, "http://127.evil.example:80", "127.evil.example", false,
         false},
        {"http://user:secret@hub.example/", KV_E_INVALID, "", "", false, false},
        {"ftp://hub.example/", KV_E_INVALID, "", "", false, false},
        {"/v2/", KV_E_INVALID, "", "", false, false},
        {"http://hub.example:99999/", KV_E_INVALID, "", "", false, false},
        {"", KV_E_INVALID, "", "", false, false},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_error err = {0};
        kv_auto_url_origin o = {0};
        kv_code got = kv_url_origin_of(CASES[i].url, &o, &err);
        if (got != CASES[i].want) fail_msg("%s: code %d, '%s'", CASES[i].url, (int)got, err.msg);
        if (got != KV_OK) continue;
        assert_string_equal(o.text, CASES[i].text);
        assert_string_equal(o.host, CASES[i].host);
        if (o.tls != CASES[i].tls || o.loopback != CASES[i].loopback)
            fail_msg("%s: tls %d, loopback %d", CASES[i].url, o.tls, o.loopback);
    }
}

static void resolves(void **state)
{
    static const struct {
        const char *base;
        kv_sv ref;
        kv_code want;
        const char *url;
    } CASES[] = {
        {"http://h:1/v2/a/blobs/uploads/", KV_SV_INIT("/v2/a/blobs/uploads/u?x=1"), KV_OK,
         "http://h:1/v2/a/blobs/uploads/u?x=1"},
        {"http://h/v2/a/x", KV_SV_INIT("y"), KV_OK, "http://h/v2/a/y"},
        {"https://h/v2/", KV_SV_INIT("//other/z"), KV_OK, "https://other/z"},
        {"https://h/v2/", KV_SV_INIT("http://o:2/z?q#frag"), KV_OK, "http://o:2/z?q"},
        {"https://h/v2/", KV_SV_INIT("http://u:p@o/"), KV_E_INVALID, ""},
        {"nonsense", KV_SV_INIT("x"), KV_E_INVALID, ""},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_error err = {0};
        kv_auto_str url = NULL;
        kv_code got = kv_url_resolve(CASES[i].base, CASES[i].ref, &url, &err);
        if (got != CASES[i].want) fail_msg("case %zu: code %d, '%s'", i, (int)got, err.msg);
        if (got == KV_OK) assert_string_equal(url, CASES[i].url);
    }
}

KV_TEST_MAIN(cmocka_unit_test(tells_origins), cmocka_unit_test(resolves))

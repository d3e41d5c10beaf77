#include "http/sigv4.h"

#include <string.h>

#include "base/clock.h"
#include "test/test.h"

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* The examples of AWS: "Authenticating Requests: Using the Authorization Header". */
static const kv_sigv4 KEY = {
    .access_key = KV_SV_INIT("AKIAIOSFODNN7EXAMPLE"),
    .secret_key = KV_SV_INIT("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    .region = KV_SV_INIT("us-east-1"),
    .service = KV_SV_INIT("s3"),
};

static void signs_as_documented(void **state)
{
    static const struct {
        const char *url, *signature;
    } CASES[] = {
        {"https://examplebucket.s3.amazonaws.com/?lifecycle",
         "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
        {"https://examplebucket.s3.amazonaws.com/?prefix=J&max-keys=2",
         "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
        {"https://examplebucket.s3.amazonaws.com?max-keys=2&prefix=J#x",
         "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
    };
    (void)state;
    int64_t now;
    assert_int_equal(kv_time_parse(KV_SV("2013-05-24T00:00:00Z"), &now, NULL), KV_OK);
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto_sigv4_headers h = {0};
        assert_int_equal(kv_sigv4_sign(&KEY, "GET", CASES[i].url, KV_SV(EMPTY), now, &h, NULL),
                         KV_OK);
        assert_string_equal(h.lines[0], "x-amz-date: 20130524T000000Z");
        assert_string_equal(h.lines[1], "x-amz-content-sha256: " EMPTY);
        if (!strstr(h.lines[2], CASES[i].signature)) fail_msg("%s: %s", CASES[i].url, h.lines[2]);
        assert_null(h.lines[3]);
    }
}

static void signs_the_session(void **state)
{
    (void)state;
    kv_sigv4 key = KEY;
    key.session_token = KV_SV("secret/token");
    kv_auto_sigv4_headers h = {0};
    assert_int_equal(
        kv_sigv4_sign(&key, "PUT", "http://h:1/b/k", KV_SV(KV_SIGV4_UNSIGNED), 0, &h, NULL), KV_OK);
    assert_string_equal(h.lines[2], "x-amz-security-token: secret/token");
    assert_non_null(strstr(h.lines[3], "x-amz-date;x-amz-security-token, Signature="));
    assert_null(h.lines[4]);
}

static void refuses(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        kv_code code;
    } CASES[] = {
        {"no-scheme", KV_E_INVALID},
        {"http:///path", KV_E_INVALID},
        {"http://h/?a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a", KV_E_LIMIT},
    };
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto_sigv4_headers h = {0};
        kv_code rc = kv_sigv4_sign(&KEY, "GET", CASES[i].url, KV_SV(EMPTY), 0, &h, NULL);
        if (rc != CASES[i].code) fail_msg("%s: code %d", CASES[i].url, (int)rc);
    }
}

KV_TEST_MAIN(cmocka_unit_test(signs_as_documented), cmocka_unit_test(signs_the_session),
             cmocka_unit_test(refuses))

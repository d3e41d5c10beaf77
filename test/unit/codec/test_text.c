#include "codec/text.h"

#include <string.h>

#include "test/test.h"

static void base64(void **state)
{
    static const struct {
        kv_sv bytes;
        const char *text, *url;
    } CASES[] = {
        /* RFC 4648 section 10 */
        {KV_SV_INIT(""), "", ""},
        {KV_SV_INIT("f"), "Zg==", "Zg"},
        {KV_SV_INIT("fo"), "Zm8=", "Zm8"},
        {KV_SV_INIT("foo"), "Zm9v", "Zm9v"},
        {KV_SV_INIT("foob"), "Zm9vYg==", "Zm9vYg"},
        {KV_SV_INIT("\xfb\xff\0"), "+/8A", "-_8A"},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto_buf std = KV_BUF(100), url = KV_BUF(100), back = KV_BUF(100), back2 = KV_BUF(100);
        kv_base64_add(&std, CASES[i].bytes);
        kv_base64url_add(&url, CASES[i].bytes, false);
        assert_true(kv_sv_is(kv_buf_sv(&std), CASES[i].text));
        assert_true(kv_sv_is(kv_buf_sv(&url), CASES[i].url));
        assert_int_equal(kv_base64_parse(kv_buf_sv(&std), &back, NULL), KV_OK);
        assert_int_equal(kv_base64_parse(kv_buf_sv(&url), &back2, NULL), KV_OK);
        assert_true(kv_sv_eq(kv_buf_sv(&back), CASES[i].bytes));
        assert_true(kv_sv_eq(kv_buf_sv(&back2), CASES[i].bytes));
    }
    static const char *const BAD[] = {"A", "Zg=", "Zg===", "Z!==", "Zm9v=", "===="};
    for (size_t i = 0; i < KV_COUNT(BAD); i++) {
        kv_auto_buf out = KV_BUF(100);
        if (kv_base64_parse(kv_sv_of(BAD[i]), &out, NULL) != KV_E_SYNTAX) fail_msg("'%s'", BAD[i]);
    }
}

static void percent(void **state)
{
    (void)state;
    kv_auto_buf out = KV_BUF(100), back = KV_BUF(100), plus = KV_BUF(100);
    kv_percent_add(&out, KV_SV("a b/c:\xc3\xa9~"), "/");
    assert_string_equal(out.p, "a%20b/c%3A%C3%A9~");
    assert_int_equal(kv_percent_parse(kv_buf_sv(&out), false, &back, NULL), KV_OK);
    assert_string_equal(back.p, "a b/c:\xc3\xa9~");
    assert_int_equal(kv_percent_parse(KV_SV("a+b%2b"), true, &plus, NULL), KV_OK);
    assert_string_equal(plus.p, "a b+");
    static const char *const BAD[] = {"%", "%1", "%g1", "a%4", "%00", "%%41"};
    for (size_t i = 0; i < KV_COUNT(BAD); i++) {
        kv_auto_buf b = KV_BUF(100);
        if (kv_percent_parse(kv_sv_of(BAD[i]), false, &b, NULL) != KV_E_SYNTAX)
            fail_msg("'%s'", BAD[i]);
    }
}

static void hex(void **state)
{
    (void)state;
    kv_auto_buf out = KV_BUF(100);
    uint8_t b[3];
    kv_hex_add(&out, "\0\x7f\xff", 3);
    assert_string_equal(out.p, "007fff");
    assert_true(kv_hex_parse(kv_buf_sv(&out), b, 3));
    assert_memory_equal(b, "\0\x7f\xff", 3);
    assert_false(kv_hex_parse(KV_SV("007FFF"), b, 3));
    assert_false(kv_hex_parse(KV_SV("007ff"), b, 3));
    assert_false(kv_hex_parse(KV_SV("007fff0"), b, 3));
}

KV_TEST_MAIN(cmocka_unit_test(base64), cmocka_unit_test(percent), cmocka_unit_test(hex))

#include "base/str.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "test/test.h"

static void cuts_and_finds(void **state)
{
    (void)state;
    kv_sv head, s = KV_SV("a=b=c");
    bool found;
    assert_true(kv_sv_is(kv_sv_cut(s, '=', &head, &found), "b=c"));
    assert_true(found && kv_sv_is(head, "a"));
    assert_true(kv_sv_is(kv_sv_cut(s, '!', &head, &found), ""));
    assert_true(!found && kv_sv_eq(head, s));
    assert_int_equal(kv_sv_rfind(s, '='), 3);
    assert_int_equal(kv_sv_find_sub(s, KV_SV("=c")), 3);
    assert_int_equal(kv_sv_find_sub(s, KV_SV("x")), SIZE_MAX);
    assert_int_equal(kv_sv_find_sub(s, KV_SV("")), 0);
    assert_true(kv_sv_is(kv_sv_trim(KV_SV(" \t x y\r\n")), "x y"));
    assert_true(kv_sv_is(kv_sv_sub(s, 4, 99), "c"));
    assert_int_equal(kv_sv_sub(s, 9, 2).n, 0);
    assert_true(kv_sv_eq_nocase(KV_SV("Content-Length"), KV_SV("content-length")));
    assert_false(kv_sv_eq_nocase(KV_SV("a"), KV_SV("ab")));
    assert_true(kv_sv_cmp(KV_SV("a"), KV_SV("ab")) < 0 && kv_sv_cmp(KV_SV("b"), KV_SV("ab")) > 0);
    assert_true(kv_sv_starts(s, KV_SV("a=")) && kv_sv_ends(s, KV_SV("=c")));
    assert_false(kv_sv_starts(KV_SV("a"), s));
}

static void numbers(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        uint64_t want;
    } CASES[] = {
        {"0", true, 0},   {"18446744073709551615", true, UINT64_MAX},
        {"007", true, 7}, {"18446744073709551616", false, 0},
        {"", false, 0},   {"+1", false, 0},
        {"-1", false, 0}, {" 1", false, 0},
        {"1x", false, 0}, {"99999999999999999999999999", false, 0},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        uint64_t v = 0;
        if (kv_sv_to_u64(kv_sv_of(CASES[i].text), &v) != CASES[i].ok ||
            (CASES[i].ok && v != CASES[i].want))
            fail_msg("'%s'", CASES[i].text);
    }
}

static void utf8(void **state)
{
    static const struct {
        const char *name;
        kv_sv text;
        bool ok;
    } CASES[] = {
        {"ascii", KV_SV_INIT("abc\0d"), true},
        {"two, three, four", KV_SV_INIT("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"), true},
        {"last code point", KV_SV_INIT("\xf4\x8f\xbf\xbf"), true},
        {"overlong", KV_SV_INIT("\xc0\x80"), false},
        {"overlong three", KV_SV_INIT("\xe0\x80\x80"), false},
        {"surrogate", KV_SV_INIT("\xed\xa0\x80"), false},
        {"too large", KV_SV_INIT("\xf4\x90\x80\x80"), false},
        {"cut", KV_SV_INIT("\xe2\x82"), false},
        {"lone continuation", KV_SV_INIT("\x80"), false},
        {"bad third", KV_SV_INIT("\xe2\x82\x41"), false},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++)
        if (kv_utf8_valid(CASES[i].text) != CASES[i].ok) fail_msg("%s", CASES[i].name);
}

static void buffers(void **state)
{
    (void)state;
    kv_auto_buf b = KV_BUF(10);
    assert_string_equal(kv_buf_sv(&b).p, "");
    kv_buf_adds(&b, "12345");
    kv_buf_addf(&b, "%d", 678);
    assert_string_equal(b.p, "12345678");
    kv_buf_adds(&b, "90a"); /* one too many: nothing is added, and the failure sticks */
    assert_string_equal(b.p, "12345678");
    kv_buf_addc(&b, 'x');
    assert_int_equal(b.n, 8);
    assert_int_equal(kv_buf_check(&b, NULL), KV_E_LIMIT);
    kv_buf_clear(&b);
    assert_int_equal(kv_buf_check(&b, NULL), KV_OK);
    kv_buf_adds(&b, "0123456789");
    assert_int_equal(kv_buf_check(&b, NULL), KV_OK);
    kv_auto_str s = kv_buf_take(&b);
    assert_string_equal(s, "0123456789");
    assert_int_equal(b.n, 0);
}

static void reader(void **state)
{
    (void)state;
    kv_rd r = {.p = "\1\2\3\0\0\0\0\0\0\0ab", .left = 12};
    assert_int_equal(kv_rd_u16be(&r), 0x0102);
    assert_int_equal(kv_rd_u64le(&r), 3);
    assert_true(kv_sv_is(kv_rd_take(&r, 2), "ab"));
    assert_false(r.bad);
    assert_int_equal(kv_rd_u8(&r), 0);
    assert_true(r.bad);
    kv_rd huge = {.p = "x", .left = 1};
    assert_int_equal(kv_rd_take(&huge, UINT64_MAX).n, 0);
    assert_true(huge.bad);
}

static void paths(void **state)
{
    static const struct {
        const char *in, *clean;
        bool local;
    } CASES[] = {
        {"", ".", false},        {".", ".", true},
        {"a/b", "a/b", true},    {"./a//b/", "a/b", true},
        {"a/../b", "b", true},   {"..", "..", false},
        {"../a", "../a", false}, {"a/../../b", "../b", false},
        {"/", "/", false},       {"/a/../..", "/", false},
        {"//a", "/a", false},    {"a/./b/../c", "a/c", true},
        {"a/..", ".", true},     {"...", "...", true},
        {"a..b", "a..b", true},  {"../../a/..", "../..", false},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto_buf out = KV_BUF(100);
        kv_path_clean(kv_sv_of(CASES[i].in), &out);
        if (strcmp(out.p, CASES[i].clean) != 0 ||
            kv_path_is_local(kv_sv_of(CASES[i].in)) != CASES[i].local)
            fail_msg("'%s': '%s'", CASES[i].in, out.p);
    }
}

static void errors(void **state)
{
    (void)state;
    kv_error err = {0};
    kv_auto_buf b = KV_BUF(10);
    assert_int_equal(kv_file_read("/nonexistent/file", &b, &err), KV_E_NOTFOUND);
    assert_string_equal(err.msg, "cannot open '/nonexistent/file': No such file or directory");
    assert_int_equal(kv_wrap(&err, err.code, "packing '%s'", "a:b"), KV_E_NOTFOUND);
    assert_string_equal(
        err.msg, "packing 'a:b': cannot open '/nonexistent/file': No such file or directory");
    /* A wrapped text that is too long is cut at its end, never past the buffer. */
    for (int i = 0; i < 600; i++) assert_int_equal(kv_wrap(&err, KV_E_IO, "0123456789"), KV_E_IO);
    assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
}

static void controls(void **state)
{
    static const struct {
        kv_sv text;
        const char *visible, *plain;
    } CASES[] = {
        {KV_SV_INIT(""), "", ""},
        {KV_SV_INIT("model é ☃ \xf0\x9f\x98\x80"), "model é ☃ \xf0\x9f\x98\x80",
         "model é ☃ \xf0\x9f\x98\x80"},
        {KV_SV_INIT("a\nb\r\t\x1b[31m\x7f"), "a\\012b\\015\\011\\033[31m\\177",
         "a\\012b\\015\\011\\033[31m\\177"},
        {KV_SV_INIT("a\0b"), "a\\000b", "a\\000b"},
        {KV_SV_INIT("\xc2\x9b\xc2\xa0\xc2"), "\\302\\233\xc2\xa0\xc2", "\\302\\233\xc2\xa0\xc2"},
        {KV_SV_INIT("c:\\x\\012"), "c:\\x\\012", "c:\\134x\\134012"},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto_buf visible = KV_BUF(1000), plain = KV_BUF(1000);
        kv_visible_add(&visible, CASES[i].text);
        kv_plain_add(&plain, CASES[i].text);
        assert_true(kv_sv_is(kv_buf_sv(&visible), CASES[i].visible));
        assert_true(kv_sv_is(kv_buf_sv(&plain), CASES[i].plain));
    }
}

static void arenas(void **state)
{
    (void)state;
    kv_auto(kv_arena) a = kv_arena_new(10000);
    assert_non_null(kv_arena_alloc(a, 1, 5000));
    char *p = kv_arena_alloc(a, 100, 1);
    assert_non_null(p);
    for (int i = 0; i < 100; i++) assert_int_equal(p[i], 0);
    assert_null(kv_arena_alloc(a, 1, 5000));
    assert_null(kv_arena_alloc(a, SIZE_MAX, 2));
    assert_null(kv_arena_alloc(a, SIZE_MAX, 1));
    assert_string_equal(kv_arena_dup(a, KV_SV("text")).p, "text");
}

KV_TEST_MAIN(cmocka_unit_test(cuts_and_finds), cmocka_unit_test(numbers), cmocka_unit_test(utf8),
             cmocka_unit_test(buffers), cmocka_unit_test(reader), cmocka_unit_test(paths),
             cmocka_unit_test(errors), cmocka_unit_test(controls), cmocka_unit_test(arenas))

#include "yaml/yout.h"

#include <math.h>

#include "test/test.h"
#include "json/value.h"

#define LONG_KEY                                                                                           \
    "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk" \
    "kkkkkkkkkkkkkkkkkkkkkkkkkkkkk" /* 129 bytes */

static void writes_trees(void **state)
{
    static const struct {
        const char *json, *want;
    } CASES[] = {
        {"1", "1\n"},
        {"\"x\"", "x\n"},
        {"null", "null\n"},
        {"[]", "[]\n"},
        {"{}", "{}\n"},
        {"[true, false, -3, 18446744073709551615, 1.5]",
         "- true\n- false\n- -3\n- 18446744073709551615\n- 1.5\n"},
        {"[1000000, 1234567, 1e21, 1e-7, 9223372036854775807]",
         "- 1000000\n- 1234567\n- 1e+21\n- 1e-7\n- 9223372036854775807\n"},
        {"{\"a\": {\"b\": [1, [2, [3]], {\"c\": []}], \"d\": {}}}",
         "a:\n  b:\n    - 1\n    - - 2\n      - - 3\n    - c: []\n  d: {}\n"},
        {"[{\"b\": 1, \"a\": 2}, [{\"c\": 3}]]", "- a: 2\n  b: 1\n- - c: 3\n"},
        {"{\"item10\": 1, \"item9\": 2, \"item09\": 3, \"b\": 4, \"B\": 5, \"_x\": 6, \"2\": 7, "
         "\"02\": 8, \"-\": 9, \"\xc3\xa9\": 10, \"a.b\": 11, \"a1b\": 12, \"ab\": 13, "
         "\"1.10\": 14, \"1.9\": 15}",
         "'-': 9\n_x: 6\n\"1.9\": 15\n\"1.10\": 14\n\"2\": 7\n\"02\": 8\nB: 5\na.b: 11\na1b: 12\n"
         "ab: 13\nb: 4\nitem9: 2\nitem09: 3\nitem10: 1\n\xc3\xa9: 10\n"},
        {"{\"v100\": 1, \"v10\": 2, \"v1\": 3, \"v109\": 4, \"v1000\": 5, \"v\": 6}",
         "v: 6\nv1: 3\nv10: 2\nv100: 1\nv109: 4\nv1000: 5\n"},
        {"{\"x99999999999999999999999\": 1, \"x9\": 2}", "x9: 2\nx99999999999999999999999: 1\n"},
        {"{\"\": 1, \"y\": 2, \"a: b\": 3, \"#c\": 4}", "\"\": 1\n'#c': 4\n'a: b': 3\n\"y\": 2\n"},
        {"{\"" LONG_KEY "\": 1}", "? " LONG_KEY "\n: 1\n"},
        {"{\"" LONG_KEY "\": {\"a\": [1]}}", "? " LONG_KEY "\n: a:\n    - 1\n"},
        {"{\"<<\": \"<<\"}", "\"<<\": <<\n"},
        {"{\"two\\nlines\": [1]}", "? |-\n  two\n  lines\n: - 1\n"},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto(kv_jdoc) doc = NULL;
        kv_auto(kv_arena) arena = kv_arena_new(1u << 20);
        kv_auto_buf out = KV_BUF(1u << 20);
        const kv_value *v = NULL;
        assert_int_equal(kv_jdoc_parse(kv_sv_of(CASES[i].json), &doc, NULL), KV_OK);
        assert_int_equal(kv_value_from_json(kv_jdoc_root(doc), arena, &v, NULL), KV_OK);
        kv_yout y = kv_yout_make(&out);
        kv_yout_value(&y, v);
        kv_yout_finish(&y);
        if (!kv_sv_is(kv_buf_sv(&out), CASES[i].want)) fail_msg("%s: %s", CASES[i].json, out.p);
    }
}

static void quotes_strings(void **state)
{
    static const struct {
        const char *text, *block, *flow; /* as a map's value, as an item of a flow list */
    } CASES[] = {
        {"plain text", "plain text", "plain text"},
        {"", "\"\"", "\"\""},
        {"true", "\"true\"", "\"true\""},
        {"1.0", "\"1.0\"", "\"1.0\""},
        {"007", "\"007\"", "\"007\""},
        {"yes", "\"yes\"", "\"yes\""},
        {"n", "\"n\"", "\"n\""},
        {"2024-01-02", "\"2024-01-02\"", "\"2024-01-02\""},
        {"x: y", "'x: y'", "'x: y'"},
        {"x:y", "x:y", "'x:y'"},
        {":x", ":x", "':x'"},
        {": x", "': x'", "': x'"},
        {"x:", "'x:'", "'x:'"},
        {"?x", "?x", "'?x'"},
        {"? x", "'? x'", "'? x'"},
        {"a?b", "a?b", "'a?b'"},
        {"#h", "'#h'", "'#h'"},
        {"a#h", "a#h", "a#h"},
        {"a #h", "'a #h'", "'a #h'"},
        {"- dash", "'- dash'", "'- dash'"},
        {"-dash", "-dash", "-dash"},
        {"-", "'-'", "'-'"},
        {"---", "'---'", "'---'"},
        {"...x", "'...x'", "'...x'"},
        {"@at", "'@at'", "'@at'"},
        {"`tick", "'`tick'", "'`tick'"},
        {"%p", "'%p'", "'%p'"},
        {"!x", "'!x'", "'!x'"},
        {"&x", "'&x'", "'&x'"},
        {"*x", "'*x'", "'*x'"},
        {"|x", "'|x'", "'|x'"},
        {">x", "'>x'", "'>x'"},
        {"'q", "'''q'", "'''q'"},
        {"\"q", "'\"q'", "'\"q'"},
        {"it's", "it's", "it's"},
        {"O'Neil, J.", "O'Neil, J.", "'O''Neil, J.'"},
        {"a=b,c;d", "a=b,c;d", "'a=b,c;d'"},
        {"a[0]", "a[0]", "'a[0]'"},
        {"{a", "'{a'", "'{a'"},
        {"a}", "a}", "'a}'"},
        {" lead", "' lead'", "' lead'"},
        {"trail ", "'trail '", "'trail '"},
        {"tab\there", "\"tab\\there\"", "\"tab\\there\""},
        {"\x07\b\v\f\r\x1b", "\"\\a\\b\\v\\f\\r\\e\"", "\"\\a\\b\\v\\f\\r\\e\""},
        {"\x01", "\"\\x01\"", "\"\\x01\""},
        {"q\"\\\x7f", "\"q\\\"\\\\\\x7F\"", "\"q\\\"\\\\\\x7F\""},
        {"\xc2\x85", "\"\\N\"", "\"\\N\""},
        {"\xe2\x80\xa8\xe2\x80\xa9", "\"\\L\\P\"", "\"\\L\\P\""},
        {"\xef\xbb\xbf", "\"\\uFEFF\"", "\"\\uFEFF\""},
        {"\xef\xbf\xbe", "\"\\uFFFE\"", "\"\\uFFFE\""},
        {"\xf0\x9f\x98\x80", "\"\\U0001F600\"", "\"\\U0001F600\""},
        {"\xc3\xa9 \xe6\x97\xa5", "\xc3\xa9 \xe6\x97\xa5", "\xc3\xa9 \xe6\x97\xa5"},
        {"two\nlines", "|-\n    two\n    lines", "\"two\\nlines\""},
        {"two\nlines\n", "|\n    two\n    lines", "\"two\\nlines\\n\""},
        {"end\n\n", "|+\n    end\n", "\"end\\n\\n\""},
        {"a\n\nb\n", "|\n    a\n\n    b", "\"a\\n\\nb\\n\""},
        {" x\ny", "|2-\n     x\n    y", "\" x\\ny\""},
        {"\ty\nz", "|2-\n    \ty\n    z", "\"\\ty\\nz\""},
        {"\nx", "|2-\n\n    x", "\"\\nx\""},
        {"\n", "|2+\n", "\"\\n\""},
        {"x \ny", "\"x \\ny\"", "\"x \\ny\""},
        {"x\ny ", "\"x\\ny \"", "\"x\\ny \""},
        {"x\ny\x07", "\"x\\ny\\a\"", "\"x\\ny\\a\""},
        {"x\n\xe2\x80\xa8", "\"x\\n\\L\"", "\"x\\n\\L\""},
        {"\xff\xfe", "!!binary //4=", "!!binary //4="},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto_buf got = KV_BUF(1u << 20), want = KV_BUF(1u << 20);
        kv_yout y = kv_yout_make(&got);
        kv_yout_map(&y);
        kv_yout_key(&y, KV_SV("a"));
        kv_yout_seq(&y, true);
        kv_yout_str(&y, kv_sv_of(CASES[i].text));
        kv_yout_end(&y);
        kv_yout_key(&y, KV_SV("m"));
        kv_yout_map(&y);
        kv_yout_key(&y, KV_SV("v"));
        kv_yout_str(&y, kv_sv_of(CASES[i].text));
        kv_yout_key(&y, KV_SV("w"));
        kv_yout_str(&y, KV_SV("x"));
        kv_yout_end(&y);
        kv_yout_end(&y);
        kv_yout_finish(&y);
        kv_buf_addf(&want, "a: [%s]\nm:\n  v: %s\n  w: x\n", CASES[i].flow, CASES[i].block);
        if (!kv_sv_eq(kv_buf_sv(&got), kv_buf_sv(&want)))
            fail_msg("'%s':\n%s\nwanted\n%s", CASES[i].text, got.p, want.p);
    }
}

static void writes_numbers_json_cannot_say(void **state)
{
    static const struct {
        double d;
        const char *want;
    } CASES[] = {{NAN, ".nan\n"},
                 {INFINITY, ".inf\n"},
                 {-INFINITY, "-.inf\n"},
                 {-0.0, "-0.0\n"},
                 {0.0, "0\n"}};
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto_buf out = KV_BUF(100);
        kv_yout y = kv_yout_make(&out);
        kv_yout_value(&y, &(kv_value){.kind = KV_VDOUBLE, .d = CASES[i].d});
        kv_yout_finish(&y);
        assert_string_equal(out.p, CASES[i].want);
    }
}

static void breaks_long_binary(void **state)
{
    (void)state;
    char bytes[60];
    for (size_t i = 0; i < sizeof(bytes); i++) bytes[i] = (char)0xff;
    kv_auto_buf out = KV_BUF(1000);
    kv_yout y = kv_yout_make(&out);
    kv_yout_seq(&y, false);
    kv_yout_str(&y, (kv_sv){bytes, sizeof(bytes)});
    kv_yout_end(&y);
    kv_yout_finish(&y);
    assert_string_equal(out.p,
                        "- !!binary |\n"
                        "  //////////////////////////////////////////////////////////////////////\n"
                        "  //////////\n");
}

static void bounds_depth(void **state)
{
    (void)state;
    kv_auto_buf out = KV_BUF(1u << 20);
    kv_yout y = kv_yout_make(&out);
    for (int i = 0; i < KV_YOUT_DEPTH_MAX + 3; i++) kv_yout_seq(&y, false);
    for (int i = 0; i < KV_YOUT_DEPTH_MAX + 3; i++) kv_yout_end(&y);
    kv_yout_finish(&y);
    assert_int_equal(kv_buf_check(&out, NULL), KV_E_LIMIT);
}

KV_TEST_MAIN(cmocka_unit_test(writes_trees), cmocka_unit_test(quotes_strings),
             cmocka_unit_test(writes_numbers_json_cannot_say), cmocka_unit_test(breaks_long_binary),
             cmocka_unit_test(bounds_depth))

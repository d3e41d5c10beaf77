#include "json/json.h"

#include <string.h>

#include "test/test.h"

static void parses(void **state)
{
    static const struct {
        const char *name;
        kv_sv text;
        kv_code want;
        const char *msg; /* part of the message */
    } CASES[] = {
        {"object", KV_SV_INIT("{\"a\":1}"), KV_OK, ""},
        {"huge number is text", KV_SV_INIT("[1e400,18446744073709551616]"), KV_OK, ""},
        {"empty", KV_SV_INIT(""), KV_E_SYNTAX, "line 1"},
        {"trailing bytes", KV_SV_INIT("{} x"), KV_E_SYNTAX, "line 1, column 4"},
        {"comment", KV_SV_INIT("{}//"), KV_E_SYNTAX, ""},
        {"trailing comma", KV_SV_INIT("[1,]"), KV_E_SYNTAX, ""},
        {"nan", KV_SV_INIT("[NaN]"), KV_E_SYNTAX, ""},
        {"bad utf-8", KV_SV_INIT("\"\xff\""), KV_E_SYNTAX, ""},
        {"byte order mark", KV_SV_INIT("\xef\xbb\xbf{}"), KV_E_SYNTAX, ""},
        {"key twice", KV_SV_INIT("{\"l\":[{},{\"size\":1,\"size\":2}]}"), KV_E_INVALID,
         "key 'l[1].size' stands twice"},
        {"key twice by escape", KV_SV_INIT("{\"a\":1,\"\\u0061\":2}"), KV_E_INVALID, "'a'"},
        {"key twice among many",
         KV_SV_INIT(
             "{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1,\"j\":1,"
             "\"k\":1,\"l\":1,\"m\":1,\"a\":1}"),
         KV_E_INVALID, "'a'"},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_error err = {0};
        kv_auto(kv_jdoc) doc = NULL;
        kv_code got = kv_jdoc_parse(CASES[i].text, &doc, &err);
        if (got != CASES[i].want || !strstr(err.msg, CASES[i].msg))
            fail_msg("%s: code %d, '%s'", CASES[i].name, (int)got, err.msg);
    }
}

static void bounds_depth(void **state)
{
    (void)state;
    kv_auto_buf b = KV_BUF(1000);
    for (int i = 0; i < KV_JSON_DEPTH_MAX; i++) kv_buf_addc(&b, '[');
    for (int i = 0; i < KV_JSON_DEPTH_MAX; i++) kv_buf_addc(&b, ']');
    kv_auto(kv_jdoc) doc = NULL;
    assert_int_equal(kv_jdoc_parse(kv_buf_sv(&b), &doc, NULL), KV_OK);
    kv_auto_buf deeper = KV_BUF(1000);
    kv_buf_addf(&deeper, "[%s]", b.p);
    kv_auto(kv_jdoc) none = NULL;
    assert_int_equal(kv_jdoc_parse(kv_buf_sv(&deeper), &none, NULL), KV_E_LIMIT);
    kv_buf_truncate(&deeper, KV_JSON_DEPTH_MAX + 1); /* never closed */
    assert_int_equal(kv_jdoc_parse(kv_buf_sv(&deeper), &none, NULL), KV_E_LIMIT);
    kv_auto_buf text = KV_BUF(1000); /* brackets in a string are no depth */
    kv_buf_addf(&text, "[\"\\\"%s\", \"\\\\\", []]", deeper.p);
    kv_auto(kv_jdoc) strings = NULL;
    assert_int_equal(kv_jdoc_parse(kv_buf_sv(&text), &strings, NULL), KV_OK);
}

static void bounds_values(void **state)
{
    (void)state;
    kv_auto_buf b = KV_BUF(8u << 20);
    kv_auto(kv_jdoc) doc = NULL;
    kv_error err = {0};
    kv_buf_addc(&b, '[');
    for (unsigned i = 0; i < KV_JSON_VALUES_MAX; i++) kv_buf_adds(&b, "1,");
    kv_buf_adds(&b, "1]");
    assert_int_equal(kv_jdoc_parse(kv_buf_sv(&b), &doc, &err), KV_E_LIMIT);
    assert_string_equal(err.msg, "JSON has more than 2097152 values");
}

typedef struct item {
    kv_sv name;
    uint64_t size;
} item;
static const kv_jfield ITEM_FIELDS[] = {
    KV_JFIELD(item, name, "name", true),
    KV_JFIELD(item, size, "size", false),
};
static const kv_jtable ITEM = KV_JTABLE(item, ITEM_FIELDS);
typedef struct box {
    bool open;
    int64_t n;
    item lid;
    KV_JLIST(item) items;
    KV_JLIST(kv_sv) tags;
    const kv_json *any;
} box;
static const kv_jfield BOX_FIELDS[] = {
    KV_JFIELD(box, open, "open", false),       KV_JFIELD_KEEP(box, n, "n", false),
    KV_JOBJECT(box, lid, "lid", false, &ITEM), KV_JOBJECTS(box, items, "items", false, &ITEM),
    KV_JSTRINGS(box, tags, "tags", false),     KV_JFIELD(box, any, "any", false),
};
static const kv_jtable BOX = {
    .fields = BOX_FIELDS, .n = KV_COUNT(BOX_FIELDS), .size = sizeof(box), .strict = true};

static void binds_and_writes(void **state)
{
    static const struct {
        const char *name;
        kv_sv text;
        const char *want; /* what is written back, or the error */
    } CASES[] = {
        {"all",
         KV_SV_INIT("{\"open\":true,\"n\":-5,\"lid\":{\"name\":\"x\"},\"items\":[{\"name\":\"a\","
                    "\"size\":7}],\"tags\":[\"t\",\"u\"],\"any\":{\"z\":[1.50]}}"),
         "{\"open\":true,\"n\":-5,\"lid\":{\"name\":\"x\"},\"items\":[{\"name\":\"a\",\"size\":7}],"
         "\"tags\":[\"t\",\"u\"],\"any\":{\"z\":[1.50]}}"},
        {"nothing", KV_SV_INIT("{}"), "{\"n\":0}"},
        {"null is absent", KV_SV_INIT("{\"items\":null,\"open\":null}"), "{\"n\":0}"},
        {"not an object", KV_SV_INIT("[]"), "document: expected object"},
        {"wrong type", KV_SV_INIT("{\"open\":1}"), "open: expected true or false"},
        {"wrong in list", KV_SV_INIT("{\"items\":[{\"name\":\"a\"},{\"name\":\"b\",\"size\":-1}]}"),
         "items[1].size: expected integer, not negative"},
        {"missing in list", KV_SV_INIT("{\"items\":[{}]}"), "items[0].name: missing"},
        {"too large", KV_SV_INIT("{\"n\":9223372036854775808}"), "n: expected integer"},
        {"fraction", KV_SV_INIT("{\"n\":1.0}"), "n: expected integer"},
        {"string in list", KV_SV_INIT("{\"tags\":[1]}"), "tags[0]: expected string"},
        {"list wanted", KV_SV_INIT("{\"tags\":{}}"), "tags: expected array"},
        {"object wanted", KV_SV_INIT("{\"lid\":3}"), "lid: expected object"},
        {"string wanted", KV_SV_INIT("{\"lid\":{\"name\":3}}"), "lid.name: expected string"},
        {"unknown", KV_SV_INIT("{\"x\":1}"), "x: unknown field"},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_error err = {0};
        kv_auto(kv_jdoc) doc = NULL;
        kv_auto(kv_arena) arena = kv_arena_new(1 << 16);
        kv_auto_buf out = KV_BUF(1 << 16);
        box v;
        assert_int_equal(kv_jdoc_parse(CASES[i].text, &doc, &err), KV_OK);
        kv_jout j = kv_jout_make(&out, KV_JSON_GO, 0);
        if (kv_json_bind(kv_jdoc_root(doc), &BOX, arena, "", &v, &err) == KV_OK)
            kv_jout_struct(&j, &BOX, &v);
        else
            kv_buf_adds(&out, err.msg);
        if (!kv_sv_is(kv_buf_sv(&out), CASES[i].want))
            fail_msg("%s: '%s'", CASES[i].name, out.p ? out.p : "");
    }
}

static void canonical(void **state)
{
    /* Rows from RFC 8785: 3.2.2 (literals, numbers), 3.2.3 (order of keys), appendix B. */
    static const struct {
        const char *name;
        kv_sv in, want;
    } CASES[] = {
        {"key order",
         KV_SV_INIT(
             "{\"\\u20ac\":1,\"\\r\":2,\"\\ufb33\":3,\"1\":4,\"\\ud83d\\ude00\":5,\"\\u0080\":"
             "6,\"\\u00f6\":7}"),
         KV_SV_INIT("{\"\\r\":2,\"1\":4,\"\xc2\x80\":6,\"\xc3\xb6\":7,\"\xe2\x82\xac\":1,"
                    "\"\xf0\x9f\x98\x80\":5,\"\xef\xac\xb3\":3}")},
        {"numbers",
         KV_SV_INIT("[333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001]"),
         KV_SV_INIT("[333333333.3333333,1e+30,4.5,0.002,1e-27]")},
        {"zero", KV_SV_INIT("[-0, 0.0, -0.0]"), KV_SV_INIT("[0,0,0]")},
        {"literals", KV_SV_INIT("[ null , true, false ]"), KV_SV_INIT("[null,true,false]")},
        {"strings", KV_SV_INIT("\"\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\\"\\/<>&\""),
         KV_SV_INIT("\"\xe2\x82\xac$\\u000f\\nA'B\\\"\\\\\\\\\\\"/<>&\"")},
        {"thresholds", KV_SV_INIT("[1e21,1e20,1e-6,1e-7,123456789012345680000]"),
         KV_SV_INIT("[1e+21,100000000000000000000,0.000001,1e-7,123456789012345680000]")},
        {"empty", KV_SV_INIT("{\"b\":{},\"a\":[]}"), KV_SV_INIT("{\"a\":[],\"b\":{}}")},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_error err = {0};
        kv_auto_buf out = KV_BUF(4096);
        if (kv_json_canonical(CASES[i].in, &out, &err) != KV_OK ||
            !kv_sv_eq(kv_buf_sv(&out), CASES[i].want))
            fail_msg("%s: '%s' %s", CASES[i].name, out.p ? out.p : "", err.msg);
    }
}

static void go_profile(void **state)
{
    (void)state;
    kv_auto_buf out = KV_BUF(4096);
    kv_jout j = kv_jout_make(&out, KV_JSON_GO, 2);
    kv_jout_obj(&j);
    kv_jout_kstr(&j, "s", KV_SV("<a&b> \xe2\x80\xa8 \xc3\xa9 \xff \x7f\x01"));
    kv_jout_key(&j, KV_SV("l"));
    kv_jout_arr(&j);
    kv_jout_u64(&j, UINT64_MAX);
    kv_jout_double(&j, 1e-7);
    kv_jout_end_arr(&j);
    kv_jout_key(&j, KV_SV("e"));
    kv_jout_obj(&j);
    kv_jout_end_obj(&j);
    kv_jout_end_obj(&j);
    assert_string_equal(out.p, "{\n  \"s\": \"\\u003ca\\u0026b\\u003e \\u2028 \xc3\xa9 \\ufffd "
                               "\x7f\\u0001\",\n  \"l\": [\n    18446744073709551615,\n    1e-7\n  "
                               "],\n  \"e\": {}\n}");
}

KV_TEST_MAIN(cmocka_unit_test(parses), cmocka_unit_test(bounds_depth),
             cmocka_unit_test(bounds_values), cmocka_unit_test(binds_and_writes),
             cmocka_unit_test(canonical), cmocka_unit_test(go_profile))

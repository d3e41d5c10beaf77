#include "json/value.h"

#include <math.h>

#include "test/test.h"

static void copies_json(void **state)
{
    static const struct {
        const char *json, *want; /* want NULL: error */
    } CASES[] = {
        {"null", "null"},
        {"[true,false,\"x\",{}]", "[true,false,\"x\",{}]"},
        {"{\"b\":1,\"a\":[{\"d\":2,\"c\":3}]}", "{\"a\":[{\"c\":3,\"d\":2}],\"b\":1}"},
        {"[9223372036854775807,-9223372036854775808,18446744073709551615]",
         "[9223372036854775807,-9223372036854775808,18446744073709551615]"},
        {"[1.0,1e2,1.50,-0,1e21,1e-7]", "[1,100,1.5,-0,1e+21,1e-7]"},
        {"[18446744073709551616]", "[18446744073709552000]"},
        {"[1e400]", NULL},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto(kv_jdoc) doc = NULL;
        kv_auto(kv_arena) arena = kv_arena_new(1u << 20);
        kv_auto_buf out = KV_BUF(1u << 20);
        kv_error err = {0};
        const kv_value *v = NULL;
        assert_int_equal(kv_jdoc_parse(kv_sv_of(CASES[i].json), &doc, NULL), KV_OK);
        kv_code rc = kv_value_from_json(kv_jdoc_root(doc), arena, &v, &err);
        if (!CASES[i].want) {
            assert_int_equal(rc, KV_E_LIMIT);
            assert_string_equal(err.msg, "number 1e400 is too large");
            continue;
        }
        assert_int_equal(rc, KV_OK);
        kv_jout j = kv_jout_make(&out, KV_JSON_GO, 0);
        assert_int_equal(kv_jout_tree(&j, v, NULL), KV_OK);
        assert_string_equal(out.p, CASES[i].want);
    }
}

static void refuses_what_json_cannot_say(void **state)
{
    const kv_value one = {.kind = KV_VINT, .i = 1};
    const kv_member member = {KV_SV("1"), &one};
    const kv_value mixed = {.kind = KV_VMAP, .mixed_keys = true, .n = 1, .members = &member};
    const kv_value nan = {.kind = KV_VDOUBLE, .d = NAN}, inf = {.kind = KV_VDOUBLE, .d = INFINITY};
    const struct {
        const kv_value *v;
        const char *want;
    } CASES[] = {
        {&mixed, "json: unsupported type: map[interface {}]interface {}"},
        {&nan, "json: unsupported value: NaN"},
        {&inf, "json: unsupported value: +Inf"},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        const kv_value *items[] = {CASES[i].v};
        const kv_value list = {.kind = KV_VLIST, .n = 1, .items = items};
        kv_auto_buf out = KV_BUF(100);
        kv_error err = {0};
        kv_jout j = kv_jout_make(&out, KV_JSON_GO, 0);
        assert_int_equal(kv_jout_tree(&j, &list, &err), KV_E_INVALID);
        assert_string_equal(err.msg, CASES[i].want);
    }
}

static void bounds_memory(void **state)
{
    static const char *const CASES[] = {"[1,2,3,4,5,6,7,8]", "{\"a\":1,\"b\":2,\"c\":[]}",
                                        "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\""};
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto(kv_jdoc) doc = NULL;
        kv_auto(kv_arena) arena = kv_arena_new(80);
        const kv_value *v = NULL;
        assert_int_equal(kv_jdoc_parse(kv_sv_of(CASES[i]), &doc, NULL), KV_OK);
        assert_int_equal(kv_value_from_json(kv_jdoc_root(doc), arena, &v, NULL), KV_E_LIMIT);
    }
}

KV_TEST_MAIN(cmocka_unit_test(copies_json), cmocka_unit_test(refuses_what_json_cannot_say),
             cmocka_unit_test(bounds_memory))

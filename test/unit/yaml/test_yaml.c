/* Documents to nodes to values. */
#include <stdlib.h>
#include <string.h>

#include "test/test.h"
#include "yaml/yaml.h"
#include "json/value.h"

#define DEPTH 8

/* Text to the JSON of its value, or to the error. */
static kv_code convert(kv_sv text, kv_buf *out)
{
    kv_auto(kv_ydoc) doc = NULL;
    kv_auto(kv_arena) arena = kv_arena_new(8u << 20);
    kv_error err = {0};
    kv_code rc = kv_ydoc_parse(text, DEPTH, 8u << 20, &doc, &err);
    if (rc == KV_OK && kv_ydoc_root(doc)) {
        kv_ydec d = kv_ydec_make(arena, DEPTH, &err);
        const kv_value *v = kv_ydec_value(&d, kv_ydoc_root(doc));
        rc = kv_ydec_end(&d);
        kv_jout j = kv_jout_make(out, KV_JSON_GO, 0);
        if (rc == KV_OK) rc = kv_jout_tree(&j, v, &err);
    } else if (rc == KV_OK) {
        kv_buf_adds(out, "nothing");
    }
    if (rc != KV_OK) {
        kv_buf_truncate(out, 0);
        kv_buf_adds(out, err.msg);
    }
    return rc;
}

static void decodes(void **state)
{
    static const struct {
        const char *yaml;
        kv_code code;
        const char *want;
    } CASES[] = {
        {"", KV_OK, "nothing"},
        {"# only a comment\n", KV_OK, "nothing"},
        {"---\n", KV_OK, "null"},
        {"a: 1\n---\nb: 2\n", KV_OK, "{\"a\":1}"},
        {"a: 1\n...\n", KV_OK, "{\"a\":1}"},
        {"a: 1\n---\n}", KV_OK, "{\"a\":1}"},
        {"\xef\xbb\xbf"
         "a: 1\r\nb:\r\n  - x\r\n",
         KV_OK, "{\"a\":1,\"b\":[\"x\"]}"},
        {"{\"a\": [1, \"two\", null, true, 1.50]}", KV_OK, "{\"a\":[1,\"two\",null,true,1.5]}"},
        {"b: 2\na: 1\nC: 3\n", KV_OK, "{\"C\":3,\"a\":1,\"b\":2}"},
        {"a: |\n  x\n   y\n\nb: >-\n  folded\n  text\n", KV_OK,
         "{\"a\":\"x\\n y\\n\",\"b\":\"folded text\"}"},
        {"a: \"007\"\nb: '1'\nc: !!str 5\nd: !!float 5\n", KV_OK,
         "{\"a\":\"007\",\"b\":\"1\",\"c\":\"5\",\"d\":5}"},
        {"a: ! 5\nb: ! \"5\"\n", KV_OK, "{\"a\":5,\"b\":\"5\"}"},
        {"a: &x {k: 1}\nb: *x\n", KV_OK, "{\"a\":{\"k\":1},\"b\":{\"k\":1}}"},
        {"a: &x 1\nb: &x 2\nc: *x\n", KV_OK, "{\"a\":1,\"b\":2,\"c\":2}"},
        {"a: &B {a: 1, b: 2}\nd:\n  <<: *B\n  b: 3\n", KV_OK,
         "{\"a\":{\"a\":1,\"b\":2},\"d\":{\"a\":1,\"b\":3}}"},
        {"<<: [{a: 1, b: 1}, {b: 2, c: 2}]\nc: 3\n", KV_OK, "{\"a\":1,\"b\":1,\"c\":3}"},
        {"<<: {a: 1, <<: {a: 2, b: 2}}\n", KV_OK, "{\"a\":1,\"b\":2}"},
        {"<<: {1: x}\na: y\n", KV_OK, "{\"1\":\"x\",\"a\":\"y\"}"},
        {"\"<<\": {a: 1}\n", KV_OK, "{\"\\u003c\\u003c\":{\"a\":1}}"},
        {"<<: 5\n", KV_E_INVALID, "yaml: map merge requires map or sequence of maps as the value"},
        {"<<: [5]\n", KV_E_INVALID,
         "yaml: map merge requires map or sequence of maps as the value"},
        {"a: !!binary aGVs\n", KV_OK, "{\"a\":\"hel\"}"},
        {"a: !!binary |\n  aGVs\n  bG8=\n", KV_OK, "{\"a\":\"hello\"}"},
        {"a: !!binary aGV\n", KV_E_INVALID, "yaml: !!binary value contains invalid base64 data"},
        {"a: !!binary '#'\n", KV_E_INVALID, "yaml: !!binary value contains invalid base64 data"},
        {"a: !!int x\n", KV_E_INVALID, "yaml: cannot decode !!str `x` as a !!int"},
        {"&k a: *k\n", KV_OK, "{\"a\":\"a\"}"},
        {"1: a\n", KV_E_INVALID, "json: unsupported type: map[interface {}]interface {}"},
        {"~: a\n", KV_E_INVALID, "json: unsupported type: map[interface {}]interface {}"},
        {"[a]: b\n", KV_E_INVALID, "yaml: invalid map key at line 1"},
        {"a: .nan\n", KV_E_INVALID, "json: unsupported value: NaN"},
        {"a: -.inf\n", KV_E_INVALID, "json: unsupported value: -Inf"},
        {"a: 1\nb: 2\na: 3\nb: 4\na: 5\n", KV_E_INVALID,
         "yaml: unmarshal errors:\n  line 3: mapping key \"a\" already defined at line 1\n"
         "  line 5: mapping key \"a\" already defined at line 1\n"
         "  line 4: mapping key \"b\" already defined at line 2\n"
         "  line 5: mapping key \"a\" already defined at line 3"},
        {"\"a\\tb\\\"\\\\\\x01\\n\": 1\n\"a\\tb\\\"\\\\\\x01\\n\": 2\n", KV_E_INVALID,
         "yaml: unmarshal errors:\n"
         "  line 2: mapping key \"a\\tb\\\"\\\\\\x01\\n\" already defined at line 1"},
        {"a: {x: 1, x: 2}\nb: *nope\n", KV_E_SYNTAX, "yaml: unknown anchor 'nope' referenced"},
        {"a: &x [*x]\n", KV_E_INVALID, "yaml: anchor 'x' value contains itself"},
        {"a: &x {b: {c: *x}}\n", KV_E_INVALID, "yaml: anchor 'x' value contains itself"},
        {"a: {b\n", KV_E_SYNTAX, "yaml: line 1: did not find expected ',' or '}'"},
        {"a: 1\nb: {c\n", KV_E_SYNTAX, "yaml: line 1: did not find expected ',' or '}'"},
        {"a:\n\tb: 1\n", KV_E_SYNTAX, "yaml: line 2: found character that cannot start any token"},
        {"a: 1\nb:\n  c: 1\n d: 2\n", KV_E_SYNTAX, "yaml: line 3: did not find expected key"},
        {"a: \"\\q\"\n", KV_E_SYNTAX, "yaml: found unknown escape character"},
        {"a: \x01\n", KV_E_SYNTAX, "yaml: control characters are not allowed"},
        {"a: \xff\n", KV_E_SYNTAX, "yaml: invalid leading UTF-8 octet"},
        {"%YAML 9.9\n---\na: 1\n", KV_E_SYNTAX, "yaml: found incompatible YAML document"},
        {"  a: 1\n b: 2\n", KV_E_SYNTAX, "yaml: line 2: text behind the end of the document"},
        {"a: 1\n...\nb\n", KV_E_SYNTAX, "yaml: line 3: text behind the end of the document"},
        {"[[[[[[[[1]]]]]]]]", KV_OK, "[[[[[[[[1]]]]]]]]"},
        {"\n[[[[[[[[[1]]]]]]]]]", KV_E_LIMIT, "yaml: line 2: nested deeper than 8 levels"},
        {"a: &x [[[[1]]]]\nb: [[[*x]]]\n", KV_OK, "{\"a\":[[[[1]]]],\"b\":[[[[[[[1]]]]]]]}"},
        {"a: &x [[[[1]]]]\nb: [[[[*x]]]]\n", KV_E_LIMIT,
         "yaml: line 1: nested deeper than 8 levels"},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto_buf got = KV_BUF(1u << 20);
        kv_code rc = convert(kv_sv_of(CASES[i].yaml), &got);
        if (rc != CASES[i].code || !kv_sv_is(kv_buf_sv(&got), CASES[i].want))
            fail_msg("'%s': %d '%s'", CASES[i].yaml, (int)rc, got.p);
    }
}

static void refuses_bombs(void **state)
{
    (void)state;
    kv_auto_buf bomb = KV_BUF(1u << 16), got = KV_BUF(1u << 20);
    kv_buf_adds(&bomb, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 7; i++) {
        kv_buf_addf(&bomb, "a%d: &a%d [", i, i);
        for (int k = 0; k < 10; k++) kv_buf_addf(&bomb, "%s*a%d", k ? ", " : "", i - 1);
        kv_buf_adds(&bomb, "]\n");
    }
    assert_int_equal(convert(kv_buf_sv(&bomb), &got), KV_E_LIMIT);
    assert_string_equal(got.p, "yaml: document contains excessive aliasing");
}

static void bounds_memory(void **state)
{
    (void)state;
    kv_auto_buf text = KV_BUF(8u << 20), got = KV_BUF(1u << 20);
    kv_buf_adds(&text, "[");
    for (int i = 0; i < 400000; i++) kv_buf_adds(&text, "1,");
    kv_buf_adds(&text, "]");
    assert_int_equal(convert(kv_buf_sv(&text), &got), KV_E_LIMIT);
    assert_string_equal(got.p, "yaml: document needs too much memory");
}

static void bounds_anchors(void **state)
{
    (void)state;
    kv_auto_buf text = KV_BUF(1u << 20), got = KV_BUF(1u << 20);
    for (int i = 0; i < 1001; i++) kv_buf_addf(&text, "- &a%d x\n", i);
    assert_int_equal(convert(kv_buf_sv(&text), &got), KV_E_LIMIT);
    assert_string_equal(got.p, "yaml: line 1001: more than 1000 anchors");
}

static void cuts_long_lists_of_problems(void **state)
{
    (void)state;
    kv_auto_buf text = KV_BUF(1u << 20), got = KV_BUF(1u << 20);
    for (int i = 0; i < 20000; i++) kv_buf_adds(&text, "same: 1\n");
    assert_int_equal(convert(kv_buf_sv(&text), &got), KV_E_INVALID);
    assert_true(got.n < KV_ERROR_TEXT_MAX);
    assert_non_null(strstr(got.p, "line 2: mapping key \"same\" already defined at line 1"));
}

/* One repeated key among many must not cost their square. */
static void finds_twins_fast(void **state)
{
    (void)state;
    kv_auto_buf text = KV_BUF(4u << 20), got = KV_BUF(1u << 20);
    for (int i = 0; i < 40000; i++) kv_buf_addf(&text, "k%d: 1\n", i);
    kv_buf_adds(&text, "k7: 1\n");
    assert_int_equal(convert(kv_buf_sv(&text), &got), KV_E_INVALID);
    assert_string_equal(got.p, "yaml: unmarshal errors:\n  line 40001: mapping key \"k7\" already "
                               "defined at line 8");
}

static void words_mismatches(void **state)
{
    static const struct {
        const char *yaml, *want;
    } CASES[] = {
        {"1234567890", "cannot unmarshal !!int `1234567890` into T"},
        {"12345678901", "cannot unmarshal !!int `1234567...` into T"},
        {"[a]", "cannot unmarshal !!seq into T"},
        {"{}", "cannot unmarshal !!map into T"},
        {"!mine {}", "cannot unmarshal !mine `` into T"},
        {"!!binary aGk=", "cannot unmarshal !!binary `aGk=` into T"},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto(kv_ydoc) doc = NULL;
        kv_error err = {0};
        assert_int_equal(kv_ydoc_parse(kv_sv_of(CASES[i].yaml), DEPTH, 1u << 16, &doc, NULL),
                         KV_OK);
        kv_ydec d = kv_ydec_make(NULL, DEPTH, &err);
        kv_ydec_mismatch(&d, kv_ydoc_root(doc), "T");
        assert_int_equal(kv_ydec_end(&d), KV_E_INVALID);
        if (!strstr(err.msg, CASES[i].want)) fail_msg("'%s': %s", CASES[i].yaml, err.msg);
    }
}

KV_TEST_MAIN(cmocka_unit_test(decodes), cmocka_unit_test(refuses_bombs),
             cmocka_unit_test(bounds_memory), cmocka_unit_test(bounds_anchors),
             cmocka_unit_test(cuts_long_lists_of_problems), cmocka_unit_test(finds_twins_fast),
             cmocka_unit_test(words_mismatches))

#include "blob/s3_config.h"

#include <string.h>

#include "test/test.h"

static void reads_files(void **state)
{
    static const char TEXT[] = "# comment\n"
                               "[default]\n"
                               "region = eu-west-1\n"
                               "s3 =\n"
                               "  region = nested\n"
                               "; another\n"
                               "\n"
                               "[profile work]\r\n"
                               "key = a=b \r\n"
                               "[work2]\n"
                               "key=last\n"
                               "key=wins\n";
    static const struct {
        const char *section, *key, *want;
    } CASES[] = {
        {"default", "region", "eu-west-1"}, {"work", "key", "a=b"}, {"work2", "key", "wins"},
        {"default", "key", NULL},           {"none", "key", NULL},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_sv v;
        assert_int_equal(
            kv_aws_ini_get(kv_sv_of(TEXT), kv_sv_of(CASES[i].section), CASES[i].key, &v, NULL),
            KV_OK);
        if (CASES[i].want ? !kv_sv_is(v, CASES[i].want) : v.p != NULL)
            fail_msg("[%s] %s: '%.*s'", CASES[i].section, CASES[i].key, KV_ARG(v));
    }
}

static void refuses_broken_files(void **state)
{
    static const struct {
        const char *text, *want;
    } CASES[] = {
        {"[default\n", "line 1: a section without its ']'"},
        {"[a]\nkey\n", "line 2: no '='"},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_sv v;
        kv_error err = {0};
        assert_int_equal(kv_aws_ini_get(kv_sv_of(CASES[i].text), KV_SV("a"), "k", &v, &err),
                         KV_E_SYNTAX);
        assert_string_equal(err.msg, CASES[i].want);
    }
}

static void reads_xml(void **state)
{
    (void)state;
    kv_sv rest = KV_SV("<?xml?><L><Part><N>1</N></Part><Part><N>2</N></Part><Part>"), part, n;
    assert_true(kv_xml_next(&rest, "Part", &part));
    assert_true(kv_xml_next(&part, "N", &n) && kv_sv_is(n, "1"));
    assert_true(kv_xml_next(&rest, "Part", &part));
    assert_true(kv_sv_is(part, "<N>2</N>"));
    assert_false(kv_xml_next(&rest, "Part", &part)); /* never closed */
    rest = KV_SV("");
    assert_false(kv_xml_next(&rest, "Part", &part));
    kv_auto_buf out = KV_BUF(1024);
    kv_xml_text_add(&out, KV_SV("&quot;a&amp;b&lt;&gt;&apos;&x;&#34;&"));
    assert_string_equal(out.p, "\"a&b<>'&x;\"&");
}

KV_TEST_MAIN(cmocka_unit_test(reads_files), cmocka_unit_test(refuses_broken_files),
             cmocka_unit_test(reads_xml))

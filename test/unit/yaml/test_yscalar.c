#include <math.h>

#include "test/test.h"
#include "yaml/yaml.h"
#include "json/value.h"

static void types_scalars(void **state)
{
    static const struct {
        const char *tag, *text, *type, *json; /* type NULL: cannot be what tag says */
    } CASES[] = {
        {"", "", "!!null", "null"},
        {"", "~", "!!null", "null"},
        {"", "Null", "!!null", "null"},
        {"", "nULL", "!!str", "\"nULL\""},
        {"", "true", "!!bool", "true"},
        {"", "TRUE", "!!bool", "true"},
        {"", "False", "!!bool", "false"},
        {"", "yes", "!!str", "\"yes\""},
        {"", "on", "!!str", "\"on\""},
        {"", "0", "!!int", "0"},
        {"", "42", "!!int", "42"},
        {"", "+42", "!!int", "42"},
        {"", "-7", "!!int", "-7"},
        {"", "-", "!!str", "\"-\""},
        {"", "+", "!!str", "\"+\""},
        {"", "0xFF", "!!int", "255"},
        {"", "-0x10", "!!int", "-16"},
        {"", "0x", "!!str", "\"0x\""},
        {"", "0xG", "!!str", "\"0xG\""},
        {"", "0o17", "!!int", "15"},
        {"", "017", "!!int", "15"},
        {"", "08", "!!float", "8"},
        {"", "0b101", "!!int", "5"},
        {"", "0b2", "!!str", "\"0b2\""},
        {"", "1_000", "!!int", "1000"},
        {"", "9223372036854775807", "!!int", "9223372036854775807"},
        {"", "-9223372036854775808", "!!int", "-9223372036854775808"},
        {"", "-9223372036854775809", "!!float", "-9223372036854776000"},
        {"", "12345678901234567890", "!!int", "12345678901234567890"},
        {"", "+12345678901234567890", "!!float", "12345678901234567000"},
        {"", "123456789012345678901234567890", "!!float", "1.2345678901234568e+29"},
        {"", "1.5", "!!float", "1.5"},
        {"", "1.", "!!float", "1"},
        {"", ".5", "!!float", "0.5"},
        {"", ".", "!!str", "\".\""},
        {"", "-.5e-3", "!!float", "-0.0005"},
        {"", "1e6", "!!float", "1000000"},
        {"", "1e", "!!str", "\"1e\""},
        {"", "1e+", "!!str", "\"1e+\""},
        {"", "1e400", "!!str", "\"1e400\""},
        {"", "-0.0", "!!float", "-0"},
        {"", "1.2.3", "!!str", "\"1.2.3\""},
        {"", "12 ", "!!str", "\"12 \""},
        {"", "2024-01-02", "!!timestamp", "\"2024-01-02T00:00:00Z\""},
        {"", "2024-1-2", "!!timestamp", "\"2024-01-02T00:00:00Z\""},
        {"", "2024-02-29", "!!timestamp", "\"2024-02-29T00:00:00Z\""},
        {"", "2023-02-29", "!!str", "\"2023-02-29\""},
        {"", "2024-13-01", "!!str", "\"2024-13-01\""},
        {"", "2024-00-01", "!!str", "\"2024-00-01\""},
        {"", "2024-01-32", "!!str", "\"2024-01-32\""},
        {"", "2024-01-02T03:04:05Z", "!!timestamp", "\"2024-01-02T03:04:05Z\""},
        {"", "2024-01-02t3:4:5.120+01:30", "!!timestamp", "\"2024-01-02T03:04:05.12+01:30\""},
        {"", "2024-01-02T03:04:05-00:00", "!!timestamp", "\"2024-01-02T03:04:05Z\""},
        {"", "2024-01-02T03:04:05", "!!str", "\"2024-01-02T03:04:05\""},
        {"", "2024-01-02T03:04:05+1:30", "!!str", "\"2024-01-02T03:04:05+1:30\""},
        {"", "2024-01-02T03:04:05+24:00", "!!str", "\"2024-01-02T03:04:05+24:00\""},
        {"", "2024-01-02T24:04:05Z", "!!str", "\"2024-01-02T24:04:05Z\""},
        {"", "2024-01-02T03:60:05Z", "!!str", "\"2024-01-02T03:60:05Z\""},
        {"", "2024-01-02T03:04Z", "!!str", "\"2024-01-02T03:04Z\""},
        {"", "2024-01-02 03:04:05.000", "!!timestamp", "\"2024-01-02T03:04:05Z\""},
        {"", "2024-01-02  3:4:5", "!!timestamp", "\"2024-01-02T03:04:05Z\""},
        {"", "2024-01-02 03:04:05Z", "!!str", "\"2024-01-02 03:04:05Z\""},
        {"", "2001-12-14 21:59:43.10 -5", "!!str", "\"2001-12-14 21:59:43.10 -5\""},
        {"!!str", "5", "!!str", "\"5\""},
        {"!!binary", "aGk=", "!!binary", "\"aGk=\""},
        {"!mine", "5", "!mine", "\"5\""},
        {"!!int", "5", "!!int", "5"},
        {"!!int", "x", NULL, NULL},
        {"!!int", "1.5", NULL, NULL},
        {"!!float", "5", "!!float", "5"},
        {"!!bool", "yes", NULL, NULL},
        {"!!null", "x", NULL, NULL},
        {"!!timestamp", "2024-01-02", "!!timestamp", "\"2024-01-02T00:00:00Z\""},
        {"!!int", "2024-01-02", NULL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto(kv_arena) arena = kv_arena_new(1u << 16);
        kv_auto_buf json = KV_BUF(1u << 16);
        kv_sv type;
        kv_value v;
        bool ok = kv_yaml_resolve(kv_sv_of(CASES[i].tag), kv_sv_of(CASES[i].text), arena, &type,
                                  &v);
        if (ok != (CASES[i].type != NULL)) fail_msg("%s '%s'", CASES[i].tag, CASES[i].text);
        if (!ok) continue;
        kv_jout j = kv_jout_make(&json, KV_JSON_GO, 0);
        assert_int_equal(kv_jout_tree(&j, &v, NULL), KV_OK);
        if (!kv_sv_is(type, CASES[i].type) || !kv_sv_is(kv_buf_sv(&json), CASES[i].json))
            fail_msg("'%s': %.*s %s", CASES[i].text, KV_ARG(type), json.p);
    }
}

static void knows_what_json_cannot_say(void **state)
{
    (void)state;
    kv_sv type;
    kv_value v;
    assert_true(kv_yaml_resolve(KV_SV(""), KV_SV(".NaN"), NULL, &type, &v) && isnan(v.d));
    assert_true(kv_yaml_resolve(KV_SV(""), KV_SV("-.inf"), NULL, &type, &v) && v.d < 0 &&
                isinf(v.d));
    assert_true(kv_yaml_resolve(KV_SV(""), KV_SV("+.Inf"), NULL, &type, &v) && isinf(v.d));
}

static void bounds_numbers(void **state)
{
    (void)state;
    char digits[500];
    for (size_t i = 0; i < sizeof(digits); i++) digits[i] = '1';
    kv_sv type;
    kv_value v;
    assert_true(kv_yaml_resolve(KV_SV(""), (kv_sv){digits, sizeof(digits)}, NULL, &type, &v));
    assert_true(kv_sv_is(type, "!!str"));
}

static void quotes_what_would_be_misread(void **state)
{
    static const struct {
        const char *text;
        bool want;
    } CASES[] = {
        {"", true},           {"plain", false}, {"true", true},  {"yes", true},
        {"n", true},          {"nn", false},    {"1.0", true},   {"v1.0", false},
        {"1.0.0", false},     {"0x10", true},   {"007", true},   {"null", true},
        {"2024-01-02", true}, {"1:20", true},   {"1:60", false}, {"1:2:3.5_", true},
        {"-1_0:05", true},    {"+:5", false},   {"1:", false},   {"1:123", false},
        {"1:20x", false},     {".inf", true},   {"<<", false},   {"1_000", true},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++)
        if (kv_yaml_needs_quotes(kv_sv_of(CASES[i].text)) != CASES[i].want)
            fail_msg("'%s'", CASES[i].text);
}

KV_TEST_MAIN(cmocka_unit_test(types_scalars), cmocka_unit_test(knows_what_json_cannot_say),
             cmocka_unit_test(bounds_numbers), cmocka_unit_test(quotes_what_would_be_misread))

#include "http/range.h"

#include "test/test.h"

#define SV KV_SV_INIT

static void parses_ranges(void **state)
{
    static const struct {
        kv_sv value;
        uint64_t size;
        kv_range_kind want;
        uint64_t off, n;
    } CASES[] = {
        {SV("bytes=500-1499"), 2048, KV_RANGE_PART, 500, 1000},
        {SV("bytes=500-"), 2048, KV_RANGE_PART, 500, 1548},
        {SV("bytes=-500"), 2048, KV_RANGE_PART, 1548, 500},
        {SV("bytes=-5000"), 2048, KV_RANGE_PART, 0, 2048},
        {SV("bytes=2000-5000"), 2048, KV_RANGE_PART, 2000, 48},
        {SV("bytes=0-0"), 1, KV_RANGE_PART, 0, 1},
        {SV("Bytes= 0 - 9 "), 2048, KV_RANGE_PART, 0, 10},
        {SV("bytes=1-99999999999999999999"), 2048, KV_RANGE_PART, 1, 2047},
        {SV("bytes=-99999999999999999999"), 2048, KV_RANGE_PART, 0, 2048},
        {SV("bytes=0-"), UINT64_MAX, KV_RANGE_PART, 0, UINT64_MAX},
        {SV("bytes=500-0"), 2048, KV_RANGE_NOWHERE, 0, 0},
        {SV("bytes=2048-"), 2048, KV_RANGE_NOWHERE, 0, 0},
        {SV("bytes=99999999999999999999-"), 2048, KV_RANGE_NOWHERE, 0, 0},
        {SV("bytes=-0"), 2048, KV_RANGE_NOWHERE, 0, 0},
        {SV("bytes=0-"), 0, KV_RANGE_NOWHERE, 0, 0},
        {SV("bytes=-1"), 0, KV_RANGE_NOWHERE, 0, 0},
        {SV(""), 2048, KV_RANGE_WHOLE, 0, 0},
        {SV("bytes"), 2048, KV_RANGE_WHOLE, 0, 0},
        {SV("bytes="), 2048, KV_RANGE_WHOLE, 0, 0},
        {SV("bytes=-"), 2048, KV_RANGE_WHOLE, 0, 0},
        {SV("bytes=7"), 2048, KV_RANGE_WHOLE, 0, 0},
        {SV("bytes=a-b"), 2048, KV_RANGE_WHOLE, 0, 0},
        {SV("bytes=+1-2"), 2048, KV_RANGE_WHOLE, 0, 0},
        {SV("bytes=1-2-3"), 2048, KV_RANGE_WHOLE, 0, 0},
        {SV("bytes=0-1,4-5"), 2048, KV_RANGE_WHOLE, 0, 0},
        {SV("lines=1-2"), 2048, KV_RANGE_WHOLE, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        uint64_t off = 0, n = 0;
        kv_range_kind got = kv_range_parse(CASES[i].value, CASES[i].size, &off, &n);
        if (got != CASES[i].want || off != CASES[i].off || n != CASES[i].n)
            fail_msg("'%.*s': kind %d, %llu bytes at %llu", KV_ARG(CASES[i].value), (int)got,
                     (unsigned long long)n, (unsigned long long)off);
    }
}

static void parses_content_ranges(void **state)
{
    static const struct {
        kv_sv value;
        kv_code want;
        uint64_t first, last, total;
    } CASES[] = {
        {SV("0-999"), KV_OK, 0, 999, UINT64_MAX},
        {SV("bytes 0-999/2000"), KV_OK, 0, 999, 2000},
        {SV("bytes 0-999/*"), KV_OK, 0, 999, UINT64_MAX},
        {SV(" 5-5 "), KV_OK, 5, 5, UINT64_MAX},
        {SV(""), KV_E_SYNTAX, 0, 0, 0},
        {SV("0"), KV_E_SYNTAX, 0, 0, 0},
        {SV("0-"), KV_E_SYNTAX, 0, 0, 0},
        {SV("-9"), KV_E_SYNTAX, 0, 0, 0},
        {SV("9-0"), KV_E_SYNTAX, 0, 0, 0},
        {SV("a-b"), KV_E_SYNTAX, 0, 0, 0},
        {SV("0-9-3"), KV_E_SYNTAX, 0, 0, 0},
        {SV("0 - 9"), KV_E_SYNTAX, 0, 0, 0},
        {SV("bytes=0-9"), KV_E_SYNTAX, 0, 0, 0},
        {SV("bytes 0-9/"), KV_E_SYNTAX, 0, 0, 0},
        {SV("bytes 0-9/9"), KV_E_SYNTAX, 0, 0, 0},
        {SV("bytes 0-9/x"), KV_E_SYNTAX, 0, 0, 0},
        {SV("0-18446744073709551615"), KV_E_SYNTAX, 0, 0, 0},
        {SV("0-99999999999999999999"), KV_E_SYNTAX, 0, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_content_range r = {0};
        kv_code got = kv_content_range_parse(CASES[i].value, &r, NULL);
        if (got != CASES[i].want || r.first != CASES[i].first || r.last != CASES[i].last ||
            r.total != CASES[i].total)
            fail_msg("'%.*s': code %d, %llu-%llu/%llu", KV_ARG(CASES[i].value), (int)got,
                     (unsigned long long)r.first, (unsigned long long)r.last,
                     (unsigned long long)r.total);
    }
}

KV_TEST_MAIN(cmocka_unit_test(parses_ranges), cmocka_unit_test(parses_content_ranges))

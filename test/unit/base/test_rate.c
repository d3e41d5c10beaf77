#include "base/rate.h"

#include "base/clock.h"
#include "test/test.h"

static void takes_pieces(void **state)
{
    static const struct {
        uint64_t per_s;
        size_t want;
    } CASES[] = {
        {0, 1024},
        {1024, 1024},
        {80000, 10000},
        {UINT64_MAX, 1024 * 1024},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_rate *r = kv_rate_new(CASES[i].per_s);
        assert_int_equal(kv_rate_piece(r), CASES[i].want);
        kv_rate_free(r);
    }
}

/* Never faster than the limit; how much slower is the machine's affair. */
static void keeps_the_limit(void **state)
{
    (void)state;
    kv_rate *r = kv_rate_new(1000000);
    uint64_t begun = kv_mono_us();
    for (int i = 0; i < 11; i++) assert_int_equal(kv_rate_take(r, 10000, NULL, NULL), KV_OK);
    assert_true(kv_mono_us() - begun >= 100000);
    kv_rate_free(r);
}

static void can_be_cancelled(void **state)
{
    (void)state;
    atomic_bool stop = true;
    kv_report report = {.cancel = &stop};
    kv_rate *r = kv_rate_new(1024);
    assert_int_equal(kv_rate_take(r, 1 << 30, NULL, NULL), KV_OK);
    assert_int_equal(kv_rate_take(r, 1, &report, NULL), KV_E_CANCELLED);
    kv_rate_free(r);
}

KV_TEST_MAIN(cmocka_unit_test(takes_pieces), cmocka_unit_test(keeps_the_limit),
             cmocka_unit_test(can_be_cancelled))

#include "hub/service/throttle.h"

#include "test/test.h"

#define S 1000000ull
static const kv_sv ANNA = KV_SV_INIT("anna");
static const kv_sv HERE = KV_SV_INIT("192.0.2.1");
static const kv_sv THERE = KV_SV_INIT("192.0.2.2");

static int setup(void **state)
{
    *state = kv_throttle_new();
    return *state == NULL;
}

static int teardown(void **state)
{
    kv_throttle_free(*state);
    return 0;
}

static void fail_n(kv_throttle *t, kv_sv name, kv_sv address, int n, uint64_t at_us)
{
    for (int i = 0; i < n; i++) kv_throttle_failed(t, name, address, at_us);
}

static void pauses_double(void **state)
{
    kv_throttle *t = *state;
    fail_n(t, ANNA, HERE, 10, 5 * S);
    assert_int_equal(kv_throttle_wait(t, ANNA, HERE, 5 * S), 0);
    fail_n(t, ANNA, HERE, 1, 5 * S);
    assert_int_equal(kv_throttle_wait(t, ANNA, HERE, 5 * S), 2);
    assert_int_equal(kv_throttle_wait(t, ANNA, HERE, 6 * S), 1);
    assert_int_equal(kv_throttle_wait(t, ANNA, HERE, 7 * S), 0);
    fail_n(t, ANNA, HERE, 1, 7 * S);
    assert_int_equal(kv_throttle_wait(t, ANNA, HERE, 7 * S), 4);
    fail_n(t, ANNA, HERE, 30, 7 * S);
    assert_int_equal(kv_throttle_wait(t, ANNA, HERE, 7 * S), 600);
}

static void nobody_else_waits(void **state)
{
    kv_throttle *t = *state;
    fail_n(t, ANNA, HERE, 20, S);
    assert_true(kv_throttle_wait(t, ANNA, HERE, S) > 0);
    assert_int_equal(kv_throttle_wait(t, ANNA, THERE, S), 0);
    assert_int_equal(kv_throttle_wait(t, KV_SV("bob"), HERE, S), 0);
}

static void an_address_waits_for_all_names(void **state)
{
    kv_throttle *t = *state;
    for (int i = 0; i < 51; i++) {
        char name[8] = {'u', (char)('0' + i / 10), (char)('0' + i % 10)};
        kv_throttle_failed(t, kv_sv_of(name), HERE, S);
    }
    assert_int_equal(kv_throttle_wait(t, ANNA, HERE, S), 2);
    assert_int_equal(kv_throttle_wait(t, ANNA, THERE, S), 0);
}

static void forgets(void **state)
{
    kv_throttle *t = *state;
    fail_n(t, ANNA, HERE, 10, S);
    kv_throttle_passed(t, ANNA, HERE);
    fail_n(t, ANNA, HERE, 10, S);
    assert_int_equal(kv_throttle_wait(t, ANNA, HERE, S), 0);
    fail_n(t, ANNA, HERE, 1, 700 * S); /* the first ten are out of the window */
    assert_int_equal(kv_throttle_wait(t, ANNA, HERE, 700 * S), 0);
}

#define WITH(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
KV_TEST_MAIN(WITH(pauses_double), WITH(nobody_else_waits), WITH(an_address_waits_for_all_names),
             WITH(forgets))

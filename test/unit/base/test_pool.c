#include "base/pool.h"

#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "test/test.h"

typedef struct job {
    atomic_uint runs, now, most;
    size_t fail_at; /* SIZE_MAX: never */
    unsigned char seen[1000];
} job;

static kv_code task(void *ctx, size_t i, kv_error *err)
{
    job *j = ctx;
    unsigned now = atomic_fetch_add(&j->now, 1) + 1, most = atomic_load(&j->most);
    while (now > most && !atomic_compare_exchange_weak(&j->most, &most, now)) continue;
    j->seen[i]++;
    atomic_fetch_add(&j->runs, 1);
    atomic_fetch_sub(&j->now, 1);
    return i == j->fail_at ? kv_fail(err, KV_E_CORRUPT, "task %zu", i) : KV_OK;
}

static void runs_each_once(void **state)
{
    (void)state;
    static const struct {
        unsigned threads, at_most; /* threads 0: no pool */
        size_t n;
    } CASES[] = {{0, 0, 10}, {1, 0, 1000}, {4, 0, 1000}, {4, 2, 1000},
                 {4, 1, 7},  {3, 0, 0},    {3, 0, 1}};
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto(kv_pool) pool = CASES[i].threads ? kv_pool_new(CASES[i].threads) : NULL;
        job j = {.fail_at = SIZE_MAX};
        assert_int_equal(kv_pool_each(pool, CASES[i].n, CASES[i].at_most, task, &j, NULL), KV_OK);
        assert_int_equal(j.runs, CASES[i].n);
        for (size_t k = 0; k < CASES[i].n; k++) assert_int_equal(j.seen[k], 1);
        if (CASES[i].at_most) assert_true(j.most <= CASES[i].at_most);
    }
}

static void keeps_first_error(void **state)
{
    (void)state;
    kv_auto(kv_pool) pool = kv_pool_new(3);
    job j = {.fail_at = 5};
    kv_error err = {0};
    assert_int_equal(kv_pool_each(pool, 1000, 0, task, &j, &err), KV_E_CORRUPT);
    assert_string_equal(err.msg, "task 5");
    assert_int_equal(j.now, 0);
    /* How many ran beside it is chance; in the caller's own thread it is not. */
    j = (job){.fail_at = 5};
    assert_int_equal(kv_pool_each(NULL, 1000, 0, task, &j, &err), KV_E_CORRUPT);
    assert_int_equal(j.runs, 6);
}

typedef struct outer {
    kv_pool *pool;
    atomic_uint failures;
} outer;

static kv_code run_batch(void *ctx, size_t i, kv_error *err)
{
    (void)i;
    outer *o = ctx;
    job j = {.fail_at = SIZE_MAX};
    if (kv_pool_each(o->pool, 100, 0, task, &j, err) != KV_OK || j.runs != 100)
        atomic_fetch_add(&o->failures, 1);
    return KV_OK;
}

/* Several callers share one pool. */
static void serves_many_callers(void **state)
{
    (void)state;
    kv_auto(kv_pool) callers = kv_pool_new(4);
    kv_auto(kv_pool) shared = kv_pool_new(2);
    outer o = {.pool = shared};
    assert_int_equal(kv_pool_each(callers, 50, 0, run_batch, &o, NULL), KV_OK);
    assert_int_equal(o.failures, 0);
}

KV_TEST_MAIN(cmocka_unit_test(runs_each_once), cmocka_unit_test(keeps_first_error),
             cmocka_unit_test(serves_many_callers))

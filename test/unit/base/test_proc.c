#include "base/proc.h"

#include <string.h>

#include "base/clock.h"
#include "test/test.h"

static void runs(void **state)
{
    static const struct {
        const char *name, *argv[4], *input;
        size_t max;
        unsigned timeout_ms;
        kv_code want;
        int status;
        const char *out;
    } CASES[] = {
        {"output and status", {"sh", "-c", "echo hi; exit 3"}, "", 100, 5000, KV_OK, 3, "hi\n"},
        {"input", {"cat"}, "some text", 100, 5000, KV_OK, 0, "some text"},
        {"input that nobody reads", {"true"}, "some text", 100, 5000, KV_OK, 0, ""},
        {"ended by a signal", {"sh", "-c", "kill -9 $$"}, "", 100, 5000, KV_OK, 137, ""},
        {"no such program", {"kv-no-such-program"}, "", 100, 5000, KV_E_NOTFOUND, 0, ""},
        {"too slow", {"sleep", "30"}, "", 100, 200, KV_E_TIMEOUT, 0, ""},
        {"too slow after its output",
         {"sh", "-c", "exec >&- <&-; exec sleep 30"},
         "",
         100,
         200,
         KV_E_TIMEOUT,
         0,
         ""},
        {"too much", {"echo", "12345"}, "", 5, 5000, KV_E_LIMIT, 0, "12345"},
    };
    (void)state;
    uint64_t start = kv_mono_us();
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_error err = {0};
        kv_auto_buf out = KV_BUF(CASES[i].max);
        int status = 0;
        kv_code got = kv_proc_run(CASES[i].argv, kv_sv_of(CASES[i].input), CASES[i].timeout_ms,
                                  &out, &status, &err);
        if (got != CASES[i].want || status != CASES[i].status)
            fail_msg("%s: code %d, status %d, '%s'", CASES[i].name, (int)got, status, err.msg);
        if (got == KV_OK && !kv_sv_is(kv_buf_sv(&out), CASES[i].out))
            fail_msg("%s: '%.*s'", CASES[i].name, KV_ARG(kv_buf_sv(&out)));
    }
    assert_true(kv_mono_us() - start < 20000000); /* nothing was waited for to its end */
}

/* More than fits into the kernel's buffers, both ways at once. */
static void moves_much(void **state)
{
    (void)state;
    enum { BYTES = 4 << 20 };
    kv_auto_buf in = KV_BUF(BYTES);
    kv_auto_buf out = KV_BUF(BYTES);
    memset(kv_buf_extend(&in, BYTES), 'x', BYTES);
    const char *argv[] = {"cat", NULL};
    int status;
    assert_int_equal(kv_proc_run(argv, kv_buf_sv(&in), 30000, &out, &status, NULL), KV_OK);
    assert_true(kv_sv_eq(kv_buf_sv(&in), kv_buf_sv(&out)));
}

KV_TEST_MAIN(cmocka_unit_test(runs), cmocka_unit_test(moves_much))

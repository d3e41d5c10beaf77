#include "cli/progress.h"

#include "test/test.h"

#define MIB (1024u * 1024u)

static void draws(void **state)
{
    static const struct {
        const char *name;
        kv_bar_style style;
        kv_bar_state bar;
        unsigned columns;
        const char *want;
    } CASES[] = {
        {"half, narrow",
         KV_BARS_PLAIN,
         {KV_SV_INIT("Packing"), 5 * MIB, 10 * MIB, 1000000, 0},
         80,
         "Packing          |=========>--------|    5.0 MiB / 10.0 MiB      5.0 MiB/s  0:01"},
        {"begun",
         KV_BARS_PLAIN,
         {KV_SV_INIT("Packing"), 0, 10 * MIB, 0, 0},
         80,
         "Packing          |>-----------------|        0 B / 10.0 MiB          0 B/s      "},
        {"ended",
         KV_BARS_PLAIN,
         {KV_SV_INIT("Copying 1c18a3e8"), 1024, 1024, 500000, 0},
         80,
         "Copying 1c18a3e8 |==================|    1.0 KiB / 1.0 KiB       2.0 KiB/s  done"},
        {"unknown size",
         KV_BARS_PLAIN,
         {KV_SV_INIT("Downloading"), 2048, 0, 1000000, 0},
         80,
         "Downloading      |>-----------------|    2.0 KiB                 2.0 KiB/s      "},
        {"fancy",
         KV_BARS_FANCY,
         {KV_SV_INIT("Packing"), 5, 10, 1000000, 0},
         80,
         "Packing          ██████████░░░░░░░░░░        5 B / 10 B              5 B/s  0:01"},
        {"an hour, and a part from before",
         KV_BARS_PLAIN,
         {KV_SV_INIT("Copying 1c18a3e8"), 3 * MIB, 3723u * MIB, 1000000, 2 * MIB},
         80,
         "Copying 1c18a3e8 |>-----------------|    3.0 MiB / 3.6 GiB       1.0 MiB/s  1h02"},
        {"days",
         KV_BARS_PLAIN,
         {KV_SV_INIT("Copying 1c18a3e8"), 1, 1000000, 1000000, 0},
         80,
         "Copying 1c18a3e8 |>-----------------|        1 B / 976.5 KiB         1 B/s  >99h"},
        {"no room for a bar",
         KV_BARS_PLAIN,
         {KV_SV_INIT("Packing"), 5, 10, 1000000, 0},
         30,
         "Packing                 5 B / "},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto_buf out = KV_BUF(1000);
        kv_bar_format(&out, CASES[i].style, &CASES[i].bar, CASES[i].columns);
        if (!kv_sv_is(kv_buf_sv(&out), CASES[i].want))
            fail_msg("%s: '%s'", CASES[i].name, out.p ? out.p : "");
    }
}

/* Whatever the numbers are, a line never wraps. */
static void never_wraps(void **state)
{
    (void)state;
    for (unsigned columns = 1; columns < 200; columns++) {
        kv_auto_buf out = KV_BUF(1000);
        kv_bar_state bar = {KV_SV_INIT("Copying 1c18a3e8 and more"), UINT64_MAX / 3, UINT64_MAX, 1,
                            0};
        kv_bar_format(&out, KV_BARS_PLAIN, &bar, columns);
        if (columns > 17) assert_true(out.n <= columns);
    }
}

KV_TEST_MAIN(cmocka_unit_test(draws), cmocka_unit_test(never_wraps))

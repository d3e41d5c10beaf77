#include "cli/output.h"

#include <string.h>

#include "test/test.h"

static void prints_sizes(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *want;
    } CASES[] = {
        {0, "0 B"},
        {1023, "1023 B"},
        {1024, "1.0 KiB"},
        {2560, "2.5 KiB"},
        {1048575, "1023.9 KiB"},
        {1048576, "1.0 MiB"},
        {95420416, "91.0 MiB"},
        {1073741823, "1023.9 MiB"},
        {9663676416u, "9.0 GiB"},
        {1099511627775u, "1023.9 GiB"},
        {1099511627776u, "1.0 TiB"},
        {1125899906842624u, "1.0 PiB"},
        {UINT64_MAX, "16383.9 PiB"},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        char got[KV_SIZE_TEXT_MAX];
        kv_size_format(CASES[i].bytes, got);
        assert_string_equal(got, CASES[i].want);
    }
}

static void tables_hold_one_line_per_row(void **state)
{
    static const kv_sv CELLS[] = {KV_SV_INIT("a\n\x1b[2Jb"), KV_SV_INIT("x\\y\x7f"),
                                  KV_SV_INIT("c\xc2\x9b"), KV_SV_INIT("\xc2\xa0")};
    (void)state;
    kv_auto_buf out = KV_BUF(1000);
    kv_table_format(&out, CELLS, 2, 2);
    assert_string_equal(out.p, "a\\012\\033[2Jb   x\\y\\177\n"
                               "c\\302\\233       \xc2\xa0\n");
}

static void pads_tables(void **state)
{
    static const kv_sv CELLS[] = {
        KV_SV_INIT("NAME"),   KV_SV_INIT("SIZE"),    KV_SV_INIT("LAST"),
        KV_SV_INIT("modèle"), KV_SV_INIT("1.0 KiB"), KV_SV_INIT("x"),
        KV_SV_INIT("a\xff"),  KV_SV_INIT(""),        KV_SV_INIT("yy"),
    };
    (void)state;
    kv_auto_buf out = KV_BUF(1000);
    kv_table_format(&out, CELLS, 3, 3);
    assert_string_equal(out.p, "NAME     SIZE      LAST\n"
                               "modèle   1.0 KiB   x\n"
                               "a\xff                 yy\n");
}

KV_TEST_MAIN(cmocka_unit_test(prints_sizes), cmocka_unit_test(pads_tables),
             cmocka_unit_test(tables_hold_one_line_per_row))

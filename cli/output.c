#include "cli/output.h"

#include <stdio.h>

void kv_size_format(uint64_t bytes, char out[KV_SIZE_TEXT_MAX])
{
    static const char *const UNITS[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
    if (bytes < 1024) {
        snprintf(out, KV_SIZE_TEXT_MAX, "%u B", (unsigned)bytes);
        return;
    }
    size_t unit = 0;
    uint64_t scale = 1024;
    while (unit + 1 < KV_COUNT(UNITS) && bytes / scale >= 1024) {
        scale *= 1024;
        unit++;
    }
    uint64_t whole = bytes / scale;
    uint64_t tenths = bytes % scale * 10 / scale; /* scale is at most 2^50: no overflow */
    snprintf(out, KV_SIZE_TEXT_MAX, "%llu.%u %s", (unsigned long long)whole, (unsigned)tenths,
             UNITS[unit]);
}

/* Characters, as Go's text/tabwriter counts width: one per code point, broken bytes one each. */
static size_t width_of(kv_sv s)
{
    size_t n = 0;
    while (s.n) {
        size_t step = kv_utf8_next(s);
        s = kv_sv_from(s, step ? step : 1);
        n++;
    }
    return n;
}

/* Appends a cell as it is shown; returns its width. */
static size_t add_cell(kv_buf *out, kv_sv cell)
{
    size_t from = out->n;
    kv_visible_add(out, cell);
    return width_of(kv_sv_from(kv_buf_sv(out), from));
}

void kv_table_format(kv_buf *out, const kv_sv *cells, size_t n_rows, size_t n_columns)
{
    enum { GAP = 3, COLUMNS_MAX = 16 };
    size_t width[COLUMNS_MAX] = {0};
    kv_auto_buf scratch = KV_BUF(out->max);
    if (n_columns > COLUMNS_MAX) n_columns = COLUMNS_MAX;
    for (size_t row = 0; row < n_rows; row++)
        for (size_t col = 0; col < n_columns; col++) {
            kv_buf_truncate(&scratch, 0);
            size_t w = add_cell(&scratch, cells[row * n_columns + col]);
            if (w > width[col]) width[col] = w;
        }
    for (size_t row = 0; row < n_rows; row++) {
        for (size_t col = 0; col < n_columns; col++) {
            size_t w = add_cell(out, cells[row * n_columns + col]);
            if (col + 1 == n_columns) break;
            for (; w < width[col] + GAP; w++) kv_buf_addc(out, ' ');
        }
        kv_buf_addc(out, '\n');
    }
}

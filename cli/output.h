#pragma once
/* Forms results are printed in. Pure. */
#include "base/str.h"

#define KV_SIZE_TEXT_MAX 24
/** "0 B", "1023 B", "1.0 KiB", "1023.9 KiB": one decimal, rounded down. Source: kit-compat.md 6. */
void kv_size_format(uint64_t bytes, char out[KV_SIZE_TEXT_MAX]);

/**
 * A table: cells left aligned, columns three blanks apart, the last column unpadded.
 * cells holds n_rows * n_columns texts, row by row, headings first.
 */
void kv_table_format(kv_buf *out, const kv_sv *cells, size_t n_rows, size_t n_columns);

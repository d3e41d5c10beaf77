#pragma once
/* Text of one progress bar. Pure. */
#include "base/str.h"
#include "cli/console.h"

typedef struct kv_bar_state {
    kv_sv what;
    uint64_t done, total; /* bytes; total 0: unknown */
    uint64_t elapsed_us;
    uint64_t before; /* bytes of done that were there when the clock started: of a former try */
} kv_bar_state;

/**
 * Appends one line without newline, at most `columns` characters wide: the work's name, a bar of up
 * to 60 characters, counters, average speed, the time left ("1:05", "12h05") or "done".
 */
void kv_bar_format(kv_buf *out, kv_bar_style style, const kv_bar_state *b, unsigned columns);

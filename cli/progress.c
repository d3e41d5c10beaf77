#include "cli/progress.h"

#include <stdio.h>

#include "cli/output.h"

enum { BAR_WIDTH = 60, NAME_WIDTH = 16, BAR_LEAST = 8, TIME_TEXT_MAX = 16, HOUR_S = 3600 };

static void add_repeated(kv_buf *out, const char *s, unsigned n)
{
    while (n--) kv_buf_adds(out, s);
}

static void add_bar(kv_buf *out, kv_bar_style style, const kv_bar_state *b, unsigned width)
{
    double part = b->total ? (double)b->done / (double)b->total : 0;
    unsigned full = part >= 1 ? width : (unsigned)(part * width);
    if (style == KV_BARS_FANCY) {
        add_repeated(out, "█", full);
        add_repeated(out, "░", width - full);
        return;
    }
    kv_buf_addc(out, '|');
    add_repeated(out, "=", full);
    if (full < width) {
        kv_buf_addc(out, '>');
        add_repeated(out, "-", width - full - 1);
    }
    kv_buf_addc(out, '|');
}

/* In five characters; empty while nobody knows. */
static void format_left(const kv_bar_state *b, uint64_t per_s, char out[TIME_TEXT_MAX])
{
    out[0] = '\0';
    if (!b->total || b->done >= b->total || per_s == 0) return;
    uint64_t s = (b->total - b->done) / per_s;
    if (s >= 100 * HOUR_S)
        snprintf(out, TIME_TEXT_MAX, ">99h");
    else if (s >= HOUR_S)
        snprintf(out, TIME_TEXT_MAX, "%uh%02u", (unsigned)(s / HOUR_S), (unsigned)(s / 60 % 60));
    else
        snprintf(out, TIME_TEXT_MAX, "%u:%02u", (unsigned)(s / 60), (unsigned)(s % 60));
}

void kv_bar_format(kv_buf *out, kv_bar_style style, const kv_bar_state *b, unsigned columns)
{
    char name[NAME_WIDTH + 1], tail[96];
    kv_sv what = kv_sv_sub(b->what, 0, NAME_WIDTH);
    int n_name = snprintf(name, sizeof(name), "%-*.*s", NAME_WIDTH, KV_ARG(what));
    char done[KV_SIZE_TEXT_MAX], total[KV_SIZE_TEXT_MAX], speed[KV_SIZE_TEXT_MAX];
    uint64_t moved = b->done > b->before ? b->done - b->before : 0;
    uint64_t per_s = b->elapsed_us ? (uint64_t)((double)moved * 1e6 / (double)b->elapsed_us) : 0;
    char left_time[TIME_TEXT_MAX];
    format_left(b, per_s, left_time);
    kv_size_format(b->done, done);
    kv_size_format(b->total, total);
    kv_size_format(per_s, speed);
    bool ended = b->total && b->done >= b->total;
    /* Fixed widths, so that the bar keeps its own from one drawing to the next. */
    int n_tail = snprintf(tail, sizeof(tail), "%10s%s%-10s %10s/s %5s", done,
                          b->total ? " / " : "   ", b->total ? total : "", speed,
                          ended ? "done" : left_time);

    unsigned used = (unsigned)n_name + (unsigned)n_tail + 2 + (style == KV_BARS_PLAIN ? 2 : 0);
    unsigned room = columns > used ? columns - used : 0;
    kv_buf_addf(out, "%s ", name);
    if (room >= BAR_LEAST) {
        add_bar(out, style, b, room < BAR_WIDTH ? room : BAR_WIDTH);
        kv_buf_addc(out, ' ');
    }
    /* A terminal too narrow even for the numbers would wrap the line and spoil the redrawing. */
    unsigned left = columns > (unsigned)n_name + 1 ? columns - (unsigned)n_name - 1 : 0;
    if (room >= BAR_LEAST || (unsigned)n_tail < left)
        kv_buf_adds(out, tail);
    else
        kv_buf_addf(out, "%.*s", (int)left, tail);
}

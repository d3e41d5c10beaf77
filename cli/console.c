#include "cli/console.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "cli/progress.h"

enum { BARS_MAX = 16, REDRAW_US = 150000, LINE_MAX_BYTES = 16 << 20 };

typedef struct bar {
    uint64_t id, done, total, before, begun_us;
    char what[64];
} bar;

struct kv_console {
    pthread_mutex_t lock;
    kv_level level;
    bool colour;
    bool to_stderr; /* all lines */
    kv_bar_style style;
    bar bars[BARS_MAX]; /* in the order they began; more than these run without a bar */
    size_t n_bars;
    size_t n_drawn; /* lines of bars that stand below the text now */
    uint64_t drawn_us;
};

kv_console *kv_console_new(kv_level level, kv_bar_style style, bool to_stderr)
{
    kv_console *c = calloc(1, sizeof(*c));
    if (!c) return NULL;
    bool terminal = isatty(to_stderr ? STDERR_FILENO : STDOUT_FILENO) == 1;
    const char *no_colour = getenv("NO_COLOR");
    pthread_mutex_init(&c->lock, NULL);
    c->level = level;
    c->to_stderr = to_stderr;
    c->colour = terminal && !(no_colour && no_colour[0]);
    c->style = terminal ? style : KV_BARS_NONE;
    return c;
}

void kv_console_free(kv_console *c)
{
    if (!c) return;
    kv_console_end_progress(c);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* --- bars: all with the lock held --- */

static unsigned columns(void)
{
    struct winsize size = {0};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0) return 80;
    return size.ws_col;
}

static void rub_out(kv_console *c)
{
    if (c->n_drawn) printf("\033[%zuA\r\033[J", c->n_drawn);
    c->n_drawn = 0;
}

static void print_bar(const kv_console *c, const bar *b, unsigned width, uint64_t now)
{
    kv_auto_buf line = KV_BUF(4096);
    kv_bar_state state = {
        .what = kv_sv_of(b->what),
        .done = b->done,
        .total = b->total,
        .elapsed_us = now - b->begun_us,
        .before = b->before,
    };
    kv_bar_format(&line, c->style, &state, width);
    printf("%s\n", line.p ? line.p : "");
}

static void draw(kv_console *c)
{
    unsigned width = columns();
    uint64_t now = kv_mono_us();
    for (size_t i = 0; i < c->n_bars; i++) print_bar(c, &c->bars[i], width, now);
    c->n_drawn = c->n_bars;
    c->drawn_us = now;
    fflush(stdout);
}

static bar *find_bar(kv_console *c, uint64_t id)
{
    for (size_t i = 0; i < c->n_bars; i++)
        if (c->bars[i].id == id) return &c->bars[i];
    return NULL;
}

static bar *add_bar(kv_console *c, uint64_t id, kv_sv what, uint64_t before)
{
    if (c->n_bars == BARS_MAX) return NULL;
    bar *b = &c->bars[c->n_bars++];
    *b = (bar){.id = id, .before = before, .begun_us = kv_mono_us()};
    snprintf(b->what, sizeof(b->what), "%.*s", KV_ARG(what));
    return b;
}

/* The finished bar stays as a line of text above those that still run. */
static void finish_bar(kv_console *c, bar *b)
{
    rub_out(c);
    print_bar(c, b, columns(), kv_mono_us());
    size_t at = (size_t)(b - c->bars);
    memmove(b, b + 1, (c->n_bars - at - 1) * sizeof(*b));
    c->n_bars--;
    draw(c);
}

void kv_console_progress(kv_console *c, uint64_t id, kv_sv what, uint64_t done, uint64_t total)
{
    if (c->style == KV_BARS_NONE) return;
    pthread_mutex_lock(&c->lock);
    bar *b = find_bar(c, id);
    bool ended = total && done >= total;
    if (!b && !ended) b = add_bar(c, id, what, done); /* what ends as it begins needs no bar */
    if (b) {
        b->done = done;
        b->total = total;
        if (ended) {
            finish_bar(c, b);
        } else if (kv_mono_us() - c->drawn_us >= REDRAW_US) {
            rub_out(c);
            draw(c);
        }
    }
    pthread_mutex_unlock(&c->lock);
}

void kv_console_end_progress(kv_console *c)
{
    pthread_mutex_lock(&c->lock);
    rub_out(c);
    c->n_bars = 0;
    pthread_mutex_unlock(&c->lock);
}

/* --- text --- */

static const struct {
    const char *prefix, *colour;
} LEVELS[] = {
    [KV_TRACE] = {"[TRACE] ", "\033[0;36m"}, [KV_DEBUG] = {"[DEBUG] ", "\033[0;34m"},
    [KV_INFO] = {"[INFO ] ", "\033[0;32m"},  [KV_WARN] = {"[WARN ] ", "\033[0;33m"},
    [KV_ERROR] = {"[ERROR] ", "\033[0;31m"},
};

/* Messages about many things have a line for each, set in; whoever sets in a name of his own fakes
 * no line of ours. */
static void add_message(kv_buf *out, kv_sv text)
{
    const kv_sv next_line = KV_SV("\n  ");
    for (size_t at; (at = kv_sv_find_sub(text, next_line)) != SIZE_MAX;) {
        kv_visible_add(out, kv_sv_sub(text, 0, at));
        kv_buf_add(out, next_line);
        text = kv_sv_from(text, at + next_line.n);
    }
    kv_visible_add(out, text);
}

void kv_console_line(kv_console *c, kv_level level, kv_sv text)
{
    while (text.n && text.p[text.n - 1] == '\n') text.n--;
    kv_auto_buf shown = KV_BUF(LINE_MAX_BYTES);
    add_message(&shown, text);
    kv_console_block(c, level, kv_buf_sv(&shown));
}

void kv_console_block(kv_console *c, kv_level level, kv_sv text)
{
    if (level < c->level) return;
    while (text.n && text.p[text.n - 1] == '\n') text.n--;
    FILE *to = level >= KV_WARN || c->to_stderr ? stderr : stdout;
    /* At the usual level what people read most is left bare. */
    bool prefixed = c->level != KV_INFO || level != KV_INFO;
    pthread_mutex_lock(&c->lock);
    rub_out(c);
    if (to == stderr) fflush(stdout); /* keeps the order where both streams are one file */
    if (prefixed)
        fprintf(to, "%s%s%s", c->colour ? LEVELS[level].colour : "", LEVELS[level].prefix,
                c->colour ? "\033[0m" : "");
    if (text.n) {
        char first = text.p[0];
        if (first >= 'a' && first <= 'z') first = (char)(first - ('a' - 'A'));
        fputc(first, to);
        fwrite(text.p + 1, 1, text.n - 1, to);
    }
    fputc('\n', to);
    fflush(to);
    if (c->n_bars) draw(c);
    pthread_mutex_unlock(&c->lock);
}

void kv_console_put(kv_console *c, kv_sv bytes)
{
    pthread_mutex_lock(&c->lock);
    rub_out(c);
    fwrite(bytes.p, 1, bytes.n, stdout);
    if (c->n_bars) draw(c);
    pthread_mutex_unlock(&c->lock);
}

#include "hub/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

enum {
    PENDING_MAX = 256 * 1024, /* of lines not written yet, and of one line */
    FLUSH_BYTES = 32 * 1024,
    FLUSH_US = 50000, /* a line that comes later than this after a write is written at once */
    TEXT_MAX = 4096,
};

static const char *const NAMES[] = {"trace", "debug", "info", "warn", "error"};
static _Atomic kv_level lowest = KV_INFO;

bool kv_level_parse(kv_sv text, kv_level *out)
{
    for (size_t i = 0; i < KV_COUNT(NAMES); i++) {
        if (!kv_sv_is(text, NAMES[i])) continue;
        *out = (kv_level)i;
        return true;
    }
    return false;
}

void kv_log_set_level(kv_level level)
{
    lowest = level;
}

bool kv_log_wants(kv_level level)
{
    return level >= lowest;
}

/* Everything below is under lock. */
static struct {
    pthread_mutex_t lock;
    kv_buf pending;
    int64_t written_us;
    int64_t second; /* that date tells */
    char date[KV_TIME_TEXT_MAX];
} log_state = {.lock = PTHREAD_MUTEX_INITIALIZER, .pending = {.max = PENDING_MAX}};

/* As kv_time_format, but the date is made once a second: this runs for every request. */
static void add_time(kv_jout *j, int64_t now)
{
    if (log_state.second != now / 1000000) {
        log_state.second = now / 1000000;
        kv_time_format(now, 6, log_state.date);
    }
    char *at = log_state.date + strlen("2026-11-24T10:34:27.");
    for (int64_t rest = now % 1000000, unit = 100000; unit; rest %= unit, unit /= 10)
        *at++ = (char)('0' + rest / unit);
    kv_jout_kstr(j, "time", kv_sv_of(log_state.date));
}

static void write_pending(int64_t now)
{
    kv_buf *b = &log_state.pending;
    /* Nobody can be told when it fails. */
    if (b->n) (void)!write(STDERR_FILENO, b->p, b->n);
    kv_buf_truncate(b, 0);
    log_state.written_us = now;
}

void kv_log_begin(kv_log_line *line, kv_level level, const char *msg)
{
    pthread_mutex_lock(&log_state.lock);
    line->level = level;
    line->start = log_state.pending.n;
    line->json = kv_jout_make(&log_state.pending, KV_JSON_GO, 0);
    kv_jout_obj(&line->json);
    add_time(&line->json, kv_now_us());
    kv_jout_kstr(&line->json, "level", kv_sv_of(NAMES[level]));
    kv_jout_kstr(&line->json, "msg", kv_sv_of(msg));
}

void kv_log_end(kv_log_line *line)
{
    kv_buf *b = &log_state.pending;
    kv_jout_end_obj(&line->json);
    kv_buf_addc(b, '\n');
    if (b->failed) { /* a line without end is worse than none */
        kv_buf_truncate(b, line->start);
        b->failed = KV_OK;
    }
    int64_t now = kv_now_us();
    if (line->level >= KV_WARN || b->n >= FLUSH_BYTES || now - log_state.written_us >= FLUSH_US)
        write_pending(now);
    pthread_mutex_unlock(&log_state.lock);
}

void kv_log_flush(void)
{
    pthread_mutex_lock(&log_state.lock);
    write_pending(kv_now_us());
    pthread_mutex_unlock(&log_state.lock);
}

static void log_text(kv_level level, const char *request_id, const char *text)
{
    kv_log_line line;
    kv_log_begin(&line, level, text);
    if (request_id) kv_jout_kstr(&line.json, "request", kv_sv_of(request_id));
    kv_log_end(&line);
}

void kv_log(kv_level level, const char *fmt, ...)
{
    if (!kv_log_wants(level)) return;
    char text[TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    log_text(level, NULL, text);
}

void kv_log_request(kv_level level, const char *request_id, const char *fmt, ...)
{
    if (!kv_log_wants(level)) return;
    char text[TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    log_text(level, request_id, text);
}

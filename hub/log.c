#include "hub/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

enum { LINE_MAX_BYTES = 64 * 1024, TEXT_MAX = 4096 };

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

void kv_log_begin(kv_log_line *line, kv_level level, const char *msg)
{
    char time[KV_TIME_TEXT_MAX];
    kv_time_format(kv_now_us(), 6, time);
    line->buf = KV_BUF(LINE_MAX_BYTES);
    line->json = kv_jout_make(&line->buf, KV_JSON_GO, 0);
    kv_jout_obj(&line->json);
    kv_jout_kstr(&line->json, "time", kv_sv_of(time));
    kv_jout_kstr(&line->json, "level", kv_sv_of(NAMES[level]));
    kv_jout_kstr(&line->json, "msg", kv_sv_of(msg));
}

void kv_log_end(kv_log_line *line)
{
    kv_jout_end_obj(&line->json);
    kv_buf_addc(&line->buf, '\n');
    /* One write, so that lines of several threads do not mix. Nobody can be told when it fails. */
    if (!line->buf.failed) (void)!write(STDERR_FILENO, line->buf.p, line->buf.n);
    kv_buf_clear(&line->buf);
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

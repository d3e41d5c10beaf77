#include "kitvault/report.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/str.h"

void kv_say(const kv_report *report, kv_level level, const char *fmt, ...)
{
    if (!report || !report->line) return;
    char text[2048]; /* long lines are cut: a line is for people */
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (n < 0) return;
    size_t len = (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
    report->line(report->ctx, level, (kv_sv){text, len});
}

void kv_progress(const kv_report *report, uint64_t id, kv_sv what, uint64_t done, uint64_t total)
{
    if (report && report->progress) report->progress(report->ctx, id, what, done, total);
}

kv_code kv_check_cancel(const kv_report *report, kv_error *err)
{
    if (!report || !report->cancel) return KV_OK;
    if (!atomic_load_explicit(report->cancel, memory_order_relaxed)) return KV_OK;
    return kv_fail(err, KV_E_CANCELLED, "interrupted");
}

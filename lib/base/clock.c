#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

int64_t kv_now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

uint64_t kv_mono_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

void kv_time_format(int64_t us, int digits, char out[KV_TIME_TEXT_MAX])
{
    int64_t sec = us / 1000000, frac = us % 1000000;
    if (frac < 0) {
        frac += 1000000;
        sec--;
    }
    time_t t = (time_t)sec;
    struct tm tm;
    gmtime_r(&t, &tm);
    size_t n = strftime(out, KV_TIME_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
    if (digits == 6)
        snprintf(out + n, KV_TIME_TEXT_MAX - n, ".%06dZ", (int)frac);
    else
        snprintf(out + n, KV_TIME_TEXT_MAX - n, "Z");
}

/* Exactly n digits as a number; false on anything else. */
static bool digits_at(kv_sv s, size_t at, size_t n, int *out)
{
    uint64_t v;
    kv_sv part = kv_sv_sub(s, at, at + n);
    if (part.n != n || !kv_sv_to_u64(part, &v)) return false;
    *out = (int)v;
    return true;
}

static bool parse_fraction(kv_sv *s, int64_t *out_us)
{
    *out_us = 0;
    if (!s->n || s->p[0] != '.') return true;
    *s = kv_sv_from(*s, 1);
    size_t n = 0;
    for (int64_t unit = 100000; n < s->n && s->p[n] >= '0' && s->p[n] <= '9'; n++, unit /= 10)
        *out_us += unit * (s->p[n] - '0');
    *s = kv_sv_from(*s, n);
    return n > 0;
}

static bool parse_offset(kv_sv s, int *out_minutes)
{
    *out_minutes = 0;
    if (kv_sv_is(s, "Z") || kv_sv_is(s, "z")) return true;
    int h, m;
    if (s.n != 6 || (s.p[0] != '+' && s.p[0] != '-') || s.p[3] != ':') return false;
    if (!digits_at(s, 1, 2, &h) || !digits_at(s, 4, 2, &m) || h > 23 || m > 59) return false;
    *out_minutes = (s.p[0] == '-' ? -1 : 1) * (h * 60 + m);
    return true;
}

kv_code kv_time_parse(kv_sv text, int64_t *out_us, kv_error *err)
{
    struct tm tm = {0};
    int year = 0, month = 0, offset = 0;
    int64_t frac = 0;
    kv_sv rest = kv_sv_from(text, 19);
    bool ok = text.n >= 20 && text.p[4] == '-' && text.p[7] == '-' &&
              (text.p[10] == 'T' || text.p[10] == 't' || text.p[10] == ' ') && text.p[13] == ':' &&
              text.p[16] == ':' && digits_at(text, 0, 4, &year) && digits_at(text, 5, 2, &month) &&
              digits_at(text, 8, 2, &tm.tm_mday) && digits_at(text, 11, 2, &tm.tm_hour) &&
              digits_at(text, 14, 2, &tm.tm_min) && digits_at(text, 17, 2, &tm.tm_sec) &&
              parse_fraction(&rest, &frac) && parse_offset(rest, &offset);
    if (!ok || month < 1 || month > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 ||
        tm.tm_min > 59 || tm.tm_sec > 60)
        return kv_fail(err, KV_E_SYNTAX, "'%.*s' is not a time (RFC 3339)", KV_ARG(text));
    tm.tm_year = year - 1900;
    tm.tm_mon = month - 1;
    *out_us = ((int64_t)timegm(&tm) - (int64_t)offset * 60) * 1000000 + frac;
    return KV_OK;
}

void kv_random(void *p, size_t n)
{
    char *at = p;
    while (n) {
        ssize_t got = getrandom(at, n, 0);
        if (got < 0) {
            if (errno == EINTR) continue;
            abort(); /* a kernel without getrandom: nothing secret can be made here */
        }
        at += got;
        n -= (size_t)got;
    }
}

static void uuid_text(const uint8_t b[16], char out[KV_UUID_MAX])
{
    snprintf(out, KV_UUID_MAX,
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
             b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
             b[15]);
}

void kv_uuid4(char out[KV_UUID_MAX])
{
    uint8_t b[16];
    kv_random(b, sizeof(b));
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    uuid_text(b, out);
}

void kv_uuid7(char out[KV_UUID_MAX])
{
    uint8_t b[16];
    kv_random(b, sizeof(b));
    uint64_t ms = (uint64_t)kv_now_us() / 1000;
    for (int i = 0; i < 6; i++) b[i] = (uint8_t)(ms >> (40 - 8 * i));
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x70);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    uuid_text(b, out);
}

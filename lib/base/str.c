#include "base/str.h"

#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

kv_sv kv_sv_of(const char *s)
{
    return s ? (kv_sv){s, strlen(s)} : (kv_sv){"", 0};
}

bool kv_sv_eq(kv_sv a, kv_sv b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool kv_sv_is(kv_sv a, const char *b)
{
    return kv_sv_eq(a, kv_sv_of(b));
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool kv_sv_eq_nocase(kv_sv a, kv_sv b)
{
    if (a.n != b.n) return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower(a.p[i]) != lower(b.p[i])) return false;
    return true;
}

int kv_sv_cmp(kv_sv a, kv_sv b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    if (c) return c;
    return a.n < b.n ? -1 : a.n > b.n;
}

bool kv_sv_starts(kv_sv s, kv_sv prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

bool kv_sv_ends(kv_sv s, kv_sv suffix)
{
    return s.n >= suffix.n &&
           (suffix.n == 0 || memcmp(s.p + (s.n - suffix.n), suffix.p, suffix.n) == 0);
}

size_t kv_sv_find(kv_sv s, char c)
{
    const char *p = s.n ? memchr(s.p, c, s.n) : NULL;
    return p ? (size_t)(p - s.p) : SIZE_MAX;
}

size_t kv_sv_rfind(kv_sv s, char c)
{
    const char *p = s.n ? memrchr(s.p, c, s.n) : NULL;
    return p ? (size_t)(p - s.p) : SIZE_MAX;
}

size_t kv_sv_find_sub(kv_sv s, kv_sv sub)
{
    if (sub.n == 0) return 0;
    const char *p = s.n ? memmem(s.p, s.n, sub.p, sub.n) : NULL;
    return p ? (size_t)(p - s.p) : SIZE_MAX;
}

kv_sv kv_sv_sub(kv_sv s, size_t from, size_t to)
{
    if (to > s.n) to = s.n;
    if (from > to) from = to;
    return s.p ? (kv_sv){s.p + from, to - from} : s;
}

kv_sv kv_sv_from(kv_sv s, size_t from)
{
    return kv_sv_sub(s, from, s.n);
}

static bool blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

kv_sv kv_sv_trim(kv_sv s)
{
    while (s.n && blank(s.p[0])) s = (kv_sv){s.p + 1, s.n - 1};
    while (s.n && blank(s.p[s.n - 1])) s.n--;
    return s;
}

kv_sv kv_sv_cut(kv_sv s, char sep, kv_sv *out_head, bool *found)
{
    size_t i = kv_sv_find(s, sep);
    if (found) *found = i != SIZE_MAX;
    *out_head = kv_sv_sub(s, 0, i);
    return i == SIZE_MAX ? (kv_sv){"", 0} : kv_sv_from(s, i + 1);
}

char *kv_sv_dup(kv_sv s)
{
    char *p = malloc(s.n + 1);
    if (!p) return NULL;
    if (s.n) memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return p;
}

bool kv_sv_to_u64(kv_sv s, uint64_t *out)
{
    if (s.n == 0) return false;
    uint64_t v = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') return false;
        if (kv_ckd_mul(&v, v, (uint64_t)10) || kv_ckd_add(&v, v, (uint64_t)(s.p[i] - '0')))
            return false;
    }
    *out = v;
    return true;
}

static locale_t c_locale;

static void make_c_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

bool kv_sv_to_double(kv_sv s, double *out)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    char text[401], *end;
    if (s.n == 0 || s.n >= sizeof(text)) return false;
    for (size_t i = 0; i < s.n; i++) /* no blanks, hex, "inf" or NUL, which strtod would take */
        if (!strchr("0123456789+-.eE", s.p[i]) || !s.p[i]) return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    pthread_once(&once, make_c_locale);
    if (!c_locale) return false;
    double v = strtod_l(text, &end, c_locale);
    if (end != text + s.n || !isfinite(v)) return false;
    *out = v;
    return true;
}

/* Bytes of the sequence at p, 0 when it is not valid UTF-8 (RFC 3629 section 4). */
static size_t utf8_len(const unsigned char *p, size_t left)
{
    static const struct {
        unsigned char from, to, second_from, second_to;
        size_t n;
    } FORMS[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t f = 0; f < KV_COUNT(FORMS); f++) {
        if (p[0] < FORMS[f].from || p[0] > FORMS[f].to) continue;
        size_t n = FORMS[f].n;
        if (n > left) return 0;
        if (n > 1 && (p[1] < FORMS[f].second_from || p[1] > FORMS[f].second_to)) return 0;
        for (size_t i = 2; i < n; i++)
            if (p[i] < 0x80 || p[i] > 0xbf) return 0;
        return n;
    }
    return 0;
}

size_t kv_utf8_next(kv_sv s)
{
    return s.n ? utf8_len((const unsigned char *)s.p, s.n) : 0;
}

bool kv_utf8_valid(kv_sv s)
{
    while (s.n) {
        size_t n = kv_utf8_next(s);
        if (!n) return false;
        s = kv_sv_from(s, n);
    }
    return true;
}

/* --- kv_buf --- */

char *kv_buf_extend(kv_buf *b, size_t n)
{
    if (b->failed) return NULL;
    size_t need;
    if (kv_ckd_add(&need, b->n, n) || need > b->max) {
        b->failed = KV_E_LIMIT;
        return NULL;
    }
    if (need + 1 > b->cap) {
        size_t cap = b->cap ? b->cap : 64;
        while (cap < need + 1) cap = cap > SIZE_MAX / 2 ? need + 1 : cap * 2;
        if (cap > b->max + 1 && need <= b->max) cap = b->max + 1;
        char *p = realloc(b->p, cap);
        if (!p) {
            b->failed = KV_E_NOMEM;
            return NULL;
        }
        b->p = p;
        b->cap = cap;
    }
    char *at = b->p + b->n;
    b->n = need;
    b->p[need] = '\0';
    return at;
}

void kv_buf_add(kv_buf *b, kv_sv s)
{
    char *p = kv_buf_extend(b, s.n);
    if (p && s.n) memcpy(p, s.p, s.n);
}

void kv_buf_addc(kv_buf *b, char c)
{
    char *p = kv_buf_extend(b, 1);
    if (p) *p = c;
}

void kv_buf_adds(kv_buf *b, const char *s)
{
    kv_buf_add(b, kv_sv_of(s));
}

void kv_buf_addf(kv_buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *p = n < 0 ? NULL : kv_buf_extend(b, (size_t)n);
    if (p) vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
}

void kv_buf_truncate(kv_buf *b, size_t n)
{
    if (n >= b->n) return;
    b->n = n;
    b->p[n] = '\0';
}

kv_code kv_buf_check(const kv_buf *b, kv_error *err)
{
    if (b->failed == KV_E_LIMIT)
        return kv_fail(err, KV_E_LIMIT, "text is longer than %zu bytes", b->max);
    if (b->failed) return kv_fail(err, b->failed, "out of memory");
    return KV_OK;
}

kv_sv kv_buf_sv(const kv_buf *b)
{
    return b->p ? (kv_sv){b->p, b->n} : (kv_sv){"", 0};
}

char *kv_buf_take(kv_buf *b)
{
    char *p = b->p ? b->p : calloc(1, 1);
    b->p = NULL;
    kv_buf_clear(b);
    return p;
}

void kv_buf_clear(kv_buf *b)
{
    free(b->p);
    *b = (kv_buf){.max = b->max};
}

/* --- kv_rd --- */

kv_sv kv_rd_take(kv_rd *r, uint64_t n)
{
    if (r->bad || n > r->left) {
        r->bad = true;
        return (kv_sv){"", 0};
    }
    kv_sv s = {r->p, (size_t)n};
    r->p += n;
    r->left -= (size_t)n;
    return s;
}

uint8_t kv_rd_u8(kv_rd *r)
{
    kv_sv s = kv_rd_take(r, 1);
    return s.n ? (uint8_t)s.p[0] : 0;
}

uint16_t kv_rd_u16be(kv_rd *r)
{
    kv_sv s = kv_rd_take(r, 2);
    return s.n ? (uint16_t)(((unsigned)(uint8_t)s.p[0] << 8 | (uint8_t)s.p[1]) & 0xffffu) : 0;
}

uint64_t kv_rd_u64le(kv_rd *r)
{
    kv_sv s = kv_rd_take(r, 8);
    uint64_t v = 0;
    for (size_t i = s.n; i-- > 0;) v = v << 8 | (uint8_t)s.p[i];
    return v;
}

/* The bytes of the control character that s begins with; 0: it is none. */
static size_t control_length(kv_sv s)
{
    unsigned char c = (unsigned char)s.p[0];
    if (c < 0x20 || c == 0x7f) return 1;
    if (c != 0xc2 || s.n < 2) return 0;
    return (unsigned char)s.p[1] >= 0x80 && (unsigned char)s.p[1] < 0xa0 ? 2 : 0;
}

static void add_escaped(kv_buf *out, kv_sv text, bool backslashes)
{
    while (text.n) {
        size_t n = control_length(text);
        if (!n && backslashes && text.p[0] == '\\') n = 1;
        for (size_t i = 0; i < n; i++) kv_buf_addf(out, "\\%03o", (unsigned char)text.p[i]);
        if (!n) kv_buf_addc(out, text.p[0]);
        text = kv_sv_from(text, n ? n : 1);
    }
}

void kv_visible_add(kv_buf *out, kv_sv text)
{
    add_escaped(out, text, false);
}

void kv_plain_add(kv_buf *out, kv_sv text)
{
    add_escaped(out, text, true);
}

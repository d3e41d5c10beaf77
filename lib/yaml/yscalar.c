/* What a plain scalar is: the mix of YAML 1.1 and 1.2 of yaml.v3. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "yaml/yaml.h"

/* --- numbers --- */

static int digit_of(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return 99;
}

/* The base a prefix names, and the digits behind it: Go's base 0. */
static unsigned take_base(kv_sv *s)
{
    static const struct {
        char letter;
        unsigned base;
    } BASES[] = {{'x', 16}, {'b', 2}, {'o', 8}};
    if (s->p[0] != '0') return 10;
    for (size_t i = 0; s->n > 2 && i < KV_COUNT(BASES); i++) {
        if ((s->p[1] | 0x20) != BASES[i].letter) continue;
        *s = kv_sv_from(*s, 2);
        return BASES[i].base;
    }
    *s = kv_sv_from(*s, 1); /* 017 and 0 itself */
    return 8;
}

static bool magnitude(kv_sv s, uint64_t *out)
{
    if (s.n == 0) return false;
    unsigned base = take_base(&s);
    uint64_t v = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned d = (unsigned)digit_of(s.p[i]);
        if (d >= base || kv_ckd_mul(&v, v, (uint64_t)base) || kv_ckd_add(&v, v, (uint64_t)d))
            return false;
    }
    *out = v;
    return true;
}

static bool integer(kv_sv s, kv_value *out)
{
    bool sign = s.n && (s.p[0] == '-' || s.p[0] == '+');
    bool negative = sign && s.p[0] == '-';
    uint64_t v;
    if (!magnitude(sign ? kv_sv_from(s, 1) : s, &v)) return false;
    if (negative && v > (uint64_t)INT64_MAX + 1) return false;
    if (!negative && v > INT64_MAX) {
        if (sign) return false; /* Go's unsigned parser takes no sign */
        *out = (kv_value){.kind = KV_VUINT, .u = v};
        return true;
    }
    int64_t i = negative ? (v > INT64_MAX ? INT64_MIN : -(int64_t)v) : (int64_t)v;
    *out = (kv_value){.kind = KV_VINT, .i = i};
    return true;
}

static size_t digits(kv_sv s, size_t from)
{
    size_t i = from;
    while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9') i++;
    return i - from;
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? */
static bool looks_decimal(kv_sv s)
{
    size_t i = s.n && (s.p[0] == '-' || s.p[0] == '+') ? 1 : 0;
    size_t whole = digits(s, i), part = 0;
    i += whole;
    if (i < s.n && s.p[i] == '.') {
        part = digits(s, i + 1);
        i += 1 + part;
    }
    if (whole + part == 0) return false;
    if (i < s.n && (s.p[i] | 0x20) == 'e') {
        i++;
        if (i < s.n && (s.p[i] == '-' || s.p[i] == '+')) i++;
        size_t n = digits(s, i);
        if (n == 0) return false;
        i += n;
    }
    return i == s.n;
}

static bool floating(kv_sv s, kv_value *out)
{
    double d;
    if (!looks_decimal(s) || !kv_sv_to_double(s, &d)) return false;
    *out = (kv_value){.kind = KV_VDOUBLE, .d = d};
    return true;
}

#define NUMBER_TEXT_MAX 400u /* longer ones are text; own: 2^1024 has 309 digits */

static bool number(kv_sv text, kv_value *out)
{
    char plain[NUMBER_TEXT_MAX];
    size_t n = 0;
    if (text.n > sizeof(plain)) return false;
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] != '_') plain[n++] = text.p[i];
    kv_sv s = {plain, n};
    return integer(s, out) || floating(s, out);
}

/* --- timestamps --- */

/* One or two digits. */
static bool two(kv_sv s, size_t *at, unsigned *out)
{
    size_t n = digits(s, *at);
    if (n == 0) return false;
    if (n > 2) n = 2;
    *out = 0;
    for (size_t i = 0; i < n; i++) *out = *out * 10 + (unsigned)(s.p[*at + i] - '0');
    *at += n;
    return true;
}

static bool one_of(kv_sv s, size_t *at, const char *set)
{
    if (*at >= s.n || !strchr(set, s.p[*at]) || !s.p[*at]) return false;
    (*at)++;
    return true;
}

static bool valid_day(unsigned year, unsigned month, unsigned day)
{
    static const unsigned char DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (month < 1 || month > 12 || day < 1) return false;
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return day <= DAYS[month - 1] + (month == 2 && leap ? 1u : 0u);
}

typedef struct stamp {
    unsigned year, month, day, hour, minute, second;
    char fraction[10]; /* digits without trailing zeros */
    char zone[8];      /* "Z" or "+05:00" */
} stamp;

static bool clock_part(kv_sv s, size_t *at, stamp *t)
{
    if (!two(s, at, &t->hour) || !one_of(s, at, ":") || !two(s, at, &t->minute) ||
        !one_of(s, at, ":") || !two(s, at, &t->second))
        return false;
    if (t->hour > 23 || t->minute > 59 || t->second > 59) return false;
    if (*at + 1 < s.n && (s.p[*at] == '.' || s.p[*at] == ',') && digits(s, *at + 1)) {
        size_t n = digits(s, *at + 1), keep = n < 9 ? n : 9;
        memcpy(t->fraction, s.p + *at + 1, keep);
        while (keep && t->fraction[keep - 1] == '0') keep--;
        t->fraction[keep] = '\0';
        *at += 1 + n;
    }
    return true;
}

static bool zone_part(kv_sv s, size_t *at, stamp *t)
{
    if (one_of(s, at, "Z")) {
        memcpy(t->zone, "Z", 2);
        return true;
    }
    if (s.n - *at < 6 || (s.p[*at] != '+' && s.p[*at] != '-') || s.p[*at + 3] != ':') return false;
    if (digits(s, *at + 1) != 2 || digits(s, *at + 4) < 2) return false;
    kv_sv hour = kv_sv_sub(s, *at + 1, *at + 3), minute = kv_sv_sub(s, *at + 4, *at + 6);
    uint64_t h, m;
    if (!kv_sv_to_u64(hour, &h) || !kv_sv_to_u64(minute, &m) || h > 23 || m > 59) return false;
    if (h + m == 0)
        memcpy(t->zone, "Z", 2);
    else
        memcpy(t->zone, s.p + *at, 6);
    *at += 6;
    return true;
}

/* The four layouts yaml.v3 tries: date, T, t with zone, blank without. */
static bool parse_stamp(kv_sv s, stamp *t)
{
    uint64_t year;
    size_t at = 5;
    *t = (stamp){.zone = "Z"};
    if (digits(s, 0) != 4 || s.n < 5 || s.p[4] != '-') return false;
    if (!kv_sv_to_u64(kv_sv_sub(s, 0, 4), &year)) return false;
    t->year = (unsigned)year;
    if (!two(s, &at, &t->month) || !one_of(s, &at, "-") || !two(s, &at, &t->day)) return false;
    if (!valid_day(t->year, t->month, t->day)) return false;
    if (at == s.n) return true;
    bool zoned = s.p[at] != ' ';
    if (!one_of(s, &at, "Tt ")) return false;
    while (!zoned && at < s.n && s.p[at] == ' ') at++;
    if (!clock_part(s, &at, t)) return false;
    if (zoned && !zone_part(s, &at, t)) return false;
    return at == s.n;
}

static bool timestamp(kv_sv text, kv_arena *arena, kv_value *out)
{
    stamp t;
    if (!parse_stamp(text, &t)) return false;
    *out = (kv_value){.kind = KV_VSTRING, .s = text};
    if (!arena) return true;
    char b[64];
    int n = snprintf(b, sizeof(b), "%04u-%02u-%02uT%02u:%02u:%02u%s%s%s", t.year, t.month, t.day,
                     t.hour, t.minute, t.second, t.fraction[0] ? "." : "", t.fraction, t.zone);
    out->s = kv_arena_dup(arena, (kv_sv){b, n > 0 ? (size_t)n : 0});
    return true; /* out of memory shows as a NULL text */
}

/* --- words --- */

static const struct word {
    kv_sv text, tag;
    kv_value value;
} WORDS[] = {
    {KV_SV_INIT("true"), KV_SV_INIT("!!bool"), {.kind = KV_VBOOL, .b = true}},
    {KV_SV_INIT("True"), KV_SV_INIT("!!bool"), {.kind = KV_VBOOL, .b = true}},
    {KV_SV_INIT("TRUE"), KV_SV_INIT("!!bool"), {.kind = KV_VBOOL, .b = true}},
    {KV_SV_INIT("false"), KV_SV_INIT("!!bool"), {.kind = KV_VBOOL, .b = false}},
    {KV_SV_INIT("False"), KV_SV_INIT("!!bool"), {.kind = KV_VBOOL, .b = false}},
    {KV_SV_INIT("FALSE"), KV_SV_INIT("!!bool"), {.kind = KV_VBOOL, .b = false}},
    {KV_SV_INIT(""), KV_SV_INIT("!!null"), {.kind = KV_VNULL}},
    {KV_SV_INIT("~"), KV_SV_INIT("!!null"), {.kind = KV_VNULL}},
    {KV_SV_INIT("null"), KV_SV_INIT("!!null"), {.kind = KV_VNULL}},
    {KV_SV_INIT("Null"), KV_SV_INIT("!!null"), {.kind = KV_VNULL}},
    {KV_SV_INIT("NULL"), KV_SV_INIT("!!null"), {.kind = KV_VNULL}},
    {KV_SV_INIT(".nan"), KV_SV_INIT("!!float"), {.kind = KV_VDOUBLE, .d = NAN}},
    {KV_SV_INIT(".NaN"), KV_SV_INIT("!!float"), {.kind = KV_VDOUBLE, .d = NAN}},
    {KV_SV_INIT(".NAN"), KV_SV_INIT("!!float"), {.kind = KV_VDOUBLE, .d = NAN}},
    {KV_SV_INIT(".inf"), KV_SV_INIT("!!float"), {.kind = KV_VDOUBLE, .d = INFINITY}},
    {KV_SV_INIT(".Inf"), KV_SV_INIT("!!float"), {.kind = KV_VDOUBLE, .d = INFINITY}},
    {KV_SV_INIT(".INF"), KV_SV_INIT("!!float"), {.kind = KV_VDOUBLE, .d = INFINITY}},
    {KV_SV_INIT("+.inf"), KV_SV_INIT("!!float"), {.kind = KV_VDOUBLE, .d = INFINITY}},
    {KV_SV_INIT("+.Inf"), KV_SV_INIT("!!float"), {.kind = KV_VDOUBLE, .d = INFINITY}},
    {KV_SV_INIT("+.INF"), KV_SV_INIT("!!float"), {.kind = KV_VDOUBLE, .d = INFINITY}},
    {KV_SV_INIT("-.inf"), KV_SV_INIT("!!float"), {.kind = KV_VDOUBLE, .d = -INFINITY}},
    {KV_SV_INIT("-.Inf"), KV_SV_INIT("!!float"), {.kind = KV_VDOUBLE, .d = -INFINITY}},
    {KV_SV_INIT("-.INF"), KV_SV_INIT("!!float"), {.kind = KV_VDOUBLE, .d = -INFINITY}},
};

/* The type text has of itself; with a tag of !!timestamp or none, dates are tried. */
static kv_sv own_type(kv_sv text, bool dates, kv_arena *arena, kv_value *out)
{
    for (size_t i = 0; text.n <= 5 && i < KV_COUNT(WORDS); i++) {
        if (!kv_sv_eq(text, WORDS[i].text)) continue;
        *out = WORDS[i].value;
        return WORDS[i].tag;
    }
    char c = text.n ? text.p[0] : 'x';
    if (c == '.' && text.n <= NUMBER_TEXT_MAX && floating(text, out)) return KV_SV("!!float");
    if ((c >= '0' && c <= '9') || c == '-' || c == '+') {
        if (dates && timestamp(text, arena, out)) return KV_SV("!!timestamp");
        if (number(text, out)) return out->kind == KV_VDOUBLE ? KV_SV("!!float") : KV_SV("!!int");
    }
    *out = (kv_value){.kind = KV_VSTRING, .s = text};
    return KV_SV("!!str");
}

bool kv_yaml_resolve(kv_sv tag, kv_sv text, kv_arena *arena, kv_sv *out_tag, kv_value *out)
{
    static const char *const RESOLVABLE[] = {"!!bool", "!!int", "!!float", "!!null", "!!timestamp"};
    bool resolvable = tag.n == 0;
    for (size_t i = 0; i < KV_COUNT(RESOLVABLE); i++)
        if (kv_sv_is(tag, RESOLVABLE[i])) resolvable = true;
    if (!resolvable) { /* !!str, !!binary and what applications define */
        *out_tag = tag;
        *out = (kv_value){.kind = KV_VSTRING, .s = text};
        return true;
    }
    bool dates = tag.n == 0 || kv_sv_is(tag, "!!timestamp");
    *out_tag = own_type(text, dates, arena, out);
    if (tag.n == 0 || kv_sv_eq(tag, *out_tag)) return true;
    if (kv_sv_is(tag, "!!float") && out->kind == KV_VINT) {
        *out = (kv_value){.kind = KV_VDOUBLE, .d = (double)out->i};
        *out_tag = tag;
        return true;
    }
    return false;
}

/* --- writing --- */

/* [-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)? : a number in base 60 to YAML 1.1 */
static bool is_base60(kv_sv s)
{
    size_t i = s.n && (s.p[0] == '-' || s.p[0] == '+') ? 1 : 0;
    if (i >= s.n || s.p[i] < '0' || s.p[i] > '9') return false;
    while (i < s.n && (digits(s, i) || s.p[i] == '_')) i++;
    size_t groups = 0;
    while (i < s.n && s.p[i] == ':') {
        size_t n = digits(s, i + 1);
        if (n < 1 || n > 2 || (n == 2 && s.p[i + 1] > '5')) return false;
        i += 1 + n;
        groups++;
    }
    if (!groups) return false;
    if (i < s.n && s.p[i] == '.') {
        i++;
        while (i < s.n && (digits(s, i) || s.p[i] == '_')) i++;
    }
    return i == s.n;
}

static bool is_old_bool(kv_sv s)
{
    static const char *const WORDS_1_1[] = {"y", "Y", "yes", "Yes", "YES", "on",  "On",  "ON",
                                            "n", "N", "no",  "No",  "NO",  "off", "Off", "OFF"};
    for (size_t i = 0; i < KV_COUNT(WORDS_1_1); i++)
        if (kv_sv_is(s, WORDS_1_1[i])) return true;
    return false;
}

bool kv_yaml_needs_quotes(kv_sv text)
{
    kv_value v;
    return !kv_sv_is(own_type(text, true, NULL, &v), "!!str") || is_base60(text) ||
           is_old_bool(text);
}

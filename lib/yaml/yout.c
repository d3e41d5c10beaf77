/* The YAML writer. */
#include "yaml/yout.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/text.h"
#include "yaml/yaml.h"
#include "json/json.h"

kv_yout kv_yout_make(kv_buf *buf)
{
    return (kv_yout){.buf = buf, .whitespace = true, .indention = true};
}

/* --- the line --- */

static void put(kv_yout *y, kv_sv s)
{
    kv_buf_add(y->buf, s);
    y->column += s.n; /* bytes will do: it is only compared with indentation */
}

static void line_break(kv_yout *y)
{
    kv_buf_addc(y->buf, '\n');
    y->column = 0;
    y->indention = true;
}

static void indent_to(kv_yout *y, size_t indent)
{
    if (!y->indention || y->column > indent || (y->column == indent && !y->whitespace))
        line_break(y);
    while (y->column < indent && !y->buf->failed) put(y, KV_SV(" "));
    y->whitespace = true;
}

/* Punctuation. blank: it needs one before; keeps: what follows may stand on the same line. */
static void mark(kv_yout *y, const char *s, bool blank, bool keeps)
{
    if (blank && !y->whitespace) put(y, KV_SV(" "));
    put(y, kv_sv_of(s));
    y->whitespace = false;
    y->indention = y->indention && keeps;
}

static kv_ylevel *top(kv_yout *y)
{
    return &y->level[(y->depth < KV_YOUT_DEPTH_MAX ? y->depth : KV_YOUT_DEPTH_MAX) - 1];
}

/* --- scalars --- */

typedef struct traits { /* which styles can carry a text */
    bool plain, flow_plain, single, literal, multiline;
} traits;

static bool is_break(kv_sv c)
{
    return kv_sv_is(c, "\n") || kv_sv_is(c, "\r") || kv_sv_is(c, "\xc2\x85") ||
           kv_sv_is(c, "\xe2\x80\xa8") || kv_sv_is(c, "\xe2\x80\xa9");
}

/* As yaml.v3: nothing outside the basic plane, no byte-order mark, no control characters. */
static bool is_printable(kv_sv c)
{
    unsigned char a = (unsigned char)c.p[0], b = c.n > 1 ? (unsigned char)c.p[1] : 0;
    if (c.n == 1) return a == '\n' || (a >= 0x20 && a <= 0x7e);
    if (c.n == 4) return false;
    if (c.n == 2) return a > 0xc2 || b >= 0xa0;
    return !kv_sv_is(c, "\xef\xbb\xbf") && !kv_sv_is(c, "\xef\xbf\xbe") &&
           !kv_sv_is(c, "\xef\xbf\xbf");
}

static bool is_in(char c, const char *set)
{
    return c && strchr(set, c);
}

static bool blank_at(kv_sv s, size_t i)
{
    return i >= s.n || s.p[i] == ' ' || s.p[i] == '\t';
}

/* Characters that mean something at the start or inside of a plain scalar. */
static void find_indicators(kv_sv s, traits *t)
{
    if (kv_sv_starts(s, KV_SV("---")) || kv_sv_starts(s, KV_SV("..."))) t->plain = false;
    if (is_in(s.p[0], "#,[]{}&*!|>'\"%@`") || (s.p[0] == '-' && blank_at(s, 1))) t->plain = false;
    if (is_in(s.p[0], "?:")) {
        t->flow_plain = false;
        if (blank_at(s, 1)) t->plain = false;
    }
    for (size_t i = 1; i < s.n; i++) {
        char before = s.p[i - 1];
        if (is_in(s.p[i], ",?[]{}:")) t->flow_plain = false;
        if (s.p[i] == ':' && blank_at(s, i + 1)) t->plain = false;
        if (s.p[i] == '#' && is_in(before, " \t\r\n")) t->plain = false;
    }
    if (!t->plain) t->flow_plain = false;
}

static traits analyze(kv_sv s)
{
    traits t = {.plain = true, .flow_plain = true, .single = true, .literal = true};
    if (s.n == 0) return (traits){.plain = true, .single = true};
    find_indicators(s, &t);

    bool space = false, line = false; /* what the last character was */
    for (size_t i = 0, n; i < s.n; i += n) {
        n = kv_utf8_next(kv_sv_from(s, i));
        if (!n) n = 1;
        kv_sv c = kv_sv_sub(s, i, i + n);
        bool last = i + n == s.n;
        if (kv_sv_is(c, "\t"))
            t.plain = t.single = false;
        else if (!is_printable(c))
            t.plain = t.single = t.literal = false;
        if (kv_sv_is(c, " ")) {
            if (i == 0 || last) t.plain = false;
            if (last) t.literal = false;
            if (line) t.plain = t.single = false;
            space = true;
            line = false;
        } else if (is_break(c)) {
            t.multiline = true;
            t.plain = false;
            if (space || !kv_sv_is(c, "\n")) t.literal = false; /* U+2028 ends a line too */
            space = false;
            line = true;
        } else {
            space = line = false;
        }
    }
    if (t.multiline) t.single = false; /* a reader would fold the lines */
    if (!t.plain) t.flow_plain = false;
    return t;
}

static void single_quoted(kv_yout *y, kv_sv s)
{
    mark(y, "'", true, false);
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\'') put(y, KV_SV("'"));
        put(y, kv_sv_sub(s, i, i + 1));
    }
    mark(y, "'", false, false);
}

static uint32_t code_point(kv_sv c)
{
    static const unsigned char LEAD[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t v = (unsigned char)c.p[0] & LEAD[c.n];
    for (size_t i = 1; i < c.n; i++) v = v << 6 | ((unsigned char)c.p[i] & 0x3f);
    return v;
}

static void escape(kv_yout *y, uint32_t v)
{
    static const struct {
        uint32_t v;
        const char *text;
    } SHORT[] = {
        {0, "\\0"},     {7, "\\a"},    {8, "\\b"},      {9, "\\t"},      {0xa, "\\n"},
        {0xb, "\\v"},   {0xc, "\\f"},  {0xd, "\\r"},    {0x1b, "\\e"},   {'"', "\\\""},
        {'\\', "\\\\"}, {0x85, "\\N"}, {0x2028, "\\L"}, {0x2029, "\\P"},
    };
    char text[12];
    for (size_t i = 0; i < KV_COUNT(SHORT); i++)
        if (SHORT[i].v == v) {
            put(y, kv_sv_of(SHORT[i].text));
            return;
        }
    snprintf(text, sizeof(text), v <= 0xff ? "\\x%02X" : v <= 0xffff ? "\\u%04X" : "\\U%08X", v);
    put(y, kv_sv_of(text));
}

static void double_quoted(kv_yout *y, kv_sv s)
{
    mark(y, "\"", true, false);
    for (size_t i = 0, n; i < s.n; i += n) {
        n = kv_utf8_next(kv_sv_from(s, i));
        kv_sv c = kv_sv_sub(s, i, i + (n ? n : 1));
        if (!n) n = 1; /* not reached: such texts are written as !!binary */
        if (!is_printable(c) || is_break(c) || is_in(c.p[0], "\"\\"))
            escape(y, code_point(c));
        else
            put(y, c);
    }
    mark(y, "\"", false, false);
}

static void literal(kv_yout *y, kv_sv s, size_t indent)
{
    mark(y, "|", true, false);
    if (is_in(s.p[0], " \n\t")) mark(y, "2", false, false); /* the indent cannot be guessed */
    bool ends = s.p[s.n - 1] == '\n';
    if (!ends)
        mark(y, "-", false, false);
    else if (s.n == 1 || s.p[s.n - 2] == '\n')
        mark(y, "+", false, false);
    y->whitespace = true;
    line_break(y);
    for (size_t from = 0; from < s.n;) {
        size_t to = kv_sv_find(kv_sv_from(s, from), '\n');
        kv_sv line = kv_sv_sub(s, from, to == SIZE_MAX ? s.n : from + to);
        if (line.n) {
            indent_to(y, indent);
            put(y, line);
            y->indention = false;
        }
        if (to == SIZE_MAX) break;
        line_break(y);
        from += to + 1;
    }
}

/* Column of the text of a literal scalar that stands here. */
static size_t scalar_indent(kv_yout *y)
{
    return y->depth ? top(y)->indent + 2 : 2;
}

typedef enum where { AT_VALUE, AT_KEY, IN_FLOW } where;

static void plain(kv_yout *y, kv_sv s)
{
    if (s.n && !y->whitespace) put(y, KV_SV(" "));
    put(y, s);
    y->whitespace = y->indention = false;
}

static void text(kv_yout *y, kv_sv s, where at)
{
    traits t = analyze(s);
    bool lines = kv_sv_find(s, '\n') != SIZE_MAX;
    bool merge = at == AT_KEY && kv_sv_is(s, "<<"); /* plain it would merge */
    bool plain_ok = at == IN_FLOW ? t.flow_plain : t.plain;
    if (lines && at == AT_VALUE && t.literal)
        literal(y, s, scalar_indent(y));
    else if (lines || merge || kv_yaml_needs_quotes(s) || (!plain_ok && !t.single))
        double_quoted(y, s);
    else if (plain_ok)
        plain(y, s);
    else
        single_quoted(y, s);
}

/* Bytes that are no UTF-8: base64 in lines of 70, as yaml.v3. */
static void binary(kv_yout *y, kv_sv s, where at)
{
    kv_auto_buf b64 = KV_BUF(SIZE_MAX / 2), lines = KV_BUF(SIZE_MAX / 2);
    kv_base64_add(&b64, s);
    kv_sv all = kv_buf_sv(&b64);
    bool many = all.n / 70 + 1 > 1;
    for (size_t i = 0; i < all.n; i += 70) {
        kv_buf_add(&lines, kv_sv_sub(all, i, i + 70));
        if (many) kv_buf_addc(&lines, '\n');
    }
    if ((b64.failed || lines.failed) && !y->buf->failed) y->buf->failed = KV_E_NOMEM;
    plain(y, KV_SV("!!binary"));
    if (!many)
        plain(y, all);
    else if (at == AT_VALUE)
        literal(y, kv_buf_sv(&lines), scalar_indent(y));
    else
        double_quoted(y, kv_buf_sv(&lines));
}

static void scalar(kv_yout *y, kv_sv s, where at)
{
    if (kv_utf8_valid(s))
        text(y, s, at);
    else
        binary(y, s, at);
}

/* --- collections --- */

/* What stands before a value: a dash, a comma, nothing behind a key. */
static where before(kv_yout *y)
{
    if (y->depth == 0) return AT_VALUE;
    kv_ylevel *l = top(y);
    if (l->map) {
        if (y->long_key) {
            indent_to(y, l->indent);
            mark(y, ":", true, true);
            y->long_key = false;
        }
        return AT_VALUE;
    }
    if (l->flow) {
        mark(y, l->empty ? "[" : ",", l->empty, false);
        if (l->empty) y->whitespace = true;
        l->empty = false;
        return IN_FLOW;
    }
    l->empty = false;
    indent_to(y, l->indent);
    mark(y, "-", true, true);
    return AT_VALUE;
}

static void open_level(kv_yout *y, bool map, bool flow)
{
    (void)before(y);
    unsigned indent = y->depth ? top(y)->indent + 2 : 0;
    if (y->depth >= KV_YOUT_DEPTH_MAX && !y->buf->failed) y->buf->failed = KV_E_LIMIT;
    y->depth++;
    *top(y) = (kv_ylevel){.indent = indent, .map = map, .flow = flow, .empty = true};
}

void kv_yout_map(kv_yout *y)
{
    open_level(y, true, false);
}

void kv_yout_seq(kv_yout *y, bool flow)
{
    open_level(y, false, flow);
}

void kv_yout_end(kv_yout *y)
{
    assert(y->depth > 0);
    kv_ylevel *l = top(y);
    y->depth--;
    if (l->empty)
        mark(y, l->map ? "{}" : "[]", true, false);
    else if (l->flow)
        mark(y, "]", false, false);
}

#define SIMPLE_KEY_MAX 128u /* yaml.v3; the specification allows 1024 */

void kv_yout_key(kv_yout *y, kv_sv key)
{
    assert(y->depth > 0);
    kv_ylevel *l = top(y);
    l->empty = false;
    indent_to(y, l->indent);
    y->long_key = key.n > SIMPLE_KEY_MAX || analyze(key).multiline || !kv_utf8_valid(key);
    if (y->long_key) {
        mark(y, "?", true, true);
        scalar(y, key, AT_VALUE);
    } else {
        scalar(y, key, AT_KEY);
        mark(y, ":", false, false);
    }
}

void kv_yout_str(kv_yout *y, kv_sv s)
{
    where at = before(y);
    scalar(y, s, at);
}

/* --- trees --- */

static bool is_digit(uint32_t c)
{
    return c >= '0' && c <= '9';
}

/* Letters of ASCII, and beyond it everything outside the blocks of punctuation and symbols. */
static bool is_letter(uint32_t c)
{
    static const struct {
        uint32_t from, to;
    } SIGNS[] = {{0x80, 0xa9},     {0xab, 0xb4},     {0xb6, 0xb9},      {0xbb, 0xbf},
                 {0xd7, 0xd7},     {0xf7, 0xf7},     {0x2000, 0x206f},  {0x20a0, 0x20cf},
                 {0x2190, 0x2bff}, {0x3000, 0x3004}, {0x3007, 0x3030},  {0xfe00, 0xfe0f},
                 {0xff00, 0xff20}, {0xfff0, 0xffff}, {0x1f000, 0x1faff}};
    if (c < 0x80) return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
    for (size_t i = 0; i < KV_COUNT(SIGNS); i++)
        if (c >= SIGNS[i].from && c <= SIGNS[i].to) return false;
    return true;
}

static kv_sv next_char(kv_sv s, uint32_t *out)
{
    size_t n = kv_utf8_next(s);
    *out = n ? code_point(kv_sv_sub(s, 0, n)) : 0xfffd;
    return kv_sv_from(s, n ? n : 1);
}

/* The run of digits at s; saturates. */
static uint64_t run_of_digits(kv_sv s, size_t *n)
{
    uint64_t v = 0;
    for (*n = 0; *n < s.n && is_digit((unsigned char)s.p[*n]); ++*n)
        if (kv_ckd_mul(&v, v, (uint64_t)10) || kv_ckd_add(&v, v, (uint64_t)(s.p[*n] - '0')))
            v = UINT64_MAX;
    return v;
}

/* Where both texts differ first, and one of them has no letter. digits: a nonzero digit stands
 * before, in the same run. */
static int cmp_numbers(kv_sv a, kv_sv b, bool digits)
{
    size_t an, bn;
    uint64_t x = run_of_digits(a, &an), y = run_of_digits(b, &bn);
    if (digits && an != bn) return an < bn ? -1 : 1; /* the longer number is the larger one */
    if (x != y) return x < y ? -1 : 1;
    if (an != bn) return an < bn ? -1 : 1;
    uint32_t ac, bc;
    (void)next_char(a, &ac);
    (void)next_char(b, &bc);
    return ac < bc ? -1 : 1;
}

/* The order of yaml.v3: runs of digits by value, other signs before letters. */
static int cmp_natural(kv_sv a, kv_sv b)
{
    bool digits = false, nonzero = false; /* of the common run just before */
    while (a.n && b.n) {
        uint32_t ac, bc;
        kv_sv a2 = next_char(a, &ac), b2 = next_char(b, &bc);
        if (ac != bc) {
            bool al = is_letter(ac), bl = is_letter(bc);
            if (al && bl) return ac < bc ? -1 : 1;
            if (al || bl) return (digits ? al : bl) ? -1 : 1;
            return cmp_numbers(a, b, nonzero && (ac == '0' || bc == '0'));
        }
        digits = is_digit(ac);
        nonzero = digits && (nonzero || ac != '0');
        a = a2;
        b = b2;
    }
    return a.n ? 1 : b.n ? -1 : 0;
}

static int by_key(const void *a, const void *b)
{
    return cmp_natural(((const kv_member *)a)->key, ((const kv_member *)b)->key);
}

static void map(kv_yout *y, const kv_value *v)
{
    kv_member *sorted = calloc(v->n ? v->n : 1, sizeof(*sorted));
    if (!sorted) {
        if (!y->buf->failed) y->buf->failed = KV_E_NOMEM;
        return;
    }
    if (v->n) memcpy(sorted, v->members, v->n * sizeof(*sorted));
    qsort(sorted, v->n, sizeof(*sorted), by_key);
    kv_yout_map(y);
    for (size_t i = 0; i < v->n && !y->buf->failed; i++) {
        kv_yout_key(y, sorted[i].key);
        kv_yout_value(y, sorted[i].value);
    }
    kv_yout_end(y);
    free(sorted);
}

static void number(kv_yout *y, const kv_value *v)
{
    kv_auto_buf b = KV_BUF(64);
    if (v->kind == KV_VINT)
        kv_buf_addf(&b, "%lld", (long long)v->i);
    else if (v->kind == KV_VUINT)
        kv_buf_addf(&b, "%llu", (unsigned long long)v->u);
    else if (isnan(v->d))
        kv_buf_adds(&b, ".nan");
    else if (isinf(v->d))
        kv_buf_adds(&b, v->d < 0 ? "-.inf" : ".inf");
    else if (v->d == 0 && signbit(v->d))
        kv_buf_adds(&b, "-0.0"); /* "-0" would come back as the integer */
    else
        kv_json_double_add(&b, v->d);
    plain(y, kv_buf_sv(&b));
}

void kv_yout_value(kv_yout *y, const kv_value *v)
{
    switch (v->kind) {
    case KV_VMAP: map(y, v); return;
    case KV_VLIST:
        kv_yout_seq(y, false);
        for (size_t i = 0; i < v->n && !y->buf->failed; i++) kv_yout_value(y, v->items[i]);
        kv_yout_end(y);
        return;
    case KV_VSTRING: kv_yout_str(y, v->s); return;
    case KV_VNULL:
    case KV_VBOOL:
    case KV_VINT:
    case KV_VUINT:
    case KV_VDOUBLE: break;
    }
    (void)before(y);
    if (v->kind == KV_VNULL)
        plain(y, KV_SV("null"));
    else if (v->kind == KV_VBOOL)
        plain(y, v->b ? KV_SV("true") : KV_SV("false"));
    else
        number(y, v);
}

void kv_yout_finish(kv_yout *y)
{
    indent_to(y, 0);
}

/* The one JSON writer, with its two profiles. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json/json.h"

kv_jout kv_jout_make(kv_buf *buf, kv_jprofile profile, unsigned indent)
{
    return (kv_jout){.buf = buf, .profile = profile, .indent = indent, .first = true};
}

static void new_line(kv_jout *j)
{
    if (!j->indent) return;
    kv_buf_addc(j->buf, '\n');
    for (unsigned i = 0; i < j->depth * j->indent; i++) kv_buf_addc(j->buf, ' ');
}

/* What stands between the last value and the next key or value. */
static void before(kv_jout *j)
{
    if (j->after_key) {
        j->after_key = false;
        return;
    }
    if (j->depth == 0) return;
    if (!j->first) kv_buf_addc(j->buf, ',');
    j->first = false;
    new_line(j);
}

static void open_with(kv_jout *j, char c)
{
    before(j);
    kv_buf_addc(j->buf, c);
    j->depth++;
    assert(j->depth <= KV_JOUT_DEPTH_MAX + 1);
    j->first = true;
}

static void close_with(kv_jout *j, char c)
{
    assert(j->depth > 0);
    j->depth--;
    if (!j->first) new_line(j); /* "{}" and "[]" stay on one line */
    kv_buf_addc(j->buf, c);
    j->first = false;
}

void kv_jout_obj(kv_jout *j)
{
    open_with(j, '{');
}

void kv_jout_end_obj(kv_jout *j)
{
    close_with(j, '}');
}

void kv_jout_arr(kv_jout *j)
{
    open_with(j, '[');
}

void kv_jout_end_arr(kv_jout *j)
{
    close_with(j, ']');
}

static void add_escape(kv_buf *b, unsigned char c)
{
    switch (c) {
    case '"': kv_buf_adds(b, "\\\""); return;
    case '\\': kv_buf_adds(b, "\\\\"); return;
    case '\b': kv_buf_adds(b, "\\b"); return;
    case '\f': kv_buf_adds(b, "\\f"); return;
    case '\n': kv_buf_adds(b, "\\n"); return;
    case '\r': kv_buf_adds(b, "\\r"); return;
    case '\t': kv_buf_adds(b, "\\t"); return;
    default: kv_buf_addf(b, "\\u%04x", c);
    }
}

static bool plain(unsigned char c, kv_jprofile profile)
{
    if (c < 0x20 || c == '"' || c == '\\') return false;
    return profile != KV_JSON_GO || (c != '<' && c != '>' && c != '&');
}

static void add_string(kv_buf *b, kv_sv s, kv_jprofile profile)
{
    kv_buf_addc(b, '"');
    for (size_t i = 0; i < s.n;) {
        /* Most text has nothing to escape: whole runs are copied at once. */
        size_t run = i;
        while (run < s.n && (unsigned char)s.p[run] < 0x80 &&
               plain((unsigned char)s.p[run], profile))
            run++;
        if (run > i) {
            kv_buf_add(b, kv_sv_sub(s, i, run));
            i = run;
            continue;
        }
        unsigned char c = (unsigned char)s.p[i];
        size_t n = c < 0x80 ? 1 : kv_utf8_next(kv_sv_from(s, i));
        kv_sv one = kv_sv_sub(s, i, i + n);
        i += n ? n : 1;
        if (n == 0)
            kv_buf_adds(b, "\\ufffd");
        else if (n == 1 && !plain(c, profile))
            add_escape(b, c);
        else if (profile == KV_JSON_GO && kv_sv_is(one, "\xe2\x80\xa8"))
            kv_buf_adds(b, "\\u2028");
        else if (profile == KV_JSON_GO && kv_sv_is(one, "\xe2\x80\xa9"))
            kv_buf_adds(b, "\\u2029");
        else
            kv_buf_add(b, one);
    }
    kv_buf_addc(b, '"');
}

void kv_jout_key(kv_jout *j, kv_sv key)
{
    before(j);
    add_string(j->buf, key, j->profile);
    kv_buf_addc(j->buf, ':');
    if (j->indent) kv_buf_addc(j->buf, ' ');
    j->after_key = true;
}

void kv_jout_str(kv_jout *j, kv_sv s)
{
    before(j);
    add_string(j->buf, s, j->profile);
}

void kv_jout_raw(kv_jout *j, kv_sv json)
{
    before(j);
    kv_buf_add(j->buf, json);
}

void kv_jout_i64(kv_jout *j, int64_t v)
{
    before(j);
    kv_buf_addf(j->buf, "%lld", (long long)v);
}

void kv_jout_u64(kv_jout *j, uint64_t v)
{
    char digits[20], *at = digits + sizeof(digits);
    do *--at = (char)('0' + v % 10);
    while (v /= 10);
    before(j);
    kv_buf_add(j->buf, (kv_sv){at, (size_t)(digits + sizeof(digits) - at)});
}

void kv_jout_double(kv_jout *j, double v)
{
    before(j);
    kv_json_double_add(j->buf, v);
}

void kv_jout_bool(kv_jout *j, bool v)
{
    kv_jout_raw(j, v ? KV_SV("true") : KV_SV("false"));
}

void kv_jout_null(kv_jout *j)
{
    kv_jout_raw(j, KV_SV("null"));
}

void kv_jout_kstr(kv_jout *j, const char *key, kv_sv s)
{
    kv_jout_key(j, kv_sv_of(key));
    kv_jout_str(j, s);
}

void kv_jout_ku64(kv_jout *j, const char *key, uint64_t v)
{
    kv_jout_key(j, kv_sv_of(key));
    kv_jout_u64(j, v);
}

void kv_jout_kbool(kv_jout *j, const char *key, bool v)
{
    kv_jout_key(j, kv_sv_of(key));
    kv_jout_bool(j, v);
}

/* Source of the form: ECMA-262 Number::toString, which Go's encoder agrees with. */
void kv_json_double_add(kv_buf *out, double v)
{
    char text[40], digits[24];
    if (v == 0) { /* also -0 */
        kv_buf_addc(out, '0');
        return;
    }
    for (int precision = 0; precision < 17; precision++) {
        snprintf(text, sizeof(text), "%.*e", precision, v);
        if (strtod(text, NULL) == v) break;
    }
    const char *p = text;
    if (*p == '-') {
        kv_buf_addc(out, '-');
        p++;
    }
    size_t n = 0;
    for (; *p && *p != 'e'; p++)
        if (*p != '.') digits[n++] = *p;
    long exp = *p ? strtol(p + 1, NULL, 10) : 0; /* value = d.ddd x 10^exp */
    kv_sv d = {digits, n};

    if (exp < -6 || exp >= 21) {
        kv_buf_add(out, kv_sv_sub(d, 0, 1));
        if (n > 1) kv_buf_addc(out, '.');
        kv_buf_add(out, kv_sv_from(d, 1));
        kv_buf_addf(out, "e%+ld", exp);
    } else if (exp < 0) {
        kv_buf_adds(out, "0.");
        for (long i = -1; i > exp; i--) kv_buf_addc(out, '0');
        kv_buf_add(out, d);
    } else {
        size_t whole = (size_t)exp + 1;
        kv_buf_add(out, kv_sv_sub(d, 0, whole));
        for (size_t i = n; i < whole; i++) kv_buf_addc(out, '0');
        if (n > whole) {
            kv_buf_addc(out, '.');
            kv_buf_add(out, kv_sv_from(d, whole));
        }
    }
}

/* --- whole trees --- */

typedef struct obj_member {
    kv_sv key;
    const kv_json *value;
} obj_member;

/* Next UTF-16 code unit order key of s: RFC 8785 3.2.3 sorts by UTF-16, which differs from bytes
 * only where characters beyond U+FFFF meet U+E000..U+FFFF. */
static int utf16_rank(unsigned char c)
{
    if (c >= 0xf0) return 0xee; /* surrogates D800..DFFF come before EE and EF */
    return c >= 0xee ? c + 1 : c;
}

static int cmp_members(const void *a, const void *b)
{
    kv_sv x = ((const obj_member *)a)->key, y = ((const obj_member *)b)->key;
    size_t i = 0;
    while (i < x.n && i < y.n && x.p[i] == y.p[i]) i++;
    if (i == x.n || i == y.n) return x.n < y.n ? -1 : x.n > y.n;
    unsigned char cx = (unsigned char)x.p[i], cy = (unsigned char)y.p[i];
    int rx = utf16_rank(cx), ry = utf16_rank(cy);
    if (rx != ry) return rx < ry ? -1 : 1;
    return cx < cy ? -1 : 1;
}

static void object_sorted(kv_jout *j, const kv_json *v)
{
    size_t n = kv_json_len(v), i = 0;
    obj_member *m = n ? calloc(n, sizeof(*m)) : NULL;
    if (n && !m) {
        if (!j->buf->failed) j->buf->failed = KV_E_NOMEM;
        return;
    }
    kv_jiter it = kv_json_iter(v);
    while ((m && (m[i].value = kv_json_next(&it, &m[i].key)))) {
        if (++i == n) break;
    }
    if (n) qsort(m, n, sizeof(*m), cmp_members);
    for (i = 0; i < n; i++) {
        kv_jout_key(j, m[i].key);
        kv_jout_value(j, m[i].value);
    }
    free(m);
}

static void object_as_is(kv_jout *j, const kv_json *v)
{
    kv_jiter it = kv_json_iter(v);
    kv_sv key;
    for (const kv_json *item; (item = kv_json_next(&it, &key));) {
        kv_jout_key(j, key);
        kv_jout_value(j, item);
    }
}

static void number(kv_jout *j, const kv_json *v)
{
    kv_sv text = kv_json_num_text(v);
    uint64_t u;
    /* Integers beyond 2^53 keep their digits: our documents hold sizes, never such doubles. */
    if (j->profile == KV_JSON_GO || kv_json_u64(v, &u) || kv_json_i64(v, &(int64_t){0})) {
        kv_jout_raw(j, kv_sv_is(text, "-0") && j->profile == KV_JSON_JCS ? KV_SV("0") : text);
        return;
    }
    kv_auto_str z = kv_sv_dup(text);
    double d = z ? strtod(z, NULL) : 0;
    if (!z || !isfinite(d)) {
        if (!j->buf->failed) j->buf->failed = KV_E_LIMIT;
        return;
    }
    kv_jout_double(j, d);
}

void kv_jout_value(kv_jout *j, const kv_json *v)
{
    switch (kv_json_kind(v)) {
    case KV_JBOOL: kv_jout_bool(j, kv_json_bool(v)); return;
    case KV_JNUM: number(j, v); return;
    case KV_JSTR: kv_jout_str(j, kv_json_str(v)); return;
    case KV_JOBJ:
        kv_jout_obj(j);
        if (j->profile == KV_JSON_JCS)
            object_sorted(j, v);
        else
            object_as_is(j, v);
        kv_jout_end_obj(j);
        return;
    case KV_JARR: {
        kv_jout_arr(j);
        kv_jiter it = kv_json_iter(v);
        for (const kv_json *item; (item = kv_json_next(&it, NULL));) kv_jout_value(j, item);
        kv_jout_end_arr(j);
        return;
    }
    case KV_JNONE:
    case KV_JNULL: kv_jout_null(j); return;
    }
}

kv_code kv_json_canonical(kv_sv text, kv_buf *out, kv_error *err)
{
    kv_auto(kv_jdoc) doc = NULL;
    KV_TRY(kv_jdoc_parse(text, &doc, err));
    kv_jout j = kv_jout_make(out, KV_JSON_JCS, 0);
    kv_jout_value(&j, kv_jdoc_root(doc));
    return kv_buf_check(out, err);
}

/* --- structs by their table --- */

typedef struct any_list {
    void *items;
    size_t n;
} any_list;

static bool is_empty(const kv_jfield *f, const char *member)
{
    switch (f->kind) {
    case 's': return ((const kv_sv *)(const void *)member)->n == 0;
    case 'i':
    case 'u': return *(const uint64_t *)(const void *)member == 0;
    case 'b': return !*(const bool *)(const void *)member;
    case 'v': return *(const kv_json *const *)(const void *)member == NULL;
    case 'o':
        for (size_t i = 0; i < f->sub->n; i++)
            if (f->sub->fields[i].keep_empty ||
                !is_empty(&f->sub->fields[i], member + f->sub->fields[i].off))
                return false;
        return true;
    default: return ((const any_list *)(const void *)member)->n == 0;
    }
}

static void list(kv_jout *j, const kv_jfield *f, const any_list *l)
{
    const char *at = l->items;
    kv_jout_arr(j);
    for (size_t i = 0; i < l->n; i++, at += f->sub ? f->sub->size : sizeof(kv_sv)) {
        if (f->sub)
            kv_jout_struct(j, f->sub, at);
        else
            kv_jout_str(j, *(const kv_sv *)(const void *)at);
    }
    kv_jout_end_arr(j);
}

void kv_jout_struct(kv_jout *j, const kv_jtable *t, const void *value)
{
    kv_jout_obj(j);
    for (size_t i = 0; i < t->n; i++) {
        const kv_jfield *f = &t->fields[i];
        const char *m = (const char *)value + f->off;
        if (!f->keep_empty && is_empty(f, m)) continue;
        kv_jout_key(j, kv_sv_of(f->key));
        switch (f->kind) {
        case 's': kv_jout_str(j, *(const kv_sv *)(const void *)m); break;
        case 'i': kv_jout_i64(j, *(const int64_t *)(const void *)m); break;
        case 'u': kv_jout_u64(j, *(const uint64_t *)(const void *)m); break;
        case 'b': kv_jout_bool(j, *(const bool *)(const void *)m); break;
        case 'v': kv_jout_value(j, *(const kv_json *const *)(const void *)m); break;
        case 'o': kv_jout_struct(j, f->sub, m); break;
        default: list(j, f, (const any_list *)(const void *)m); break;
        }
    }
    kv_jout_end_obj(j);
}

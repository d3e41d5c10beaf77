/* Two Kitfiles as JSON trees, walked together. */
#include <stdlib.h>
#include <string.h>

#include "kitvault/diff.h"
#include "kitvault/kitfile.h"
#include "json/json.h"

enum { FIELD_BYTES_MAX = 64 * 1024, VALUE_BYTES_MAX = 8 << 20 };

typedef struct walk {
    kv_field_change_fn *fn;
    void *ctx;
    kv_buf field; /* where the walk is */
} walk;

static void walk_clear(walk *w)
{
    kv_buf_clear(&w->field);
}

static kv_code compare(walk *w, const kv_json *a, const kv_json *b, kv_error *err);

/* --- one value --- */

static kv_code text_of(const kv_json *v, kv_buf *out, kv_error *err)
{
    kv_jout j = kv_jout_make(out, KV_JSON_GO, 0);
    if (v) kv_jout_value(&j, v);
    return kv_buf_check(out, err);
}

static kv_code compare_texts(walk *w, const kv_json *a, const kv_json *b, kv_error *err)
{
    kv_auto_buf x = KV_BUF(VALUE_BYTES_MAX), y = KV_BUF(VALUE_BYTES_MAX);
    KV_TRY(text_of(a, &x, err));
    KV_TRY(text_of(b, &y, err));
    if (kv_sv_eq(kv_buf_sv(&x), kv_buf_sv(&y))) return KV_OK;
    kv_field_change c = {
        .kind = !a   ? KV_CHANGE_ADDED
                : !b ? KV_CHANGE_REMOVED
                     : KV_CHANGE_CHANGED,
        .field = kv_buf_sv(&w->field),
        .before = kv_buf_sv(&x),
        .after = kv_buf_sv(&y),
    };
    return w->fn(w->ctx, &c, err);
}

/* Compares one member or element, whose name stands behind the field's `from` bytes. */
static kv_code step(walk *w, size_t from, const kv_json *a, const kv_json *b, kv_error *err)
{
    KV_TRY(kv_buf_check(&w->field, err));
    kv_code rc = compare(w, a, b, err);
    kv_buf_truncate(&w->field, from);
    return rc;
}

/* --- objects --- */

/* What packing adds to the config blob: the digests of layers, which are compared as such. */
static bool is_left_out(kv_sv key)
{
    return kv_sv_is(key, "digest") || kv_sv_is(key, "diffId");
}

static const kv_json *member(const kv_json *obj, kv_sv key)
{
    kv_jiter it = kv_json_iter(obj);
    kv_sv k;
    for (const kv_json *v; (v = kv_json_next(&it, &k));)
        if (kv_sv_eq(k, key)) return v;
    return NULL;
}

static kv_code compare_member(walk *w, kv_sv key, const kv_json *a, const kv_json *b, kv_error *err)
{
    size_t from = w->field.n;
    kv_buf_addf(&w->field, "%s%.*s", from ? "." : "", KV_ARG(key));
    return step(w, from, a, b, err);
}

static kv_code compare_objects(walk *w, const kv_json *a, const kv_json *b, kv_error *err)
{
    kv_sv key;
    kv_jiter it = kv_json_iter(a);
    for (const kv_json *v; (v = kv_json_next(&it, &key));)
        if (!is_left_out(key)) KV_TRY(compare_member(w, key, v, member(b, key), err));
    it = kv_json_iter(b);
    for (const kv_json *v; (v = kv_json_next(&it, &key));)
        if (!is_left_out(key) && !member(a, key)) KV_TRY(compare_member(w, key, NULL, v, err));
    return KV_OK;
}

/* --- lists of entries --- */

/* What an entry is called: its name, its path, or nothing. */
static kv_sv label_of(const kv_json *entry)
{
    kv_sv name = kv_json_str(kv_json_get(entry, "name"));
    return name.n ? name : kv_json_str(kv_json_get(entry, "path"));
}

/* The entry of list that is called label (or stands at place, without one), or NULL; of several
 * that are called the same the nth. */
static const kv_json *entry_of(const kv_json *list, kv_sv label, size_t nth, size_t place)
{
    kv_jiter it = kv_json_iter(list);
    size_t at = 0;
    for (const kv_json *v; (v = kv_json_next(&it, NULL)); at++) {
        kv_sv l = label_of(v);
        if (!label.n && !l.n && at == place) return v;
        if (label.n && kv_sv_eq(l, label) && nth-- == 0) return v;
    }
    return NULL;
}

/* How many entries before `place` are called label. */
static size_t count_before(const kv_json *list, kv_sv label, size_t place)
{
    kv_jiter it = kv_json_iter(list);
    size_t n = 0;
    for (const kv_json *v; place-- && (v = kv_json_next(&it, NULL));)
        n += kv_sv_eq(label_of(v), label);
    return n;
}

static kv_code compare_entry(walk *w, kv_sv label, size_t place, const kv_json *a, const kv_json *b,
                             kv_error *err)
{
    size_t from = w->field.n;
    if (label.n)
        kv_buf_addf(&w->field, "[%.*s]", KV_ARG(label));
    else
        kv_buf_addf(&w->field, "[%zu]", place);
    return step(w, from, a, b, err);
}

static kv_code compare_entries(walk *w, const kv_json *a, const kv_json *b, kv_error *err)
{
    size_t place = 0;
    kv_jiter it = kv_json_iter(a);
    for (const kv_json *v; (v = kv_json_next(&it, NULL)); place++) {
        kv_sv label = label_of(v);
        size_t nth = label.n ? count_before(a, label, place) : 0;
        KV_TRY(compare_entry(w, label, place, v, entry_of(b, label, nth, place), err));
    }
    place = 0;
    it = kv_json_iter(b);
    for (const kv_json *v; (v = kv_json_next(&it, NULL)); place++) {
        kv_sv label = label_of(v);
        size_t nth = label.n ? count_before(b, label, place) : 0;
        if (!entry_of(a, label, nth, place)) KV_TRY(compare_entry(w, label, place, NULL, v, err));
    }
    return KV_OK;
}

static bool has_entries(const kv_json *list)
{
    kv_jiter it = kv_json_iter(list);
    for (const kv_json *v; (v = kv_json_next(&it, NULL));)
        if (kv_json_kind(v) != KV_JOBJ) return false;
    return kv_json_kind(list) == KV_JARR;
}

/* More are compared as a whole: matching takes the square of their number. */
static bool are_few(const kv_json *a, const kv_json *b)
{
    enum { ENTRIES_MAX = 2000 };
    return kv_json_len(a) <= ENTRIES_MAX && kv_json_len(b) <= ENTRIES_MAX;
}

static kv_code compare(walk *w, const kv_json *a, const kv_json *b, kv_error *err)
{
    if (kv_json_kind(a) == KV_JOBJ && kv_json_kind(b) == KV_JOBJ && are_few(a, b))
        return compare_objects(w, a, b, err);
    if (has_entries(a) && has_entries(b) && are_few(a, b)) return compare_entries(w, a, b, err);
    return compare_texts(w, a, b, err);
}

static kv_code parse(kv_sv text, kv_jdoc **out, kv_error *err)
{
    if (text.n > KV_KITFILE_BYTES_MAX)
        return kv_fail(err, KV_E_LIMIT, "a Kitfile of %zu bytes is too large", text.n);
    KV_TRY(kv_jdoc_parse(text, out, err));
    if (kv_json_kind(kv_jdoc_root(*out)) == KV_JOBJ) return KV_OK;
    return kv_fail(err, KV_E_INVALID, "the Kitfile is no JSON object");
}

kv_code kv_diff_kitfiles(kv_sv a, kv_sv b, kv_field_change_fn *fn, void *ctx, kv_error *err)
{
    kv_auto(kv_jdoc) x = NULL;
    kv_auto(kv_jdoc) y = NULL;
    KV_CLEANUP(walk_clear) walk w = {.fn = fn, .ctx = ctx, .field = KV_BUF(FIELD_BYTES_MAX)};
    KV_TRY(parse(a, &x, err));
    KV_TRY(parse(b, &y, err));
    return compare(&w, kv_jdoc_root(x), kv_jdoc_root(y), err);
}

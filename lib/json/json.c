/* Parsed trees are yyjson's; this file alone knows it. */
#include "json/json.h"

#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

struct kv_jdoc {
    yyjson_doc *doc;
};

static yyjson_val *val(const kv_json *v)
{
    return (yyjson_val *)(uintptr_t)v; /* yyjson's readers take non-const and do not write */
}

/* --- parsing --- */

/* A path such as "layers[2].size", built only for an error. */
typedef struct path {
    const struct path *up;
    kv_sv key;
    size_t index;
    bool is_index;
} path;

static void path_text(const path *p, kv_buf *out)
{
    if (!p) return;
    path_text(p->up, out);
    if (p->is_index) {
        kv_buf_addf(out, "[%zu]", p->index);
        return;
    }
    if (out->n) kv_buf_addc(out, '.');
    kv_buf_add(out, kv_sv_sub(p->key, 0, 64));
}

static int cmp_keys(const void *a, const void *b)
{
    const kv_sv *x = a, *y = b;
    return kv_sv_cmp(*x, *y);
}

static kv_code duplicate(const path *at, kv_sv key, kv_error *err)
{
    const path p = {.up = at, .key = key};
    kv_auto_buf where = KV_BUF(1024);
    path_text(&p, &where);
    return kv_fail(err, KV_E_INVALID, "key '%s' stands twice", where.p ? where.p : "");
}

static kv_code check_keys(const kv_json *obj, const path *at, kv_error *err)
{
    enum { FEW = 12 };
    kv_sv few[FEW];
    size_t n = kv_json_len(obj), i = 0;
    kv_sv *keys = n <= FEW ? few : calloc(n, sizeof(*keys));
    if (!keys) return kv_fail(err, KV_E_NOMEM, "out of memory");
    for (kv_jiter it = kv_json_iter(obj); kv_json_next(&it, &keys[i]);) i++;
    qsort(keys, n, sizeof(*keys), cmp_keys);
    kv_code rc = KV_OK;
    for (i = 1; i < n && rc == KV_OK; i++)
        if (kv_sv_eq(keys[i - 1], keys[i])) rc = duplicate(at, keys[i], err);
    if (keys != few) free(keys);
    return rc;
}

/* Recursion is bounded by check_shape. */
static kv_code check_tree(const kv_json *v, const path *at, kv_error *err)
{
    kv_jkind kind = kv_json_kind(v);
    if (kind != KV_JARR && kind != KV_JOBJ) return KV_OK;
    if (kind == KV_JOBJ && kv_json_len(v) > 1) KV_TRY(check_keys(v, at, err));
    kv_jiter it = kv_json_iter(v);
    path here = {.up = at, .is_index = kind == KV_JARR};
    for (const kv_json *item; (item = kv_json_next(&it, &here.key)); here.index++)
        KV_TRY(check_tree(item, &here, err));
    return KV_OK;
}

static kv_code too_deep(kv_error *err)
{
    return kv_fail(err, KV_E_LIMIT, "JSON is nested deeper than %d levels", KV_JSON_DEPTH_MAX);
}

/* The parser takes 16 bytes for every value and more for what is open, so that "[[[[" and "1,1,"
 * grow to eight times their size: both are counted before it sees them. */
static kv_code check_shape(kv_sv text, kv_error *err)
{
    size_t depth = 0, values = 0;
    bool string = false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (string && c == '\\') i++;
        if (c == '"') string = !string;
        if (string) continue;
        if (c == '[' || c == '{') depth++;
        if ((c == ']' || c == '}') && depth) depth--;
        if (c == ',' || c == ':' || c == '[' || c == '{') values++;
        if (depth > KV_JSON_DEPTH_MAX) return too_deep(err);
    }
    if (values > KV_JSON_VALUES_MAX)
        return kv_fail(err, KV_E_LIMIT, "JSON has more than %u values", KV_JSON_VALUES_MAX);
    return KV_OK;
}

kv_code kv_jdoc_parse(kv_sv text, kv_jdoc **out, kv_error *err)
{
    *out = NULL;
    KV_TRY(check_shape(text, err));
    yyjson_read_err e = {0};
    /* Without YYJSON_READ_INSITU the text is copied and not written to. */
    yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)(text.p ? text.p : ""), text.n,
                                       YYJSON_READ_NUMBER_AS_RAW, NULL, &e);
    if (!doc && e.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        return kv_fail(err, KV_E_NOMEM, "out of memory");
    if (!doc) {
        size_t line = 1, col = 1, chars = 0;
        if (text.n) yyjson_locate_pos(text.p, text.n, e.pos, &line, &col, &chars);
        return kv_fail(err, KV_E_SYNTAX, "invalid JSON at line %zu, column %zu: %s", line, col,
                       e.msg ? e.msg : "unknown");
    }
    kv_code rc = check_tree(yyjson_doc_get_root(doc), NULL, err);
    kv_jdoc *d = rc == KV_OK ? malloc(sizeof(*d)) : NULL;
    if (!d) {
        yyjson_doc_free(doc);
        return rc != KV_OK ? rc : kv_fail(err, KV_E_NOMEM, "out of memory");
    }
    d->doc = doc;
    *out = d;
    return KV_OK;
}

void kv_jdoc_free(kv_jdoc *doc)
{
    if (!doc) return;
    yyjson_doc_free(doc->doc);
    free(doc);
}

const kv_json *kv_jdoc_root(const kv_jdoc *doc)
{
    return yyjson_doc_get_root(doc->doc);
}

/* --- reading --- */

kv_jkind kv_json_kind(const kv_json *v)
{
    switch (yyjson_get_type(val(v))) {
    case YYJSON_TYPE_NULL: return KV_JNULL;
    case YYJSON_TYPE_BOOL: return KV_JBOOL;
    case YYJSON_TYPE_RAW:
    case YYJSON_TYPE_NUM: return KV_JNUM;
    case YYJSON_TYPE_STR: return KV_JSTR;
    case YYJSON_TYPE_ARR: return KV_JARR;
    case YYJSON_TYPE_OBJ: return KV_JOBJ;
    default: return KV_JNONE;
    }
}

const kv_json *kv_json_get(const kv_json *obj, const char *key)
{
    return yyjson_obj_get(val(obj), key);
}

kv_sv kv_json_str(const kv_json *v)
{
    const char *s = yyjson_get_str(val(v));
    return s ? (kv_sv){s, yyjson_get_len(val(v))} : (kv_sv){0};
}

kv_sv kv_json_num_text(const kv_json *v)
{
    const char *s = yyjson_get_raw(val(v));
    return s ? (kv_sv){s, yyjson_get_len(val(v))} : (kv_sv){"", 0};
}

bool kv_json_bool(const kv_json *v)
{
    return yyjson_is_true(val(v));
}

bool kv_json_u64(const kv_json *v, uint64_t *out)
{
    return kv_sv_to_u64(kv_json_num_text(v), out);
}

bool kv_json_i64(const kv_json *v, int64_t *out)
{
    kv_sv s = kv_json_num_text(v);
    bool neg = s.n && s.p[0] == '-';
    uint64_t u;
    if (!kv_sv_to_u64(neg ? kv_sv_from(s, 1) : s, &u)) return false;
    if (u > (uint64_t)INT64_MAX + (neg ? 1 : 0)) return false;
    *out = neg ? (int64_t)(0 - u) : (int64_t)u;
    return true;
}

size_t kv_json_len(const kv_json *v)
{
    kv_jkind k = kv_json_kind(v);
    return k == KV_JARR || k == KV_JOBJ ? yyjson_get_len(val(v)) : 0;
}

kv_jiter kv_json_iter(const kv_json *v)
{
    kv_jiter it = {.left = kv_json_len(v), .object = kv_json_kind(v) == KV_JOBJ};
    if (it.left) it.next = unsafe_yyjson_get_first(val(v));
    return it;
}

const kv_json *kv_json_next(kv_jiter *it, kv_sv *out_key)
{
    if (it->left == 0) return NULL;
    it->left--;
    const kv_json *item = it->next;
    if (it->object) {
        if (out_key) *out_key = kv_json_str(item);
        item = item + 1; /* yyjson lays a value directly behind its key */
    }
    if (it->left) it->next = unsafe_yyjson_get_next(val(item));
    return item;
}

/* --- binding --- */

typedef struct any_list { /* the layout every KV_JLIST(T) has */
    void *items;
    size_t n;
} any_list;

static kv_code wrong(const char *where, kv_sv key, const char *want, kv_error *err)
{
    return kv_fail(err, KV_E_INVALID, "%s%s%.*s: expected %s", where, *where && key.n ? "." : "",
                   KV_ARG(kv_sv_sub(key, 0, 64)), want);
}

static kv_code bind_list(const kv_json *v, const kv_jfield *f, kv_arena *arena, const char *where,
                         char *member, kv_error *err)
{
    if (kv_json_kind(v) != KV_JARR) return wrong(where, kv_sv_of(f->key), "array", err);
    size_t size = f->sub ? f->sub->size : sizeof(kv_sv);
    any_list list = {.n = kv_json_len(v)};
    if (list.n) {
        list.items = kv_arena_alloc(arena, list.n, size);
        if (!list.items)
            return kv_fail(err, KV_E_NOMEM, "%s%s%s: list is too long", where, *where ? "." : "",
                           f->key);
    }
    kv_jiter it = kv_json_iter(v);
    char *at = list.items;
    for (size_t i = 0; i < list.n; i++, at += size) {
        const kv_json *item = kv_json_next(&it, NULL);
        char here[256];
        snprintf(here, sizeof(here), "%s%s%s[%zu]", where, *where ? "." : "", f->key, i);
        if (f->sub) {
            KV_TRY(kv_json_bind(item, f->sub, arena, here, at, err));
            continue;
        }
        if (kv_json_kind(item) != KV_JSTR) return wrong(here, (kv_sv){"", 0}, "string", err);
        kv_sv s = kv_json_str(item);
        memcpy(at, &s, sizeof(s));
    }
    memcpy(member, &list, sizeof(list));
    return KV_OK;
}

static kv_code bind_field(const kv_json *v, const kv_jfield *f, kv_arena *arena, const char *where,
                          char *member, kv_error *err)
{
    kv_sv key = kv_sv_of(f->key);
    kv_jkind kind = kv_json_kind(v);
    switch (f->kind) {
    case 's': {
        if (kind != KV_JSTR) return wrong(where, key, "string", err);
        kv_sv s = kv_json_str(v);
        memcpy(member, &s, sizeof(s));
        return KV_OK;
    }
    case 'i': {
        int64_t i;
        if (!kv_json_i64(v, &i)) return wrong(where, key, "integer", err);
        memcpy(member, &i, sizeof(i));
        return KV_OK;
    }
    case 'u': {
        uint64_t u;
        if (!kv_json_u64(v, &u)) return wrong(where, key, "integer, not negative", err);
        memcpy(member, &u, sizeof(u));
        return KV_OK;
    }
    case 'b': {
        if (kind != KV_JBOOL) return wrong(where, key, "true or false", err);
        bool b = kv_json_bool(v);
        memcpy(member, &b, sizeof(b));
        return KV_OK;
    }
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): the pointer itself is the value */
    case 'v': memcpy(member, &v, sizeof(v)); return KV_OK;
    case 'o': {
        char here[256];
        snprintf(here, sizeof(here), "%s%s%s", where, *where ? "." : "", f->key);
        return kv_json_bind(v, f->sub, arena, here, member, err);
    }
    default: return bind_list(v, f, arena, where, member, err);
    }
}

static const kv_jfield *find_field(const kv_jtable *t, kv_sv key)
{
    for (size_t i = 0; i < t->n; i++)
        if (kv_sv_is(key, t->fields[i].key)) return &t->fields[i];
    return NULL;
}

kv_code kv_json_bind(const kv_json *obj, const kv_jtable *t, kv_arena *arena, const char *where,
                     void *out, kv_error *err)
{
    memset(out, 0, t->size);
    if (kv_json_kind(obj) != KV_JOBJ)
        return kv_fail(err, KV_E_INVALID, "%s: expected object", *where ? where : "document");
    kv_jiter it = kv_json_iter(obj);
    kv_sv key = {0};
    for (const kv_json *v; (v = kv_json_next(&it, &key));) {
        const kv_jfield *f = find_field(t, key);
        if (!f && t->strict)
            return kv_fail(err, KV_E_INVALID, "%s%s%.*s: unknown field", where, *where ? "." : "",
                           KV_ARG(kv_sv_sub(key, 0, 64)));
        if (!f || kv_json_kind(v) == KV_JNULL) continue;
        KV_TRY(bind_field(v, f, arena, where, (char *)out + f->off, err));
    }
    for (size_t i = 0; i < t->n; i++) {
        if (!t->fields[i].required) continue;
        kv_jkind kind = kv_json_kind(kv_json_get(obj, t->fields[i].key));
        if (kind == KV_JNONE || kind == KV_JNULL)
            return kv_fail(err, KV_E_INVALID, "%s%s%s: missing", where, *where ? "." : "",
                           t->fields[i].key);
    }
    return KV_OK;
}

#include "json/value.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int by_key(const void *a, const void *b)
{
    return kv_sv_cmp(((const kv_member *)a)->key, ((const kv_member *)b)->key);
}

static kv_code map(kv_jout *j, const kv_value *v, kv_error *err)
{
    if (v->mixed_keys)
        return kv_fail(err, KV_E_INVALID, "json: unsupported type: map[interface {}]interface {}");
    kv_member *sorted = calloc(v->n ? v->n : 1, sizeof(*sorted));
    if (!sorted) return kv_fail(err, KV_E_NOMEM, "out of memory");
    if (v->n) memcpy(sorted, v->members, v->n * sizeof(*sorted));
    qsort(sorted, v->n, sizeof(*sorted), by_key);

    kv_code rc = KV_OK;
    kv_jout_obj(j);
    for (size_t i = 0; i < v->n && rc == KV_OK; i++) {
        kv_jout_key(j, sorted[i].key);
        rc = kv_jout_tree(j, sorted[i].value, err);
    }
    kv_jout_end_obj(j);
    free(sorted);
    return rc;
}

static kv_code list(kv_jout *j, const kv_value *v, kv_error *err)
{
    kv_jout_arr(j);
    for (size_t i = 0; i < v->n; i++) KV_TRY(kv_jout_tree(j, v->items[i], err));
    kv_jout_end_arr(j);
    return KV_OK;
}

static kv_code floating(kv_jout *j, double d, kv_error *err)
{
    if (isnan(d)) return kv_fail(err, KV_E_INVALID, "json: unsupported value: NaN");
    if (isinf(d))
        return kv_fail(err, KV_E_INVALID, "json: unsupported value: %s", d < 0 ? "-Inf" : "+Inf");
    if (d == 0 && signbit(d) && j->profile == KV_JSON_GO)
        kv_jout_raw(j, KV_SV("-0"));
    else
        kv_jout_double(j, d);
    return KV_OK;
}

kv_code kv_jout_tree(kv_jout *j, const kv_value *v, kv_error *err)
{
    switch (v->kind) {
    case KV_VNULL: kv_jout_null(j); return KV_OK;
    case KV_VBOOL: kv_jout_bool(j, v->b); return KV_OK;
    case KV_VINT: kv_jout_i64(j, v->i); return KV_OK;
    case KV_VUINT: kv_jout_u64(j, v->u); return KV_OK;
    case KV_VDOUBLE: return floating(j, v->d, err);
    case KV_VSTRING: kv_jout_str(j, v->s); return KV_OK;
    case KV_VLIST: return list(j, v, err);
    case KV_VMAP: return map(j, v, err);
    }
    return kv_fail(err, KV_E_INTERNAL, "value of unknown kind");
}

/* --- from JSON --- */

static kv_code no_room(kv_error *err)
{
    return kv_fail(err, KV_E_LIMIT, "value needs too much memory");
}

static kv_code number(const kv_json *v, kv_value *out, kv_error *err)
{
    kv_sv text = kv_json_num_text(v);
    if (kv_json_i64(v, &out->i) && !kv_sv_is(text, "-0")) {
        out->kind = KV_VINT;
    } else if (kv_json_u64(v, &out->u)) {
        out->kind = KV_VUINT;
    } else {
        out->kind = KV_VDOUBLE;
        if (!kv_sv_to_double(text, &out->d))
            return kv_fail(err, KV_E_LIMIT, "number %.*s is too large",
                           (int)(text.n < 40 ? text.n : 40), text.p);
    }
    return KV_OK;
}

static kv_code object(const kv_json *v, kv_arena *arena, kv_value *out, kv_error *err)
{
    out->kind = KV_VMAP;
    size_t n = kv_json_len(v);
    kv_member *members = KV_NEW(arena, kv_member, n);
    if (!members) return no_room(err);
    kv_jiter it = kv_json_iter(v);
    kv_sv key;
    for (const kv_json *item; out->n < n && (item = kv_json_next(&it, &key)); out->n++) {
        kv_member *m = &members[out->n];
        m->key = kv_arena_dup(arena, key);
        if (!m->key.p) return no_room(err);
        KV_TRY(kv_value_from_json(item, arena, &m->value, err));
    }
    out->members = members;
    return KV_OK;
}

static kv_code array(const kv_json *v, kv_arena *arena, kv_value *out, kv_error *err)
{
    out->kind = KV_VLIST;
    size_t n = kv_json_len(v);
    const kv_value **items = KV_NEW(arena, const kv_value *, n);
    if (!items) return no_room(err);
    kv_jiter it = kv_json_iter(v);
    for (const kv_json *item; out->n < n && (item = kv_json_next(&it, NULL)); out->n++)
        KV_TRY(kv_value_from_json(item, arena, &items[out->n], err));
    out->items = items;
    return KV_OK;
}

kv_code kv_value_from_json(const kv_json *v, kv_arena *arena, const kv_value **out, kv_error *err)
{
    kv_value *value = KV_NEW(arena, kv_value, 1);
    if (!value) return no_room(err);
    *out = value;
    switch (kv_json_kind(v)) {
    case KV_JNONE:
    case KV_JNULL: value->kind = KV_VNULL; return KV_OK;
    case KV_JBOOL:
        value->kind = KV_VBOOL;
        value->b = kv_json_bool(v);
        return KV_OK;
    case KV_JNUM: return number(v, value, err);
    case KV_JSTR:
        value->kind = KV_VSTRING;
        value->s = kv_arena_dup(arena, kv_json_str(v));
        return value->s.p ? KV_OK : no_room(err);
    case KV_JARR: return array(v, arena, value, err);
    case KV_JOBJ: return object(v, arena, value, err);
    }
    return kv_fail(err, KV_E_INTERNAL, "JSON value of unknown kind");
}

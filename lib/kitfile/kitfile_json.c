/* A Kitfile as the JSON of a config blob. Source: kit-compat 1.4. */
#include <stdlib.h>

#include "kitfile/kitfile_out.h"
#include "kitfile/schema.h"
#include "json/json.h"
#include "json/value.h"

/* --- reading --- */

typedef struct from { /* where a value stands, for errors */
    const struct from *up;
    const char *key;
    size_t index;
} from;

typedef struct reader {
    kv_arena *arena;
    kv_error *err;
} reader;

static void add_path(const from *at, kv_buf *out)
{
    if (!at) return;
    add_path(at->up, out);
    if (at->key)
        kv_buf_addf(out, out->n ? ".%s" : "%s", at->key);
    else
        kv_buf_addf(out, "[%zu]", at->index);
}

static kv_code expected(const reader *r, const from *at, const char *what)
{
    kv_auto_buf path = KV_BUF(512);
    add_path(at, &path);
    return kv_fail(r->err, KV_E_INVALID, "%s: expected %s", path.p ? path.p : "Kitfile", what);
}

static kv_code no_memory(const reader *r)
{
    return kv_fail(r->err, KV_E_LIMIT, "Kitfile needs too much memory");
}

static kv_code read_struct(const reader *r, const kv_json *v, const kf_type *t, const from *at,
                           void *p);

static kv_code read_string(const reader *r, const kv_json *v, const from *at, kv_sv *out)
{
    if (kv_json_kind(v) == KV_JNULL) return KV_OK;
    if (kv_json_kind(v) != KV_JSTR) return expected(r, at, "string");
    *out = kv_arena_dup(r->arena, kv_json_str(v));
    return out->p ? KV_OK : no_memory(r);
}

static kv_code read_digest(const reader *r, const kv_json *v, const from *at, kv_digest *out)
{
    kv_sv text = kv_json_str(v);
    if (kv_json_kind(v) == KV_JNULL || (kv_json_kind(v) == KV_JSTR && text.n == 0)) return KV_OK;
    if (kv_json_kind(v) != KV_JSTR || kv_digest_parse(text, out, NULL) != KV_OK)
        return expected(r, at, "digest");
    return KV_OK;
}

static kv_code read_strings(const reader *r, const kv_json *v, const from *at,
                            kv_kitfile_strings *out)
{
    out->items = KV_NEW(r->arena, kv_sv, kv_json_len(v));
    if (!out->items) return no_memory(r);
    kv_jiter it = kv_json_iter(v);
    for (const kv_json *item; (item = kv_json_next(&it, NULL)); out->n++) {
        out->items[out->n] = KV_SV("");
        KV_TRY(read_string(r, item, &(from){.up = at, .index = out->n}, &out->items[out->n]));
    }
    return KV_OK;
}

static kv_code read_list(const reader *r, const kv_json *v, const kf_type *t, const from *at,
                         kv_kitfile_entries *out)
{
    out->items = KV_NEW(r->arena, kv_kitfile_entry, kv_json_len(v));
    if (!out->items) return no_memory(r);
    kv_jiter it = kv_json_iter(v);
    for (const kv_json *item; (item = kv_json_next(&it, NULL)); out->n++)
        KV_TRY(read_struct(r, item, t, &(from){.up = at, .index = out->n}, &out->items[out->n]));
    return KV_OK;
}

static kv_code read_model(const reader *r, const kv_json *v, const kf_type *t, const from *at,
                          kv_kitfile_model **out)
{
    *out = KV_NEW(r->arena, kv_kitfile_model, 1);
    return *out ? read_struct(r, v, t, at, *out) : no_memory(r);
}

static kv_code read_field(const reader *r, const kv_json *v, const kf_field *f, const from *at,
                          void *p)
{
    bool list = f->kind == KF_LIST || f->kind == KF_STRINGS;
    if (kv_json_kind(v) == KV_JNULL) return KV_OK;
    if (list && kv_json_kind(v) != KV_JARR) return expected(r, at, "list");
    switch (f->kind) {
    case KF_STRING: return read_string(r, v, at, KF_AT(kv_sv, p, f));
    case KF_STRINGS: return read_strings(r, v, at, KF_AT(kv_kitfile_strings, p, f));
    case KF_VALUE: return kv_value_from_json(v, r->arena, KF_AT(const kv_value *, p, f), r->err);
    case KF_DIGEST: return read_digest(r, v, at, KF_AT(kv_digest, p, f));
    case KF_STRUCT: return read_struct(r, v, f->sub, at, KF_AT(char, p, f));
    case KF_POINTER: return read_model(r, v, f->sub, at, KF_AT(kv_kitfile_model *, p, f));
    case KF_LIST: return read_list(r, v, f->sub, at, KF_AT(kv_kitfile_entries, p, f));
    }
    return KV_OK;
}

static kv_code read_struct(const reader *r, const kv_json *v, const kf_type *t, const from *at,
                           void *p)
{
    if (kv_json_kind(v) == KV_JNULL) return KV_OK;
    if (kv_json_kind(v) != KV_JOBJ) return expected(r, at, "object");
    for (size_t i = 0; i < t->n; i++) {
        const kf_field *f = &t->fields[i];
        const kv_json *item = kv_json_get(v, f->key);
        if (item) KV_TRY(read_field(r, item, f, &(from){.up = at, .key = f->key}, p));
    }
    return KV_OK;
}

kv_code kv_kitfile_parse_json(kv_sv text, kv_kitfile **out, kv_error *err)
{
    if (text.n > KV_KITFILE_BYTES_MAX)
        return kv_fail(err, KV_E_LIMIT, "Kitfile is larger than %u bytes", KV_KITFILE_BYTES_MAX);
    kv_auto(kv_jdoc) doc = NULL;
    KV_TRY(kv_jdoc_parse(text, &doc, err));
    kv_auto(kv_kitfile) kf = kv_kitfile_new();
    if (!kf) return kv_fail(err, KV_E_NOMEM, "out of memory");
    reader r = {kf->arena, err};
    KV_TRY(read_struct(&r, kv_jdoc_root(doc), &kf_kitfile, NULL, kf));
    *out = KV_TAKE(kf);
    return KV_OK;
}

/* --- writing --- */

static kv_code write_struct(kv_jout *j, const kf_type *t, const void *p, kv_error *err);

static kv_code write_list(kv_jout *j, const kf_type *t, const kv_kitfile_entries *l, kv_error *err)
{
    kv_jout_arr(j);
    for (size_t i = 0; i < l->n; i++) KV_TRY(write_struct(j, t, &l->items[i], err));
    kv_jout_end_arr(j);
    return KV_OK;
}

static void write_strings(kv_jout *j, const kv_kitfile_strings *l)
{
    kv_jout_arr(j);
    for (size_t i = 0; i < l->n; i++) kv_jout_str(j, l->items[i]);
    kv_jout_end_arr(j);
}

static kv_code write_field(kv_jout *j, const kf_field *f, const void *p, kv_error *err)
{
    switch (f->kind) {
    case KF_STRING: kv_jout_str(j, *KF_GET(kv_sv, p, f)); break;
    case KF_STRINGS: write_strings(j, KF_GET(kv_kitfile_strings, p, f)); break;
    case KF_DIGEST: kv_jout_str(j, kv_sv_of(kv_digest_str(KF_GET(kv_digest, p, f)).s)); break;
    case KF_VALUE: return kv_jout_tree(j, *KF_GET(const kv_value *, p, f), err);
    case KF_STRUCT: return write_struct(j, f->sub, KF_GET(char, p, f), err);
    case KF_POINTER: return write_struct(j, f->sub, *KF_GET(const kv_kitfile_model *, p, f), err);
    case KF_LIST: return write_list(j, f->sub, KF_GET(kv_kitfile_entries, p, f), err);
    }
    return KV_OK;
}

static kv_code write_struct(kv_jout *j, const kf_type *t, const void *p, kv_error *err)
{
    kv_jout_obj(j);
    for (size_t i = 0; i < t->n; i++) {
        const kf_field *f = &t->fields[i];
        if (kf_is_empty(f, p) && !f->keep_json) continue;
        kv_jout_key(j, kv_sv_of(f->key));
        KV_TRY(write_field(j, f, p, err));
    }
    kv_jout_end_obj(j);
    return KV_OK;
}

kv_code kv_kitfile_format_json(const kv_kitfile *kf, char **out, size_t *out_n, kv_error *err)
{
    kv_auto_buf b = KV_BUF(KF_TEXT_MAX);
    kv_jout j = kv_jout_make(&b, KV_JSON_GO, 0);
    KV_TRY(write_struct(&j, &kf_kitfile, kf, err));
    return kf_take(&b, out, out_n, err);
}

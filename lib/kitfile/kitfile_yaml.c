/* A Kitfile as YAML. Source: kit-compat 1.1 and 1.5. */
#include <stdlib.h>

#include "kitfile/kitfile_out.h"
#include "kitfile/schema.h"
#include "yaml/yaml.h"
#include "yaml/yout.h"

/* --- reading --- */

static void read_field(kv_ydec *d, kv_ynode *n, const kf_field *f, void *p);

static const char *type_name(const kf_field *f)
{
    switch (f->kind) {
    case KF_STRINGS: return "[]string";
    case KF_LIST: return f->sub->list_name;
    case KF_STRUCT:
    case KF_POINTER: return f->sub->name;
    case KF_STRING:
    case KF_VALUE:
    case KF_DIGEST: break;
    }
    return "string";
}

static void no_memory(kv_ydec *d)
{
    kv_ydec_fail(d, KV_E_LIMIT, "yaml: document needs too much memory");
}

/* One struct being filled from a map and the maps merged into it. */
typedef struct filling {
    const kf_type *type;
    void *p;
    uint64_t done; /* fields that are set: the first one wins */
    bool merged;   /* the pairs are those of a "<<" */
} filling;

static void read_pairs(filling *fill, kv_ydec *d, kv_ynode *map);

static void read_merged(void *ctx, kv_ydec *d, kv_ynode *map)
{
    filling *fill = ctx;
    kv_yvisit visit;
    fill->merged = true;
    if (kv_ydec_enter(d, &map, &visit) && kv_ydec_unique_keys(d, map)) read_pairs(fill, d, map);
    kv_ydec_leave(d, &visit);
}

static bool read_key(kv_ydec *d, kv_ynode *key, kv_sv *out)
{
    kv_yvisit visit;
    bool ok = kv_ydec_enter(d, &key, &visit);
    if (ok && key->kind == KV_YSCALAR) {
        ok = kv_ydec_text(d, key, out);
    } else if (ok) {
        kv_ydec_mismatch(d, key, "string");
        ok = false;
    }
    kv_ydec_leave(d, &visit);
    return ok;
}

static void read_pair(filling *fill, kv_ydec *d, kv_ynode *key, kv_ynode *value)
{
    kv_sv name;
    if (!read_key(d, key, &name)) return;
    const kf_field *f = kf_find(fill->type, name, false);
    if (!f || f->kind == KF_DIGEST) {
        kv_ydec_problem(d, key->line, "field %.*s not found in type %s",
                        (int)(name.n < 200 ? name.n : 200), name.p, fill->type->name);
        return;
    }
    uint64_t bit = UINT64_C(1) << (f - fill->type->fields);
    if (fill->done & bit) { /* by way of an alias; plain repeats were found before */
        if (!fill->merged)
            kv_ydec_problem(d, key->line, "field %s already set in type %s", f->key,
                            fill->type->name);
        return;
    }
    fill->done |= bit;
    read_field(d, value, f, fill->p);
}

static void read_pairs(filling *fill, kv_ydec *d, kv_ynode *map)
{
    kv_ynode *merge = NULL;
    for (size_t i = 0; i < map->n && !d->fatal; i += 2) {
        if (kv_yaml_is_merge(map->items[i]))
            merge = map->items[i + 1];
        else
            read_pair(fill, d, map->items[i], map->items[i + 1]);
    }
    if (merge) kv_ydec_merges(d, merge, read_merged, fill);
}

static void read_struct(kv_ydec *d, kv_ynode *map, const kf_type *t, void *p)
{
    filling fill = {.type = t, .p = p};
    read_pairs(&fill, d, map);
}

static void read_strings(kv_ydec *d, const kv_ynode *seq, kv_kitfile_strings *out)
{
    static const kf_field ITEM = {.key = "", .kind = KF_STRING};
    out->items = KV_NEW(d->arena, kv_sv, seq->n);
    if (!out->items) no_memory(d);
    for (size_t i = 0; i < seq->n && !d->fatal; i++) {
        if (kv_yaml_is_null(seq->items[i])) continue; /* kit drops them */
        read_field(d, seq->items[i], &ITEM, &out->items[out->n++]);
    }
}

static void read_list(kv_ydec *d, const kv_ynode *seq, const kf_type *t, kv_kitfile_entries *out)
{
    const kf_field item = {.key = "", .kind = KF_STRUCT, .sub = t};
    out->items = KV_NEW(d->arena, kv_kitfile_entry, seq->n);
    if (!out->items) no_memory(d);
    for (size_t i = 0; i < seq->n && !d->fatal; i++) {
        if (kv_yaml_is_null(seq->items[i])) continue;
        read_field(d, seq->items[i], &item, &out->items[out->n++]);
    }
}

static void read_scalar(kv_ydec *d, const kv_ynode *n, const kf_field *f, void *p)
{
    kv_sv text;
    if (!kv_ydec_text(d, n, &text)) return; /* null leaves everything as it is */
    if (f->kind == KF_STRING)
        *KF_AT(kv_sv, p, f) = text;
    else
        kv_ydec_mismatch(d, n, type_name(f));
}

static void read_map(kv_ydec *d, kv_ynode *n, const kf_field *f, void *p)
{
    if (!kv_ydec_unique_keys(d, n)) return;
    if (f->kind == KF_STRUCT) {
        read_struct(d, n, f->sub, KF_AT(char, p, f));
    } else if (f->kind == KF_POINTER) {
        kv_kitfile_model *m = KV_NEW(d->arena, kv_kitfile_model, 1);
        *KF_AT(kv_kitfile_model *, p, f) = m;
        if (m)
            read_struct(d, n, f->sub, m);
        else
            no_memory(d);
    } else {
        kv_ydec_mismatch(d, n, type_name(f));
    }
}

static void read_node(kv_ydec *d, kv_ynode *n, const kf_field *f, void *p)
{
    if (n->kind == KV_YSCALAR)
        read_scalar(d, n, f, p);
    else if (n->kind == KV_YMAP)
        read_map(d, n, f, p);
    else if (f->kind == KF_STRINGS)
        read_strings(d, n, KF_AT(kv_kitfile_strings, p, f));
    else if (f->kind == KF_LIST)
        read_list(d, n, f->sub, KF_AT(kv_kitfile_entries, p, f));
    else
        kv_ydec_mismatch(d, n, type_name(f));
}

static void read_field(kv_ydec *d, kv_ynode *n, const kf_field *f, void *p)
{
    if (f->kind == KF_VALUE) {
        const kv_value *v = kv_ydec_value(d, n);
        if (v && v->kind != KV_VNULL) *KF_AT(const kv_value *, p, f) = v;
        return;
    }
    kv_yvisit visit;
    if (kv_ydec_enter(d, &n, &visit)) read_node(d, n, f, p);
    kv_ydec_leave(d, &visit);
}

kv_code kv_kitfile_parse_yaml(kv_sv text, kv_kitfile **out, kv_error *err)
{
    static const kf_field ROOT = {.key = "", .kind = KF_STRUCT, .sub = &kf_kitfile};
    if (text.n > KV_KITFILE_BYTES_MAX)
        return kv_fail(err, KV_E_LIMIT, "Kitfile is larger than %u bytes", KV_KITFILE_BYTES_MAX);
    kv_auto(kv_ydoc) doc = NULL;
    KV_TRY(kv_ydoc_parse(text, KV_KITFILE_DEPTH_MAX, KF_NODES_MAX, &doc, err));
    kv_ynode *root = kv_ydoc_root(doc);
    if (!root) return kv_fail(err, KV_E_SYNTAX, "EOF");

    kv_auto(kv_kitfile) kf = kv_kitfile_new();
    if (!kf) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_ydec d = kv_ydec_make(kf->arena, KV_KITFILE_DEPTH_MAX, err);
    read_field(&d, root, &ROOT, kf);
    KV_TRY(kv_ydec_end(&d));
    *out = KV_TAKE(kf);
    return KV_OK;
}

/* --- writing --- */

static void write_struct(kv_yout *y, const kf_type *t, const void *p)
{
    kv_yout_map(y);
    for (size_t i = 0; i < t->n; i++) {
        const kf_field *f = &t->fields[i];
        if (f->kind == KF_DIGEST || (kf_is_empty(f, p) && !f->keep_yaml)) continue;
        kv_yout_key(y, kv_sv_of(f->key));
        kf_write_yaml(y, f, p, f->kind == KF_STRINGS);
    }
    kv_yout_end(y);
}

static void write_list(kv_yout *y, const kf_field *f, const kv_kitfile_entries *l)
{
    kv_yout_seq(y, false);
    for (size_t i = 0; i < l->n; i++) write_struct(y, f->sub, &l->items[i]);
    kv_yout_end(y);
}

static void write_strings(kv_yout *y, const kv_kitfile_strings *l, bool flow)
{
    kv_yout_seq(y, flow);
    for (size_t i = 0; i < l->n; i++) kv_yout_str(y, l->items[i]);
    kv_yout_end(y);
}

static void write_null(kv_yout *y)
{
    kv_yout_value(y, &(kv_value){.kind = KV_VNULL});
}

void kf_write_yaml(kv_yout *y, const kf_field *f, const void *p, bool flow)
{
    switch (f->kind) {
    case KF_STRING: kv_yout_str(y, *KF_GET(kv_sv, p, f)); return;
    case KF_STRINGS: write_strings(y, KF_GET(kv_kitfile_strings, p, f), flow); return;
    case KF_LIST: write_list(y, f, KF_GET(kv_kitfile_entries, p, f)); return;
    case KF_STRUCT: write_struct(y, f->sub, KF_GET(char, p, f)); return;
    case KF_DIGEST: {
        const kv_digest *d = KF_GET(kv_digest, p, f);
        kv_yout_str(y, d->alg ? kv_sv_of(kv_digest_str(d).s) : KV_SV(""));
        return;
    }
    case KF_VALUE: {
        const kv_value *v = *KF_GET(const kv_value *, p, f);
        if (v)
            kv_yout_value(y, v);
        else
            write_null(y);
        return;
    }
    case KF_POINTER: {
        const kv_kitfile_model *m = *KF_GET(const kv_kitfile_model *, p, f);
        if (m)
            write_struct(y, f->sub, m);
        else
            write_null(y);
        return;
    }
    }
}

kv_code kf_take(kv_buf *b, char **out, size_t *out_n, kv_error *err)
{
    KV_TRY(kv_buf_check(b, err));
    size_t n = b->n;
    char *text = kv_buf_take(b);
    if (!text) return kv_fail(err, KV_E_NOMEM, "out of memory");
    *out = text;
    *out_n = n;
    return KV_OK;
}

kv_code kv_kitfile_format_yaml(const kv_kitfile *kf, char **out, size_t *out_n, kv_error *err)
{
    kv_auto_buf b = KV_BUF(KF_TEXT_MAX);
    kv_yout y = kv_yout_make(&b);
    write_struct(&y, &kf_kitfile, kf);
    kv_yout_finish(&y);
    return kf_take(&b, out, out_n, err);
}

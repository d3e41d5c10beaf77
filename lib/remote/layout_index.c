#include "remote/layout_index.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kitvault/manifest.h"

typedef struct raw_entry {
    kv_sv media_type, artifact_type, digest;
    uint64_t size;
    const kv_json *annotations;
} raw_entry;
static const kv_jfield ENTRY_FIELDS[] = {
    KV_JFIELD(raw_entry, media_type, "mediaType", false),
    KV_JFIELD(raw_entry, artifact_type, "artifactType", false),
    KV_JFIELD(raw_entry, digest, "digest", true),
    KV_JFIELD(raw_entry, size, "size", true),
    KV_JFIELD(raw_entry, annotations, "annotations", false),
};
static const kv_jtable ENTRY = KV_JTABLE(raw_entry, ENTRY_FIELDS);

void kv_layout_index_clear(kv_layout_index *x)
{
    free(x->items);
    kv_jdoc_free(x->doc);
    *x = (kv_layout_index){0};
}

static kv_code append(kv_layout_index *x, const kv_layout_entry *e, kv_error *err)
{
    if (!KV_GROW(x->items, x->n, &x->cap)) return kv_fail(err, KV_E_NOMEM, "out of memory");
    x->items[x->n++] = *e;
    return KV_OK;
}

static kv_code add_raw(kv_layout_index *x, const kv_json *v, const char *where, size_t i,
                       kv_error *err)
{
    char path[64];
    snprintf(path, sizeof(path), "manifests[%zu]", i);
    raw_entry r;
    kv_code rc = kv_json_bind(v, &ENTRY, NULL, path, &r, err);
    if (rc != KV_OK) return kv_wrap(err, rc, "%s", where);
    kv_layout_entry e = {.tag = kv_json_str(kv_json_get(r.annotations, KV_ANN_REF_NAME)),
                         .media_type = r.media_type,
                         .artifact_type = r.artifact_type,
                         .size = r.size,
                         .raw = v};
    rc = kv_digest_parse(r.digest, &e.digest, err);
    /* A digest of another algorithm is somebody else's: kept in the file, never found. */
    if (rc != KV_OK && rc != KV_E_UNSUPPORTED) return kv_wrap(err, rc, "%s: %s", where, path);
    return append(x, &e, err);
}

static kv_code parse(kv_sv text, const char *where, kv_layout_index *out, kv_error *err)
{
    *out = (kv_layout_index){0};
    kv_code rc = kv_jdoc_parse(text, &out->doc, err);
    if (rc != KV_OK) return kv_wrap(err, rc, "%s", where);
    const kv_json *root = kv_jdoc_root(out->doc);
    if (kv_json_kind(root) != KV_JOBJ)
        return kv_fail(err, KV_E_INVALID, "%s: expected an object", where);
    const kv_json *list = kv_json_get(root, "manifests");
    kv_jkind kind = kv_json_kind(list);
    if (kind != KV_JARR && kind != KV_JNULL && kind != KV_JNONE)
        return kv_fail(err, KV_E_INVALID, "%s: manifests: expected a list", where);
    if (kv_json_len(list) > KV_MANIFEST_ENTRIES_MAX)
        return kv_fail(err, KV_E_LIMIT, "%s: more than %u manifests", where,
                       KV_MANIFEST_ENTRIES_MAX);
    kv_jiter it = kv_json_iter(list);
    for (const kv_json *v; (v = kv_json_next(&it, NULL));)
        KV_TRY(add_raw(out, v, where, out->n, err));
    return KV_OK;
}

kv_code kv_layout_index_parse(kv_sv text, const char *where, kv_layout_index *out, kv_error *err)
{
    kv_code rc = parse(text, where, out, err);
    if (rc != KV_OK) kv_layout_index_clear(out);
    return rc;
}

/* --- writing --- */

static bool is_ref_name(kv_sv key)
{
    return kv_sv_is(key, KV_ANN_REF_NAME);
}

static void add_annotations(kv_jout *j, const kv_layout_entry *e)
{
    const kv_json *old = kv_json_get(e->raw, "annotations");
    kv_jiter it = kv_json_iter(old);
    size_t kept = 0;
    kv_sv key;
    while (kv_json_next(&it, &key)) kept += !is_ref_name(key);
    if (!kept && !e->tag.n) return;
    kv_jout_key(j, KV_SV("annotations"));
    kv_jout_obj(j);
    it = kv_json_iter(old);
    for (const kv_json *v; (v = kv_json_next(&it, &key));) {
        if (is_ref_name(key)) continue;
        kv_jout_key(j, key);
        kv_jout_value(j, v);
    }
    if (e->tag.n) kv_jout_kstr(j, KV_ANN_REF_NAME, e->tag);
    kv_jout_end_obj(j);
}

static void add_entry(kv_jout *j, const kv_layout_entry *e)
{
    kv_jout_obj(j);
    if (e->raw) {
        kv_jiter it = kv_json_iter(e->raw);
        kv_sv key;
        for (const kv_json *v; (v = kv_json_next(&it, &key));) {
            if (kv_sv_is(key, "annotations")) continue;
            kv_jout_key(j, key);
            kv_jout_value(j, v);
        }
    } else {
        kv_jout_kstr(j, "mediaType", e->media_type);
        kv_jout_kstr(j, "digest", kv_sv_of(kv_digest_str(&e->digest).s));
        kv_jout_ku64(j, "size", e->size);
        if (e->artifact_type.n) kv_jout_kstr(j, "artifactType", e->artifact_type);
    }
    add_annotations(j, e);
    kv_jout_end_obj(j);
}

void kv_layout_index_format(const kv_layout_index *x, kv_buf *out)
{
    kv_jout j = kv_jout_make(out, KV_JSON_GO, 0);
    kv_jout_obj(&j);
    kv_jout_ku64(&j, "schemaVersion", 2);
    kv_jout_kstr(&j, "mediaType", KV_SV(KV_MT_IMAGE_INDEX));
    kv_jout_key(&j, KV_SV("manifests"));
    kv_jout_arr(&j);
    for (size_t i = 0; i < x->n; i++) add_entry(&j, &x->items[i]);
    kv_jout_end_arr(&j);
    kv_jiter it = kv_json_iter(x->doc ? kv_jdoc_root(x->doc) : NULL);
    kv_sv key;
    for (const kv_json *v; (v = kv_json_next(&it, &key));) {
        if (kv_sv_is(key, "schemaVersion") || kv_sv_is(key, "mediaType") ||
            kv_sv_is(key, "manifests"))
            continue;
        kv_jout_key(&j, key);
        kv_jout_value(&j, v);
    }
    kv_jout_end_obj(&j);
}

/* --- finding and changing --- */

const kv_layout_entry *kv_layout_find_tag(const kv_layout_index *x, kv_sv tag)
{
    for (size_t i = 0; tag.n && i < x->n; i++)
        if (x->items[i].digest.alg && kv_sv_eq(x->items[i].tag, tag)) return &x->items[i];
    return NULL;
}

const kv_layout_entry *kv_layout_find_digest(const kv_layout_index *x, const kv_digest *d)
{
    for (size_t i = 0; i < x->n; i++)
        if (kv_digest_eq(&x->items[i].digest, d)) return &x->items[i];
    return NULL;
}

static void drop(kv_layout_index *x, size_t i)
{
    memmove(x->items + i, x->items + i + 1, (x->n - i - 1) * sizeof(x->items[0]));
    x->n--;
}

/* The manifest that has the tag loses it, and its entry too if it has others. */
static void untag(kv_layout_index *x, kv_sv tag)
{
    for (size_t i = 0; i < x->n; i++) {
        if (!kv_sv_eq(x->items[i].tag, tag)) continue;
        size_t same = 0;
        for (size_t k = 0; k < x->n; k++)
            same += kv_digest_eq(&x->items[k].digest, &x->items[i].digest);
        if (same > 1 && x->items[i].digest.alg)
            drop(x, i--);
        else
            x->items[i].tag = (kv_sv){0};
    }
}

kv_code kv_layout_index_put(kv_layout_index *x, const kv_layout_entry *e, kv_error *err)
{
    const kv_layout_entry *at = e->tag.n ? kv_layout_find_tag(x, e->tag) : NULL;
    if (at && kv_digest_eq(&at->digest, &e->digest)) return KV_OK;
    if (!e->tag.n) return kv_layout_find_digest(x, &e->digest) ? KV_OK : append(x, e, err);
    untag(x, e->tag);
    for (size_t i = 0; i < x->n; i++)
        if (!x->items[i].tag.n && kv_digest_eq(&x->items[i].digest, &e->digest)) {
            x->items[i].tag = e->tag;
            return KV_OK;
        }
    return append(x, e, err);
}

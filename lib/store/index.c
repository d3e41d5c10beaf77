#include "store/index.h"

#include <stdlib.h>
#include <string.h>

#include "codec/text.h"
#include "kitvault/manifest.h"

typedef struct raw_entry {
    kv_sv media_type, digest;
    uint64_t size;
} raw_entry;
static const kv_jfield ENTRY_FIELDS[] = {
    KV_JFIELD(raw_entry, media_type, "mediaType", false),
    KV_JFIELD(raw_entry, digest, "digest", true),
    KV_JFIELD(raw_entry, size, "size", true),
};
static const kv_jtable ENTRY = KV_JTABLE(raw_entry, ENTRY_FIELDS);

void kv_store_list_clear(kv_store_list *l)
{
    free(l->items);
    kv_jdoc_free(l->doc);
    *l = (kv_store_list){0};
}

static kv_code append(kv_store_list *l, const kv_store_entry *e, kv_error *err)
{
    if (!KV_GROW(l->items, l->n, &l->cap)) return kv_fail(err, KV_E_NOMEM, "out of memory");
    l->items[l->n++] = *e;
    return KV_OK;
}

static kv_code add_raw(kv_store_list *l, kv_sv tag, const kv_json *v, const char *where,
                       kv_error *err)
{
    raw_entry r;
    KV_TRY(kv_json_bind(v, &ENTRY, NULL, where, &r, err));
    kv_store_entry e = {.tag = tag, .media_type = r.media_type, .size = r.size, .raw = v};
    kv_code rc = kv_digest_parse(r.digest, &e.digest, err);
    /* A digest of another algorithm is somebody else's: kept in the file, never found. */
    if (rc != KV_OK && rc != KV_E_UNSUPPORTED) return kv_wrap(err, rc, "%s", where);
    return append(l, &e, err);
}

static kv_code parse(kv_sv text, const char *where, kv_store_list *out, kv_error *err)
{
    *out = (kv_store_list){0};
    kv_code rc = kv_jdoc_parse(text, &out->doc, err);
    if (rc != KV_OK) return kv_wrap(err, rc, "%s", where);
    if (kv_json_kind(kv_jdoc_root(out->doc)) != KV_JOBJ)
        return kv_fail(err, KV_E_INVALID, "%s: expected an object", where);
    return KV_OK;
}

static kv_code parse_index(kv_sv text, const char *where, kv_store_list *out, kv_error *err)
{
    KV_TRY(parse(text, where, out, err));
    const kv_json *list = kv_json_get(kv_jdoc_root(out->doc), "manifests");
    kv_jkind kind = kv_json_kind(list);
    if (kind != KV_JARR && kind != KV_JNULL && kind != KV_JNONE)
        return kv_fail(err, KV_E_INVALID, "%s: manifests: expected a list", where);
    kv_jiter it = kv_json_iter(list);
    for (const kv_json *v; (v = kv_json_next(&it, NULL));)
        KV_TRY(add_raw(out, (kv_sv){0}, v, where, err));
    return KV_OK;
}

kv_code kv_store_index_parse(kv_sv text, const char *where, kv_store_list *out, kv_error *err)
{
    kv_code rc = parse_index(text, where, out, err);
    if (rc != KV_OK) kv_store_list_clear(out);
    return rc;
}

static kv_code parse_tags(kv_sv text, const char *where, kv_store_list *out, kv_error *err)
{
    KV_TRY(parse(text, where, out, err));
    kv_jiter it = kv_json_iter(kv_jdoc_root(out->doc));
    kv_sv tag;
    for (const kv_json *v; (v = kv_json_next(&it, &tag));) KV_TRY(add_raw(out, tag, v, where, err));
    return KV_OK;
}

kv_code kv_store_tags_parse(kv_sv text, const char *where, kv_store_list *out, kv_error *err)
{
    kv_code rc = parse_tags(text, where, out, err);
    if (rc != KV_OK) kv_store_list_clear(out);
    return rc;
}

static void add_entry(kv_jout *j, const kv_store_entry *e)
{
    if (e->raw) {
        kv_jout_value(j, e->raw);
        return;
    }
    kv_jout_obj(j);
    kv_jout_kstr(j, "mediaType", e->media_type);
    kv_jout_kstr(j, "digest", kv_sv_of(kv_digest_str(&e->digest).s));
    kv_jout_ku64(j, "size", e->size);
    kv_jout_end_obj(j);
}

void kv_store_index_format(const kv_store_list *l, bool shared, kv_buf *out)
{
    kv_jout j = kv_jout_make(out, KV_JSON_GO, 0);
    kv_jout_obj(&j);
    kv_jout_ku64(&j, "schemaVersion", 2);
    if (shared) kv_jout_kstr(&j, "mediaType", KV_SV(KV_MT_IMAGE_INDEX));
    kv_jout_key(&j, KV_SV("manifests"));
    kv_jout_arr(&j);
    for (size_t i = 0; i < l->n; i++) add_entry(&j, &l->items[i]);
    kv_jout_end_arr(&j);
    kv_jout_end_obj(&j);
}

static int by_tag(const void *a, const void *b)
{
    return kv_sv_cmp(((const kv_store_entry *)a)->tag, ((const kv_store_entry *)b)->tag);
}

void kv_store_tags_format(const kv_store_list *l, kv_buf *out)
{
    if (l->n) qsort(l->items, l->n, sizeof(l->items[0]), by_tag);
    kv_jout j = kv_jout_make(out, KV_JSON_GO, 0);
    kv_jout_obj(&j);
    for (size_t i = 0; i < l->n; i++) {
        kv_jout_key(&j, l->items[i].tag);
        add_entry(&j, &l->items[i]);
    }
    kv_jout_end_obj(&j);
}

kv_store_entry *kv_store_find_digest(const kv_store_list *l, const kv_digest *d)
{
    for (size_t i = 0; i < l->n; i++)
        if (kv_digest_eq(&l->items[i].digest, d)) return &l->items[i];
    return NULL;
}

kv_store_entry *kv_store_find_tag(const kv_store_list *l, kv_sv tag)
{
    for (size_t i = 0; i < l->n; i++)
        if (kv_sv_eq(l->items[i].tag, tag)) return &l->items[i];
    return NULL;
}

kv_code kv_store_list_put(kv_store_list *l, const kv_store_entry *e, kv_error *err)
{
    kv_store_entry *old = e->tag.p ? kv_store_find_tag(l, e->tag)
                                   : kv_store_find_digest(l, &e->digest);
    if (!old) return append(l, e, err);
    *old = *e;
    return KV_OK;
}

void kv_store_list_drop(kv_store_list *l, size_t i)
{
    memmove(l->items + i, l->items + i + 1, (l->n - i - 1) * sizeof(l->items[0]));
    l->n--;
}

void kv_store_name_encode(kv_sv registry, kv_sv repository, kv_buf *out)
{
    kv_auto_buf name = KV_BUF(1024);
    kv_buf_add(&name, registry);
    kv_buf_addc(&name, '/');
    kv_buf_add(&name, repository);
    if (name.failed) out->failed = name.failed;
    kv_base64url_add(out, kv_buf_sv(&name), true);
}

bool kv_store_name_decode(kv_sv file_name, kv_buf *out)
{
    if (!kv_sv_ends(file_name, KV_SV(KV_STORE_NAME_SUFFIX))) return false;
    kv_sv code = kv_sv_sub(file_name, 0, file_name.n - strlen(KV_STORE_NAME_SUFFIX));
    size_t start = out->n;
    if (kv_base64_parse(code, out, NULL) == KV_OK) {
        /* One spelling only: what we decode must be what we would write. */
        kv_sv name = kv_sv_from(kv_buf_sv(out), start), registry;
        kv_sv repository = kv_sv_cut(name, '/', &registry, NULL);
        kv_auto_buf again = KV_BUF(4096);
        kv_store_name_encode(registry, repository, &again);
        if (registry.n && repository.n && kv_sv_eq(kv_buf_sv(&again), code)) return true;
    }
    kv_buf_truncate(out, start);
    return false;
}

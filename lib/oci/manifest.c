#include "kitvault/manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "codec/hasher.h"
#include "json/json.h"

/* What a parsed manifest owns. The struct itself is the first allocation of the arena. */
struct kv_manifest_mem {
    kv_arena *arena;
    kv_jdoc *doc;
};

/* A descriptor as it stands in the document; digests are checked behind the table. */
typedef struct raw_descriptor {
    kv_sv media_type, digest, artifact_type;
    uint64_t size;
    KV_JLIST(kv_sv) urls;
    const kv_json *annotations;
} raw_descriptor;

static const kv_jfield DESCRIPTOR_FIELDS[] = {
    KV_JFIELD(raw_descriptor, media_type, "mediaType", true),
    KV_JFIELD(raw_descriptor, digest, "digest", true),
    KV_JFIELD(raw_descriptor, size, "size", true),
    KV_JFIELD(raw_descriptor, artifact_type, "artifactType", false),
    KV_JSTRINGS(raw_descriptor, urls, "urls", false),
    KV_JFIELD(raw_descriptor, annotations, "annotations", false),
};
static const kv_jtable DESCRIPTOR = KV_JTABLE(raw_descriptor, DESCRIPTOR_FIELDS);

typedef struct raw_manifest {
    int64_t schema_version;
    kv_sv media_type, artifact_type;
    const kv_json *config, *layers, *manifests, *subject, *annotations;
} raw_manifest;

static const kv_jfield MANIFEST_FIELDS[] = {
    KV_JFIELD(raw_manifest, schema_version, "schemaVersion", true),
    KV_JFIELD(raw_manifest, media_type, "mediaType", false),
    KV_JFIELD(raw_manifest, artifact_type, "artifactType", false),
    KV_JFIELD(raw_manifest, config, "config", false),
    KV_JFIELD(raw_manifest, layers, "layers", false),
    KV_JFIELD(raw_manifest, manifests, "manifests", false),
    KV_JFIELD(raw_manifest, subject, "subject", false),
    KV_JFIELD(raw_manifest, annotations, "annotations", false),
};
static const kv_jtable MANIFEST = KV_JTABLE(raw_manifest, MANIFEST_FIELDS);

kv_sv kv_annotation_get(const kv_annotations *a, const char *key)
{
    for (size_t i = 0; i < a->n; i++)
        if (kv_sv_is(a->items[i].key, key)) return a->items[i].value;
    return (kv_sv){0};
}

static kv_code parse_annotations(const kv_json *v, kv_arena *arena, const char *where,
                                 kv_annotations *out, kv_error *err)
{
    *out = (kv_annotations){0};
    if (!v) return KV_OK;
    if (kv_json_kind(v) != KV_JOBJ)
        return kv_fail(err, KV_E_INVALID, "%sannotations: expected object", where);
    size_t n = kv_json_len(v);
    if (n == 0) return KV_OK;
    out->items = KV_NEW(arena, kv_annotation, n);
    if (!out->items) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_jiter it = kv_json_iter(v);
    kv_annotation *a = out->items;
    for (const kv_json *item; (item = kv_json_next(&it, &a->key)); a++) {
        if (kv_json_kind(item) != KV_JSTR)
            return kv_fail(err, KV_E_INVALID, "%sannotations.%.*s: expected string", where,
                           KV_ARG(kv_sv_sub(a->key, 0, 128)));
        a->value = kv_json_str(item);
        if (++out->n == n) break;
    }
    return KV_OK;
}

static kv_code parse_descriptor(const kv_json *v, kv_arena *arena, const char *where,
                                kv_descriptor *out, kv_error *err)
{
    raw_descriptor raw;
    KV_TRY(kv_json_bind(v, &DESCRIPTOR, arena, where, &raw, err));
    if (raw.size > INT64_MAX)
        return kv_fail(err, KV_E_INVALID, "%s.size: expected at most 2^63-1", where);
    *out = (kv_descriptor){.media_type = raw.media_type,
                           .size = raw.size,
                           .artifact_type = raw.artifact_type,
                           .has_urls = raw.urls.n > 0};
    kv_code rc = kv_digest_parse(raw.digest, &out->digest, err);
    if (rc != KV_OK) return kv_wrap(err, rc, "%s.digest", where);
    char here[64];
    snprintf(here, sizeof(here), "%s.", where);
    return parse_annotations(raw.annotations, arena, here, &out->annotations, err);
}

static kv_code parse_list(const kv_json *v, kv_arena *arena, const char *name, kv_descriptor **out,
                          size_t *out_n, kv_error *err)
{
    *out = NULL;
    *out_n = 0;
    if (!v) return KV_OK;
    if (kv_json_kind(v) != KV_JARR) return kv_fail(err, KV_E_INVALID, "%s: expected array", name);
    size_t n = kv_json_len(v);
    if (n > KV_MANIFEST_ENTRIES_MAX)
        return kv_fail(err, KV_E_LIMIT, "%s: more than %u entries", name, KV_MANIFEST_ENTRIES_MAX);
    if (n == 0) return KV_OK;
    kv_descriptor *items = KV_NEW(arena, kv_descriptor, n);
    if (!items) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_jiter it = kv_json_iter(v);
    for (size_t i = 0; i < n; i++) {
        char where[48];
        snprintf(where, sizeof(where), "%s[%zu]", name, i);
        KV_TRY(parse_descriptor(kv_json_next(&it, NULL), arena, where, &items[i], err));
    }
    *out = items;
    *out_n = n;
    return KV_OK;
}

static const struct {
    kv_sv media_type;
    kv_manifest_kind kind;
} TYPES[] = {
    {KV_SV_INIT(KV_MT_IMAGE_MANIFEST), KV_MANIFEST_IMAGE},
    {KV_SV_INIT(KV_MT_IMAGE_INDEX), KV_MANIFEST_INDEX},
    {KV_SV_INIT(KV_MT_DOCKER_MANIFEST), KV_MANIFEST_IMAGE},
    {KV_SV_INIT(KV_MT_DOCKER_LIST), KV_MANIFEST_INDEX},
};

/* Decides the type by the header, the field and the shape, which may not contradict each other. */
static kv_code find_type(const raw_manifest *raw, kv_sv content_type, kv_manifest *m, kv_error *err)
{
    kv_sv header;
    kv_sv_cut(content_type, ';', &header, NULL);
    header = kv_sv_trim(header);
    kv_sv type = header.n ? header : raw->media_type;
    if (raw->media_type.n && header.n && !kv_sv_eq(raw->media_type, header))
        return kv_fail(err, KV_E_INVALID, "mediaType is '%.*s', the request says '%.*s'",
                       KV_ARG(kv_sv_sub(raw->media_type, 0, 200)),
                       KV_ARG(kv_sv_sub(header, 0, 200)));
    bool index_shape = raw->manifests && !raw->config && !raw->layers;
    if (!type.n) {
        m->kind = index_shape ? KV_MANIFEST_INDEX : KV_MANIFEST_IMAGE;
        m->media_type = index_shape ? KV_SV(KV_MT_IMAGE_INDEX) : KV_SV(KV_MT_IMAGE_MANIFEST);
        return KV_OK;
    }
    for (size_t i = 0; i < KV_COUNT(TYPES); i++) {
        if (!kv_sv_eq(type, TYPES[i].media_type)) continue;
        m->kind = TYPES[i].kind;
        m->media_type = TYPES[i].media_type;
        return KV_OK;
    }
    return kv_fail(err, KV_E_UNSUPPORTED, "manifests of type '%.*s' are not supported",
                   KV_ARG(kv_sv_sub(type, 0, 200)));
}

static kv_code fill(kv_manifest *m, kv_sv content_type, kv_error *err)
{
    kv_arena *arena = m->mem->arena;
    KV_TRY(kv_jdoc_parse(m->bytes, &m->mem->doc, err));
    raw_manifest raw;
    KV_TRY(kv_json_bind(kv_jdoc_root(m->mem->doc), &MANIFEST, arena, "", &raw, err));
    if (raw.schema_version == 1)
        return kv_fail(err, KV_E_UNSUPPORTED,
                       "Docker manifests of schema version 1 are not supported: write the image "
                       "anew with a tool that makes schema version 2 or OCI manifests");
    if (raw.schema_version != 2) return kv_fail(err, KV_E_INVALID, "schemaVersion: expected 2");
    KV_TRY(find_type(&raw, content_type, m, err));
    m->artifact_type = raw.artifact_type;

    if (m->kind == KV_MANIFEST_INDEX) {
        if (raw.config || raw.layers)
            return kv_fail(err, KV_E_INVALID, "an index may not have config or layers");
        KV_TRY(parse_list(raw.manifests, arena, "manifests", &m->manifests, &m->n_manifests, err));
    } else {
        if (raw.manifests)
            return kv_fail(err, KV_E_INVALID, "an image manifest may not have manifests");
        if (!raw.config) return kv_fail(err, KV_E_INVALID, "config: missing");
        KV_TRY(parse_descriptor(raw.config, arena, "config", &m->config, err));
        KV_TRY(parse_list(raw.layers, arena, "layers", &m->layers, &m->n_layers, err));
    }
    if (raw.subject) KV_TRY(parse_descriptor(raw.subject, arena, "subject", &m->subject, err));
    return parse_annotations(raw.annotations, arena, "", &m->annotations, err);
}

kv_code kv_manifest_parse(kv_sv bytes, kv_sv content_type, kv_manifest **out, kv_error *err)
{
    *out = NULL;
    if (bytes.n > KV_MANIFEST_BYTES_MAX)
        return kv_fail(err, KV_E_LIMIT, "manifest is larger than %u bytes", KV_MANIFEST_BYTES_MAX);
    /* A descriptor in memory is larger than its shortest text, by less than this factor. */
    kv_arena *arena = kv_arena_new((size_t)KV_MANIFEST_BYTES_MAX * 4);
    kv_manifest *m = arena ? KV_NEW(arena, kv_manifest, 1) : NULL;
    struct kv_manifest_mem *mem = m ? KV_NEW(arena, struct kv_manifest_mem, 1) : NULL;
    kv_sv copy = mem ? kv_arena_dup(arena, bytes) : (kv_sv){0};
    if (!copy.p) {
        kv_arena_free(arena);
        return kv_fail(err, KV_E_NOMEM, "out of memory");
    }
    mem->arena = arena;
    m->mem = mem;
    m->bytes = copy;
    m->digest = kv_digest_of(KV_SHA256, copy);
    kv_code rc = fill(m, content_type, err);
    if (rc != KV_OK) {
        kv_manifest_free(m);
        return rc;
    }
    *out = m;
    return KV_OK;
}

void kv_manifest_free(kv_manifest *m)
{
    if (!m) return;
    kv_jdoc_free(m->mem->doc);
    kv_arena_free(m->mem->arena); /* m and mem lie in it */
}

/* What ModelPack was called before it came to the CNCF; older modctl wrote it. */
#define CNAI_MANIFEST "application/vnd.cnai.model.manifest.v1+json"
#define CNAI_CONFIG "application/vnd.cnai.model.config.v1+json"

kv_kit_kind kv_manifest_kit_kind(const kv_manifest *m)
{
    if (m->kind != KV_MANIFEST_IMAGE) return KV_KIT_NOT;
    if (kv_sv_is(m->artifact_type, KV_MT_KIT_MANIFEST) ||
        kv_sv_is(m->config.media_type, KV_MT_KIT_CONFIG))
        return KV_KIT_MODELKIT;
    if (kv_sv_is(m->artifact_type, KV_MT_MODELPACK_MANIFEST) ||
        kv_sv_is(m->config.media_type, KV_MT_MODELPACK_CONFIG) ||
        kv_sv_is(m->artifact_type, CNAI_MANIFEST) || kv_sv_is(m->config.media_type, CNAI_CONFIG))
        return KV_KIT_MODELPACK;
    return KV_KIT_NOT;
}

kv_sv kv_manifest_artifact_type(const kv_manifest *m)
{
    if (m->artifact_type.n) return m->artifact_type;
    return m->kind == KV_MANIFEST_IMAGE ? m->config.media_type : (kv_sv){"", 0};
}

uint64_t kv_manifest_layers_size(const kv_manifest *m)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < m->n_layers; i++)
        if (kv_ckd_add(&sum, sum, m->layers[i].size)) return UINT64_MAX;
    return sum;
}

/* --- media types of layers --- */

#define KIT(kind) "application/vnd.kitops.modelkit." kind ".v1."
#define PACK(kind) "application/vnd.cncf.model." kind ".v1."
#define CNAI(kind) "application/vnd.cnai.model." kind ".v1."

static const struct {
    kv_sv prefix;
    kv_layer_kind kind;
} LAYER_PREFIXES[] = {
    {KV_SV_INIT(KIT("model")), KV_LAYER_MODEL},
    {KV_SV_INIT(KIT("modelpart")), KV_LAYER_PART},
    {KV_SV_INIT(KIT("code")), KV_LAYER_CODE},
    {KV_SV_INIT(KIT("dataset")), KV_LAYER_DATASET},
    {KV_SV_INIT(KIT("docs")), KV_LAYER_DOCS},
    {KV_SV_INIT(KIT("mcpb")), KV_LAYER_MCPB},
    {KV_SV_INIT(PACK("weight")), KV_LAYER_MODEL},
    {KV_SV_INIT(PACK("weight.config")), KV_LAYER_PART},
    {KV_SV_INIT(PACK("code")), KV_LAYER_CODE},
    {KV_SV_INIT(PACK("dataset")), KV_LAYER_DATASET},
    {KV_SV_INIT(PACK("doc")), KV_LAYER_DOCS},
    {KV_SV_INIT(CNAI("weight")), KV_LAYER_MODEL},
    {KV_SV_INIT(CNAI("weight.config")), KV_LAYER_PART},
    {KV_SV_INIT(CNAI("code")), KV_LAYER_CODE},
    {KV_SV_INIT(CNAI("dataset")), KV_LAYER_DATASET},
    {KV_SV_INIT(CNAI("doc")), KV_LAYER_DOCS},
};

static const struct {
    kv_sv suffix;
    kv_layer_form form;
} LAYER_FORMS[] = {
    {KV_SV_INIT("tar"), KV_FORM_TAR},
    {KV_SV_INIT("tar+gzip"), KV_FORM_TAR_GZIP},
    {KV_SV_INIT("tar+zstd"), KV_FORM_TAR_ZSTD},
    {KV_SV_INIT("raw"), KV_FORM_RAW},
};

kv_layer_type kv_layer_type_of(const kv_descriptor *layer)
{
    kv_layer_type t = {0};
    for (size_t i = 0; i < KV_COUNT(LAYER_PREFIXES); i++) {
        if (!kv_sv_starts(layer->media_type, LAYER_PREFIXES[i].prefix)) continue;
        kv_sv rest = kv_sv_from(layer->media_type, LAYER_PREFIXES[i].prefix.n);
        for (size_t k = 0; k < KV_COUNT(LAYER_FORMS); k++)
            if (kv_sv_eq(rest, LAYER_FORMS[k].suffix))
                t = (kv_layer_type){LAYER_PREFIXES[i].kind, LAYER_FORMS[k].form};
    }
    if (t.kind == KV_LAYER_CODE &&
        kv_sv_is(kv_annotation_get(&layer->annotations, KV_ANN_SUBTYPE), "prompt"))
        t.kind = KV_LAYER_PROMPT;
    return t;
}

/* clang-format off */
#define FORMS_OF(prefix) {prefix "tar", prefix "tar+gzip", prefix "tar+zstd", prefix "raw"}
#define FORMS(kind) FORMS_OF(KIT(kind))
#define PACK_FORMS(kind) FORMS_OF(PACK(kind))
static const char *const KIT_TYPES[][4] = {
    [KV_LAYER_MODEL] = FORMS("model"), [KV_LAYER_PART] = FORMS("modelpart"),
    [KV_LAYER_CODE] = FORMS("code"),   [KV_LAYER_DATASET] = FORMS("dataset"),
    [KV_LAYER_DOCS] = FORMS("docs"),   [KV_LAYER_PROMPT] = FORMS("code"),
    [KV_LAYER_MCPB] = FORMS("mcpb"),
};
static const char *const PACK_TYPES[][4] = {
    [KV_LAYER_MODEL] = PACK_FORMS("weight"), [KV_LAYER_PART] = PACK_FORMS("weight.config"),
    [KV_LAYER_CODE] = PACK_FORMS("code"),    [KV_LAYER_DATASET] = PACK_FORMS("dataset"),
    [KV_LAYER_DOCS] = PACK_FORMS("doc"),     [KV_LAYER_PROMPT] = PACK_FORMS("code"),
    [KV_LAYER_MCPB] = {NULL},
};
/* clang-format on */

const char *kv_layer_media_type(kv_layer_type type)
{
    return KIT_TYPES[type.kind][type.form];
}

const char *kv_layer_modelpack_type(kv_layer_type type)
{
    return PACK_TYPES[type.kind][type.form];
}

const char *kv_layer_modelpack_name(kv_layer_kind kind)
{
    static const char *const NAMES[] = {
        [KV_LAYER_UNKNOWN] = "unknown",    [KV_LAYER_MODEL] = "weight",
        [KV_LAYER_PART] = "weight.config", [KV_LAYER_CODE] = "code",
        [KV_LAYER_DATASET] = "dataset",    [KV_LAYER_DOCS] = "doc",
        [KV_LAYER_PROMPT] = "code",        [KV_LAYER_MCPB] = "mcpb",
    };
    return NAMES[kind];
}

const char *kv_layer_kind_name(kv_layer_kind kind)
{
    static const char *const NAMES[] = {
        [KV_LAYER_UNKNOWN] = "unknown", [KV_LAYER_MODEL] = "model",
        [KV_LAYER_PART] = "modelpart",  [KV_LAYER_CODE] = "code",
        [KV_LAYER_DATASET] = "dataset", [KV_LAYER_DOCS] = "docs",
        [KV_LAYER_PROMPT] = "code",     [KV_LAYER_MCPB] = "mcpb",
    };
    return NAMES[kind];
}

/* --- writing --- */

static int cmp_annotations(const void *a, const void *b)
{
    return kv_sv_cmp(((const kv_annotation *)a)->key, ((const kv_annotation *)b)->key);
}

static kv_code put_annotations(kv_jout *j, const kv_annotations *a, kv_error *err)
{
    if (a->n == 0) return KV_OK;
    kv_annotation *sorted = calloc(a->n, sizeof(*sorted));
    if (!sorted) return kv_fail(err, KV_E_NOMEM, "out of memory");
    memcpy(sorted, a->items, a->n * sizeof(*sorted));
    qsort(sorted, a->n, sizeof(*sorted), cmp_annotations);
    kv_jout_key(j, KV_SV("annotations"));
    kv_jout_obj(j);
    for (size_t i = 0; i < a->n; i++) {
        kv_jout_key(j, sorted[i].key);
        kv_jout_str(j, sorted[i].value);
    }
    kv_jout_end_obj(j);
    free(sorted);
    return KV_OK;
}

static kv_code put_descriptor(kv_jout *j, const kv_descriptor *d, kv_error *err)
{
    kv_jout_obj(j);
    kv_jout_kstr(j, "mediaType", d->media_type);
    kv_jout_kstr(j, "digest", kv_sv_of(kv_digest_str(&d->digest).s));
    kv_jout_ku64(j, "size", d->size);
    KV_TRY(put_annotations(j, &d->annotations, err));
    if (d->artifact_type.n) kv_jout_kstr(j, "artifactType", d->artifact_type);
    kv_jout_end_obj(j);
    return KV_OK;
}

static kv_code put_manifest(kv_jout *j, const kv_manifest_parts *parts, kv_error *err)
{
    kv_jout_obj(j);
    kv_jout_ku64(j, "schemaVersion", 2);
    if (parts->media_type.n) kv_jout_kstr(j, "mediaType", parts->media_type);
    if (parts->artifact_type.n) kv_jout_kstr(j, "artifactType", parts->artifact_type);
    kv_jout_key(j, KV_SV("config"));
    KV_TRY(put_descriptor(j, &parts->config, err));
    kv_jout_key(j, KV_SV("layers"));
    if (parts->n_layers == 0) {
        kv_jout_null(j);
    } else {
        kv_jout_arr(j);
        for (size_t i = 0; i < parts->n_layers; i++)
            KV_TRY(put_descriptor(j, &parts->layers[i], err));
        kv_jout_end_arr(j);
    }
    if (parts->subject) {
        kv_jout_key(j, KV_SV("subject"));
        KV_TRY(put_descriptor(j, parts->subject, err));
    }
    KV_TRY(put_annotations(j, &parts->annotations, err));
    kv_jout_end_obj(j);
    return KV_OK;
}

kv_code kv_manifest_format(const kv_manifest_parts *parts, char **out, size_t *out_n, kv_error *err)
{
    kv_auto_buf b = KV_BUF(KV_MANIFEST_BYTES_MAX);
    kv_jout j = kv_jout_make(&b, KV_JSON_GO, 0);
    KV_TRY(put_manifest(&j, parts, err));
    KV_TRY(kv_buf_check(&b, err));
    *out_n = b.n;
    *out = kv_buf_take(&b);
    return KV_OK;
}

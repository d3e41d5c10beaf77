#pragma once
/* Manifests and descriptors of OCI images, indexes and ModelKits: views of bytes that are kept. */
#include "kitvault/digest.h"

#define KV_MT_IMAGE_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define KV_MT_IMAGE_INDEX "application/vnd.oci.image.index.v1+json"
#define KV_MT_DOCKER_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
#define KV_MT_DOCKER_LIST "application/vnd.docker.distribution.manifest.list.v2+json"
#define KV_MT_EMPTY "application/vnd.oci.empty.v1+json"
#define KV_MT_KIT_CONFIG "application/vnd.kitops.modelkit.config.v1+json"
#define KV_MT_KIT_MANIFEST "application/vnd.kitops.modelkit.manifest.v1+json"
#define KV_MT_MODELPACK_CONFIG "application/vnd.cncf.model.config.v1+json"
#define KV_MT_MODELPACK_MANIFEST "application/vnd.cncf.model.manifest.v1+json"
#define KV_ANN_CLI_VERSION "ml.kitops.modelkit.cli-version"
#define KV_ANN_FILEPATH "org.cncf.model.filepath"
#define KV_ANN_FILE_METADATA "org.cncf.model.file.metadata+json" /* of a raw layer's file */
#define KV_ANN_SUBTYPE "ml.kitops.modelkit.layer-subtype"
#define KV_ANN_KITFILE "ml.kitops.modelkit.kitfile" /* whole Kitfile JSON, in ModelPack manifests */

#define KV_MANIFEST_BYTES_MAX (8u << 20) /* own; the OCI text asks for at least 4 MiB */
#define KV_MANIFEST_ENTRIES_MAX 100000u  /* layers or children in one manifest; own */

typedef struct kv_annotation {
    kv_sv key, value;
} kv_annotation;
typedef struct kv_annotations { /* in the order of the document; writers sort */
    kv_annotation *items;
    size_t n;
} kv_annotations;
/** The value of key, or {NULL, 0}. */
KV_API kv_sv kv_annotation_get(const kv_annotations *a, const char *key);

typedef struct kv_descriptor {
    kv_sv media_type;
    kv_digest digest;
    uint64_t size; /* bytes */
    kv_sv artifact_type;
    kv_annotations annotations;
    bool has_urls; /* content may live elsewhere and need not be here */
} kv_descriptor;

/** How a manifest is shaped. */
typedef enum kv_manifest_kind { KV_MANIFEST_IMAGE = 1, KV_MANIFEST_INDEX } kv_manifest_kind;

/** What a kit-like tool may do with a manifest. Source: kit-compat.md 3.3. */
typedef enum kv_kit_kind { KV_KIT_NOT, KV_KIT_MODELKIT, KV_KIT_MODELPACK } kv_kit_kind;

typedef struct kv_manifest {
    kv_sv bytes;      /* the document as it was received; everything below points into it */
    kv_digest digest; /* sha256 of bytes */
    kv_manifest_kind kind;
    kv_sv media_type;      /* the field, or what the shape says when the field is absent */
    kv_sv artifact_type;   /* the field; empty when absent */
    kv_descriptor config;  /* images; digest.alg 0 when absent */
    kv_descriptor *layers; /* images */
    size_t n_layers;
    kv_descriptor *manifests; /* indexes */
    size_t n_manifests;
    kv_descriptor subject; /* digest.alg 0 when absent */
    kv_annotations annotations;
    struct kv_manifest_mem *mem; /* private */
} kv_manifest;

/**
 * Parses an image manifest or an index (OCI or Docker v2 schema 2), by its shape.
 * content_type may be empty; parameters behind ';' are ignored. A mediaType field that disagrees
 * with it is an error. layers or manifests may be null, empty or absent.
 * Ownership: *out keeps its own copy of bytes; free with kv_manifest_free.
 * Errors: KV_E_SYNTAX (not JSON), KV_E_INVALID (wrong shape, wrong schemaVersion, bad descriptor:
 * named by path), KV_E_LIMIT, KV_E_UNSUPPORTED (a media type we do not take; a digest algorithm).
 * Threads: pure; the result is read-only. Source: OCI image-spec 1.1, manifest.md, image-index.md.
 */
KV_API KV_MUST_CHECK kv_code kv_manifest_parse(kv_sv bytes, kv_sv content_type, kv_manifest **out,
                                               kv_error *err);
KV_API void kv_manifest_free(kv_manifest *m);
KV_DEFINE_AUTO(kv_manifest, kv_manifest_free)

/** ModelKit, ModelPack or neither. */
KV_API kv_kit_kind kv_manifest_kit_kind(const kv_manifest *m);
/** Type shown for a referrer: artifactType, else the config's media type, else empty. */
KV_API kv_sv kv_manifest_artifact_type(const kv_manifest *m);
/** Sum of the layers' sizes, saturating. */
KV_API uint64_t kv_manifest_layers_size(const kv_manifest *m);

/** Kind of a layer by its media type; source: kit-compat.md 2.1 and 3.1. */
typedef enum kv_layer_kind {
    KV_LAYER_UNKNOWN,
    KV_LAYER_MODEL,
    KV_LAYER_PART,
    KV_LAYER_CODE,
    KV_LAYER_DATASET,
    KV_LAYER_DOCS,
    KV_LAYER_PROMPT,
    KV_LAYER_MCPB, /* a bundle of an MCP server, always raw */
} kv_layer_kind;
typedef enum kv_layer_form {
    KV_FORM_TAR,
    KV_FORM_TAR_GZIP,
    KV_FORM_TAR_ZSTD,
    KV_FORM_RAW
} kv_layer_form;
typedef struct kv_layer_type {
    kv_layer_kind kind;
    kv_layer_form form;
} kv_layer_type;
/** From media type and annotations (a prompt is a code layer with a subtype). */
KV_API kv_layer_type kv_layer_type_of(const kv_descriptor *layer);
/** Kit's media type for a layer. Static storage; NULL for KV_LAYER_UNKNOWN. */
KV_API const char *kv_layer_media_type(kv_layer_type type);
/** The same of CNCF ModelPack; prompts are code. NULL: it has no such layers. */
KV_API const char *kv_layer_modelpack_type(kv_layer_type type);
/** "weight", "weight.config", "dataset", "code" (prompts, too), "doc". */
KV_API const char *kv_layer_modelpack_name(kv_layer_kind kind);
/** "model", "modelpart", "code", "dataset", "docs", "mcpb", "code" for prompts. */
KV_API const char *kv_layer_kind_name(kv_layer_kind kind);

/** What a manifest of ours is made of; pointers are borrowed for the call. */
typedef struct kv_manifest_parts {
    size_t size;         /* KV_MANIFEST_PARTS_INIT */
    kv_sv media_type;    /* empty: the field is left out, as kit does */
    kv_sv artifact_type; /* empty: left out */
    kv_descriptor config;
    const kv_descriptor *layers;
    size_t n_layers;              /* 0 writes "layers":null, as kit does */
    const kv_descriptor *subject; /* NULL: none */
    kv_annotations annotations;
} kv_manifest_parts;
#define KV_MANIFEST_PARTS_INIT                                                                     \
    {                                                                                              \
        .size = sizeof(kv_manifest_parts)                                                          \
    }
/**
 * Writes the compact bytes kit writes: fields in the order of the OCI Go structures, annotation
 * keys sorted. *out is malloc'ed, *out_n long. Source: kit-compat.md 2.5.
 */
KV_API KV_MUST_CHECK kv_code kv_manifest_format(const kv_manifest_parts *parts, char **out,
                                                size_t *out_n, kv_error *err);

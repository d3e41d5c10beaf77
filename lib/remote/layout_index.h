#pragma once
/*
 * index.json of an OCI image layout: manifests, and the tags some of them have. Pure: bytes to
 * values and back; what others wrote into entries stays.
 * Source: OCI image-spec 1.1, image-layout.md, annotations.md.
 */
#include "kitvault/digest.h"
#include "json/json.h"

#define KV_LAYOUT_INDEX_MAX (64u << 20) /* bytes; own */
#define KV_ANN_REF_NAME "org.opencontainers.image.ref.name"

typedef struct kv_layout_entry { /* strings borrow from the document, or from whoever put it */
    kv_sv tag;                   /* empty: none */
    kv_sv media_type, artifact_type;
    kv_digest digest;
    uint64_t size;
    const kv_json *raw; /* as it was read; NULL: made here */
} kv_layout_entry;

/** Zero it, parse, clear. A digest may be there several times, with a tag each. */
typedef struct kv_layout_index {
    kv_layout_entry *items;
    size_t n, cap;
    kv_jdoc *doc;
} kv_layout_index;
void kv_layout_index_clear(kv_layout_index *x);
#define kv_auto_layout_index KV_CLEANUP(kv_layout_index_clear) kv_layout_index

/** where names the file in errors. Errors: those of JSON, KV_E_INVALID (named by path). */
KV_MUST_CHECK kv_code kv_layout_index_parse(kv_sv text, const char *where, kv_layout_index *out,
                                            kv_error *err);
void kv_layout_index_format(const kv_layout_index *x, kv_buf *out);
/** Or NULL. */
const kv_layout_entry *kv_layout_find_tag(const kv_layout_index *x, kv_sv tag);
const kv_layout_entry *kv_layout_find_digest(const kv_layout_index *x, const kv_digest *d);
/** Lists e: with a tag under that tag, which leaves the manifest it was at before (which stays
 * listed); without one only if the digest is not listed yet. */
KV_MUST_CHECK kv_code kv_layout_index_put(kv_layout_index *x, const kv_layout_entry *e,
                                          kv_error *err);

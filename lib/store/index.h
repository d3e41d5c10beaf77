#pragma once
/*
 * The lists of the local store as documents: B64-index.json and index.json (manifests), and
 * B64-tags.json (tags of a repository). Pure: bytes to values and back.
 * Source: kit-compat 4.1; OCI image-spec, image-index.md.
 */
#include "kitvault/digest.h"
#include "json/json.h"

#define KV_STORE_LIST_MAX (64u << 20) /* bytes of one list; own */
#define KV_STORE_NAME_SUFFIX "-index.json"

typedef struct kv_store_entry {
    kv_sv tag; /* tags only */
    kv_sv media_type;
    kv_digest digest;
    uint64_t size;
    const kv_json *raw; /* as it was read, with fields we do not know; NULL: made here */
} kv_store_entry;

/** A list; strings borrow from doc or from whoever added. Zero it, parse or add, clear. */
typedef struct kv_store_list {
    kv_store_entry *items;
    size_t n, cap;
    kv_jdoc *doc;
} kv_store_list;
void kv_store_list_clear(kv_store_list *l);
#define kv_auto_store_list KV_CLEANUP(kv_store_list_clear) kv_store_list

/** Parses a list of manifests; where names the file in errors. Errors: those of JSON, KV_E_INVALID. */
KV_MUST_CHECK kv_code kv_store_index_parse(kv_sv text, const char *where, kv_store_list *out,
                                           kv_error *err);
/** shared: the index.json of the whole store, which says its media type. */
void kv_store_index_format(const kv_store_list *l, bool shared, kv_buf *out);
KV_MUST_CHECK kv_code kv_store_tags_parse(kv_sv text, const char *where, kv_store_list *out,
                                          kv_error *err);
void kv_store_tags_format(const kv_store_list *l, kv_buf *out); /* sorted by tag */

kv_store_entry *kv_store_find_digest(const kv_store_list *l, const kv_digest *d); /* or NULL */
kv_store_entry *kv_store_find_tag(const kv_store_list *l, kv_sv tag);             /* or NULL */
/** Appends, or replaces the entry of the same tag (tags) or digest (manifests). */
KV_MUST_CHECK kv_code kv_store_list_put(kv_store_list *l, const kv_store_entry *e, kv_error *err);
void kv_store_list_drop(kv_store_list *l, size_t i); /* keeps the order */

/** The part of a repository's file names before "-index.json": base64 of "REGISTRY/REPOSITORY". */
void kv_store_name_encode(kv_sv registry, kv_sv repository, kv_buf *out);
/** From a file name; false when it is not a repository's index. out gets "REGISTRY/REPOSITORY". */
bool kv_store_name_decode(kv_sv file_name, kv_buf *out);

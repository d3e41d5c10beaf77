#pragma once
/*
 * Places where ModelKits live, and copies between any two of them. A place is named by a text:
 *   demo:v1, store:hub.example.com/team/demo:v1      the local store
 *   hub.example.com/team/demo:v1                     a registry
 *   dir:models:v1, archive:models.tar:v1             an OCI image layout: a directory, a tar archive
 *   s3://bucket/models:v1                            the same in an S3-compatible store
 * Digests never change on the way.
 */
#include "kitvault/remote.h"

struct kv_store;

typedef enum kv_place_kind {
    KV_PLACE_STORE,
    KV_PLACE_REGISTRY,
    KV_PLACE_DIR,
    KV_PLACE_ARCHIVE,
    KV_PLACE_S3,
} kv_place_kind;

/** One parsed name. Zero it or parse into it, then clear it. */
typedef struct kv_place {
    kv_place_kind kind;
    char *text;       /* the name as it was given, to be shown */
    kv_reference ref; /* store and registry */
    char *location;   /* others: the path; BUCKET or BUCKET/PREFIX */
    kv_sv tag;        /* empty when a digest or nothing was given; borrowed from the place */
    kv_digest digest; /* alg 0 when a tag or nothing was given */
} kv_place;
/**
 * In layouts, the tag is what follows the last ':' of the last part of the path; one that ends in ':'
 * has none.
 * Errors: KV_E_SYNTAX, KV_E_ARG (no path; an empty text). Threads: pure. Source: own; docs/guide.md.
 */
KV_API KV_MUST_CHECK kv_code kv_place_parse(kv_sv text, kv_place *out, kv_error *err);
KV_API void kv_place_clear(kv_place *p);
#define kv_auto_place KV_CLEANUP(kv_place_clear) kv_place

typedef struct kv_copy_options {
    size_t size;    /* KV_COPY_OPTIONS_INIT */
    bool referrers; /* and what refers to it: signatures, attestations, and theirs */
    const kv_remote_options *network; /* registries; its report is not used. NULL: defaults */
    const kv_report *report;          /* lines, progress "Copying XXXXXXXX", the wish to stop */
} kv_copy_options;
#define KV_COPY_OPTIONS_INIT                                                                       \
    {                                                                                              \
        .size = sizeof(kv_copy_options)                                                            \
    }
typedef struct kv_copy_result {
    kv_digest digest;              /* of the manifest */
    uint64_t n_blobs, n_bytes;     /* that were moved; manifests are not counted */
    uint64_t n_kept, n_kept_bytes; /* that were there already */
    uint64_t n_referrers;          /* copied, or there already */
} kv_copy_result;
/**
 * Copies what src names, an index with all it names, to dst. Blobs come first and are verified on
 * arrival, then referrers, then the manifest; the tag last. Where dst has no tag and no digest, src's
 * tag is used. Where src has neither, a layout's only tag or only manifest is meant, elsewhere
 * `latest`. What broke off is continued by the next copy where the place can: the local store, dir:,
 * s3:, a registry.
 * store may be NULL when no place is in it. out may be NULL.
 * Errors: KV_E_NOTFOUND, KV_E_ARG (dst's digest is another one; several manifests and no tag),
 * KV_E_EXISTS (an archive), KV_E_DIGEST, those of places. Memory: a few MiB per blob in flight.
 */
KV_API KV_MUST_CHECK kv_code kv_copy(struct kv_store *store, const kv_place *src,
                                     const kv_place *dst, const kv_copy_options *options,
                                     kv_copy_result *out, kv_error *err);

#pragma once
/* What the ModelKits of the local store take on the disk. */
#include "kitvault/store.h"

typedef struct kv_kit_usage { /* all in bytes */
    kv_sv name;               /* "REGISTRY/REPOSITORY", then "@" and the digest; as it is shown */
    kv_digest digest;         /* of the manifest */
    uint64_t logical;         /* manifest, config and layers as often as they are named */
    uint64_t stored;          /* the files of these blobs, each once; a missing one has none */
    uint64_t shared;          /* part of stored that other ModelKits use too */
} kv_kit_usage;

typedef struct kv_usage { /* owned: kv_usage_free */
    kv_kit_usage *kits;   /* in the order of kv_store_begin */
    size_t n;
    kv_kit_usage total; /* name empty; blobs of several ModelKits count once in stored, shared */
    struct kv_arena *arena; /* private */
} kv_usage;

/**
 * Reads every manifest of the store and the sizes of its blobs.
 * Errors: those of kv_store_manifest, the ModelKit named; KV_E_LIMIT (names beyond 32 MiB).
 * Memory: about 100 bytes per blob and ModelKit. Threads: any; a state of the moment. Source: own.
 */
KV_API KV_MUST_CHECK kv_code kv_store_usage(kv_store *s, const kv_report *report, kv_usage **out,
                                            kv_error *err);
KV_API void kv_usage_free(kv_usage *u);
KV_DEFINE_AUTO(kv_usage, kv_usage_free)

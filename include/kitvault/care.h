#pragma once
/* Care of the local store: what nobody needs any more, and what is not as it should be. */
#include "kitvault/model.h"

/* --- garbage --- */

typedef enum kv_garbage_kind {
    KV_GARBAGE_BLOB,     /* no ModelKit of the store names it */
    KV_GARBAGE_LEFTOVER, /* a temporary file or partial download of a process that is gone */
} kv_garbage_kind;
/** "blob", "leftover". Static storage. */
KV_API const char *kv_garbage_kind_name(kv_garbage_kind kind);

typedef struct kv_garbage { /* one file; borrowed for the call it is handed to */
    kv_garbage_kind kind;
    kv_sv path;       /* below the home: "storage/blobs/sha256/HEX" */
    kv_digest digest; /* blobs; alg 0 otherwise */
    uint64_t size;    /* bytes */
} kv_garbage;

typedef struct kv_gc_options {
    size_t size;      /* KV_GC_OPTIONS_INIT */
    bool dry_run;     /* tell, and remove nothing */
    unsigned wait_ms; /* how long to wait for others to let the store go */
    /* Called for each file, before it is removed; NULL: nobody listens. Non-KV_OK stops. */
    kv_code (*found)(void *ctx, const kv_garbage *g, kv_error *err);
    void *ctx;
    const kv_report *report; /* the wish to stop */
} kv_gc_options;
#define KV_GC_OPTIONS_INIT                                                                         \
    {                                                                                              \
        .size = sizeof(kv_gc_options), .wait_ms = 30000                                            \
    }
typedef struct kv_gc_result {
    uint64_t n_blobs, blob_bytes;         /* removed, or with dry_run to be removed */
    uint64_t n_leftovers, leftover_bytes; /* the same */
    uint64_t n_entries; /* of index.json: manifests that no repository lists, dropped from it */
} kv_gc_result;
/**
 * Removes what no ModelKit of the store uses, and what killed processes left behind. Partial
 * downloads go, too: the next pull starts over. Nothing is removed that a process uses which holds
 * the store (kv_store_hold) or its temporary file; kit holds nothing, so it must not run meanwhile.
 * out (may be NULL) is filled as far as it came. opts NULL: defaults.
 * Errors: KV_E_BUSY (somebody holds the store for longer than wait_ms), KV_E_CORRUPT (a list or a
 * listed manifest cannot be read, so that nobody knows what it uses: no blob is removed),
 * KV_E_IO, KV_E_CANCELLED. Source: own.
 */
KV_API KV_MUST_CHECK kv_code kv_store_gc(kv_store *s, const kv_gc_options *opts, kv_gc_result *out,
                                         kv_error *err);

/* --- damage --- */

typedef enum kv_problem_kind {
    KV_PROBLEM_DAMAGED,  /* a blob is not what its digest says, or a manifest cannot be read */
    KV_PROBLEM_MISSING,  /* a blob that a ModelKit names is not there */
    KV_PROBLEM_LIST,     /* a list of manifests or tags cannot be read */
    KV_PROBLEM_TAG,      /* a tag names a manifest that its repository does not list */
    KV_PROBLEM_UNLISTED, /* index.json, by which kit counts uses, lacks a repository's manifest */
    KV_PROBLEM_ORPHANED, /* no ModelKit names the blob: harmless, kv_store_gc removes it */
    KV_PROBLEM_LEFTOVER, /* a killed process left the file: harmless, kv_store_gc removes it */
} kv_problem_kind;
/** "damaged", "missing", "list", "tag", "unlisted", "orphaned", "leftover". Static storage. */
KV_API const char *kv_problem_kind_name(kv_problem_kind kind);

typedef struct kv_problem { /* borrowed for the call it is handed to */
    kv_problem_kind kind;
    kv_digest digest; /* of the blob or manifest; alg 0: the problem is with path */
    kv_sv path;       /* of the file, below the home */
    uint64_t size;    /* bytes: what it should have; of a harmless file what it has */
    kv_sv kit;        /* one ModelKit that is hit, as it is shown; empty: none */
    size_t n_kits;    /* how many are */
    bool repaired;
    kv_sv why; /* what is wrong, and why it could not be repaired; may be empty */
} kv_problem;

typedef struct kv_check_options {
    size_t size;                                                     /* KV_CHECK_OPTIONS_INIT */
    kv_code (*found)(void *ctx, const kv_problem *p, kv_error *err); /* non-KV_OK stops */
    void *ctx;
    /* Where damaged and missing blobs are fetched again; NULL: nothing is changed. */
    const kv_kit_source *repair;
    /* Whose registry and repository to ask; NULL: each ModelKit's own. */
    const kv_reference *repair_from;
    unsigned n_threads;      /* blobs read at once; 0: one per processor, at most 8 */
    const kv_report *report; /* lines, progress, the wish to stop */
} kv_check_options;
#define KV_CHECK_OPTIONS_INIT                                                                      \
    {                                                                                              \
        .size = sizeof(kv_check_options)                                                           \
    }
typedef struct kv_check_result {
    uint64_t n_kits;         /* manifests in all repositories */
    uint64_t n_blobs, bytes; /* read and hashed */
    uint64_t n_broken;       /* damaged, missing, list, tag, unlisted: also those repaired */
    uint64_t n_repaired;
    uint64_t n_harmless; /* orphaned, leftover */
} kv_check_result;
/**
 * Reads every blob that ModelKits of the store name, and checks digest, size, and that lists, tags
 * and manifests fit together. The store is held meanwhile (kv_store_hold). What is broken is an
 * answer, not an error: out tells whether n_repaired < n_broken. A fetched blob is verified before
 * it replaces anything. Orphans are told only if every manifest could be read; a pack that runs at
 * the same time has blobs that look like them.
 * Errors: KV_E_BUSY, KV_E_IO (a directory), KV_E_NOSPACE, KV_E_CANCELLED, KV_E_NOMEM, those of found.
 * Memory: about 150 bytes for each blob and ModelKit, 256 KiB per thread. Source: own.
 */
KV_API KV_MUST_CHECK kv_code kv_store_check(kv_store *s, const kv_check_options *opts,
                                            kv_check_result *out, kv_error *err);

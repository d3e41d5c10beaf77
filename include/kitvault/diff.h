#pragma once
/* What differs between two ModelKits: their files, and the fields of their Kitfiles. */
#include "kitvault/files.h"

typedef enum kv_change_kind {
    KV_CHANGE_ADDED = 1, /* only the second has it */
    KV_CHANGE_REMOVED,   /* only the first has it */
    KV_CHANGE_CHANGED,   /* both have it, and not the same */
    KV_CHANGE_RENAMED,   /* files: one content, under one name in each */
} kv_change_kind;
/** "added", "removed", "changed", "renamed". Static storage. */
KV_API const char *kv_change_kind_name(kv_change_kind kind);

/** A ModelKit and where it is read from; pointers are borrowed for the call. */
typedef struct kv_diff_side {
    const kv_kit_source *src;
    const kv_reference *ref;
    const kv_manifest *m;
} kv_diff_side;

/* --- files --- */

typedef struct kv_file_state {
    kv_sv path; /* where unpack puts it; empty: the side does not have it */
    kv_file_kind kind;
    unsigned mode;
    uint64_t size;
    kv_digest digest; /* of a regular file's content; alg 0 otherwise */
} kv_file_state;
typedef struct kv_file_change { /* borrowed for the call it is handed to */
    kv_change_kind kind;
    kv_file_state before, after;
} kv_file_change;
typedef struct kv_diff_sum {
    uint64_t n_added, n_removed, n_changed, n_renamed;
    uint64_t n_same;        /* files of layers that were read */
    uint64_t n_same_layers; /* layers that both have: not read, and their files not counted */
} kv_diff_sum;
/** Non-KV_OK stops and is returned. */
typedef kv_code kv_file_change_fn(void *ctx, const kv_file_change *c, kv_error *err);
/**
 * Compares the files of two ModelKits by path, kind, mode and SHA-256, and hands what differs to fn
 * in the order of paths (of a renamed file the new one). Directories do not count. Layers that both
 * have are not read; the others are streamed and verified. A file without content is never renamed.
 * Memory: about 150 bytes and the path for each file that is read, 40 MiB at most.
 * Errors: KV_E_LIMIT (more files), those of kv_files_end and of fn. Source: own.
 */
KV_API KV_MUST_CHECK kv_code kv_diff_files(const kv_diff_side *a, const kv_diff_side *b,
                                           const kv_report *report, kv_file_change_fn *fn,
                                           void *ctx, kv_diff_sum *out, kv_error *err);

/* --- Kitfiles --- */

typedef struct kv_field_change { /* borrowed for the call it is handed to */
    kv_change_kind kind;
    kv_sv field;         /* "model.parameters.lr", "datasets[train].license", "package.authors" */
    kv_sv before, after; /* as JSON; empty: the side does not have it */
} kv_field_change;
typedef kv_code kv_field_change_fn(void *ctx, const kv_field_change *c, kv_error *err);
/**
 * Compares two Kitfiles given as JSON (kv_kit_kitfile_json) field by field, in the order of the first,
 * then what only the second has. Entries of a section are matched by name, else by path, else by
 * their place; other lists are compared as a whole. Digests of layers are left out.
 * Errors: KV_E_SYNTAX, KV_E_INVALID (no object, a key twice), KV_E_LIMIT (more than
 * KV_KITFILE_BYTES_MAX), those of fn. Threads: pure. Source: own.
 */
KV_API KV_MUST_CHECK kv_code kv_diff_kitfiles(kv_sv a, kv_sv b, kv_field_change_fn *fn, void *ctx,
                                              kv_error *err);

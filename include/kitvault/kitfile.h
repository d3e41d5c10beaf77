#pragma once
/*
 * The Kitfile: what a ModelKit is made of. Read from YAML (the file) or JSON (the config blob),
 * checked, written as both; what of it belongs to a layer; how one is made for a directory.
 *
 * Texts of errors are those of kit, to the byte, since scripts read them. Source: kit-compat.md.
 */
#include "kitvault/manifest.h"
#include "kitvault/reference.h"
#include "kitvault/report.h"
#include "kitvault/value.h"

#define KV_KITFILE_BYTES_MAX (4u << 20) /* of a Kitfile or config blob; own */
#define KV_KITFILE_DEPTH_MAX 60u        /* nesting of a Kitfile; own, below KV_JSON_DEPTH_MAX */

typedef struct kv_kitfile_strings {
    kv_sv *items;
    size_t n;
} kv_kitfile_strings;

/** One entry of any section. Empty strings, NULL and alg 0 mean "not given". */
typedef struct kv_kitfile_entry {
    kv_sv name;                 /* not of code and docs */
    kv_sv path;                 /* as it was written; empty is the whole context */
    kv_sv description;          /* not of parts */
    kv_sv license;              /* not of docs, prompts, mcpServers */
    kv_sv type;                 /* parts */
    kv_sv remote_path;          /* datasets */
    kv_sv remote_hash;          /* datasets */
    const kv_value *parameters; /* model, datasets */
    kv_digest digest;           /* of the layer's blob; config blobs only */
    kv_digest diff_id;          /* of the layer's tar */
} kv_kitfile_entry;
typedef struct kv_kitfile_entries {
    kv_kitfile_entry *items;
    size_t n;
} kv_kitfile_entries;

typedef struct kv_kitfile_package {
    kv_sv name, version, description, license;
    kv_kitfile_strings authors;
} kv_kitfile_package;

typedef struct kv_kitfile_model {
    kv_kitfile_entry entry;
    kv_sv framework, format, version;
    kv_kitfile_entries parts;
} kv_kitfile_model;

/**
 * A Kitfile. Everything in it lives in its arena, from which a caller inside the library may add.
 * Threads: one at a time; read-only use is shared.
 */
typedef struct kv_kitfile {
    kv_sv manifest_version;
    kv_kitfile_package package;
    kv_kitfile_model *model; /* NULL when absent */
    kv_kitfile_entries code, datasets, docs, prompts, mcp_servers;
    struct kv_arena *arena;  /* private */
    struct kv_kitfile *kept; /* private: Kitfiles this one borrows from */
} kv_kitfile;

/** An empty Kitfile; NULL when memory is gone. */
KV_API kv_kitfile *kv_kitfile_new(void);
KV_API void kv_kitfile_free(kv_kitfile *kf);
KV_DEFINE_AUTO(kv_kitfile, kv_kitfile_free)

/* --- reading --- */

/**
 * Parses a Kitfile (the first document of text). Fields it does not know are errors.
 * Errors: KV_E_SYNTAX ("yaml: line 3: did not find expected key"; "EOF" for an empty document),
 * KV_E_INVALID ("yaml: unmarshal errors:" and a line for each), KV_E_LIMIT, KV_E_NOMEM.
 * Memory: at most 40 MiB for the largest text. Threads: pure. Source: kit-compat 1.1, 1.3.
 */
KV_API KV_MUST_CHECK kv_code kv_kitfile_parse_yaml(kv_sv text, kv_kitfile **out, kv_error *err);
/**
 * Parses a config blob. Fields it does not know are skipped: newer kits may have more.
 * Errors: KV_E_SYNTAX, KV_E_INVALID ("model.parts[2].path: expected string"), KV_E_LIMIT.
 * Memory: at most 48 MiB for the largest text. Threads: pure. Source: kit-compat 1.4.
 */
KV_API KV_MUST_CHECK kv_code kv_kitfile_parse_json(kv_sv text, kv_kitfile **out, kv_error *err);
/** Reads and parses a Kitfile's YAML. Errors: also KV_E_NOTFOUND, KV_E_IO. */
KV_API KV_MUST_CHECK kv_code kv_kitfile_load(const char *path, kv_kitfile **out, kv_error *err);
/**
 * The Kitfile of a directory: the first of Kitfile, kitfile, .kitfile that exists; *out_path (dir,
 * "/", name) is malloc'ed.
 * Errors: KV_E_NOTFOUND "No Kitfile found in DIR. Consider using the -f flag to specify its path".
 */
KV_API KV_MUST_CHECK kv_code kv_kitfile_find(const char *dir, char **out_path, kv_error *err);
/** True for the three names above. */
KV_API bool kv_kitfile_is_name(kv_sv name);

/**
 * Checks the rules of kit-compat 1.2. What is accepted but suspicious is said as KV_WARN lines
 * through report (may be NULL).
 * Errors: KV_E_INVALID "errors while validating Kitfile: " and a line for each, sorted.
 */
KV_API KV_MUST_CHECK kv_code kv_kitfile_validate(const kv_kitfile *kf, const kv_report *report,
                                                 kv_error *err);

/* --- writing; *out is malloc'ed, out_n bytes and a NUL --- */

/** The YAML that unpack, info and init write. Threads: pure. Source: kit-compat 1.5. */
KV_API KV_MUST_CHECK kv_code kv_kitfile_format_yaml(const kv_kitfile *kf, char **out, size_t *out_n,
                                                    kv_error *err);
/**
 * The bytes of the config blob.
 * Errors: KV_E_INVALID for parameters that JSON cannot say ("json: unsupported value: NaN",
 * "json: unsupported type: map[interface {}]interface {}"). Source: kit-compat 1.3, 1.4.
 */
KV_API KV_MUST_CHECK kv_code kv_kitfile_format_json(const kv_kitfile *kf, char **out, size_t *out_n,
                                                    kv_error *err);
/**
 * What `info --filter FIELD` prints: one field by its path ("package.name", ".model.parts"), as
 * YAML. Takes the names of JSON and those kit wants (dataSets).
 * Errors: KV_E_ARG "invalid filter: ...", KV_E_NOTFOUND "error filtering output: cannot find
 * required node". Source: kit-compat 8, `info`.
 */
KV_API KV_MUST_CHECK kv_code kv_kitfile_select(const kv_kitfile *kf, kv_sv field, char **out,
                                               size_t *out_n, kv_error *err);

/* --- entries and layers --- */

/**
 * All entries in the order of a manifest's layers: model, parts, code, datasets, docs, prompts,
 * mcpServers.
 *     kv_kitfile_iter it = kv_kitfile_begin(kf);
 *     while (kv_kitfile_next(&it)) if (it.has_layer) pack(it.kind, it.entry->path);
 * Nothing to release.
 */
typedef struct kv_kitfile_iter {
    kv_layer_kind kind;
    size_t index;            /* within its kind */
    kv_kitfile_entry *entry; /* borrowed; digests may be set */
    bool has_layer; /* false: a model without path or by reference, a dataset that stays remote */
    kv_kitfile *kf; /* private, as what follows */
    unsigned section;
    size_t next;
} kv_kitfile_iter;
KV_API kv_kitfile_iter kv_kitfile_begin(kv_kitfile *kf);
KV_API bool kv_kitfile_next(kv_kitfile_iter *it);

/** True when text, as a model's path, names another ModelKit: it has a ':' or '@' and parses. */
KV_API bool kv_kitfile_is_reference(kv_sv path);

/** How Kitfiles of other ModelKits are had: from the store, then from a registry. */
typedef struct kv_kitfile_fetcher {
    kv_code (*fetch)(void *ctx, const kv_reference *ref, kv_kitfile **out, kv_error *err);
    void *ctx;
} kv_kitfile_fetcher;
#define KV_KITFILE_PARENTS_MAX 10u /* kit's MaxModelRefChain */
/**
 * Follows model.path from ModelKit to ModelKit and merges what it finds, the nearest first; kf
 * itself is not in it. *out is NULL when kf's model is not a reference.
 * own_name: what the ModelKit being packed is called, in the form shown to people; for cycles.
 * Errors: "Failed to resolve referenced modelkit R: " and kit's text (KV_E_INVALID: a cycle, more
 * than KV_KITFILE_PARENTS_MAX), or that of fetch or of validation. Source: kit-compat 1.6.
 */
KV_API KV_MUST_CHECK kv_code kv_kitfile_resolve(const kv_kitfile *kf, kv_sv own_name,
                                                const kv_kitfile_fetcher *fetcher, kv_kitfile **out,
                                                kv_error *err);

/* --- filters of unpack and list --- */

/** Parsed filters; OR between them. Zero it, add, clear. Threads: read-only use is shared. */
typedef struct kv_filters {
    struct kv_filter *items; /* private */
    size_t n, cap;
} kv_filters;
/**
 * Adds "TYPE[,TYPE...][:NAME,...]".
 * Errors: KV_E_ARG 'invalid filter type T (must be one of kitfile, model, datasets, code, prompts,
 * docs)', 'invalid filter: should be in format <type1>,<type2>[:<filter1>,<filter2>]'.
 * Source: kit-compat 9.1.
 */
KV_API KV_MUST_CHECK kv_code kv_filters_add(kv_filters *f, kv_sv text, kv_error *err);
KV_API void kv_filters_clear(kv_filters *f);
#define kv_auto_filters KV_CLEANUP(kv_filters_clear) kv_filters
/** Whether an entry is wanted. Without any filter everything is. */
KV_API bool kv_filters_match(const kv_filters *f, kv_layer_kind kind, const kv_kitfile_entry *e);
/** Whether the Kitfile itself is wanted. */
KV_API bool kv_filters_match_kitfile(const kv_filters *f);
/**
 * The filters for a ModelKit that model.path refers to: their model part, names kept. Without any
 * filter: "model". False in *out_any: nothing of it is wanted. Source: kit-compat 9.5.
 */
KV_API KV_MUST_CHECK kv_code kv_filters_for_parent(const kv_filters *f, kv_filters *out,
                                                   bool *out_any, kv_error *err);

/* --- making one --- */

typedef struct kv_generate_options {
    size_t size; /* KV_GENERATE_OPTIONS_INIT */
    kv_sv name, description, author;
    const kv_report *report;
    /* Levels of directories below the first that are looked at file by file, as the first one is;
     * negative: all. Up to five files of no kind are code of their own then. Source: kit-compat 10. */
    int depth;
} kv_generate_options;
#define KV_GENERATE_OPTIONS_INIT                                                                   \
    {                                                                                              \
        .size = sizeof(kv_generate_options)                                                        \
    }
/** Takes one name of a directory that is being listed; size in bytes. Non-KV_OK stops the listing. */
typedef kv_code kv_generate_add_fn(void *to, kv_sv name, uint64_t size, bool is_dir, kv_error *err);
/** A tree of files that need not be on this machine. */
typedef struct kv_generate_source {
    /* Names directly in directory dir ("" the whole tree, else a path with '/'), in any order. */
    kv_code (*list)(void *ctx, kv_sv dir, kv_generate_add_fn *add, void *to, kv_error *err);
    /* A file of at most max bytes; *out is malloc'ed. */
    kv_code (*read)(void *ctx, kv_sv path, size_t max, char **out, size_t *out_n, kv_error *err);
    const char *name; /* for errors */
    void *ctx;
} kv_generate_source;
/** The same as kv_kitfile_generate, of any tree. Errors: those of src, KV_E_LIMIT. */
KV_API KV_MUST_CHECK kv_code kv_kitfile_generate_from(const kv_generate_source *src,
                                                      const kv_generate_options *opts,
                                                      kv_kitfile **out, kv_error *err);
/**
 * Makes a Kitfile for what lies in a directory, by names and sizes, reading only licence files and
 * the front matter of skills. opts may be NULL. Symbolic links and special files are passed over.
 * Errors: KV_E_NOTFOUND, KV_E_IO "failed to read directory D: open D: no such file or
 * directory", KV_E_LIMIT (more entries than fit into 32 MiB). Source: kit-compat 10.
 */
KV_API KV_MUST_CHECK kv_code kv_kitfile_generate(const char *dir, const kv_generate_options *opts,
                                                 kv_kitfile **out, kv_error *err);

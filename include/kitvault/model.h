#pragma once
/*
 * The ModelKit as a whole: a directory packed into the local store, a ModelKit of any source
 * unpacked into a directory, and what `inspect` shows.
 *
 * Errors of kv_pack and kv_unpack are the whole sentence a user reads ("failed to unpack: path
 * 'x' already exists"), so that a caller shows them as they are, with a capital first letter.
 */
#include "kitvault/store.h"

/* --- where ModelKits come from --- */

/** Bytes that are pulled, from the start to the end. Caller's storage; close when close is set. */
typedef struct kv_kit_stream {
    /* Up to n bytes (n > 0) to dst; *out_n is 0 only at the end. */
    kv_code (*read)(void *ctx, void *dst, size_t n, size_t *out_n, kv_error *err);
    void (*close)(void *ctx);
    void *ctx;
} kv_kit_stream;

/**
 * A place that holds ModelKits: the local store, a registry. By value; ctx must outlive its use.
 * Threads: one at a time.
 */
typedef struct kv_kit_source {
    /* The manifest ref's tag or digest names, verified against a digest. A missing one is
     * KV_E_NOTFOUND, nothing else may use that code. */
    kv_code (*manifest)(void *ctx, const kv_reference *ref, kv_manifest **out, kv_error *err);
    /* Opens a blob of ref's repository. Its content is verified by whoever reads it. */
    kv_code (*open)(void *ctx, const kv_reference *ref, const kv_descriptor *d, kv_kit_stream *out,
                    kv_error *err);
    /* The same from byte offset (< d->size) on, for a source that can; NULL: it cannot. Nobody can
     * verify bytes read that way. */
    kv_code (*open_at)(void *ctx, const kv_reference *ref, const kv_descriptor *d, uint64_t offset,
                       kv_kit_stream *out, kv_error *err);
    void *ctx;
} kv_kit_source;

/** The local store as a source. The store must outlive it. */
KV_API kv_kit_source kv_store_source(kv_store *s);

/** A whole verified blob of at most max bytes; *out is malloc'ed and has a NUL behind it. */
KV_API KV_MUST_CHECK kv_code kv_kit_read(const kv_kit_source *src, const kv_reference *ref,
                                         const kv_descriptor *d, size_t max, char **out,
                                         size_t *out_n, kv_error *err);
#define KV_KITFILE_JSON_MAX (16u << 20) /* own; a config blob is a few KiB */
/**
 * The Kitfile of a ModelKit as JSON: its config blob, or the annotation of a ModelPack manifest.
 * *out is malloc'ed. Errors: KV_E_UNSUPPORTED "reference exists but is not a modelkit",
 * KV_E_NOTFOUND "artifact does not contain a Kitfile". Source: kit-compat 3.3.
 */
KV_API KV_MUST_CHECK kv_code kv_kit_kitfile_json(const kv_kit_source *src, const kv_reference *ref,
                                                 const kv_manifest *m, char **out, size_t *out_n,
                                                 kv_error *err);
/**
 * What `inspect` prints: digest, cliVersion, kitfile, manifest, indented by two, no newline at the
 * end. kitfile_json: of kv_kit_kitfile_json, or empty. *out is malloc'ed. Source: kit-compat 8.
 */
KV_API KV_MUST_CHECK kv_code kv_kit_inspect_json(const kv_manifest *m, kv_sv kitfile_json,
                                                 char **out, size_t *out_n, kv_error *err);

/* --- pack --- */

typedef enum kv_compression {
    KV_COMPRESS_NONE, /* the bytes of kit; the others have kit's diff ids only */
    KV_COMPRESS_GZIP,
    KV_COMPRESS_GZIP_FASTEST,
    KV_COMPRESS_ZSTD,
} kv_compression;
/** "none", "gzip", "gzip-fastest", "zstd". Errors: KV_E_ARG with kit's sentence. */
KV_API KV_MUST_CHECK kv_code kv_compression_parse(kv_sv text, kv_compression *out, kv_error *err);

/** One blob that was packed, or would be. Borrowed for the call. */
typedef struct kv_packed {
    const char
        *kind;  /* "model", "dataset" ...; of a ModelPack "weight" ...; "config", "manifest" */
    kv_sv path; /* cleaned; empty for config and manifest */
    kv_sv media_type;
    kv_digest digest;
    kv_digest diff_id; /* layers: of the bytes before compression */
    uint64_t size;     /* bytes of the blob */
    bool existed;      /* the store had it */
} kv_packed;

/**
 * A place that takes a ModelKit while it is packed. By value; ctx must outlive its use.
 * Threads: open is called from several at once; a blob is one thread's.
 */
typedef struct kv_kit_sink {
    /* Begins a blob whose digest nobody knows yet. */
    kv_code (*open)(void *ctx, void **out_blob, kv_error *err);
    kv_code (*write)(void *blob, const void *p, size_t n, kv_error *err);
    /* All bytes were written: they are kept when it returns. *out_existed: they had been there. */
    kv_code (*commit)(void *blob, const kv_digest *d, bool *out_existed, kv_error *err);
    void (*close)(void *blob); /* always; without commit, the blob is forgotten */
    /* The last call: makes the ModelKit known. */
    kv_code (*manifest)(void *ctx, kv_sv text, kv_error *err);
    void *ctx;
} kv_kit_sink;

typedef struct kv_pack_options {
    size_t size;             /* KV_PACK_OPTIONS_INIT */
    const char *context;     /* the directory; NULL: "." */
    const char *kitfile;     /* path of the Kitfile; NULL: found in the context */
    kv_sv kitfile_text;      /* used in place of a file when p is not NULL (standard input) */
    const kv_reference *tag; /* repository, tag, extra tags; NULL: untagged in localhost/_ */
    kv_compression compression;
    const char *cli_version;     /* annotation; NULL: kv_version() */
    unsigned n_threads;          /* layers in work at once; 0: one per processor */
    const kv_kit_source *remote; /* where referenced ModelKits are looked for after the store */
    const kv_report *report;     /* lines, progress, the wish to stop */
    bool raw;                    /* each entry is one file, whose bytes are the layer */
    bool model_pack;             /* a CNCF ModelPack in place of a ModelKit */
    bool normalize_modes;        /* modes do not depend on the umask: 0755 or 0644 */
    bool no_cache;               /* files are read, even if they did not change since a pack */
    bool dry_run;                /* nothing is written, and no line says that something is saved */
    bool has_created; /* ModelPack: created (seconds since 1970) is written into the config */
    int64_t created;
    /* Called for each layer, the config and the manifest, in that order; NULL: not wanted. */
    void (*packed)(void *ctx, const kv_packed *p);
    void *packed_ctx;
    const kv_kit_sink *sink; /* in place of the store, in which nothing is written; NULL: none */
} kv_pack_options;
#define KV_PACK_OPTIONS_INIT                                                                       \
    {                                                                                              \
        .size = sizeof(kv_pack_options)                                                            \
    }
/**
 * Packs a directory into a ModelKit of the store and tags it. The layers, config and manifest are
 * the bytes kit writes (compression none). Prints "Saved KIND layer: DIGEST" and so on through the
 * report. out (may be NULL) is the manifest's digest. The process's working directory is not
 * changed. A ModelPack has the same tars; its config and manifest are those of the model-spec, the
 * Kitfile stands whole in an annotation, and no time is in it unless has_created.
 * Memory: some MiB per thread, whatever the size of the files.
 * Errors: KV_E_ARG ("invalid arguments: ..."), KV_E_INVALID and KV_E_SYNTAX (the Kitfile, a path in
 * it, .kitignore), KV_E_UNSUPPORTED (raw layers compressed), KV_E_NOSPACE, KV_E_IO, KV_E_CANCELLED. Blobs stored before an error stay, unused
 * or not, and are taken by the next try; nothing is listed.
 * Threads: several packs into one store at once are fine. Source: kit-compat 2, 3.2, 8.
 */
KV_API KV_MUST_CHECK kv_code kv_pack(kv_store *s, const kv_pack_options *opts, kv_digest *out,
                                     kv_error *err);

/* --- unpack --- */

typedef struct kv_unpack_options {
    size_t size;     /* KV_UNPACK_OPTIONS_INIT */
    const char *dir; /* made when missing; NULL: "." */
    bool overwrite;
    bool ignore_existing; /* keep files that exist */
    bool
        include_remote; /* datasets that lie elsewhere are wanted, too: none can be had, an error */
    const kv_sv *filters; /* kit's --filter texts; none: everything */
    size_t n_filters;
    const kv_kit_source
        *remote; /* where a reference is looked for after the store; NULL: nowhere */
    const kv_report *report;
    bool skip_store; /* what has a registry comes from remote, whatever the store has */
} kv_unpack_options;
#define KV_UNPACK_OPTIONS_INIT                                                                     \
    {                                                                                              \
        .size = sizeof(kv_unpack_options)                                                          \
    }
/**
 * Unpacks a ModelKit (kit's or ModelPack, tar, gzip, zstd or raw layers) and the ModelKits it
 * refers to. Files of a layer get their names only when the layer's digest was verified. Nothing
 * is written outside dir: entries that are absolute, climb out, go through a symbolic link, or are
 * neither file nor directory, are refused.
 * Errors: KV_E_NOTFOUND ("failed to find reference R: not found"), KV_E_EXISTS, KV_E_DIGEST,
 * KV_E_CORRUPT, KV_E_INVALID (a path; a filter: 'invalid filter "F": ...'), KV_E_UNSUPPORTED (not a
 * ModelKit; a dataset on S3 that is wanted), KV_E_NOSPACE, KV_E_IO, KV_E_CANCELLED, those of the source.
 * Source: kit-compat 9.
 */
KV_API KV_MUST_CHECK kv_code kv_unpack(kv_store *s, const kv_reference *ref,
                                       const kv_unpack_options *opts, kv_error *err);

#pragma once
/*
 * An OCI image layout as a place for kits. Where it lies (a directory, an archive, a bucket) is behind
 * kv_layout_ops; what index.json says, and what a tag means, is the same for all.
 * Source: OCI image-spec 1.1, image-layout.md.
 */
#include "blob/blob.h"
#include "remote/layout_index.h"
#include "remote/remote.h"

typedef struct kv_layout kv_layout;
typedef struct kv_layout_ops {
    /* index.json as it is; KV_E_NOTFOUND: there is none yet. */
    kv_code (*get_index)(kv_layout *l, kv_buf *out, kv_error *err);
    /* Replaces it as a whole, durably. KV_E_BUSY: somebody else has changed it since get_index; it is
     * then read and changed again. */
    kv_code (*put_index)(kv_layout *l, kv_sv text, kv_error *err);
    /* Between lock and unlock no other process changes the index; NULL: put_index notices. */
    kv_code (*lock)(kv_layout *l, int *out_fd, kv_error *err);
    /* A missing blob is KV_E_NOTFOUND. */
    kv_code (*open)(kv_layout *l, const kv_digest *d, kv_blob_reader **out, kv_error *err);
    /* As put_blob of kv_remote_ops. Called from many threads. */
    kv_code (*put_blob)(kv_layout *l, const kv_digest *d, const kv_http_source *source,
                        kv_error *err);
    /* The place may take its final name; NULL: it has it. */
    kv_code (*finish)(kv_layout *l, kv_error *err);
    void (*free)(kv_layout *l);
} kv_layout_ops;
struct kv_layout {
    const kv_layout_ops *ops;
    char *name; /* "dir:models", for errors; owned by the implementation */
};

/** The place of a layout, which it owns, also on failure. report may be NULL, and is borrowed. */
KV_MUST_CHECK kv_code kv_layout_remote(kv_layout *l, const kv_report *report, kv_remote **out,
                                       kv_error *err);

/**
 * Stores a blob in `blobs` piece by piece. Where it stops is kept in the documents of `states`, so that
 * the next try goes on there; states NULL: it begins again.
 */
typedef struct kv_upload_states {
    kv_code (*get)(void *ctx, const char *id, kv_buf *out, kv_error *err); /* KV_E_NOTFOUND: none */
    kv_code (*put)(void *ctx, const char *id, kv_sv state, kv_error *err);
    kv_code (*drop)(void *ctx, const char *id, kv_error *err); /* a missing one is fine */
    void *ctx;
    uint64_t every; /* bytes between two states */
} kv_upload_states;
KV_MUST_CHECK kv_code kv_layout_upload(kv_blobs *blobs, const kv_upload_states *states,
                                       const kv_digest *d, const kv_http_source *source,
                                       kv_error *err);

/* Openers have one form, for the table of schemes; network (may be NULL) is for those that need it. */

/** DIR, made when it is missing and write. Resumes: an upload that broke off lies in DIR/uploads. */
KV_MUST_CHECK kv_code kv_layout_open_dir(const char *dir, bool write,
                                         const kv_remote_options *network, kv_layout **out,
                                         kv_error *err);
/** An archive, to be read, or (write) a new one. Errors: KV_E_EXISTS (write). */
KV_MUST_CHECK kv_code kv_layout_open_archive(const char *path, bool write,
                                             const kv_remote_options *network, kv_layout **out,
                                             kv_error *err);
/**
 * "BUCKET", "BUCKET/PREFIX" in an S3-compatible store; the bucket must exist. Resumes: what a try left
 * behind is named by PREFIX/uploads/HEX.state. Errors: those of kv_s3_config_load and kv_s3_open.
 */
KV_MUST_CHECK kv_code kv_layout_open_s3(const char *location, bool write,
                                        const kv_remote_options *network, kv_layout **out,
                                        kv_error *err);

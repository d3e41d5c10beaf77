#pragma once
/* One layer: its files as a tar, or its one file as it is, hashed and compressed on the way into a
 * temporary blob. */
#include "kitvault/model.h"
#include "model/walk.h"
#include "store/layout.h"

typedef struct kv_layer_job {
    kv_store *store;
    kv_walk walk; /* context, path and patterns; the functions are set here */
    kv_compression compression;
    bool raw;                    /* the bytes of one file in place of a tar */
    bool normalize_modes;        /* 0755 for what is executable and directories, else 0644 */
    bool dry;                    /* only digests and sizes: no temporary file */
    bool fresh;                  /* reads the files, whatever was packed before */
    const kv_kit_sink *sink;     /* takes the blob in place of a temporary file; may be NULL */
    const kv_report *report;     /* progress and cancel; lines go to remarks */
    size_t index;                /* of the layer; names it in progress */
    const atomic_size_t *failed; /* a layer before this one failed: stop */

    /* results */
    bool known;         /* its blob is in the store, from the same files: nothing was read */
    kv_store_temp temp; /* else the blob, not durable yet; none for dry */
    kv_digest digest, diff_id;
    bool existed;       /* with a sink: it had the blob */
    uint64_t size;      /* of the blob */
    uint64_t n_content; /* bytes of files in it */
    unsigned mode;      /* raw: permissions of the file */
    kv_buf remarks;     /* warnings, one a line */
} kv_layer_job;

/**
 * Packs the layer into a temporary file of cache/pack. Bytes and digests are those of kit for
 * compression none. A file that changes while it is read is an error, and so is a raw layer that is
 * not exactly one file.
 * Ownership: the caller drops temp and clears remarks, also after an error.
 * Memory: some MiB. Threads: different jobs at once. Source: kit-compat 2.2, 2.3.
 */
KV_MUST_CHECK kv_code kv_layer_pack(kv_layer_job *job, kv_error *err);

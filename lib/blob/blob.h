#pragma once
/*
 * Content-addressed bytes: write once under a digest, read by ranges, drop.
 *
 * Hashing is done here, once, for every backend; a backend only moves bytes. An upload can be
 * saved as a short state and taken up again by another process. Nothing becomes visible under a
 * digest before it is complete, durable and verified.
 */
#include "base/str.h"
#include "codec/aside.h"
#include "kitvault/report.h"

typedef struct kv_blobs kv_blobs;             /* a backend; shared */
typedef struct kv_blob_reader kv_blob_reader; /* one open blob; shared (reads carry offsets) */
typedef struct kv_blob_writer kv_blob_writer; /* one upload; one thread at a time */

/* --- what callers use --- */

/** Errors: KV_E_NOTFOUND. */
KV_MUST_CHECK kv_code kv_blobs_stat(kv_blobs *b, const kv_digest *d, uint64_t *out_size,
                                    kv_error *err);
KV_MUST_CHECK kv_code kv_blobs_open(kv_blobs *b, const kv_digest *d, kv_blob_reader **out,
                                    kv_error *err);
/** Reads exactly n bytes at off. Errors: KV_E_RANGE past the end, KV_E_IO. */
KV_MUST_CHECK kv_code kv_blob_read(kv_blob_reader *r, uint64_t off, void *dst, size_t n,
                                   kv_error *err);
uint64_t kv_blob_size(const kv_blob_reader *r);
/** A descriptor that holds the blob from offset 0, for sendfile; -1 when the backend has none.
 * Borrowed from the reader. */
int kv_blob_fd(const kv_blob_reader *r);
void kv_blob_close(kv_blob_reader *r);
KV_DEFINE_AUTO(kv_blob_reader, kv_blob_close)
/** A whole small blob in memory. Errors: KV_E_LIMIT when larger than out->max. Verified. */
KV_MUST_CHECK kv_code kv_blobs_get(kv_blobs *b, const kv_digest *d, kv_buf *out, kv_error *err);
/** Stores bytes in memory; already there is fine. Durable when it returns. */
KV_MUST_CHECK kv_code kv_blobs_put(kv_blobs *b, const kv_digest *d, kv_sv bytes, kv_error *err);

/**
 * Starts an upload. id names it ([a-z0-9-], at most 64 bytes; unique for the backend's life).
 * alg is hashed while bytes arrive; another one at commit costs a second read.
 */
KV_MUST_CHECK kv_code kv_blob_begin(kv_blobs *b, const char *id, kv_digest_alg alg,
                                    kv_blob_writer **out, kv_error *err);
/** After a failure only kv_blob_abort is left. */
KV_MUST_CHECK kv_code kv_blob_append(kv_blob_writer *w, const void *p, size_t n, kv_error *err);
/**
 * From here on bytes are hashed on another thread while they are written (kv_hashing_aside), until
 * the writer is saved or released; for large uploads.
 */
void kv_blob_hash_aside(kv_blob_writer *w);
/**
 * Says that n more bytes are to come, so that a disk that cannot hold them fails now, and writing
 * them is faster. A hint: fewer or more may come. Errors: KV_E_NOSPACE, KV_E_LIMIT.
 */
KV_MUST_CHECK kv_code kv_blob_expect(kv_blob_writer *w, uint64_t n, kv_error *err);
/** Bytes appended so far. */
uint64_t kv_blob_offset(const kv_blob_writer *w);
/**
 * Makes everything appended durable and writes the state that kv_blob_resume takes (at most
 * KV_BLOB_STATE_MAX bytes), then releases the writer. The caller keeps the state (a database row).
 * On failure the writer is released too and the state of before is still good.
 */
#define KV_BLOB_STATE_MAX 1024
KV_MUST_CHECK kv_code kv_blob_save(kv_blob_writer *w, kv_buf *state, kv_error *err);
/** Bytes behind the saved offset (of a writer that died) are cut off. Errors: KV_E_CORRUPT,
 * KV_E_NOTFOUND (the staged bytes are gone). */
KV_MUST_CHECK kv_code kv_blob_resume(kv_blobs *b, const char *id, kv_sv state, kv_blob_writer **out,
                                     kv_error *err);
/**
 * Verifies, makes durable and visible; releases the writer whatever happens.
 * expected NULL: stored under the running algorithm's digest. out may be NULL.
 * Errors: KV_E_DIGEST (nothing is kept). A blob that is there already is fine.
 */
KV_MUST_CHECK kv_code kv_blob_commit(kv_blob_writer *w, const kv_digest *expected, kv_digest *out,
                                     kv_error *err);
/** Forgets the upload and its bytes. NULL is fine. */
void kv_blob_abort(kv_blob_writer *w);
/** Forgets an upload that no writer holds; a missing one is fine. */
KV_MUST_CHECK kv_code kv_blobs_forget(kv_blobs *b, const char *id, kv_error *err);

KV_MUST_CHECK kv_code kv_blobs_drop(kv_blobs *b, const kv_digest *d, kv_error *err);
typedef kv_code kv_blob_fn(void *ctx, const kv_digest *d, uint64_t size, kv_error *err);
/** Every blob, in no order; non-KV_OK from fn stops and is returned. */
KV_MUST_CHECK kv_code kv_blobs_each(kv_blobs *b, kv_blob_fn *fn, void *ctx, kv_error *err);
void kv_blobs_free(kv_blobs *b);
KV_DEFINE_AUTO(kv_blobs, kv_blobs_free)

/* --- the backends; each its own file, all through one suite (test/suite/blob_suite.c) --- */

/** DIR/oci-layout, DIR/blobs/ALGORITHM/HEX, DIR/uploads/ID; made when missing. */
KV_MUST_CHECK kv_code kv_blobs_open_fs(const char *dir, kv_blobs **out, kv_error *err);
/**
 * The same for a directory that belongs to a user, not to a hub: files and directories get the modes
 * the umask says. Without write nothing is made, and only open and each work; a directory without
 * blobs has none. Errors: KV_E_NOTFOUND (no such directory, without write).
 */
KV_MUST_CHECK kv_code kv_blobs_open_layout(const char *dir, bool write, kv_blobs **out,
                                           kv_error *err);
/** In memory; the specification of the others. */
kv_blobs *kv_blobs_new_mem(void);
/**
 * Wraps another backend (owned) and fails the n-th call of `op` ("expect", "append", "sync", "finish",
 * "read", "open", "drop", "begin", "resume") with code; n counts from 1, 0 never fails.
 */
kv_blobs *kv_blobs_new_fault(kv_blobs *inner, const char *op, uint64_t n, kv_code code);

/* --- what a backend author fills in --- */

typedef struct kv_blob_reader_ops {
    /* Exactly n bytes; the wrapper has checked the range. Called from many threads at once. */
    kv_code (*read)(kv_blob_reader *r, uint64_t off, void *dst, size_t n, kv_error *err);
    void (*close)(kv_blob_reader *r);
} kv_blob_reader_ops;
struct kv_blob_reader {
    const kv_blob_reader_ops *ops;
    uint64_t size;
    int fd; /* -1: none */
};
typedef struct kv_blob_writer_ops {
    kv_code (*append)(kv_blob_writer *w, const void *p, size_t n, kv_error *err);
    /* Room for n bytes behind offset; NULL: there is nothing to prepare. */
    kv_code (*expect)(kv_blob_writer *w, uint64_t n, kv_error *err);
    /* Everything appended survives a power cut; adds what resume() needs to state. */
    kv_code (*sync)(kv_blob_writer *w, kv_buf *state, kv_error *err);
    /* Staged bytes again, for a second algorithm. */
    kv_code (*reread)(kv_blob_writer *w, uint64_t off, void *dst, size_t n, kv_error *err);
    /* Durable and visible under d, as a whole; d may exist already. */
    kv_code (*finish)(kv_blob_writer *w, const kv_digest *d, kv_error *err);
    void (*release)(kv_blob_writer *w, bool forget); /* frees w; forget: and the staged bytes */
} kv_blob_writer_ops;
struct kv_blob_writer {
    const kv_blob_writer_ops *ops;
    /* kept by the wrapper */
    kv_hashing hashing;
    uint64_t offset;
};
typedef struct kv_blobs_ops {
    const char *scheme; /* "file", "mem", "fault" */
    /* A missing blob is KV_E_NOTFOUND; nothing else may use that code. */
    kv_code (*open)(kv_blobs *b, const kv_digest *d, kv_blob_reader **out, kv_error *err);
    kv_code (*begin)(kv_blobs *b, const char *id, kv_blob_writer **out, kv_error *err);
    /* Staged bytes cut to `offset`; state is what sync() added. */
    kv_code (*resume)(kv_blobs *b, const char *id, kv_sv state, uint64_t offset,
                      kv_blob_writer **out, kv_error *err);
    kv_code (*forget)(kv_blobs *b, const char *id, kv_error *err);
    kv_code (*drop)(kv_blobs *b, const kv_digest *d, kv_error *err);
    kv_code (*each)(kv_blobs *b, kv_blob_fn *fn, void *ctx, kv_error *err);
    void (*free)(kv_blobs *b);
} kv_blobs_ops;
struct kv_blobs {
    const kv_blobs_ops *ops;
};

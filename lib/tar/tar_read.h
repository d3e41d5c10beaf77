#pragma once
/* Reads tar archives from outside: a bounded stream over libarchive, which stands here alone.
 * It says what an archive holds; whether a path may be written is for the caller to decide. */
#include "codec/decompress.h"

/** Passes over up to n bytes (n > 0) where that is cheaper than reading them; *out_n may be less, and
 * 0 when they are to be read. */
typedef kv_code kv_skip_fn(void *ctx, uint64_t n, uint64_t *out_n, kv_error *err);

#define KV_TAR_HEADER_MAX (1u << 20) /* bytes of one entry's headers, pax and sparse maps; own */

typedef enum kv_tar_filter { KV_TAR_PLAIN, KV_TAR_GZIP, KV_TAR_ZSTD } kv_tar_filter;
typedef enum kv_tar_kind { KV_TAR_FILE, KV_TAR_DIR, KV_TAR_OTHER } kv_tar_kind;

typedef struct kv_tar_entry {
    kv_sv path;       /* as it stands in the archive; borrowed until the next call */
    kv_tar_kind kind; /* links, devices and pipes are OTHER; of a hard link too */
    unsigned type;    /* the type byte of the header, for messages */
    unsigned mode;    /* bits of 07777 */
    uint64_t size;    /* bytes of a file's content */
} kv_tar_entry;

/**
 * One archive. pull's failures come up unchanged. Bytes behind the end of the archive are not
 * read. Memory: about 1.5 MiB, with zstd what its window asks for, at most 32 MiB more; at most
 * 20 MiB more for an entry whose headers describe very many holes.
 * Errors of all calls: KV_E_CORRUPT with libarchive's text, KV_E_LIMIT (headers of one entry above
 * KV_TAR_HEADER_MAX, a zstd window above 32 MiB), KV_E_NOMEM, those of pull.
 * Threads: one at a time. Source: POSIX.1-2017 pax, GNU tar's extensions.
 */
typedef struct kv_tar_reader kv_tar_reader;
KV_MUST_CHECK kv_code kv_tar_open(kv_tar_filter filter, kv_pull_fn *pull, void *ctx,
                                  kv_tar_reader **out, kv_error *err);
/** The same over a source that can skip; worth it for KV_TAR_PLAIN alone. skip NULL: it cannot. */
KV_MUST_CHECK kv_code kv_tar_open_skipping(kv_tar_filter filter, kv_pull_fn *pull, kv_skip_fn *skip,
                                           void *ctx, kv_tar_reader **out, kv_error *err);
/** The next entry; *out_more false at the end. What is left of the last one is skipped. */
KV_MUST_CHECK kv_code kv_tar_next(kv_tar_reader *r, kv_tar_entry *out, bool *out_more,
                                  kv_error *err);
/** A piece of the entry's content, borrowed until the next call, at its offset in the file (holes
 * of sparse files are left out); *out_n is 0 at the end. */
KV_MUST_CHECK kv_code kv_tar_read(kv_tar_reader *r, const void **out_p, size_t *out_n,
                                  uint64_t *out_off, kv_error *err);
void kv_tar_close(kv_tar_reader *r);
KV_DEFINE_AUTO(kv_tar_reader, kv_tar_close)

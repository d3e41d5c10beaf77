#pragma once
/*
 * Where the files of an uncompressed tar archive lie, so that they can be read at random. For archives
 * of layouts, not for unpacking: links, devices and holes are not followed.
 */
#include "base/str.h"

#define KV_TAR_ENTRIES_MAX 1000000u /* entries of one archive that are looked at; own */

/** Exactly n bytes at off. */
typedef kv_code kv_tar_pread_fn(void *ctx, void *dst, size_t n, uint64_t off, kv_error *err);
typedef struct kv_tar_place { /* path borrowed for the call: without "./" at its start */
    kv_sv path;
    uint64_t offset, size; /* of the content, bytes from the start of the archive */
} kv_tar_place;
typedef kv_code kv_tar_place_fn(void *ctx, const kv_tar_place *p, kv_error *err);

/**
 * Calls fn for each regular file of an archive of total bytes, in its order; only headers are read.
 * An archive may end without its zero blocks. Names and sizes come from ustar, pax and GNU headers.
 * Errors: KV_E_CORRUPT (a header that is none, content behind the end), KV_E_LIMIT, KV_E_UNSUPPORTED
 * (a sparse file), those of read and fn. Threads: pure but for the callbacks.
 * Source: POSIX.1-2017 pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format".
 */
KV_MUST_CHECK kv_code kv_tar_places(uint64_t total, kv_tar_pread_fn *read, void *read_ctx,
                                    kv_tar_place_fn *fn, void *fn_ctx, kv_error *err);

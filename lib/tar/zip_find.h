#pragma once
/* Whether a ZIP archive has an entry, by its central directory; nothing is ever decompressed. */
#include "base/str.h"

/** Exactly n bytes from offset on; those of the archive are asked for only. */
typedef kv_code kv_pread_fn(void *ctx, uint64_t offset, void *dst, size_t n, kv_error *err);

/**
 * Looks for an entry whose name is exactly name. size is that of the archive in bytes.
 * Memory: 64 KiB, whatever the archive. Errors: KV_E_CORRUPT "not a ZIP archive: ...", those of read.
 * Threads: pure. Source: APPNOTE.TXT 6.3 of PKWARE, 4.3.12 to 4.3.16, ZIP64 included.
 */
KV_MUST_CHECK kv_code kv_zip_find(kv_pread_fn *read, void *ctx, uint64_t size, kv_sv name,
                                  bool *out_found, kv_error *err);

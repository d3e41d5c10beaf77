#pragma once
/*
 * Immutable bytes by name, the least recently used dropped first. For what is found under its
 * digest, and so never stale. Threads: shared.
 */
#include "base/str.h"

typedef struct kv_byte_cache kv_byte_cache;
typedef struct kv_bytes kv_bytes; /* one entry, held */

/** At most max_bytes of content in all, entries of at most max_entry. NULL: no memory. */
kv_byte_cache *kv_byte_cache_new(size_t max_bytes, size_t max_entry);
void kv_byte_cache_free(kv_byte_cache *c); /* entries still held live on; NULL is fine */

/** The entry of that name, or NULL; released with kv_bytes_release. */
kv_bytes *kv_byte_cache_get(kv_byte_cache *c, kv_sv name);
/** Keeps a copy unless it is too large, and returns it, held; NULL: no memory. */
kv_bytes *kv_byte_cache_put(kv_byte_cache *c, kv_sv name, kv_sv bytes);
kv_sv kv_bytes_sv(const kv_bytes *b);
void kv_bytes_release(kv_bytes *b); /* NULL is fine */
KV_DEFINE_AUTO(kv_bytes, kv_bytes_release)

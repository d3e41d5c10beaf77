#pragma once
/* Streaming digests whose state can be stored and taken up again by another process. */
#include "kitvault/digest.h"

/** A running digest; caller's storage, by value, nothing to free. Threads: one at a time. */
typedef struct kv_hasher {
    kv_digest_alg alg;
    union {
        uint64_t align;
        uint8_t bytes[224]; /* SHA512_CTX of OpenSSL is 216 bytes */
    } state;
} kv_hasher;

void kv_hasher_init(kv_hasher *h, kv_digest_alg alg);
void kv_hasher_add(kv_hasher *h, const void *p, size_t n);
/** Finishes; h must be initialised again before further use. */
void kv_hasher_end(kv_hasher *h, kv_digest *out);
/** One call for bytes in memory. */
kv_digest kv_digest_of(kv_digest_alg alg, kv_sv bytes);
/** Hears of each n bytes that were read; what it returns stops. */
typedef kv_code kv_hash_heard(void *ctx, size_t n, kv_error *err);
/** The digest of what is left of fd. Errors: KV_E_IO "cannot read it", of heard. Memory: 256 KiB. */
KV_MUST_CHECK kv_code kv_hash_fd(int fd, kv_digest_alg alg, kv_hash_heard *heard, void *ctx,
                                 kv_digest *out, kv_error *err);

#define KV_HASHER_STATE_MAX 256
/** The running state as bytes, for a database row: version, algorithm, mid-state. Returns its length. */
size_t kv_hasher_save(const kv_hasher *h, uint8_t out[KV_HASHER_STATE_MAX]);
/** Errors: KV_E_CORRUPT when the bytes are not a state this build wrote. */
KV_MUST_CHECK kv_code kv_hasher_load(kv_hasher *h, kv_sv state, kv_error *err);

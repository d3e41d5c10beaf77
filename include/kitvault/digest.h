#pragma once
/* Content digests: "sha256:HEX" and "sha512:HEX". */
#include "kitvault/error.h"
#include "kitvault/sv.h"

typedef enum kv_digest_alg { KV_SHA256 = 1, KV_SHA512 = 2 } kv_digest_alg;

#define KV_DIGEST_BYTES_MAX 64
#define KV_DIGEST_TEXT_MAX (7 + 128 + 1) /* "sha512:" + 128 hex digits + NUL */

/** A digest by value. bytes beyond the algorithm's length are zero, so memcmp compares. */
typedef struct kv_digest {
    kv_digest_alg alg; /* 0: no digest */
    uint8_t bytes[KV_DIGEST_BYTES_MAX];
} kv_digest;

typedef struct kv_digest_text { /* a digest as text, by value, for printf */
    char s[KV_DIGEST_TEXT_MAX];
} kv_digest_text;

/**
 * Parses "sha256:HEX" or "sha512:HEX" with exactly 64 or 128 lower-case hex digits.
 * Errors: KV_E_SYNTAX (not of the form ALGORITHM:ENCODED, or wrong hex), KV_E_UNSUPPORTED (well
 * formed, another algorithm). Threads: pure. Source: OCI image-spec, descriptor.md, "Digests".
 */
KV_API KV_MUST_CHECK kv_code kv_digest_parse(kv_sv text, kv_digest *out, kv_error *err);
/** The canonical text: kv_digest_str(&d).s */
KV_API kv_digest_text kv_digest_str(const kv_digest *d);
KV_API bool kv_digest_eq(const kv_digest *a, const kv_digest *b);
/** Bytes of the algorithm's output: 32 or 64. */
KV_API size_t kv_digest_size(kv_digest_alg alg);
/** "sha256" or "sha512". */
KV_API const char *kv_digest_alg_name(kv_digest_alg alg);

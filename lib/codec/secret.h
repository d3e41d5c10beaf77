#pragma once
/* Passwords and keys: the part of libsodium the hub and the client use. */
#include "base/str.h"

#define KV_PASSWORD_HASH_MAX 128
#define KV_MAC_BYTES 32

/**
 * Argon2id with 19 MiB, two passes, one lane; takes some tens of milliseconds on purpose, so bound
 * how many run at once. out is the usual text form ($argon2id$v=19$m=...).
 * Errors: KV_E_NOMEM. Threads: pure. Source: OWASP password storage, RFC 9106.
 */
KV_MUST_CHECK kv_code kv_password_hash(kv_sv password, char out[KV_PASSWORD_HASH_MAX],
                                       kv_error *err);
/** True when password belongs to hash, which takes as long as making it did. */
bool kv_password_verify(const char *hash, kv_sv password);
/** A new password of 24 letters and digits without look-alikes: 120 bits. */
#define KV_PASSWORD_NEW_MAX 25
void kv_password_new(char out[KV_PASSWORD_NEW_MAX]);

/** HMAC-SHA-256. key: KV_MAC_BYTES bytes. */
void kv_mac(const void *key, kv_sv data, uint8_t out[KV_MAC_BYTES]);
/** The same with a key of any length, as protocols of others have. */
void kv_mac_with(kv_sv key, kv_sv data, uint8_t out[KV_MAC_BYTES]);
/** Compares in a time that does not tell where they differ. */
bool kv_secret_eq(const void *a, const void *b, size_t n);
/** Zeroes memory the compiler must not skip; NULL with 0 is fine. */
void kv_wipe(void *p, size_t n);
/** Wipes and clears a buffer that held a secret. */
void kv_wipe_buf(kv_buf *b);
#define kv_auto_secret_buf KV_CLEANUP(kv_wipe_buf) kv_buf

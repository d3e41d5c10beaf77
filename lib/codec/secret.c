#include "codec/secret.h"

#include <assert.h>
#include <sodium.h>

#include "base/clock.h"

static_assert(KV_PASSWORD_HASH_MAX >= crypto_pwhash_STRBYTES, "room for the text form");
static_assert(KV_MAC_BYTES == crypto_auth_hmacsha256_BYTES, "size of a MAC");
static_assert(KV_MAC_BYTES == crypto_auth_hmacsha256_KEYBYTES, "size of a key");

enum { PASSES = 2, MEMORY_BYTES = 19 << 20 };

kv_code kv_password_hash(kv_sv password, char out[KV_PASSWORD_HASH_MAX], kv_error *err)
{
    if (sodium_init() < 0) return kv_fail(err, KV_E_INTERNAL, "libsodium does not start");
    if (crypto_pwhash_str_alg(out, password.p ? password.p : "", password.n, PASSES, MEMORY_BYTES,
                              crypto_pwhash_ALG_ARGON2ID13) != 0)
        return kv_fail(err, KV_E_NOMEM, "out of memory for hashing a password");
    return KV_OK;
}

bool kv_password_verify(const char *hash, kv_sv password)
{
    return sodium_init() >= 0 &&
           crypto_pwhash_str_verify(hash, password.p ? password.p : "", password.n) == 0;
}

void kv_password_new(char out[KV_PASSWORD_NEW_MAX])
{
    static const char ALPHABET[] = "23456789abcdefghijkmnpqrstuvwxyz"; /* 32: no bias */
    static_assert(sizeof(ALPHABET) - 1 == 32, "a power of two");
    uint8_t bytes[KV_PASSWORD_NEW_MAX - 1];
    kv_random(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++) out[i] = ALPHABET[bytes[i] % 32];
    out[sizeof(bytes)] = '\0';
    kv_wipe(bytes, sizeof(bytes));
}

void kv_mac(const void *key, kv_sv data, uint8_t out[KV_MAC_BYTES])
{
    (void)crypto_auth_hmacsha256(out, (const unsigned char *)(data.p ? data.p : ""), data.n, key);
}

void kv_mac_with(kv_sv key, kv_sv data, uint8_t out[KV_MAC_BYTES])
{
    crypto_auth_hmacsha256_state state;
    (void)crypto_auth_hmacsha256_init(&state, (const unsigned char *)(key.p ? key.p : ""), key.n);
    (void)crypto_auth_hmacsha256_update(&state, (const unsigned char *)(data.p ? data.p : ""),
                                        data.n);
    (void)crypto_auth_hmacsha256_final(&state, out);
    kv_wipe(&state, sizeof(state));
}

bool kv_secret_eq(const void *a, const void *b, size_t n)
{
    return sodium_memcmp(a, b, n) == 0;
}

void kv_wipe(void *p, size_t n)
{
    if (n) sodium_memzero(p, n);
}

void kv_wipe_buf(kv_buf *b)
{
    kv_wipe(b->p, b->cap);
    kv_buf_clear(b);
}

#include "codec/sha1.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdlib.h>

struct kv_sha1 {
    EVP_MD_CTX *ctx;
};

kv_sha1 *kv_sha1_new(void)
{
    kv_auto(kv_sha1) h = calloc(1, sizeof(*h));
    if (!h) return NULL;
    h->ctx = EVP_MD_CTX_new();
    if (!h->ctx || EVP_DigestInit_ex(h->ctx, EVP_sha1(), NULL) != 1) return NULL;
    return KV_TAKE(h);
}

void kv_sha1_add(kv_sha1 *h, const void *p, size_t n)
{
    int ok = EVP_DigestUpdate(h->ctx, p, n);
    assert(ok == 1);
    (void)ok;
}

void kv_sha1_end(kv_sha1 *h, uint8_t out[KV_SHA1_BYTES])
{
    unsigned n = KV_SHA1_BYTES;
    int ok = EVP_DigestFinal_ex(h->ctx, out, &n);
    assert(ok == 1 && n == KV_SHA1_BYTES);
    (void)ok;
}

void kv_sha1_free(kv_sha1 *h)
{
    if (!h) return;
    EVP_MD_CTX_free(h->ctx);
    free(h);
}

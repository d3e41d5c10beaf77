/* The one place that touches OpenSSL's low-level SHA contexts: EVP contexts cannot be stored, and a
 * resumable upload needs a running digest that another process continues. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "codec/hasher.h"

#include <assert.h>
#include <errno.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "codec/text.h"

enum { HASH_BLOCK_BYTES = 256 * 1024 };

static_assert(sizeof(SHA256_CTX) <= sizeof(((kv_hasher *)0)->state.bytes), "room for the state");
static_assert(sizeof(SHA512_CTX) <= sizeof(((kv_hasher *)0)->state.bytes), "room for the state");

static SHA256_CTX *sha256(kv_hasher *h)
{
    return (SHA256_CTX *)(void *)h->state.bytes;
}

static SHA512_CTX *sha512(kv_hasher *h)
{
    return (SHA512_CTX *)(void *)h->state.bytes;
}

size_t kv_digest_size(kv_digest_alg alg)
{
    return alg == KV_SHA512 ? 64 : 32;
}

const char *kv_digest_alg_name(kv_digest_alg alg)
{
    return alg == KV_SHA512 ? "sha512" : "sha256";
}

static bool grammar_ok(kv_sv alg, kv_sv encoded)
{
    bool part = false; /* inside a component */
    for (size_t i = 0; i < alg.n; i++) {
        char c = alg.p[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!word && (!part || !c || !strchr("+._-", c))) return false;
        part = word;
    }
    for (size_t i = 0; i < encoded.n; i++) {
        char c = encoded.p[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!word && c != '=' && c != '_' && c != '-') return false;
    }
    return part && encoded.n > 0;
}

kv_code kv_digest_parse(kv_sv text, kv_digest *out, kv_error *err)
{
    kv_sv alg, encoded;
    bool found;
    encoded = kv_sv_cut(text, ':', &alg, &found);
    *out = (kv_digest){0};
    if (!found || !grammar_ok(alg, encoded))
        return kv_fail(err, KV_E_SYNTAX, "invalid digest '%.*s'", KV_ARG(kv_sv_sub(text, 0, 200)));
    kv_digest d = {0};
    if (kv_sv_is(alg, "sha256"))
        d.alg = KV_SHA256;
    else if (kv_sv_is(alg, "sha512"))
        d.alg = KV_SHA512;
    else
        return kv_fail(err, KV_E_UNSUPPORTED, "unsupported digest algorithm '%.*s'",
                       KV_ARG(kv_sv_sub(alg, 0, 64)));
    if (!kv_hex_parse(encoded, d.bytes, kv_digest_size(d.alg)))
        return kv_fail(err, KV_E_SYNTAX,
                       "invalid digest '%.*s': expected %zu lower-case hex digits",
                       KV_ARG(kv_sv_sub(text, 0, 200)), 2 * kv_digest_size(d.alg));
    *out = d;
    return KV_OK;
}

kv_digest_text kv_digest_str(const kv_digest *d)
{
    static const char HEX[] = "0123456789abcdef";
    kv_digest_text t = {0};
    if (!d->alg) return t;
    memcpy(t.s, kv_digest_alg_name(d->alg), 6);
    t.s[6] = ':';
    for (size_t i = 0; i < kv_digest_size(d->alg); i++) {
        t.s[7 + 2 * i] = HEX[d->bytes[i] >> 4];
        t.s[8 + 2 * i] = HEX[d->bytes[i] & 15];
    }
    return t;
}

bool kv_digest_eq(const kv_digest *a, const kv_digest *b)
{
    return a->alg == b->alg && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

void kv_hasher_init(kv_hasher *h, kv_digest_alg alg)
{
    *h = (kv_hasher){.alg = alg};
    if (alg == KV_SHA512)
        SHA512_Init(sha512(h));
    else
        SHA256_Init(sha256(h));
}

void kv_hasher_add(kv_hasher *h, const void *p, size_t n)
{
    if (h->alg == KV_SHA512)
        SHA512_Update(sha512(h), p, n);
    else
        SHA256_Update(sha256(h), p, n);
}

void kv_hasher_end(kv_hasher *h, kv_digest *out)
{
    *out = (kv_digest){.alg = h->alg};
    if (h->alg == KV_SHA512)
        SHA512_Final(out->bytes, sha512(h));
    else
        SHA256_Final(out->bytes, sha256(h));
}

kv_digest kv_digest_of(kv_digest_alg alg, kv_sv bytes)
{
    kv_hasher h;
    kv_digest d;
    kv_hasher_init(&h, alg);
    kv_hasher_add(&h, bytes.p, bytes.n);
    kv_hasher_end(&h, &d);
    return d;
}

/* State: "KVH1", algorithm byte, then the context as this build lays it out. It is stored only in
 * a hub's table of running uploads, whose rows do not outlive an upgrade by more than a day; the
 * length check refuses a context of another layout. */
static const char MAGIC[4] = {'K', 'V', 'H', '1'};

static size_t context_size(kv_digest_alg alg)
{
    return alg == KV_SHA512 ? sizeof(SHA512_CTX) : sizeof(SHA256_CTX);
}

size_t kv_hasher_save(const kv_hasher *h, uint8_t out[KV_HASHER_STATE_MAX])
{
    memcpy(out, MAGIC, sizeof(MAGIC));
    out[4] = (uint8_t)h->alg;
    memcpy(out + 5, h->state.bytes, context_size(h->alg));
    return 5 + context_size(h->alg);
}

kv_code kv_hasher_load(kv_hasher *h, kv_sv state, kv_error *err)
{
    kv_rd rd = {.p = state.p, .left = state.n};
    kv_sv magic = kv_rd_take(&rd, sizeof(MAGIC));
    uint8_t alg = kv_rd_u8(&rd);
    if (rd.bad || !kv_sv_eq(magic, (kv_sv){MAGIC, sizeof(MAGIC)}) ||
        (alg != KV_SHA256 && alg != KV_SHA512) || rd.left != context_size((kv_digest_alg)alg))
        return kv_fail(err, KV_E_CORRUPT, "stored digest state is damaged");
    *h = (kv_hasher){.alg = (kv_digest_alg)alg};
    memcpy(h->state.bytes, rd.p, rd.left);
    /* num counts buffered bytes and is used as an index. */
    if ((alg == KV_SHA256 && sha256(h)->num >= SHA256_CBLOCK) ||
        (alg == KV_SHA512 && sha512(h)->num >= SHA512_CBLOCK))
        return kv_fail(err, KV_E_CORRUPT, "stored digest state is damaged");
    return KV_OK;
}

kv_code kv_hash_fd(int fd, kv_digest_alg alg, kv_hash_heard *heard, void *ctx, kv_digest *out,
                   kv_error *err)
{
    kv_hasher h;
    kv_auto_str block = malloc(HASH_BLOCK_BYTES);
    if (!block) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_hasher_init(&h, alg);
    for (;;) {
        ssize_t n = read(fd, block, HASH_BLOCK_BYTES);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return kv_fail_sys(err, "cannot read it");
        if (n == 0) break;
        kv_hasher_add(&h, block, (size_t)n);
        KV_TRY(heard(ctx, (size_t)n, err));
    }
    kv_hasher_end(&h, out);
    return KV_OK;
}

#include "codec/merkle.h"

#include <string.h>

#include "codec/hasher.h"

static kv_hash32 end(kv_hasher *h)
{
    kv_digest d;
    kv_hash32 out;
    kv_hasher_end(h, &d);
    memcpy(out.b, d.bytes, sizeof out.b);
    return out;
}

kv_hash32 kv_merkle_empty(void)
{
    kv_hasher h;
    kv_hasher_init(&h, KV_SHA256);
    return end(&h);
}

kv_hash32 kv_merkle_leaf(kv_sv leaf)
{
    kv_hasher h;
    kv_hasher_init(&h, KV_SHA256);
    kv_hasher_add(&h, "\0", 1);
    if (leaf.n) kv_hasher_add(&h, leaf.p, leaf.n);
    return end(&h);
}

kv_hash32 kv_merkle_node(const kv_hash32 *l, const kv_hash32 *r)
{
    kv_hasher h;
    kv_hasher_init(&h, KV_SHA256);
    kv_hasher_add(&h, "\1", 1);
    kv_hasher_add(&h, l->b, sizeof l->b);
    kv_hasher_add(&h, r->b, sizeof r->b);
    return end(&h);
}

size_t kv_merkle_places(uint64_t size, kv_merkle_place out[KV_MERKLE_LEVELS])
{
    size_t n = 0;
    for (unsigned level = KV_MERKLE_LEVELS; level-- > 0;)
        if (size >> level & 1)
            out[n++] = (kv_merkle_place){.level = level, .idx = (size >> level) - 1};
    return n;
}

kv_hash32 kv_merkle_fold(const kv_hash32 *hashes, size_t n)
{
    if (n == 0) return kv_merkle_empty();
    kv_hash32 root = hashes[n - 1];
    for (size_t i = n - 1; i-- > 0;) root = kv_merkle_node(&hashes[i], &root);
    return root;
}

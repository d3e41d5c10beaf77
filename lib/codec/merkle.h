#pragma once
/*
 * Hashes of an append-only log's tree. A tree of size n is the fold of its complete subtrees, one
 * per bit of n: node (level, idx) covers leaves [idx << level, (idx + 1) << level) and never
 * changes once it exists. Pure. Source: RFC 6962 section 2.1.
 */
#include "base/str.h"

#define KV_MERKLE_BYTES 32
#define KV_MERKLE_LEVELS 63 /* a size fits into an int64_t */
typedef struct kv_hash32 {
    uint8_t b[KV_MERKLE_BYTES];
} kv_hash32;

kv_hash32 kv_merkle_empty(void);                                  /* SHA-256("") */
kv_hash32 kv_merkle_leaf(kv_sv leaf);                             /* SHA-256(0x00 || leaf) */
kv_hash32 kv_merkle_node(const kv_hash32 *l, const kv_hash32 *r); /* SHA-256(0x01 || l || r) */

/** Where the complete subtrees of a tree of `size` leaves are, the largest first. */
typedef struct kv_merkle_place {
    unsigned level;
    uint64_t idx;
} kv_merkle_place;
size_t kv_merkle_places(uint64_t size, kv_merkle_place out[KV_MERKLE_LEVELS]);
/** The root from the hashes at those places; n 0: the empty tree's. */
kv_hash32 kv_merkle_fold(const kv_hash32 *hashes, size_t n);

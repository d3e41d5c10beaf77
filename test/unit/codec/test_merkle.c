#include "codec/merkle.h"
#include "codec/text.h"
#include "test/test.h"

/* The tree of the reference implementation of RFC 6962: certificate-transparency,
 * merkletree/merkle_tree_test.cc. */
static const kv_sv LEAVES[] = {
    KV_SV_INIT(""),
    KV_SV_INIT("\x00"),
    KV_SV_INIT("\x10"),
    KV_SV_INIT("\x20\x21"),
    KV_SV_INIT("\x30\x31"),
    KV_SV_INIT("\x40\x41\x42\x43"),
    KV_SV_INIT("\x50\x51\x52\x53\x54\x55\x56\x57"),
    KV_SV_INIT("\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f"),
};
static const char *const ROOTS[] = {
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
};

static kv_hash32 node(unsigned level, uint64_t idx)
{
    if (level == 0) return kv_merkle_leaf(LEAVES[idx]);
    kv_hash32 l = node(level - 1, 2 * idx), r = node(level - 1, 2 * idx + 1);
    return kv_merkle_node(&l, &r);
}

static void roots(void **state)
{
    (void)state;
    for (uint64_t size = 0; size < KV_COUNT(ROOTS); size++) {
        kv_merkle_place at[KV_MERKLE_LEVELS];
        kv_hash32 hashes[KV_MERKLE_LEVELS];
        size_t n = kv_merkle_places(size, at);
        for (size_t i = 0; i < n; i++) hashes[i] = node(at[i].level, at[i].idx);
        kv_hash32 root = kv_merkle_fold(hashes, n);
        kv_auto_buf hex = KV_BUF(65);
        kv_hex_add(&hex, root.b, sizeof(root.b));
        if (!kv_sv_is(kv_buf_sv(&hex), ROOTS[size]))
            fail_msg("size %d: %s", (int)size, hex.p ? hex.p : "");
    }
}

static void places(void **state)
{
    (void)state;
    kv_merkle_place at[KV_MERKLE_LEVELS];
    assert_int_equal(kv_merkle_places(0, at), 0);
    assert_int_equal(kv_merkle_places(11, at), 3); /* 8 + 2 + 1 */
    assert_int_equal(at[0].level, 3);
    assert_int_equal(at[0].idx, 0);
    assert_int_equal(at[1].level, 1);
    assert_int_equal(at[1].idx, 4);
    assert_int_equal(at[2].level, 0);
    assert_int_equal(at[2].idx, 10);
    assert_int_equal(kv_merkle_places(INT64_MAX, at), KV_MERKLE_LEVELS);
}

KV_TEST_MAIN(cmocka_unit_test(roots), cmocka_unit_test(places))

#include "codec/aside.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test/test.h"

/* Pieces of every awkward size, against one call. */
static void hashes_as_in_one_go(void **state)
{
    (void)state;
    enum { N = 3 << 20 };
    static const size_t PIECES[] = {1, 7, 4096, 65537, 262144, 262145, 1000003};
    uint8_t *data = malloc(N);
    assert_non_null(data);
    for (size_t i = 0; i < N; i++) data[i] = (uint8_t)(i * 2654435761u >> 13);
    kv_digest want = kv_digest_of(KV_SHA256, (kv_sv){(const char *)data, N});
    for (size_t i = 0; i < sizeof(PIECES) / sizeof(PIECES[0]); i++) {
        kv_hashing h = {0};
        kv_digest got;
        size_t step = PIECES[i], at = step < 100 ? N - 1000 : 5;
        kv_hasher_init(&h.hasher, KV_SHA256);
        kv_hashing_add(&h, data, at); /* begun before */
        kv_hashing_aside(&h);
        assert_true(h.aside || sysconf(_SC_NPROCESSORS_ONLN) < 2);
        for (size_t n; at < N; at += n) {
            n = N - at < step ? N - at : step;
            kv_hashing_add(&h, data + at, n);
        }
        kv_hasher_end(kv_hashing_join(&h), &got);
        assert_null(h.aside);
        if (!kv_digest_eq(&got, &want)) fail_msg("pieces of %zu bytes", step);
    }
    free(data);
}

static void only_so_many_at_once(void **state)
{
    (void)state;
    enum { MANY = 100 };
    kv_hashing all[MANY] = {0};
    size_t most[2] = {0};
    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < MANY; i++) {
            kv_hasher_init(&all[i].hasher, KV_SHA512);
            kv_hashing_aside(&all[i]);
            if (all[i].aside) most[round]++;
        }
        kv_digest empty = kv_digest_of(KV_SHA512, KV_SV("")), got;
        for (size_t i = 0; i < MANY; i++) {
            kv_hasher_end(kv_hashing_join(&all[i]), &got);
            assert_true(kv_digest_eq(&got, &empty));
        }
    }
    assert_true(most[0] < MANY);
    assert_int_equal(most[0], most[1]); /* all were given back */
}

KV_TEST_MAIN(cmocka_unit_test(hashes_as_in_one_go), cmocka_unit_test(only_so_many_at_once))

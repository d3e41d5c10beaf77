#include "blob/aside.h"

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
        kv_hasher h;
        kv_digest got;
        size_t step = PIECES[i], at = step < 100 ? N - 1000 : 5;
        kv_hasher_init(&h, KV_SHA256);
        kv_hasher_add(&h, data, at); /* begun before */
        kv_aside *a = kv_aside_new(&h);
        if (!a) {
            assert_true(sysconf(_SC_NPROCESSORS_ONLN) < 2);
            break;
        }
        for (size_t n; at < N; at += n) {
            n = N - at < step ? N - at : step;
            kv_aside_add(a, data + at, n);
        }
        h = kv_aside_end(a);
        kv_hasher_end(&h, &got);
        if (!kv_digest_eq(&got, &want)) fail_msg("pieces of %zu bytes", step);
    }
    free(data);
}

static void only_so_many_at_once(void **state)
{
    (void)state;
    enum { MANY = 100 };
    kv_aside *all[MANY];
    kv_hasher h;
    size_t n = 0;
    kv_hasher_init(&h, KV_SHA512);
    while (n < MANY && (all[n] = kv_aside_new(&h))) n++;
    assert_true(n < MANY);
    size_t most = n;
    while (n) h = kv_aside_end(all[--n]);
    while (n < MANY && (all[n] = kv_aside_new(&h))) n++;
    assert_int_equal(n, most); /* all were given back */
    while (n) h = kv_aside_end(all[--n]);
    kv_digest empty = kv_digest_of(KV_SHA512, KV_SV("")), got;
    kv_hasher_end(&h, &got);
    assert_true(kv_digest_eq(&got, &empty));
}

KV_TEST_MAIN(cmocka_unit_test(hashes_as_in_one_go), cmocka_unit_test(only_so_many_at_once))

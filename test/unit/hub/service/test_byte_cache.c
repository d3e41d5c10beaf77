#include "hub/service/byte_cache.h"

#include <stdio.h>

#include "test/test.h"

static bool has(kv_byte_cache *c, kv_sv name)
{
    kv_auto(kv_bytes) b = kv_byte_cache_get(c, name);
    return b != NULL;
}

static void keeps_what_was_used_last(void **state)
{
    (void)state;
    enum { N = 20 };
    static const char CONTENT[1000];
    kv_byte_cache *c = kv_byte_cache_new(10 * 1200, 1000);
    for (int i = 0; i < N; i++) {
        char name[16];
        snprintf(name, sizeof(name), "%d", i);
        kv_bytes_release(kv_byte_cache_put(c, kv_sv_of(name), (kv_sv){CONTENT, sizeof(CONTENT)}));
        has(c, KV_SV("0")); /* used again and again */
    }
    assert_true(has(c, KV_SV("0")));
    assert_false(has(c, KV_SV("1")));
    assert_false(has(c, KV_SV("5")));
    assert_true(has(c, KV_SV("19")));
    kv_byte_cache_free(c);
}

static void what_is_held_lives_on(void **state)
{
    (void)state;
    kv_byte_cache *c = kv_byte_cache_new(1000, 500);
    kv_auto(kv_bytes) b = kv_byte_cache_put(c, KV_SV("a"), KV_SV("text"));
    kv_auto(kv_bytes) same = kv_byte_cache_get(c, KV_SV("a"));
    kv_auto(kv_bytes) twice = kv_byte_cache_put(c, KV_SV("a"), KV_SV("text"));
    kv_byte_cache_free(c);
    assert_true(kv_sv_is(kv_bytes_sv(b), "text"));
    assert_true(kv_sv_is(kv_bytes_sv(same), "text"));
    assert_true(kv_sv_is(kv_bytes_sv(twice), "text"));
}

static void large_things_only_pass_through(void **state)
{
    (void)state;
    static const char CONTENT[501];
    kv_byte_cache *c = kv_byte_cache_new(1000, 500);
    kv_auto(kv_bytes) b = kv_byte_cache_put(c, KV_SV("a"), (kv_sv){CONTENT, sizeof(CONTENT)});
    assert_int_equal(kv_bytes_sv(b).n, sizeof(CONTENT));
    assert_false(has(c, KV_SV("a")));
    kv_auto(kv_bytes) empty = kv_byte_cache_put(c, KV_SV("empty"), KV_SV(""));
    assert_int_equal(kv_bytes_sv(empty).n, 0);
    assert_true(has(c, KV_SV("empty")));
    kv_byte_cache_free(c);
}

KV_TEST_MAIN(cmocka_unit_test(keeps_what_was_used_last), cmocka_unit_test(what_is_held_lives_on),
             cmocka_unit_test(large_things_only_pass_through))

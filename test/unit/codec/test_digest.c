#include "codec/hasher.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "test/test.h"

#define EMPTY256 "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void parses(void **state)
{
    static const struct {
        const char *text;
        kv_code want;
    } CASES[] = {
        {EMPTY256, KV_OK},
        {"sha256:E3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", KV_E_SYNTAX},
        {"sha256:e3b0", KV_E_SYNTAX},
        {EMPTY256 "0", KV_E_SYNTAX},
        {"sha512:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", KV_E_SYNTAX},
        {"blake3:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
         KV_E_UNSUPPORTED},
        {"sha256+b64u:abc_-=", KV_E_UNSUPPORTED},
        {"", KV_E_SYNTAX},
        {":", KV_E_SYNTAX},
        {"sha256:", KV_E_SYNTAX},
        {"sha256", KV_E_SYNTAX},
        {"SHA256:00", KV_E_SYNTAX},
        {"sha256:../../etc/passwd", KV_E_SYNTAX},
        {"a++b:00", KV_E_SYNTAX},
        {"a+:00", KV_E_SYNTAX},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_digest d;
        kv_code got = kv_digest_parse(kv_sv_of(CASES[i].text), &d, NULL);
        if (got != CASES[i].want) fail_msg("'%s': %d", CASES[i].text, (int)got);
        if (got == KV_OK) assert_string_equal(kv_digest_str(&d).s, CASES[i].text);
    }
}

static void hashes(void **state)
{
    (void)state;
    kv_digest d = kv_digest_of(KV_SHA256, KV_SV(""));
    assert_string_equal(kv_digest_str(&d).s, EMPTY256);
    d = kv_digest_of(KV_SHA512, KV_SV("abc")); /* FIPS 180-4 example */
    assert_string_equal(kv_digest_str(&d).s,
                        "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                        "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

/* A stored state continues to the same digest, wherever it was cut. */
static void continues(void **state)
{
    (void)state;
    char text[300];
    for (size_t i = 0; i < sizeof(text); i++) text[i] = (char)(i * 7);
    for (int alg = KV_SHA256; alg <= KV_SHA512; alg++) {
        kv_digest want = kv_digest_of((kv_digest_alg)alg, (kv_sv){text, sizeof(text)});
        for (size_t cut = 0; cut <= sizeof(text); cut += 13) {
            kv_hasher a, b;
            uint8_t saved[KV_HASHER_STATE_MAX];
            kv_digest got;
            kv_hasher_init(&a, (kv_digest_alg)alg);
            kv_hasher_add(&a, text, cut);
            size_t n = kv_hasher_save(&a, saved);
            assert_int_equal(kv_hasher_load(&b, (kv_sv){(char *)saved, n}, NULL), KV_OK);
            kv_hasher_add(&b, text + cut, sizeof(text) - cut);
            kv_hasher_end(&b, &got);
            assert_true(kv_digest_eq(&want, &got));
            assert_int_equal(kv_hasher_load(&b, (kv_sv){(char *)saved, n - 1}, NULL), KV_E_CORRUPT);
        }
    }
}

KV_TEST_MAIN(cmocka_unit_test(parses), cmocka_unit_test(hashes), cmocka_unit_test(continues))

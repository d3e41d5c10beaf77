#include "codec/secret.h"

#include <string.h>

#include "codec/text.h"
#include "test/test.h"

static void passwords(void **state)
{
    (void)state;
    char hash[KV_PASSWORD_HASH_MAX], again[KV_PASSWORD_HASH_MAX];
    assert_int_equal(kv_password_hash(KV_SV("correct horse"), hash, NULL), KV_OK);
    assert_int_equal(kv_password_hash(KV_SV("correct horse"), again, NULL), KV_OK);
    assert_string_not_equal(hash, again); /* salted */
    assert_memory_equal(hash, "$argon2id$v=19$m=19456,t=2,p=1$", 31);
    assert_true(kv_password_verify(hash, KV_SV("correct horse")));
    assert_false(kv_password_verify(hash, KV_SV("correct horsf")));
    assert_false(kv_password_verify(hash, KV_SV("")));
    assert_false(kv_password_verify("not a hash", KV_SV("x")));
    assert_int_equal(kv_password_hash(KV_SV(""), hash, NULL), KV_OK);
    assert_true(kv_password_verify(hash, KV_SV("")));
}

static void new_passwords(void **state)
{
    (void)state;
    char a[KV_PASSWORD_NEW_MAX], b[KV_PASSWORD_NEW_MAX];
    kv_password_new(a);
    kv_password_new(b);
    assert_int_equal(strlen(a), 24);
    assert_string_not_equal(a, b);
    assert_int_equal(strspn(a, "23456789abcdefghijkmnpqrstuvwxyz"), 24);
}

/* RFC 4231 test case 2, its key padded to a key's length: HMAC pads with zeroes itself. */
static void mac(void **state)
{
    (void)state;
    char key[KV_MAC_BYTES] = "Jefe";
    uint8_t out[KV_MAC_BYTES], want[KV_MAC_BYTES];
    kv_mac(key, KV_SV("what do ya want for nothing?"), out);
    assert_true(kv_hex_parse(KV_SV("5bdcc146bf60754e6a042426089575c7"
                                   "5a003f089d2739839dec58b964ec3843"),
                             want, sizeof(want)));
    assert_true(kv_secret_eq(out, want, sizeof(want)));
    want[31] ^= 1;
    assert_false(kv_secret_eq(out, want, sizeof(want)));
    kv_wipe(out, sizeof(out));
    for (size_t i = 0; i < sizeof(out); i++) assert_int_equal(out[i], 0);
    kv_wipe(NULL, 0);
}

KV_TEST_MAIN(cmocka_unit_test(passwords), cmocka_unit_test(new_passwords), cmocka_unit_test(mac))

#include "remote/blobs.h"

#include <string.h>

#include "base/str.h"
#include "kitvault/report.h"
#include "test/test.h"

static kv_descriptor blob(uint8_t first, uint64_t size)
{
    kv_descriptor d = {.digest = {.alg = KV_SHA256, .bytes = {first}}, .size = size};
    return d;
}

static void lists_each_blob_once(void **state)
{
    static const struct {
        const char *name;
        uint8_t config; /* first byte of the digest; 0: none */
        uint8_t layers[6];
        const char *want; /* first bytes in the order of the list, as digits */
    } CASES[] = {
        {"config first, layers in their order", 9, {3, 1, 2}, "9312"},
        {"repeated", 9, {3, 1, 3, 1, 3}, "931"},
        {"config is a layer too", 1, {3, 1}, "31"},
        {"no config", 0, {2, 1}, "21"},
        {"nothing but a config", 9, {0}, "9"},
        {"nothing", 0, {0}, ""},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_descriptor layers[6];
        kv_manifest m = {.layers = layers};
        for (; m.n_layers < 6 && CASES[i].layers[m.n_layers]; m.n_layers++)
            layers[m.n_layers] = blob(CASES[i].layers[m.n_layers], 5);
        if (CASES[i].config) m.config = blob(CASES[i].config, 5);
        kv_auto_blob_list l = {0};
        assert_int_equal(kv_blob_list_of(&m, &l, NULL), KV_OK);
        char got[8] = "";
        for (size_t k = 0; k < l.n; k++) got[k] = (char)('0' + l.items[k]->digest.bytes[0]);
        if (strcmp(got, CASES[i].want) != 0) fail_msg("%s: %s", CASES[i].name, got);
    }
}

static void refuses_two_sizes(void **state)
{
    (void)state;
    kv_descriptor layers[] = {blob(1, 5), blob(2, 5), blob(1, 6)};
    kv_manifest m = {.layers = layers, .n_layers = 3};
    kv_auto_blob_list l = {0};
    assert_int_equal(kv_blob_list_of(&m, &l, NULL), KV_E_INVALID);
    m.n_layers = 1;
    m.config = blob(1, 7);
    assert_int_equal(kv_blob_list_of(&m, &l, NULL), KV_E_INVALID);
}

static void names_copies(void **state)
{
    (void)state;
    char buf[KV_COPYING_TEXT_MAX];
    kv_descriptor d = {.digest = {.alg = KV_SHA256, .bytes = {0x1c, 0x18, 0xa3, 0xe8, 0x22}}};
    assert_true(kv_sv_is(kv_copying_text(&d, buf), "Copying 1c18a3e8"));
}

KV_TEST_MAIN(cmocka_unit_test(lists_each_blob_once), cmocka_unit_test(refuses_two_sizes),
             cmocka_unit_test(names_copies))

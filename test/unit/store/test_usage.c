#include "kitvault/usage.h"

#include "codec/hasher.h"
#include "test/tmpdir.h"

static kv_descriptor put(kv_store *s, const char *media_type, const char *text)
{
    kv_descriptor d = {.media_type = kv_sv_of(media_type), .size = strlen(text)};
    assert_int_equal(kv_store_put(s, kv_sv_of(text), KV_STORE_MODE_PACKED, &d.digest, NULL, NULL),
                     KV_OK);
    return d;
}

/* Lists a kit of these layers under name; returns the size of its manifest. */
static size_t add(kv_store *s, const char *name, const char *config, const char *const *layers,
                  size_t n)
{
    kv_descriptor d[4], c = put(s, KV_MT_KIT_CONFIG, config);
    assert_true(n <= KV_COUNT(d));
    for (size_t i = 0; i < n; i++)
        d[i] = put(s, "application/vnd.kitops.modelkit.docs.v1.tar", layers[i]);
    kv_manifest_parts parts = KV_MANIFEST_PARTS_INIT;
    parts.artifact_type = KV_SV(KV_MT_KIT_MANIFEST);
    parts.config = c;
    parts.layers = d;
    parts.n_layers = n;
    kv_auto_str text = NULL;
    size_t text_n;
    kv_auto(kv_manifest) m = NULL;
    kv_auto_reference ref = {0};
    kv_error err = {0};
    assert_int_equal(kv_manifest_format(&parts, &text, &text_n, NULL), KV_OK);
    assert_int_equal(kv_store_put(s, (kv_sv){text, text_n}, KV_STORE_MODE_PACKED, NULL, NULL, NULL),
                     KV_OK);
    assert_int_equal(kv_manifest_parse((kv_sv){text, text_n}, KV_SV(""), &m, NULL), KV_OK);
    assert_int_equal(kv_reference_parse(kv_sv_of(name), &ref, NULL), KV_OK);
    if (kv_store_add(s, &ref, m, &err) != KV_OK) fail_msg("%s", err.msg);
    return text_n;
}

static void assert_sizes(const kv_kit_usage *u, uint64_t logical, uint64_t stored, uint64_t shared)
{
    if (u->logical != logical || u->stored != stored || u->shared != shared)
        fail_msg("%.*s: %llu %llu %llu", KV_ARG(u->name), (unsigned long long)u->logical,
                 (unsigned long long)u->stored, (unsigned long long)u->shared);
}

static void counts_shared_blobs_once(void **state)
{
    static const char *const ONE[] = {"12345", "1234567"}, *const TWO[] = {"12345", "x", "x"};
    kv_auto(kv_store) s = NULL;
    kv_auto(kv_usage) u = NULL;
    assert_int_equal(kv_store_open(*state, &s, NULL), KV_OK);
    size_t a = add(s, "a:v1", "{}", ONE, 2);
    size_t b = add(s, "b:v1", "{ }", TWO, 3); /* names one layer twice */
    assert_int_equal(kv_store_usage(s, NULL, &u, NULL), KV_OK);
    assert_int_equal(u->n, 2);
    assert_true(kv_sv_starts(u->kits[0].name, KV_SV("a@sha256:")));
    assert_sizes(&u->kits[0], a + 2 + 12, a + 2 + 12, 5);
    assert_sizes(&u->kits[1], b + 3 + 7, b + 3 + 6, 5);
    assert_sizes(&u->total, a + b + 5 + 19, a + b + 5 + 13, 5);
}

static void one_kit_in_two_places(void **state)
{
    static const char *const LAYERS[] = {"12345"};
    kv_auto(kv_store) s = NULL;
    kv_auto(kv_usage) u = NULL;
    assert_int_equal(kv_store_open(*state, &s, NULL), KV_OK);
    size_t a = add(s, "a:v1", "{}", LAYERS, 1);
    add(s, "b:v1", "{}", LAYERS, 1);
    add(s, "b:v2", "{}", LAYERS, 1); /* another tag is no other ModelKit */
    assert_int_equal(kv_store_usage(s, NULL, &u, NULL), KV_OK);
    assert_int_equal(u->n, 2);
    assert_sizes(&u->kits[1], a + 7, a + 7, a + 7);
    assert_sizes(&u->total, 2 * (a + 7), a + 7, a + 7);
}

static void what_is_missing_takes_nothing(void **state)
{
    static const char *const LAYERS[] = {"12345"};
    kv_auto(kv_store) s = NULL;
    kv_auto(kv_usage) u = NULL;
    assert_int_equal(kv_store_open(*state, &s, NULL), KV_OK);
    size_t a = add(s, "a:v1", "{}", LAYERS, 1);
    kv_digest d = kv_digest_of(KV_SHA256, KV_SV("12345"));
    char name[200];
    snprintf(name, sizeof(name), "storage/blobs/sha256/%s", kv_digest_str(&d).s + 7);
    assert_int_equal(unlink(tmpdir_path(*state, name)), 0);
    assert_int_equal(kv_store_usage(s, NULL, &u, NULL), KV_OK);
    assert_sizes(&u->total, a + 7, a + 2, 0);
}

static void failures(void **state)
{
    static const char *const LAYERS[] = {"12345"};
    kv_auto(kv_store) s = NULL;
    kv_auto(kv_usage) empty = NULL, u = NULL;
    kv_error err = {0};
    assert_int_equal(kv_store_open(*state, &s, NULL), KV_OK);
    assert_int_equal(kv_store_usage(s, NULL, &empty, NULL), KV_OK);
    assert_int_equal(empty->n, 0);
    add(s, "a:v1", "{}", LAYERS, 1);
    atomic_bool stop = true;
    const kv_report report = {.cancel = &stop};
    assert_int_equal(kv_store_usage(s, &report, &u, &err), KV_E_CANCELLED);
    kv_store_iter it = kv_store_begin(s);
    assert_true(kv_store_next(&it));
    char name[200];
    snprintf(name, sizeof(name), "storage/blobs/sha256/%s", kv_digest_str(&it.digest).s + 7);
    assert_int_equal(kv_store_end(&it, NULL), KV_OK);
    assert_int_equal(unlink(tmpdir_path(*state, name)), 0);
    assert_int_equal(kv_store_usage(s, NULL, &u, &err), KV_E_CORRUPT); /* listed and gone */
    assert_non_null(strstr(err.msg, "a@sha256:"));
    assert_null(u);
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, tmpdir_setup, tmpdir_teardown)
KV_TEST_MAIN(ROW(counts_shared_blobs_once), ROW(one_kit_in_two_places),
             ROW(what_is_missing_takes_nothing), ROW(failures))

#include "store/index.h"

#include <string.h>

#include "test/test.h"

#define D1 "sha256:1111111111111111111111111111111111111111111111111111111111111111"
#define D2 "sha256:2222222222222222222222222222222222222222222222222222222222222222"

static void parses(void **state)
{
    static const struct {
        const char *name;
        bool tags;
        const char *text;
        kv_code want;
        size_t n;
        const char *msg; /* a part of it */
    } CASES[] = {
        {"index", false, "{\"schemaVersion\":2,\"manifests\":[{\"digest\":\"" D1 "\",\"size\":3}]}",
         KV_OK, 1, NULL},
        {"no list", false, "{}", KV_OK, 0, NULL},
        {"null list", false, "{\"manifests\":null}", KV_OK, 0, NULL},
        {"tags", true,
         "{\"v1\":{\"digest\":\"" D1 "\",\"size\":3},\"v2\":{\"digest\":\"" D2 "\",\"size\":3}}",
         KV_OK, 2, NULL},
        {"another algorithm is kept", false,
         "{\"manifests\":[{\"digest\":\"sha384:00\",\"size\":3}]}", KV_OK, 1, NULL},
        {"not JSON", false, "{", KV_E_SYNTAX, 0, "FILE: "},
        {"empty file", false, "", KV_E_SYNTAX, 0, "FILE: "},
        {"a list", false, "[]", KV_E_INVALID, 0, "FILE: expected an object"},
        {"tags as a list", true, "[]", KV_E_INVALID, 0, "FILE: expected an object"},
        {"manifests is a text", false, "{\"manifests\":\"x\"}", KV_E_INVALID, 0,
         "FILE: manifests: expected a list"},
        {"entry without digest", false, "{\"manifests\":[{\"size\":3}]}", KV_E_INVALID, 0,
         "digest"},
        {"negative size", true, "{\"v1\":{\"digest\":\"" D1 "\",\"size\":-3}}", KV_E_INVALID, 0,
         "size"},
        {"bad digest", false, "{\"manifests\":[{\"digest\":\"sha256:12\",\"size\":3}]}",
         KV_E_SYNTAX, 0, "FILE: invalid digest"},
        {"tag twice", true,
         "{\"v1\":{\"digest\":\"" D1 "\",\"size\":3},\"v1\":{\"digest\":\"" D2 "\",\"size\":3}}",
         KV_E_INVALID, 0, "v1"},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto_store_list l = {0};
        kv_error err = {0};
        kv_sv text = kv_sv_of(CASES[i].text);
        kv_code rc = CASES[i].tags ? kv_store_tags_parse(text, "FILE", &l, &err)
                                   : kv_store_index_parse(text, "FILE", &l, &err);
        if (rc != CASES[i].want || l.n != CASES[i].n)
            fail_msg("%s: code %d, %zu entries, '%s'", CASES[i].name, (int)rc, l.n, err.msg);
        if (CASES[i].msg && !strstr(err.msg, CASES[i].msg))
            fail_msg("%s: '%s'", CASES[i].name, err.msg);
    }
}

/* Fields of newer kits survive our rewriting; ours come out as kit writes them. */
static void formats(void **state)
{
    (void)state;
    kv_auto_store_list l = {0};
    static const char IN[] = "{\"manifests\":[{\"mediaType\":\"m\",\"digest\":\"" D1
                             "\",\"size\":3,\"future\":{\"x\":[1e400]}}]}";
    assert_int_equal(kv_store_index_parse(kv_sv_of(IN), "FILE", &l, NULL), KV_OK);
    kv_store_entry e = {.media_type = KV_SV("m2"), .size = 4};
    assert_int_equal(kv_digest_parse(KV_SV(D2), &e.digest, NULL), KV_OK);
    assert_int_equal(kv_store_list_put(&l, &e, NULL), KV_OK);
    assert_int_equal(kv_store_list_put(&l, &e, NULL), KV_OK);
    assert_int_equal(l.n, 2);
    kv_auto_buf out = KV_BUF(10000);
    kv_store_index_format(&l, true, &out);
    assert_string_equal(
        out.p, "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\","
               "\"manifests\":[{\"mediaType\":\"m\",\"digest\":\"" D1
               "\",\"size\":3,\"future\":{\"x\":[1e400]}},{\"mediaType\":\"m2\",\"digest\":\"" D2
               "\",\"size\":4}]}");
    kv_store_list_drop(&l, 0);
    kv_buf_truncate(&out, 0);
    kv_store_index_format(&l, false, &out);
    assert_string_equal(out.p, "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"m2\","
                               "\"digest\":\"" D2 "\",\"size\":4}]}");
}

static void tags_are_sorted_and_move(void **state)
{
    (void)state;
    kv_auto_store_list l = {0};
    kv_store_entry e = {.media_type = KV_SV("m"), .size = 4};
    assert_int_equal(kv_digest_parse(KV_SV(D1), &e.digest, NULL), KV_OK);
    e.tag = KV_SV("z");
    assert_int_equal(kv_store_list_put(&l, &e, NULL), KV_OK);
    e.tag = KV_SV("a");
    assert_int_equal(kv_store_list_put(&l, &e, NULL), KV_OK);
    assert_int_equal(kv_digest_parse(KV_SV(D2), &e.digest, NULL), KV_OK);
    assert_int_equal(kv_store_list_put(&l, &e, NULL), KV_OK);
    kv_auto_buf out = KV_BUF(10000);
    kv_store_tags_format(&l, &out);
    assert_string_equal(out.p, "{\"a\":{\"mediaType\":\"m\",\"digest\":\"" D2 "\",\"size\":4},"
                               "\"z\":{\"mediaType\":\"m\",\"digest\":\"" D1 "\",\"size\":4}}");
}

static void names(void **state)
{
    static const struct {
        const char *file, *want; /* NULL: not a repository's index */
    } CASES[] = {
        {"bG9jYWxob3N0L3ZlYy9oZWxsbw==-index.json", "localhost/vec/hello"},
        {"bG9jYWxob3N0L18=-index.json", "localhost/_"},
        {"index.json", NULL},
        {"-index.json", NULL},
        {"bG9jYWxob3N0L3ZlYy9oZWxsbw-index.json", NULL}, /* no padding: not kit's */
        {"bG9jYWxob3N0L3ZlYy9oZWxsbw==-tags.json", NULL},
        {"bG9jYWxob3N0-index.json", NULL}, /* "localhost", no repository */
        {"####-index.json", NULL},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto_buf name = KV_BUF(1000);
        bool ok = kv_store_name_decode(kv_sv_of(CASES[i].file), &name);
        if (ok != (CASES[i].want != NULL)) fail_msg("%s", CASES[i].file);
        if (ok) assert_string_equal(name.p, CASES[i].want);
        if (!ok) assert_int_equal(name.n, 0);
    }
    kv_auto_buf stem = KV_BUF(1000);
    kv_store_name_encode(KV_SV("localhost"), KV_SV("vec/hello"), &stem);
    assert_string_equal(stem.p, "bG9jYWxob3N0L3ZlYy9oZWxsbw==");
}

KV_TEST_MAIN(cmocka_unit_test(parses), cmocka_unit_test(formats),
             cmocka_unit_test(tags_are_sorted_and_move), cmocka_unit_test(names))

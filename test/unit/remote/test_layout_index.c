#include "remote/layout_index.h"

#include <string.h>

#include "codec/hasher.h"
#include "test/test.h"

#define A "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static void parses(void **state)
{
    static const struct {
        const char *text;
        kv_code code;
        const char *want; /* in the error, or the number of entries */
    } CASES[] = {
        {"{}", KV_OK, "0"},
        {"{\"manifests\":null}", KV_OK, "0"},
        {"{\"manifests\":[{\"digest\":\"" A "\",\"size\":1}]}", KV_OK, "1"},
        {"{\"manifests\":[{\"digest\":\"md5:00\",\"size\":1}]}", KV_OK, "1"},
        {"", KV_E_SYNTAX, "index.json"},
        {"[]", KV_E_INVALID, "expected an object"},
        {"{\"manifests\":{}}", KV_E_INVALID, "manifests: expected a list"},
        {"{\"manifests\":[1]}", KV_E_INVALID, "manifests[0]"},
        {"{\"manifests\":[{\"size\":1}]}", KV_E_INVALID, "manifests[0].digest"},
        {"{\"manifests\":[{\"digest\":\"" A "\"}]}", KV_E_INVALID, "manifests[0].size"},
        {"{\"manifests\":[{\"digest\":\"" A "\",\"size\":-1}]}", KV_E_INVALID, "manifests[0].size"},
        {"{\"manifests\":[{\"digest\":\"sha256:00\",\"size\":1}]}", KV_E_SYNTAX, "manifests[0]"},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto_layout_index x = {0};
        kv_error err = {0};
        kv_code rc = kv_layout_index_parse(kv_sv_of(CASES[i].text), "index.json", &x, &err);
        if (rc != CASES[i].code || (rc != KV_OK && !strstr(err.msg, CASES[i].want)) ||
            (rc == KV_OK && x.n != (size_t)(CASES[i].want[0] - '0')))
            fail_msg("%s: code %d, '%s'", CASES[i].text, (int)rc, err.msg);
    }
}

static void put(kv_layout_index *x, const char *digest, const char *tag)
{
    kv_layout_entry e = {.tag = kv_sv_of(tag), .media_type = KV_SV("m"), .size = 7};
    assert_int_equal(kv_digest_parse(kv_sv_of(digest), &e.digest, NULL), KV_OK);
    assert_int_equal(kv_layout_index_put(x, &e, NULL), KV_OK);
}

/* "a:v1 b: " by first hex digit and tag */
static void check(const kv_layout_index *x, const char *want)
{
    kv_auto_buf got = KV_BUF(4096);
    for (size_t i = 0; i < x->n; i++)
        kv_buf_addf(&got, "%c:%.*s ", kv_digest_str(&x->items[i].digest).s[7],
                    KV_ARG(x->items[i].tag));
    assert_string_equal(got.p ? got.p : "", want);
}

static void tags_move(void **state)
{
    (void)state;
    kv_auto_layout_index x = {0};
    put(&x, A, "");
    put(&x, A, "");
    check(&x, "a: ");
    put(&x, A, "v1"); /* the entry without a tag gets it */
    check(&x, "a:v1 ");
    put(&x, A, "v2");
    put(&x, A, "v2");
    check(&x, "a:v1 a:v2 ");
    put(&x, B, "v2"); /* leaves a, which has another tag */
    check(&x, "a:v1 b:v2 ");
    put(&x, B, "v1"); /* a stays, without a tag */
    check(&x, "a: b:v2 b:v1 ");
    assert_non_null(kv_layout_find_tag(&x, KV_SV("v1")));
    assert_null(kv_layout_find_tag(&x, KV_SV("")));
    assert_null(kv_layout_find_tag(&x, KV_SV("v3")));
}

static void keeps_what_others_wrote(void **state)
{
    static const char TEXT[] = "{\"schemaVersion\":2,\"x\":1.50,\"manifests\":[{\"digest\":\"" A
                               "\",\"size\":1,\"platform\":{\"os\":\"linux\"},\"annotations\":"
                               "{\"k\":\"v\",\"org.opencontainers.image.ref.name\":\"v1\"}}]}";
    static const char WANT[] =
        "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"manifests\":"
        "[{\"digest\":\"" A
        "\",\"size\":1,\"platform\":{\"os\":\"linux\"},\"annotations\":{\"k\":\"v\"}},"
        "{\"mediaType\":\"m\",\"digest\":\"" B
        "\",\"size\":7,\"annotations\":{\"org.opencontainers.image.ref.name\":\"v1\"}}],\"x\":1.50}";
    (void)state;
    kv_auto_layout_index x = {0};
    kv_auto_buf out = KV_BUF(65536);
    assert_int_equal(kv_layout_index_parse(kv_sv_of(TEXT), "index.json", &x, NULL), KV_OK);
    put(&x, B, "v1");
    kv_layout_index_format(&x, &out);
    assert_string_equal(out.p, WANT);
}

KV_TEST_MAIN(cmocka_unit_test(parses), cmocka_unit_test(tags_move),
             cmocka_unit_test(keeps_what_others_wrote))

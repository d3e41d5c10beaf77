/* Config blobs: read leniently, written as they were. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "kitvault/kitfile.h"
#include "test/test.h"

#define D1 "sha256:1c18a3e8224688b90417b043728d5d82a39c78566fd63bfbe537a1b3611eaf3b"
#define D2 "sha256:e543f6d2970d06d029cda803f10259f8e78deff10d8bc12ba0cb3437e59f295c"
#define DIGESTS "\"digest\":\"" D1 "\",\"diffId\":\"" D2 "\""

static void comes_back_the_same(void **state)
{
    static const char *const CASES[] = {
        "{\"manifestVersion\":\"1.0.0\",\"package\":{}}",
        "{\"manifestVersion\":\"1.0.0\",\"package\":{\"name\":\"n\",\"version\":\"v\",\"description\":\"d\","
        "\"license\":\"l\",\"authors\":[\"Ann\",\"Bob \\u003cbob@example.com\\u003e\",\"\"]},"
        "\"model\":{\"name\":\"n\",\"path\":\"p\",\"license\":\"l\",\"framework\":\"w\",\"format\":\"f\","
        "\"version\":\"v\",\"description\":\"d\",\"parts\":[{\"name\":\"n\",\"path\":\"p\",\"license\":\"l\","
        "\"type\":\"t\"," DIGESTS
        "}],\"parameters\":{\"a\":[1,-2,1.5,1e-7,12345678901234567890,null,"
        "true,\"\\u2028\\u0007\"],\"b\":{}}," DIGESTS
        "},\"code\":[{\"path\":\"p\",\"description\":\"d\","
        "\"license\":\"l\"," DIGESTS
        "}],\"datasets\":[{\"name\":\"n\",\"path\":\"p\",\"remotePath\":\"r\","
        "\"remoteHash\":\"h\",\"description\":\"d\",\"license\":\"l\",\"parameters\":false," DIGESTS
        "}],\"docs\":[{\"path\":\"\",\"description\":\"d\"," DIGESTS
        "}],\"prompts\":[{\"name\":\"n\","
        "\"path\":\"p\",\"description\":\"d\"," DIGESTS
        "}],\"mcpServers\":[{\"name\":\"n\",\"path\":\"p\","
        "\"description\":\"d\"," DIGESTS "}]}",
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto(kv_kitfile) kf = NULL;
        kv_auto_str json = NULL;
        kv_error err = {0};
        size_t n = 0;
        if (kv_kitfile_parse_json(kv_sv_of(CASES[i]), &kf, &err) != KV_OK)
            fail_msg("%s: %s", CASES[i], err.msg);
        assert_int_equal(kv_kitfile_format_json(kf, &json, &n, NULL), KV_OK);
        assert_string_equal(json, CASES[i]);
    }
}

static void reads_leniently(void **state)
{
    static const struct {
        const char *json, *want;
    } CASES[] = {
        {"null", "{\"manifestVersion\":\"\",\"package\":{}}"},
        {"{}", "{\"manifestVersion\":\"\",\"package\":{}}"},
        {"{\"new\":[{\"x\":1}],\"model\":{\"path\":\"p\",\"later\":2}}",
         "{\"manifestVersion\":\"\",\"package\":{},\"model\":{\"path\":\"p\"}}"},
        {"{\"package\":null,\"model\":null,\"code\":null,\"docs\":[],\"manifestVersion\":null}",
         "{\"manifestVersion\":\"\",\"package\":{}}"},
        {"{\"model\":{\"digest\":\"\",\"diffId\":null,\"parameters\":null,\"name\":null}}",
         "{\"manifestVersion\":\"\",\"package\":{},\"model\":{}}"},
        {"{\"package\":{\"authors\":[null]},\"code\":[null]}",
         "{\"manifestVersion\":\"\",\"package\":{\"authors\":[\"\"]},\"code\":[{}]}"},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto(kv_kitfile) kf = NULL;
        kv_auto_str json = NULL;
        size_t n = 0;
        assert_int_equal(kv_kitfile_parse_json(kv_sv_of(CASES[i].json), &kf, NULL), KV_OK);
        assert_int_equal(kv_kitfile_format_json(kf, &json, &n, NULL), KV_OK);
        assert_string_equal(json, CASES[i].want);
    }
}

static void refuses(void **state)
{
    static const struct {
        const char *json;
        kv_code code;
        const char *want;
    } CASES[] = {
        {"", KV_E_SYNTAX, NULL},
        {"{", KV_E_SYNTAX, NULL},
        {"{} x", KV_E_SYNTAX, NULL},
        {"{\"model\":{},\"model\":{}}", KV_E_INVALID, NULL},
        {"[]", KV_E_INVALID, "Kitfile: expected object"},
        {"{\"manifestVersion\":1}", KV_E_INVALID, "manifestVersion: expected string"},
        {"{\"package\":[]}", KV_E_INVALID, "package: expected object"},
        {"{\"package\":{\"authors\":\"x\"}}", KV_E_INVALID, "package.authors: expected list"},
        {"{\"package\":{\"authors\":[\"x\",1]}}", KV_E_INVALID,
         "package.authors[1]: expected string"},
        {"{\"model\":{\"parts\":[{},{\"path\":true}]}}", KV_E_INVALID,
         "model.parts[1].path: expected string"},
        {"{\"model\":{\"parts\":{}}}", KV_E_INVALID, "model.parts: expected list"},
        {"{\"model\":7}", KV_E_INVALID, "model: expected object"},
        {"{\"code\":[1]}", KV_E_INVALID, "code[0]: expected object"},
        {"{\"model\":{\"digest\":\"sha256:12\"}}", KV_E_INVALID, "model.digest: expected digest"},
        {"{\"docs\":[{\"diffId\":5}]}", KV_E_INVALID, "docs[0].diffId: expected digest"},
        {"{\"model\":{\"parameters\":1e999}}", KV_E_LIMIT, "number 1e999 is too large"},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto(kv_kitfile) kf = NULL;
        kv_error err = {0};
        kv_code rc = kv_kitfile_parse_json(kv_sv_of(CASES[i].json), &kf, &err);
        if (rc != CASES[i].code || (CASES[i].want && strcmp(err.msg, CASES[i].want) != 0))
            fail_msg("'%s': %d '%s'", CASES[i].json, (int)rc, err.msg);
    }
}

static void selects(void **state)
{
    static const char JSON[] =
        "{\"manifestVersion\":\"1.0.0\",\"package\":{\"name\":\"vec\",\"authors\":[\"Ann\",\"Bob "
        "\\u003cb@x\\u003e\"]},\"model\":{\"path\":\"m.onnx\",\"parts\":[{\"path\":\"p\"}],"
        "\"description\":\"two\\nlines\",\"digest\":\"" D1
        "\"},\"datasets\":[{\"name\":\"t\",\"parameters\":"
        "{\"rows\":10,\"cols\":[\"a\",\"b\"]}},{\"name\":\"u\"}],\"docs\":[]}";
    static const struct {
        const char *field, *want; /* want begins with '!': the error */
    } CASES[] = {
        {"package.name", "vec\n"},
        {".package", "name: vec\nauthors: [Ann, Bob <b@x>]\n"},
        {"package.authors", "- Ann\n- Bob <b@x>\n"},
        {"package.license", "\"\"\n"},
        {"model", "path: m.onnx\ndescription: |-\n  two\n  lines\nparts:\n  - path: p\n"},
        {"Model.Path", "m.onnx\n"},
        {"model.description", "|-\n  two\n  lines\n"},
        {"model.parts", "- path: p\n"},
        {"model.parameters", "null\n"},
        {"model.digest", D1 "\n"},
        {"model.diffId", "\"\"\n"},
        {"datasets", "- name: t\n  parameters:\n    cols:\n      - a\n      - b\n    rows: 10\n"
                     "- name: u\n"},
        {"dataSets", "- name: t\n  parameters:\n    cols:\n      - a\n      - b\n    rows: 10\n"
                     "- name: u\n"},
        {"docs", "[]\n"},
        {"mcpServers", "[]\n"},
        {"manifestVersion", "1.0.0\n"},
        {"nope", "!error filtering output: cannot find required node"},
        {"model.nope", "!error filtering output: cannot find required node"},
        {"model.parts.path", "!error filtering output: cannot find required node"},
        {"datasets.parameters", "!error filtering output: cannot find required node"},
        {"model.path.x", "!error filtering output: cannot find required node"},
        {"code[0]", "!invalid filter: array access using '[]' is not currently supported"},
        {"a b", "!invalid filter: invalid filter: a b"},
        {"", "!invalid filter: invalid filter: "},
        {".", "!invalid filter: invalid filter: ."},
        {"a..b", "!invalid filter: invalid filter: a..b"},
        {"a.", "!invalid filter: invalid filter: a."},
        {"..a", "!invalid filter: invalid filter: ..a"},
    };
    (void)state;
    kv_auto(kv_kitfile) kf = NULL;
    assert_int_equal(kv_kitfile_parse_json(kv_sv_of(JSON), &kf, NULL), KV_OK);
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto_str out = NULL;
        kv_error err = {0};
        size_t n = 0;
        kv_code rc = kv_kitfile_select(kf, kv_sv_of(CASES[i].field), &out, &n, &err);
        const char *got = rc == KV_OK ? out : err.msg;
        const char *want = CASES[i].want + (rc == KV_OK ? 0 : 1);
        if ((rc == KV_OK) != (CASES[i].want[0] != '!') || strcmp(got, want) != 0)
            fail_msg("'%s': %d '%s'", CASES[i].field, (int)rc, got);
    }
}

static void selects_without_model(void **state)
{
    (void)state;
    kv_auto(kv_kitfile) kf = kv_kitfile_new();
    kv_auto_str out = NULL, none = NULL;
    size_t n = 0;
    assert_non_null(kf);
    assert_int_equal(kv_kitfile_select(kf, KV_SV("model"), &out, &n, NULL), KV_OK);
    assert_string_equal(out, "null\n");
    assert_int_equal(kv_kitfile_select(kf, KV_SV("model.path"), &none, &n, NULL), KV_E_NOTFOUND);
}

KV_TEST_MAIN(cmocka_unit_test(comes_back_the_same), cmocka_unit_test(reads_leniently),
             cmocka_unit_test(refuses), cmocka_unit_test(selects),
             cmocka_unit_test(selects_without_model))

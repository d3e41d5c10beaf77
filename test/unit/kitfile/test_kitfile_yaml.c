/* Kitfiles as YAML to config blobs, and back to YAML: texts and bytes are those of kit. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "kitvault/kitfile.h"
#include "test/test.h"
#include "test/tmpdir.h"

static void reads_yaml(void **state)
{
    static const struct {
        const char *yaml, *json;
    } CASES[] = {
        {"null\n", "{\"manifestVersion\":\"\",\"package\":{}}"},
        {"manifestVersion: 1.0.0\n", "{\"manifestVersion\":\"1.0.0\",\"package\":{}}"},
        {"manifestVersion: 1.0\npackage: {name: v}\n",
         "{\"manifestVersion\":\"1.0\",\"package\":{\"name\":\"v\"}}"},
        {"package: {authors: [~, x]}\nmodel: ~\ncode:\n  -\n  - path: m.bin\ndatasets:\n",
         "{\"manifestVersion\":\"\",\"package\":{\"authors\":[\"x\"]},\"code\":[{\"path\":\"m.bin\"}]}"},
        {"model: {}\n", "{\"manifestVersion\":\"\",\"package\":{},\"model\":{}}"},
        {"docs: [{description: d}]\ncode: [{}]\n",
         "{\"manifestVersion\":\"\",\"package\":{},\"code\":[{}],\"docs\":[{\"path\":\"\","
         "\"description\":\"d\"}]}"},
        {"manifestVersion: 1.0.0\npackage:\n  name: \"a<b>&c\"\n  description: |\n    two\n"
         "    lines: with colon\n  version: 1.0\n  license: \"\"\n"
         "  authors: [\"O'Neil, J.\", \"\", true]\n",
         "{\"manifestVersion\":\"1.0.0\",\"package\":{\"name\":\"a\\u003cb\\u003e\\u0026c\","
         "\"version\":\"1.0\",\"description\":\"two\\nlines: with colon\\n\",\"authors\":[\"O'Neil, "
         "J.\",\"\",\"true\"]}}"},
        {"model:\n  parameters: {b: 0x10, a: [1, {c: ~}], d: 2024-01-02}\n  parts:\n"
         "    - {type: t, license: l, path: p, name: n}\n  version: 1\n  description: d\n"
         "  format: f\n  framework: w\n  license: l\n  path: p\n  name: n\n",
         "{\"manifestVersion\":\"\",\"package\":{},\"model\":{\"name\":\"n\",\"path\":\"p\","
         "\"license\":\"l\",\"framework\":\"w\",\"format\":\"f\",\"version\":\"1\",\"description\":"
         "\"d\",\"parts\":[{\"name\":\"n\",\"path\":\"p\",\"license\":\"l\",\"type\":\"t\"}],"
         "\"parameters\":{\"a\":[1,{\"c\":null}],\"b\":16,\"d\":\"2024-01-02T00:00:00Z\"}}}"},
        {"datasets:\n  - {parameters: 1e6, license: l, description: d, remoteHash: h,\n"
         "     remotePath: 's3://b/k', path: p, name: n}\nprompts:\n"
         "  - {description: d, path: p, name: n}\nmcpServers:\n  - {description: d, path: p, name: n}\n",
         "{\"manifestVersion\":\"\",\"package\":{},\"datasets\":[{\"name\":\"n\",\"path\":\"p\","
         "\"remotePath\":\"s3://b/k\",\"remoteHash\":\"h\",\"description\":\"d\",\"license\":\"l\","
         "\"parameters\":1000000}],\"prompts\":[{\"name\":\"n\",\"path\":\"p\",\"description\":\"d\"}],"
         "\"mcpServers\":[{\"name\":\"n\",\"path\":\"p\",\"description\":\"d\"}]}"},
        {"package: &p {name: x, license: l}\nmodel: {<<: *p, name: y}\n",
         "{\"manifestVersion\":\"\",\"package\":{\"name\":\"x\",\"license\":\"l\"},\"model\":{"
         "\"name\":\"y\",\"license\":\"l\"}}"},
        {"package: {<<: [{name: a}, {name: b, version: 2}]}\n",
         "{\"manifestVersion\":\"\",\"package\":{\"name\":\"a\",\"version\":\"2\"}}"},
        {"package: {name: !!binary aGk=}\ncode: &c [{path: a}]\ndocs: *c\n",
         "{\"manifestVersion\":\"\",\"package\":{\"name\":\"hi\"},\"code\":[{\"path\":\"a\"}],"
         "\"docs\":[{\"path\":\"a\"}]}"},
        {"{\"manifestVersion\": \"1.0.0\", \"model\": {\"path\": \"m\", \"parameters\": {}}}",
         "{\"manifestVersion\":\"1.0.0\",\"package\":{},\"model\":{\"path\":\"m\",\"parameters\":{}}}"},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto(kv_kitfile) kf = NULL;
        kv_auto_str json = NULL;
        kv_error err = {0};
        size_t n = 0;
        if (kv_kitfile_parse_yaml(kv_sv_of(CASES[i].yaml), &kf, &err) != KV_OK)
            fail_msg("'%s': %s", CASES[i].yaml, err.msg);
        assert_int_equal(kv_kitfile_format_json(kf, &json, &n, &err), KV_OK);
        if (strcmp(json, CASES[i].json) != 0 || n != strlen(json))
            fail_msg("'%s': %s", CASES[i].yaml, json);
    }
}

static void refuses_yaml(void **state)
{
    static const struct {
        const char *yaml;
        kv_code code;
        const char *want;
    } CASES[] = {
        {"", KV_E_SYNTAX, "EOF"},
        {"# nothing\n", KV_E_SYNTAX, "EOF"},
        {"manifestVersion: 1.0.0\nmodel: {path: model, colour: red}\nfoo: 1\npackage: {nme: x}\n",
         KV_E_INVALID,
         "yaml: unmarshal errors:\n  line 2: field colour not found in type artifact.Model\n"
         "  line 3: field foo not found in type artifact.KitFile\n"
         "  line 4: field nme not found in type artifact.Package"},
        {"manifestVersion: 1.0.0\nmodel: {path: model, digest: \"sha256:00\"}\n", KV_E_INVALID,
         "yaml: unmarshal errors:\n  line 2: field digest not found in type artifact.Model"},
        {"code: [{x: 1}]\ndatasets: [{x: 1}]\ndocs: [{x: 1}]\nprompts: [{x: 1}]\n"
         "model: {parts: [{x: 1}]}\n",
         KV_E_INVALID,
         "yaml: unmarshal errors:\n  line 1: field x not found in type artifact.Code\n"
         "  line 2: field x not found in type artifact.DataSet\n"
         "  line 3: field x not found in type artifact.Docs\n"
         "  line 4: field x not found in type artifact.Prompt\n"
         "  line 5: field x not found in type artifact.ModelPart"},
        {"just text\n", KV_E_INVALID,
         "yaml: unmarshal errors:\n"
         "  line 1: cannot unmarshal !!str `just text` into artifact.KitFile"},
        {"a much longer text\n", KV_E_INVALID,
         "yaml: unmarshal errors:\n"
         "  line 1: cannot unmarshal !!str `a much ...` into artifact.KitFile"},
        {"- a\n- b\n", KV_E_INVALID,
         "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!seq into artifact.KitFile"},
        {"manifestVersion: 1.0.0\nmodel: [a, b]\npackage:\n  authors: one\n  name: [x]\n"
         "code: {path: x}\n",
         KV_E_INVALID,
         "yaml: unmarshal errors:\n  line 2: cannot unmarshal !!seq into artifact.Model\n"
         "  line 4: cannot unmarshal !!str `one` into []string\n"
         "  line 5: cannot unmarshal !!seq into string\n"
         "  line 6: cannot unmarshal !!map into []artifact.Code"},
        {"model: 5\npackage: true\ncode: [x]\ndatasets: 1.5\ndocs: {}\n", KV_E_INVALID,
         "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!int `5` into artifact.Model\n"
         "  line 2: cannot unmarshal !!bool `true` into artifact.Package\n"
         "  line 3: cannot unmarshal !!str `x` into artifact.Code\n"
         "  line 4: cannot unmarshal !!float `1.5` into []artifact.DataSet\n"
         "  line 5: cannot unmarshal !!map into []artifact.Docs"},
        {"package: {authors: [[a], {b: c}]}\n", KV_E_INVALID,
         "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!seq into string\n"
         "  line 1: cannot unmarshal !!map into string"},
        {"? [a]\n: 1\n", KV_E_INVALID,
         "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!seq into string"},
        {"manifestVersion: 1.0.0\nmodel: {path: model}\nmodel: {path: x}\n", KV_E_INVALID,
         "yaml: unmarshal errors:\n  line 3: mapping key \"model\" already defined at line 2"},
        {"&a manifestVersion: 1\n*a : 2\n", KV_E_INVALID,
         "yaml: unmarshal errors:\n"
         "  line 2: field manifestVersion already set in type artifact.KitFile"},
        {"package: {<<: 5}\n", KV_E_INVALID,
         "yaml: map merge requires map or sequence of maps as the value"},
        {"package: {<<: {a: 1, a: 2}}\n", KV_E_INVALID,
         "yaml: unmarshal errors:\n  line 1: mapping key \"a\" already defined at line 1"},
        {"model: !!int x\n", KV_E_INVALID, "yaml: cannot decode !!str `x` as a !!int"},
        {"manifestVersion: 1.0.0\nmodel: {path: model\n", KV_E_SYNTAX,
         "yaml: line 1: did not find expected ',' or '}'"},
        {"manifestVersion: 1.0.0\nmodel:\n\tpath: model\n", KV_E_SYNTAX,
         "yaml: line 3: found character that cannot start any token"},
        {"manifestVersion: 1.0.0\nmodel:\n  path: model\n name: x\n", KV_E_SYNTAX,
         "yaml: line 3: did not find expected key"},
        {"manifestVersion: 1.0.0\nmodel: *nope\n", KV_E_SYNTAX,
         "yaml: unknown anchor 'nope' referenced"},
        {"model: {parameters: &m [*m]}\n", KV_E_INVALID, "yaml: anchor 'm' value contains itself"},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto(kv_kitfile) kf = NULL;
        kv_error err = {0};
        kv_code rc = kv_kitfile_parse_yaml(kv_sv_of(CASES[i].yaml), &kf, &err);
        if (rc != CASES[i].code || strcmp(err.msg, CASES[i].want) != 0)
            fail_msg("'%s': %d '%s'", CASES[i].yaml, (int)rc, err.msg);
        assert_null(kf);
    }
}

static void refuses_what_is_too_large(void **state)
{
    (void)state;
    kv_auto(kv_kitfile) kf = NULL;
    kv_error err = {0};
    kv_auto_str big = malloc(KV_KITFILE_BYTES_MAX + 1);
    assert_non_null(big);
    memset(big, '#', KV_KITFILE_BYTES_MAX + 1);
    assert_int_equal(kv_kitfile_parse_yaml((kv_sv){big, KV_KITFILE_BYTES_MAX + 1}, &kf, &err),
                     KV_E_LIMIT);
    assert_string_equal(err.msg, "Kitfile is larger than 4194304 bytes");
    assert_int_equal(kv_kitfile_parse_json((kv_sv){big, KV_KITFILE_BYTES_MAX + 1}, &kf, &err),
                     KV_E_LIMIT);

    kv_auto_buf list = KV_BUF(KV_KITFILE_BYTES_MAX);
    kv_buf_adds(&list, "{\"code\": [");
    for (int i = 0; i < 100000; i++) kv_buf_adds(&list, i ? ",{}" : "{}");
    kv_buf_adds(&list, "]}");
    assert_int_equal(kv_kitfile_parse_yaml(kv_buf_sv(&list), &kf, &err), KV_E_LIMIT);
    assert_string_equal(err.msg, "yaml: document needs too much memory");
    assert_int_equal(kv_kitfile_parse_json(kv_buf_sv(&list), &kf, &err), KV_E_LIMIT);
    assert_string_equal(err.msg, "Kitfile needs too much memory");
}

static void refuses_json_it_cannot_write(void **state)
{
    static const struct {
        const char *yaml, *want;
    } CASES[] = {
        {"model: {parameters: {1: a}}\n", "json: unsupported type: map[interface {}]interface {}"},
        {"model: {parameters: {x: .nan}}\n", "json: unsupported value: NaN"},
        {"datasets: [{parameters: [-.inf]}]\n", "json: unsupported value: -Inf"},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto(kv_kitfile) kf = NULL;
        kv_error err = {0};
        char *json = NULL;
        size_t n;
        assert_int_equal(kv_kitfile_parse_yaml(kv_sv_of(CASES[i].yaml), &kf, NULL), KV_OK);
        assert_int_equal(kv_kitfile_format_json(kf, &json, &n, &err), KV_E_INVALID);
        assert_string_equal(err.msg, CASES[i].want);
        assert_null(json);
    }
}

static void writes_yaml(void **state)
{
    static const struct {
        const char *json, *yaml;
    } CASES[] = {
        {"{\"manifestVersion\":\"\",\"package\":{}}", "manifestVersion: \"\"\n"},
        {"{\"manifestVersion\":\"1.0\",\"package\":{\"name\":\"n\",\"authors\":[\"au\"]}}",
         "manifestVersion: \"1.0\"\npackage:\n  name: \"n\"\n  authors: [au]\n"},
        {"{\"manifestVersion\":\"1.0.0\",\"package\":{\"name\":\"a\\u003cb\\u003e\\u0026c\",\"version\":"
         "\"1.0\",\"description\":\"two\\nlines: with colon\\n\",\"authors\":[\"O'Neil, J.\",\"x: "
         "y\",\"#h\",\"true\",\"1.0\",\"\"]},\"model\":{\"name\":\"null\",\"path\":\"model.bin\","
         "\"framework\":\"@at\",\"format\":\"- dash\",\"version\":\"007\",\"description\":\"trailing "
         "space \"}}",
         "manifestVersion: 1.0.0\npackage:\n  name: a<b>&c\n  version: \"1.0\"\n  description: |\n"
         "    two\n    lines: with colon\n"
         "  authors: ['O''Neil, J.', 'x: y', '#h', \"true\", \"1.0\", \"\"]\nmodel:\n"
         "  name: \"null\"\n  path: model.bin\n  framework: '@at'\n  format: '- dash'\n"
         "  version: \"007\"\n  description: 'trailing space '\n"},
        {"{\"manifestVersion\":\"1.0.0\",\"model\":{\"path\":\"m\",\"parts\":[{\"name\":\"lora\",\"path\":"
         "\"./a\",\"license\":\"MIT\",\"type\":\"t\"},{\"path\":\"t.json\"}],\"parameters\":{\"z\":1,"
         "\"a\":[1,[2]],\"e\":{}}},\"docs\":[{\"path\":\"\"}],\"code\":[{}]}",
         "manifestVersion: 1.0.0\nmodel:\n  path: m\n  parts:\n    - name: lora\n      path: ./a\n"
         "      license: MIT\n      type: t\n    - path: t.json\n  parameters:\n    a:\n      - 1\n"
         "      - - 2\n    e: {}\n    z: 1\ncode:\n  - {}\ndocs:\n  - path: \"\"\n"},
        {"{\"manifestVersion\":\"1.0.0\",\"model\":{},\"datasets\":[{\"name\":\"d\",\"remotePath\":"
         "\"s3://b/k\",\"remoteHash\":\"h\",\"parameters\":1000000}],\"prompts\":[{\"path\":\"p\"}],"
         "\"mcpServers\":[{\"name\":\"s\"}]}",
         "manifestVersion: 1.0.0\nmodel: {}\ndatasets:\n  - name: d\n    remotePath: s3://b/k\n"
         "    remoteHash: h\n    parameters: 1000000\nprompts:\n  - path: p\nmcpServers:\n"
         "  - name: s\n"},
        {"{\"manifestVersion\":\"1\",\"model\":{\"path\":\"m\",\"digest\":\"sha256:"
         "1c18a3e8224688b90417b043728d5d82a39c78566fd63bfbe537a1b3611eaf3b\"}}",
         "manifestVersion: \"1\"\nmodel:\n  path: m\n"},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto(kv_kitfile) kf = NULL;
        kv_auto_str yaml = NULL;
        size_t n = 0;
        assert_int_equal(kv_kitfile_parse_json(kv_sv_of(CASES[i].json), &kf, NULL), KV_OK);
        assert_int_equal(kv_kitfile_format_yaml(kf, &yaml, &n, NULL), KV_OK);
        if (strcmp(yaml, CASES[i].yaml) != 0) fail_msg("'%s': %s", CASES[i].json, yaml);
    }
}

static void loads_files(void **state)
{
    const char *dir = *state;
    kv_auto(kv_kitfile) kf = NULL;
    kv_auto_str path = NULL;
    kv_error err = {0};
    assert_int_equal(kv_kitfile_find(dir, &path, &err), KV_E_NOTFOUND);
    kv_auto_buf want = KV_BUF(8192);
    kv_buf_addf(&want, "No Kitfile found in %s. Consider using the -f flag to specify its path",
                dir);
    assert_string_equal(err.msg, want.p);
    assert_int_equal(kv_kitfile_load(tmpdir_path(dir, "Kitfile"), &kf, &err), KV_E_NOTFOUND);

    static const char *const NAMES[] = {".kitfile", "kitfile", "Kitfile"}; /* the later one wins */
    for (size_t i = 0; i < KV_COUNT(NAMES); i++) {
        tmpdir_write(dir, NAMES[i], KV_SV("manifestVersion: 1.0.0\n"), 0644);
        kv_free_str(&path);
        assert_int_equal(kv_kitfile_find(dir, &path, &err), KV_OK);
        assert_string_equal(path, tmpdir_path(dir, NAMES[i]));
    }
    assert_int_equal(kv_kitfile_load(path, &kf, &err), KV_OK);
    assert_true(kv_sv_is(kf->manifest_version, "1.0.0"));
    assert_true(kv_kitfile_is_name(KV_SV(".kitfile")) && !kv_kitfile_is_name(KV_SV("KITFILE")));
}

KV_TEST_MAIN(cmocka_unit_test(reads_yaml), cmocka_unit_test(refuses_yaml),
             cmocka_unit_test(refuses_what_is_too_large),
             cmocka_unit_test(refuses_json_it_cannot_write), cmocka_unit_test(writes_yaml),
             cmocka_unit_test_setup_teardown(loads_files, tmpdir_setup, tmpdir_teardown))

/* Parents of a Kitfile, and its entries in the order of layers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "kitvault/kitfile.h"
#include "test/test.h"

static const struct kit {
    const char *name, *yaml;
} KITS[] = {
    {"parent:v1", "manifestVersion: 1.0.0\npackage: {name: parent, license: MIT, authors: [P]}\n"
                  "model:\n  name: base\n  path: my-model\n  framework: jax\n  parts:\n"
                  "    - {name: vocab, path: vocab.txt}\ndocs: [{path: d}]\n"},
    {"child:v1", "manifestVersion: 1.0.1\npackage: {name: child, version: 2, authors: [C]}\n"
                 "model: {name: tuned, path: \"parent:v1\", parts: [{path: extra}]}\n"
                 "code: [{path: c}]\ndatasets: [{path: e}]\n"},
    {"loop:a", "model: {path: \"loop:b\"}\n"},
    {"loop:b", "model: {path: \"loop:a\"}\n"},
    {"self:v1", "model: {path: m.bin}\n"},
    {"nomodel:v1", "package: {name: n}\n"},
    {"tono:v1", "model: {name: x, path: \"nomodel:v1\"}\n"},
    {"clash:v1", "model: {path: my-model}\ncode: [{path: my-model}]\n"},
    {"bad:v1", "model: [\n"},
};

static kv_code fetch(void *ctx, const kv_reference *ref, kv_kitfile **out, kv_error *err)
{
    kv_auto_str name = kv_reference_display(ref);
    int *calls = ctx;
    if (!name) return kv_fail(err, KV_E_NOMEM, "out of memory");
    ++*calls;
    for (size_t i = 0; i < KV_COUNT(KITS); i++)
        if (strcmp(KITS[i].name, name) == 0)
            return kv_kitfile_parse_yaml(kv_sv_of(KITS[i].yaml), out, err);
    unsigned step;
    if (sscanf(name, "chain:s%u", &step) == 1) { /* never ends */
        kv_auto_buf yaml = KV_BUF(100);
        kv_buf_addf(&yaml, "model: {path: \"chain:s%u\"}\n", step + 1);
        return kv_kitfile_parse_yaml(kv_buf_sv(&yaml), out, err);
    }
    return kv_fail(err, KV_E_NOTFOUND, "failed to fetch Kitfile for %s", name);
}

static void follows(void **state)
{
    static const struct {
        const char *path, *own, *want; /* want begins with '!': the error; NULL: no parent */
    } CASES[] = {
        {"m.bin", "x:1", NULL},
        {"", "x:1", NULL},
        {"data:v 1", "x:1", NULL},
        {"parent:v1", "x:1",
         "{\"manifestVersion\":\"1.0.0\",\"package\":{\"name\":\"parent\",\"license\":\"MIT\","
         "\"authors\":[\"P\"]},\"model\":{\"name\":\"base\",\"path\":\"my-model\",\"framework\":"
         "\"jax\",\"parts\":[{\"name\":\"vocab\",\"path\":\"vocab.txt\"}]},\"docs\":[{\"path\":\"d\"}]}"},
        {"child:v1", "x:1",
         "{\"manifestVersion\":\"1.0.1\",\"package\":{\"name\":\"child\",\"version\":\"2\","
         "\"license\":\"MIT\",\"authors\":[\"C\",\"P\"]},\"model\":{\"name\":\"tuned\",\"path\":"
         "\"my-model\",\"framework\":\"jax\",\"parts\":[{\"path\":\"extra\"},{\"name\":\"vocab\","
         "\"path\":\"vocab.txt\"}]},\"code\":[{\"path\":\"c\"}],\"datasets\":[{\"path\":\"e\"}],"
         "\"docs\":[{\"path\":\"d\"}]}"},
        {"self:v1", "self:v1",
         "{\"manifestVersion\":\"\",\"package\":{},\"model\":{\"path\":\"m.bin\"}}"},
        {"tono:v1", "x:1",
         "{\"manifestVersion\":\"\",\"package\":{\"name\":\"n\"},\"model\":{\"name\":\"x\"}}"},
        {"loop:b", "loop:a",
         "!Failed to resolve referenced modelkit loop:b: Found cycle in modelkit references: "
         "[loop:a=>loop:b=>loop:a]"},
        {"loop:b", "x:1",
         "!Failed to resolve referenced modelkit loop:b: Found cycle in modelkit references: "
         "[loop:b=>loop:a=>loop:b]"},
        {"absent:v1", "x:1",
         "!Failed to resolve referenced modelkit absent:v1: failed to fetch Kitfile for absent:v1"},
        {"clash:v1", "x:1",
         "!Failed to resolve referenced modelkit clash:v1: errors while validating Kitfile: \n"
         "  * model  and code layer 0 use the same path my-model"},
        {"bad:v1", "x:1",
         "!Failed to resolve referenced modelkit bad:v1: yaml: line 1: did not find expected node "
         "content"},
        {"chain:s1", "x:1",
         "!Failed to resolve referenced modelkit chain:s1: reached maximum number of model "
         "references: [x:1=>chain:s1=>chain:s2=>chain:s3=>chain:s4=>chain:s5=>chain:s6=>chain:s7=>"
         "chain:s8=>chain:s9=>chain:s10=>chain:s11]"},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto(kv_kitfile) kf = kv_kitfile_new(), merged = NULL;
        kv_kitfile_model model = {.entry.path = kv_sv_of(CASES[i].path)};
        int calls = 0;
        const kv_kitfile_fetcher fetcher = {fetch, &calls};
        kv_error err = {0};
        assert_non_null(kf);
        kf->model = &model;
        kv_code rc = kv_kitfile_resolve(kf, kv_sv_of(CASES[i].own), &fetcher, &merged, &err);
        kv_auto_str json = NULL;
        size_t n = 0;
        if (merged) assert_int_equal(kv_kitfile_format_json(merged, &json, &n, NULL), KV_OK);
        const char *got = rc != KV_OK ? err.msg : json, *want = CASES[i].want;
        if (want && want[0] == '!') want++;
        if ((got == NULL) != (want == NULL) || (got && strcmp(got, want) != 0))
            fail_msg("'%s': %d '%s'", CASES[i].path, (int)rc, got ? got : "");
        if (!want) assert_int_equal(calls, 0);
    }
}

static void walks_entries(void **state)
{
    static const char YAML[] =
        "prompts: [{path: p}]\ndocs: [{path: d}]\ncode: [{path: c0}, {path: c1}]\n"
        "datasets: [{path: s}, {path: t, remotePath: \"s3://b/k\"}]\n"
        "model: {path: m, parts: [{path: q}]}\nmcpServers: [{path: x}]\n";
    (void)state;
    kv_auto(kv_kitfile) kf = NULL;
    kv_auto_buf got = KV_BUF(1000);
    assert_int_equal(kv_kitfile_parse_yaml(kv_sv_of(YAML), &kf, NULL), KV_OK);
    kv_kitfile_iter it = kv_kitfile_begin(kf);
    while (kv_kitfile_next(&it))
        kv_buf_addf(&got, "%s%zu:%.*s%s ", kv_layer_kind_name(it.kind), it.index,
                    KV_ARG(it.entry->path), it.has_layer ? "" : "-");
    assert_string_equal(got.p, "model0:m modelpart0:q code0:c0 code1:c1 dataset0:s dataset1:t- "
                               "docs0:d code0:p mcpb0:x ");
    assert_false(kv_kitfile_next(&it));

    kf->model->entry.path = KV_SV("reg.example.com/a:b");
    it = kv_kitfile_begin(kf);
    assert_true(kv_kitfile_next(&it) && !it.has_layer);
    kf->model->entry.path = KV_SV("");
    it = kv_kitfile_begin(kf);
    assert_true(kv_kitfile_next(&it) && !it.has_layer);
    kf->model = NULL;
    it = kv_kitfile_begin(kf);
    assert_true(kv_kitfile_next(&it) && it.kind == KV_LAYER_CODE && it.has_layer);
}

KV_TEST_MAIN(cmocka_unit_test(follows), cmocka_unit_test(walks_entries))

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "kitvault/kitfile.h"
#include "test/test.h"

#define HEAD "errors while validating Kitfile: "
#define T64 "tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt"

static void keep_line(void *ctx, kv_level level, kv_sv text)
{
    kv_buf_addf(ctx, "%d %.*s\n", (int)level, KV_ARG(text));
}

static void checks(void **state)
{
    static const struct {
        const char *yaml, *want, *said; /* want NULL: valid */
    } CASES[] = {
        {"null", NULL, NULL},
        {"model: {path: m}\ncode: [{path: a}, {path: b}]\n", NULL, NULL},
        {"datasets: [{name: d, path: ./data/}, {name: e, path: data}]\n", NULL, NULL},
        {"datasets: [{name: a, path: \"data:v1\"}]\n", NULL, NULL},
        {"model: {path: \"reg.example.com/a/b:v1\"}\ncode: [{path: c@d}]\n", NULL, NULL},
        {"model: {name: m, path: data}\ndatasets: [{name: d, path: data}]\n"
         "code: [{path: src}, {path: src}, {path: data}]\ndocs: [{path: src}]\n",
         HEAD "\n  * code layer 0, code layer 1 and docs layer 0 use the same path src"
              "\n  * model m, dataset d and code layer 2 use the same path data",
         NULL},
        {"model: {name: m}\ncode: [{path: .}]\n",
         HEAD "\n  * model m and code layer 0 use the same path .", NULL},
        {"code: [{}, {}]\n", HEAD "\n  * code layer 0 and code layer 1 use the same path .", NULL},
        {"model: {path: m, parts: [{name: p, path: m}]}\n",
         HEAD "\n  * model  and modelpart p use the same path m", NULL},
        {"code: [{path: p}]\nprompts: [{path: p}]\n", NULL,
         "3 code layer 0 and prompt layer 0 use the same path p\n"},
        {"code: [{path: p}, {path: p}]\nprompts: [{path: p}]\n",
         HEAD "\n  * code layer 0 and code layer 1 use the same path p", NULL},
        {"prompts: [{path: p}, {path: p}]\n", NULL,
         "3 prompt layer 0 and prompt layer 1 use the same path p\n"},
        {"model: {name: m, path: /etc/passwd}\ncode: [{path: /}]\n",
         HEAD "\n  * absolute paths are not supported in a Kitfile (path / in code layer 0)"
              "\n  * absolute paths are not supported in a Kitfile (path /etc/passwd in model m)",
         NULL},
        {"code: [{path: ../x}, {path: a/../..}, {path: a/../b}]\n",
         HEAD "\n  * paths must stay within the context directory (path ../x in code layer 0)"
              "\n  * paths must stay within the context directory (path a/../.. in code layer 1)",
         NULL},
        {"model:\n  path: m\n  parts:\n    - {name: p1, path: a, type: \"bad type\"}\n"
         "    - {name: p2, path: b, type: " T64 "t}\n    - {path: x, type: -a}\n"
         "    - {path: y, type: " T64 "}\n    - {path: z, type: _a.b-C1}\n",
         HEAD "\n  * modelpart  has invalid type (must be alphanumeric with dots, dashes, and "
              "underscores)\n  * modelpart p1 has invalid type (must be alphanumeric with dots, "
              "dashes, and underscores)\n  * modelpart p2 type is too long (must be fewer than 64 "
              "characters)",
         NULL},
        {"code: [{path: \"http://x/y\"}]\nmodel: {path: \"https://x/y\"}\n",
         HEAD "\n  * HTTP urls are not supported in paths (http://x/y)"
              "\n  * HTTP urls are not supported in paths (https://x/y)",
         NULL},
        {"model: {path: \"s3://b/k\", parts: [{path: \"s3://b/p\"}]}\ncode: [{path: \"s3://b/c\"}]\n"
         "datasets: [{path: \"s3://b/d\"}]\ndocs: [{path: \"s3://b/e\"}]\n"
         "prompts: [{path: \"s3://b/f\"}]\n",
         HEAD "\n  * invalid path for code (s3://b/c): only local paths are permitted"
              "\n  * invalid path for dataset (s3://b/d): only local paths are permitted"
              "\n  * invalid path for doc (s3://b/e): only local paths are permitted"
              "\n  * invalid path for model part (s3://b/p): only local paths are permitted"
              "\n  * invalid path for model: only local paths and ModelKit references are permitted"
              "\n  * invalid path for prompt (s3://b/f): only local paths are permitted",
         NULL},
        {"code: [{path: \"git+ssh://x\"}, {path: \"1a://x\"}, {path: \"://x\"}]\n",
         HEAD "\n  * unrecognized URL in path: git+ssh://x", NULL},
        {"datasets:\n  - {path: a, remotePath: \"s3://b/k\", remoteHash: h}\n"
         "  - {path: b, remotePath: \"s3://b/k\"}\n  - {path: c, remoteHash: h}\n"
         "  - {path: d, remotePath: x, remoteHash: h}\n",
         HEAD "\n  * only S3 URLs are supported for remote dataset paths (x)"
              "\n  * remote hash is only applicable when remotePath is set"
              "\n  * remoteHash is required when remote dataset paths are used (s3://b/k)",
         NULL},
        {"mcpServers: [{name: t, path: t.mcpb}]\n", NULL, NULL},
        {"mcpServers: [{name: t, path: t.zip}, {path: t.mcpb}, {name: t, path: s.mcpb}]\n",
         HEAD "\n  * mcpServer layer 0 has path t.zip, which does not end in .mcpb"
              "\n  * mcpServer layer 1 has no name"
              "\n  * mcpServer layers 0 and 2 have the same name t",
         NULL},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto(kv_kitfile) kf = NULL;
        kv_auto_buf said = KV_BUF(4096);
        kv_report report = {.line = keep_line, .ctx = &said};
        kv_error err = {0};
        assert_int_equal(kv_kitfile_parse_yaml(kv_sv_of(CASES[i].yaml), &kf, NULL), KV_OK);
        kv_code rc = kv_kitfile_validate(kf, &report, &err);
        const char *want = CASES[i].want ? CASES[i].want : "";
        if (rc != (CASES[i].want ? KV_E_INVALID : KV_OK) || strcmp(err.msg, want) != 0)
            fail_msg("'%s': %d '%s'", CASES[i].yaml, (int)rc, err.msg);
        if (!kv_sv_is(kv_buf_sv(&said), CASES[i].said ? CASES[i].said : ""))
            fail_msg("'%s': said '%s'", CASES[i].yaml, said.p);
        assert_int_equal(kv_kitfile_validate(kf, NULL, NULL), rc);
    }
}

static void cuts_long_lists(void **state)
{
    (void)state;
    kv_auto(kv_kitfile) kf = NULL;
    kv_auto_buf yaml = KV_BUF(1u << 20);
    kv_error err = {0};
    kv_buf_adds(&yaml, "code:\n");
    for (int i = 0; i < 5000; i++) kv_buf_addf(&yaml, "- path: /%d\n", i);
    assert_int_equal(kv_kitfile_parse_yaml(kv_buf_sv(&yaml), &kf, NULL), KV_OK);
    assert_int_equal(kv_kitfile_validate(kf, NULL, &err), KV_E_INVALID);
    assert_non_null(strstr(err.msg, "path /0 in code layer 0"));
}

static void counts_servers(void **state)
{
    (void)state;
    kv_auto(kv_kitfile) kf = NULL;
    kv_auto_buf yaml = KV_BUF(1u << 20);
    kv_error err = {0};
    kv_buf_adds(&yaml, "mcpServers:\n");
    for (int i = 0; i < 1001; i++) kv_buf_addf(&yaml, "- {name: s%d, path: %d.mcpb}\n", i, i);
    assert_int_equal(kv_kitfile_parse_yaml(kv_buf_sv(&yaml), &kf, NULL), KV_OK);
    assert_int_equal(kv_kitfile_validate(kf, NULL, &err), KV_E_LIMIT);
    assert_string_equal(err.msg, "Kitfile has more than 1000 mcpServers");
    kf->mcp_servers.n = 1000;
    assert_int_equal(kv_kitfile_validate(kf, NULL, NULL), KV_OK);
}

KV_TEST_MAIN(cmocka_unit_test(counts_servers), cmocka_unit_test(checks),
             cmocka_unit_test(cuts_long_lists))

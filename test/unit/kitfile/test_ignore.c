#include "kitfile/ignore.h"

#include <string.h>

#include "test/test.h"

static kv_ignore *make(const char *text, const char *kitfile, const char *parents)
{
    kv_auto(kv_kitfile) kf = NULL, above = NULL;
    kv_ignore *ig = NULL;
    assert_int_equal(kv_kitfile_parse_yaml(kv_sv_of(kitfile), &kf, NULL), KV_OK);
    if (parents) assert_int_equal(kv_kitfile_parse_yaml(kv_sv_of(parents), &above, NULL), KV_OK);
    assert_int_equal(kv_ignore_new(kv_sv_of(text), kf, above, &ig, NULL), KV_OK);
    return ig;
}

static void matches_patterns(void **state)
{
    static const struct {
        const char *text, *ignored, *kept; /* paths between blanks */
    } CASES[] = {
        {"", "Kitfile kitfile .kitfile .kitignore", "sub/Kitfile sub/.kitignore x KITFILE"},
        {"logs\n", "logs logs/a logs/a/b", "logs2 x/logs"},
        {"/logs\n./docs/./draft.md\n", "logs docs/draft.md", "docs docs/final.md"},
        {"# c\n  spaced.txt  \n\n", "spaced.txt", "c"},
        {" # c\n", "", "c x"},
        {"\xef\xbb\xbf*.md\r\n", "top.md a.b.md", "sub/in.md top.mdx"},
        {"cache/**\n", "cache/c1 cache/c1/x", "cache cache2/x"},
        {"**/secret\n", "secret q/secret q/r/secret/k", "secrets q/xsecret"},
        {"**secret\n", "secret xsecret q/xsecret", "secretx"},
        {"**\n", "a a/b", ""},
        {"a**\n", "a ab ab/c", "b"},
        {"img-?.png\n", "img-1.png img-\xc3\xa9.png", "img-12.png img-/.png"},
        {"set[0-3].csv\n", "set0.csv set3.csv", "set5.csv set.csv"},
        {"set[^0-3x].csv\n", "set5.csv", "set0.csv setx.csv"},
        {"a[\\]b]c\n", "a]c abc", "ac"},
        {"a[\xc3\xa9-\xc3\xab]\n", "a\xc3\xaa", "a\xc3\xac"},
        {"a/**/z.txt\n", "a/z.txt a/b/c/z.txt", "a/b/y.txt b/a/z.txt a/bz.txt"},
        {"a/**/b/**/c\n", "a/b/c a/x/b/y/z/c", "a/c a/b"},
        {"lit\\*.txt\n", "lit*.txt", "litX.txt"},
        {"x(1)+.txt\n", "x(1)+.txt", "x1.txt"},
        {"*a*a*a*b\n", "aaab xaxaxab", "aaa aaac"},
        {"**/*.tmp\n!keep/important.tmp\n", "a.tmp keep/other.tmp keep/d/x.tmp",
         "keep/important.tmp"},
        {"logs\n!logs/a\nlogs/a/b\n", "logs logs/x logs/a/b", "logs/a logs/a/c"},
        {"!Kitfile\n", "Kitfile", "x"},
        {"*\n!  a \n", "b", "a a/b"},
        {"/!x\n", "", "x !x"}, /* to kit the same as "!x" */
        {"b]\n**/c]\n", "b] c] d/c]", "b c"},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto(kv_ignore) ig = make(CASES[i].text, "null", NULL);
        for (int want = 0; want < 2; want++) {
            kv_sv path, rest = kv_sv_of(want ? CASES[i].ignored : CASES[i].kept);
            while (rest.n) {
                rest = kv_sv_cut(rest, ' ', &path, NULL);
                if (kv_ignore_match(ig, path, KV_SV(".")) != (bool)want)
                    fail_msg("'%s': %.*s", CASES[i].text, KV_ARG(path));
            }
        }
        assert_int_equal(kv_ignore_has_negation(ig), strchr(CASES[i].text, '!') != NULL);
    }
}

static void refuses(void **state)
{
    static const struct {
        const char *text, *want;
    } CASES[] = {
        {"[a-\n", "syntax error in pattern"},         {"[\n", "syntax error in pattern"},
        {"[]\n", "syntax error in pattern"},          {"[^]\n", "syntax error in pattern"},
        {"[a\n", "syntax error in pattern"},          {"[-a]\n", "syntax error in pattern"},
        {"[a-]\n", "syntax error in pattern"},        {"[z-a]\n", "syntax error in pattern"},
        {"[\\", "syntax error in pattern"},           {"[\xff]\n", "syntax error in pattern"},
        {"x\\\n", "syntax error in pattern"},         {"!\n", "illegal exclusion pattern: \"!\""},
        {"/!\n", "illegal exclusion pattern: \"!\""},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto(kv_kitfile) kf = kv_kitfile_new();
        kv_ignore *ig = NULL;
        kv_error err = {0};
        kv_auto_buf want = KV_BUF(200);
        kv_buf_addf(&want, "invalid .kitignore file: %s", CASES[i].want);
        kv_code rc = kv_ignore_new(kv_sv_of(CASES[i].text), kf, NULL, &ig, &err);
        if (rc != KV_E_SYNTAX || strcmp(err.msg, want.p) != 0)
            fail_msg("'%s': %d '%s'", CASES[i].text, (int)rc, err.msg);
    }
}

static void bounds(void **state)
{
    (void)state;
    kv_auto(kv_kitfile) kf = kv_kitfile_new();
    kv_ignore *ig = NULL;
    kv_error err = {0};
    kv_auto_buf text = KV_BUF(1u << 20);
    for (int i = 0; i < 4097; i++) kv_buf_addc(&text, 'x');
    assert_int_equal(kv_ignore_new(kv_buf_sv(&text), kf, NULL, &ig, &err), KV_E_LIMIT);
    assert_string_equal(err.msg, "invalid .kitignore file: line is longer than 4096 bytes");
    while (text.n <= KV_IGNORE_BYTES_MAX) kv_buf_adds(&text, "y\n");
    assert_int_equal(kv_ignore_new(kv_buf_sv(&text), kf, NULL, &ig, &err), KV_E_LIMIT);

    /* The longest glob, on a path that keeps all of its states alive. */
    kv_buf_truncate(&text, 0);
    for (int i = 0; i < 2048; i++) kv_buf_adds(&text, "*a");
    kv_auto_buf path = KV_BUF(1u << 16);
    for (int i = 0; i < 4095; i++) kv_buf_addc(&path, 'a');
    assert_int_equal(kv_ignore_new(kv_buf_sv(&text), kf, NULL, &ig, &err), KV_OK);
    assert_true(kv_ignore_match(ig, kv_buf_sv(&path), KV_SV(".")));
    kv_buf_addc(&path, 'b');
    assert_false(kv_ignore_match(ig, kv_buf_sv(&path), KV_SV(".")));
    kv_ignore_free(ig);
}

static void leaves_files_to_their_layers(void **state)
{
    static const char KITFILE[] =
        "model: {path: ./data/m, parts: [{path: parts/}]}\ncode: [{path: .}, {path: src}]\n"
        "datasets: [{path: data}, {path: data/val.csv}]\ndocs: [{path: docs//README.md}]\n"
        "prompts: [{path: p.prompt}]\n";
    static const struct {
        const char *path, *layer;
        bool want, quirk;
    } CASES[] = {
        {"x.py", ".", false, false},
        {"src/x.py", ".", true, false},
        {"src", ".", true, false},
        {"src/x.py", "src", false, false},
        {"data", ".", true, false},
        {"data/train.csv", ".", true, false},
        {"data/train.csv", "data", false, false},
        {"data/val.csv", "data", true, false},
        {"data/val.csv", "data/val.csv", false, false},
        {"data/m/w.bin", "data", true, false},
        {"data/m/w.bin", "data/m", false, false},
        {"data/m/w.bin", "data/m/sub", false, false},
        {"docs/README.md", ".", true, false},
        {"docs/other.md", ".", false, false},
        {"parts/a", ".", true, false},
        {"p.prompt", ".", true, false},
        {"data-v2/x", ".", false, true}, /* kit loses this one */
        {"database.txt", ".", false, true},
        {"data-v2/x", "data-v2", false, false},
        {"srcs", "data", false, true},
    };
    (void)state;
    kv_auto(kv_ignore) ig = make("", KITFILE, NULL);
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_sv path = kv_sv_of(CASES[i].path), layer = kv_sv_of(CASES[i].layer);
        if (kv_ignore_match(ig, path, layer) != CASES[i].want ||
            kv_ignore_is_prefix_quirk(ig, path, layer) != CASES[i].quirk)
            fail_msg("%s in %s", CASES[i].path, CASES[i].layer);
    }
}

static void leaves_files_to_parents(void **state)
{
    (void)state;
    kv_auto(kv_ignore) ig = make(
        "", "model: {path: \"a/b:v1\", parts: [{path: my-model/extra}]}\ncode: [{path: .}]\n",
        "model: {path: my-model, parts: [{path: vocab.txt}]}\ncode: [{path: .}]\n");
    assert_true(kv_ignore_match(ig, KV_SV("my-model/base.bin"), KV_SV(".")));
    assert_true(kv_ignore_match(ig, KV_SV("my-model/extra/p"), KV_SV(".")));
    assert_true(kv_ignore_match(ig, KV_SV("vocab.txt"), KV_SV(".")));
    assert_false(kv_ignore_match(ig, KV_SV("my-model/extra/p"), KV_SV("my-model/extra")));
    assert_false(kv_ignore_match(ig, KV_SV("code.py"), KV_SV(".")));
    assert_false(kv_ignore_match(ig, KV_SV("a"), KV_SV(".")));
}

KV_TEST_MAIN(cmocka_unit_test(matches_patterns), cmocka_unit_test(refuses),
             cmocka_unit_test(bounds), cmocka_unit_test(leaves_files_to_their_layers),
             cmocka_unit_test(leaves_files_to_parents))

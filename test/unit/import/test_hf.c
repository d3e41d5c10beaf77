#include <string.h>

#include "base/str.h"
#include "import/hf.h"
#include "test/test.h"

static kv_code note(void *to, kv_sv name, uint64_t size, bool is_dir, kv_error *err)
{
    (void)err;
    kv_buf_addf(to, "%.*s%s=%llu ", KV_ARG(name), is_dir ? "/" : "", (unsigned long long)size);
    return KV_OK;
}

static void reads_listings(void **state)
{
    static const struct {
        const char *body, *dir;
        kv_code want;
        const char *listed;
    } CASES[] = {
        {"[]", "", KV_OK, ""},
        {"[{\"type\":\"file\",\"size\":5,\"path\":\"a.onnx\",\"lfs\":{\"size\":5}},"
         "{\"type\":\"directory\",\"size\":0,\"path\":\"src\"},{\"type\":\"commit\",\"path\":\"sub\"}]",
         "", KV_OK, "a.onnx=5 src/=0 "},
        {"[{\"type\":\"file\",\"size\":5,\"path\":\"d/e/a\"}]", "d/e", KV_OK, "a=5 "},
        {"[{\"type\":\"file\",\"path\":\".gitattributes\"},{\"type\":\"file\",\"path\":\".gitignore\"}]",
         "", KV_OK, ""},
        {"[{\"type\":\"file\",\"path\":\"d/a\"}]", "", KV_E_PROTOCOL, ""},
        {"[{\"type\":\"file\",\"path\":\"a\"}]", "d", KV_E_PROTOCOL, ""},
        {"[{\"type\":\"file\",\"path\":\"dx/a\"}]", "d", KV_E_PROTOCOL, ""},
        {"[{\"type\":\"file\",\"path\":\"d/\"}]", "d", KV_E_PROTOCOL, ""},
        {"[{\"type\":\"file\",\"path\":\"d/..\"}]", "d", KV_E_PROTOCOL, ""},
        {"[{\"type\":\"file\",\"path\":\".\"}]", "", KV_E_PROTOCOL, ""},
        {"[{\"type\":\"file\",\"path\":\"a\\u0000b\"}]", "", KV_E_PROTOCOL, ""},
        {"[{\"type\":\"file\"}]", "", KV_E_INVALID, ""},
        {"[{\"type\":\"file\",\"path\":\"a\",\"size\":-1}]", "", KV_E_INVALID, ""},
        {"[1]", "", KV_E_INVALID, ""},
        {"{}", "", KV_E_PROTOCOL, ""},
        {"<html>", "", KV_E_SYNTAX, ""},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto_buf got = KV_BUF(4096);
        kv_error err = {0};
        kv_code rc = kv_hf_tree_parse(kv_sv_of(CASES[i].body), kv_sv_of(CASES[i].dir), note, &got,
                                      &err);
        if (rc != CASES[i].want || !kv_sv_is(kv_buf_sv(&got), CASES[i].listed))
            fail_msg("%s: %d '%s' %s", CASES[i].body, (int)rc, err.msg, got.p ? got.p : "");
    }
}

static void knows_places(void **state)
{
    static const struct {
        const char *text, *want; /* NULL: refused */
    } CASES[] = {
        {"o/n", "o/n"},
        {"O-1/n_2.x/", "O-1/n_2.x"},
        {"datasets/o/n", "datasets o/n"},
        {"huggingface.co/o/n", "o/n"},
        {"https://huggingface.co/o/n", "o/n"},
        {"https://www.huggingface.co/datasets/o/n", "datasets o/n"},
        {"http://hub.example.com:81/o/n", "o/n"},
        {"https://elsewhere.example.com/o/n", NULL},
        {"https://o/n", NULL},
        {"o", NULL},
        {"o/n/x", NULL},
        {"o/../n", NULL},
        {"o/..", NULL},
        {"./n", NULL},
        {"o/n?x", NULL},
        {"o/n\n", NULL},
        {"", NULL},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_hf_place p;
        kv_auto_buf got = KV_BUF(256);
        kv_code rc = kv_hf_place_parse(kv_sv_of(CASES[i].text), KV_SV("hub.example.com:81"), &p,
                                       NULL);
        if (rc == KV_OK)
            kv_buf_addf(&got, "%s%.*s/%.*s", p.dataset ? "datasets " : "", KV_ARG(p.owner),
                        KV_ARG(p.name));
        kv_code want = CASES[i].want ? KV_OK : KV_E_ARG;
        if (rc != want || (rc == KV_OK && !kv_sv_is(kv_buf_sv(&got), CASES[i].want)))
            fail_msg("%s: %d %s", CASES[i].text, (int)rc, got.p ? got.p : "");
    }
}

static void keeps_tokens_at_home(void **state)
{
    static const struct {
        const char *endpoint, *token;
        kv_code want;
    } CASES[] = {
        {NULL, "t", KV_OK},
        {"http://127.0.0.1:1", "t", KV_OK},
        {"http://hub.example.com", NULL, KV_OK},
        {"http://hub.example.com", "t", KV_E_ARG},
        {"https://hub.example.com", "t\r\nX: y", KV_E_ARG},
        {"ftp://hub.example.com", NULL, KV_E_ARG},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto(kv_hf_repo) r = NULL;
        kv_hf_options o = KV_HF_OPTIONS_INIT;
        o.endpoint = CASES[i].endpoint;
        o.token = CASES[i].token;
        if (kv_hf_open(KV_SV("o/n"), &o, &r, NULL) != CASES[i].want)
            fail_msg("%zu: wanted %d", i, (int)CASES[i].want);
    }
}

KV_TEST_MAIN(cmocka_unit_test(reads_listings), cmocka_unit_test(knows_places),
             cmocka_unit_test(keeps_tokens_at_home))

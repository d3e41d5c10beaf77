#include "import/hf_fetch.h"

#include <string.h>

#include "test/test.h"

#define SHA1 "0123456789abcdef0123456789abcdef01234567"
#define SHA256 SHA1 "0123456789abcdef01234567"

static void pages(void **state)
{
    static const struct {
        const char *json, *want; /* paths, or the error */
        kv_code code;
    } CASES[] = {
        {"[]", "", KV_OK},
        {"[{\"type\":\"directory\",\"path\":\"d\"}]", "", KV_OK},
        {"[{\"type\":\"file\",\"path\":\"d/a\",\"size\":3,\"oid\":\"" SHA1 "\"}]", "d/a 3;", KV_OK},
        {"[{\"type\":\"file\",\"path\":\"b\",\"size\":3,\"oid\":\"x\",\"lfs\":{\"oid\":\"" SHA256
         "\",\"size\":9}}]",
         "b 9;", KV_OK},
        {"[{\"type\":\"file\",\"path\":\".gitattributes\",\"size\":3,\"oid\":\"" SHA1 "\"}]", "",
         KV_OK},
        {"[{\"type\":\"file\",\"path\":\"skip.me\",\"size\":3,\"oid\":\"" SHA1 "\"}]", "", KV_OK},
        {"", "listing of b", KV_E_PROTOCOL},
        {"{}", "expected a list", KV_E_PROTOCOL},
        {"[1]", "listing of b", KV_E_PROTOCOL},
        {"[{\"path\":\"a\"}]", "type", KV_E_PROTOCOL},
        {"[{\"type\":\"file\"}]", "path", KV_E_PROTOCOL},
        {"[{\"type\":\"file\",\"path\":\"a\",\"size\":-1,\"oid\":\"" SHA1 "\"}]", "size",
         KV_E_PROTOCOL},
        {"[{\"type\":\"file\",\"path\":\"a\",\"oid\":\"0\"}]", "no hash of 'a'", KV_E_PROTOCOL},
        {"[{\"type\":\"file\",\"path\":\"a\",\"oid\":\"" SHA1 "\",\"lfs\":{\"oid\":\"" SHA1 "\"}}]",
         "no hash of 'a'", KV_E_PROTOCOL},
        {"[{\"type\":\"file\",\"path\":\"../a\",\"oid\":\"" SHA1 "\"}]", "no path", KV_E_PROTOCOL},
        {"[{\"type\":\"file\",\"path\":\"a\\u0000b\",\"oid\":\"" SHA1 "\"}]", "no path",
         KV_E_PROTOCOL},
    };
    (void)state;
    char owner[] = "a", name[] = "b";
    kv_hf_repo repo = {.owner = owner, .name = name};
    kv_sv exclude[] = {KV_SV("skip*")};
    kv_hf_fetch_options options = KV_HF_FETCH_OPTIONS_INIT;
    options.exclude = exclude;
    options.n_exclude = 1;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_hf_job job = {.repo = &repo, .options = &options};
        kv_error err = {0};
        kv_auto_buf got = KV_BUF(4096);
        kv_code rc = kv_hf_add_page(&job, kv_sv_of(CASES[i].json), &err);
        for (size_t f = 0; f < job.n; f++)
            kv_buf_addf(&got, "%s %llu;", job.files[f].path, (unsigned long long)job.files[f].size);
        bool ok = rc == CASES[i].code &&
                  (rc == KV_OK ? strcmp(got.p ? got.p : "", CASES[i].want) == 0
                               : strstr(err.msg, CASES[i].want) != NULL);
        kv_hf_job_clear(&job);
        if (!ok) fail_msg("%s: code %d, '%s' '%s'", CASES[i].json, (int)rc, got.p, err.msg);
    }
}

KV_TEST_MAIN(cmocka_unit_test(pages))

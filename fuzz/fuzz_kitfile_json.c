#include <stdlib.h>

#include "base/str.h"
#include "fuzz/fuzz.h"
#include "kitvault/kitfile.h"

static void check_yaml(const kv_kitfile *kf)
{
    kv_auto(kv_kitfile) again = NULL;
    kv_auto_str yaml = NULL, yaml2 = NULL;
    size_t n = 0, n2 = 0;
    if (kv_kitfile_format_yaml(kf, &yaml, &n, NULL) != KV_OK) __builtin_trap();
    kv_code rc = kv_kitfile_parse_yaml((kv_sv){yaml, n}, &again, NULL);
    if (rc == KV_E_LIMIT) return; /* one byte of JSON can be two of YAML */
    if (rc != KV_OK) __builtin_trap();
    if (kv_kitfile_format_yaml(again, &yaml2, &n2, NULL) != KV_OK) __builtin_trap();
    if (!kv_sv_eq((kv_sv){yaml, n}, (kv_sv){yaml2, n2})) __builtin_trap();
}

/* A config blob that was written by us is written the same again, and so is its YAML. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kv_auto(kv_kitfile) kf = NULL, again = NULL;
    kv_auto_str json = NULL, json2 = NULL, part = NULL;
    size_t n = 0, n2 = 0, k = 0;
    if (kv_kitfile_parse_json((kv_sv){(const char *)data, size}, &kf, NULL) != KV_OK) return 0;
    check_yaml(kf);
    kv_code rc = kv_kitfile_select(kf, KV_SV("model.parameters"), &part, &k, NULL);
    if ((rc == KV_OK) != (kf->model != NULL)) __builtin_trap();

    if (kv_kitfile_format_json(kf, &json, &n, NULL) != KV_OK) __builtin_trap();
    rc = kv_kitfile_parse_json((kv_sv){json, n}, &again, NULL);
    if (rc == KV_E_LIMIT) return 0; /* escapes can make it longer */
    if (rc != KV_OK) __builtin_trap();
    if (kv_kitfile_format_json(again, &json2, &n2, NULL) != KV_OK) __builtin_trap();
    if (!kv_sv_eq((kv_sv){json, n}, (kv_sv){json2, n2})) __builtin_trap();
    return 0;
}

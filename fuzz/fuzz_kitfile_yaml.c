#include <stdlib.h>

#include "base/str.h"
#include "fuzz/fuzz.h"
#include "kitvault/kitfile.h"

/* What is written of a Kitfile reads back, and is the same when written again; its config blob does
 * not change on that way either. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kv_auto(kv_kitfile) kf = NULL, again = NULL;
    kv_auto_str yaml = NULL, yaml2 = NULL, json = NULL, json2 = NULL;
    size_t n = 0, n2 = 0, j = 0, j2 = 0;
    if (kv_kitfile_parse_yaml((kv_sv){(const char *)data, size}, &kf, NULL) != KV_OK) return 0;
    kv_code valid = kv_kitfile_validate(kf, NULL, NULL);
    if (valid != KV_OK && valid != KV_E_INVALID && valid != KV_E_LIMIT) __builtin_trap();
    kv_code has_json = kv_kitfile_format_json(kf, &json, &j, NULL);

    if (kv_kitfile_format_yaml(kf, &yaml, &n, NULL) != KV_OK) __builtin_trap();
    kv_code rc = kv_kitfile_parse_yaml((kv_sv){yaml, n}, &again, NULL);
    if (rc == KV_E_LIMIT) return 0; /* aliases that were written out */
    if (rc != KV_OK) __builtin_trap();
    if (kv_kitfile_format_yaml(again, &yaml2, &n2, NULL) != KV_OK) __builtin_trap();
    if (!kv_sv_eq((kv_sv){yaml, n}, (kv_sv){yaml2, n2})) __builtin_trap();

    if (has_json != KV_OK) return 0;
    if (kv_kitfile_format_json(again, &json2, &j2, NULL) != KV_OK) __builtin_trap();
    if (!kv_sv_eq((kv_sv){json, j}, (kv_sv){json2, j2})) __builtin_trap();
    return 0;
}

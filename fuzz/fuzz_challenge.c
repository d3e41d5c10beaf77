#include "fuzz/fuzz.h"
#include "http/field.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kv_auto(kv_arena) arena = kv_arena_new(1 << 20);
    kv_challenge list[KV_CHALLENGES_MAX];
    size_t n = 0;
    kv_code rc = kv_challenge_parse((kv_sv){(const char *)data, size}, arena, list, &n, NULL);
    if (n > KV_CHALLENGES_MAX) __builtin_trap();
    for (size_t i = 0; i < n; i++)
        if (!list[i].scheme.n) __builtin_trap();
    (void)rc;
    return 0;
}

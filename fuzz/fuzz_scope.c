#include "fuzz/fuzz.h"
#include "hub/service/scope.h"
#include "hub/service/token.h"
#include "kitvault/reference.h"

/* The scope of a token request; what is taken for a repository has a repository's name. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t KEY[KV_MAC_BYTES];
    kv_sv text = {(const char *)data, size};
    kv_scope s;
    bool known = false;
    if (kv_scope_parse(text, &s, &known, NULL) == KV_OK && known &&
        !kv_repository_name_valid(s.repository))
        __builtin_trap();

    /* Nothing that we did not seal is a token. */
    kv_auto(kv_arena) arena = kv_arena_new(1u << 20);
    kv_token t;
    if (arena && kv_token_parse(KEY, text, 0, arena, &t, NULL) == KV_OK) __builtin_trap();
    return 0;
}

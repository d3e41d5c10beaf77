#include <string.h>

#include "fuzz/fuzz.h"
#include "tar/zip_find.h"

static kv_code read_at(void *ctx, uint64_t offset, void *dst, size_t n, kv_error *err)
{
    const kv_sv *all = ctx;
    (void)err;
    if (offset > all->n || n > all->n - offset) __builtin_trap(); /* asked beyond the archive */
    memcpy(dst, all->p + offset, n);
    return KV_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kv_sv all = {(const char *)data, size};
    bool found;
    if (kv_zip_find(read_at, &all, size, KV_SV("manifest.json"), &found, NULL) != KV_OK && found)
        __builtin_trap();
    return 0;
}

#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "tar/tar_places.h"

static kv_code read_at(void *ctx, void *dst, size_t n, uint64_t off, kv_error *err)
{
    (void)err;
    const kv_sv *all = ctx;
    if (off > all->n || n > all->n - off) abort();
    memcpy(dst, all->p + off, n);
    return KV_OK;
}

static kv_code take(void *ctx, const kv_tar_place *p, kv_error *err)
{
    (void)err;
    const kv_sv *all = ctx;
    if (p->offset > all->n || p->size > all->n - p->offset) abort();
    return KV_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kv_sv all = {(const char *)data, size};
    kv_code rc = kv_tar_places(size, read_at, &all, take, &all, NULL);
    (void)rc;
    return 0;
}

#include <stdlib.h>

#include "fuzz/fuzz.h"
#include "remote/layout_index.h"

/* What was read and is written again reads back with the same entries. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kv_auto_layout_index a = {0}, b = {0};
    if (kv_layout_index_parse((kv_sv){(const char *)data, size}, "", &a, NULL) != KV_OK) return 0;
    kv_auto_buf out = KV_BUF(KV_LAYOUT_INDEX_MAX);
    kv_layout_index_format(&a, &out);
    if (out.failed) return 0;
    if (kv_layout_index_parse(kv_buf_sv(&out), "", &b, NULL) != KV_OK || a.n != b.n) abort();
    for (size_t i = 0; i < a.n; i++)
        if (!kv_digest_eq(&a.items[i].digest, &b.items[i].digest) ||
            !kv_sv_eq(a.items[i].tag, b.items[i].tag))
            abort();
    return 0;
}

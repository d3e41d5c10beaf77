#include <stdlib.h>

#include "fuzz/fuzz.h"
#include "store/index.h"

/* What was read and is written again reads back with the same entries. */
static void round_trip(kv_sv text, bool tags)
{
    kv_auto_store_list a = {0}, b = {0};
    kv_code rc = tags ? kv_store_tags_parse(text, "", &a, NULL)
                      : kv_store_index_parse(text, "", &a, NULL);
    if (rc != KV_OK) return;
    kv_auto_buf out = KV_BUF(KV_STORE_LIST_MAX);
    if (tags)
        kv_store_tags_format(&a, &out);
    else
        kv_store_index_format(&a, true, &out);
    if (out.failed) return;
    rc = tags ? kv_store_tags_parse(kv_buf_sv(&out), "", &b, NULL)
              : kv_store_index_parse(kv_buf_sv(&out), "", &b, NULL);
    if (rc != KV_OK || a.n != b.n) abort();
    for (size_t i = 0; i < a.n; i++)
        if (!kv_digest_eq(&a.items[i].digest, &b.items[i].digest) ||
            a.items[i].size != b.items[i].size)
            abort();
}

/* The first byte picks the list, or a file name. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    kv_sv text = {(const char *)data + 1, size - 1};
    if (data[0] % 3 == 2) {
        kv_auto_buf name = KV_BUF(1u << 20);
        kv_store_name_decode(text, &name);
    } else {
        round_trip(text, data[0] % 3);
    }
    return 0;
}

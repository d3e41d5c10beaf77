#include <string.h>

#include "fuzz/fuzz.h"
#include "http/range.h"

/* The first eight bytes are the size of the content. A part always lies inside it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t content, off = 0, n = 0;
    if (size < sizeof(content)) return 0;
    memcpy(&content, data, sizeof(content));
    kv_sv value = {(const char *)data + sizeof(content), size - sizeof(content)};
    if (kv_range_parse(value, content, &off, &n) == KV_RANGE_PART &&
        (n == 0 || off >= content || n > content - off))
        __builtin_trap();
    kv_content_range r;
    if (kv_content_range_parse(value, &r, NULL) == KV_OK && (r.last < r.first || r.last >= r.total))
        __builtin_trap();
    return 0;
}

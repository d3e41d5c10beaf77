#include "fuzz/fuzz.h"
#include "http/field.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kv_sv value = {(const char *)data, size};
    kv_sv url = kv_link_next(value);
    if (url.p && (url.p < value.p || url.p + url.n > value.p + value.n)) __builtin_trap();
    uint64_t n;
    (void)kv_upload_range_parse(value, &n);
    return 0;
}

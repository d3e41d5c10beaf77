#include "blob/s3_config.h"
#include "fuzz/fuzz.h"

/* What S3 answers, and the files with its keys. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kv_sv text = {(const char *)data, size}, rest = text, part, value;
    while (kv_xml_next(&rest, "Part", &part)) {
        kv_auto_buf out = KV_BUF(size + 1);
        if (kv_xml_next(&part, "ETag", &value)) kv_xml_text_add(&out, value);
        if (out.n > size) __builtin_trap();
    }
    if (kv_aws_ini_get(text, KV_SV("default"), "region", &value, NULL) == KV_OK && value.n > size)
        __builtin_trap();
    return 0;
}

#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "import/hf.h"

/* What is handed out is one name in the directory that was asked for. */
static kv_code take(void *to, kv_sv name, uint64_t size, bool is_dir, kv_error *err)
{
    (void)to;
    (void)size;
    (void)is_dir;
    (void)err;
    if (!name.n || memchr(name.p, '/', name.n) || memchr(name.p, '\0', name.n)) abort();
    return KV_OK;
}

/* The first byte picks the directory, or the name of a repository. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    kv_sv text = {(const char *)data + 1, size - 1};
    kv_hf_place place;
    if (data[0] % 3 == 2)
        (void)!kv_hf_place_parse(text, (kv_sv){"hub.example.com", 15}, &place, NULL);
    else
        (void)!kv_hf_tree_parse(text, (kv_sv){"sub/dir", data[0] % 3 ? 7 : 0}, take, NULL, NULL);
    return 0;
}

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "fuzz/fuzz.h"
#include "kitvault/reference.h"

/* What parses prints, and what is printed parses to the same text. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kv_auto_reference r = {0}, again = {0};
    if (kv_reference_parse((kv_sv){(const char *)data, size}, &r, NULL) != KV_OK) return 0;
    kv_auto_str full = kv_reference_full(&r);
    kv_auto_str last = kv_reference_last(&r);
    kv_auto_str display = kv_reference_display(&r);
    if (!full || !last || !display) return 0;
    /* The name of untagged packs cannot be written with its registry. */
    if (kv_sv_is(r.repository, KV_REPOSITORY_NONE)) return 0;
    if (!kv_reference_is_remote(&r)) return 0; /* "localhost/x" means a repository "localhost/x" */
    if (kv_reference_parse(kv_sv_of(full), &again, NULL) != KV_OK) __builtin_trap();
    kv_auto_str twice = kv_reference_full(&again);
    if (!twice || strcmp(full, twice) != 0) __builtin_trap();
    return 0;
}

#include <stdlib.h>

#include "fuzz/fuzz.h"
#include "kitfile/ignore.h"

/* The patterns up to a NUL, then paths between NULs. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char KITFILE[] = "code: [{path: .}, {path: a}]\ndatasets: [{path: a/b}]\n";
    kv_auto(kv_kitfile) kf = NULL;
    kv_auto(kv_ignore) ig = NULL;
    kv_sv text, path, paths = kv_sv_cut((kv_sv){(const char *)data, size}, '\0', &text, NULL);
    if (kv_kitfile_parse_yaml(kv_sv_of(KITFILE), &kf, NULL) != KV_OK) return 0;
    if (kv_ignore_new(text, kf, NULL, &ig, NULL) != KV_OK) return 0;
    /* Whatever the patterns: these are never packed. */
    if (!kv_ignore_match(ig, KV_SV("Kitfile"), KV_SV("."))) __builtin_trap();
    for (bool more = true; more;) {
        paths = kv_sv_cut(paths, '\0', &path, &more);
        if (kv_ignore_match(ig, path, KV_SV("a")) &&
            kv_ignore_is_prefix_quirk(ig, path, KV_SV("a")))
            __builtin_trap();
    }
    return 0;
}

#include "base/library.h"

#include <dlfcn.h>
#include <string.h>

static kv_code fail(const char *file, kv_error *err)
{
    const char *why = dlerror();
    return kv_fail(err, KV_E_UNSUPPORTED, "cannot load %s: %s", file, why ? why : "not usable");
}

kv_code kv_library_load(const char *file, const kv_symbol *symbols, size_t n, kv_error *err)
{
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (!library) return fail(file, err);
    for (size_t i = 0; i < n; i++) {
        void *address = dlsym(library, symbols[i].name);
        if (!address) return fail(file, err);
        /* ISO C has no conversion from void * to a function's address; POSIX says both look alike. */
        memcpy(symbols[i].out_function, &address, sizeof(address));
    }
    return KV_OK;
}

#pragma once
/* Shared libraries that are loaded when they are first needed, since the loading of some takes
 * longer than most commands run. One file of ours each calls this (lazy_<library>.c). */
#include <stddef.h>

#include "kitvault/error.h"

typedef struct kv_symbol {
    const char *name;
    void *out_function; /* address of a pointer to a function of the right type */
} kv_symbol;
/**
 * Opens a library for the rest of the process and fills in its functions. file is what the dynamic
 * linker looks for ("libcurl.so.4"): the name of an interface that does not change.
 * Errors: KV_E_UNSUPPORTED with the loader's words. Threads: any; the caller sees to once.
 */
KV_MUST_CHECK kv_code kv_library_load(const char *file, const kv_symbol *symbols, size_t n,
                                      kv_error *err);

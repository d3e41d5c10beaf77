#include "tar/lazy_archive.h"

#include <pthread.h>

#include "base/library.h"
#include "base/mem.h"

kv_archive_functions kv_archive;

static kv_code loaded;
static kv_error why;

static void load(void)
{
    static const kv_symbol SYMBOLS[] = {
#define X(name) {"archive_" #name, &kv_archive.name},
        KV_ARCHIVE_FUNCTIONS(X)
#undef X
    };
    /* The name of its interface since 3.0, of 2011. */
    loaded = kv_library_load("libarchive.so.13", SYMBOLS, KV_COUNT(SYMBOLS), &why);
}

kv_code kv_archive_load(kv_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return loaded == KV_OK ? KV_OK : kv_fail(err, loaded, "%s", why.msg);
}

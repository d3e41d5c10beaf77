#include "http/lazy_curl.h"

#include <pthread.h>

#include "base/library.h"
#include "base/mem.h"

kv_curl_functions kv_curl;

static kv_code loaded;
static kv_error why;

static void load(void)
{
    static const kv_symbol SYMBOLS[] = {
#define X(name) {"curl_" #name, &kv_curl.name},
        KV_CURL_FUNCTIONS(X)
#undef X
    };
    /* The name of its interface since 2006. */
    loaded = kv_library_load("libcurl.so.4", SYMBOLS, KV_COUNT(SYMBOLS), &why);
    if (loaded == KV_OK && kv_curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        loaded = kv_fail(&why, KV_E_INTERNAL, "libcurl does not start");
}

kv_code kv_curl_load(kv_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return loaded == KV_OK ? KV_OK : kv_fail(err, loaded, "%s", why.msg);
}

#include "http/lazy_curl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

kv_curl_functions kv_curl;

/* The name of its interface since 2006; kept open to the end of the process. */
static const char LIBRARY[] = "libcurl.so.4";

static kv_code loaded;
static char why[256];

/* ISO C has no conversion from void * to a function's address; POSIX says both look the same. */
static bool find(void *library, const char *name, void *out_function)
{
    void *address = dlsym(library, name);
    if (!address) return false;
    memcpy(out_function, &address, sizeof(address));
    return true;
}

static void load(void)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    bool found = library != NULL;
#define X(name) found = found && find(library, "curl_" #name, &kv_curl.name);
    KV_CURL_FUNCTIONS(X)
#undef X
    if (!found) {
        const char *text = dlerror();
        loaded = KV_E_UNSUPPORTED;
        snprintf(why, sizeof(why), "cannot load %s: %s", LIBRARY, text ? text : "not usable");
    } else if (kv_curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        loaded = KV_E_INTERNAL;
        snprintf(why, sizeof(why), "libcurl does not start");
    }
}

kv_code kv_curl_load(kv_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return loaded == KV_OK ? KV_OK : kv_fail(err, loaded, "%s", why);
}

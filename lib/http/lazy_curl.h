#pragma once
/*
 * libcurl, loaded when the first request is made. It brings some thirty libraries (Kerberos, LDAP,
 * SSH, ...), whose loading takes longer than most commands that need no network: linked in the
 * usual way `kitvault version` took 8.6 ms, most of it in the dynamic linker.
 *
 * Files that call libcurl include this header in place of curl's and call kv_curl_load first; the
 * functions keep their names.
 */
#define CURL_DISABLE_TYPECHECK 1 /* its macros would call the functions by their own names */
#include <curl/curl.h>

#include "kitvault/error.h"

/* clang-format off */
#define KV_CURL_FUNCTIONS(X) \
    X(easy_cleanup) X(easy_init) X(easy_pause) X(easy_reset) X(easy_setopt) X(easy_strerror) X(free) \
    X(global_init) X(multi_add_handle) X(multi_cleanup) X(multi_info_read) X(multi_init) \
    X(multi_perform) X(multi_poll) X(multi_remove_handle) X(slist_append) X(slist_free_all) X(url) \
    X(url_cleanup) X(url_get) X(url_set) X(url_strerror)
/* clang-format on */

typedef struct kv_curl_functions {
/* NOLINTNEXTLINE(bugprone-macro-parentheses): declares a member */
#define X(name) __typeof__(&curl_##name) name;
    KV_CURL_FUNCTIONS(X)
#undef X
} kv_curl_functions;
extern kv_curl_functions kv_curl; /* usable after kv_curl_load */

/** Loads and starts libcurl, once. Errors: KV_E_UNSUPPORTED with the loader's words, KV_E_INTERNAL.
 * Threads: any. */
KV_MUST_CHECK kv_code kv_curl_load(kv_error *err);

#define curl_easy_cleanup kv_curl.easy_cleanup
#define curl_easy_init kv_curl.easy_init
#define curl_easy_pause kv_curl.easy_pause
#define curl_easy_reset kv_curl.easy_reset
#undef curl_easy_setopt /* a macro that checks its number of arguments */
#define curl_easy_setopt kv_curl.easy_setopt
#define curl_easy_strerror kv_curl.easy_strerror
#define curl_free kv_curl.free
#define curl_global_init kv_curl.global_init
#define curl_multi_add_handle kv_curl.multi_add_handle
#define curl_multi_cleanup kv_curl.multi_cleanup
#define curl_multi_info_read kv_curl.multi_info_read
#define curl_multi_init kv_curl.multi_init
#define curl_multi_perform kv_curl.multi_perform
#define curl_multi_poll kv_curl.multi_poll
#define curl_multi_remove_handle kv_curl.multi_remove_handle
#define curl_slist_append kv_curl.slist_append
#define curl_slist_free_all kv_curl.slist_free_all
#define curl_url kv_curl.url
#define curl_url_cleanup kv_curl.url_cleanup
#define curl_url_get kv_curl.url_get
#define curl_url_set kv_curl.url_set
#define curl_url_strerror kv_curl.url_strerror

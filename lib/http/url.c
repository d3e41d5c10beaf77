#include "http/url.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "http/lazy_curl.h"

enum { URL_MAX = 64 * 1024 };

/* NULL may mean that libcurl was not even loaded. */
static void free_url(CURLU *u)
{
    if (u) curl_url_cleanup(u);
}
KV_DEFINE_AUTO(CURLU, free_url)

static void free_part(char **p)
{
    if (*p) curl_free(*p);
}
#define auto_part KV_CLEANUP(free_part) char *

void kv_url_origin_clear(kv_url_origin *o)
{
    free(o->text);
    free(o->host);
    *o = (kv_url_origin){0};
}

bool kv_host_is_loopback(kv_sv host)
{
    if (host.n && host.p[0] == '[') {
        return kv_sv_starts(host, KV_SV("[::1]"));
    }
    kv_sv name;
    kv_sv_cut(host, ':', &name, NULL);
    if (kv_sv_eq_nocase(name, KV_SV("localhost"))) return true;
    /* A name may begin with "127." and lie anywhere: only four numbers are an address. */
    if (!kv_sv_starts(name, KV_SV("127."))) return false;
    size_t dots = 0;
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] == '.')
            dots++;
        else if (!isdigit((unsigned char)name.p[i]))
            return false;
    }
    return dots == 3;
}

static kv_code parse(const char *url, CURLU **out, kv_error *err)
{
    KV_TRY(kv_curl_load(err));
    kv_auto(CURLU) u = curl_url();
    if (!u) return kv_fail(err, KV_E_NOMEM, "out of memory");
    /* A name or password in a URL would end in logs; nobody sends one on purpose. */
    CURLUcode rc = curl_url_set(u, CURLUPART_URL, url, CURLU_DISALLOW_USER);
    if (rc) return kv_fail(err, KV_E_INVALID, "bad URL: %s", curl_url_strerror(rc));
    *out = KV_TAKE(u);
    return KV_OK;
}

kv_code kv_url_origin_of(const char *url, kv_url_origin *out, kv_error *err)
{
    kv_auto(CURLU) u = NULL;
    KV_TRY(parse(url, &u, err));
    auto_part scheme = NULL;
    auto_part host = NULL;
    auto_part port = NULL;
    auto_part named_port = NULL;
    if (curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) || curl_url_get(u, CURLUPART_HOST, &host, 0))
        return kv_fail(err, KV_E_INVALID, "bad URL: no host");
    bool tls = strcmp(scheme, "https") == 0;
    if (!tls && strcmp(scheme, "http") != 0)
        return kv_fail(err, KV_E_INVALID, "bad URL: only http and https are spoken here");
    if (curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT))
        return kv_fail(err, KV_E_INVALID, "bad URL: bad port");
    (void)curl_url_get(u, CURLUPART_PORT, &named_port, 0);
    for (char *p = host; *p; p++) *p = (char)tolower((unsigned char)*p);

    kv_auto_buf text = KV_BUF(URL_MAX);
    kv_auto_buf name = KV_BUF(URL_MAX);
    kv_buf_addf(&text, "%s://%s:%s", scheme, host, port);
    kv_buf_adds(&name, host);
    if (named_port) kv_buf_addf(&name, ":%s", named_port);
    KV_TRY(kv_buf_check(&text, err));
    KV_TRY(kv_buf_check(&name, err));
    *out = (kv_url_origin){.tls = tls,
                           .loopback = kv_host_is_loopback(kv_sv_of(host)),
                           .text = kv_buf_take(&text),
                           .host = kv_buf_take(&name)};
    return KV_OK;
}

kv_code kv_url_resolve(const char *base, kv_sv ref, char **out, kv_error *err)
{
    if (ref.n > URL_MAX) return kv_fail(err, KV_E_INVALID, "bad URL: too long");
    kv_auto_str text = kv_sv_dup(ref);
    if (!text) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_auto(CURLU) u = NULL;
    KV_TRY(parse(base, &u, err));
    CURLUcode rc = curl_url_set(u, CURLUPART_URL, text, CURLU_DISALLOW_USER);
    if (rc) return kv_fail(err, KV_E_INVALID, "bad URL: %s", curl_url_strerror(rc));
    (void)curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0);
    auto_part url = NULL;
    if (curl_url_get(u, CURLUPART_URL, &url, 0)) return kv_fail(err, KV_E_INVALID, "bad URL");
    *out = strdup(url);
    if (!*out) return kv_fail(err, KV_E_NOMEM, "out of memory");
    return KV_OK;
}

#include "http/sigv4.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "codec/hasher.h"
#include "codec/secret.h"
#include "codec/text.h"

enum { TEXT_MAX = 64 * 1024, PARAMETERS_MAX = 32 };

void kv_sigv4_headers_clear(kv_sigv4_headers *h)
{
    kv_wipe_buf(&h->text); /* the session token is a secret */
}

typedef struct url_parts {
    kv_sv host, path, query;
} url_parts;

static bool split_url(const char *url, url_parts *out)
{
    kv_sv rest = kv_sv_of(url), fragment;
    size_t at = kv_sv_find_sub(rest, KV_SV("://"));
    if (at == SIZE_MAX) return false;
    kv_sv_cut(kv_sv_from(rest, at + 3), '#', &rest, NULL);
    fragment = kv_sv_cut(rest, '?', &rest, NULL);
    out->query = fragment;
    size_t slash = kv_sv_find(rest, '/');
    out->host = kv_sv_sub(rest, 0, slash);
    out->path = slash == SIZE_MAX ? KV_SV("/") : kv_sv_from(rest, slash);
    return out->host.n > 0;
}

static int by_text(const void *a, const void *b)
{
    return kv_sv_cmp(*(const kv_sv *)a, *(const kv_sv *)b);
}

/* Sorted "name=value", a name without '=' as "name=". */
static kv_code add_query(kv_sv query, kv_buf *out, kv_error *err)
{
    kv_sv parts[PARAMETERS_MAX];
    size_t n = 0;
    for (bool more = query.n > 0; more;) {
        if (n == PARAMETERS_MAX) return kv_fail(err, KV_E_LIMIT, "too many parameters to sign");
        query = kv_sv_cut(query, '&', &parts[n++], &more);
    }
    qsort(parts, n, sizeof(parts[0]), by_text);
    for (size_t i = 0; i < n; i++) {
        if (i) kv_buf_addc(out, '&');
        kv_buf_add(out, parts[i]);
        if (kv_sv_find(parts[i], '=') == SIZE_MAX) kv_buf_addc(out, '=');
    }
    return KV_OK;
}

static void add_hash(kv_buf *out, kv_sv bytes)
{
    kv_digest d = kv_digest_of(KV_SHA256, bytes);
    kv_hex_add(out, d.bytes, kv_digest_size(KV_SHA256));
}

/* "20130524T000000Z" */
static void time_text(int64_t now_us, char out[KV_TIME_TEXT_MAX])
{
    char rfc[KV_TIME_TEXT_MAX];
    kv_time_format(now_us, 0, rfc);
    size_t n = 0;
    for (const char *p = rfc; *p; p++)
        if (*p != '-' && *p != ':') out[n++] = *p;
    out[n] = '\0';
}

static void signature(const kv_sigv4 *k, kv_sv date, kv_sv text, uint8_t out[KV_MAC_BYTES])
{
    kv_auto_secret_buf start = KV_BUF(4096);
    kv_buf_addf(&start, "AWS4%.*s", KV_ARG(k->secret_key));
    uint8_t a[KV_MAC_BYTES], b[KV_MAC_BYTES];
    kv_mac_with(kv_buf_sv(&start), date, a);
    kv_mac_with((kv_sv){(char *)a, sizeof(a)}, k->region, b);
    kv_mac_with((kv_sv){(char *)b, sizeof(b)}, k->service, a);
    kv_mac_with((kv_sv){(char *)a, sizeof(a)}, KV_SV("aws4_request"), b);
    kv_mac_with((kv_sv){(char *)b, sizeof(b)}, text, out);
    kv_wipe(a, sizeof(a));
    kv_wipe(b, sizeof(b));
}

static kv_code canonical(const kv_sigv4 *k, const char *method, const url_parts *url,
                         kv_sv payload_hash, const char *when, const char *names, kv_buf *out,
                         kv_error *err)
{
    kv_buf_addf(out, "%s\n%.*s\n", method, KV_ARG(url->path));
    KV_TRY(add_query(url->query, out, err));
    kv_buf_addf(out, "\nhost:%.*s\nx-amz-content-sha256:%.*s\nx-amz-date:%s\n", KV_ARG(url->host),
                KV_ARG(payload_hash), when);
    if (k->session_token.n)
        kv_buf_addf(out, "x-amz-security-token:%.*s\n", KV_ARG(k->session_token));
    kv_buf_addf(out, "\n%s\n%.*s", names, KV_ARG(payload_hash));
    return kv_buf_check(out, err);
}

/* The buffer no longer moves: its lines, each ended by a NUL, become headers. */
static void cut_lines(kv_sigv4_headers *h)
{
    size_t n = 0;
    for (size_t at = 0; at < h->text.n && n + 1 < KV_SIGV4_HEADERS_MAX;) {
        h->lines[n++] = h->text.p + at;
        at += strlen(h->text.p + at) + 1;
    }
    h->lines[n] = NULL;
}

kv_code kv_sigv4_sign(const kv_sigv4 *k, const char *method, const char *url, kv_sv payload_hash,
                      int64_t now_us, kv_sigv4_headers *out, kv_error *err)
{
    url_parts parts;
    char when[KV_TIME_TEXT_MAX];
    if (!split_url(url, &parts)) return kv_fail(err, KV_E_INVALID, "a URL without a host");
    time_text(now_us, when);
    kv_sv date = {when, 8};
    const char *names = k->session_token.n
                            ? "host;x-amz-content-sha256;x-amz-date;x-amz-security-token"
                            : "host;x-amz-content-sha256;x-amz-date";
    kv_auto_secret_buf request = KV_BUF(TEXT_MAX);
    KV_TRY(canonical(k, method, &parts, payload_hash, when, names, &request, err));

    kv_auto_buf scope = KV_BUF(TEXT_MAX), text = KV_BUF(TEXT_MAX);
    kv_buf_addf(&scope, "%.*s/%.*s/%.*s/aws4_request", KV_ARG(date), KV_ARG(k->region),
                KV_ARG(k->service));
    kv_buf_addf(&text, "AWS4-HMAC-SHA256\n%s\n%.*s\n", when, KV_ARG(kv_buf_sv(&scope)));
    add_hash(&text, kv_buf_sv(&request));
    KV_TRY(kv_buf_check(&text, err));
    uint8_t mac[KV_MAC_BYTES];
    signature(k, date, kv_buf_sv(&text), mac);

    *out = (kv_sigv4_headers){.text = KV_BUF(TEXT_MAX)};
    kv_buf_addf(&out->text, "x-amz-date: %s%c", when, '\0');
    kv_buf_addf(&out->text, "x-amz-content-sha256: %.*s%c", KV_ARG(payload_hash), '\0');
    if (k->session_token.n)
        kv_buf_addf(&out->text, "x-amz-security-token: %.*s%c", KV_ARG(k->session_token), '\0');
    kv_buf_addf(&out->text, "Authorization: AWS4-HMAC-SHA256 Credential=%.*s/%.*s, ",
                KV_ARG(k->access_key), KV_ARG(kv_buf_sv(&scope)));
    kv_buf_addf(&out->text, "SignedHeaders=%s, Signature=", names);
    kv_hex_add(&out->text, mac, sizeof(mac));
    kv_buf_addc(&out->text, '\0');
    KV_TRY(kv_buf_check(&out->text, err));
    cut_lines(out);
    return KV_OK;
}

#include "blob/s3.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "codec/hasher.h"
#include "codec/text.h"
#include "http/sigv4.h"
#include "http/url.h"

enum { URL_MAX = 16 * 1024, HEADERS_MAX = 8, UPLOAD_ID_MAX = 1024 };

struct kv_s3 {
    kv_s3_config config;
    kv_http *http;
    kv_sigv4 key;
};

kv_code kv_s3_open(kv_s3_config *config, const kv_http_options *http, kv_s3 **out, kv_error *err)
{
    kv_auto(kv_s3) s = calloc(1, sizeof(*s));
    if (!s) {
        kv_s3_config_clear(config);
        return kv_fail(err, KV_E_NOMEM, "out of memory");
    }
    s->config = *config;
    *config = (kv_s3_config){0};
    const kv_s3_config *c = &s->config;
    s->key = (kv_sigv4){.access_key = kv_sv_of(c->access_key),
                        .secret_key = kv_sv_of(c->secret_key),
                        .session_token = kv_sv_of(c->session_token),
                        .region = kv_sv_of(c->region),
                        .service = KV_SV("s3")};
    kv_auto_url_origin origin = {0};
    kv_code rc = kv_url_origin_of(c->endpoint, &origin, err);
    if (rc != KV_OK) return kv_wrap(err, KV_E_INVALID, "endpoint of S3");
    if (!origin.tls && !origin.loopback && !http->plain_http)
        return kv_fail(err, KV_E_DENIED,
                       "S3 at '%s' is asked over plain HTTP: use https, or say --plain-http",
                       origin.host);
    KV_TRY(kv_http_new(http, &s->http, err));
    *out = KV_TAKE(s);
    return KV_OK;
}

void kv_s3_close(kv_s3 *s)
{
    if (!s) return;
    kv_http_free(s->http);
    kv_s3_config_clear(&s->config);
    free(s);
}

/* --- one request --- */

typedef struct request {
    const char *method, *key;
    const char *query;     /* percent-encoded; NULL: none */
    const char *header[2]; /* more lines, NULL: none */
    kv_sv body;
    const kv_http_source *source; /* instead of body; not signed */
} request;

static kv_code make_url(const kv_s3 *s, const request *r, kv_buf *out, kv_error *err)
{
    kv_buf_addf(out, "%s/%s/", s->config.endpoint, s->config.bucket);
    kv_percent_add(out, kv_sv_of(r->key), "/");
    if (r->query) kv_buf_addf(out, "?%s", r->query);
    return kv_buf_check(out, err);
}

/* open: the body is read piece by piece. */
static kv_code send_it(kv_s3 *s, const request *r, bool open, kv_http_response *resp, kv_error *err)
{
    kv_auto_buf url = KV_BUF(URL_MAX), hash = KV_BUF(128);
    KV_TRY(make_url(s, r, &url, err));
    if (r->source) {
        kv_buf_adds(&hash, KV_SIGV4_UNSIGNED);
    } else {
        kv_digest d = kv_digest_of(KV_SHA256, r->body);
        kv_hex_add(&hash, d.bytes, kv_digest_size(KV_SHA256));
    }
    KV_TRY(kv_buf_check(&hash, err));
    kv_auto_sigv4_headers signed_ = {0};
    KV_TRY(kv_sigv4_sign(&s->key, r->method, url.p, kv_buf_sv(&hash), kv_now_us(), &signed_, err));
    const char *headers[HEADERS_MAX];
    size_t n = 0;
    for (const char *const *h = signed_.lines; *h; h++) headers[n++] = *h;
    for (size_t i = 0; i < KV_COUNT(r->header) && r->header[i]; i++) headers[n++] = r->header[i];
    headers[n] = NULL;
    /* The signature is for this host alone. */
    kv_http_request req = {.method = r->method,
                           .url = url.p,
                           .headers = headers,
                           .body = r->body,
                           .source = r->source,
                           .anonymous = true,
                           .stay = true};
    return open ? kv_http_open(s->http, &req, resp, err) : kv_http_send(s->http, &req, resp, err);
}

/* "S3: NoSuchBucket: The specified bucket does not exist"; bodies of errors are XML. */
static kv_code fail(const kv_s3 *s, const char *key, kv_http_response *resp, kv_error *err)
{
    kv_code code = kv_http_status_code(resp->status);
    if (code == KV_OK) code = KV_E_PROTOCOL;
    kv_auto_buf text = KV_BUF(2048);
    kv_sv body, name, message;
    if (kv_http_read_all(resp, NULL) != KV_OK) kv_buf_clear(&resp->body);
    body = kv_buf_sv(&resp->body);
    if (kv_xml_next(&body, "Code", &name)) {
        kv_buf_addf(&text, ": %.*s", KV_ARG(kv_sv_sub(name, 0, 256)));
        body = kv_buf_sv(&resp->body);
        if (kv_xml_next(&body, "Message", &message))
            kv_buf_addf(&text, ": %.*s", KV_ARG(kv_sv_sub(message, 0, 512)));
    }
    return kv_fail(err, code, "S3 answered %d for '%s' in bucket '%s'%s", resp->status, key,
                   s->config.bucket, text.p ? text.p : "");
}

/* --- objects --- */

kv_code kv_s3_size(kv_s3 *s, const char *key, uint64_t *out, kv_error *err)
{
    kv_auto_http_response resp = {0};
    KV_TRY(send_it(s, &(request){.method = "HEAD", .key = key}, false, &resp, err));
    if (resp.status != 200) return fail(s, key, &resp, err);
    if (kv_sv_to_u64(kv_http_header(&resp, "Content-Length"), out)) return KV_OK;
    return kv_fail(err, KV_E_PROTOCOL, "S3 does not tell the size of '%s'", key);
}

kv_code kv_s3_get(kv_s3 *s, const char *key, kv_buf *out, kv_buf *etag, kv_error *err)
{
    kv_auto_http_response resp = {.body = KV_BUF(out->max)};
    KV_TRY(send_it(s, &(request){.method = "GET", .key = key}, false, &resp, err));
    if (resp.status != 200) return fail(s, key, &resp, err);
    kv_buf_add(out, kv_buf_sv(&resp.body));
    if (etag) kv_buf_add(etag, kv_http_header(&resp, "ETag"));
    return kv_buf_check(out, err);
}

kv_code kv_s3_read_from(kv_s3 *s, const char *key, uint64_t offset, kv_http_response *resp,
                        kv_error *err)
{
    char range[64];
    snprintf(range, sizeof(range), "Range: bytes=%llu-", (unsigned long long)offset);
    request r = {.method = "GET", .key = key, .header = {offset ? range : NULL}};
    KV_TRY(send_it(s, &r, true, resp, err));
    if (resp->status == (offset ? 206 : 200)) return KV_OK;
    if (resp->status == 200) return kv_fail(err, KV_E_PROTOCOL, "S3 ignored a range of '%s'", key);
    return fail(s, key, resp, err);
}

kv_code kv_s3_put(kv_s3 *s, const char *key, kv_sv bytes, const char *etag, kv_error *err)
{
    char condition[512];
    if (etag && *etag)
        snprintf(condition, sizeof(condition), "If-Match: %s", etag);
    else
        snprintf(condition, sizeof(condition), "If-None-Match: *");
    request r = {.method = "PUT", .key = key, .body = bytes, .header = {etag ? condition : NULL}};
    kv_auto_http_response resp = {0};
    KV_TRY(send_it(s, &r, false, &resp, err));
    if (resp.status == 200) return KV_OK;
    if (etag && (resp.status == 412 || resp.status == 409))
        return kv_fail(err, KV_E_BUSY, "'%s' keeps changing", key);
    /* A store without conditions: the last writer wins there. */
    if (etag && resp.status == 501) return kv_s3_put(s, key, bytes, NULL, err);
    return fail(s, key, &resp, err);
}

kv_code kv_s3_drop(kv_s3 *s, const char *key, kv_error *err)
{
    kv_auto_http_response resp = {0};
    KV_TRY(send_it(s, &(request){.method = "DELETE", .key = key}, false, &resp, err));
    return resp.status / 100 == 2 || resp.status == 404 ? KV_OK : fail(s, key, &resp, err);
}

/* --- uploads in parts --- */

kv_code kv_s3_upload_begin(kv_s3 *s, const char *key, kv_buf *out_upload, kv_error *err)
{
    kv_auto_http_response resp = {.body = KV_BUF(KV_S3_DOCUMENT_MAX)};
    KV_TRY(send_it(s, &(request){.method = "POST", .key = key, .query = "uploads="}, false, &resp,
                   err));
    if (resp.status != 200) return fail(s, key, &resp, err);
    kv_sv body = kv_buf_sv(&resp.body), id;
    if (!kv_xml_next(&body, "UploadId", &id) || !id.n || id.n > UPLOAD_ID_MAX)
        return kv_fail(err, KV_E_PROTOCOL, "S3 began an upload of '%s' without an id", key);
    kv_xml_text_add(out_upload, id);
    return kv_buf_check(out_upload, err);
}

static kv_code add_upload_query(const char *upload, const char *more, kv_buf *out, kv_error *err)
{
    kv_buf_adds(out, more);
    kv_buf_adds(out, "uploadId=");
    kv_percent_add(out, kv_sv_of(upload), "");
    return kv_buf_check(out, err);
}

kv_code kv_s3_upload_part(kv_s3 *s, const char *key, const char *upload, unsigned n,
                          const kv_http_source *source, kv_buf *etag, kv_error *err)
{
    char number[32];
    kv_auto_buf query = KV_BUF(URL_MAX);
    snprintf(number, sizeof(number), "partNumber=%u&", n);
    KV_TRY(add_upload_query(upload, number, &query, err));
    request r = {.method = "PUT", .key = key, .query = query.p, .source = source};
    kv_auto_http_response resp = {0};
    KV_TRY(send_it(s, &r, false, &resp, err));
    if (resp.status != 200) return fail(s, key, &resp, err);
    kv_sv tag = kv_http_header(&resp, "ETag");
    if (!tag.n)
        return kv_fail(err, KV_E_PROTOCOL, "S3 took part %u of '%s' without an ETag", n, key);
    kv_buf_add(etag, tag);
    return kv_buf_check(etag, err);
}

static kv_code each_part(kv_sv body, kv_s3_part_fn *fn, void *ctx, unsigned *last, kv_error *err)
{
    kv_sv part;
    while (kv_xml_next(&body, "Part", &part)) {
        uint64_t n, size;
        kv_sv rest = part, number, tag, bytes;
        kv_auto_buf etag = KV_BUF(1024);
        if (!kv_xml_next(&rest, "PartNumber", &number) || !kv_sv_to_u64(number, &n) || n <= *last ||
            n > KV_S3_PARTS_MAX)
            return kv_fail(err, KV_E_PROTOCOL, "S3 lists a part without its number");
        rest = part;
        if (!kv_xml_next(&rest, "ETag", &tag))
            return kv_fail(err, KV_E_PROTOCOL, "S3 lists a part without its ETag");
        rest = part;
        if (!kv_xml_next(&rest, "Size", &bytes) || !kv_sv_to_u64(bytes, &size))
            return kv_fail(err, KV_E_PROTOCOL, "S3 lists a part without its size");
        kv_xml_text_add(&etag, tag);
        KV_TRY(kv_buf_check(&etag, err));
        KV_TRY(fn(ctx, (unsigned)n, kv_buf_sv(&etag), size, err));
        *last = (unsigned)n;
    }
    return KV_OK;
}

kv_code kv_s3_upload_each(kv_s3 *s, const char *key, const char *upload, kv_s3_part_fn *fn,
                          void *ctx, kv_error *err)
{
    unsigned last = 0;
    for (bool more = true; more;) {
        char marker[48];
        unsigned before = last;
        kv_auto_buf query = KV_BUF(URL_MAX);
        snprintf(marker, sizeof(marker), "part-number-marker=%u&", last);
        KV_TRY(add_upload_query(upload, marker, &query, err));
        kv_auto_http_response resp = {.body = KV_BUF(KV_S3_DOCUMENT_MAX)};
        KV_TRY(send_it(s, &(request){.method = "GET", .key = key, .query = query.p}, false, &resp,
                       err));
        if (resp.status != 200) return fail(s, key, &resp, err);
        kv_sv body = kv_buf_sv(&resp.body), truncated = {0};
        KV_TRY(each_part(body, fn, ctx, &last, err));
        more = kv_xml_next(&body, "IsTruncated", &truncated) && kv_sv_is(truncated, "true") &&
               last > before;
    }
    return KV_OK;
}

void kv_s3_part_add(kv_buf *parts, unsigned n, kv_sv etag)
{
    kv_buf_addf(parts, "<Part><PartNumber>%u</PartNumber><ETag>", n);
    for (size_t i = 0; i < etag.n; i++) {
        if (etag.p[i] == '"')
            kv_buf_adds(parts, "&quot;");
        else if (etag.p[i] == '<' || etag.p[i] == '&')
            kv_buf_adds(parts, etag.p[i] == '<' ? "&lt;" : "&amp;");
        else
            kv_buf_addc(parts, etag.p[i]);
    }
    kv_buf_adds(parts, "</ETag></Part>");
}

kv_code kv_s3_upload_complete(kv_s3 *s, const char *key, const char *upload, kv_sv parts,
                              kv_error *err)
{
    kv_auto_buf query = KV_BUF(URL_MAX), body = KV_BUF(KV_S3_DOCUMENT_MAX);
    KV_TRY(add_upload_query(upload, "", &query, err));
    kv_buf_adds(&body, "<CompleteMultipartUpload>");
    kv_buf_add(&body, parts);
    kv_buf_adds(&body, "</CompleteMultipartUpload>");
    KV_TRY(kv_buf_check(&body, err));
    request r = {.method = "POST", .key = key, .query = query.p, .body = kv_buf_sv(&body)};
    kv_auto_http_response resp = {.body = KV_BUF(KV_S3_DOCUMENT_MAX)};
    KV_TRY(send_it(s, &r, false, &resp, err));
    if (resp.status != 200) return fail(s, key, &resp, err);
    /* An error may come behind the 200: joining parts takes long, and the status goes first. */
    kv_sv answer = kv_buf_sv(&resp.body), code;
    if (!kv_xml_next(&answer, "Code", &code)) return KV_OK;
    return kv_fail(err, KV_E_PROTOCOL, "S3 could not join the parts of '%s': %.*s", key,
                   KV_ARG(kv_sv_sub(code, 0, 256)));
}

kv_code kv_s3_upload_abort(kv_s3 *s, const char *key, const char *upload, kv_error *err)
{
    kv_auto_buf query = KV_BUF(URL_MAX);
    KV_TRY(add_upload_query(upload, "", &query, err));
    kv_auto_http_response resp = {0};
    KV_TRY(send_it(s, &(request){.method = "DELETE", .key = key, .query = query.p}, false, &resp,
                   err));
    return resp.status / 100 == 2 || resp.status == 404 ? KV_OK : fail(s, key, &resp, err);
}

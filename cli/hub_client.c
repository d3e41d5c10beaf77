#include "cli/hub_client.h"

#include <stdlib.h>
#include <string.h>

#include "codec/text.h"
#include "http/http.h"

enum { ANSWER_MAX = 8 << 20, URL_MAX = 16384, PAGE_ITEMS = 500 };

static kv_code find_login(void *ctx, kv_sv host, kv_login *out, kv_error *err)
{
    return kv_credentials_get(ctx, host, out, err);
}

kv_code kv_hub_client_open(kv_net *net, kv_sv host, kv_hub_client *out, kv_error *err)
{
    const kv_remote_options *o = &net->options;
    kv_http_options http = KV_HTTP_OPTIONS_INIT;
    http.plain_http = o->plain_http;
    http.tls_verify = o->tls_verify;
    http.tls_certs = o->tls_certs;
    http.n_tls_certs = o->n_tls_certs;
    http.client_cert = o->client_cert;
    http.client_key = o->client_key;
    http.proxy = o->proxy;
    http.find_login = find_login;
    http.login_ctx = net->credentials;
    http.report = o->report;
    kv_auto_buf base = KV_BUF(URL_MAX);
    kv_buf_addf(&base, "%s://%.*s/api/v1", o->plain_http ? "http" : "https", KV_ARG(host));
    KV_TRY(kv_buf_check(&base, err));
    kv_auto_hub_client h = {0};
    h.base = kv_buf_take(&base);
    h.host = kv_sv_dup(host);
    if (!h.base || !h.host) return kv_fail(err, KV_E_NOMEM, "out of memory");
    KV_TRY(kv_http_new(&http, &h.http, err));
    *out = h;
    h = (kv_hub_client){0};
    return KV_OK;
}

void kv_hub_client_close(kv_hub_client *h)
{
    kv_http_free(h->http);
    free(h->host);
    free(h->base);
    *h = (kv_hub_client){0};
}

static kv_code code_of(int status)
{
    enum { BAD_REQUEST = 400, CONFLICT = 409 };
    if (status == BAD_REQUEST) return KV_E_ARG;
    if (status == CONFLICT) return KV_E_EXISTS;
    return kv_http_status_code(status);
}

/* {"error": {"message": ...}} in the hub's words, or a guess at what stands there instead. */
static kv_code fail_status(const kv_hub_client *h, const kv_http_response *resp, kv_error *err)
{
    kv_auto(kv_jdoc) doc = NULL;
    kv_code code = code_of(resp->status);
    kv_sv message = {0};
    if (kv_jdoc_parse(kv_buf_sv(&resp->body), &doc, NULL) == KV_OK)
        message = kv_json_str(kv_json_get(kv_json_get(kv_jdoc_root(doc), "error"), "message"));
    if (code == KV_E_AUTH)
        return kv_fail(err, code, "not logged in to %s, or with a wrong password", h->host);
    if (message.n) return kv_fail(err, code, "%.*s", KV_ARG(message));
    return kv_fail(err, code == KV_E_NOTFOUND ? KV_E_PROTOCOL : code,
                   "%s answered %d (%s): it may be no KitVault hub", h->host, resp->status,
                   kv_http_status_text(resp->status));
}

kv_code kv_hub_call(kv_hub_client *h, const char *method, const char *path, kv_sv body,
                    kv_jdoc **out, kv_error *err)
{
    static const char *const HEADERS[] = {"Accept: application/json",
                                          "Content-Type: application/json", NULL};
    kv_auto_buf url = KV_BUF(URL_MAX);
    kv_buf_addf(&url, "%s%s", h->base, path);
    KV_TRY(kv_buf_check(&url, err));
    kv_http_request req = {.method = method, .url = url.p, .headers = HEADERS, .body = body};
    req.once = strcmp(method, "POST") == 0; /* what was done once may not be done again */
    kv_auto_http_response resp = {.body = KV_BUF(ANSWER_MAX)};
    KV_TRY(kv_http_send(h->http, &req, &resp, err));
    if (resp.status < 200 || resp.status > 299) return fail_status(h, &resp, err);
    if (out) *out = NULL;
    if (!out || !resp.body.n) return KV_OK;
    kv_code code = kv_jdoc_parse(kv_buf_sv(&resp.body), out, err);
    return code == KV_OK ? KV_OK : kv_wrap(err, KV_E_PROTOCOL, "answer of %s", h->host);
}

/* --- pages --- */

kv_hub_pages kv_hub_pages_begin(kv_hub_client *h, const char *path)
{
    return (kv_hub_pages){.hub = h, .path = path};
}

static kv_code fetch_page(kv_hub_pages *p, kv_error *err)
{
    kv_auto_buf path = KV_BUF(URL_MAX);
    kv_buf_addf(&path, "%s%slimit=%d", p->path, strchr(p->path, '?') ? "&" : "?", PAGE_ITEMS);
    if (p->cursor) {
        kv_buf_adds(&path, "&cursor=");
        kv_percent_add(&path, kv_sv_of(p->cursor), "");
    }
    KV_TRY(kv_buf_check(&path, err));
    kv_jdoc_free(p->page);
    p->page = NULL;
    KV_TRY(kv_hub_call(p->hub, "GET", path.p, KV_SV(""), &p->page, err));
    const kv_json *root = p->page ? kv_jdoc_root(p->page) : NULL;
    p->items = kv_json_iter(kv_json_get(root, "items"));
    kv_sv cursor = kv_json_str(kv_json_get(root, "next_cursor"));
    free(p->cursor);
    p->cursor = cursor.n ? kv_sv_dup(cursor) : NULL;
    p->last = !p->cursor;
    return KV_OK;
}

bool kv_hub_pages_next(kv_hub_pages *p, const kv_json **item)
{
    for (;;) {
        *item = kv_json_next(&p->items, NULL);
        if (*item) return true;
        if (p->last || p->failed) return false;
        p->failed = fetch_page(p, &p->err);
    }
}

kv_code kv_hub_pages_end(kv_hub_pages *p, kv_error *err)
{
    kv_code code = p->failed;
    if (code != KV_OK && err) *err = p->err;
    kv_jdoc_free(p->page);
    free(p->cursor);
    *p = (kv_hub_pages){.last = true};
    return code;
}

void kv_hub_pages_clear(kv_hub_pages *p)
{
    (void)!kv_hub_pages_end(p, NULL);
}

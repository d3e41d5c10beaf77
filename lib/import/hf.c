#include "import/hf.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "codec/text.h"
#include "http/field.h"
#include "http/http.h"
#include "http/url.h"
#include "json/json.h"

enum { URL_BYTES_MAX = 64 * 1024, PAGES_MAX = 1000, MESSAGE_MAX = 500 };

/* --- names --- */

static bool is_name(kv_sv s)
{
    if (!s.n || s.n > 96 || s.p[0] == '.') return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '.' || c == '_' || c == '-';
        if (!fine) return false;
    }
    return true;
}

static bool is_host_of(kv_sv host, kv_sv endpoint_host)
{
    return kv_sv_eq_nocase(host, endpoint_host) || kv_sv_eq_nocase(host, KV_SV("huggingface.co")) ||
           kv_sv_ends(host, KV_SV(".huggingface.co"));
}

kv_code kv_hf_place_parse(kv_sv text, kv_sv endpoint_host, kv_hf_place *out, kv_error *err)
{
    static const char *const SCHEMES[] = {"https://", "http://"};
    kv_sv rest = text, first;
    bool url = false;
    for (size_t i = 0; i < KV_COUNT(SCHEMES) && !url; i++) {
        url = kv_sv_starts(rest, kv_sv_of(SCHEMES[i]));
        if (url) rest = kv_sv_from(rest, strlen(SCHEMES[i]));
    }
    while (rest.n && rest.p[rest.n - 1] == '/') rest.n--;
    kv_sv behind = kv_sv_cut(rest, '/', &first, NULL);
    bool host = is_host_of(first, endpoint_host);
    if (host) rest = behind;
    *out = (kv_hf_place){0};
    kv_sv name = kv_sv_cut(rest, '/', &first, NULL);
    if (kv_sv_is(first, "datasets")) {
        out->dataset = true;
        rest = name;
    }
    out->name = kv_sv_cut(rest, '/', &out->owner, NULL);
    if ((!url || host) && is_name(out->owner) && is_name(out->name)) return KV_OK;
    return kv_fail(err, KV_E_ARG, "invalid repository '%.*s': expected OWNER/NAME on Hugging Face",
                   KV_ARG(text));
}

/* --- a page of a listing --- */

typedef struct item {
    kv_sv type, path;
    uint64_t size;
} item;
static const kv_jfield ITEM_FIELDS[] = {
    KV_JFIELD(item, type, "type", true),
    KV_JFIELD(item, path, "path", true),
    KV_JFIELD(item, size, "size", false),
};
static const kv_jtable ITEM = KV_JTABLE(item, ITEM_FIELDS);

/* The name in dir, or {NULL, 0} when path is not directly in it. */
static kv_sv name_in(kv_sv dir, kv_sv path)
{
    if (dir.n) {
        if (!kv_sv_starts(path, dir) || path.n <= dir.n || path.p[dir.n] != '/') return (kv_sv){0};
        path = kv_sv_from(path, dir.n + 1);
    }
    bool plain = path.n && kv_sv_find(path, '/') == SIZE_MAX && kv_sv_find(path, '\0') == SIZE_MAX;
    return plain && kv_path_is_local(path) && !kv_sv_is(path, ".") ? path : (kv_sv){0};
}

static kv_code add_item(const item *i, kv_sv dir, kv_generate_add_fn *add, void *to, kv_error *err)
{
    bool is_dir = kv_sv_is(i->type, "directory");
    if (!is_dir && !kv_sv_is(i->type, "file")) return KV_OK;
    kv_sv name = name_in(dir, i->path);
    if (!name.n)
        return kv_fail(err, KV_E_PROTOCOL, "the API lists '%.*s' in directory '%.*s'",
                       KV_ARG(kv_sv_sub(i->path, 0, MESSAGE_MAX)),
                       KV_ARG(kv_sv_sub(dir, 0, MESSAGE_MAX)));
    if (kv_sv_is(name, ".gitattributes") || kv_sv_is(name, ".gitignore")) return KV_OK;
    return add(to, name, i->size, is_dir, err);
}

kv_code kv_hf_tree_parse(kv_sv body, kv_sv dir, kv_generate_add_fn *add, void *to, kv_error *err)
{
    kv_auto(kv_jdoc) doc = NULL;
    KV_TRY(kv_jdoc_parse(body, &doc, err));
    if (kv_json_kind(kv_jdoc_root(doc)) != KV_JARR)
        return kv_fail(err, KV_E_PROTOCOL, "the API's listing is no list");
    kv_jiter it = kv_json_iter(kv_jdoc_root(doc));
    for (const kv_json *v; (v = kv_json_next(&it, NULL));) {
        item i;
        KV_TRY(kv_json_bind(v, &ITEM, NULL, "listing", &i, err));
        KV_TRY(add_item(&i, dir, add, to, err));
    }
    return KV_OK;
}

/* --- requests --- */

/* {"error":"..."}, or the text itself when it is none. */
static void add_message(kv_buf *out, kv_sv body)
{
    kv_auto(kv_jdoc) doc = NULL;
    kv_sv text = body;
    if (kv_jdoc_parse(body, &doc, NULL) == KV_OK)
        text = kv_json_str(kv_json_get(kv_jdoc_root(doc), "error"));
    kv_buf_add(out, kv_sv_trim(kv_sv_sub(text, 0, MESSAGE_MAX)));
}

static kv_code fail_status(const kv_hf_repo *r, const kv_http_response *resp, kv_error *err)
{
    kv_auto_buf message = KV_BUF(4096);
    kv_code code = kv_http_status_code(resp->status);
    if (code == KV_OK) code = KV_E_PROTOCOL;
    add_message(&message, kv_buf_sv(&resp->body));
    if (resp->status == 404 && kv_sv_starts(kv_buf_sv(&message), KV_SV("Invalid rev id")))
        return kv_fail(err, KV_E_NOTFOUND, "reference '%s' not found", r->revision);
    return kv_fail(err, code, "got error code %d from API: %s", resp->status,
                   message.p ? message.p : "");
}

kv_code kv_hf_get(const kv_hf_repo *r, const char *url, const char *range, bool open,
                  kv_http_response *resp, kv_error *err)
{
    const char *headers[] = {range, NULL};
    kv_http_request req = {.method = "GET",
                           .url = url,
                           .headers = headers,
                           .authorization = r->authorization,
                           .anonymous = true};
    KV_TRY(open ? kv_http_open(r->http, &req, resp, err) : kv_http_send(r->http, &req, resp, err));
    if (resp->status == 200 || (range && resp->status == 206)) return KV_OK;
    if (open && kv_http_read_all(resp, NULL) != KV_OK) kv_buf_clear(&resp->body);
    return fail_status(r, resp, err);
}

static void add_repository(const kv_hf_repo *r, kv_buf *url)
{
    kv_buf_addf(url, "%s/%s", r->owner, r->name);
}

/* A page on another host would be somebody else's word. */
static kv_code check_origin(const kv_hf_repo *r, const char *url, kv_error *err)
{
    kv_auto_url_origin here = {0}, there = {0};
    KV_TRY(kv_url_origin_of(r->endpoint, &here, err));
    KV_TRY(kv_url_origin_of(url, &there, err));
    if (strcmp(here.text, there.text) == 0) return KV_OK;
    return kv_fail(err, KV_E_PROTOCOL, "the API's next page is at %s", there.host);
}

kv_code kv_hf_next_page(const kv_hf_repo *r, const kv_http_response *resp, char **out,
                        kv_error *err)
{
    kv_sv next = {0}, value;
    *out = NULL;
    for (size_t at = 0; !next.n && kv_http_header_next(resp, "Link", &at, &value);)
        next = kv_link_next(value);
    if (!next.n) return KV_OK;
    kv_auto_str url = NULL;
    KV_TRY(kv_url_resolve(resp->url, next, &url, err));
    KV_TRY(check_origin(r, url, err));
    *out = KV_TAKE(url);
    return KV_OK;
}

static kv_code list_page(const kv_hf_repo *r, const char *url, kv_sv dir, kv_generate_add_fn *add,
                         void *to, char **out_next, kv_error *err)
{
    kv_auto_http_response resp = {0};
    KV_TRY(kv_hf_get(r, url, NULL, false, &resp, err));
    KV_TRY(kv_hf_tree_parse(kv_buf_sv(&resp.body), dir, add, to, err));
    return kv_hf_next_page(r, &resp, out_next, err);
}

static kv_code hf_list(void *ctx, kv_sv dir, kv_generate_add_fn *add, void *to, kv_error *err)
{
    const kv_hf_repo *r = ctx;
    kv_auto_buf first = KV_BUF(URL_BYTES_MAX);
    kv_buf_addf(&first, "%s/api/%s/", r->endpoint, r->dataset ? "datasets" : "models");
    add_repository(r, &first);
    kv_buf_adds(&first, "/tree/");
    kv_percent_add(&first, kv_sv_of(r->revision), "");
    if (dir.n) kv_buf_addc(&first, '/');
    kv_percent_add(&first, dir, "/");
    KV_TRY(kv_buf_check(&first, err));
    kv_auto_str url = kv_buf_take(&first);
    for (unsigned pages = 0; url; pages++) {
        kv_auto_str next = NULL;
        if (pages == PAGES_MAX)
            return kv_fail(err, KV_E_LIMIT, "the API lists more than %d pages", PAGES_MAX);
        KV_TRY(list_page(r, url, dir, add, to, &next, err));
        free(url);
        url = KV_TAKE(next);
    }
    return KV_OK;
}

static kv_code hf_read(void *ctx, kv_sv path, size_t max, char **out, size_t *out_n, kv_error *err)
{
    const kv_hf_repo *r = ctx;
    kv_auto_buf url = KV_BUF(URL_BYTES_MAX);
    kv_auto_http_response resp = {0};
    resp.body.max = max;
    kv_buf_addf(&url, "%s/%s", r->endpoint, r->dataset ? "datasets/" : "");
    add_repository(r, &url);
    kv_buf_adds(&url, "/resolve/");
    kv_percent_add(&url, kv_sv_of(r->revision), "");
    kv_buf_addc(&url, '/');
    kv_percent_add(&url, path, "/");
    KV_TRY(kv_buf_check(&url, err));
    KV_TRY(kv_hf_get(r, url.p, NULL, false, &resp, err));
    *out_n = resp.body.n;
    *out = kv_buf_take(&resp.body);
    return *out ? KV_OK : kv_fail(err, KV_E_NOMEM, "out of memory");
}

/* --- opening --- */

static kv_code set_token(kv_hf_repo *r, const char *token, kv_error *err)
{
    kv_auto_url_origin origin = {0};
    if (!token || !*token) return KV_OK;
    KV_TRY(kv_url_origin_of(r->endpoint, &origin, err));
    if (!origin.tls && !origin.loopback)
        return kv_fail(err, KV_E_ARG, "no token is sent to %s, which does not speak HTTPS",
                       origin.host);
    for (const char *p = token; *p; p++)
        if (*p <= ' ' || *p > '~') return kv_fail(err, KV_E_ARG, "the token is not one word");
    kv_auto_buf line = KV_BUF(16384);
    kv_buf_addf(&line, "Authorization: Bearer %s", token);
    KV_TRY(kv_buf_check(&line, err));
    r->authorization = kv_buf_take(&line);
    return r->authorization ? KV_OK : kv_fail(err, KV_E_NOMEM, "out of memory");
}

static kv_code set_place(kv_hf_repo *r, kv_sv text, const kv_hf_options *o, kv_error *err)
{
    kv_auto_url_origin origin = {0};
    kv_hf_place place;
    kv_sv endpoint = kv_sv_of(o->endpoint ? o->endpoint : KV_HF_ENDPOINT);
    while (endpoint.n && endpoint.p[endpoint.n - 1] == '/') endpoint.n--;
    r->endpoint = kv_sv_dup(endpoint);
    if (!r->endpoint) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_code rc = kv_url_origin_of(r->endpoint, &origin, err);
    if (rc != KV_OK) return kv_wrap(err, KV_E_ARG, "endpoint '%s'", r->endpoint);
    KV_TRY(kv_hf_place_parse(text, kv_sv_of(origin.host), &place, err));
    r->dataset = place.dataset;
    r->owner = kv_sv_dup(place.owner);
    r->name = kv_sv_dup(place.name);
    r->revision = kv_sv_dup(kv_sv_of(o->revision ? o->revision : "main"));
    bool all = r->owner && r->name && r->revision;
    return all ? KV_OK : kv_fail(err, KV_E_NOMEM, "out of memory");
}

kv_code kv_hf_open(kv_sv text, const kv_hf_options *opts, kv_hf_repo **out, kv_error *err)
{
    static const kv_hf_options DEFAULTS = KV_HF_OPTIONS_INIT;
    const kv_hf_options *o = opts ? opts : &DEFAULTS;
    kv_auto(kv_hf_repo) r = calloc(1, sizeof(*r));
    if (!r) return kv_fail(err, KV_E_NOMEM, "out of memory");
    KV_TRY(set_place(r, text, o, err));
    KV_TRY(set_token(r, o->token, err));
    kv_http_options http = KV_HTTP_OPTIONS_INIT;
    http.report = o->report;
    KV_TRY(kv_http_new(&http, &r->http, err));
    *out = KV_TAKE(r);
    return KV_OK;
}

void kv_hf_close(kv_hf_repo *r)
{
    if (!r) return;
    kv_http_free(r->http);
    if (r->authorization) explicit_bzero(r->authorization, strlen(r->authorization));
    free(r->authorization);
    free(r->endpoint);
    free(r->owner);
    free(r->name);
    free(r->revision);
    free(r);
}

const char *kv_hf_owner(const kv_hf_repo *r)
{
    return r->owner;
}

const char *kv_hf_name(const kv_hf_repo *r)
{
    return r->name;
}

bool kv_hf_is_dataset(const kv_hf_repo *r)
{
    return r->dataset;
}

kv_generate_source kv_hf_source(kv_hf_repo *r)
{
    return (kv_generate_source){.list = hf_list, .read = hf_read, .name = r->name, .ctx = r};
}

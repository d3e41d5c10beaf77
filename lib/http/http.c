#include "http/http.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "http/auth.h"
#include "http/transport.h"
#include "http/url.h"
#include "kitvault/version.h"
#include "json/json.h"

enum {
    TRIES = 5,
    WAIT_FIRST_MS = 250, /* doubled each time, kept within MIN and MAX: kit-compat.md 7.1 */
    WAIT_MIN_MS = 200,
    WAIT_MAX_MS = 3000,
    RETRY_AFTER_MAX_S = 300,
    REDIRECTS_MAX = 10,
    PATIENCE_S = 60,
    HEADERS_MAX = 32,
    READ_STEP = 64 * 1024,
    DRAIN_STEP = 64 * 1024,
};

struct kv_http {
    kv_http_options options;
    kv_http_transport *transport;
    kv_http_auth *auth;
    char *user_agent;        /* the whole header line */
    atomic_bool has_reached; /* some server answered: a refused connection may be a restart */
};

kv_code kv_http_new(const kv_http_options *options, kv_http **out, kv_error *err)
{
    kv_auto(kv_http) h = calloc(1, sizeof(*h));
    if (!h) return kv_fail(err, KV_E_NOMEM, "out of memory");
    h->options = *options;
    h->transport = options->transport;
    h->auth = kv_http_auth_new(h, &h->options);
    kv_auto_buf agent = KV_BUF(1024);
    if (options->user_agent)
        kv_buf_addf(&agent, "User-Agent: %s", options->user_agent);
    else
        kv_buf_addf(&agent, "User-Agent: kitvault/%s", kv_version());
    KV_TRY(kv_buf_check(&agent, err));
    h->user_agent = kv_buf_take(&agent);
    if (!h->auth || !h->user_agent) return kv_fail(err, KV_E_NOMEM, "out of memory");
    if (!h->transport) KV_TRY(kv_http_transport_curl(&h->options, &h->transport, err));
    *out = KV_TAKE(h);
    return KV_OK;
}

void kv_http_free(kv_http *h)
{
    if (!h) return;
    kv_http_auth_free(h->auth);
    if (h->transport) h->transport->ops->free(h->transport);
    free(h->user_agent);
    free(h);
}

/* --- responses --- */

void kv_http_response_clear(kv_http_response *r)
{
    if (r->exchange) r->exchange->ops->close(r->exchange);
    free(r->url);
    kv_buf_clear(&r->head);
    kv_buf_clear(&r->body);
    *r = (kv_http_response){.body = {.max = r->body.max}};
}

bool kv_http_header_next(const kv_http_response *r, const char *name, size_t *at, kv_sv *out)
{
    kv_sv head = kv_buf_sv(&r->head);
    while (*at < head.n) {
        kv_sv line, key;
        kv_sv_cut(kv_sv_from(head, *at), '\n', &line, NULL);
        *at += line.n + 1;
        bool found;
        kv_sv value = kv_sv_cut(line, ':', &key, &found);
        if (!found || !kv_sv_eq_nocase(kv_sv_trim(key), kv_sv_of(name))) continue;
        *out = kv_sv_trim(value);
        return true;
    }
    return false;
}

kv_sv kv_http_header(const kv_http_response *r, const char *name)
{
    size_t at = 0;
    kv_sv value = {0};
    if (!kv_http_header_next(r, name, &at, &value)) return (kv_sv){0};
    return value;
}

kv_code kv_http_read(kv_http_response *r, void *dst, size_t n, size_t *out_n, kv_error *err)
{
    *out_n = 0;
    if (!r->exchange) return KV_OK;
    KV_TRY(r->exchange->ops->read(r->exchange, dst, n, out_n, err));
    if (*out_n == 0) {
        r->exchange->ops->close(r->exchange);
        r->exchange = NULL;
    }
    return KV_OK;
}

/* For a transport that can only be read from. */
static kv_code drain_by_reading(kv_http_exchange *x, kv_http_sink *sink, void *ctx, kv_error *err)
{
    kv_auto_str block = malloc(DRAIN_STEP);
    if (!block) return kv_fail(err, KV_E_NOMEM, "out of memory");
    for (;;) {
        size_t n;
        KV_TRY(x->ops->read(x, block, DRAIN_STEP, &n, err));
        if (n == 0) return KV_OK;
        KV_TRY(sink(ctx, block, n, err));
    }
}

kv_code kv_http_drain(kv_http_response *r, kv_http_sink *sink, void *ctx, kv_error *err)
{
    kv_http_exchange *x = r->exchange;
    if (!x) return KV_OK;
    KV_TRY(x->ops->drain ? x->ops->drain(x, sink, ctx, err) : drain_by_reading(x, sink, ctx, err));
    x->ops->close(x);
    r->exchange = NULL;
    return KV_OK;
}

kv_code kv_http_read_all(kv_http_response *r, kv_error *err)
{
    if (!r->body.max) r->body.max = KV_HTTP_BODY_MAX;
    while (r->exchange) {
        size_t before = r->body.n, room = r->body.max - before, n;
        /* One byte beyond the limit tells a body that fits from one that does not. */
        char one;
        if (room > READ_STEP) room = READ_STEP;
        char *p = room ? kv_buf_extend(&r->body, room) : &one;
        if (!p) return kv_buf_check(&r->body, err);
        kv_code rc = kv_http_read(r, p, room ? room : 1, &n, err);
        if (room) kv_buf_truncate(&r->body, before + (rc == KV_OK ? n : 0));
        if (rc != KV_OK) return rc;
        if (!room && n)
            return kv_fail(err, KV_E_LIMIT, "the answer is larger than %zu bytes", r->body.max);
    }
    return KV_OK;
}

/* Text of a server goes to a terminal: control characters would be its to use. */
static void add_printable(kv_buf *out, kv_sv s)
{
    for (size_t i = 0; i < s.n && i < 500; i++) {
        unsigned char c = (unsigned char)s.p[i];
        kv_buf_addc(out, c < ' ' || c == 0x7f ? ' ' : (char)c);
    }
}

static void add_error_texts(kv_buf *out, kv_sv body)
{
    kv_auto(kv_jdoc) doc = NULL;
    if (kv_jdoc_parse(body, &doc, NULL) != KV_OK) return;
    kv_jiter it = kv_json_iter(kv_json_get(kv_jdoc_root(doc), "errors"));
    for (const kv_json *e; (e = kv_json_next(&it, NULL));) {
        kv_sv message = kv_json_str(kv_json_get(e, "message"));
        if (!message.n) message = kv_json_str(kv_json_get(e, "code"));
        if (!message.n) continue;
        kv_buf_adds(out, out->n ? "; " : ": ");
        add_printable(out, message);
    }
}

kv_code kv_http_fail_status(kv_http_response *r, kv_error *err)
{
    kv_code code = kv_http_status_code(r->status);
    if (code == KV_OK) code = KV_E_PROTOCOL;
    kv_auto_buf texts = KV_BUF(2048);
    if (kv_http_read_all(r, NULL) == KV_OK) add_error_texts(&texts, kv_buf_sv(&r->body));
    const char *text = kv_http_status_text(r->status);
    return kv_fail(err, code, "got response %d%s%s%s from remote%.*s", r->status, *text ? " (" : "",
                   text, *text ? ")" : "", KV_ARG(kv_buf_sv(&texts)));
}

/* --- one request on the wire --- */

typedef struct attempt { /* one request, on its way through redirects and challenges */
    kv_http *http;
    const kv_http_request *req;
    const kv_url_origin *home; /* the origin that the caller named */
    kv_http_response *resp;
    bool unreachable;
} attempt;

static kv_code read_body(void *ctx, uint64_t off, void *dst, size_t n, size_t *out_n, kv_error *err)
{
    (void)err;
    const kv_sv *body = ctx;
    memcpy(dst, body->p + off, n);
    *out_n = n;
    return KV_OK;
}

/* Debug lines leave queries out: those of redirects to object storage are credentials. */
static void say_answer(const attempt *a, const char *url)
{
    kv_sv shown;
    kv_sv_cut(kv_sv_of(url), '?', &shown, NULL);
    kv_say(a->http->options.report, KV_DEBUG, "%s %.*s: %d", a->req->method, KV_ARG(shown),
           a->resp->status);
}

static kv_code send_once(attempt *a, const char *url, bool foreign, const char *authorization,
                         kv_error *err)
{
    const kv_http_request *req = a->req;
    const char *headers[HEADERS_MAX + 3];
    size_t n = 0;
    for (const char *const *h = req->headers; h && *h; h++) {
        if (n == HEADERS_MAX) return kv_fail(err, KV_E_ARG, "too many headers");
        headers[n++] = *h;
    }
    headers[n++] = a->http->user_agent;
    if (authorization) headers[n++] = authorization;
    headers[n] = NULL;

    kv_http_response_clear(a->resp);
    a->resp->head = KV_BUF(KV_HTTP_HEAD_MAX);
    a->resp->sent_body = req->body;
    a->resp->unsent = (kv_http_source){
        .read = read_body, .ctx = &a->resp->sent_body, .size = req->body.n};
    kv_http_wire wire = {.method = req->method,
                         .url = url,
                         .headers = headers,
                         .source = req->source   ? req->source
                                   : req->body.n ? &a->resp->unsent
                                                 : NULL,
                         .patience_s = req->patience_s ? req->patience_s : PATIENCE_S,
                         .foreign = foreign,
                         .replay = !req->once,
                         .report = a->http->options.report};
    kv_http_head head = {.lines = &a->resp->head};
    kv_http_exchange *exchange = NULL;
    kv_code rc = a->http->transport->ops->start(a->http->transport, &wire, &head, &exchange, err);
    a->unreachable = head.unreachable;
    if (rc != KV_OK) return rc;
    a->resp->exchange = exchange;
    a->resp->status = head.status;
    a->resp->url = strdup(url);
    if (!a->resp->url) return kv_fail(err, KV_E_NOMEM, "out of memory");
    atomic_store(&a->http->has_reached, true);
    say_answer(a, url);
    return KV_OK;
}

/* The request with what is known about how this origin wants to be asked; one 401 is answered. */
static kv_code send_signed(attempt *a, const char *url, const kv_url_origin *origin, kv_error *err)
{
    bool foreign = strcmp(origin->text, a->home->text) != 0;
    if (foreign && a->req->stay)
        return kv_fail(err, KV_E_DENIED, "'%s' redirects to '%s', which must not see the request",
                       a->home->host, origin->host);
    if (a->req->anonymous || foreign)
        return send_once(a, url, foreign, foreign ? NULL : a->req->authorization, err);
    kv_http_auth *auth = a->http->auth;
    kv_auto_buf line = KV_BUF(KV_HTTP_HEAD_MAX);
    KV_TRY(kv_http_auth_attach(auth, origin, a->req->scope, &line, err));
    KV_TRY(send_once(a, url, false, line.p, err));
    if (a->resp->status != 401) return KV_OK;

    kv_auto_buf better = KV_BUF(KV_HTTP_HEAD_MAX);
    KV_TRY(
        kv_http_auth_answer(auth, origin, a->req->scope, a->resp, kv_buf_sv(&line), &better, err));
    if (!better.n) return KV_OK;
    if (kv_http_read_all(a->resp, NULL) != KV_OK) kv_buf_clear(&a->resp->body); /* keep-alive */
    return send_once(a, url, false, better.p, err);
}

static bool is_redirect(const attempt *a)
{
    int s = a->resp->status;
    if (!kv_http_header(a->resp, "Location").n) return false;
    if (s == 307 || s == 308) return true;
    /* Those three turn other methods into GET for some clients: not here, where it would be wrong. */
    bool reads = strcmp(a->req->method, "GET") == 0 || strcmp(a->req->method, "HEAD") == 0;
    return reads && (s == 301 || s == 302 || s == 303);
}

static kv_code follow(attempt *a, kv_error *err)
{
    kv_auto_str url = strdup(a->req->url);
    if (!url) return kv_fail(err, KV_E_NOMEM, "out of memory");
    for (int hop = 0;; hop++) {
        kv_auto_url_origin origin = {0};
        KV_TRY(kv_url_origin_of(url, &origin, err));
        if (a->home->tls && !origin.tls && !a->http->options.plain_http)
            return kv_fail(err, KV_E_DENIED, "'%s' redirects to plain HTTP at '%s'", a->home->host,
                           origin.host);
        KV_TRY(send_signed(a, url, &origin, err));
        if (!is_redirect(a)) return KV_OK;
        if (hop == REDIRECTS_MAX)
            return kv_fail(err, KV_E_PROTOCOL, "more than %d redirects", REDIRECTS_MAX);
        char *next = NULL;
        kv_code rc = kv_url_resolve(url, kv_http_header(a->resp, "Location"), &next, err);
        if (rc != KV_OK) return kv_wrap(err, KV_E_PROTOCOL, "redirect of '%s'", a->home->host);
        free(url);
        url = next;
    }
}

/* --- retries --- */

bool kv_http_status_passes(int status)
{
    return status == 408 || status == 425 || status == 429 ||
           (status >= 500 && status != 501 && status != 505 && status != 507);
}

static bool may_retry(const attempt *a, kv_code rc)
{
    if (a->req->once) return false;
    if (rc == KV_OK) return kv_http_status_passes(a->resp->status);
    if (rc != KV_E_NETWORK && rc != KV_E_TIMEOUT) return false;
    return !a->unreachable || atomic_load(&a->http->has_reached);
}

static uint64_t wait_ms(const kv_http_response *resp, unsigned tried)
{
    uint64_t after_s;
    if (resp && kv_sv_to_u64(kv_http_header(resp, "Retry-After"), &after_s))
        return (after_s < RETRY_AFTER_MAX_S ? after_s : RETRY_AFTER_MAX_S) * 1000;
    uint64_t ms = (uint64_t)WAIT_FIRST_MS << (tried < 8 ? tried : 8);
    uint8_t r;
    kv_random(&r, 1);
    ms = ms * (90 + r % 21u) / 100; /* +-10 %, so that many clients do not come back at once */
    if (ms < WAIT_MIN_MS) return WAIT_MIN_MS;
    return ms > WAIT_MAX_MS ? WAIT_MAX_MS : ms;
}

kv_code kv_http_wait(kv_http *http, unsigned tried, const kv_http_response *resp, kv_error *err)
{
    enum { STEP_MS = 50 };
    uint64_t ms = wait_ms(resp, tried);
    kv_say(http->options.report, KV_DEBUG, "trying again in %llu ms", (unsigned long long)ms);
    for (uint64_t left = ms; left;) {
        KV_TRY(kv_check_cancel(http->options.report, err));
        uint64_t step = left < STEP_MS ? left : STEP_MS;
        struct timespec t = {.tv_nsec = (long)(step * 1000000)};
        nanosleep(&t, NULL);
        left -= step;
    }
    return KV_OK;
}

static kv_code run(kv_http *http, const kv_http_request *req, bool whole, kv_http_response *resp,
                   kv_error *err)
{
    kv_auto_url_origin home = {0};
    KV_TRY(kv_url_origin_of(req->url, &home, err));
    attempt a = {.http = http, .req = req, .home = &home, .resp = resp};
    for (unsigned tried = 0;; tried++) {
        kv_error e = {0};
        a.unreachable = false;
        kv_code rc = follow(&a, &e);
        if (rc == KV_OK && whole) rc = kv_http_read_all(resp, &e);
        if (tried + 1 == TRIES || !may_retry(&a, rc)) {
            if (rc == KV_OK) return KV_OK;
            kv_http_response_clear(resp);
            if (err) *err = e;
            if (rc == KV_E_CANCELLED) return rc;
            return kv_wrap(err, rc, "%s '%s'", req->method, home.host);
        }
        if (rc != KV_OK) kv_say(http->options.report, KV_DEBUG, "%s", e.msg);
        KV_TRY(kv_http_wait(http, tried, rc == KV_OK ? resp : NULL, err));
    }
}

kv_code kv_http_send(kv_http *http, const kv_http_request *req, kv_http_response *out,
                     kv_error *err)
{
    return run(http, req, true, out, err);
}

kv_code kv_http_open(kv_http *http, const kv_http_request *req, kv_http_response *out,
                     kv_error *err)
{
    return run(http, req, false, out, err);
}

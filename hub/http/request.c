/* Request heads: llhttp in its strict mode finds the lines, this file refuses what llhttp lets
 * pass and a registry has no use for (two Hosts, HTTP/2.0, codings other than chunked). */
#include "hub/http/conn.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "codec/text.h"

enum { ARENA_MAX = 4u << 20, PARAMS_MAX = 1024 };

/* --- parser callbacks --- */

static int refuse(kv_request *req, int status, const char *why)
{
    req->refuse = status;
    req->why = why;
    return -1;
}

/* Spans of one token come in pieces that lie side by side in `in`. */
static void grow(kv_request *req, span *s, const char *at, size_t n)
{
    if (s->n == 0) s->at = (uint32_t)(at - req->in.p);
    s->n = (uint32_t)((size_t)(at - req->in.p) + n - s->at);
}

static int on_url(llhttp_t *p, const char *at, size_t n)
{
    kv_request *req = p->data;
    grow(req, &req->target, at, n);
    if (req->target.n > URI_MAX) return refuse(req, 414, "the request target is too long");
    return 0;
}

static int trailing(llhttp_t *p, size_t n)
{
    kv_request *req = p->data;
    req->trailer += n;
    return req->trailer > HEAD_MAX ? -1 : 0;
}

static int on_field(llhttp_t *p, const char *at, size_t n)
{
    if (p->flags & F_TRAILING) return trailing(p, n);
    kv_request *req = p->data;
    if (req->n_headers == HEADERS_MAX) return refuse(req, 431, "too many headers");
    grow(req, &req->name[req->n_headers], at, n);
    return 0;
}

static int on_value(llhttp_t *p, const char *at, size_t n)
{
    if (p->flags & F_TRAILING) return trailing(p, n);
    kv_request *req = p->data;
    grow(req, &req->value[req->n_headers], at, n);
    return 0;
}

static int on_value_complete(llhttp_t *p)
{
    if (p->flags & F_TRAILING) return 0;
    kv_request *req = p->data;
    req->n_headers++;
    return 0;
}

static int on_headers_complete(llhttp_t *p)
{
    kv_request *req = p->data;
    req->head_done = true;
    p->upgrade = 0; /* an Upgrade header is an offer; we do not take it */
    return HPE_PAUSED;
}

static int on_message_complete(llhttp_t *p)
{
    (void)p;
    return HPE_PAUSED; /* what follows is the next request */
}

static int on_chunk(llhttp_t *p)
{
    kv_request *req = p->data;
    req->extension = 0;
    return 0;
}

static int on_extension(llhttp_t *p, const char *at, size_t n)
{
    (void)at;
    kv_request *req = p->data;
    req->extension += n;
    return req->extension > EXTENSION_MAX ? -1 : 0;
}

static const llhttp_settings_t SETTINGS = {
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_body = kv_body_on_data,
    .on_message_complete = on_message_complete,
    .on_chunk_header = on_chunk,
    .on_chunk_extension_name = on_extension,
    .on_chunk_extension_value = on_extension,
};

/* --- life --- */

static void drop_body_buffer(kv_request *req)
{
    if (req->body.p) kv_server_give_buffer(req->srv, req->body.p, req->body.cap);
    req->body = (window){0};
}

void kv_request_free(kv_request *req)
{
    if (!req) return;
    drop_body_buffer(req);
    kv_arena_free(req->arena);
    kv_buf_clear(&req->extra);
    kv_buf_clear(&req->head);
    free(req->in.p);
    free(req);
}

/* A chunked body ends somewhere in the buffer it came in: the rest is the next request. `in` is
 * used up by then, else the body would have been looked for there. */
static bool keep_rest(kv_request *req)
{
    window *in = &req->in, *body = &req->body;
    size_t n = body->n - body->pos;
    if (n == 0) return true;
    if (n > in->cap) {
        char *p = realloc(in->p, n);
        if (!p) return false;
        in->p = p;
        in->cap = n;
    }
    memcpy(in->p, body->p + body->pos, n);
    in->pos = 0;
    in->n = n;
    return true;
}

/* Moves the rest to the front when a whole head would not fit behind it; a long pipeline is thus
 * moved rarely. A buffer that grew for one is given back. */
static void make_room(window *in)
{
    size_t rest = in->n - in->pos;
    if (rest == 0 && in->cap > IN_BYTES) {
        free(in->p);
        *in = (window){0};
    } else if (rest == 0 || in->cap - in->pos < IN_BYTES) {
        if (rest && in->pos) memmove(in->p, in->p + in->pos, rest);
        in->pos = 0;
        in->n = rest;
    }
}

static void reset(kv_request *req, kv_conn *c)
{
    drop_body_buffer(req);
    kv_arena_free(req->arena);
    kv_buf_truncate(&req->extra, 0);
    req->extra.failed = KV_OK;
    kv_request keep = {.srv = req->srv, .extra = req->extra, .head = req->head, .in = req->in};
    *req = keep;
    make_room(&req->in);
    req->head_at = req->in.pos;
    req->conn = c;
    req->route = SIZE_MAX;
    req->log_id = KV_SV("");
    llhttp_init(&req->parser, HTTP_REQUEST, &SETTINGS);
    req->parser.data = req;
}

bool kv_request_next(kv_request *req)
{
    if (!keep_rest(req)) return false;
    reset(req, req->conn);
    if (kv_request_begun(req)) req->started_us = kv_mono_us();
    return true;
}

void kv_request_clear(kv_request *req)
{
    req->in.pos = req->in.n = 0;
    reset(req, NULL);
}

kv_request *kv_request_new(kv_server *srv)
{
    kv_request *req = calloc(1, sizeof(*req));
    if (!req) return NULL;
    req->srv = srv;
    req->extra = KV_BUF(HEAD_MAX);
    req->head = KV_BUF(2u * HEAD_MAX);
    kv_request_clear(req);
    return req;
}

static bool reserve(kv_request *req)
{
    window *in = &req->in;
    size_t want = req->head_at + IN_BYTES;
    if (in->cap >= want) return true;
    char *p = realloc(in->p, want);
    if (!p) return false;
    in->p = p;
    in->cap = want;
    return true;
}

void kv_request_shrink(kv_request *req)
{
    char *p = realloc(req->in.p, req->in.n ? req->in.n : 1);
    if (!p) return;
    req->in.p = p;
    req->in.cap = req->in.n;
}

/* --- checks of a whole head --- */

static kv_sv text_of(const kv_request *req, span s)
{
    return s.n ? kv_sv_trim((kv_sv){req->in.p + s.at, s.n}) : KV_SV("");
}

static size_t count(const kv_request *req, kv_sv name, kv_sv *out_first)
{
    size_t n = 0;
    for (size_t i = 0; i < req->n_headers; i++) {
        if (!kv_sv_eq_nocase(text_of(req, req->name[i]), name)) continue;
        if (n++ == 0) *out_first = text_of(req, req->value[i]);
    }
    return n;
}

static bool check_single(kv_request *req)
{
    static const kv_sv SINGLE[] = {
        KV_SV_INIT("authorization"),     KV_SV_INIT("content-type"), KV_SV_INIT("content-range"),
        KV_SV_INIT("content-length"),    KV_SV_INIT("range"),        KV_SV_INIT("expect"),
        KV_SV_INIT("transfer-encoding"),
    };
    for (size_t i = 0; i < KV_COUNT(SINGLE); i++) {
        kv_sv first;
        if (count(req, SINGLE[i], &first) > 1) {
            refuse(req, 400, "a header that may occur once occurs twice");
            return false;
        }
    }
    return true;
}

static bool check_host(kv_request *req)
{
    kv_sv host = KV_SV("");
    size_t n = count(req, KV_SV("host"), &host);
    bool ok = n == 1 || (n == 0 && !req->http11);
    for (size_t i = 0; i < host.n; i++) {
        unsigned char c = (unsigned char)host.p[i];
        bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    (c && strchr("-._~:[]%", c));
        ok = ok && fine;
    }
    if (!ok) refuse(req, 400, "exactly one valid Host header is needed");
    return ok;
}

static bool check_framing(kv_request *req)
{
    const llhttp_t *p = &req->parser;
    kv_sv coding = KV_SV(""), expect = KV_SV("");
    if (count(req, KV_SV("transfer-encoding"), &coding)) {
        if (!req->http11 || !kv_sv_eq_nocase(coding, KV_SV("chunked"))) {
            refuse(req, req->http11 ? 501 : 400, "the only transfer coding is chunked");
            return false;
        }
        req->chunked = true;
    } else if (p->flags & F_CONTENT_LENGTH) {
        if (p->content_length > INT64_MAX) {
            refuse(req, 413, "Content-Length is out of range");
            return false;
        }
        req->length = p->content_length;
    }
    if (req->http11 && count(req, KV_SV("expect"), &expect)) {
        if (!kv_sv_eq_nocase(expect, KV_SV("100-continue"))) {
            refuse(req, 417, "the only expectation is 100-continue");
            return false;
        }
        req->expect = req->chunked || req->length;
    }
    return true;
}

/* Path and query of "/a?b" or "http://host/a?b" (RFC 9112 section 3.2). */
static bool check_target(kv_request *req)
{
    kv_sv t = text_of(req, req->target);
    size_t at = req->target.at;
    bool ok = at >= req->head_at + 2 && req->in.p[at - 2] != ' ' && kv_sv_find(t, '#') == SIZE_MAX;
    if (t.n && t.p[0] != '/' && !kv_sv_is(t, "*")) {
        size_t scheme = kv_sv_find_sub(t, KV_SV("://"));
        ok = ok && (scheme == 4 || scheme == 5);
        kv_sv rest = kv_sv_from(t, scheme == SIZE_MAX ? t.n : scheme + 3);
        size_t slash = kv_sv_find(rest, '/');
        t = slash == SIZE_MAX ? KV_SV("/") : kv_sv_from(rest, slash);
    }
    bool has_query;
    req->query = kv_sv_cut(t, '?', &req->path, &has_query);
    if (!ok || !req->path.n) refuse(req, 400, "the request target is not valid");
    return ok && req->path.n;
}

static bool parse_params(kv_request *req)
{
    if (!req->query.n) return true;
    size_t cap = 1;
    for (size_t i = 0; i < req->query.n; i++) cap += req->query.p[i] == '&';
    kv_arena *arena = kv_req_arena(req);
    req->params = cap <= PARAMS_MAX && arena ? KV_NEW(arena, kv_sv, cap * 2) : NULL;
    if (!req->params) {
        refuse(req, 400, "too many query parameters");
        return false;
    }
    kv_auto_buf text = KV_BUF(URI_MAX);
    for (kv_sv rest = req->query; rest.n;) {
        kv_sv pair, side[2];
        rest = kv_sv_cut(rest, '&', &pair, NULL);
        if (!pair.n) continue;
        side[1] = kv_sv_cut(pair, '=', &side[0], NULL);
        for (size_t i = 0; i < 2; i++) {
            kv_buf_truncate(&text, 0);
            if (kv_percent_parse(side[i], true, &text, NULL) != KV_OK) {
                refuse(req, 400, "the query holds a broken percent escape");
                return false;
            }
            req->params[req->n_params * 2 + i] = kv_arena_dup(arena, kv_buf_sv(&text));
        }
        req->n_params++;
    }
    return true;
}

static kv_method method_of(uint8_t m)
{
    static const uint8_t METHODS[] = {
        [HTTP_GET] = KV_GET,         [HTTP_HEAD] = KV_HEAD,   [HTTP_POST] = KV_POST,
        [HTTP_PUT] = KV_PUT,         [HTTP_PATCH] = KV_PATCH, [HTTP_DELETE] = KV_DELETE,
        [HTTP_OPTIONS] = KV_OPTIONS,
    };
    return m < KV_COUNT(METHODS) && METHODS[m] ? (kv_method)METHODS[m] : KV_METHOD_OTHER;
}

static void check_head(kv_request *req)
{
    const llhttp_t *p = &req->parser;
    req->method = method_of(p->method);
    req->http11 = p->http_major == 1 && p->http_minor == 1;
    req->keep_alive = req->http11 ? !(p->flags & F_CONNECTION_CLOSE)
                                  : (p->flags & F_CONNECTION_KEEP_ALIVE) &&
                                        !(p->flags & F_CONNECTION_CLOSE);
    if (!req->http11 && !(p->http_major == 1 && p->http_minor == 0))
        refuse(req, 505, "HTTP 1.0 and 1.1 are spoken here");
    else if (check_host(req) && check_single(req) && check_framing(req) && check_target(req))
        parse_params(req);
    req->left = req->length;
    req->body_done = !req->chunked && !req->length;
}

/* Feeds what is in `in`. True when the head is complete or refused. */
static bool parse(kv_request *req)
{
    window *in = &req->in;
    llhttp_errno_t e = llhttp_execute(&req->parser, in->p + in->pos, in->n - in->pos);
    if (e == HPE_OK) {
        in->pos = in->n;
        if (in->n - req->head_at < HEAD_MAX) return false;
        refuse(req, 431, "the request head is too large");
        return true;
    }
    if (e == HPE_PAUSED && req->head_done) {
        in->pos = (size_t)(llhttp_get_error_pos(&req->parser) - in->p);
        llhttp_resume(&req->parser);
        if (in->pos - req->head_at > HEAD_MAX)
            refuse(req, 431, "the request head is too large");
        else
            check_head(req);
        return true;
    }
    if (!req->refuse) refuse(req, 400, llhttp_get_error_reason(&req->parser));
    return true;
}

kv_head kv_request_read(kv_request *req)
{
    window *in = &req->in;
    if (in->pos < in->n && parse(req)) return KV_HEAD_COMPLETE;
    for (;;) {
        size_t got;
        bool end, begun = kv_request_begun(req);
        kv_conn *c = req->conn;
        if (!reserve(req)) return KV_HEAD_ENDED;
        if (c->wire->recv(c, in->p + in->n, in->cap - in->n, &got, &end, NULL) != KV_OK || end)
            return KV_HEAD_ENDED;
        if (!got) return KV_HEAD_WAITS;
        if (!begun) req->started_us = kv_mono_us();
        in->n += got;
        if (parse(req)) return KV_HEAD_COMPLETE;
    }
}

bool kv_request_begun(const kv_request *req)
{
    return req->in.n > req->head_at;
}

/* --- what handlers ask --- */

const char *kv_method_name(kv_method m)
{
    static const char *const NAMES[] = {
        [KV_GET] = "GET",         [KV_HEAD] = "HEAD",          [KV_POST] = "POST",
        [KV_PUT] = "PUT",         [KV_PATCH] = "PATCH",        [KV_DELETE] = "DELETE",
        [KV_OPTIONS] = "OPTIONS", [KV_METHOD_OTHER] = "OTHER",
    };
    return (size_t)m < KV_COUNT(NAMES) && NAMES[m] ? NAMES[m] : "OTHER";
}

kv_method kv_req_method(const kv_request *req)
{
    return req->method;
}

kv_sv kv_req_path(const kv_request *req)
{
    return req->path;
}

kv_sv kv_req_part(const kv_request *req, const char *name)
{
    for (size_t i = 0; i < req->n_parts; i++)
        if (kv_sv_is(req->part[i].name, name)) return req->part[i].value;
    return KV_SV("");
}

bool kv_req_add_part(kv_request *req, kv_sv name, kv_sv value)
{
    if (req->n_parts == KV_REQ_PARTS_MAX) return false;
    req->part[req->n_parts].name = name;
    req->part[req->n_parts++].value = value;
    return true;
}

void kv_req_drop_parts(kv_request *req)
{
    req->n_parts = 0;
}

bool kv_req_query(const kv_request *req, const char *name, size_t nth, kv_sv *out)
{
    for (size_t i = 0; i < req->n_params; i++) {
        if (!kv_sv_is(req->params[i * 2], name)) continue;
        if (nth-- == 0) {
            *out = req->params[i * 2 + 1];
            return true;
        }
    }
    return false;
}

/* Lines of one name joined by ", " (RFC 9110 section 5.3). */
static kv_sv join(kv_request *req, kv_sv name)
{
    kv_auto_buf all = KV_BUF(2u * HEAD_MAX);
    for (size_t i = 0; i < req->n_headers; i++) {
        if (!kv_sv_eq_nocase(text_of(req, req->name[i]), name)) continue;
        if (all.n) kv_buf_adds(&all, ", ");
        kv_buf_add(&all, text_of(req, req->value[i]));
    }
    kv_arena *arena = kv_req_arena(req);
    kv_sv s = arena ? kv_arena_dup(arena, kv_buf_sv(&all)) : KV_SV("");
    return s.p ? s : KV_SV("");
}

kv_sv kv_req_header(kv_request *req, const char *name)
{
    kv_sv first = KV_SV("");
    size_t n = count(req, kv_sv_of(name), &first);
    return n > 1 ? join(req, kv_sv_of(name)) : first;
}

kv_sv kv_req_host(kv_request *req)
{
    return kv_req_header(req, "host");
}

bool kv_req_is_tls(const kv_request *req)
{
    return req->conn->ssl != NULL;
}

const char *kv_req_peer(const kv_request *req)
{
    return req->conn->peer;
}

const char *kv_req_id(const kv_request *req)
{
    return req->id;
}

kv_arena *kv_req_arena(kv_request *req)
{
    if (!req->arena) req->arena = kv_arena_new(ARENA_MAX);
    return req->arena;
}

void kv_req_set_principal(kv_request *req, const struct kv_principal *who, kv_sv log_id)
{
    req->principal = who;
    req->log_id = log_id;
}

const struct kv_principal *kv_req_principal(const kv_request *req)
{
    return req->principal;
}

kv_sv kv_req_log_id(const kv_request *req)
{
    return req->log_id;
}

void kv_req_set_route(kv_request *req, size_t route)
{
    req->route = route;
}

size_t kv_req_route(const kv_request *req)
{
    return req->route;
}

kv_code kv_req_fail_as(kv_request *req, kv_code rc, int status, const char *code, kv_sv detail)
{
    req->failure = (kv_req_failure){.status = status, .code = code, .detail = detail};
    return rc;
}

kv_req_failure kv_req_get_failure(const kv_request *req)
{
    return req->failure;
}

void kv_req_cut(kv_request *req)
{
    req->broken = true;
}

int kv_req_status(const kv_request *req)
{
    return req->status;
}

uint64_t kv_req_bytes_in(const kv_request *req)
{
    return req->bytes_in;
}

uint64_t kv_req_bytes_out(const kv_request *req)
{
    return req->bytes_out;
}

uint64_t kv_req_elapsed_us(const kv_request *req)
{
    return kv_mono_us() - req->started_us;
}

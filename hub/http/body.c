/* Request bodies: Content-Length by count, chunked through the parser. */
#include <string.h>

#include "hub/http/conn.h"

static kv_code broken(kv_request *req, kv_code rc)
{
    req->body_broken = true;
    return rc;
}

/* Payload of the chunks in one feed is moved together at the place of the first. The parser has
 * passed those bytes already, and payload never grows, so nothing unread is overwritten. */
int kv_body_on_data(llhttp_t *parser, const char *at, size_t n)
{
    kv_request *req = parser->data;
    window *w = req->feed;
    char *to = w->p + (at - w->p);
    if (req->chunk_data.n) {
        to = w->p + (req->chunk_data.p - w->p) + req->chunk_data.n;
        memmove(to, at, n);
        req->chunk_data.n += n;
    } else {
        req->chunk_data = (kv_sv){to, n};
    }
    return 0;
}

/* What is in w through the parser; *out may stay empty. */
static kv_code feed_chunks(kv_request *req, window *w, kv_sv *out, kv_error *err)
{
    req->feed = w;
    req->chunk_data = KV_SV("");
    llhttp_errno_t e = llhttp_execute(&req->parser, w->p + w->pos, w->n - w->pos);
    *out = req->chunk_data;
    if (e == HPE_OK) {
        w->pos = w->n;
        return KV_OK;
    }
    if (e == HPE_PAUSED) {
        w->pos = (size_t)(llhttp_get_error_pos(&req->parser) - w->p);
        req->body_done = true;
        return KV_OK;
    }
    return broken(req, kv_fail(err, KV_E_SYNTAX, "the chunked body is broken: %s",
                               llhttp_get_error_reason(&req->parser)));
}

static kv_code send_continue(kv_request *req, kv_error *err)
{
    static const char LINE[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (!req->expect) return KV_OK;
    req->expect = false;
    if (req->in.pos < req->in.n) return KV_OK; /* it did not wait */
    kv_code rc = req->conn->wire->send(req->conn, &req->rate_out, LINE, sizeof(LINE) - 1, false,
                                       err);
    return rc == KV_OK ? rc : broken(req, rc);
}

/* Some bytes into the body buffer; waits. */
static kv_code fill(kv_request *req, size_t at_most, kv_error *err)
{
    window *w = &req->body;
    if (!w->p) w->p = kv_server_take_buffer(req->srv, &w->cap);
    if (!w->p) return broken(req, kv_fail(err, KV_E_NOMEM, "out of memory"));
    w->pos = w->n = 0;
    size_t room = at_most < w->cap ? at_most : w->cap;
    while (w->n < room) {
        size_t got;
        bool end;
        kv_code rc = req->conn->wire->recv(req->conn, w->p + w->n, room - w->n, &got, &end, err);
        if (rc != KV_OK || end) {
            if (w->n) return KV_OK; /* deliver this; the next call meets the end again */
            if (end) rc = kv_fail(err, KV_E_NETWORK, "the peer closed inside the request body");
            return broken(req, rc);
        }
        w->n += got;
        req->rate_in.bytes += got;
        if (got) continue;
        if (w->n) return KV_OK;
        rc = req->conn->wire->wait(req->conn, &req->rate_in, err);
        if (rc != KV_OK) return broken(req, rc);
    }
    return KV_OK;
}

/* Where the next bytes are: what came with the head first. */
static kv_code next_window(kv_request *req, window **out, kv_error *err)
{
    *out = &req->in;
    if (req->in.pos < req->in.n) return KV_OK;
    *out = &req->body;
    if (req->body.pos < req->body.n) return KV_OK;
    return fill(req, req->chunked ? SIZE_MAX : (size_t)req->left, err);
}

kv_code kv_body_read(kv_request *req, kv_sv *out, kv_error *err)
{
    *out = KV_SV("");
    if (req->body_broken) return kv_fail(err, KV_E_NETWORK, "the request body broke off");
    if (req->body_done) return KV_OK;
    KV_TRY(send_continue(req, err));
    while (!out->n && !req->body_done) {
        window *w;
        KV_TRY(next_window(req, &w, err));
        if (req->chunked) {
            KV_TRY(feed_chunks(req, w, out, err));
            continue;
        }
        size_t n = w->n - w->pos;
        if (n > req->left) n = (size_t)req->left;
        *out = (kv_sv){w->p + w->pos, n};
        w->pos += n;
        req->left -= n;
        req->body_done = req->left == 0;
    }
    req->bytes_in += out->n;
    return KV_OK;
}

kv_code kv_body_read_all(kv_request *req, kv_buf *out, kv_error *err)
{
    if (req->length > out->max)
        return kv_fail(err, KV_E_LIMIT, "the request body is larger than %zu bytes", out->max);
    for (;;) {
        kv_sv part;
        KV_TRY(kv_body_read(req, &part, err));
        if (!part.n) return kv_buf_check(out, err);
        kv_buf_add(out, part);
        if (out->failed == KV_E_LIMIT)
            return kv_fail(err, KV_E_LIMIT, "the request body is larger than %zu bytes", out->max);
    }
}

uint64_t kv_req_length(const kv_request *req)
{
    return req->chunked ? KV_LENGTH_UNKNOWN : req->length;
}

bool kv_body_is_short(const kv_request *req)
{
    if (req->body_done) return true;
    if (req->body_broken || req->expect) return false;
    return req->chunked || req->left <= DISCARD_MAX;
}

bool kv_body_finish(kv_request *req)
{
    kv_sv part;
    uint64_t seen = 0;
    if (!kv_body_is_short(req)) return false;
    do {
        if (kv_body_read(req, &part, NULL) != KV_OK) return false;
        seen += part.n;
    } while (part.n && seen <= DISCARD_MAX);
    return req->body_done;
}

/* Response heads and bodies. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "http/status.h"
#include "hub/http/conn.h"

/* A body up to this is copied behind its head: one send, one record. */
enum { ONE_PACKET = 8 * 1024 };

/* "Tue, 24 Nov 2026 10:34:27 GMT" (RFC 9110 section 5.6.7), made once a second and thread. */
static kv_sv date_text(void)
{
    static _Thread_local struct {
        time_t at;
        char text[40];
    } made;
    time_t now = time(NULL);
    if (made.at != now) {
        struct tm tm;
        gmtime_r(&now, &tm);
        /* The C locale: main never sets another. */
        strftime(made.text, sizeof(made.text), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        made.at = now;
    }
    return kv_sv_of(made.text);
}

static void add_line(kv_buf *b, const char *name, kv_sv value)
{
    kv_buf_adds(b, name);
    kv_buf_add(b, KV_SV(": "));
    kv_buf_add(b, value);
    kv_buf_add(b, KV_SV("\r\n"));
}

void kv_respond_add(kv_request *req, const char *name, kv_sv value)
{
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) req->bad_header = true;
    }
    if (!req->bad_header) add_line(&req->extra, name, value);
}

void kv_respond_addf(kv_request *req, const char *name, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof(text))
        req->bad_header = true;
    else
        kv_respond_add(req, name, (kv_sv){text, (size_t)n});
}

/* Whether the connection may serve another request after this response. */
static bool stays_open(const kv_request *req)
{
    return req->keep_alive && !req->close && !req->refuse && kv_body_is_short(req) &&
           !kv_server_is_stopping(req->srv);
}

static void add_framing(kv_request *req, kv_buf *b, int status, uint64_t length)
{
    char text[32];
    if (status == 204 || status == 304 || status < 200) return;
    if (length != KV_LENGTH_UNKNOWN) {
        int n = snprintf(text, sizeof(text), "%llu", (unsigned long long)length);
        add_line(b, "Content-Length", (kv_sv){text, (size_t)n});
    } else if (req->http11) {
        req->chunked_out = true;
        kv_buf_add(b, KV_SV("Transfer-Encoding: chunked\r\n"));
    } else {
        req->close = true; /* HTTP/1.0: the end of the connection is the end of the body */
    }
}

static kv_code make_head(kv_request *req, int status, const char *content_type, uint64_t length,
                         kv_error *err)
{
    if (req->bad_header)
        return kv_fail(err, KV_E_INVALID, "a response header holds control characters");
    KV_TRY(kv_buf_check(&req->extra, err));
    kv_buf *b = &req->head;
    kv_buf_truncate(b, 0);
    b->failed = KV_OK;
    char line[80];
    int n = snprintf(line, sizeof(line), "HTTP/1.1 %d %s\r\n", status, kv_http_status_text(status));
    kv_buf_add(b, (kv_sv){line, (size_t)n});
    add_line(b, "Date", date_text());
    if (content_type) add_line(b, "Content-Type", kv_sv_of(content_type));
    add_framing(req, b, status, length);
    if (req->id[0]) add_line(b, "X-Request-Id", kv_sv_of(req->id));
    if (!stays_open(req)) {
        req->close = true;
        kv_buf_add(b, KV_SV("Connection: close\r\n"));
    } else if (!req->http11) {
        kv_buf_add(b, KV_SV("Connection: keep-alive\r\n"));
    }
    kv_buf_add(b, kv_buf_sv(&req->extra));
    kv_buf_add(b, KV_SV("\r\n"));
    return kv_buf_check(b, err);
}

/* After this nothing but the rest of this response can be sent. */
static kv_code send_part(kv_request *req, kv_sv part, bool more, kv_error *err)
{
    if (req->broken) return kv_fail(err, KV_E_NETWORK, "the connection broke");
    kv_code rc = req->conn->wire->send(req->conn, &req->rate_out, part.p, part.n, more, err);
    if (rc != KV_OK) req->broken = true;
    return rc;
}

static kv_code begin(kv_request *req, int status, const char *content_type, uint64_t length,
                     kv_error *err)
{
    if (req->responded) return kv_fail(err, KV_E_INTERNAL, "a request was answered twice");
    KV_TRY(make_head(req, status, content_type, length, err));
    req->responded = true;
    req->status = status;
    req->mute = req->method == KV_HEAD || status == 204 || status == 304;
    req->out_left = req->mute ? 0 : length;
    return KV_OK;
}

kv_code kv_respond_head(kv_request *req, int status, const char *content_type, uint64_t length,
                        kv_error *err)
{
    KV_TRY(begin(req, status, content_type, length, err));
    return send_part(req, kv_buf_sv(&req->head), !req->mute && length > 0, err);
}

kv_code kv_respond_bytes(kv_request *req, int status, const char *content_type, kv_sv body,
                         kv_error *err)
{
    KV_TRY(begin(req, status, content_type, body.n, err));
    if (req->mute) return send_part(req, kv_buf_sv(&req->head), false, err);
    req->out_left = 0;
    req->bytes_out += body.n;
    if (body.n > ONE_PACKET) {
        KV_TRY(send_part(req, kv_buf_sv(&req->head), true, err));
        return send_part(req, body, false, err);
    }
    kv_buf_add(&req->head, body);
    if (req->head.failed) req->broken = true; /* a head went into the log as sent: only close */
    KV_TRY(kv_buf_check(&req->head, err));
    return send_part(req, kv_buf_sv(&req->head), false, err);
}

kv_code kv_respond_json(kv_request *req, int status, kv_sv json, kv_error *err)
{
    return kv_respond_bytes(req, status, "application/json", json, err);
}

kv_code kv_respond_empty(kv_request *req, int status, kv_error *err)
{
    return kv_respond_bytes(req, status, NULL, KV_SV(""), err);
}

/* Counts n bytes against what the head announced. */
static kv_code spend(kv_request *req, uint64_t n, kv_error *err)
{
    if (!req->responded) return kv_fail(err, KV_E_INTERNAL, "a body was sent before its head");
    if (n > req->out_left) {
        req->broken = true;
        return kv_fail(err, KV_E_INTERNAL, "more bytes were sent than announced");
    }
    if (req->out_left != KV_LENGTH_UNKNOWN) req->out_left -= n;
    req->bytes_out += n;
    return KV_OK;
}

static kv_code send_chunk(kv_request *req, kv_sv data, kv_error *err)
{
    char size[32];
    int n = snprintf(size, sizeof(size), "%zx\r\n", data.n);
    KV_TRY(send_part(req, (kv_sv){size, (size_t)n}, true, err));
    KV_TRY(send_part(req, data, true, err));
    return send_part(req, KV_SV("\r\n"), false, err);
}

kv_code kv_respond_write(kv_request *req, const void *p, size_t n, kv_error *err)
{
    if (req->mute || n == 0) return KV_OK;
    KV_TRY(spend(req, n, err));
    if (req->chunked_out) return send_chunk(req, (kv_sv){p, n}, err);
    return send_part(req, (kv_sv){p, n}, false, err);
}

kv_code kv_respond_reader(kv_request *req, kv_read_fn *read, void *ctx, uint64_t off, uint64_t n,
                          kv_error *err)
{
    if (req->mute || n == 0) return KV_OK;
    size_t cap;
    char *p = kv_server_take_buffer(req->srv, &cap);
    if (!p) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_code rc = KV_OK;
    while (n && rc == KV_OK) {
        size_t step = n < cap ? (size_t)n : cap;
        rc = read(ctx, off, p, step, err);
        if (rc == KV_OK) rc = kv_respond_write(req, p, step, err);
        off += step;
        n -= step;
    }
    kv_server_give_buffer(req->srv, p, cap);
    return rc;
}

static kv_code read_fd(void *ctx, uint64_t off, void *dst, size_t n, kv_error *err)
{
    return kv_pread_all(*(const int *)ctx, "blob", dst, n, off, err);
}

kv_code kv_respond_file(kv_request *req, int fd, uint64_t off, uint64_t n, kv_error *err)
{
    if (req->mute || n == 0) return KV_OK;
    const kv_wire *wire = req->conn->wire;
    if (!wire->sendfile || req->chunked_out)
        return kv_respond_reader(req, read_fd, &fd, off, n, err);
    KV_TRY(spend(req, n, err));
    if (req->broken) return kv_fail(err, KV_E_NETWORK, "the connection broke");
    kv_code rc = wire->sendfile(req->conn, &req->rate_out, fd, off, n, err);
    if (rc != KV_OK) req->broken = true;
    return rc;
}

bool kv_req_responded(const kv_request *req)
{
    return req->responded;
}

void kv_respond_finish(kv_request *req)
{
    if (!req->responded) {
        kv_buf_truncate(&req->extra, 0);
        req->bad_header = false;
        if (kv_respond_empty(req, 500, NULL) != KV_OK) req->broken = true;
    } else if (req->chunked_out && !req->mute && !req->broken) {
        if (send_part(req, KV_SV("0\r\n\r\n"), false, NULL) != KV_OK) req->broken = true;
    } else if (req->out_left && req->out_left != KV_LENGTH_UNKNOWN) {
        req->broken = true; /* less than announced: only closing tells the peer */
    }
}

void kv_request_refuse(kv_request *req)
{
    kv_auto_buf body = KV_BUF(1024);
    kv_buf_addf(&body, "{\"errors\":[{\"code\":\"BAD_REQUEST\",\"message\":\"%s\"}]}\n", req->why);
    req->close = true;
    if (kv_respond_json(req, req->refuse, kv_buf_sv(&body), NULL) != KV_OK) req->broken = true;
}

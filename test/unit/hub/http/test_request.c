#include "test/mem_wire.h"
#include "test/test.h"

#define SV KV_SV_INIT
#define HOST "Host: h\r\n"

/* Runs one head, whole and byte by byte. */
static void run_head(kv_server *srv, const char *name, kv_sv in, int want)
{
    static const uint8_t ONE[] = {1};
    for (int cut = 0; cut < 2; cut++) {
        mem_conn m;
        mem_open(&m, srv, in);
        if (cut) m.cuts = ONE;
        if (cut) m.n_cuts = 1;
        kv_request *req = kv_request_new(srv);
        req->conn = &m.conn;
        kv_head h = mem_next_head(req);
        int got = h == KV_HEAD_COMPLETE ? (req->refuse ? req->refuse : 200) : 0;
        if (got != want)
            fail_msg("%s (%s): got %d, wanted %d: %s", name, cut ? "cut" : "whole", got, want,
                     req->why ? req->why : "");
        kv_request_free(req);
        kv_buf_clear(&m.out);
    }
}

static void judges_heads(void **state)
{
    static const struct {
        const char *name;
        kv_sv in;
        int want; /* 200: complete and fine; 0: the connection ended before */
    } CASES[] = {
        {"smallest", SV("GET / HTTP/1.1\r\n" HOST "\r\n"), 200},
        {"1.0 needs no host", SV("GET / HTTP/1.0\r\n\r\n"), 200},
        {"1.0 with host", SV("GET / HTTP/1.0\r\n" HOST "\r\n"), 200},
        {"empty line before", SV("\r\nGET / HTTP/1.1\r\n" HOST "\r\n"), 200},
        {"absolute form", SV("GET http://h:1/a?b HTTP/1.1\r\n" HOST "\r\n"), 200},
        {"absolute form without path", SV("GET http://h HTTP/1.1\r\n" HOST "\r\n"), 200},
        {"asterisk", SV("OPTIONS * HTTP/1.1\r\n" HOST "\r\n"), 200},
        {"upgrade is ignored",
         SV("GET / HTTP/1.1\r\n" HOST "Connection: upgrade\r\nUpgrade: h2c\r\n\r\n"), 200},
        {"high bytes in a value", SV("GET / HTTP/1.1\r\n" HOST "X: \xe4\r\n\r\n"), 200},
        {"empty value", SV("GET / HTTP/1.1\r\n" HOST "X:\r\n\r\n"), 200},
        {"IPv6 host", SV("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"), 200},
        {"expect",
         SV("PUT / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nExpect: 100-Continue\r\n\r\n"), 200},
        {"chunked", SV("PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n"), 200},

        {"nothing", SV(""), 0},
        {"ends inside", SV("GET / HTTP/1.1\r\nHo"), 0},
        {"no host", SV("GET / HTTP/1.1\r\n\r\n"), 400},
        {"two hosts", SV("GET / HTTP/1.1\r\n" HOST HOST "\r\n"), 400},
        {"1.0 two hosts", SV("GET / HTTP/1.0\r\n" HOST HOST "\r\n"), 400},
        {"blank in host", SV("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), 400},
        {"list in host", SV("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"), 400},
        {"path in host", SV("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), 400},
        {"0.9", SV("GET /\r\n\r\n"), 505},
        {"0.9 named", SV("GET / HTTP/0.9\r\n" HOST "\r\n"), 505},
        {"2.0", SV("GET / HTTP/2.0\r\n" HOST "\r\n"), 505},
        {"1.2", SV("GET / HTTP/1.2\r\n" HOST "\r\n"), 400},
        {"preface of HTTP/2", SV("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 400},
        {"not HTTP", SV("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), 400},
        {"unknown method", SV("BREW / HTTP/1.1\r\n" HOST "\r\n"), 400},
        {"method in lower case", SV("get / HTTP/1.1\r\n" HOST "\r\n"), 400},
        {"tunnel", SV("CONNECT h:80 HTTP/1.1\r\n" HOST "\r\n"), 400},
        {"two blanks", SV("GET  / HTTP/1.1\r\n" HOST "\r\n"), 400},
        {"tab", SV("GET\t/ HTTP/1.1\r\n" HOST "\r\n"), 400},
        {"no slash", SV("GET a HTTP/1.1\r\n" HOST "\r\n"), 400},
        {"fragment", SV("GET /a#b HTTP/1.1\r\n" HOST "\r\n"), 400},
        {"high byte in target", SV("GET /\xe4 HTTP/1.1\r\n" HOST "\r\n"), 400},
        {"NUL in target", SV("GET /\0 HTTP/1.1\r\n" HOST "\r\n"), 400},
        {"other scheme", SV("GET ftps2://h/ HTTP/1.1\r\n" HOST "\r\n"), 400},
        {"broken query escape", SV("GET /?a=%zz HTTP/1.1\r\n" HOST "\r\n"), 400},
        {"NUL escape in query", SV("GET /?a=%00 HTTP/1.1\r\n" HOST "\r\n"), 400},
        {"bare LF", SV("GET / HTTP/1.1\n" HOST "\r\n"), 400},
        {"bare LF in headers", SV("GET / HTTP/1.1\r\nHost: h\n\r\n"), 400},
        {"bare CR in a value", SV("GET / HTTP/1.1\r\n" HOST "X: a\rb\r\n\r\n"), 400},
        {"NUL in a value", SV("GET / HTTP/1.1\r\n" HOST "X: a\0b\r\n\r\n"), 400},
        {"control character in a value", SV("GET / HTTP/1.1\r\n" HOST "X: a\1b\r\n\r\n"), 400},
        {"DEL in a value", SV("GET / HTTP/1.1\r\n" HOST "X: a\x7f\r\n\r\n"), 400},
        {"folded", SV("GET / HTTP/1.1\r\n" HOST "X: a\r\n b\r\n\r\n"), 400},
        {"folded with tab", SV("GET / HTTP/1.1\r\n" HOST "X: a\r\n\tb\r\n\r\n"), 400},
        {"blank before colon", SV("GET / HTTP/1.1\r\n" HOST "X : a\r\n\r\n"), 400},
        {"blank in name", SV("GET / HTTP/1.1\r\n" HOST "X Y: a\r\n\r\n"), 400},
        {"blank before name", SV("GET / HTTP/1.1\r\n X: a\r\n" HOST "\r\n"), 400},
        {"no colon", SV("GET / HTTP/1.1\r\n" HOST "X\r\n\r\n"), 400},
        {"empty name", SV("GET / HTTP/1.1\r\n" HOST ": a\r\n\r\n"), 400},
        {"high byte in name", SV("GET / HTTP/1.1\r\n" HOST "\xe4: a\r\n\r\n"), 400},
        {"two lengths",
         SV("PUT / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 2\r\n\r\n"), 400},
        {"one length twice",
         SV("PUT / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n"), 400},
        {"list of lengths", SV("PUT / HTTP/1.1\r\n" HOST "Content-Length: 1, 1\r\n\r\n"), 400},
        {"signed length", SV("PUT / HTTP/1.1\r\n" HOST "Content-Length: +1\r\n\r\n"), 400},
        {"negative length", SV("PUT / HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n"), 400},
        {"hex length", SV("PUT / HTTP/1.1\r\n" HOST "Content-Length: 0x1\r\n\r\n"), 400},
        {"empty length", SV("PUT / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n"), 400},
        {"fraction", SV("PUT / HTTP/1.1\r\n" HOST "Content-Length: 1.0\r\n\r\n"), 400},
        {"length beyond 64 bits",
         SV("PUT / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551616\r\n\r\n"), 400},
        {"length beyond 63 bits",
         SV("PUT / HTTP/1.1\r\n" HOST "Content-Length: 9223372036854775808\r\n\r\n"), 413},
        {"length and chunked",
         SV("PUT / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
         400},
        {"chunked and length",
         SV("PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n"),
         400},
        {"chunked in 1.0", SV("PUT / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"), 400},
        {"other coding", SV("PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n"),
         501},
        {"chunked twice",
         SV("PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, chunked\r\n\r\n"), 400},
        {"two codings lines",
         SV("PUT / HTTP/1.1\r\n" HOST
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
         400},
        {"identity", SV("PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n\r\n"), 501},
        {"empty coding", SV("PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding:\r\n\r\n"), 400},
        {"coding with vertical tab",
         SV("PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: \vchunked\r\n\r\n"), 400},
        {"other expectation",
         SV("PUT / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nExpect: tea\r\n\r\n"), 417},
        {"two authorizations",
         SV("GET / HTTP/1.1\r\n" HOST "Authorization: a\r\nauthorization: b\r\n\r\n"), 400},
        {"two ranges", SV("GET / HTTP/1.1\r\n" HOST "Range: a\r\nRange: b\r\n\r\n"), 400},
    };
    kv_server *srv = mem_server();
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++)
        run_head(srv, CASES[i].name, CASES[i].in, CASES[i].want);
    kv_server_free(srv);
}

/* A head with n bytes of filler at the one place that `where` names. */
static void fill_head(kv_buf *out, char where, size_t n)
{
    kv_buf_truncate(out, 0);
    kv_buf_adds(out, "GET /");
    for (size_t i = 0; where == 'u' && i < n; i++) kv_buf_addc(out, 'a');
    kv_buf_adds(out, " HTTP/1.1\r\n" HOST);
    if (where == 'v') kv_buf_adds(out, "X: ");
    for (size_t i = 0; where == 'v' && i < n; i++) kv_buf_addc(out, 'a');
    if (where == 'v') kv_buf_adds(out, "\r\n");
    for (size_t i = 0; where == 'h' && i < n; i++) kv_buf_addf(out, "X%zu: a\r\n", i);
    kv_buf_adds(out, "\r\n");
}

static void limits_heads(void **state)
{
    static const struct {
        const char *name;
        char where;
        size_t n;
        int want;
    } CASES[] = {
        {"longest target", 'u', URI_MAX - 1, 200},   {"longer target", 'u', URI_MAX, 414},
        {"huge target", 'u', 100000, 414},           {"long value", 'v', HEAD_MAX - 100, 200},
        {"too long a value", 'v', HEAD_MAX, 431},    {"endless value", 'v', 1000000, 431},
        {"most headers", 'h', HEADERS_MAX - 1, 200}, {"one header more", 'h', HEADERS_MAX, 431},
    };
    kv_server *srv = mem_server();
    kv_auto_buf in = KV_BUF(2u << 20);
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        fill_head(&in, CASES[i].where, CASES[i].n);
        run_head(srv, CASES[i].name, kv_buf_sv(&in), CASES[i].want);
    }
    kv_server_free(srv);
}

#define CHUNKED "PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
#define LENGTH(n) "PUT / HTTP/1.1\r\n" HOST "Content-Length: " #n "\r\n\r\n"
#define NEXT "GET /next HTTP/1.1\r\n" HOST "\r\n"

static void reads_bodies(void **state)
{
    static const struct {
        const char *name;
        kv_sv in;
        const char *body;
        kv_code want;
        bool next; /* and the request behind it is found */
    } CASES[] = {
        {"none", SV("GET / HTTP/1.1\r\n" HOST "\r\n" NEXT), "", KV_OK, true},
        {"length", SV(LENGTH(5) "hello" NEXT), "hello", KV_OK, true},
        {"length 0", SV(LENGTH(0) NEXT), "", KV_OK, true},
        {"length cut off", SV(LENGTH(9) "hello"), "hello", KV_E_NETWORK, false},
        {"chunks", SV(CHUNKED "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n" NEXT), "hello!", KV_OK, true},
        {"no chunk", SV(CHUNKED "0\r\n\r\n" NEXT), "", KV_OK, true},
        {"hex size", SV(CHUNKED "00A\r\n0123456789\r\n0\r\n\r\n" NEXT), "0123456789", KV_OK, true},
        {"extension", SV(CHUNKED "2;a=b;c\r\nok\r\n0;d\r\n\r\n" NEXT), "ok", KV_OK, true},
        {"trailers", SV(CHUNKED "2\r\nok\r\n0\r\nX: y\r\n\r\n" NEXT), "ok", KV_OK, true},
        {"chunks cut off", SV(CHUNKED "5\r\nhel"), NULL, KV_E_NETWORK, false},
        {"no end", SV(CHUNKED "2\r\nok\r\n"), NULL, KV_E_NETWORK, false},
        {"size without digits", SV(CHUNKED "\r\nok\r\n0\r\n\r\n"), NULL, KV_E_SYNTAX, false},
        {"size with 0x", SV(CHUNKED "0x2\r\nok\r\n0\r\n\r\n"), NULL, KV_E_SYNTAX, false},
        {"signed size", SV(CHUNKED "+2\r\nok\r\n0\r\n\r\n"), NULL, KV_E_SYNTAX, false},
        {"size with blank", SV(CHUNKED "2 \r\nok\r\n0\r\n\r\n"), NULL, KV_E_SYNTAX, false},
        {"size beyond 64 bits", SV(CHUNKED "11111111111111111\r\nok\r\n0\r\n\r\n"), NULL,
         KV_E_SYNTAX, false},
        {"chunk longer than its size", SV(CHUNKED "1\r\nok\r\n0\r\n\r\n"), NULL, KV_E_SYNTAX,
         false},
        {"bare LF behind size", SV(CHUNKED "2\nok\r\n0\r\n\r\n"), NULL, KV_E_SYNTAX, false},
        {"bare LF behind chunk", SV(CHUNKED "2\r\nok\n0\r\n\r\n"), NULL, KV_E_SYNTAX, false},
        {"CR CR", SV(CHUNKED "2\r\r\nok\r\n0\r\n\r\n"), NULL, KV_E_SYNTAX, false},
        {"trailer with a length", SV(CHUNKED "0\r\nContent-Length: 5\r\n\r\n"), NULL, KV_E_SYNTAX,
         false},
    };
    static const uint8_t WHOLE[] = {255}, ONE[] = {1}, MIXED[] = {3, 0, 7, 50, 1};
    static const struct {
        const uint8_t *cuts;
        size_t n;
    } CUTS[] = {{WHOLE, 0}, {ONE, 1}, {MIXED, KV_COUNT(MIXED)}};
    kv_server *srv = mem_server();
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES) * KV_COUNT(CUTS); i++) {
        size_t k = i / KV_COUNT(CUTS), cut = i % KV_COUNT(CUTS);
        mem_conn m;
        mem_open(&m, srv, CASES[k].in);
        m.cuts = CUTS[cut].cuts;
        m.n_cuts = CUTS[cut].n;
        kv_request *req = kv_request_new(srv);
        req->conn = &m.conn;
        kv_error err = {0};
        kv_auto_buf body = KV_BUF(1000);
        assert_int_equal(mem_next_head(req), KV_HEAD_COMPLETE);
        assert_int_equal(req->refuse, 0);
        kv_code rc = kv_body_read_all(req, &body, &err);
        if (rc != CASES[k].want)
            fail_msg("%s (%zu): code %d '%s'", CASES[k].name, cut, (int)rc, err.msg);
        if (CASES[k].body && !kv_sv_is(kv_buf_sv(&body), CASES[k].body))
            fail_msg("%s (%zu): body '%s'", CASES[k].name, cut, body.p ? body.p : "");
        bool next = rc == KV_OK && kv_request_next(req) && mem_next_head(req) == KV_HEAD_COMPLETE &&
                    kv_sv_is(kv_req_path(req), "/next");
        if (next != CASES[k].next) fail_msg("%s (%zu): the next request", CASES[k].name, cut);
        kv_request_free(req);
        kv_buf_clear(&m.out);
    }
    kv_server_free(srv);
}

static void tells_what_was_asked(void **state)
{
    (void)state;
    kv_server *srv = mem_server();
    mem_conn m;
    mem_open(&m, srv,
             KV_SV("GET /v2/a%2Fb/x?digest=sha256%3Aab&tag=a&tag=b+c&&flag HTTP/1.1\r\n"
                   "Host: hub:1\r\nAccept: a/b\r\naccept:  c/d ,e/f \r\nX-A:\t v\t\r\n\r\n"));
    kv_request *req = kv_request_new(srv);
    req->conn = &m.conn;
    assert_int_equal(mem_next_head(req), KV_HEAD_COMPLETE);
    assert_int_equal(req->refuse, 0);
    kv_sv v = {0};
    assert_int_equal(kv_req_method(req), KV_GET);
    assert_true(kv_sv_is(kv_req_path(req), "/v2/a%2Fb/x"));
    assert_true(kv_req_query(req, "digest", 0, &v) && kv_sv_is(v, "sha256:ab"));
    assert_true(kv_req_query(req, "tag", 1, &v) && kv_sv_is(v, "b c"));
    assert_false(kv_req_query(req, "tag", 2, &v));
    assert_true(kv_req_query(req, "flag", 0, &v) && v.n == 0);
    assert_false(kv_req_query(req, "other", 0, &v));
    assert_true(kv_sv_is(kv_req_header(req, "Accept"), "a/b, c/d ,e/f"));
    assert_true(kv_sv_is(kv_req_header(req, "x-a"), "v"));
    assert_true(kv_sv_is(kv_req_header(req, "x-b"), ""));
    assert_true(kv_sv_is(kv_req_host(req), "hub:1"));
    assert_int_equal(kv_req_length(req), 0);
    kv_request_free(req);
    kv_buf_clear(&m.out);
    kv_server_free(srv);
}

/* What the response writer sends for one request, dates and ids cut out. */
static void answer(kv_server *srv, kv_sv in, kv_code (*handle)(kv_request *, kv_error *),
                   kv_buf *out)
{
    mem_conn m;
    mem_open(&m, srv, in);
    kv_request *req = kv_request_new(srv);
    req->conn = &m.conn;
    assert_int_equal(mem_next_head(req), KV_HEAD_COMPLETE);
    if (req->refuse)
        kv_request_refuse(req);
    else
        (void)handle(req, NULL);
    kv_respond_finish(req);
    kv_sv sent = kv_buf_sv(&m.out);
    size_t date = kv_sv_find_sub(sent, KV_SV("Date: "));
    assert_true(date != SIZE_MAX);
    kv_buf_add(out, kv_sv_sub(sent, 0, date));
    sent = kv_sv_from(sent, date);
    kv_buf_add(out, kv_sv_from(sent, kv_sv_find(sent, '\n') + 1));
    if (req->broken) kv_buf_adds(out, "[cut]");
    kv_request_free(req);
    kv_buf_clear(&m.out);
}

static kv_code ok(kv_request *req, kv_error *err)
{
    return kv_respond_json(req, 200, KV_SV("{}"), err);
}

static kv_code no_content(kv_request *req, kv_error *err)
{
    return kv_respond_empty(req, 204, err);
}

static kv_code stream(kv_request *req, kv_error *err)
{
    KV_TRY(kv_respond_head(req, 200, "text/plain", KV_LENGTH_UNKNOWN, err));
    KV_TRY(kv_respond_write(req, "ab", 2, err));
    return kv_respond_write(req, "0123456789", 10, err);
}

static kv_code too_short(kv_request *req, kv_error *err)
{
    KV_TRY(kv_respond_head(req, 200, NULL, 5, err));
    return kv_respond_write(req, "ab", 2, err);
}

static kv_code too_long(kv_request *req, kv_error *err)
{
    KV_TRY(kv_respond_head(req, 200, NULL, 1, err));
    return kv_respond_write(req, "ab", 2, err);
}

static kv_code injected(kv_request *req, kv_error *err)
{
    kv_respond_add(req, "Location", KV_SV("/a\r\nSet-Cookie: x"));
    return kv_respond_empty(req, 201, err);
}

static kv_code with_headers(kv_request *req, kv_error *err)
{
    kv_respond_add(req, "Location", KV_SV("/a"));
    kv_respond_addf(req, "Range", "0-%d", 7);
    return kv_respond_empty(req, 202, err);
}

static kv_code silent(kv_request *req, kv_error *err)
{
    (void)req;
    (void)err;
    return KV_OK;
}

static void writes_responses(void **state)
{
    static const struct {
        const char *name;
        kv_sv in;
        kv_code (*handle)(kv_request *, kv_error *);
        const char *want;
    } CASES[] = {
        {"json", SV(NEXT), ok,
         "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"},
        {"HEAD", SV("HEAD / HTTP/1.1\r\n" HOST "\r\n"), ok,
         "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n"},
        {"asked to close", SV("GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"), ok,
         "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
         "Connection: close\r\n\r\n{}"},
        {"1.0 closes", SV("GET / HTTP/1.0\r\n\r\n"), ok,
         "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
         "Connection: close\r\n\r\n{}"},
        {"1.0 kept", SV("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), ok,
         "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
         "Connection: keep-alive\r\n\r\n{}"},
        {"204", SV(NEXT), no_content, "HTTP/1.1 204 No Content\r\n\r\n"},
        {"headers", SV(NEXT), with_headers,
         "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nLocation: /a\r\nRange: 0-7\r\n\r\n"},
        {"stream", SV(NEXT), stream,
         "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
         "2\r\nab\r\na\r\n0123456789\r\n0\r\n\r\n"},
        {"stream to HEAD", SV("HEAD / HTTP/1.1\r\n" HOST "\r\n"), stream,
         "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {"stream to 1.0", SV("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), stream,
         "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nab0123456789"},
        {"less than announced", SV(NEXT), too_short,
         "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab[cut]"},
        {"more than announced", SV(NEXT), too_long,
         "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n[cut]"},
        {"header injection", SV(NEXT), injected,
         "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"},
        {"no answer", SV(NEXT), silent,
         "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"},
        {"short body unread", SV(LENGTH(5) "hello"), ok,
         "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"},
        {"long body unread", SV(LENGTH(5000000) "hello"), ok,
         "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
         "Connection: close\r\n\r\n{}"},
        {"body not asked for",
         SV("PUT / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"), ok,
         "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
         "Connection: close\r\n\r\n{}"},
        {"refused", SV("GET / HTTP/1.1\r\n\r\n"), ok,
         "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 88\r\n"
         "Connection: close\r\n\r\n"
         "{\"errors\":[{\"code\":\"BAD_REQUEST\",\"message\":\"exactly one valid Host header is "
         "needed\"}]}\n"},
    };
    kv_server *srv = mem_server();
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto_buf out = KV_BUF(10000);
        answer(srv, CASES[i].in, CASES[i].handle, &out);
        if (!kv_sv_is(kv_buf_sv(&out), CASES[i].want))
            fail_msg("%s: got\n%s", CASES[i].name, out.p);
    }
    kv_server_free(srv);
}

static void asks_to_continue_once(void **state)
{
    static const char HEAD[] = "PUT / HTTP/1.1\r\n" HOST
                               "Content-Length: 10\r\nExpect: 100-continue\r\n\r\n";
    static const uint8_t CUTS[] = {sizeof(HEAD) - 1, 0, 5};
    (void)state;
    kv_server *srv = mem_server();
    kv_auto_buf in = KV_BUF(1000);
    kv_buf_adds(&in, HEAD);
    kv_buf_adds(&in, "0123456789");
    mem_conn m;
    mem_open(&m, srv, kv_buf_sv(&in));
    m.cuts = CUTS;
    m.n_cuts = KV_COUNT(CUTS);
    kv_request *req = kv_request_new(srv);
    req->conn = &m.conn;
    assert_int_equal(mem_next_head(req), KV_HEAD_COMPLETE);
    assert_int_equal(m.out.n, 0);
    kv_auto_buf body = KV_BUF(100);
    assert_int_equal(kv_body_read_all(req, &body, NULL), KV_OK);
    assert_true(kv_sv_is(kv_buf_sv(&body), "0123456789"));
    assert_true(kv_sv_is(kv_buf_sv(&m.out), "HTTP/1.1 100 Continue\r\n\r\n"));
    kv_request_free(req);
    kv_buf_clear(&m.out);
    kv_server_free(srv);
}

/* Nothing that one connection left behind may reach another. */
static void forgets_between_connections(void **state)
{
    (void)state;
    kv_server *srv = mem_server();
    mem_conn m;
    mem_open(&m, srv, KV_SV(CHUNKED "2\r\nok\r\n0\r\n\r\nGET /secret HTTP/1.1\r\n" HOST "\r\n"));
    kv_request *req = kv_request_new(srv);
    req->conn = &m.conn;
    assert_int_equal(mem_next_head(req), KV_HEAD_COMPLETE);
    kv_auto_buf body = KV_BUF(100);
    assert_int_equal(kv_body_read_all(req, &body, NULL), KV_OK);
    kv_buf_clear(&m.out);
    kv_request_clear(req);
    mem_open(&m, srv, KV_SV(""));
    req->conn = &m.conn;
    assert_false(kv_request_begun(req));
    assert_int_equal(mem_next_head(req), KV_HEAD_ENDED);
    kv_request_free(req);
    kv_server_free(srv);
}

KV_TEST_MAIN(cmocka_unit_test(judges_heads), cmocka_unit_test(limits_heads),
             cmocka_unit_test(reads_bodies), cmocka_unit_test(tells_what_was_asked),
             cmocka_unit_test(writes_responses), cmocka_unit_test(asks_to_continue_once),
             cmocka_unit_test(forgets_between_connections))

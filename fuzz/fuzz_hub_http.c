/* The hub's request parser and body reader over a byte stream, whole and cut into pieces: both must
 * see the same requests. Input: a count of cuts, the sizes of the pieces, the stream. */
#include "fuzz/fuzz.h"
#include "test/mem_wire.h"

#include "codec/hasher.h"

enum { CUTS_MAX = 64, REQUESTS_MAX = 50 };

static kv_server *server(void)
{
    static kv_server *srv;
    if (!srv) srv = mem_server();
    return srv;
}

static void trace_request(kv_request *req, kv_buf *trace)
{
    kv_auto_buf body = KV_BUF(1u << 20);
    kv_sv v;
    kv_buf_addf(trace, "%s %.*s\n", kv_method_name(kv_req_method(req)), KV_ARG(kv_req_path(req)));
    for (size_t i = 0; i < req->n_params * 2; i++)
        kv_buf_addf(trace, "?%.*s\n", KV_ARG(req->params[i]));
    for (size_t i = 0; i < req->n_headers; i++)
        kv_buf_addf(trace, "%.*s: %.*s\n", (int)req->name[i].n, req->in.p + req->name[i].at,
                    (int)req->value[i].n, req->in.p + req->value[i].at);
    (void)kv_req_query(req, "digest", 0, &v);
    (void)kv_req_header(req, "accept");
    if (kv_body_read_all(req, &body, NULL) != KV_OK) {
        kv_buf_adds(trace, "broken\n"); /* how much came before depends on the pieces */
        return;
    }
    kv_digest d = kv_digest_of(KV_SHA256, kv_buf_sv(&body));
    kv_buf_addf(trace, "body %s\n", kv_digest_str(&d).s);
    if (kv_respond_bytes(req, 200, "text/plain", kv_buf_sv(&body), NULL) != KV_OK)
        kv_buf_adds(trace, "unanswered\n");
    kv_respond_finish(req);
}

/* As server.c goes through a connection. */
static void run(kv_sv in, const uint8_t *cuts, size_t n_cuts, kv_buf *trace)
{
    mem_conn m;
    mem_open(&m, server(), in);
    m.cuts = cuts;
    m.n_cuts = n_cuts;
    kv_request *req = kv_request_new(server());
    if (!req) abort();
    req->conn = &m.conn;
    for (int i = 0; i < REQUESTS_MAX; i++) {
        if (mem_next_head(req) == KV_HEAD_ENDED) break;
        if (req->refuse) {
            kv_request_refuse(req);
            kv_buf_adds(trace, "refused\n");
            break;
        }
        trace_request(req, trace);
        if (req->close || req->broken || !kv_body_finish(req) || !kv_request_next(req)) break;
        kv_buf_truncate(&m.out, 0);
    }
    kv_request_free(req);
    kv_buf_clear(&m.out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    size_t n_cuts = data[0] % CUTS_MAX;
    if (size < 1 + n_cuts) return 0;
    const uint8_t *cuts = data + 1;
    bool stuck = true; /* pieces of nothing for ever */
    for (size_t i = 0; i < n_cuts; i++) stuck = stuck && cuts[i] == 0;
    kv_sv in = {(const char *)data + 1 + n_cuts, size - 1 - n_cuts};
    kv_auto_buf whole = KV_BUF(16u << 20), pieces = KV_BUF(16u << 20);
    run(in, NULL, 0, &whole);
    if (stuck) return 0;
    run(in, cuts, n_cuts, &pieces);
    if (!kv_sv_eq(kv_buf_sv(&whole), kv_buf_sv(&pieces))) __builtin_trap();
    return 0;
}

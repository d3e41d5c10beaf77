/* The route table of the hub over any path, percent-decoding included. */
#include "fuzz/fuzz.h"
#include "test/mem_wire.h"

#include "hub/handler/handlers.h"

static kv_router *router(void)
{
    static kv_router *r;
    kv_error err;
    if (!r && kv_router_new(NULL, KV_ROUTES, KV_N_ROUTES, NULL, &r, &err) != KV_OK) abort();
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static kv_server *srv;
    if (!srv) srv = mem_server();
    if (size < 1 || memchr(data + 1, 0, size - 1)) return 0; /* the parser refuses NUL */
    kv_request *req = kv_request_new(srv);
    if (!req) abort();
    mem_conn m;
    mem_open(&m, srv, KV_SV(""));
    req->conn = &m.conn;
    req->method = (kv_method)(data[0] % KV_METHOD_OTHER + 1);
    req->path = (kv_sv){(const char *)data + 1, size - 1};
    size_t i = SIZE_MAX;
    kv_error err;
    if (kv_router_find(router(), req, &i, &err) == KV_OK) {
        if (i >= KV_N_ROUTES) __builtin_trap();
        for (size_t p = 0; p < req->n_parts; p++) /* decoded text never holds a NUL */
            if (!req->part[p].value.n || memchr(req->part[p].value.p, 0, req->part[p].value.n))
                __builtin_trap();
    }
    kv_request_free(req);
    return 0;
}

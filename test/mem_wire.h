#pragma once
/* A connection of the hub's HTTP layer that reads from memory, in pieces of chosen sizes, and
 * collects what is sent. For unit tests and the fuzz target; one thread. */
#include <stdlib.h>
#include <string.h>

#include "hub/http/conn.h"

typedef struct mem_conn {
    kv_conn conn; /* first member */
    kv_sv in;
    const uint8_t *cuts; /* bytes of the next pieces, repeated; 0: nothing there yet, once */
    size_t n_cuts, cut;
    kv_buf out;
} mem_conn;

static kv_code mem_recv(kv_conn *c, void *p, size_t n, size_t *out_n, bool *out_end, kv_error *err)
{
    mem_conn *m = (mem_conn *)(void *)c;
    (void)err;
    size_t piece = m->in.n;
    if (m->n_cuts) piece = m->cuts[m->cut++ % m->n_cuts];
    if (piece > m->in.n) piece = m->in.n;
    if (piece > n) piece = n;
    if (piece) memcpy(p, m->in.p, piece);
    m->in = kv_sv_from(m->in, piece);
    *out_n = piece;
    *out_end = piece == 0 && m->in.n == 0;
    return KV_OK;
}

static kv_code mem_wait(kv_conn *c, rate *r, kv_error *err)
{
    (void)c;
    (void)r;
    (void)err;
    return KV_OK;
}

static kv_code mem_send(kv_conn *c, rate *r, const void *p, size_t n, bool more, kv_error *err)
{
    (void)r;
    (void)more;
    (void)err;
    kv_buf_add(&((mem_conn *)(void *)c)->out, (kv_sv){p, n});
    return KV_OK;
}

static const kv_wire MEM_WIRE = {.recv = mem_recv, .wait = mem_wait, .send = mem_send};

/* A server that is never started: the request objects want one for buffers and limits. */
static inline kv_server *mem_server(void)
{
    static const kv_server_options OPT = {.listen = "127.0.0.1:0",
                                          .max_connections = 1,
                                          .max_workers = 1,
                                          .head_timeout_s = 1,
                                          .idle_timeout_s = 1,
                                          .body_timeout_s = 1,
                                          .min_rate = 1};
    kv_server *srv = NULL;
    kv_error err = {0};
    if (kv_server_open(&OPT, &srv, &err) != KV_OK) abort();
    return srv;
}

static inline void mem_open(mem_conn *m, kv_server *srv, kv_sv in)
{
    *m = (mem_conn){.conn = {.srv = srv, .wire = &MEM_WIRE, .fd = -1}, .in = in};
    m->out = KV_BUF(1u << 20);
}

/* The next head, however often nothing is there yet. */
static inline kv_head mem_next_head(kv_request *req)
{
    kv_head h;
    do h = kv_request_read(req);
    while (h == KV_HEAD_WAITS);
    return h;
}

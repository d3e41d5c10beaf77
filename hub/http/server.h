#pragma once
/*
 * The HTTP server: one listener, an epoll of parked connections, a thread per active request.
 *
 * A connection costs a thread and a buffer only between the moment its request head is complete
 * and the end of the response; before and after, it is parked (about 0.3 KiB). Slow heads, slow
 * bodies, silent peers and too many of them are dealt with here, so that whoever serves a request
 * uses plain blocking calls.
 */
#include "hub/http/http.h"

typedef struct kv_server kv_server;

typedef struct kv_server_options {
    const char *listen;             /* "HOST:PORT", "[V6]:PORT"; port 0: a free one */
    const char *tls_cert, *tls_key; /* PEM files; both or neither */
    unsigned max_connections;       /* more are answered 503 and closed */
    unsigned max_per_address;       /* the same, per peer address (IPv6: /64); 0: no limit */
    unsigned max_workers;           /* threads, so also active requests */
    unsigned head_timeout_s; /* from the first byte of a head to its last; also TLS handshakes */
    unsigned idle_timeout_s; /* between requests */
    unsigned body_timeout_s; /* window over which a peer must keep min_rate */
    unsigned min_rate;       /* bytes per second, both directions */
    /* Answers one request. Called on a worker thread; must respond (server.c answers 500 if not). */
    void (*serve)(void *ctx, kv_request *req);
    /* After the response is out, or the request was refused before serve. For log and metrics. */
    void (*done)(void *ctx, kv_request *req);
    void *ctx;
} kv_server_options;

/** Binds and listens; nothing is accepted yet. Options and their strings are borrowed. */
KV_MUST_CHECK kv_code kv_server_open(const kv_server_options *opt, kv_server **out, kv_error *err);
/** "127.0.0.1:41234", with the real port. */
const char *kv_server_address(const kv_server *srv);
bool kv_server_is_loopback(const kv_server *srv);
/** Starts serving, on threads of its own. */
KV_MUST_CHECK kv_code kv_server_start(kv_server *srv, kv_error *err);
/** Enforces deadlines of parked connections. Call about once a second. */
void kv_server_tick(kv_server *srv);
/** Reads certificate and key again; running connections keep the old. On failure so do new ones. */
KV_MUST_CHECK kv_code kv_server_reload(kv_server *srv, kv_error *err);
/**
 * Stops accepting, closes idle connections, lets active requests end within grace_ms, then cuts
 * them. True when no worker is left; false when a handler hangs, and nothing may be freed.
 */
bool kv_server_stop(kv_server *srv, unsigned grace_ms);
void kv_server_free(kv_server *srv); /* stopped, or never started */
KV_DEFINE_AUTO(kv_server, kv_server_free)

typedef struct kv_server_stats {
    unsigned connections, active, workers;
    uint64_t accepted, rejected; /* since the start */
} kv_server_stats;
void kv_server_get_stats(kv_server *srv, kv_server_stats *out);

/* --- what a router and a log need of a request, and handlers do not --- */

#define KV_REQ_PARTS_MAX 6
/** False: too many. name is a literal or lives as long as the request. */
bool kv_req_add_part(kv_request *req, kv_sv name, kv_sv value);
void kv_req_drop_parts(kv_request *req);
/** A number for metrics: the index of the route; SIZE_MAX until it is set. */
void kv_req_set_route(kv_request *req, size_t route);
size_t kv_req_route(const kv_request *req);
/** What kv_req_fail_as said: status 0 when it was not called. */
typedef struct kv_req_failure {
    int status;
    const char *code;
    kv_sv detail;
} kv_req_failure;
kv_req_failure kv_req_get_failure(const kv_request *req);
/** The response cannot be completed: the connection is closed, so that the peer notices. */
void kv_req_cut(kv_request *req);
int kv_req_status(const kv_request *req);         /* sent, or 0 */
uint64_t kv_req_bytes_in(const kv_request *req);  /* of bodies */
uint64_t kv_req_bytes_out(const kv_request *req); /* of bodies */
uint64_t kv_req_elapsed_us(const kv_request *req);
kv_sv kv_req_log_id(const kv_request *req); /* of the principal; "" */

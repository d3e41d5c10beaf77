#pragma once
/* Inside hub/http: connections and requests as their files share them. */
#include <llhttp.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdatomic.h>

#include "hub/http/server.h"

enum {
    HEAD_MAX = 16 * 1024, /* bytes of a request line and its headers; own, as most servers */
    IN_BYTES = HEAD_MAX + 4096,
    HEADERS_MAX = 100,
    URI_MAX = 8 * 1024,
    EXTENSION_MAX = 1024,      /* of one chunk */
    BODY_BUFFER = 256 * 1024,  /* stays in cache; also the size of TLS reads */
    BODY_BUFFER_SMALL = 32768, /* when many bodies are on their way */
    BUFFERS_LARGE = 64,        /* that many: 16 MiB */
    BUFFERS_KEPT = 8,          /* free ones kept for the next body */
    DISCARD_MAX = 64 * 1024,   /* unread body that is worth keeping the connection for */
    PARTIAL_HEADS_MAX = 1024,  /* parked in the middle of a head: 16 MiB at worst */
    LINGER_S = 2,              /* reading on after an error answer, so that it arrives */
};

/* Where a connection is. Every list is FIFO by `since`, but for heads (see kv_server_tick). */
enum place { AT_WORK, AT_IDLE, AT_HEAD, AT_LINGER, N_PLACES };

typedef struct kv_conn kv_conn;

/* --- io.c, tls.c: bytes in and out of a connection. Tests have a wire of their own. --- */

typedef struct rate { /* of one direction: bytes moved in the running window of waiting time */
    uint64_t waited_us, bytes;
} rate;

typedef struct kv_wire {
    /* Whatever is there, without waiting. *out_n 0: nothing yet; *out_end: and never again. */
    kv_code (*recv)(kv_conn *c, void *p, size_t n, size_t *out_n, bool *out_end, kv_error *err);
    /* Until there is something to read. KV_E_TIMEOUT when the peer is too slow. */
    kv_code (*wait)(kv_conn *c, rate *r, kv_error *err);
    /* All of it, waiting as needed. more: further bytes follow at once, so send no short packet. */
    kv_code (*send)(kv_conn *c, rate *r, const void *p, size_t n, bool more, kv_error *err);
    /* May be NULL: then the file is read and sent. */
    kv_code (*sendfile)(kv_conn *c, rate *r, int fd, uint64_t off, uint64_t n, kv_error *err);
} kv_wire;
extern const kv_wire KV_WIRE_PLAIN, KV_WIRE_TLS;
/** poll() for `events`, within what the minimum rate allows. */
kv_code kv_conn_poll(kv_conn *c, rate *r, short events, kv_error *err);

/* --- what they share --- */

struct kv_conn {
    kv_conn *prev, *next; /* in the list of its place; under server.lock */
    kv_server *srv;
    const kv_wire *wire;
    SSL *ssl;            /* of KV_WIRE_TLS */
    kv_request *partial; /* a head that is not complete yet, while parked */
    uint64_t since_us;   /* idle: parked at; head: first byte (or accept) at; linger: begun at */
    int fd;
    uint32_t address_slot;
    uint8_t place;
    bool polled;                 /* the epoll knows it */
    bool handshaken;             /* plain: true from the start */
    atomic_bool expired;         /* the tick cut it because of its deadline */
    char peer[INET6_ADDRSTRLEN]; /* numeric address */
};

typedef struct span { /* offsets into kv_request.in, which may move while a head grows */
    uint32_t at, n;
} span;

typedef struct window { /* received bytes: p[pos..n) is not used yet */
    char *p;
    size_t pos, n, cap;
} window;

struct kv_request {
    kv_conn *conn;
    kv_server *srv;
    uint64_t started_us;
    char id[32];

    /* the head */
    llhttp_t parser;
    window in;      /* the head and what came with it; keeps the next request's beginning */
    size_t head_at; /* where in `in` this head begins */
    span target;
    span name[HEADERS_MAX], value[HEADERS_MAX];
    size_t n_headers;
    bool head_done;
    int refuse; /* status of a head that breaks a rule, with why */
    const char *why;

    /* what it says */
    kv_method method;
    kv_sv path, query;
    bool http11, keep_alive, expect, chunked;
    uint64_t length; /* Content-Length, 0 */
    kv_arena *arena;
    struct {
        kv_sv name, value;
    } part[KV_REQ_PARTS_MAX];
    size_t n_parts;
    kv_sv *params; /* decoded name, value, name, value, ... */
    size_t n_params;

    /* the body */
    window body;   /* a buffer of the server's, taken at the first read beyond `in` */
    uint64_t left; /* of Content-Length */
    bool body_done, body_broken;
    size_t extension, trailer; /* bytes so far: of this chunk's extension; of the trailers */
    window *feed;              /* what the parser is fed with, and ... */
    kv_sv chunk_data;          /* ... what it found in it, moved together */
    rate rate_in, rate_out;

    /* the response */
    kv_buf extra; /* added header lines */
    kv_buf head;  /* scratch for the head */
    int status;
    bool bad_header, responded, chunked_out, last_chunk, mute, close, broken;
    uint64_t out_left; /* of the announced length; KV_LENGTH_UNKNOWN: until the end */
    uint64_t bytes_in, bytes_out;

    kv_req_failure failure;
    size_t route;
    const struct kv_principal *principal;
    kv_sv log_id;
};

/* --- request.c --- */
typedef enum kv_head { KV_HEAD_COMPLETE, KV_HEAD_WAITS, KV_HEAD_ENDED } kv_head;
kv_request *kv_request_new(kv_server *srv);
void kv_request_free(kv_request *req); /* NULL is fine */
/** Ready for another head of the same connection. Keeps the buffers, and bytes that came and were
 * not used: they are the next request's. False: no memory for those. */
bool kv_request_next(kv_request *req);
/** Ready for another connection: nothing of this one is left. */
void kv_request_clear(kv_request *req);
/** Reads without waiting until the head is complete (or refused: req->refuse), or nothing is there
 * yet, or the connection ended. */
kv_head kv_request_read(kv_request *req);
/** Bytes of this head have arrived. */
bool kv_request_begun(const kv_request *req);
/** Gives back the unused part of `in`, before the request is parked. */
void kv_request_shrink(kv_request *req);
/** Sends an answer for a head that was refused: req->refuse, req->why. */
void kv_request_refuse(kv_request *req);

/* --- body.c --- */
int kv_body_on_data(llhttp_t *parser, const char *at, size_t n); /* parser callback */
/** Reads on so that the connection can be kept: false when that is not worth it or not possible. */
bool kv_body_finish(kv_request *req);
/** Would kv_body_finish have a chance? Decides "Connection: close" of the response. */
bool kv_body_is_short(const kv_request *req);

/* --- respond.c --- */
/** Ends a chunked response; answers 500 when nobody answered. */
void kv_respond_finish(kv_request *req);

/* --- server.c --- */
char *kv_server_take_buffer(kv_server *srv, size_t *out_cap); /* NULL: no memory */
void kv_server_give_buffer(kv_server *srv, char *p, size_t cap);
const kv_server_options *kv_server_get_options(const kv_server *srv);
bool kv_server_is_stopping(const kv_server *srv);

/* --- tls.c --- */
typedef struct kv_tls kv_tls;
kv_code kv_tls_new(const char *cert, const char *key, kv_tls **out, kv_error *err);
kv_code kv_tls_reload(kv_tls *tls, kv_error *err);
SSL *kv_tls_accept(kv_tls *tls, int fd); /* NULL: no memory */
/** One step of the handshake: true when done; *out_failed when it never will be. */
bool kv_tls_handshake(kv_conn *c, bool *out_failed);
void kv_tls_free(kv_tls *tls);

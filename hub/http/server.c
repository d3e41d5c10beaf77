/*
 * Listener, parked connections, workers.
 *
 * Every worker waits in epoll_wait on the same epoll; EPOLLONESHOT hands each event to one of
 * them. It reads the head without blocking, parks the connection again when the head is not
 * complete, else serves the request with blocking calls and parks it then. A worker that leaves
 * nobody waiting starts another; those that find nothing to do for a while end.
 *
 * Lock order: server.lock is the only lock, and nothing blocks under it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "hub/http/conn.h"

enum {
    BACKLOG = 1024,
    ACCEPTS = 16,             /* at once; then somebody else's turn */
    ADDRESS_SLOTS = 16384,    /* addresses that share a slot share a limit: unlikely, harmless */
    STACK_BYTES = 512 * 1024, /* of a worker; touched as needed */
    SPARE_WORKERS = 4,
    WORKER_IDLE_MS = 10000,
    CUT_WAIT_MS = 10000, /* for handlers to notice that their connection was cut */
};

typedef struct place_list {
    kv_conn *first, *last;
    unsigned n;
} place_list;

struct kv_server {
    kv_server_options opt;
    kv_tls *tls; /* NULL: plain */
    int listen_fd, epoll_fd, stop_fd;
    bool loopback;
    char address[INET6_ADDRSTRLEN + 16];
    uint64_t hash_key;
    uint32_t id_prefix;
    atomic_bool stopping;
    atomic_uint waiting; /* workers in epoll_wait */
    atomic_uint active;  /* requests being served */
    atomic_ullong next_id, accepted, rejected;

    pthread_mutex_t lock; /* everything below */
    unsigned workers, connections;
    place_list at[N_PLACES];
    char *buffer[BUFFERS_KEPT]; /* free ones of BODY_BUFFER */
    unsigned n_buffers, buffers_out;
    uint16_t per_address[ADDRESS_SLOTS];
};

const kv_server_options *kv_server_get_options(const kv_server *srv)
{
    return &srv->opt;
}

bool kv_server_is_stopping(const kv_server *srv)
{
    return atomic_load_explicit(&srv->stopping, memory_order_relaxed);
}

/* --- lists; under the lock --- */

static void list_drop(kv_server *srv, kv_conn *c)
{
    place_list *l = &srv->at[c->place];
    *(c->prev ? &c->prev->next : &l->first) = c->next;
    *(c->next ? &c->next->prev : &l->last) = c->prev;
    l->n--;
}

static void list_add(kv_server *srv, kv_conn *c, enum place place)
{
    place_list *l = &srv->at[place];
    c->place = (uint8_t)place;
    c->next = NULL;
    c->prev = l->last;
    *(l->last ? &l->last->next : &l->first) = c;
    l->last = c;
    l->n++;
}

/* --- body buffers --- */

char *kv_server_take_buffer(kv_server *srv, size_t *out_cap)
{
    char *p = NULL;
    pthread_mutex_lock(&srv->lock);
    *out_cap = srv->buffers_out < BUFFERS_LARGE ? BODY_BUFFER : BODY_BUFFER_SMALL;
    if (*out_cap == BODY_BUFFER && srv->n_buffers) p = srv->buffer[--srv->n_buffers];
    srv->buffers_out++;
    pthread_mutex_unlock(&srv->lock);
    if (!p) p = malloc(*out_cap);
    if (!p) kv_server_give_buffer(srv, NULL, 0);
    return p;
}

void kv_server_give_buffer(kv_server *srv, char *p, size_t cap)
{
    pthread_mutex_lock(&srv->lock);
    srv->buffers_out--;
    if (cap == BODY_BUFFER && srv->n_buffers < BUFFERS_KEPT) {
        srv->buffer[srv->n_buffers++] = p;
        p = NULL;
    }
    pthread_mutex_unlock(&srv->lock);
    free(p);
}

/* --- connections --- */

static void conn_free(kv_conn *c)
{
    kv_server *srv = c->srv;
    pthread_mutex_lock(&srv->lock);
    list_drop(srv, c);
    srv->connections--;
    srv->per_address[c->address_slot]--;
    pthread_mutex_unlock(&srv->lock);
    kv_request_free(c->partial);
    SSL_free(c->ssl);
    close(c->fd);
    free(c);
}

/* Hands c to the poller, after which it is somebody else's. Under the lock, which whoever gets the
 * event takes first: what was written to c before is seen there. */
static void park(kv_conn *c, enum place place, uint64_t since_us)
{
    kv_server *srv = c->srv;
    struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT, .data.ptr = c};
    int op = c->polled ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    c->polled = true;
    c->since_us = since_us;
    pthread_mutex_lock(&srv->lock);
    list_drop(srv, c);
    list_add(srv, c, place);
    bool full = place == AT_HEAD && srv->at[AT_HEAD].n > PARTIAL_HEADS_MAX;
    /* A stop that has walked the lists already did not see this one. */
    if (kv_server_is_stopping(srv) && place != AT_LINGER) shutdown(c->fd, SHUT_RDWR);
    bool lost = full || epoll_ctl(srv->epoll_fd, op, c->fd, &ev) < 0;
    pthread_mutex_unlock(&srv->lock);
    if (lost) conn_free(c);
}

static enum place unpark(kv_conn *c)
{
    kv_server *srv = c->srv;
    pthread_mutex_lock(&srv->lock);
    enum place was = (enum place)c->place;
    list_drop(srv, c);
    list_add(srv, c, AT_WORK);
    pthread_mutex_unlock(&srv->lock);
    return was;
}

/* A keyed hash (xorshift multiply): somebody who picks addresses cannot aim at another's slot. */
static uint32_t address_slot(const kv_server *srv, const void *address, size_t n)
{
    uint64_t h = srv->hash_key;
    const unsigned char *p = address;
    for (size_t i = 0; i < n; i++) h = ((h ^ p[i]) * 0x9e3779b97f4a7c15u) ^ (h >> 29);
    return (uint32_t)(h ^ (h >> 32)) % ADDRESS_SLOTS;
}

typedef union peer_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} peer_address;

static void name_peer(kv_conn *c, const peer_address *a)
{
    const void *bytes = &a->v4.sin_addr;
    int family = a->any.sa_family;
    size_t n = 4;
    if (family == AF_INET6) {
        bytes = &a->v6.sin6_addr;
        n = 8; /* a /64 is one customer */
        if (IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr)) {
            family = AF_INET;
            bytes = &a->v6.sin6_addr.s6_addr[12];
            n = 4;
        }
    }
    if (!inet_ntop(family, bytes, c->peer, sizeof(c->peer))) c->peer[0] = '\0';
    c->address_slot = address_slot(c->srv, bytes, n);
}

/* Counts c in; false when there are too many. */
static bool admit(kv_server *srv, kv_conn *c)
{
    unsigned per_address = srv->opt.max_per_address;
    pthread_mutex_lock(&srv->lock);
    bool ok = srv->connections < srv->opt.max_connections &&
              (!per_address || srv->per_address[c->address_slot] < per_address) &&
              srv->per_address[c->address_slot] < UINT16_MAX;
    if (ok) {
        srv->connections++;
        srv->per_address[c->address_slot]++;
        list_add(srv, c, AT_WORK);
    }
    pthread_mutex_unlock(&srv->lock);
    return ok;
}

/* Without waiting and without TLS: whoever opens too many may see only the end. */
static void turn_away(kv_server *srv, int fd)
{
    static const char TEXT[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n"
                               "Retry-After: 5\r\nConnection: close\r\n\r\n";
    if (!srv->tls) (void)!send(fd, TEXT, sizeof(TEXT) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
    atomic_fetch_add(&srv->rejected, 1);
}

static void accept_one(kv_server *srv, int fd, const peer_address *address)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    kv_conn *c = calloc(1, sizeof(*c));
    if (!c) {
        turn_away(srv, fd);
        return;
    }
    c->srv = srv;
    c->fd = fd;
    name_peer(c, address);
    if (!admit(srv, c)) {
        turn_away(srv, fd);
        free(c);
        return;
    }
    atomic_fetch_add(&srv->accepted, 1);
    c->handshaken = !srv->tls;
    c->wire = srv->tls ? &KV_WIRE_TLS : &KV_WIRE_PLAIN;
    if (srv->tls && !(c->ssl = kv_tls_accept(srv->tls, fd))) {
        conn_free(c);
        return;
    }
    park(c, c->ssl ? AT_HEAD : AT_IDLE, kv_mono_us());
}

static void accept_some(kv_server *srv)
{
    for (int i = 0; i < ACCEPTS; i++) {
        peer_address a = {0};
        socklen_t n = sizeof(a);
        int fd = accept4(srv->listen_fd, &a.any, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            accept_one(srv, fd, &a);
        } else {
            /* Out of descriptors: the connection stays in the backlog; do not spin on it. */
            if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) usleep(10000);
            break;
        }
    }
    struct epoll_event ev = {.events = EPOLLIN | EPOLLONESHOT, .data.ptr = srv};
    epoll_ctl(srv->epoll_fd, EPOLL_CTL_MOD, srv->listen_fd, &ev);
}

/* --- requests --- */

static void name_request(kv_server *srv, kv_request *req)
{
    static const char HEX[] = "0123456789abcdef";
    uint64_t n = atomic_fetch_add(&srv->next_id, 1);
    uint64_t both[2] = {srv->id_prefix, n};
    char *to = req->id;
    for (int part = 0; part < 2; part++)
        for (int shift = part ? 36 : 28; shift >= 0; shift -= 4)
            *to++ = HEX[both[part] >> shift & 15];
    *to = '\0';
}

static void answer_overload(kv_request *req)
{
    kv_respond_add(req, "Retry-After", KV_SV("1"));
    req->refuse = 503;
    req->why = "too many requests are being served";
    kv_request_refuse(req);
}

/* A complete or refused head. True: the connection is good for another request. */
static bool serve(kv_server *srv, kv_request *req)
{
    bool keep = false;
    unsigned active = atomic_fetch_add(&srv->active, 1);
    name_request(srv, req);
    if (req->refuse)
        kv_request_refuse(req);
    else if (active + SPARE_WORKERS > srv->opt.max_workers)
        answer_overload(req);
    else
        srv->opt.serve(srv->opt.ctx, req);
    kv_respond_finish(req);
    if (!req->close && !req->broken) keep = kv_body_finish(req);
    srv->opt.done(srv->opt.ctx, req);
    atomic_fetch_sub(&srv->active, 1);
    return keep;
}

static void refuse_late(kv_server *srv, kv_request *req)
{
    req->refuse = 408;
    req->why = "the request head did not arrive in time";
    (void)serve(srv, req);
}

/* Ends a connection whose answer is out. While the peer may still be sending, closing would reset
 * the connection and take the answer away from it: read on for a moment then. */
static void hang_up(kv_conn *c, const kv_request *req)
{
    int unread = 0;
    bool quiet = req->body_done && !req->refuse && req->in.pos == req->in.n &&
                 ioctl(c->fd, FIONREAD, &unread) == 0 && unread == 0;
    if (c->ssl) SSL_shutdown(c->ssl);
    shutdown(c->fd, SHUT_WR);
    if (quiet)
        conn_free(c);
    else
        park(c, AT_LINGER, kv_mono_us());
}

static void linger_on(kv_conn *c)
{
    char waste[16384];
    for (int i = 0; i < 64; i++) {
        ssize_t n = recv(c->fd, waste, sizeof(waste), 0);
        if (n > 0) continue;
        if (n < 0 && errno == EAGAIN && !atomic_load(&c->expired))
            park(c, AT_LINGER, c->since_us);
        else
            conn_free(c);
        return;
    }
    park(c, AT_LINGER, c->since_us);
}

static bool handshake(kv_conn *c)
{
    bool failed;
    c->handshaken = kv_tls_handshake(c, &failed);
    if (c->handshaken) return true;
    if (failed || atomic_load(&c->expired))
        conn_free(c);
    else
        park(c, AT_HEAD, c->since_us);
    return false;
}

/* Parks c in front of or inside a head. *slot is the worker's request object; a partial head takes
 * it along. */
static void park_head(kv_conn *c, kv_request **slot)
{
    kv_request *req = *slot;
    if (!kv_request_begun(req)) {
        park(c, AT_IDLE, kv_mono_us());
        return;
    }
    kv_request_shrink(req);
    c->partial = req;
    *slot = NULL;
    park(c, AT_HEAD, req->started_us);
}

static bool too_late(const kv_conn *c, const kv_request *req)
{
    if (!kv_request_begun(req)) return false;
    uint64_t limit_us = (uint64_t)c->srv->opt.head_timeout_s * 1000000u;
    return atomic_load(&c->expired) || kv_mono_us() - req->started_us > limit_us;
}

/* The connection's half-read request takes the place of the worker's own. */
static kv_request *take_request(kv_conn *c, kv_request **slot)
{
    if (c->partial) {
        kv_request_free(*slot);
        *slot = c->partial;
        c->partial = NULL;
    }
    if (!*slot) *slot = kv_request_new(c->srv);
    if (*slot) (*slot)->conn = c;
    return *slot;
}

static void serve_conn(kv_conn *c, kv_request **slot)
{
    if (unpark(c) == AT_LINGER) {
        linger_on(c);
        return;
    }
    if (!c->handshaken && !handshake(c)) return;
    kv_request *req = take_request(c, slot);
    while (req) {
        kv_head head = kv_request_read(req);
        if (head != KV_HEAD_COMPLETE && too_late(c, req)) {
            refuse_late(c->srv, req);
            hang_up(c, req);
            return;
        }
        if (head == KV_HEAD_WAITS) {
            park_head(c, slot);
            return;
        }
        if (head == KV_HEAD_ENDED) break;
        if (!serve(c->srv, req)) {
            if (req->broken) break;
            hang_up(c, req);
            return;
        }
        if (!kv_request_next(req)) break;
        /* A plain connection whose bytes are used up goes back to the poller without another
         * system call; TLS may hold decrypted ones. */
        if (!c->ssl && !kv_request_begun(req)) {
            park(c, AT_IDLE, kv_mono_us());
            return;
        }
    }
    conn_free(c);
}

/* --- workers --- */

static void *worker(void *arg);

/* Under no lock. Failing is fine as long as somebody works. */
static bool start_worker(kv_server *srv)
{
    pthread_mutex_lock(&srv->lock);
    bool room = srv->workers < srv->opt.max_workers;
    if (room) srv->workers++;
    pthread_mutex_unlock(&srv->lock);
    if (!room) return false;
    pthread_t thread;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    int failed = pthread_create(&thread, &attr, worker, srv);
    pthread_attr_destroy(&attr);
    if (!failed) return true;
    pthread_mutex_lock(&srv->lock);
    srv->workers--;
    pthread_mutex_unlock(&srv->lock);
    return false;
}

/* Counts this worker out, if it may go. */
static bool leave(kv_server *srv, bool must)
{
    pthread_mutex_lock(&srv->lock);
    bool go = must || srv->workers > SPARE_WORKERS;
    if (go) srv->workers--;
    pthread_mutex_unlock(&srv->lock);
    return go;
}

static void *worker(void *arg)
{
    kv_server *srv = arg;
    kv_request *req = NULL;
    for (;;) {
        struct epoll_event ev;
        atomic_fetch_add(&srv->waiting, 1);
        int n = epoll_wait(srv->epoll_fd, &ev, 1, WORKER_IDLE_MS);
        bool last = atomic_fetch_sub(&srv->waiting, 1) == 1;
        bool stop = n > 0 && ev.data.ptr == &srv->stop_fd;
        if (n < 0) continue; /* EINTR */
        if (stop || n == 0) {
            /* Freed first: who waits for the last worker frees the server next. */
            kv_request_free(req);
            req = NULL;
            if (leave(srv, stop)) return NULL;
            continue;
        }
        if (last) (void)start_worker(srv);
        if (ev.data.ptr == srv)
            accept_some(srv);
        else
            serve_conn(ev.data.ptr, &req);
        if (req) kv_request_clear(req);
    }
}

/* --- the deadlines of parked connections --- */

static void expire(kv_server *srv, enum place place, unsigned limit_s, int how)
{
    uint64_t now = kv_mono_us(), limit_us = (uint64_t)limit_s * 1000000u;
    pthread_mutex_lock(&srv->lock);
    for (kv_conn *c = srv->at[place].first; c; c = c->next) {
        if (c->since_us + limit_us > now) {
            /* Heads are parked again with each byte and keep their first time: not in order. */
            if (place == AT_HEAD) continue;
            break;
        }
        /* The hang-up is an event: a worker finds the end and closes. */
        if (!atomic_exchange(&c->expired, true)) shutdown(c->fd, how);
    }
    pthread_mutex_unlock(&srv->lock);
}

void kv_server_tick(kv_server *srv)
{
    expire(srv, AT_IDLE, srv->opt.idle_timeout_s, SHUT_RDWR);
    expire(srv, AT_HEAD, srv->opt.head_timeout_s, SHUT_RD);
    expire(srv, AT_LINGER, LINGER_S, SHUT_RDWR);
}

static void cut(kv_server *srv, enum place place)
{
    pthread_mutex_lock(&srv->lock);
    for (kv_conn *c = srv->at[place].first; c; c = c->next) shutdown(c->fd, SHUT_RDWR);
    pthread_mutex_unlock(&srv->lock);
}

/* --- start and stop --- */

static kv_code split_listen(const char *listen, char *host, size_t host_n, const char **out_port,
                            kv_error *err)
{
    kv_sv s = kv_sv_of(listen);
    size_t colon = kv_sv_rfind(s, ':');
    kv_sv name = kv_sv_sub(s, 0, colon);
    uint64_t port = 0;
    bool ok = colon != SIZE_MAX && kv_sv_to_u64(kv_sv_from(s, colon + 1), &port) && port <= 65535;
    bool bracket = name.n >= 2 && name.p[0] == '[' && name.p[name.n - 1] == ']';
    if (bracket) name = kv_sv_sub(name, 1, name.n - 1);
    ok = ok && name.n && name.n < host_n && (bracket || kv_sv_find(name, ':') == SIZE_MAX);
    if (!ok)
        return kv_fail(err, KV_E_ARG, "cannot listen on '%s': expected HOST:PORT or [ADDRESS]:PORT",
                       listen);
    memcpy(host, name.p, name.n);
    host[name.n] = '\0';
    *out_port = listen + colon + 1;
    return KV_OK;
}

static kv_code bind_to(kv_server *srv, const struct addrinfo *a, kv_error *err)
{
    const char *listen_to = srv->opt.listen;
    int on = 1, off = 0;
    srv->listen_fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (srv->listen_fd < 0) return kv_fail_sys(err, "cannot make a socket");
    setsockopt(srv->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (a->ai_family == AF_INET6)
        setsockopt(srv->listen_fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (bind(srv->listen_fd, a->ai_addr, a->ai_addrlen) < 0 || listen(srv->listen_fd, BACKLOG) < 0)
        return kv_fail_sys(err, "cannot listen on '%s'", listen_to);

    peer_address own = {0};
    socklen_t n = sizeof(own);
    if (getsockname(srv->listen_fd, &own.any, &n) < 0)
        return kv_fail_sys(err, "cannot tell the address of '%s'", listen_to);
    char text[INET6_ADDRSTRLEN];
    bool v6 = own.any.sa_family == AF_INET6;
    const void *bytes = v6 ? (const void *)&own.v6.sin6_addr : &own.v4.sin_addr;
    if (!inet_ntop(own.any.sa_family, bytes, text, sizeof(text))) text[0] = '\0';
    snprintf(srv->address, sizeof(srv->address), v6 ? "[%s]:%u" : "%s:%u", text,
             ntohs(v6 ? own.v6.sin6_port : own.v4.sin_port));
    srv->loopback = v6 ? IN6_IS_ADDR_LOOPBACK(&own.v6.sin6_addr)
                       : ntohl(own.v4.sin_addr.s_addr) >> 24 == 127;
    return KV_OK;
}

static kv_code open_listener(kv_server *srv, kv_error *err)
{
    char host[256];
    const char *port;
    KV_TRY(split_listen(srv->opt.listen, host, sizeof(host), &port, err));
    struct addrinfo want = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | AI_PASSIVE};
    struct addrinfo *found = NULL;
    int e = getaddrinfo(host, port, &want, &found);
    if (e)
        return kv_fail(err, KV_E_ARG, "cannot listen on '%s': %s", srv->opt.listen,
                       gai_strerror(e));
    kv_code rc = bind_to(srv, found, err);
    freeaddrinfo(found);
    return rc;
}

static kv_code open_poller(kv_server *srv, kv_error *err)
{
    srv->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    srv->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event stop = {.events = EPOLLIN, .data.ptr = &srv->stop_fd};
    if (srv->epoll_fd < 0 || srv->stop_fd < 0 ||
        epoll_ctl(srv->epoll_fd, EPOLL_CTL_ADD, srv->stop_fd, &stop) < 0)
        return kv_fail_sys(err, "cannot make a poller");
    return KV_OK;
}

kv_code kv_server_open(const kv_server_options *opt, kv_server **out, kv_error *err)
{
    kv_auto(kv_server) srv = calloc(1, sizeof(*srv));
    if (!srv) return kv_fail(err, KV_E_NOMEM, "out of memory");
    srv->opt = *opt;
    srv->listen_fd = srv->epoll_fd = srv->stop_fd = -1;
    pthread_mutex_init(&srv->lock, NULL);
    kv_random(&srv->hash_key, sizeof(srv->hash_key));
    kv_random(&srv->id_prefix, sizeof(srv->id_prefix));
    if (opt->tls_cert) KV_TRY(kv_tls_new(opt->tls_cert, opt->tls_key, &srv->tls, err));
    KV_TRY(open_poller(srv, err));
    KV_TRY(open_listener(srv, err));
    *out = KV_TAKE(srv);
    return KV_OK;
}

const char *kv_server_address(const kv_server *srv)
{
    return srv->address;
}

bool kv_server_is_loopback(const kv_server *srv)
{
    return srv->loopback;
}

kv_code kv_server_start(kv_server *srv, kv_error *err)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLONESHOT, .data.ptr = srv};
    if (epoll_ctl(srv->epoll_fd, EPOLL_CTL_ADD, srv->listen_fd, &ev) < 0)
        return kv_fail_sys(err, "cannot poll the listener");
    for (int i = 0; i < SPARE_WORKERS; i++)
        if (!start_worker(srv) && i == 0) return kv_fail(err, KV_E_NOMEM, "cannot start a thread");
    return KV_OK;
}

kv_code kv_server_reload(kv_server *srv, kv_error *err)
{
    return srv->tls ? kv_tls_reload(srv->tls, err) : KV_OK;
}

/* True when no connection (or, for workers, no worker) is left before the time is over. */
static bool wait_for_none(kv_server *srv, const unsigned *count, unsigned limit_ms)
{
    for (unsigned waited = 0;; waited += 10) {
        pthread_mutex_lock(&srv->lock);
        bool none = *count == 0;
        pthread_mutex_unlock(&srv->lock);
        if (none || waited >= limit_ms) return none;
        kv_server_tick(srv);
        usleep(10000);
    }
}

bool kv_server_stop(kv_server *srv, unsigned grace_ms)
{
    atomic_store(&srv->stopping, true);
    epoll_ctl(srv->epoll_fd, EPOLL_CTL_DEL, srv->listen_fd, NULL);
    shutdown(srv->listen_fd, SHUT_RDWR); /* new connections are refused from here on */
    cut(srv, AT_IDLE);
    cut(srv, AT_HEAD);
    if (!wait_for_none(srv, &srv->connections, grace_ms))
        for (enum place p = AT_WORK; p < N_PLACES; p++) cut(srv, p);
    (void)wait_for_none(srv, &srv->connections, CUT_WAIT_MS);
    uint64_t one = 1;
    (void)!write(srv->stop_fd, &one, sizeof(one));
    return wait_for_none(srv, &srv->workers, CUT_WAIT_MS);
}

void kv_server_free(kv_server *srv)
{
    if (!srv) return;
    kv_close_fd(&srv->listen_fd);
    kv_close_fd(&srv->epoll_fd);
    kv_close_fd(&srv->stop_fd);
    kv_tls_free(srv->tls);
    for (unsigned i = 0; i < srv->n_buffers; i++) free(srv->buffer[i]);
    pthread_mutex_destroy(&srv->lock);
    free(srv);
}

void kv_server_get_stats(kv_server *srv, kv_server_stats *out)
{
    pthread_mutex_lock(&srv->lock);
    out->connections = srv->connections;
    out->workers = srv->workers;
    pthread_mutex_unlock(&srv->lock);
    out->active = atomic_load(&srv->active);
    out->accepted = atomic_load(&srv->accepted);
    out->rejected = atomic_load(&srv->rejected);
}

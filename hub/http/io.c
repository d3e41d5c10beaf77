/* Plain connections, and waiting. Sockets never block; waiting is done here, and a peer that moves
 * fewer bytes than the minimum rate while we wait for it is given up. */
#include <errno.h>
#include <poll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "hub/http/conn.h"

enum { SENDFILE_STEP = 4 << 20 };

static kv_code gone(kv_error *err)
{
    return kv_fail(err, KV_E_NETWORK, "the peer closed the connection");
}

/* Only the time spent here counts, not what a handler or a disk takes between two calls. */
kv_code kv_conn_poll(kv_conn *c, rate *r, short events, kv_error *err)
{
    const kv_server_options *opt = kv_server_get_options(c->srv);
    uint64_t window_us = (uint64_t)opt->body_timeout_s * 1000000u;
    for (;;) {
        if (r->waited_us >= window_us) {
            if (r->bytes < (uint64_t)opt->min_rate * opt->body_timeout_s)
                return kv_fail(err, KV_E_TIMEOUT, "the peer is slower than %u bytes per second",
                               opt->min_rate);
            *r = (rate){0};
        }
        struct pollfd p = {.fd = c->fd, .events = events};
        uint64_t before = kv_mono_us();
        int n = poll(&p, 1, (int)((window_us - r->waited_us) / 1000) + 1);
        r->waited_us += kv_mono_us() - before;
        if (n > 0) return KV_OK;
        if (n < 0 && errno != EINTR) return kv_fail_sys(err, "cannot wait for a connection");
    }
}

static kv_code wait_in(kv_conn *c, rate *r, kv_error *err)
{
    return kv_conn_poll(c, r, POLLIN, err);
}

static kv_code plain_recv(kv_conn *c, void *p, size_t n, size_t *out_n, bool *out_end,
                          kv_error *err)
{
    ssize_t got = recv(c->fd, p, n, 0);
    *out_n = got > 0 ? (size_t)got : 0;
    *out_end = got == 0;
    if (got >= 0 || errno == EAGAIN || errno == EINTR) return KV_OK;
    return gone(err);
}

static kv_code plain_send(kv_conn *c, rate *r, const void *p, size_t n, bool more, kv_error *err)
{
    const char *at = p;
    while (n) {
        ssize_t put = send(c->fd, at, n, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
        if (put >= 0) {
            at += put;
            n -= (size_t)put;
            r->bytes += (size_t)put;
        } else if (errno == EAGAIN) {
            KV_TRY(kv_conn_poll(c, r, POLLOUT, err));
        } else if (errno != EINTR) {
            return gone(err);
        }
    }
    return KV_OK;
}

static kv_code plain_sendfile(kv_conn *c, rate *r, int fd, uint64_t off, uint64_t n, kv_error *err)
{
    off_t at = (off_t)off;
    while (n) {
        ssize_t put = sendfile(c->fd, fd, &at, n < SENDFILE_STEP ? (size_t)n : SENDFILE_STEP);
        if (put > 0) {
            n -= (uint64_t)put;
            r->bytes += (size_t)put;
        } else if (put == 0) {
            return kv_fail(err, KV_E_CORRUPT, "a file ends %llu bytes early",
                           (unsigned long long)n);
        } else if (errno == EAGAIN) {
            KV_TRY(kv_conn_poll(c, r, POLLOUT, err));
        } else if (errno == EPIPE || errno == ECONNRESET) {
            return gone(err);
        } else if (errno != EINTR) {
            return kv_fail_sys(err, "cannot send a file");
        }
    }
    return KV_OK;
}

const kv_wire KV_WIRE_PLAIN = {
    .recv = plain_recv, .wait = wait_in, .send = plain_send, .sendfile = plain_sendfile};

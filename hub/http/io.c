/* Bytes in and out of a connection. Sockets never block; waiting is done here, and a peer that
 * moves fewer bytes than the minimum rate while we wait for it is given up. */
#include "hub/http/conn.h"

#include <errno.h>
#include <openssl/err.h>
#include <poll.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/clock.h"

enum { SENDFILE_STEP = 4 << 20 };

static kv_code gone(kv_error *err)
{
    return kv_fail(err, KV_E_NETWORK, "the peer closed the connection");
}

/* Only the time spent here counts, not what a handler or a disk takes between two calls. */
static kv_code wait_for(kv_conn *c, rate *r, short events, kv_error *err)
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

kv_code kv_conn_wait_in(kv_conn *c, rate *r, kv_error *err)
{
    return wait_for(c, r, POLLIN, err);
}

static kv_code tls_recv(kv_conn *c, void *p, size_t n, size_t *out_n, bool *out_end, kv_error *err)
{
    ERR_clear_error();
    if (SSL_read_ex(c->ssl, p, n, out_n) == 1) return KV_OK;
    *out_n = 0;
    switch (SSL_get_error(c->ssl, 0)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: return KV_OK;
    case SSL_ERROR_ZERO_RETURN: *out_end = true; return KV_OK;
    default: return gone(err);
    }
}

kv_code kv_conn_recv(kv_conn *c, void *p, size_t n, size_t *out_n, bool *out_end, kv_error *err)
{
    *out_end = false;
    if (c->ssl) return tls_recv(c, p, n, out_n, out_end, err);
    ssize_t got = recv(c->fd, p, n, 0);
    *out_n = got > 0 ? (size_t)got : 0;
    *out_end = got == 0;
    if (got >= 0 || errno == EAGAIN || errno == EINTR) return KV_OK;
    return gone(err);
}

static kv_code tls_send(kv_conn *c, rate *r, const char *p, size_t n, kv_error *err)
{
    while (n) {
        size_t put = 0;
        ERR_clear_error();
        if (SSL_write_ex(c->ssl, p, n, &put) == 1) {
            p += put;
            n -= put;
            r->bytes += put;
            continue;
        }
        switch (SSL_get_error(c->ssl, 0)) {
        case SSL_ERROR_WANT_READ: KV_TRY(wait_for(c, r, POLLIN, err)); break;
        case SSL_ERROR_WANT_WRITE: KV_TRY(wait_for(c, r, POLLOUT, err)); break;
        default: return gone(err);
        }
    }
    return KV_OK;
}

static kv_code plain_send(kv_conn *c, rate *r, const char *p, size_t n, bool more, kv_error *err)
{
    while (n) {
        ssize_t put = send(c->fd, p, n, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
        if (put >= 0) {
            p += put;
            n -= (size_t)put;
            r->bytes += (size_t)put;
        } else if (errno == EAGAIN) {
            KV_TRY(wait_for(c, r, POLLOUT, err));
        } else if (errno != EINTR) {
            return gone(err);
        }
    }
    return KV_OK;
}

kv_code kv_conn_send(kv_conn *c, rate *r, const void *p, size_t n, bool more, kv_error *err)
{
    return c->ssl ? tls_send(c, r, p, n, err) : plain_send(c, r, p, n, more, err);
}

kv_code kv_conn_sendfile(kv_conn *c, rate *r, int fd, uint64_t off, uint64_t n, kv_error *err)
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
            KV_TRY(wait_for(c, r, POLLOUT, err));
        } else if (errno == EPIPE || errno == ECONNRESET) {
            return gone(err);
        } else if (errno != EINTR) {
            return kv_fail_sys(err, "cannot send a file");
        }
    }
    return KV_OK;
}

bool kv_conn_handshake(kv_conn *c, bool *out_failed)
{
    *out_failed = false;
    ERR_clear_error();
    if (SSL_accept(c->ssl) == 1) return true;
    int e = SSL_get_error(c->ssl, -1);
    *out_failed = e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE;
    return false;
}

void kv_conn_hang_up(kv_conn *c)
{
    ERR_clear_error();
    if (c->ssl && c->handshaken) SSL_shutdown(c->ssl);
    shutdown(c->fd, SHUT_WR);
}

/* TLS: certificate and key, replaced while the server runs. */
#include <openssl/err.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

#include "hub/http/conn.h"

struct kv_tls {
    const char *cert, *key; /* borrowed from the options */
    pthread_mutex_t lock;   /* guards ctx; connections hold references of their own */
    SSL_CTX *ctx;
};

/* The reason OpenSSL gives; never file contents. */
static kv_code fail_ssl(kv_error *err, const char *what, const char *path)
{
    char text[160];
    ERR_error_string_n(ERR_peek_last_error(), text, sizeof(text));
    ERR_clear_error();
    return kv_fail(err, KV_E_INVALID, "cannot use %s '%s': %s", what, path, text);
}

static int choose_http11(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                         const unsigned char *in, unsigned int in_n, void *arg)
{
    static const unsigned char OURS[] = "\x08http/1.1";
    (void)ssl;
    (void)arg;
    unsigned char *picked = NULL;
    if (SSL_select_next_proto(&picked, out_n, OURS, sizeof(OURS) - 1, in, in_n) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = picked;
    return SSL_TLSEXT_ERR_OK;
}

static kv_code load(const kv_tls *tls, SSL_CTX *ctx, kv_error *err)
{
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                 SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* A cache on our side would cost memory per client; tickets do the same without. */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_alpn_select_cb(ctx, choose_http11, NULL);
    if (SSL_CTX_use_certificate_chain_file(ctx, tls->cert) != 1)
        return fail_ssl(err, "certificate", tls->cert);
    if (SSL_CTX_use_PrivateKey_file(ctx, tls->key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(ctx) != 1)
        return fail_ssl(err, "key", tls->key);
    return KV_OK;
}

kv_code kv_tls_reload(kv_tls *tls, kv_error *err)
{
    SSL_CTX *fresh = SSL_CTX_new(TLS_server_method());
    if (!fresh) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_code rc = load(tls, fresh, err);
    if (rc != KV_OK) {
        SSL_CTX_free(fresh);
        return rc;
    }
    pthread_mutex_lock(&tls->lock);
    SSL_CTX *old = tls->ctx;
    tls->ctx = fresh;
    pthread_mutex_unlock(&tls->lock);
    SSL_CTX_free(old);
    return KV_OK;
}

kv_code kv_tls_new(const char *cert, const char *key, kv_tls **out, kv_error *err)
{
    kv_tls *tls = calloc(1, sizeof(*tls));
    if (!tls) return kv_fail(err, KV_E_NOMEM, "out of memory");
    tls->cert = cert;
    tls->key = key;
    pthread_mutex_init(&tls->lock, NULL);
    kv_code rc = kv_tls_reload(tls, err);
    if (rc != KV_OK) {
        kv_tls_free(tls);
        return rc;
    }
    *out = tls;
    return KV_OK;
}

SSL *kv_tls_accept(kv_tls *tls, int fd)
{
    pthread_mutex_lock(&tls->lock);
    SSL *ssl = SSL_new(tls->ctx);
    pthread_mutex_unlock(&tls->lock);
    if (ssl && SSL_set_fd(ssl, fd) != 1) {
        SSL_free(ssl);
        ssl = NULL;
    }
    if (ssl) SSL_set_accept_state(ssl);
    return ssl;
}

void kv_tls_free(kv_tls *tls)
{
    if (!tls) return;
    SSL_CTX_free(tls->ctx);
    pthread_mutex_destroy(&tls->lock);
    free(tls);
}

/* --- the wire --- */

bool kv_tls_handshake(kv_conn *c, bool *out_failed)
{
    ERR_clear_error();
    int n = SSL_accept(c->ssl), why = SSL_get_error(c->ssl, n);
    *out_failed = n != 1 && why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE;
    return n == 1;
}

static kv_code tls_recv(kv_conn *c, void *p, size_t n, size_t *out_n, bool *out_end, kv_error *err)
{
    *out_end = false;
    ERR_clear_error();
    if (SSL_read_ex(c->ssl, p, n, out_n) == 1) return KV_OK;
    *out_n = 0;
    int why = SSL_get_error(c->ssl, 0);
    *out_end = why == SSL_ERROR_ZERO_RETURN;
    if (*out_end || why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) return KV_OK;
    return kv_fail(err, KV_E_NETWORK, "the peer closed the connection");
}

static kv_code tls_wait(kv_conn *c, rate *r, kv_error *err)
{
    return kv_conn_poll(c, r, SSL_want_write(c->ssl) ? POLLOUT : POLLIN, err);
}

static kv_code tls_send(kv_conn *c, rate *r, const void *p, size_t n, bool more, kv_error *err)
{
    (void)more; /* every write is a record of its own */
    const char *at = p;
    while (n) {
        size_t put = 0;
        ERR_clear_error();
        if (SSL_write_ex(c->ssl, at, n, &put) == 1) {
            at += put;
            n -= put;
            r->bytes += put;
            continue;
        }
        int why = SSL_get_error(c->ssl, 0);
        if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
            return kv_fail(err, KV_E_NETWORK, "the peer closed the connection");
        KV_TRY(kv_conn_poll(c, r, why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, err));
    }
    return KV_OK;
}

const kv_wire KV_WIRE_TLS = {.recv = tls_recv, .wait = tls_wait, .send = tls_send};

/*
 * The wire by libcurl. An exchange owns one channel: an easy handle with a multi handle of its own,
 * whose connection cache survives the exchange. Channels that are idle wait in a list, last used
 * first, so that connections are used again. Driving a multi handle from the calling thread makes
 * the answer's body a plain blocking read.
 */
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/rate.h"
#include "http/lazy_curl.h"
#include "http/transport.h"
#include "http/url.h"

enum {
    RECEIVE_BYTES = 512 * 1024, /* CURLOPT_BUFFERSIZE: its maximum, and measured as the best */
    SEND_BYTES = 1024 * 1024,
    EXPECT_BYTES = 1024 * 1024,
    POLL_MS = 100, /* how late a wish to cancel may be seen */
    CONNECT_S = 30,
};

typedef struct channel channel;
typedef struct curl_transport {
    kv_http_transport base;
    const kv_http_options *options;
    char *env_http_proxy; /* HTTP_PROXY, which libcurl ignores and kit does not; or NULL */
    kv_rate *rate;        /* NULL: no limit */
    pthread_mutex_t lock; /* guards idle */
    channel *idle;
} curl_transport;

struct channel {
    kv_http_exchange base;
    channel *next;
    curl_transport *owner;
    CURL *easy;
    CURLM *multi;
    struct curl_slist *headers;
    char text[CURL_ERROR_SIZE];

    const kv_http_source *source;
    uint64_t source_off;
    bool replay;
    const kv_report *report;
    kv_error broken; /* why a callback of ours stopped the transfer */

    kv_http_head *head; /* NULL once the final head is complete */
    bool head_done, paused, done;
    CURLcode result;

    kv_http_sink *sink; /* takes the body as it comes; NULL outside of drain */
    void *sink_ctx;
    char *dst; /* where the current read wants bytes; NULL between reads */
    size_t room, got;
    char *spill; /* what did not fit into dst; at most RECEIVE_BYTES */
    size_t spill_at, spill_n;
};

static const kv_http_transport_ops CURL_OPS;

/* --- callbacks of libcurl --- */

/* The turn of at most *n bytes, or of as many as are sent at once under a limit. */
static kv_code pace(channel *c, size_t *n)
{
    kv_rate *rate = c->owner->rate;
    if (!rate) return KV_OK;
    size_t piece = kv_rate_piece(rate);
    if (*n > piece) *n = piece;
    return kv_rate_take(rate, *n, c->report, &c->broken);
}

static size_t on_read(char *to, size_t size, size_t count, void *arg)
{
    channel *c = arg;
    uint64_t left = c->source->size - c->source_off;
    size_t n = size * count;
    if (n > left) n = (size_t)left;
    if (n == 0) return 0;
    if (pace(c, &n) != KV_OK) return CURL_READFUNC_ABORT;
    if (c->source->read(c->source->ctx, c->source_off, to, n, &n, &c->broken) != KV_OK)
        return CURL_READFUNC_ABORT;
    c->source_off += n;
    return n;
}

/*
 * libcurl sends a request again by itself when a kept connection turns out to be dead, even after
 * parts of its body: those may have been appended to an upload, which would then have them twice.
 */
static int on_seek(void *arg, curl_off_t off, int origin)
{
    channel *c = arg;
    if (!c->replay) return CURL_SEEKFUNC_FAIL;
    if (origin != SEEK_SET || off < 0 || (uint64_t)off > c->source->size)
        return CURL_SEEKFUNC_CANTSEEK;
    c->source_off = (uint64_t)off;
    return CURL_SEEKFUNC_OK;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): libcurl's type */
static size_t on_header(char *p, size_t size, size_t count, void *arg)
{
    channel *c = arg;
    size_t n = size * count;
    kv_sv line = kv_sv_trim((kv_sv){p, n});
    if (c->head_done) return n; /* a trailer; nobody asked for it */
    if (kv_sv_starts(line, KV_SV("HTTP/"))) {
        kv_sv version, code;
        kv_sv rest = kv_sv_cut(line, ' ', &version, NULL);
        kv_sv_cut(rest, ' ', &code, NULL);
        uint64_t status = 0;
        if (!kv_sv_to_u64(code, &status) || status > 999) status = 0;
        c->head->status = (int)status;
        kv_buf_truncate(c->head->lines, 0);
        return n;
    }
    if (line.n == 0) {
        if (c->head->status >= 200) c->head_done = true;
        return n;
    }
    kv_buf_add(c->head->lines, line);
    kv_buf_addc(c->head->lines, '\n');
    if (!c->head->lines->failed) return n;
    (void)kv_fail(&c->broken, KV_E_PROTOCOL, "the answer's headers are larger than %u bytes",
                  KV_HTTP_HEAD_MAX);
    return 0;
}

static size_t on_write(char *p, size_t size, size_t count, void *arg)
{
    channel *c = arg;
    size_t n = size * count;
    if (n == 0) return 0;
    if (!c->sink && (c->room == 0 || c->spill_n)) {
        c->paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    /* What came is here and has to be taken; the sender waits once the socket is full. */
    kv_rate *rate = c->owner->rate;
    if (rate && kv_rate_take(rate, n, c->report, &c->broken) != KV_OK) return 0;
    if (c->sink) return c->sink(c->sink_ctx, p, n, &c->broken) == KV_OK ? n : 0;
    size_t now = n < c->room ? n : c->room;
    memcpy(c->dst + c->got, p, now);
    c->got += now;
    c->room -= now;
    if (now == n) return n;
    if (!c->spill) c->spill = malloc(RECEIVE_BYTES);
    if (!c->spill || n - now > RECEIVE_BYTES) {
        (void)kv_fail(&c->broken, KV_E_NOMEM, "out of memory");
        return 0;
    }
    memcpy(c->spill, p + now, n - now);
    c->spill_at = 0;
    c->spill_n = n - now;
    return n;
}

/* Adds the authorities the user named to those of the system. */
static CURLcode on_ssl_ctx(CURL *easy, void *ctx, void *arg)
{
    (void)easy;
    channel *c = arg;
    const kv_http_options *o = c->owner->options;
    for (size_t i = 0; i < o->n_tls_certs; i++) {
        if (SSL_CTX_load_verify_locations(ctx, o->tls_certs[i], NULL) == 1) continue;
        (void)kv_fail(&c->broken, KV_E_ARG, "cannot read certificates from '%s'", o->tls_certs[i]);
        return CURLE_ABORTED_BY_CALLBACK;
    }
    return CURLE_OK;
}

/* --- channels --- */

static void channel_free(channel *c)
{
    if (c->multi) curl_multi_cleanup(c->multi);
    if (c->easy) curl_easy_cleanup(c->easy);
    curl_slist_free_all(c->headers);
    free(c->spill);
    free(c);
}

static channel *channel_take(curl_transport *t)
{
    pthread_mutex_lock(&t->lock);
    channel *c = t->idle;
    if (c) t->idle = c->next;
    pthread_mutex_unlock(&t->lock);
    if (c) return c;

    c = calloc(1, sizeof(*c));
    if (!c) return NULL;
    c->base.ops = &CURL_OPS;
    c->owner = t;
    c->easy = curl_easy_init();
    c->multi = curl_multi_init();
    if (c->easy && c->multi) return c;
    channel_free(c);
    return NULL;
}

static void channel_release(channel *c)
{
    curl_multi_remove_handle(c->multi, c->easy);
    curl_slist_free_all(c->headers);
    c->headers = NULL;
    c->source = NULL;
    c->report = NULL;
    c->head = NULL;
    c->dst = NULL;
    c->room = c->got = c->spill_n = 0;
    curl_transport *t = c->owner;
    pthread_mutex_lock(&t->lock);
    c->next = t->idle;
    t->idle = c;
    pthread_mutex_unlock(&t->lock);
}

#define SET(opt, value)                                                                            \
    do {                                                                                           \
        if (curl_easy_setopt(e, (opt), (value)))                                                   \
            return kv_fail(err, KV_E_INTERNAL, "libcurl refuses option " #opt);                    \
    } while (0)

static kv_code add_header(channel *c, const char *line, kv_error *err)
{
    struct curl_slist *longer = curl_slist_append(c->headers, line);
    if (!longer) return kv_fail(err, KV_E_NOMEM, "out of memory");
    c->headers = longer;
    return KV_OK;
}

static bool has_header(const channel *c, const char *name_colon)
{
    for (const struct curl_slist *s = c->headers; s; s = s->next)
        if (strncasecmp(s->data, name_colon, strlen(name_colon)) == 0) return true;
    return false;
}

static kv_code set_headers(channel *c, const kv_http_wire *w, kv_error *err)
{
    CURL *e = c->easy;
    for (const char *const *h = w->headers; *h; h++) KV_TRY(add_header(c, *h, err));
    /* A header without value takes away what libcurl adds by itself. A refused body is worth the
     * wait of "Expect" only where it is large. */
    if (!has_header(c, "Accept:")) KV_TRY(add_header(c, "Accept:", err));
    if (!w->source || w->source->size <= EXPECT_BYTES) KV_TRY(add_header(c, "Expect:", err));
    SET(CURLOPT_HTTPHEADER, c->headers);
    SET(CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE); /* credentials are not for the proxy */
    return KV_OK;
}

static kv_code set_method(channel *c, const kv_http_wire *w, kv_error *err)
{
    CURL *e = c->easy;
    bool sends = w->source || strcmp(w->method, "POST") == 0 || strcmp(w->method, "PUT") == 0 ||
                 strcmp(w->method, "PATCH") == 0;
    if (strcmp(w->method, "HEAD") == 0) {
        SET(CURLOPT_NOBODY, 1L);
        return KV_OK;
    }
    if (!sends) {
        SET(CURLOPT_HTTPGET, 1L);
        SET(CURLOPT_CUSTOMREQUEST, w->method);
        return KV_OK;
    }
    static const kv_http_source NOTHING = {0};
    c->source = w->source ? w->source : &NOTHING;
    c->source_off = 0;
    SET(CURLOPT_UPLOAD, 1L);
    SET(CURLOPT_CUSTOMREQUEST, w->method);
    SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)c->source->size);
    SET(CURLOPT_READFUNCTION, on_read);
    SET(CURLOPT_READDATA, c);
    SET(CURLOPT_SEEKFUNCTION, on_seek);
    SET(CURLOPT_SEEKDATA, c);
    if (c->source->size > SEND_BYTES) SET(CURLOPT_UPLOAD_BUFFERSIZE, (long)SEND_BYTES);
    return KV_OK;
}

static kv_code set_tls(channel *c, const kv_http_wire *w, kv_error *err)
{
    CURL *e = c->easy;
    const kv_http_options *o = c->owner->options;
    SET(CURLOPT_SSL_VERIFYPEER, o->tls_verify ? 1L : 0L);
    SET(CURLOPT_SSL_VERIFYHOST, o->tls_verify ? 2L : 0L);
    if (o->n_tls_certs) {
        SET(CURLOPT_SSL_CTX_FUNCTION, on_ssl_ctx);
        SET(CURLOPT_SSL_CTX_DATA, c);
        SET(CURLOPT_CA_CACHE_TIMEOUT, 0L); /* a cached store would collect ours again and again */
    }
    if (w->foreign || !o->client_cert) return KV_OK;
    SET(CURLOPT_SSLCERT, o->client_cert);
    SET(CURLOPT_SSLKEY, o->client_key ? o->client_key : o->client_cert);
    return KV_OK;
}

/* As kit's HTTP library: a proxy from the environment is not for this machine itself. */
static kv_code set_proxy(channel *c, const kv_http_wire *w, kv_error *err)
{
    CURL *e = c->easy;
    const curl_transport *t = c->owner;
    if (t->options->proxy) {
        SET(CURLOPT_PROXY, t->options->proxy);
        SET(CURLOPT_NOPROXY, "");
        return KV_OK;
    }
    kv_auto_url_origin origin = {0};
    KV_TRY(kv_url_origin_of(w->url, &origin, err));
    if (origin.loopback) {
        SET(CURLOPT_NOPROXY, "*");
        return KV_OK;
    }
    if (!origin.tls && t->env_http_proxy) {
        SET(CURLOPT_PROXY, t->env_http_proxy);
        const char *except = getenv("no_proxy") ? getenv("no_proxy") : getenv("NO_PROXY");
        SET(CURLOPT_NOPROXY, except ? except : "");
    }
    return KV_OK;
}

static long receive_bytes(const channel *c)
{
    const kv_rate *rate = c->owner->rate;
    if (!rate || kv_rate_piece(rate) > RECEIVE_BYTES) return RECEIVE_BYTES;
    return (long)kv_rate_piece(rate);
}

static kv_code set_all(channel *c, const kv_http_wire *w, kv_error *err)
{
    CURL *e = c->easy;
    curl_easy_reset(e);
    SET(CURLOPT_URL, w->url);
    SET(CURLOPT_ERRORBUFFER, c->text);
    SET(CURLOPT_PRIVATE, c);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    /* One transfer per connection: HTTP/2 would add a window and a copy, and share nothing here. */
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
    SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
    SET(CURLOPT_LOW_SPEED_TIME, (long)w->patience_s);
    SET(CURLOPT_BUFFERSIZE, receive_bytes(c));
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, c);
    SET(CURLOPT_WRITEFUNCTION, on_write);
    SET(CURLOPT_WRITEDATA, c);
    KV_TRY(set_headers(c, w, err));
    KV_TRY(set_method(c, w, err));
    KV_TRY(set_tls(c, w, err));
    return set_proxy(c, w, err);
}

/* --- driving --- */

static kv_code fail_curl(const channel *c, bool *out_unreachable, kv_error *err)
{
    if (c->broken.code != KV_OK) {
        if (err) *err = c->broken;
        return c->broken.code;
    }
    const char *why = c->text[0] ? c->text : curl_easy_strerror(c->result);
    switch ((int)c->result) { /* an enum of a hundred: those that differ for a caller */
    case CURLE_OUT_OF_MEMORY: return kv_fail(err, KV_E_NOMEM, "out of memory");
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
        *out_unreachable = true;
        return kv_fail(err, KV_E_NETWORK, "cannot connect: %s", why);
    case CURLE_SSL_CONNECT_ERROR:
        *out_unreachable = true;
        if (strstr(why, "wrong version number") || strstr(why, "packet length too long"))
            return kv_fail(err, KV_E_NETWORK, "the server does not speak HTTPS on this port");
        return kv_fail(err, KV_E_NETWORK, "cannot connect: %s", why);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
        *out_unreachable = true;
        return kv_fail(err, KV_E_NETWORK, "cannot connect: %s", why);
    case CURLE_OPERATION_TIMEDOUT: return kv_fail(err, KV_E_TIMEOUT, "%s", why);
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL: return kv_fail(err, KV_E_PROTOCOL, "%s", why);
    case CURLE_URL_MALFORMAT: return kv_fail(err, KV_E_ARG, "%s", why);
    default: return kv_fail(err, KV_E_NETWORK, "connection broke: %s", why);
    }
}

static void perform(channel *c)
{
    int running, left;
    CURLMcode rc = curl_multi_perform(c->multi, &running);
    if (rc != CURLM_OK) {
        c->done = true;
        c->result = rc == CURLM_OUT_OF_MEMORY ? CURLE_OUT_OF_MEMORY : CURLE_RECV_ERROR;
    }
    for (CURLMsg *m; (m = curl_multi_info_read(c->multi, &left));)
        if (m->msg == CURLMSG_DONE) {
            c->done = true;
            c->result = m->data.result;
        }
}

typedef enum goal { TO_HEAD, TO_BYTES, TO_END } goal;

static bool has_reached(const channel *c, goal g)
{
    return c->done || (g == TO_HEAD && c->head_done) || (g == TO_BYTES && c->got > 0);
}

/* Goes on until the goal is reached or the transfer ended. */
static kv_code drive(channel *c, goal g, kv_error *err)
{
    for (;;) {
        KV_TRY(kv_check_cancel(c->report, err));
        perform(c);
        if (has_reached(c, g)) return KV_OK;
        if (curl_multi_poll(c->multi, NULL, 0, POLL_MS, NULL) != CURLM_OK)
            return kv_fail(err, KV_E_INTERNAL, "libcurl cannot wait for the network");
    }
}

/*
 * OpenSSL writes to sockets without MSG_NOSIGNAL, and a library must not change what the host does
 * with SIGPIPE: it is kept from this thread while libcurl runs, and one that came is taken away.
 */
static void pipe_hold(sigset_t *old)
{
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, old);
}

static void pipe_release(const sigset_t *old)
{
    if (sigismember(old, SIGPIPE)) return;
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    static const struct timespec NOW = {0};
    while (sigtimedwait(&pipe, NULL, &NOW) == SIGPIPE) continue;
    pthread_sigmask(SIG_SETMASK, old, NULL);
}

static kv_code run_head(channel *c, const kv_http_wire *w, kv_http_head *head, kv_error *err)
{
    KV_TRY(set_all(c, w, err));
    if (curl_multi_add_handle(c->multi, c->easy) != CURLM_OK)
        return kv_fail(err, KV_E_INTERNAL, "libcurl takes no request");
    KV_TRY(drive(c, TO_HEAD, err));
    if (c->done && (c->result != CURLE_OK || !c->head_done)) {
        if (c->result == CURLE_OK) c->result = CURLE_GOT_NOTHING;
        return fail_curl(c, &head->unreachable, err);
    }
    return KV_OK;
}

static kv_code curl_start(kv_http_transport *base, const kv_http_wire *w, kv_http_head *head,
                          kv_http_exchange **out, kv_error *err)
{
    channel *c = channel_take((curl_transport *)(void *)base);
    if (!c) return kv_fail(err, KV_E_NOMEM, "out of memory");
    c->report = w->report;
    c->replay = w->replay;
    c->head = head;
    c->head_done = c->paused = c->done = false;
    c->result = CURLE_OK;
    c->text[0] = '\0';
    c->broken.code = KV_OK;

    sigset_t old;
    pipe_hold(&old);
    kv_code rc = run_head(c, w, head, err);
    if (rc != KV_OK) channel_release(c);
    pipe_release(&old);
    if (rc != KV_OK) return rc;
    c->head = NULL;
    *out = &c->base;
    return KV_OK;
}

static size_t take_spill(channel *c, char *dst, size_t n)
{
    if (n > c->spill_n) n = c->spill_n;
    if (n == 0) return 0;
    memcpy(dst, c->spill + c->spill_at, n);
    c->spill_at += n;
    c->spill_n -= n;
    return n;
}

static void go_on(channel *c)
{
    if (!c->paused) return;
    c->paused = false;
    CURLcode rc = curl_easy_pause(c->easy, CURLPAUSE_CONT); /* may call on_write */
    if (rc && !c->done) {
        c->done = true;
        c->result = rc;
    }
}

static kv_code read_more(channel *c, kv_error *err)
{
    go_on(c);
    if (!c->got && !c->done) KV_TRY(drive(c, TO_BYTES, err));
    bool unreachable;
    if (!c->got && c->result != CURLE_OK) return fail_curl(c, &unreachable, err);
    return KV_OK;
}

static kv_code curl_read(kv_http_exchange *base, void *dst, size_t n, size_t *out_n, kv_error *err)
{
    channel *c = (channel *)(void *)base;
    c->dst = dst;
    c->got = take_spill(c, dst, n);
    c->room = n - c->got;
    sigset_t old;
    pipe_hold(&old);
    kv_code rc = read_more(c, err);
    pipe_release(&old);
    *out_n = c->got;
    c->dst = NULL;
    c->room = 0;
    return rc;
}

static kv_code drain_more(channel *c, kv_error *err)
{
    if (c->spill_n) KV_TRY(c->sink(c->sink_ctx, c->spill + c->spill_at, c->spill_n, err));
    c->spill_n = 0;
    go_on(c);
    if (!c->done) KV_TRY(drive(c, TO_END, err));
    bool unreachable;
    return c->result == CURLE_OK ? KV_OK : fail_curl(c, &unreachable, err);
}

static kv_code curl_drain(kv_http_exchange *base, kv_http_sink *sink, void *ctx, kv_error *err)
{
    channel *c = (channel *)(void *)base;
    c->sink = sink;
    c->sink_ctx = ctx;
    sigset_t old;
    pipe_hold(&old);
    kv_code rc = drain_more(c, err);
    pipe_release(&old);
    c->sink = NULL;
    return rc;
}

static void curl_close(kv_http_exchange *base)
{
    sigset_t old;
    pipe_hold(&old);
    channel_release((channel *)(void *)base);
    pipe_release(&old);
}

static void curl_free_all(kv_http_transport *base)
{
    curl_transport *t = (curl_transport *)(void *)base;
    sigset_t old;
    pipe_hold(&old);
    for (channel *c = t->idle; c;) {
        channel *next = c->next;
        channel_free(c);
        c = next;
    }
    pipe_release(&old);
    pthread_mutex_destroy(&t->lock);
    kv_rate_free(t->rate);
    free(t->env_http_proxy);
    free(t);
}

static const kv_http_transport_ops CURL_OPS = {
    .start = curl_start,
    .read = curl_read,
    .drain = curl_drain,
    .close = curl_close,
    .free = curl_free_all,
};

kv_code kv_http_transport_curl(const kv_http_options *options, kv_http_transport **out,
                               kv_error *err)
{
    KV_TRY(kv_curl_load(err));
    curl_transport *t = calloc(1, sizeof(*t));
    if (!t) return kv_fail(err, KV_E_NOMEM, "out of memory");
    t->base.ops = &CURL_OPS;
    t->options = options;
    if (options->max_rate && !(t->rate = kv_rate_new(options->max_rate))) {
        free(t);
        return kv_fail(err, KV_E_NOMEM, "out of memory");
    }
    pthread_mutex_init(&t->lock, NULL);
    /* In a CGI program HTTP_PROXY is the request header "Proxy", not a setting. */
    const char *upper = getenv("HTTP_PROXY");
    if (upper && *upper && !getenv("http_proxy") && !getenv("REQUEST_METHOD"))
        t->env_http_proxy = strdup(upper);
    *out = &t->base;
    return KV_OK;
}

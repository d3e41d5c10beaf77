#pragma once
/*
 * The HTTP client: one request and its answer, with everything around it that a user should not
 * notice: redirects, authentication by challenge, retries, proxies.
 *
 * Every status is an answer (KV_OK); kv_http_fail_status makes the error where one is wanted.
 * Credentials go only to the origin (scheme, host, port) that was asked for, and never over plain
 * HTTP unless the host is loopback or the options say so. Nothing secret is logged.
 * Threads: the client is shared; requests and responses are one thread at a time.
 */
#include "base/str.h"
#include "http/status.h"
#include "kitvault/credentials.h"
#include "kitvault/report.h"

typedef struct kv_http kv_http; /* the client: connections, known logins and tokens */
typedef struct kv_http_transport kv_http_transport;

/** Finds the login for "host[:port]". KV_E_NOTFOUND: none, which is no error. */
typedef kv_code kv_http_login_fn(void *ctx, kv_sv host, kv_login *out, kv_error *err);

typedef struct kv_http_options { /* all pointers are borrowed and must outlive the client */
    bool plain_http;             /* credentials may travel over plain HTTP */
    bool tls_verify;
    const char *const *tls_certs; /* PEM files of authorities trusted besides the system's */
    size_t n_tls_certs;
    const char *client_cert, *client_key; /* PEM files */
    const char *proxy;                    /* URL; NULL: http_proxy, https_proxy, no_proxy */
    const char *user_agent;               /* NULL: "kitvault/VERSION" */
    kv_http_login_fn *find_login;         /* NULL: anonymous; called under a lock of the client */
    void *login_ctx;
    uint64_t max_rate;            /* bytes of bodies per second, all together; 0: any */
    const kv_report *report;      /* debug lines, cancel; NULL: silent */
    kv_http_transport *transport; /* owned by the client; NULL: libcurl */
} kv_http_options;
#define KV_HTTP_OPTIONS_INIT                                                                       \
    {                                                                                              \
        .tls_verify = true                                                                         \
    }
KV_MUST_CHECK kv_code kv_http_new(const kv_http_options *options, kv_http **out, kv_error *err);
void kv_http_free(kv_http *http); /* no response of it may be open */
KV_DEFINE_AUTO(kv_http, kv_http_free)

/**
 * A body that can be read again from any offset, since redirects, challenges and retries send it
 * again. read: between 1 and n bytes at off; n never reaches past size.
 */
typedef struct kv_http_source {
    kv_code (*read)(void *ctx, uint64_t off, void *dst, size_t n, size_t *out_n, kv_error *err);
    void *ctx;
    uint64_t size;
} kv_http_source;

typedef struct kv_http_request { /* everything is borrowed for the call */
    const char *method;
    const char *url;            /* absolute, http or https */
    const char *const *headers; /* "Name: value" lines, NULL-terminated; NULL: none */
    kv_sv body;
    const kv_http_source *source; /* instead of body, for large ones */
    const char *scope; /* token scope, "repository:team/demo:pull"; several separated by a blank */
    bool once;         /* no retries: the caller knows better how to go on */
    const char
        *authorization;  /* header line for the origin of url alone; with anonymous; NULL: none */
    bool anonymous;      /* no credentials, and no answer to a challenge */
    bool stay;           /* a redirect to another origin is an error: the request is secret */
    unsigned patience_s; /* silence that is a timeout; 0: 60 s */
} kv_http_request;

typedef struct kv_http_response { /* zero it before first use; reusable after clear */
    int status;
    char *url;   /* where the answer came from, after redirects: base for relative locations */
    kv_buf head; /* "Name: value\n" lines as received */
    kv_buf body; /* filled by kv_http_send; its max, when set before, is the limit */
    struct kv_http_exchange *exchange; /* private: open between kv_http_open and clear */
    struct kv_http *http;              /* private */
    kv_http_source unsent;             /* private: reads sent_body, also while the answer is read */
    kv_sv sent_body;                   /* private */
} kv_http_response;
#define KV_HTTP_BODY_MAX (4u << 20) /* limit of a body when the caller sets none; own */
#define KV_HTTP_HEAD_MAX (64u << 10)

/** Sends and reads the whole answer. Errors: KV_E_NETWORK, KV_E_TIMEOUT, KV_E_AUTH (a token server
 * refused), KV_E_DENIED (credentials over plain HTTP), KV_E_LIMIT (body), KV_E_PROTOCOL,
 * KV_E_CANCELLED, and what a source returns. */
KV_MUST_CHECK kv_code kv_http_send(kv_http *http, const kv_http_request *req, kv_http_response *out,
                                   kv_error *err);
/** Sends and reads the answer's head; the body is then read piece by piece. A server may answer before
 * it has read the request: its body or source lives until out is cleared or read to its end. */
KV_MUST_CHECK kv_code kv_http_open(kv_http *http, const kv_http_request *req, kv_http_response *out,
                                   kv_error *err);
/** Between 1 and n bytes, 0 at the end. A body shorter than its Content-Length is KV_E_NETWORK. */
KV_MUST_CHECK kv_code kv_http_read(kv_http_response *resp, void *dst, size_t n, size_t *out_n,
                                   kv_error *err);
/** Takes n bytes that live until it returns. An error of it ends the transfer. */
typedef kv_code kv_http_sink(void *ctx, const void *p, size_t n, kv_error *err);
/** Hands what is left of the body to sink, piece by piece and without a copy; ends as kv_http_read. */
KV_MUST_CHECK kv_code kv_http_drain(kv_http_response *resp, kv_http_sink *sink, void *ctx,
                                    kv_error *err);
/**
 * The pause before another try, for callers whose requests are `once`: as the client's own, growing
 * with tried (from 0); a Retry-After of resp (may be NULL) wins. Errors: KV_E_CANCELLED.
 */
KV_MUST_CHECK kv_code kv_http_wait(kv_http *http, unsigned tried, const kv_http_response *resp,
                                   kv_error *err);
/** True for statuses that are worth another try: 408, 429, most of 5xx. */
bool kv_http_status_passes(int status);
/** Reads what is left of an open answer into resp->body, for an error text. */
KV_MUST_CHECK kv_code kv_http_read_all(kv_http_response *resp, kv_error *err);
void kv_http_response_clear(kv_http_response *resp);
#define kv_auto_http_response KV_CLEANUP(kv_http_response_clear) kv_http_response

/** Value of the first header of that name (any case), trimmed; {NULL, 0} when absent. */
kv_sv kv_http_header(const kv_http_response *resp, const char *name);
/** Walks all headers of that name: *at is 0 before the first call. False at the end. */
bool kv_http_header_next(const kv_http_response *resp, const char *name, size_t *at, kv_sv *out);
/**
 * Fails with "got response 404 (Not Found) from remote", and the texts of the body behind it when
 * it is a JSON error document ({"errors":[{"code","message"}]}). The body is read if still open.
 */
kv_code kv_http_fail_status(kv_http_response *resp, kv_error *err);

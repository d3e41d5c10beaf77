#pragma once
/* What moves one request and its answer over a wire. The client above it does the rest. */
#include "http/http.h"

typedef struct kv_http_exchange kv_http_exchange;

typedef struct kv_http_wire { /* borrowed until the exchange is closed */
    const char *method, *url;
    const char *const *headers;   /* all of them, NULL-terminated; no Host, no Content-Length */
    const kv_http_source *source; /* NULL: no body */
    unsigned patience_s;          /* silence that is a timeout */
    bool replay;                  /* the body may be sent again if the connection fails early */
    bool foreign;                 /* another origin than the user named: no client certificate */
    const kv_report *report;      /* for cancel */
} kv_http_wire;

typedef struct kv_http_head {
    int status;
    kv_buf *lines;    /* "Name: value\n", appended */
    bool unreachable; /* set on failure: there never was a connection (or its TLS failed) */
} kv_http_head;

typedef struct kv_http_transport_ops {
    /**
     * Sends the request and reads the head of the final answer (1xx are skipped). On KV_OK *out is
     * open. No redirects are followed. A body may still be on its way when the answer comes early;
     * read() goes on with it. Called from many threads at once.
     */
    kv_code (*start)(kv_http_transport *t, const kv_http_wire *wire, kv_http_head *head,
                     kv_http_exchange **out, kv_error *err);
    /** 1..n bytes of the answer's body; 0 at its end. */
    kv_code (*read)(kv_http_exchange *x, void *dst, size_t n, size_t *out_n, kv_error *err);
    /** The rest of the body to sink, from the transport's own buffers. NULL: read is used. */
    kv_code (*drain)(kv_http_exchange *x, kv_http_sink *sink, void *ctx, kv_error *err);
    void (*close)(kv_http_exchange *x); /* before the end: the connection is dropped */
    void (*free)(kv_http_transport *t);
} kv_http_transport_ops;
struct kv_http_transport {
    const kv_http_transport_ops *ops;
};
struct kv_http_exchange {
    const kv_http_transport_ops *ops;
};

/** libcurl. Takes certificates, proxy and verification from options (borrowed). */
KV_MUST_CHECK kv_code kv_http_transport_curl(const kv_http_options *options,
                                             kv_http_transport **out, kv_error *err);

/* --- a scripted server, for tests --- */
typedef struct kv_http_fake_step {
    const char *method, *url;    /* expected exactly */
    const char *want, *unwanted; /* header text that must, or must not, be sent; NULL: any */
    int status;                  /* 0: the transport fails with `fail` */
    const char *head;            /* "Name: value\n" lines; NULL: none */
    const char *body;            /* of the answer; NULL: none */
    size_t cut;                  /* n > 0: the connection breaks after n bytes of body */
    const char *sent;            /* the body that must arrive; NULL: any */
    kv_code fail;
    bool unreachable;
} kv_http_fake_step;
/** Answers steps in order; steps are borrowed. Whatever differs is kept as a problem. */
kv_http_transport *kv_http_transport_fake(const kv_http_fake_step *steps, size_t n);
/** NULL when every step was used and met; else a sentence. Ask before the client is freed. */
const char *kv_http_fake_problem(kv_http_transport *t);

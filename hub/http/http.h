#pragma once
/*
 * What a handler sees of HTTP: the request, its body, the response. Blocking calls; sockets,
 * TLS, keep-alive, timeouts, chunks and HEAD are the server's affair (server.h).
 *
 * Lifetime: a request, all it lends (every kv_sv below) and its arena live until the handler has
 * returned. Threads: a request belongs to the thread its handler runs on.
 */
#include "base/str.h"

typedef struct kv_request kv_request;
struct kv_principal; /* who asks; known to the services, not here */

typedef enum kv_method {
    KV_GET = 1, /* also answers HEAD: the server leaves the body out */
    KV_HEAD,
    KV_POST,
    KV_PUT,
    KV_PATCH,
    KV_DELETE,
    KV_OPTIONS,
    KV_METHOD_OTHER,
} kv_method;
const char *kv_method_name(kv_method m); /* "GET" */

/* --- request --- */

/** As it was sent: KV_HEAD for HEAD, also when a GET route serves it. */
kv_method kv_req_method(const kv_request *req);
/** The path, still percent-encoded, without query: "/v2/a/tags/list". */
kv_sv kv_req_path(const kv_request *req);
/** A decoded part of the path captured by the route's pattern; "" when it has none such. */
kv_sv kv_req_part(const kv_request *req, const char *name);
/**
 * Value of a query parameter, decoded ("+" is a blank); false when absent. nth: 0 for the first
 * of several of that name. "?digest" without "=" is present with value "".
 */
bool kv_req_query(const kv_request *req, const char *name, size_t nth, kv_sv *out);
/** A header, white space trimmed, name in any case; several lines are joined by ", ". Absent: "".
 * Names that may not be repeated (Host, Authorization, Content-*, Range) never are: refused 400. */
kv_sv kv_req_header(kv_request *req, const char *name);
/** Host header as sent: "hub.example:8080". */
kv_sv kv_req_host(kv_request *req);
bool kv_req_is_tls(const kv_request *req);
/** The peer's numeric address without port: "127.0.0.1", "2001:db8::1". */
const char *kv_req_peer(const kv_request *req);
/** Names this request in logs and in the X-Request-Id response header. */
const char *kv_req_id(const kv_request *req);
/** Memory that lives as long as the request; NULL when memory is gone. */
kv_arena *kv_req_arena(kv_request *req);

/** Who asks: NULL until the authorisation hook has set it (for anonymous it may stay NULL).
 * log_id goes into the access log. Both are borrowed and must outlive the request (its arena). */
void kv_req_set_principal(kv_request *req, const struct kv_principal *who, kv_sv log_id);
const struct kv_principal *kv_req_principal(const kv_request *req);

/* --- body --- */

#define KV_LENGTH_UNKNOWN UINT64_MAX

/** Content-Length; 0 without a body; KV_LENGTH_UNKNOWN for chunked. */
uint64_t kv_req_length(const kv_request *req);
/**
 * The next bytes of the body, at most 256 KiB; empty at its end. The first call sends
 * "100 Continue" when the client waits for it, so check rights and quota before.
 * Ownership: out points into the connection's buffer, until the next kv_body_read.
 * Errors: KV_E_NETWORK (peer gone), KV_E_TIMEOUT (slower than the minimum rate), KV_E_SYNTAX
 * (broken chunks). What was delivered before is good.
 */
KV_MUST_CHECK kv_code kv_body_read(kv_request *req, kv_sv *out, kv_error *err);
/** The whole body, at most out->max bytes. Errors: as above, KV_E_LIMIT. */
KV_MUST_CHECK kv_code kv_body_read_all(kv_request *req, kv_buf *out, kv_error *err);

/* --- response: kv_respond_add any number of times, then one of the others --- */

/**
 * Adds a header line. Added headers stay for the error answer too (WWW-Authenticate, Location).
 * Not for Content-Type, Content-Length, Connection, Date, Transfer-Encoding: those are ours.
 * A value with control characters makes the response fail as KV_E_INVALID.
 */
void kv_respond_add(kv_request *req, const char *name, kv_sv value);
void kv_respond_addf(kv_request *req, const char *name, const char *fmt, ...) KV_PRINTF(3, 4);

/** Head and body at once. content_type NULL: none. */
KV_MUST_CHECK kv_code kv_respond_bytes(kv_request *req, int status, const char *content_type,
                                       kv_sv body, kv_error *err);
/** The same with application/json. */
KV_MUST_CHECK kv_code kv_respond_json(kv_request *req, int status, kv_sv json, kv_error *err);
/** No body: Content-Length: 0 (none for 204 and 304). */
KV_MUST_CHECK kv_code kv_respond_empty(kv_request *req, int status, kv_error *err);

/**
 * The head of a body that follows by the calls below. length: exact bytes that will follow, or
 * KV_LENGTH_UNKNOWN (chunked). For HEAD the head carries length, the calls below do nothing.
 * Errors of these calls: KV_E_NETWORK, KV_E_TIMEOUT (the peer reads slower than the minimum
 * rate); the connection is then closed, and the handler only returns the code.
 */
KV_MUST_CHECK kv_code kv_respond_head(kv_request *req, int status, const char *content_type,
                                      uint64_t length, kv_error *err);
KV_MUST_CHECK kv_code kv_respond_write(kv_request *req, const void *p, size_t n, kv_error *err);
/** n bytes of a file from off, without copying where the connection allows. */
KV_MUST_CHECK kv_code kv_respond_file(kv_request *req, int fd, uint64_t off, uint64_t n,
                                      kv_error *err);
/** Exactly n bytes at off into dst; for blobs that have no descriptor. */
typedef kv_code kv_read_fn(void *ctx, uint64_t off, void *dst, size_t n, kv_error *err);
KV_MUST_CHECK kv_code kv_respond_reader(kv_request *req, kv_read_fn *read, void *ctx, uint64_t off,
                                        uint64_t n, kv_error *err);
/** A head went out: too late for an error answer. */
bool kv_req_responded(const kv_request *req);

/* --- failing --- */

/**
 * Says what the answer to the failure that the handler is about to return shall be; without it
 * the table in route/error.c decides by the kv_code.
 * code   OCI error code ("MANIFEST_UNKNOWN"), or snake_case under /api/; a literal
 * detail JSON value, or "" (borrowed; the request's arena)
 * Returns rc, so that a handler can `return kv_req_fail_as(req, rc, 404, "BLOB_UNKNOWN", KV_SV(""))`.
 */
kv_code kv_req_fail_as(kv_request *req, kv_code rc, int status, const char *code, kv_sv detail);

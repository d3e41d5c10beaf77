#pragma once
/* Signatures of requests to Amazon's services and those that speak like them. Pure. */
#include "base/str.h"

typedef struct kv_sigv4 { /* borrowed */
    kv_sv access_key, secret_key;
    kv_sv session_token; /* empty: none */
    kv_sv region, service;
} kv_sigv4;

#define KV_SIGV4_UNSIGNED "UNSIGNED-PAYLOAD"
#define KV_SIGV4_HEADERS_MAX 5 /* lines, the NULL at the end included */

/** The header lines that sign one request; owned, clear it. lines is what a kv_http_request takes. */
typedef struct kv_sigv4_headers {
    kv_buf text;
    const char *lines[KV_SIGV4_HEADERS_MAX];
} kv_sigv4_headers;
void kv_sigv4_headers_clear(kv_sigv4_headers *h);
#define kv_auto_sigv4_headers KV_CLEANUP(kv_sigv4_headers_clear) kv_sigv4_headers

/**
 * Signs method and url (absolute; path and query percent-encoded as RFC 3986 says, the query in any
 * order) for the time now_us. payload_hash: hex SHA-256 of the body, or KV_SIGV4_UNSIGNED.
 * Errors: KV_E_INVALID (the URL), KV_E_LIMIT. Source: AWS Signature Version 4, "Create a signed AWS
 * API request", with the rules for S3 (the path is not encoded twice).
 */
KV_MUST_CHECK kv_code kv_sigv4_sign(const kv_sigv4 *key, const char *method, const char *url,
                                    kv_sv payload_hash, int64_t now_us, kv_sigv4_headers *out,
                                    kv_error *err);

#pragma once
/*
 * What the client knows about how servers want to be asked: one header per (origin, scope), made
 * from a challenge and a login. Threads: shared; one lock, held while a token is fetched, so that
 * many transfers that begin at once fetch one token and not one each.
 */
#include "http/http.h"
#include "http/url.h"

typedef struct kv_http_auth kv_http_auth;
kv_http_auth *kv_http_auth_new(kv_http *http, const kv_http_options *options); /* borrowed */
void kv_http_auth_free(kv_http_auth *a);

/**
 * Adds the header "Authorization: ..." to out when one is known or can be had without asking the
 * server first; else leaves it empty. scope may be NULL.
 */
KV_MUST_CHECK kv_code kv_http_auth_attach(kv_http_auth *a, const kv_url_origin *origin,
                                          const char *scope, kv_buf *out, kv_error *err);
/**
 * After a 401: makes the header that answers its challenges, in place of `used` (what was sent,
 * or empty). *out empty: there is nothing better to send, and the 401 is the answer.
 * Errors: KV_E_AUTH (the token server refused), KV_E_DENIED (credentials over plain HTTP).
 */
KV_MUST_CHECK kv_code kv_http_auth_answer(kv_http_auth *a, const kv_url_origin *origin,
                                          const char *scope, const kv_http_response *resp,
                                          kv_sv used, kv_buf *out, kv_error *err);

#pragma once
/* What the handlers of the OCI distribution API share. Source of statuses and codes: OCI
 * distribution-spec 1.1 and main. */
#include "hub/http/http.h"
#include "hub/hub.h"
#include "kitvault/digest.h"

/** The repository named in the path. Errors: 400 NAME_INVALID. */
KV_MUST_CHECK kv_code kv_oci_name(kv_request *req, kv_sv *out, kv_error *err);
/** A digest of the path's part or a query parameter's value. Errors: 400 DIGEST_INVALID. */
KV_MUST_CHECK kv_code kv_oci_digest(kv_request *req, kv_sv text, kv_digest *out, kv_error *err);
/** Answers KV_E_NOTFOUND with 404 and code; other failures as the table says. Returns rc. */
kv_code kv_oci_none(kv_request *req, kv_code rc, const char *code);
/** Warns a client that will not be able to name what it pushes: many cap host, '/' and name at 255
 * bytes. */
void kv_oci_warn_long_name(kv_request *req, kv_sv name);

/** Calls fn with each entity tag of a list, without quotes and "W/", "*" for "*". false stops. */
typedef bool kv_etag_fn(void *ctx, kv_sv tag);
void kv_oci_each_etag(kv_sv header, kv_etag_fn *fn, void *ctx);
/** Whether If-None-Match names the digest, so that 304 is the answer. */
bool kv_oci_not_modified(kv_request *req, const char *digest);
/** Docker-Content-Digest and ETag. */
void kv_oci_add_digest(kv_request *req, const char *digest);

#define KV_PAGE_MAX 10000 /* names in one answer, asked for or not; own */
/** The parameters n and last of a list. Errors: 400 PAGINATION_NUMBER_INVALID. */
KV_MUST_CHECK kv_code kv_oci_page(kv_request *req, size_t when_absent, size_t *out_n,
                                  kv_sv *out_last, kv_error *err);
/** Link: <PATH?QUERYn=N&last=LAST>; rel="next". query: "" or "a=b&", encoded. */
void kv_oci_add_next(kv_request *req, const char *query, size_t n, kv_sv last);

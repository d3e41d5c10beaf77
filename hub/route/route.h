#pragma once
/*
 * The route table: which handler answers which method and path, and what right it takes. The rows
 * are in hub/handler/routes.def; this folder only matches and dispatches.
 *
 * Patterns: "/v2/{name*}/manifests/{ref}". {x} captures one path segment, {x*} one or more (at
 * most one such in a pattern), so what follows it is matched from the right and a repository may
 * be called "a/blobs/uploads". Segments are percent-decoded after splitting. An encoded slash is
 * data in {x} ("team%2Fdemo") and refused in {x*}. The first matching row wins: put the longer
 * literal first.
 */
#include "hub/http/http.h"
#include "hub/hub.h"

/**
 * Answers a request, or returns an error without having answered: then one function makes the
 * answer of it (kv_route_fail; kv_req_fail_as refines it).
 */
typedef kv_code kv_handler_fn(kv_hub *hub, kv_request *req, kv_error *err);

typedef struct kv_route {
    const char *pattern;
    kv_method method; /* KV_GET serves HEAD too unless a KV_HEAD row comes first */
    kv_right right;
    kv_handler_fn *handler;
    const char *summary; /* one line for the API document */
} kv_route;

/**
 * Runs before the handler and before "100 Continue": finds out who asks, sets the principal,
 * and decides on route->right and the captured parts ("name"). KV_E_AUTH answers 401 (add
 * WWW-Authenticate), KV_E_DENIED 403, KV_E_NOTFOUND 404. Also called for KV_RIGHT_NONE, where it
 * may only identify.
 */
typedef kv_code kv_auth_fn(kv_hub *hub, kv_request *req, const kv_route *route, kv_error *err);

typedef struct kv_router kv_router;
/** routes is borrowed. Errors: KV_E_INVALID (a pattern that breaks the rules above). */
KV_MUST_CHECK kv_code kv_router_new(kv_hub *hub, const kv_route *routes, size_t n,
                                    kv_auth_fn *authorize, kv_router **out, kv_error *err);
void kv_router_free(kv_router *r);
KV_DEFINE_AUTO(kv_router, kv_router_free)

/** Matches, authorises, handles, answers failures. Threads: shared. */
void kv_router_serve(const kv_router *r, kv_request *req);
/**
 * Finds the row for method and path, and gives req the captured parts. Pure but for those.
 * Errors: KV_E_NOTFOUND, KV_E_UNSUPPORTED (the path is there, the method is not: 405, Allow was
 * added), KV_E_SYNTAX (broken percent escape, encoded slash or NUL where none may be).
 */
KV_MUST_CHECK kv_code kv_router_find(const kv_router *r, kv_request *req, size_t *out_index,
                                     kv_error *err);
/** Answers with the status and error document of a failure. */
void kv_route_fail(kv_request *req, kv_code rc, const kv_error *err);

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
    kv_method method; /* KV_GET serves HEAD too unless a KV_HEAD row comes first */
    const char *pattern;
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

typedef struct kv_router {
    kv_hub *hub;
    const kv_route *routes;
    size_t n_routes;
    kv_auth_fn *authorize;
} kv_router;

/** Matches, authorises, handles, answers failures. Never leaves a request unanswered. */
void kv_router_serve(kv_router *router, kv_request *req);
/** Index of the row for method and path, and its captures in req; SIZE_MAX and an error: 404, or
 * 405 with Allow. Separate for tests and for the fuzz target. */
size_t kv_route_find(const kv_route *routes, size_t n, kv_request *req, kv_error *err);

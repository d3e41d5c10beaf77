#pragma once
/* Every handler, declared from the route table, and the table itself. */
#include "hub/route/route.h"

#define KV_ROUTE(method, pattern, right, handler, summary)                                         \
    kv_code kv_handle_##handler(kv_hub *hub, kv_request *req, kv_error *err);
#include "hub/handler/routes.def"
#undef KV_ROUTE

extern const kv_route KV_ROUTES[];
extern const size_t KV_N_ROUTES;

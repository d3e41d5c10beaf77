#include "hub/handler/handlers.h"

#define KV_ROUTE(m, path, r, name, text)                                                           \
    {.method = (m),                                                                                \
     .pattern = (path),                                                                            \
     .right = (r),                                                                                 \
     .handler = kv_handle_##name,                                                                  \
     .summary = (text)},
const kv_route KV_ROUTES[] = {
#include "hub/handler/routes.def"
};
#undef KV_ROUTE
const size_t KV_N_ROUTES = KV_COUNT(KV_ROUTES);

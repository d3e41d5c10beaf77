#include "hub/handler/auth.h"

#include "hub/config.h"

kv_code kv_authorize(kv_hub *hub, kv_request *req, const kv_route *route, kv_error *err)
{
    (void)req;
    if (route->right == KV_RIGHT_NONE || hub->config->no_auth) return KV_OK;
    return kv_fail(err, KV_E_AUTH, "authentication required");
}

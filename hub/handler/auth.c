#include "hub/handler/auth.h"

#include "hub/config.h"
#include "hub/service/principal.h"

kv_code kv_authorize(kv_hub *hub, kv_request *req, const kv_route *route, kv_error *err)
{
    static const kv_principal ANYBODY = {
        .type = "anonymous", .authn = "none", .everything = true, .adapter = "oci"};
    if (hub->config->no_auth) kv_req_set_principal(req, &ANYBODY, KV_SV("anonymous"));
    if (route->right == KV_RIGHT_NONE || hub->config->no_auth) return KV_OK;
    return kv_fail(err, KV_E_AUTH, "authentication required");
}

/* For those who run the hub: is it alive, can it serve, what does it do. */
#include "hub/handler/handlers.h"
#include "hub/metrics.h"

kv_code kv_handle_healthz(kv_hub *hub, kv_request *req, kv_error *err)
{
    (void)hub;
    return kv_respond_bytes(req, 200, "text/plain", KV_SV("ok\n"), err);
}

kv_code kv_handle_readyz(kv_hub *hub, kv_request *req, kv_error *err)
{
    if (kv_hub_check(hub, err) != KV_OK)
        return kv_req_fail_as(req, KV_E_BUSY, 503, "UNAVAILABLE", KV_SV(""));
    return kv_respond_bytes(req, 200, "text/plain", KV_SV("ready\n"), err);
}

kv_code kv_handle_metrics(kv_hub *hub, kv_request *req, kv_error *err)
{
    kv_auto_buf page = KV_BUF(4u << 20);
    kv_metrics_format(hub->metrics, &page);
    KV_TRY(kv_buf_check(&page, err));
    return kv_respond_bytes(req, 200, "text/plain; version=0.0.4", kv_buf_sv(&page), err);
}

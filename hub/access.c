#include "hub/access.h"

#include <stdatomic.h>

#include "hub/http/server.h"
#include "hub/log.h"
#include "hub/metrics.h"

static atomic_bool wanted = true;

void kv_access_set_log(bool log_requests)
{
    wanted = log_requests;
}

/* No query and no headers but the agent: those may hold what nobody else may read. */
static void log_request(kv_request *req, uint64_t us)
{
    kv_log_line line;
    kv_log_begin(&line, KV_INFO, "request");
    kv_jout *j = &line.json;
    kv_jout_kstr(j, "request", kv_sv_of(kv_req_id(req)));
    kv_jout_kstr(j, "peer", kv_sv_of(kv_req_peer(req)));
    kv_jout_kstr(j, "method", kv_sv_of(kv_method_name(kv_req_method(req))));
    kv_jout_kstr(j, "path", kv_req_path(req));
    kv_jout_ku64(j, "status", (uint64_t)kv_req_status(req));
    kv_req_failure f = kv_req_get_failure(req);
    if (f.status) kv_jout_kstr(j, "error", kv_sv_of(f.code));
    kv_sv who = kv_req_log_id(req), agent = kv_req_header(req, "user-agent");
    if (who.n) kv_jout_kstr(j, "principal", who);
    if (agent.n) kv_jout_kstr(j, "agent", agent);
    kv_jout_ku64(j, "in", kv_req_bytes_in(req));
    kv_jout_ku64(j, "out", kv_req_bytes_out(req));
    kv_jout_ku64(j, "us", us);
    kv_log_end(&line);
}

void kv_access_done(kv_hub *hub, kv_request *req)
{
    uint64_t us = kv_req_elapsed_us(req);
    kv_metrics_count(hub->metrics, kv_req_route(req), kv_req_status(req), us, kv_req_bytes_in(req),
                     kv_req_bytes_out(req));
    if (wanted && kv_log_wants(KV_INFO)) log_request(req, us);
}

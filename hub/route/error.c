/* The one place where a failure becomes a status and an error document. */
#include "hub/http/server.h"
#include "hub/log.h"
#include "hub/route/route.h"
#include "json/json.h"

/* Codes of the OCI list where it has one; the others are ours (oci-registry, section 2.1). */
static const struct mapping {
    kv_code rc;
    int status;
    const char *oci, *api;
} MAP[] = {
    {KV_E_ARG, 400, "BAD_REQUEST", "invalid"},
    {KV_E_NOMEM, 503, "UNAVAILABLE", "overloaded"},
    {KV_E_CANCELLED, 503, "UNAVAILABLE", "stopping"},
    {KV_E_NOTFOUND, 404, "NOT_FOUND", "not_found"},
    {KV_E_EXISTS, 409, "CONFLICT", "conflict"},
    {KV_E_BUSY, 409, "CONFLICT", "conflict"},
    {KV_E_NOSPACE, 507, "UNKNOWN", "no_space"},
    {KV_E_LIMIT, 413, "SIZE_INVALID", "too_large"},
    {KV_E_SYNTAX, 400, "BAD_REQUEST", "invalid"},
    {KV_E_INVALID, 400, "BAD_REQUEST", "invalid"},
    {KV_E_DIGEST, 400, "DIGEST_INVALID", "digest_invalid"},
    {KV_E_RANGE, 416, "RANGE_INVALID", "range_invalid"},
    {KV_E_NETWORK, 400, "SIZE_INVALID", "incomplete"}, /* the peer broke off inside its body */
    {KV_E_TIMEOUT, 408, "TIMEOUT", "timeout"},
    {KV_E_AUTH, 401, "UNAUTHORIZED", "unauthorized"},
    {KV_E_DENIED, 403, "DENIED", "forbidden"},
    {KV_E_PROTOCOL, 502, "UNKNOWN", "bad_gateway"},
    {KV_E_UNSUPPORTED, 405, "UNSUPPORTED", "unsupported"},
};
static const struct mapping OTHERS = {KV_OK, 500, "UNKNOWN", "internal"};

static const struct mapping *map(kv_code rc)
{
    for (size_t i = 0; i < KV_COUNT(MAP); i++)
        if (MAP[i].rc == rc) return &MAP[i];
    return &OTHERS;
}

static void add_fields(kv_jout *j, const kv_req_failure *f, const char *message)
{
    kv_jout_kstr(j, "code", kv_sv_of(f->code));
    kv_jout_kstr(j, "message", kv_sv_of(message));
    if (!f->detail.n) return;
    kv_jout_key(j, KV_SV("detail"));
    kv_jout_raw(j, f->detail);
}

/* OCI: {"errors":[{code,message,detail}]}; under /api/: {"error":{...,request_id}}. */
static void make_document(kv_buf *out, kv_request *req, const kv_req_failure *f, bool api,
                          const char *message)
{
    kv_jout j = kv_jout_make(out, KV_JSON_GO, 0);
    kv_jout_obj(&j);
    kv_jout_key(&j, api ? KV_SV("error") : KV_SV("errors"));
    if (!api) kv_jout_arr(&j);
    kv_jout_obj(&j);
    add_fields(&j, f, message);
    if (api) kv_jout_kstr(&j, "request_id", kv_sv_of(kv_req_id(req)));
    kv_jout_end_obj(&j);
    if (!api) kv_jout_end_arr(&j);
    kv_jout_end_obj(&j);
    kv_buf_addc(out, '\n');
}

void kv_route_fail(kv_request *req, kv_code rc, const kv_error *err)
{
    bool api = kv_sv_starts(kv_req_path(req), KV_SV("/api/"));
    kv_req_failure f = kv_req_get_failure(req);
    if (!f.status) {
        const struct mapping *m = map(rc);
        f = (kv_req_failure){.status = m->status, .code = api ? m->api : m->oci};
        (void)kv_req_fail_as(req, rc, f.status, f.code, KV_SV(""));
    }
    /* What goes wrong inside names files and tables: that is for the log, not for the caller. */
    bool inside = f.status >= 500;
    if (inside) kv_log_request(KV_ERROR, kv_req_id(req), "%s", err->msg);
    if (kv_req_responded(req)) {
        kv_req_cut(req);
        return;
    }
    if (f.status == 503) kv_respond_add(req, "Retry-After", KV_SV("1"));
    kv_auto_buf body = KV_BUF(64u << 10);
    make_document(&body, req, &f, api,
                  inside ? "the hub could not do this; its log has the reason under this request id"
                         : err->msg);
    if (body.failed || kv_respond_json(req, f.status, kv_buf_sv(&body), NULL) != KV_OK)
        kv_req_cut(req);
}

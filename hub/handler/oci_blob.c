/* Blobs: GET, HEAD, DELETE. */
#include "http/range.h"
#include "hub/handler/handlers.h"
#include "hub/handler/oci.h"
#include "hub/service/repo_blob.h"

/* The range to send. A condition that is not this very digest means the whole. */
static kv_range_kind find_range(kv_request *req, const char *digest, uint64_t size, uint64_t *off,
                                uint64_t *n)
{
    *off = 0;
    *n = size;
    kv_sv range = kv_req_header(req, "Range"), cond = kv_req_header(req, "If-Range");
    if (!range.n || kv_req_method(req) == KV_HEAD) return KV_RANGE_WHOLE;
    if (cond.n >= 2 && cond.p[0] == '"') cond = kv_sv_sub(cond, 1, cond.n - 1);
    if (cond.n && !kv_sv_is(cond, digest)) return KV_RANGE_WHOLE;
    return kv_range_parse(range, size, off, n);
}

static kv_code read_part(void *ctx, uint64_t off, void *dst, size_t n, kv_error *err)
{
    return kv_blob_read(ctx, off, dst, n, err);
}

static kv_code send_part(kv_request *req, kv_blob_reader *r, uint64_t off, uint64_t n,
                         kv_error *err)
{
    if (kv_blob_fd(r) >= 0) return kv_respond_file(req, kv_blob_fd(r), off, n, err);
    return kv_respond_reader(req, read_part, r, off, n, err);
}

static kv_code send_blob(kv_request *req, const char *digest, kv_blob_reader *r, kv_error *err)
{
    uint64_t size = kv_blob_size(r), off, n;
    kv_range_kind kind = find_range(req, digest, size, &off, &n);
    if (kind == KV_RANGE_NOWHERE) {
        kv_respond_addf(req, "Content-Range", "bytes */%llu", (unsigned long long)size);
        return kv_fail(err, KV_E_RANGE, "the blob has %llu bytes", (unsigned long long)size);
    }
    kv_oci_add_digest(req, digest);
    kv_respond_add(req, "Accept-Ranges", KV_SV("bytes"));
    kv_respond_add(req, "Cache-Control", KV_SV("private, max-age=31536000, no-transform"));
    if (kv_oci_not_modified(req, digest)) return kv_respond_empty(req, 304, err);
    if (kind == KV_RANGE_PART)
        kv_respond_addf(req, "Content-Range", "bytes %llu-%llu/%llu", (unsigned long long)off,
                        (unsigned long long)(off + n - 1), (unsigned long long)size);
    KV_TRY(kv_respond_head(req, kind == KV_RANGE_PART ? 206 : 200, "application/octet-stream", n,
                           err));
    return send_part(req, r, off, n, err);
}

kv_code kv_handle_oci_blob_get(kv_hub *hub, kv_request *req, kv_error *err)
{
    kv_sv name;
    kv_digest d;
    kv_auto(kv_blob_reader) r = NULL;
    KV_TRY(kv_oci_name(req, &name, err));
    KV_TRY(kv_oci_digest(req, kv_req_part(req, "digest"), &d, err));
    kv_code rc = kv_repo_blob_open(hub->registry, name, &d, &r, err);
    if (rc != KV_OK) return kv_oci_none(req, rc, "BLOB_UNKNOWN");
    return send_blob(req, kv_digest_str(&d).s, r, err);
}

kv_code kv_handle_oci_blob_delete(kv_hub *hub, kv_request *req, kv_error *err)
{
    kv_sv name;
    kv_digest d;
    KV_TRY(kv_oci_name(req, &name, err));
    /* The specification has no 400 here: what cannot be a digest is not there. */
    kv_code rc = kv_digest_parse(kv_req_part(req, "digest"), &d, err);
    if (rc != KV_OK) return kv_req_fail_as(req, rc, 404, "BLOB_UNKNOWN", KV_SV(""));
    rc = kv_repo_blob_drop(hub->registry, kv_req_principal(req), name, &d, err);
    if (rc != KV_OK) return kv_oci_none(req, rc, "BLOB_UNKNOWN");
    return kv_respond_empty(req, 202, err);
}

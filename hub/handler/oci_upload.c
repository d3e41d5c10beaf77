/* Uploads: POST, PATCH, PUT, GET, DELETE. The state machine is in oci-registry, section 4. */
#include <string.h>

#include "http/range.h"
#include "hub/handler/handlers.h"
#include "hub/handler/oci.h"
#include "hub/service/repo_blob.h"
#include "hub/service/upload.h"

enum { WORTH_RESERVING = 1 << 20 }; /* bytes; below, it costs more than it gives */

static void add_state(kv_request *req, kv_sv name, const char *id, uint64_t offset)
{
    kv_respond_addf(req, "Location", "/v2/%.*s/blobs/uploads/%s", KV_ARG(name), id);
    /* "0-0" also says that nothing came yet: clients expect the form. */
    kv_respond_addf(req, "Range", "0-%llu", (unsigned long long)(offset ? offset - 1 : 0));
    kv_respond_add(req, "Docker-Upload-UUID", kv_sv_of(id));
}

static kv_code respond_stored(kv_request *req, kv_sv name, const kv_digest *d, kv_error *err)
{
    kv_digest_text text = kv_digest_str(d);
    kv_respond_addf(req, "Location", "/v2/%.*s/blobs/%s", KV_ARG(name), text.s);
    kv_respond_add(req, "Docker-Content-Digest", kv_sv_of(text.s));
    return kv_respond_empty(req, 201, err);
}

static kv_code fail_upload(kv_request *req, kv_code rc)
{
    if (rc == KV_E_BUSY) return kv_req_fail_as(req, rc, 409, "BLOB_UPLOAD_INVALID", KV_SV(""));
    return kv_oci_none(req, rc, "BLOB_UPLOAD_UNKNOWN");
}

/* --- bodies --- */

/* Appends the body, at most most bytes of it. Reading and writing fail in different ways: what
 * arrived before the peer went away is kept. */
static kv_code append_body(kv_request *req, kv_upload *u, uint64_t most, kv_error *err)
{
    uint64_t length = kv_req_length(req);
    if (length != KV_LENGTH_UNKNOWN && length >= WORTH_RESERVING)
        KV_TRY(kv_upload_expect(u, length, err));
    for (;;) {
        kv_sv part;
        KV_TRY(kv_body_read(req, &part, err));
        if (!part.n) return KV_OK;
        if (part.n > most) {
            kv_code rc = kv_fail(err, KV_E_INVALID, "the body is longer than its Content-Range");
            return kv_req_fail_as(req, rc, 400, "SIZE_INVALID", KV_SV(""));
        }
        most -= part.n;
        KV_TRY(kv_upload_append(u, part.p, part.n, err));
    }
}

/* Checks Content-Range, when there is one, against the upload and the length of the body.
 * out_most: how many bytes may follow. */
static kv_code check_range(kv_request *req, kv_sv name, const kv_upload *u, uint64_t *out_most,
                           kv_error *err)
{
    kv_sv text = kv_req_header(req, "Content-Range");
    *out_most = UINT64_MAX;
    if (!text.n) return KV_OK;
    kv_content_range range;
    kv_code rc = kv_content_range_parse(text, &range, err);
    if (rc != KV_OK) return kv_req_fail_as(req, rc, 400, "BLOB_UPLOAD_INVALID", KV_SV(""));
    uint64_t offset = kv_upload_offset(u), length = kv_req_length(req);
    if (range.first != offset) {
        add_state(req, name, kv_upload_id(u), offset);
        rc = kv_fail(err, KV_E_RANGE, "the next byte is %llu, not %llu", (unsigned long long)offset,
                     (unsigned long long)range.first);
        return kv_req_fail_as(req, rc, 416, "BLOB_UPLOAD_INVALID", KV_SV(""));
    }
    *out_most = range.last - range.first + 1;
    if (length == KV_LENGTH_UNKNOWN || length == *out_most) return KV_OK;
    rc = kv_fail(err, KV_E_INVALID, "Content-Range has %llu bytes, Content-Length %llu",
                 (unsigned long long)*out_most, (unsigned long long)length);
    return kv_req_fail_as(req, rc, 400, "SIZE_INVALID", KV_SV(""));
}

static kv_code open_upload(kv_hub *hub, kv_request *req, kv_sv name, kv_upload **out, kv_error *err)
{
    kv_code rc = kv_upload_open(hub->registry, kv_req_principal(req), name, kv_req_part(req, "id"),
                                out, err);
    return rc == KV_OK ? rc : fail_upload(req, rc);
}

/* --- POST --- */

static kv_code start(kv_hub *hub, kv_request *req, kv_sv name, kv_digest_alg alg,
                     kv_upload_state *out, kv_error *err)
{
    kv_code rc = kv_upload_start(hub->registry, kv_req_principal(req), name, alg, out, err);
    if (rc != KV_E_LIMIT) return rc;
    kv_respond_add(req, "Retry-After", KV_SV("60"));
    return kv_req_fail_as(req, rc, 429, "TOOMANYREQUESTS", KV_SV(""));
}

static kv_code receive_whole(kv_hub *hub, kv_request *req, kv_sv name, const kv_digest *d,
                             kv_error *err)
{
    const kv_principal *who = kv_req_principal(req);
    kv_upload_state s;
    kv_upload *u = NULL;
    KV_TRY(start(hub, req, name, d->alg, &s, err));
    KV_TRY(kv_upload_open(hub->registry, who, name, kv_sv_of(s.id), &u, err));
    kv_code rc = append_body(req, u, UINT64_MAX, err);
    if (rc != KV_OK) {
        kv_upload_abort(u); /* nobody was told its location */
        return rc;
    }
    KV_TRY(kv_upload_finish(u, who, d, err));
    return respond_stored(req, name, d, err);
}

static kv_code respond_started(kv_hub *hub, kv_request *req, kv_sv name, kv_error *err)
{
    kv_sv text;
    kv_digest_alg alg = KV_SHA256;
    if (kv_req_query(req, "digest-algorithm", 0, &text) && !kv_sv_is(text, "sha256")) {
        if (!kv_sv_is(text, "sha512")) {
            kv_code rc = kv_fail(err, KV_E_UNSUPPORTED, "digest algorithm '%.*s' is not supported",
                                 KV_ARG(kv_sv_sub(text, 0, 100)));
            return kv_req_fail_as(req, rc, 400, "DIGEST_INVALID", KV_SV(""));
        }
        alg = KV_SHA512;
    }
    kv_upload_state s;
    KV_TRY(start(hub, req, name, alg, &s, err));
    add_state(req, name, s.id, 0);
    return kv_respond_empty(req, 202, err);
}

static kv_code try_mount(kv_hub *hub, kv_request *req, kv_sv name, bool *out_done, kv_error *err)
{
    kv_sv text, from = KV_SV("");
    kv_digest d;
    *out_done = false;
    if (!kv_req_query(req, "mount", 0, &text)) return KV_OK;
    KV_TRY(kv_oci_digest(req, text, &d, err));
    (void)kv_req_query(req, "from", 0, &from);
    KV_TRY(kv_repo_blob_mount(hub->registry, kv_req_principal(req), name, &d, from, out_done, err));
    return *out_done ? respond_stored(req, name, &d, err) : KV_OK;
}

/* Old tools POST a digest without the bytes that have it: that only starts an upload. */
static bool body_follows(const kv_request *req, const kv_digest *d)
{
    if (kv_req_length(req) != 0) return true;
    kv_digest empty = kv_digest_of(d->alg, KV_SV(""));
    return kv_digest_eq(d, &empty);
}

kv_code kv_handle_oci_upload_post(kv_hub *hub, kv_request *req, kv_error *err)
{
    kv_sv name, text;
    kv_digest d;
    bool mounted;
    KV_TRY(kv_oci_name(req, &name, err));
    kv_oci_warn_long_name(req, name);
    KV_TRY(try_mount(hub, req, name, &mounted, err));
    if (mounted) return KV_OK;
    if (!kv_req_query(req, "digest", 0, &text)) return respond_started(hub, req, name, err);
    KV_TRY(kv_oci_digest(req, text, &d, err));
    if (!body_follows(req, &d)) return respond_started(hub, req, name, err);
    return receive_whole(hub, req, name, &d, err);
}

/* --- PATCH, PUT --- */

kv_code kv_handle_oci_upload_patch(kv_hub *hub, kv_request *req, kv_error *err)
{
    kv_sv name;
    uint64_t most;
    kv_auto(kv_upload) u = NULL;
    KV_TRY(kv_oci_name(req, &name, err));
    KV_TRY(open_upload(hub, req, name, &u, err));
    KV_TRY(check_range(req, name, u, &most, err));
    KV_TRY(append_body(req, u, most, err));
    char id[KV_UUID_MAX];
    memcpy(id, kv_upload_id(u), sizeof(id));
    uint64_t offset = kv_upload_offset(u);
    KV_TRY(kv_upload_keep(KV_TAKE(u), err));
    add_state(req, name, id, offset);
    return kv_respond_empty(req, 202, err);
}

kv_code kv_handle_oci_upload_put(kv_hub *hub, kv_request *req, kv_error *err)
{
    kv_sv name, text = KV_SV("");
    kv_digest d;
    uint64_t most;
    kv_auto(kv_upload) u = NULL;
    KV_TRY(kv_oci_name(req, &name, err));
    (void)kv_req_query(req, "digest", 0, &text);
    KV_TRY(kv_oci_digest(req, text, &d, err));
    KV_TRY(open_upload(hub, req, name, &u, err));
    KV_TRY(check_range(req, name, u, &most, err));
    KV_TRY(append_body(req, u, most, err));
    KV_TRY(kv_upload_finish(KV_TAKE(u), kv_req_principal(req), &d, err));
    return respond_stored(req, name, &d, err);
}

/* --- GET, DELETE --- */

kv_code kv_handle_oci_upload_get(kv_hub *hub, kv_request *req, kv_error *err)
{
    kv_sv name;
    kv_upload_state s;
    KV_TRY(kv_oci_name(req, &name, err));
    kv_code rc = kv_upload_ask(hub->registry, kv_req_principal(req), name, kv_req_part(req, "id"),
                               &s, err);
    if (rc != KV_OK) return fail_upload(req, rc);
    add_state(req, name, s.id, s.offset);
    return kv_respond_empty(req, 204, err);
}

kv_code kv_handle_oci_upload_delete(kv_hub *hub, kv_request *req, kv_error *err)
{
    kv_sv name, id = kv_req_part(req, "id");
    KV_TRY(kv_oci_name(req, &name, err));
    kv_code rc = kv_upload_cancel(hub->registry, kv_req_principal(req), name, id, err);
    if (rc != KV_OK) return fail_upload(req, rc);
    kv_respond_add(req, "Docker-Upload-UUID", id);
    return kv_respond_empty(req, 204, err);
}

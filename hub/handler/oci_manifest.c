/* Manifests: GET, HEAD, PUT, DELETE. */
#include <string.h>

#include "hub/handler/handlers.h"
#include "hub/handler/oci.h"
#include "hub/service/repo_manifest.h"
#include "kitvault/reference.h"
#include "json/json.h"

enum {
    TAG_PARAMS_MAX = 64, /* own; the specification asks for at least 10 */
    ETAGS_MAX = 16,
    COPIES = 3 /* of a manifest in memory while it is pushed: body, parsed copy, tree */
};

static kv_code find_ref(kv_request *req, kv_sv *out_name, kv_ref *out, kv_error *err)
{
    KV_TRY(kv_oci_name(req, out_name, err));
    kv_code rc = kv_ref_parse(kv_req_part(req, "ref"), out, err);
    if (rc == KV_OK) return rc;
    return kv_req_fail_as(req, rc, 400, rc == KV_E_INVALID ? "MANIFEST_INVALID" : "DIGEST_INVALID",
                          KV_SV(""));
}

/* --- GET --- */

static kv_code send_bytes(kv_hub *hub, kv_request *req, const kv_version_found *v, kv_error *err)
{
    if (kv_req_method(req) == KV_HEAD) /* the bytes need not be fetched for it */
        return kv_respond_head(req, 200, v->media_type, v->size, err);
    kv_auto(kv_bytes) bytes = NULL;
    kv_auto(kv_blob_reader) r = NULL;
    KV_TRY(kv_manifest_open(hub->registry, v, &bytes, &r, err));
    if (bytes) return kv_respond_bytes(req, 200, v->media_type, kv_bytes_sv(bytes), err);
    KV_TRY(kv_respond_head(req, 200, v->media_type, kv_blob_size(r), err));
    if (kv_blob_fd(r) >= 0) return kv_respond_file(req, kv_blob_fd(r), 0, kv_blob_size(r), err);
    return kv_fail(err, KV_E_UNSUPPORTED, "this store cannot send a manifest of that size");
}

kv_code kv_handle_oci_manifest_get(kv_hub *hub, kv_request *req, kv_error *err)
{
    kv_sv name;
    kv_ref ref;
    kv_version_found v;
    KV_TRY(find_ref(req, &name, &ref, err));
    kv_code rc = kv_manifest_find(hub->registry, name, &ref, &v, err);
    if (rc != KV_OK) return kv_oci_none(req, rc, "MANIFEST_UNKNOWN");
    kv_oci_add_digest(req, v.digest);
    kv_respond_add(req, "Cache-Control",
                   ref.digest.alg ? KV_SV("private, max-age=31536000, no-transform")
                                  : KV_SV("no-cache"));
    if (kv_oci_not_modified(req, v.digest)) return kv_respond_empty(req, 304, err);
    if (kv_req_method(req) == KV_GET)
        kv_manifest_pulled(hub->registry, kv_req_principal(req), name, &v);
    return send_bytes(hub, req, &v, err);
}

/* --- conditions --- */

typedef struct conditions {
    kv_condition c;
    kv_sv is[ETAGS_MAX];
} conditions;

static bool add_match(void *ctx, kv_sv tag)
{
    conditions *all = ctx;
    if (kv_sv_is(tag, "*"))
        all->c.present = true;
    else if (all->c.n_is < ETAGS_MAX)
        all->is[all->c.n_is++] = tag;
    return true;
}

static bool add_none_match(void *ctx, kv_sv tag)
{
    conditions *all = ctx;
    if (kv_sv_is(tag, "*")) all->c.absent = true;
    return true;
}

static void read_conditions(kv_request *req, conditions *out)
{
    *out = (conditions){0};
    kv_oci_each_etag(kv_req_header(req, "If-Match"), add_match, out);
    kv_oci_each_etag(kv_req_header(req, "If-None-Match"), add_none_match, out);
    out->c.is = out->is;
}

/* --- PUT --- */

static kv_code fail_tag(kv_request *req, kv_code rc)
{
    return kv_req_fail_as(req, rc, 400, "MANIFEST_INVALID", KV_SV(""));
}

/* The tags to set: the one in the path, or those of the parameters behind a digest. */
static kv_code find_tags(kv_request *req, const kv_ref *ref, kv_sv *tags, size_t *out_n,
                         kv_error *err)
{
    size_t n = 0;
    kv_sv tag;
    if (!ref->digest.alg) tags[n++] = ref->tag;
    for (size_t i = 0; kv_req_query(req, "tag", i, &tag); i++) {
        bool known = false;
        if (!ref->digest.alg)
            return fail_tag(req, kv_fail(err, KV_E_INVALID, "tag= goes with a digest, not a tag"));
        if (!kv_tag_name_valid(tag))
            return fail_tag(req, kv_fail(err, KV_E_INVALID, "'%.*s' is not a tag",
                                         KV_ARG(kv_sv_sub(tag, 0, 160))));
        for (size_t k = 0; k < n; k++) known = known || kv_sv_eq(tags[k], tag);
        if (known) continue;
        if (n == TAG_PARAMS_MAX) {
            kv_code rc = kv_fail(err, KV_E_LIMIT, "more than %d tags at once", TAG_PARAMS_MAX);
            return kv_req_fail_as(req, rc, 414, "TAG_INVALID", KV_SV(""));
        }
        tags[n++] = tag;
    }
    *out_n = n;
    return KV_OK;
}

static kv_code respond_missing(kv_request *req, const kv_pushed *p, const char *message,
                               kv_error *err)
{
    kv_auto_buf body = KV_BUF(64u << 20);
    kv_jout j = kv_jout_make(&body, KV_JSON_GO, 0);
    kv_jout_obj(&j);
    kv_jout_key(&j, KV_SV("errors"));
    kv_jout_arr(&j);
    for (size_t i = 0; i < p->n_missing; i++) {
        kv_jout_obj(&j);
        kv_jout_kstr(&j, "code", KV_SV("MANIFEST_BLOB_UNKNOWN"));
        kv_jout_kstr(&j, "message", kv_sv_of(message));
        kv_jout_kstr(&j, "detail", kv_sv_of(kv_digest_str(&p->missing[i]).s));
        kv_jout_end_obj(&j);
    }
    kv_jout_end_arr(&j);
    kv_jout_end_obj(&j);
    KV_TRY(kv_buf_check(&body, err));
    return kv_respond_json(req, 400, kv_buf_sv(&body), err);
}

static kv_code fail_push(kv_request *req, kv_code rc, const kv_pushed *p, kv_error *err)
{
    if (rc == KV_E_NOTFOUND) {
        kv_error why = *err;
        return respond_missing(req, p, why.msg, err);
    }
    if (rc == KV_E_SYNTAX || rc == KV_E_INVALID || rc == KV_E_UNSUPPORTED || rc == KV_E_LIMIT)
        return kv_req_fail_as(req, rc, 400, "MANIFEST_INVALID", KV_SV(""));
    if (rc == KV_E_EXISTS) return kv_req_fail_as(req, rc, 412, "DENIED", KV_SV(""));
    return rc;
}

static void add_tags(kv_request *req, const kv_push *p)
{
    kv_auto_buf list = KV_BUF(TAG_PARAMS_MAX * 130u);
    for (size_t i = 0; i < p->n_tags; i++) {
        if (i) kv_buf_adds(&list, ", ");
        kv_buf_add(&list, p->tags[i]);
    }
    if (!list.failed && list.n) kv_respond_add(req, "OCI-Tag", kv_buf_sv(&list));
}

static kv_code respond_pushed(kv_request *req, const kv_push *p, const kv_pushed *done,
                              kv_error *err)
{
    kv_digest_text text = kv_digest_str(&done->digest);
    kv_oci_warn_long_name(req, p->repository);
    kv_respond_addf(req, "Location", "/v2/%.*s/manifests/%s", KV_ARG(p->repository), text.s);
    kv_respond_add(req, "Docker-Content-Digest", kv_sv_of(text.s));
    if (done->subject.alg)
        kv_respond_add(req, "OCI-Subject", kv_sv_of(kv_digest_str(&done->subject).s));
    if (p->digest.alg) add_tags(req, p);
    return kv_respond_empty(req, 201, err);
}

static kv_code read_and_push(kv_hub *hub, kv_request *req, kv_push *p, kv_error *err)
{
    kv_auto_buf body = KV_BUF(KV_MANIFEST_BYTES_MAX);
    KV_TRY(kv_body_read_all(req, &body, err));
    kv_auto(kv_arena) arena = kv_arena_new(64u << 20);
    if (!arena) return kv_fail(err, KV_E_NOMEM, "out of memory");
    p->bytes = &body;
    kv_pushed done;
    kv_code rc = kv_manifest_push(hub->registry, kv_req_principal(req), p, arena, &done, err);
    p->bytes = NULL; /* what follows outlives body */
    if (rc != KV_OK) return fail_push(req, rc, &done, err);
    return respond_pushed(req, p, &done, err);
}

kv_code kv_handle_oci_manifest_put(kv_hub *hub, kv_request *req, kv_error *err)
{
    kv_ref ref;
    kv_sv tags[TAG_PARAMS_MAX];
    conditions cond;
    kv_push p = {.tags = tags, .content_type = kv_req_header(req, "Content-Type")};
    KV_TRY(find_ref(req, &p.repository, &ref, err));
    KV_TRY(find_tags(req, &ref, tags, &p.n_tags, err));
    read_conditions(req, &cond);
    p.digest = ref.digest;
    p.if_tag = cond.c;

    uint64_t length = kv_req_length(req);
    if (length != KV_LENGTH_UNKNOWN && length > KV_MANIFEST_BYTES_MAX)
        return kv_fail(err, KV_E_LIMIT, "a manifest may have %u bytes", KV_MANIFEST_BYTES_MAX);
    size_t need = length < KV_REGISTRY_SMALL    ? 0
                  : length == KV_LENGTH_UNKNOWN ? KV_REGISTRY_MEMORY
                                                : (size_t)length * COPIES;
    need = kv_gate_take(hub->registry->memory, need);
    kv_code rc = read_and_push(hub, req, &p, err);
    kv_gate_give(hub->registry->memory, need);
    return rc;
}

/* --- DELETE --- */

kv_code kv_handle_oci_manifest_delete(kv_hub *hub, kv_request *req, kv_error *err)
{
    kv_sv name;
    kv_ref ref;
    conditions cond;
    KV_TRY(find_ref(req, &name, &ref, err));
    read_conditions(req, &cond);
    kv_code rc = kv_manifest_delete(hub->registry, kv_req_principal(req), name, &ref, &cond.c, err);
    if (rc == KV_E_EXISTS) return kv_req_fail_as(req, rc, 412, "DENIED", KV_SV(""));
    if (rc != KV_OK) return kv_oci_none(req, rc, "MANIFEST_UNKNOWN");
    return kv_respond_empty(req, 202, err);
}

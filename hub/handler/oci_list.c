/* Lists: tags of a repository, repositories, referrers of a manifest; and the small endpoints that
 * say what this registry is. */
#include "codec/text.h"
#include "hub/handler/handlers.h"
#include "hub/handler/oci.h"
#include "hub/service/referrer.h"
#include "hub/service/registry.h"
#include "json/json.h"

enum {
    NAMES_MEMORY = 8 << 20, /* KV_PAGE_MAX names of 255 bytes, and their list */
    CATALOG_DEFAULT = 1000, /* repositories when n is absent; own */
};

kv_code kv_handle_oci_ping(kv_hub *hub, kv_request *req, kv_error *err)
{
    (void)hub;
    return kv_respond_json(req, 200, KV_SV("{}"), err);
}

kv_code kv_handle_oci_extensions(kv_hub *hub, kv_request *req, kv_error *err)
{
    (void)hub;
    return kv_respond_json(req, 200, KV_SV("{\"extensions\":[]}"), err);
}

static kv_code respond_names(kv_request *req, kv_sv name, const char *key, const kv_names *names,
                             kv_error *err)
{
    kv_auto_buf body = KV_BUF(NAMES_MEMORY);
    kv_jout j = kv_jout_make(&body, KV_JSON_GO, 0);
    kv_jout_obj(&j);
    if (name.n) kv_jout_kstr(&j, "name", name);
    kv_jout_key(&j, kv_sv_of(key));
    kv_jout_arr(&j);
    for (size_t i = 0; i < names->n; i++) kv_jout_str(&j, names->items[i]);
    kv_jout_end_arr(&j);
    kv_jout_end_obj(&j);
    KV_TRY(kv_buf_check(&body, err));
    return kv_respond_json(req, 200, kv_buf_sv(&body), err);
}

kv_code kv_handle_oci_tags(kv_hub *hub, kv_request *req, kv_error *err)
{
    kv_sv name, last;
    size_t n;
    kv_names names;
    KV_TRY(kv_oci_name(req, &name, err));
    KV_TRY(kv_oci_page(req, KV_PAGE_MAX, &n, &last, err));
    kv_auto(kv_arena) arena = kv_arena_new(NAMES_MEMORY);
    if (!arena) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_code rc = kv_tag_list(hub->registry, name, last, n, arena, &names, err);
    if (rc != KV_OK) return kv_oci_none(req, rc, "NAME_UNKNOWN");
    if (names.more && names.n) kv_oci_add_next(req, "", n, names.items[names.n - 1]);
    return respond_names(req, name, "tags", &names, err);
}

kv_code kv_handle_oci_catalog(kv_hub *hub, kv_request *req, kv_error *err)
{
    kv_sv last;
    size_t n;
    kv_names names;
    KV_TRY(kv_oci_page(req, CATALOG_DEFAULT, &n, &last, err));
    kv_auto(kv_arena) arena = kv_arena_new(NAMES_MEMORY);
    if (!arena) return kv_fail(err, KV_E_NOMEM, "out of memory");
    KV_TRY(kv_repository_list(hub->registry, kv_req_principal(req), last, n, arena, &names, err));
    if (names.more && names.n) kv_oci_add_next(req, "", n, names.items[names.n - 1]);
    return respond_names(req, KV_SV(""), "repositories", &names, err);
}

/* --- referrers --- */

static kv_code respond_referrers(kv_request *req, const kv_referrer_query *q, const kv_buf *entries,
                                 kv_sv next, kv_error *err)
{
    static const char HEAD[] = "{\"schemaVersion\":2,\"mediaType\":\"" KV_MT_IMAGE_INDEX
                               "\",\"manifests\":[";
    static const char TAIL[] = "]}";
    if (next.n) {
        kv_auto_buf query = KV_BUF(4096);
        if (q->artifact_type.n) {
            kv_buf_adds(&query, "artifactType=");
            kv_percent_add(&query, q->artifact_type, "");
            kv_buf_addc(&query, '&');
        }
        KV_TRY(kv_buf_check(&query, err));
        kv_oci_add_next(req, query.p ? query.p : "", q->at_most, next);
    }
    KV_TRY(kv_respond_head(req, 200, KV_MT_IMAGE_INDEX,
                           sizeof(HEAD) - 1 + entries->n + sizeof(TAIL) - 1, err));
    KV_TRY(kv_respond_write(req, HEAD, sizeof(HEAD) - 1, err));
    KV_TRY(kv_respond_write(req, entries->p ? entries->p : "", entries->n, err));
    return kv_respond_write(req, TAIL, sizeof(TAIL) - 1, err);
}

static kv_code list_referrers(kv_hub *hub, kv_request *req, const kv_referrer_query *q,
                              kv_error *err)
{
    kv_auto_buf entries = KV_BUF(KV_MANIFEST_BYTES_MAX + 4096);
    char next[KV_DIGEST_TEXT_MAX];
    KV_TRY(kv_referrer_list(hub->registry, q, &entries, next, err));
    return respond_referrers(req, q, &entries, kv_sv_of(next), err);
}

kv_code kv_handle_oci_referrers(kv_hub *hub, kv_request *req, kv_error *err)
{
    kv_referrer_query q = {.at_most = KV_PAGE_MAX};
    kv_sv text;
    uint64_t n;
    KV_TRY(kv_oci_name(req, &q.repository, err));
    KV_TRY(kv_oci_digest(req, kv_req_part(req, "digest"), &q.subject, err));
    if (kv_req_query(req, "artifactType", 0, &q.artifact_type) && q.artifact_type.n)
        kv_respond_add(req, "OCI-Filters-Applied", KV_SV("artifactType"));
    (void)kv_req_query(req, "last", 0, &q.last);
    /* Not a parameter of the specification, so what makes no sense is no error. */
    if (kv_req_query(req, "n", 0, &text) && kv_sv_to_u64(text, &n) && n && n < q.at_most)
        q.at_most = (size_t)n;
    size_t need;
    KV_TRY(kv_referrer_weight(hub->registry, &q, &need, err));
    need = kv_gate_take(hub->registry->memory, need < KV_REGISTRY_SMALL ? 0 : need);
    kv_code rc = list_referrers(hub, req, &q, err);
    kv_gate_give(hub->registry->memory, need);
    return rc;
}

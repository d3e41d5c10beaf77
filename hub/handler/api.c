#include "hub/handler/api.h"

#include "codec/secret.h"

enum { BODY_MAX = 64 << 10, LIMIT_DEFAULT = 50, LIMIT_MAX = 500 };

/* A page of another site can make a browser send a body with the login it knows, but not, without
 * asking first, one of this type. */
static bool is_json(kv_sv content_type)
{
    kv_sv type;
    (void)kv_sv_cut(content_type, ';', &type, NULL);
    return kv_sv_eq_nocase(kv_sv_trim(type), KV_SV("application/json"));
}

kv_code kv_api_body(kv_request *req, const kv_jtable *table, kv_jdoc **doc, void *out,
                    kv_error *err)
{
    kv_auto_secret_buf text = KV_BUF(BODY_MAX); /* may hold a password */
    kv_arena *arena = kv_req_arena(req);
    if (!arena) return kv_fail(err, KV_E_NOMEM, "out of memory");
    if (!is_json(kv_req_header(req, "Content-Type"))) {
        kv_code rc = kv_fail(err, KV_E_INVALID, "the body must be sent as application/json");
        return kv_req_fail_as(req, rc, 415, "unsupported_media_type", KV_SV(""));
    }
    KV_TRY(kv_body_read_all(req, &text, err));
    KV_TRY(kv_jdoc_parse(kv_buf_sv(&text), doc, err));
    return kv_json_bind(kv_jdoc_root(*doc), table, arena, "", out, err);
}

kv_code kv_api_page(kv_request *req, size_t *out_limit, kv_sv *out_cursor, kv_error *err)
{
    kv_sv text;
    uint64_t limit = LIMIT_DEFAULT;
    *out_cursor = KV_SV("");
    (void)kv_req_query(req, "cursor", 0, out_cursor);
    if (kv_req_query(req, "limit", 0, &text) &&
        (!kv_sv_to_u64(text, &limit) || limit < 1 || limit > LIMIT_MAX))
        return kv_fail(err, KV_E_ARG, "limit is a number from 1 to %d", LIMIT_MAX);
    *out_limit = (size_t)limit;
    return KV_OK;
}

kv_code kv_api_page_number(kv_request *req, size_t *out_limit, int64_t *out_cursor, kv_error *err)
{
    kv_sv cursor;
    uint64_t n = 0;
    KV_TRY(kv_api_page(req, out_limit, &cursor, err));
    if (cursor.n && (!kv_sv_to_u64(cursor, &n) || n < 1 || n > INT64_MAX))
        return kv_fail(err, KV_E_ARG, "this cursor is not one of ours");
    *out_cursor = (int64_t)n;
    return KV_OK;
}

kv_code kv_api_answer(kv_request *req, int status, const kv_buf *body, kv_error *err)
{
    KV_TRY(kv_buf_check(body, err));
    kv_respond_add(req, "Cache-Control", KV_SV("no-store")); /* what one may see, others may not */
    return kv_respond_json(req, status, kv_buf_sv(body), err);
}

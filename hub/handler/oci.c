#include "hub/handler/oci.h"

#include "codec/text.h"
#include "kitvault/reference.h"

kv_code kv_oci_name(kv_request *req, kv_sv *out, kv_error *err)
{
    *out = kv_req_part(req, "name");
    if (kv_repository_name_valid(*out)) return KV_OK;
    kv_code rc = kv_fail(err, KV_E_INVALID, "'%.*s' is not a repository name",
                         KV_ARG(kv_sv_sub(*out, 0, 300)));
    return kv_req_fail_as(req, rc, 400, "NAME_INVALID", KV_SV(""));
}

kv_code kv_oci_digest(kv_request *req, kv_sv text, kv_digest *out, kv_error *err)
{
    kv_code rc = kv_digest_parse(text, out, err);
    return rc == KV_OK ? rc : kv_req_fail_as(req, rc, 400, "DIGEST_INVALID", KV_SV(""));
}

kv_code kv_oci_none(kv_request *req, kv_code rc, const char *code)
{
    return rc == KV_E_NOTFOUND ? kv_req_fail_as(req, rc, 404, code, KV_SV("")) : rc;
}

void kv_oci_warn_long_name(kv_request *req, kv_sv name)
{
    if (kv_req_host(req).n + 1 + name.n <= 255) return;
    kv_respond_add(req, "Warning",
                   KV_SV("299 - \"many clients refuse a host and repository name of more than 255 "
                         "bytes together\""));
}

void kv_oci_each_etag(kv_sv header, kv_etag_fn *fn, void *ctx)
{
    /* Our tags are digests: no comma and no quote inside, so this need not be a real parser. */
    while (header.n) {
        kv_sv tag;
        header = kv_sv_cut(header, ',', &tag, NULL);
        tag = kv_sv_trim(tag);
        if (kv_sv_starts(tag, KV_SV("W/"))) tag = kv_sv_from(tag, 2);
        if (tag.n >= 2 && tag.p[0] == '"' && tag.p[tag.n - 1] == '"')
            tag = kv_sv_sub(tag, 1, tag.n - 1);
        if (tag.n && !fn(ctx, tag)) return;
    }
}

typedef struct wanted {
    kv_sv digest;
    bool found;
} wanted;

static bool is_wanted(void *ctx, kv_sv tag)
{
    wanted *w = ctx;
    w->found = kv_sv_is(tag, "*") || kv_sv_eq(tag, w->digest);
    return !w->found;
}

bool kv_oci_not_modified(kv_request *req, const char *digest)
{
    wanted w = {.digest = kv_sv_of(digest)};
    kv_oci_each_etag(kv_req_header(req, "If-None-Match"), is_wanted, &w);
    return w.found;
}

void kv_oci_add_digest(kv_request *req, const char *digest)
{
    kv_respond_add(req, "Docker-Content-Digest", kv_sv_of(digest));
    kv_respond_addf(req, "ETag", "\"%s\"", digest);
}

kv_code kv_oci_page(kv_request *req, size_t when_absent, size_t *out_n, kv_sv *out_last,
                    kv_error *err)
{
    kv_sv text;
    uint64_t n = when_absent;
    *out_last = KV_SV("");
    (void)kv_req_query(req, "last", 0, out_last);
    if (kv_req_query(req, "n", 0, &text) && !kv_sv_to_u64(text, &n)) {
        kv_code rc = kv_fail(err, KV_E_INVALID, "n is '%.*s', expected a number of entries",
                             KV_ARG(kv_sv_sub(text, 0, 100)));
        return kv_req_fail_as(req, rc, 400, "PAGINATION_NUMBER_INVALID", KV_SV(""));
    }
    *out_n = n < KV_PAGE_MAX ? (size_t)n : KV_PAGE_MAX;
    return KV_OK;
}

void kv_oci_add_next(kv_request *req, const char *query, size_t n, kv_sv last)
{
    kv_auto_buf text = KV_BUF(4096);
    kv_percent_add(&text, last, "");
    if (text.failed) return; /* names have 255 bytes at most */
    kv_respond_addf(req, "Link", "<%.*s?%sn=%zu&last=%s>; rel=\"next\"", KV_ARG(kv_req_path(req)),
                    query, n, text.p ? text.p : "");
}

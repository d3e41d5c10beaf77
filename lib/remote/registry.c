#include "remote/registry.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/hasher.h"
#include "codec/text.h"
#include "http/field.h"
#include "http/range.h"
#include "http/url.h"
#include "json/json.h"

enum {
    URL_MAX = 16 * 1024,
    TAGS_PAGE = 1000,
    TAGS_BODY_MAX = 16 << 20, /* a registry that ignores n sends all of its tags */
    DISCARD_STEP = 64 * 1024,
    BREAKS_MAX = 4, /* broken connections in a row without a byte between them */
};
static const char ACCEPT_MANIFEST[] = "Accept: " KV_MT_IMAGE_MANIFEST ", " KV_MT_IMAGE_INDEX
                                      ", " KV_MT_DOCKER_MANIFEST ", " KV_MT_DOCKER_LIST ", */*";

static kv_oci_remote *of(kv_remote *r)
{
    return (kv_oci_remote *)(void *)r;
}

/* --- requests --- */

/* "ORIGIN/v2/REPOSITORY/KIND/LAST" */
static kv_code make_url(const kv_oci_remote *r, const char *kind, kv_sv last, kv_buf *out,
                        kv_error *err)
{
    kv_buf_addf(out, "%s/v2/%s/%s", r->origin, r->repository, kind);
    kv_percent_add(out, last, ":");
    return kv_buf_check(out, err);
}

static kv_code not_found(const kv_oci_remote *r, kv_sv last, kv_error *err)
{
    bool digest = kv_sv_find(last, ':') != SIZE_MAX;
    return kv_fail(err, KV_E_NOTFOUND, "%s%s%.*s: not found", r->name, digest ? "@" : ":",
                   KV_ARG(last));
}

kv_code kv_oci_send_at(const kv_oci_remote *r, kv_http_request *req, kv_http_response *resp,
                       kv_error *err)
{
    kv_auto_url_origin ours = {0};
    kv_auto_url_origin there = {0};
    KV_TRY(kv_url_origin_of(r->origin, &ours, err));
    KV_TRY(kv_url_origin_of(req->url, &there, err));
    if (ours.tls && !there.tls)
        return kv_fail(err, KV_E_PROTOCOL, "'%s' names a place to go on that is plain HTTP at '%s'",
                       ours.host, there.host);
    if (strcmp(ours.text, there.text) != 0) req->anonymous = true;
    return kv_http_send(r->http, req, resp, err);
}

static kv_code send_to(const kv_oci_remote *r, const char *method, const char *kind, kv_sv last,
                       const char *scope, kv_http_response *resp, kv_error *err)
{
    kv_auto_buf url = KV_BUF(URL_MAX);
    KV_TRY(make_url(r, kind, last, &url, err));
    const char *const headers[] = {ACCEPT_MANIFEST, NULL};
    bool manifest = strcmp(kind, "manifests/") == 0;
    kv_http_request req = {
        .method = method, .url = url.p, .headers = manifest ? headers : NULL, .scope = scope};
    return kv_http_send(r->http, &req, resp, err);
}

/* --- manifests --- */

static kv_code get_manifest(kv_remote *base, kv_sv ref, kv_buf *bytes, kv_buf *media_type,
                            kv_error *err)
{
    const kv_oci_remote *r = of(base);
    kv_auto_http_response resp = {.body = KV_BUF(KV_MANIFEST_BYTES_MAX)};
    KV_TRY(send_to(r, "GET", "manifests/", ref, r->pull_scope, &resp, err));
    if (resp.status == 404) return not_found(r, ref, err);
    if (resp.status != 200) return kv_http_fail_status(&resp, err);
    kv_sv type;
    kv_sv_cut(kv_http_header(&resp, "Content-Type"), ';', &type, NULL);
    /* A server that does not know sends "application/json" or text: then the shape decides. */
    if (kv_sv_starts(type, KV_SV("application/vnd."))) kv_buf_add(media_type, kv_sv_trim(type));
    kv_buf_clear(bytes);
    *bytes = resp.body;
    resp.body = KV_BUF(0);
    return kv_buf_check(media_type, err);
}

static kv_code resolve_by_get(kv_remote *base, kv_sv ref, kv_digest *out, kv_error *err)
{
    kv_auto_buf bytes = KV_BUF(KV_MANIFEST_BYTES_MAX);
    kv_auto_buf type = KV_BUF(1024);
    KV_TRY(get_manifest(base, ref, &bytes, &type, err));
    bool is_digest;
    kv_digest asked;
    KV_TRY(kv_remote_ref_parse(ref, &is_digest, &asked, err));
    *out = kv_digest_of(is_digest ? asked.alg : KV_SHA256, kv_buf_sv(&bytes));
    return KV_OK;
}

static kv_code resolve(kv_remote *base, kv_sv ref, kv_digest *out, kv_error *err)
{
    const kv_oci_remote *r = of(base);
    kv_auto_http_response resp = {0};
    KV_TRY(send_to(r, "HEAD", "manifests/", ref, r->pull_scope, &resp, err));
    if (resp.status == 404) return not_found(r, ref, err);
    kv_sv digest = kv_http_header(&resp, "Docker-Content-Digest");
    if (resp.status == 200 && kv_digest_parse(digest, out, NULL) == KV_OK) return KV_OK;
    /* No digest, or HEAD refused: GET has the bytes, or the words of the error. */
    return resolve_by_get(base, ref, out, err);
}

static kv_code put_manifest(kv_remote *base, kv_sv ref, const kv_manifest *m, kv_error *err)
{
    const kv_oci_remote *r = of(base);
    kv_auto_buf url = KV_BUF(URL_MAX);
    kv_auto_buf type = KV_BUF(1024);
    KV_TRY(make_url(r, "manifests/", ref, &url, err));
    kv_buf_addf(&type, "Content-Type: %.*s", KV_ARG(m->media_type));
    KV_TRY(kv_buf_check(&type, err));
    const char *const headers[] = {type.p, NULL};
    kv_http_request req = {.method = "PUT",
                           .url = url.p,
                           .headers = headers,
                           .body = m->bytes,
                           .scope = r->push_scope};
    kv_auto_http_response resp = {0};
    KV_TRY(kv_http_send(r->http, &req, &resp, err));
    if (resp.status < 200 || resp.status > 202) return kv_http_fail_status(&resp, err);
    kv_sv said = kv_http_header(&resp, "Docker-Content-Digest");
    kv_digest stored;
    if (kv_digest_parse(said, &stored, NULL) == KV_OK && stored.alg == m->digest.alg &&
        !kv_digest_eq(&stored, &m->digest))
        return kv_fail(err, KV_E_DIGEST, "the registry stored manifest %s as %.*s",
                       kv_digest_str(&m->digest).s, KV_ARG(said));
    if (!m->subject.digest.alg || kv_http_header(&resp, "OCI-Subject").n) return KV_OK;
    return kv_oci_note_referrer(of(base), m, err);
}

static kv_code drop(kv_remote *base, kv_sv ref, kv_error *err)
{
    const kv_oci_remote *r = of(base);
    kv_auto_http_response resp = {0};
    KV_TRY(send_to(r, "DELETE", "manifests/", ref, r->delete_scope, &resp, err));
    if (resp.status >= 200 && resp.status < 300) return KV_OK;
    if (resp.status == 404) return not_found(r, ref, err);
    (void)kv_http_fail_status(&resp, err);
    /* Registries without deletion of tags take the tag for a broken digest: 400. */
    bool tag = kv_sv_find(ref, ':') == SIZE_MAX;
    kv_code code = resp.status == 400 && tag ? KV_E_UNSUPPORTED : kv_http_status_code(resp.status);
    if (err) err->code = code;
    return code;
}

/* --- blobs --- */

static kv_code stat_blob(kv_remote *base, const kv_digest *d, uint64_t *out_size, kv_error *err)
{
    const kv_oci_remote *r = of(base);
    kv_auto_http_response resp = {0};
    kv_digest_text text = kv_digest_str(d);
    /* Asked for by a push alone: one token for the whole of it. */
    KV_TRY(send_to(r, "HEAD", "blobs/", kv_sv_of(text.s), r->push_scope, &resp, err));
    if (resp.status == 404) return not_found(r, kv_sv_of(text.s), err);
    if (resp.status != 200) return kv_http_fail_status(&resp, err);
    *out_size = UINT64_MAX; /* unknown */
    (void)kv_sv_to_u64(kv_http_header(&resp, "Content-Length"), out_size);
    return KV_OK;
}

typedef struct blob_reader {
    kv_remote_reader base;
    const kv_oci_remote *r;
    kv_digest digest;
    uint64_t size, at; /* at: bytes handed out, plus where reading began */
    kv_http_response resp;
    unsigned breaks; /* in a row */
} blob_reader;

/* Reads over bytes that are here already, where the server sends no ranges. */
static kv_code discard(blob_reader *b, uint64_t n, kv_error *err)
{
    kv_auto_str waste = malloc(DISCARD_STEP);
    if (!waste) return kv_fail(err, KV_E_NOMEM, "out of memory");
    while (n) {
        size_t got;
        KV_TRY(
            kv_http_read(&b->resp, waste, n < DISCARD_STEP ? (size_t)n : DISCARD_STEP, &got, err));
        if (got == 0) return kv_fail(err, KV_E_NETWORK, "the answer ended early");
        n -= got;
    }
    return KV_OK;
}

static kv_code check_length(const blob_reader *b, uint64_t expected, kv_error *err)
{
    uint64_t n;
    if (!kv_sv_to_u64(kv_http_header(&b->resp, "Content-Length"), &n) || n == expected)
        return KV_OK;
    uint64_t has = b->size - expected + n;
    return kv_fail(err, KV_E_DIGEST, "%s has %llu bytes at the registry, not %llu",
                   kv_digest_str(&b->digest).s, (unsigned long long)has,
                   (unsigned long long)b->size);
}

static kv_code open_at(blob_reader *b, kv_error *err)
{
    kv_auto_buf url = KV_BUF(URL_MAX);
    kv_digest_text text = kv_digest_str(&b->digest);
    KV_TRY(make_url(b->r, "blobs/", kv_sv_of(text.s), &url, err));
    char range[64];
    snprintf(range, sizeof(range), "Range: bytes=%llu-", (unsigned long long)b->at);
    const char *const headers[] = {range, NULL};
    kv_http_request req = {.method = "GET",
                           .url = url.p,
                           .headers = b->at ? headers : NULL,
                           .scope = b->r->pull_scope};
    KV_TRY(kv_http_open(b->r->http, &req, &b->resp, err));
    if (b->resp.status == 404) return not_found(b->r, kv_sv_of(text.s), err);
    if (b->resp.status == 206 && b->at) {
        kv_content_range got;
        KV_TRY(kv_content_range_parse(kv_http_header(&b->resp, "Content-Range"), &got, err));
        if (got.first != b->at)
            return kv_fail(err, KV_E_PROTOCOL, "the registry answered with another range");
        return check_length(b, b->size - b->at, err);
    }
    if (b->resp.status != 200) return kv_http_fail_status(&b->resp, err);
    KV_TRY(check_length(b, b->size, err));
    return discard(b, b->at, err);
}

static bool is_break(kv_code rc)
{
    return rc == KV_E_NETWORK || rc == KV_E_TIMEOUT;
}

static kv_code ensure_open(blob_reader *b, kv_error *err)
{
    if (b->resp.exchange) return KV_OK;
    kv_http_response_clear(&b->resp);
    return open_at(b, err);
}

static kv_code check_room(const blob_reader *b, size_t n, kv_error *err)
{
    if (n <= b->size - b->at) return KV_OK;
    return kv_fail(err, KV_E_DIGEST, "the registry sends more than the %llu bytes of %s",
                   (unsigned long long)b->size, kv_digest_str(&b->digest).s);
}

static kv_code read_some(blob_reader *b, void *dst, size_t n, size_t *out_n, kv_error *err)
{
    KV_TRY(ensure_open(b, err));
    KV_TRY(kv_http_read(&b->resp, dst, n, out_n, err));
    if (*out_n == 0) return kv_fail(err, KV_E_NETWORK, "the answer ended early");
    return check_room(b, *out_n, err);
}

/* After the failure *e: KV_OK when reading goes on in a new request, after a pause. */
static kv_code heal(blob_reader *b, kv_error *e, kv_error *err)
{
    bool opened = b->resp.status == 200 || b->resp.status == 206;
    kv_http_response_clear(&b->resp);
    /* Failures before an answer have had their tries in the client. */
    if (!is_break(e->code) || !opened || b->breaks == BREAKS_MAX) {
        if (err) *err = *e;
        return e->code;
    }
    kv_say(b->r->base.report, KV_DEBUG, "%s: going on at byte %llu", e->msg,
           (unsigned long long)b->at);
    return kv_http_wait(b->r->http, b->breaks++, NULL, err);
}

static kv_code reader_read(kv_remote_reader *base, void *dst, size_t n, size_t *out_n,
                           kv_error *err)
{
    blob_reader *b = (blob_reader *)(void *)base;
    *out_n = 0;
    if (b->at == b->size) return KV_OK;
    for (;;) {
        kv_error e = {0};
        kv_code rc = read_some(b, dst, n, out_n, &e);
        if (rc == KV_OK) {
            b->at += *out_n;
            b->breaks = 0;
            return KV_OK;
        }
        KV_TRY(heal(b, &e, err));
    }
}

typedef struct drain_job {
    blob_reader *b;
    kv_http_sink *sink;
    void *ctx;
    bool refused; /* the sink failed, which no new request heals */
} drain_job;

static kv_code drain_piece(void *ctx, const void *p, size_t n, kv_error *err)
{
    drain_job *j = ctx;
    KV_TRY(check_room(j->b, n, err));
    kv_code rc = j->sink(j->ctx, p, n, err);
    j->refused = rc != KV_OK;
    if (j->refused) return rc;
    j->b->at += n;
    j->b->breaks = 0;
    return KV_OK;
}

static kv_code drain_once(drain_job *j, kv_error *err)
{
    KV_TRY(ensure_open(j->b, err));
    KV_TRY(kv_http_drain(&j->b->resp, drain_piece, j, err));
    if (j->b->at == j->b->size) return KV_OK;
    return kv_fail(err, KV_E_NETWORK, "the answer ended early");
}

static kv_code reader_drain(kv_remote_reader *base, kv_http_sink *sink, void *ctx, kv_error *err)
{
    drain_job j = {.b = (blob_reader *)(void *)base, .sink = sink, .ctx = ctx};
    while (j.b->at < j.b->size) {
        kv_error e = {0};
        kv_code rc = drain_once(&j, &e);
        if (rc == KV_OK) return KV_OK;
        if (j.refused) {
            if (err) *err = e;
            return rc;
        }
        KV_TRY(heal(j.b, &e, err));
    }
    return KV_OK;
}

static void reader_close(kv_remote_reader *base)
{
    blob_reader *b = (blob_reader *)(void *)base;
    kv_http_response_clear(&b->resp);
    free(b);
}

static kv_code open_blob(kv_remote *base, const kv_digest *d, uint64_t size, uint64_t offset,
                         kv_remote_reader **out, kv_error *err)
{
    static const kv_remote_reader_ops OPS = {
        .read = reader_read, .drain = reader_drain, .close = reader_close};
    blob_reader *b = calloc(1, sizeof(*b));
    if (!b) return kv_fail(err, KV_E_NOMEM, "out of memory");
    b->base.ops = &OPS;
    b->r = of(base);
    b->digest = *d;
    b->size = size;
    b->at = offset;
    *out = &b->base;
    return KV_OK;
}

static kv_code put_blob(kv_remote *base, const kv_digest *d, const kv_http_source *source,
                        const char *mount_from, kv_error *err)
{
    return kv_oci_upload(of(base), d, source, mount_from, err);
}

static kv_code write_blob(kv_remote *base, kv_remote_writer **out, kv_error *err)
{
    return kv_oci_stream(of(base), out, err);
}

/* --- tags --- */

static kv_code add_names(kv_sv body, kv_buf *names, size_t *out_n, kv_error *err)
{
    kv_auto(kv_jdoc) doc = NULL;
    kv_code rc = kv_jdoc_parse(body, &doc, err);
    if (rc != KV_OK) return kv_wrap(err, KV_E_PROTOCOL, "tag list");
    kv_jiter it = kv_json_iter(kv_json_get(kv_jdoc_root(doc), "tags")); /* null in old registries */
    *out_n = 0;
    for (const kv_json *v; (v = kv_json_next(&it, NULL)); (*out_n)++) {
        kv_sv tag = kv_json_str(v);
        if (!kv_tag_name_valid(tag))
            return kv_fail(err, KV_E_PROTOCOL, "tag list: tag %zu is no tag", *out_n);
        kv_buf_add(names, tag);
        kv_buf_addc(names, '\0');
    }
    return kv_buf_check(names, err);
}

static kv_sv last_name(const kv_buf *names)
{
    kv_sv all = {names->p, names->n ? names->n - 1 : 0};
    size_t nul = kv_sv_rfind(all, '\0');
    return nul == SIZE_MAX ? all : kv_sv_from(all, nul + 1);
}

/*
 * Registries that page without a Link exist: a page that is exactly full is followed by what comes
 * behind its last tag. One that ignores `last` would answer the same for ever, so a page whose last
 * tag is that of the page before it is the end.
 */
static kv_code next_page(const kv_oci_remote *r, const kv_http_response *resp, const kv_buf *names,
                         size_t n, const char *at, char **out, kv_error *err)
{
    kv_sv link = {0}, value;
    size_t pos = 0;
    while (!link.p && kv_http_header_next(resp, "Link", &pos, &value)) link = kv_link_next(value);
    if (link.p) {
        kv_code rc = kv_url_resolve(resp->url, link, out, err);
        if (rc != KV_OK) return kv_wrap(err, KV_E_PROTOCOL, "link to more tags");
    } else if (n == TAGS_PAGE) {
        kv_auto_buf url = KV_BUF(URL_MAX);
        char rest[64];
        snprintf(rest, sizeof(rest), "tags/list?n=%d&last=", TAGS_PAGE);
        kv_buf_addf(&url, "%s/v2/%s/%s", r->origin, r->repository, rest);
        kv_percent_add(&url, last_name(names), "");
        KV_TRY(kv_buf_check(&url, err));
        *out = kv_buf_take(&url);
    }
    if (*out && at && strcmp(*out, at) == 0) {
        free(*out);
        *out = NULL;
    }
    return KV_OK;
}

static kv_code list_tags(kv_remote *base, const char *at, kv_remote_page *out, kv_error *err)
{
    const kv_oci_remote *r = of(base);
    kv_auto_buf url = KV_BUF(URL_MAX);
    kv_buf_addf(&url, "%s/v2/%s/tags/list?n=%d", r->origin, r->repository, TAGS_PAGE);
    KV_TRY(kv_buf_check(&url, err));
    kv_http_request req = {.method = "GET", .url = at ? at : url.p, .scope = r->pull_scope};
    kv_auto_http_response resp = {.body = KV_BUF(TAGS_BODY_MAX)};
    KV_TRY(kv_oci_send_at(r, &req, &resp, err));
    if (resp.status == 404) return kv_fail(err, KV_E_NOTFOUND, "%s: not found", r->name);
    if (resp.status != 200) return kv_http_fail_status(&resp, err);
    size_t n;
    KV_TRY(add_names(kv_buf_sv(&resp.body), &out->names, &n, err));
    return next_page(r, &resp, &out->names, n, at, &out->next, err);
}

/* --- opening --- */

static void registry_free(kv_remote *base)
{
    kv_oci_remote *r = of(base);
    kv_http_free(r->http);
    free(r->origin);
    free(r->name);
    free(r->repository);
    free(r->pull_scope);
    free(r->push_scope);
    free(r->delete_scope);
    free(r);
}

static const kv_remote_ops REGISTRY_OPS = {
    .scheme = "oci",
    .resolve = resolve,
    .get_manifest = get_manifest,
    .put_manifest = put_manifest,
    .stat_blob = stat_blob,
    .open_blob = open_blob,
    .put_blob = put_blob,
    .write_blob = write_blob,
    .list_tags = list_tags,
    .drop = drop,
    .each_referrer = kv_oci_each_referrer,
    .free = registry_free,
};

static kv_code find_login(void *ctx, kv_sv host, kv_login *out, kv_error *err)
{
    return kv_credentials_get(ctx, host, out, err);
}

KV_PRINTF(1, 2)
static char *text(const char *fmt, ...)
{
    char *s = NULL;
    va_list ap;
    va_start(ap, fmt);
    if (vasprintf(&s, fmt, ap) < 0) s = NULL;
    va_end(ap);
    return s;
}

/*
 * Hosts that end an upload with its first PATCH, or take none beyond 4 MiB. Source: kit-compat.md
 * 7.1, oci-registry.md 4.2.
 */
static bool takes_single_put(kv_sv host)
{
    kv_sv name;
    kv_sv_cut(host, ':', &name, NULL);
    static const char *const ENDS[] = {".pkg.dev", "gcr.io", ".amazonaws.com", ".amazonaws.com.cn"};
    for (size_t i = 0; i < KV_COUNT(ENDS); i++)
        if (kv_sv_ends(name, kv_sv_of(ENDS[i]))) return true;
    return kv_sv_is(name, "ghcr.io");
}

/* Docker Hub is named by one host and lives on another. */
static kv_sv contact_host(kv_sv registry)
{
    return kv_sv_is(registry, "docker.io") ? KV_SV("registry-1.docker.io") : registry;
}

kv_http_options kv_remote_http_options(const kv_remote_options *o, kv_http_transport *transport)
{
    return (kv_http_options){.plain_http = o->plain_http,
                             .tls_verify = o->tls_verify,
                             .tls_certs = o->tls_certs,
                             .n_tls_certs = o->n_tls_certs,
                             .client_cert = o->client_cert,
                             .client_key = o->client_key,
                             .proxy = o->proxy,
                             .user_agent = o->user_agent,
                             .find_login = o->credentials ? find_login : NULL,
                             .login_ctx = o->credentials,
                             .max_rate = o->max_rate,
                             .report = o->report,
                             .transport = transport};
}

kv_code kv_remote_open_oci(const kv_reference *ref, const kv_remote_options *o,
                           kv_http_transport *transport, kv_remote **out, kv_error *err)
{
    kv_oci_remote *r = calloc(1, sizeof(*r));
    if (!r) return kv_fail(err, KV_E_NOMEM, "out of memory");
    r->base = (kv_remote){.ops = &REGISTRY_OPS, .report = o->report};
    kv_auto(kv_remote) owned = &r->base;
    kv_sv host = contact_host(ref->registry);
    kv_sv repo = ref->repository;
    r->origin = text("%s://%.*s", o->plain_http ? "http" : "https", KV_ARG(host));
    r->name = text("%.*s/%.*s", KV_ARG(ref->registry), KV_ARG(repo));
    r->repository = kv_sv_dup(repo);
    r->pull_scope = text("repository:%.*s:pull", KV_ARG(repo));
    r->push_scope = text("repository:%.*s:pull,push", KV_ARG(repo));
    r->delete_scope = text("repository:%.*s:pull,delete", KV_ARG(repo));
    r->session_dir = o->session_dir;
    r->single_put = takes_single_put(host);
    if (!r->origin || !r->name || !r->repository || !r->pull_scope || !r->push_scope ||
        !r->delete_scope)
        return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_http_options http = kv_remote_http_options(o, transport);
    KV_TRY(kv_http_new(&http, &r->http, err));
    kv_auto_url_origin origin = {0};
    kv_code rc = kv_url_origin_of(r->origin, &origin, err);
    if (rc != KV_OK) return kv_wrap(err, KV_E_ARG, "registry '%.*s'", KV_ARG(ref->registry));
    *out = KV_TAKE(owned);
    return KV_OK;
}

/* --- logins --- */

static kv_code given_login(void *ctx, kv_sv host, kv_login *out, kv_error *err)
{
    (void)host;
    const kv_login *login = ctx;
    out->user = login->user ? strdup(login->user) : NULL;
    out->secret = strdup(login->secret);
    out->bearer = login->bearer;
    if (out->secret && (out->user || !login->user)) return KV_OK;
    return kv_fail(err, KV_E_NOMEM, "out of memory");
}

kv_code kv_remote_check_login(kv_sv registry, const kv_login *login,
                              const kv_remote_options *options, kv_error *err)
{
    static const kv_remote_options DEFAULTS = KV_REMOTE_OPTIONS_INIT;
    kv_login copy = *login; /* borrowed */
    kv_http_options o = kv_remote_http_options(options ? options : &DEFAULTS, NULL);
    o.find_login = given_login;
    o.login_ctx = &copy;
    kv_auto(kv_http) http = NULL;
    KV_TRY(kv_http_new(&o, &http, err));
    kv_sv host = contact_host(registry);
    kv_auto_str url = text("%s://%.*s/v2/", o.plain_http ? "http" : "https", KV_ARG(host));
    if (!url) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_http_request req = {.method = "GET", .url = url};
    kv_auto_http_response resp = {0};
    KV_TRY(kv_http_send(http, &req, &resp, err));
    return resp.status == 200 ? KV_OK : kv_http_fail_status(&resp, err);
}

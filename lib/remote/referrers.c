/*
 * What refers to a manifest, in a registry. Most keep lists themselves and answer GET /referrers/;
 * for the others whoever pushes a referrer keeps an index under the tag "sha256-HEX" of its subject.
 */
#include <stdlib.h>
#include <string.h>

#include "codec/text.h"
#include "http/field.h"
#include "http/url.h"
#include "remote/registry.h"
#include "json/json.h"

enum { URL_MAX = 16 * 1024, PAGES_MAX = 10000 };

static kv_oci_remote *of(kv_remote *r)
{
    return (kv_oci_remote *)(void *)r;
}

/* "sha256-HEX", at most 128 bytes as a tag may have. */
static void tag_of(const kv_digest *subject, char out[KV_DIGEST_TEXT_MAX])
{
    kv_digest_text text = kv_digest_str(subject);
    memcpy(out, text.s, sizeof(text.s));
    out[strlen(kv_digest_alg_name(subject->alg))] = '-';
    out[128] = '\0';
}

static kv_code hand_out(const kv_manifest *index, kv_referrer_fn *fn, void *ctx, kv_error *err)
{
    for (size_t i = 0; i < index->n_manifests; i++)
        KV_TRY(fn(ctx, &index->manifests[i].digest, err));
    return KV_OK;
}

/* --- the API --- */

static kv_code next_page(const kv_http_response *resp, char **url, kv_error *err)
{
    kv_sv link = {0}, value;
    size_t pos = 0;
    while (!link.p && kv_http_header_next(resp, "Link", &pos, &value)) link = kv_link_next(value);
    kv_auto_str next = NULL;
    if (link.p) {
        kv_code rc = kv_url_resolve(resp->url, link, &next, err);
        if (rc != KV_OK) return kv_wrap(err, KV_E_PROTOCOL, "link to more referrers");
        if (strcmp(next, *url) == 0) kv_free_str(&next); /* the same page for ever */
    }
    free(*url);
    *url = KV_TAKE(next);
    return KV_OK;
}

/* One page; *url is the next one, or NULL. *out_known false: this registry has no such API. */
static kv_code each_of_page(const kv_oci_remote *r, char **url, bool *out_known, kv_referrer_fn *fn,
                            void *ctx, kv_error *err)
{
    static const char *const HEADERS[] = {"Accept: " KV_MT_IMAGE_INDEX, NULL};
    kv_http_request req = {
        .method = "GET", .url = *url, .headers = HEADERS, .scope = r->pull_scope};
    kv_auto_http_response resp = {.body = KV_BUF(KV_MANIFEST_BYTES_MAX)};
    KV_TRY(kv_oci_send_at(r, &req, &resp, err));
    *out_known = resp.status == 200;
    /* Without the API the path is none (404), or the method is not (405); some say 400. */
    if (resp.status == 404 || resp.status == 405 || resp.status == 400) return KV_OK;
    if (resp.status != 200) return kv_http_fail_status(&resp, err);
    kv_auto(kv_manifest) index = NULL;
    kv_code rc = kv_manifest_parse(kv_buf_sv(&resp.body), (kv_sv){0}, &index, err);
    if (rc != KV_OK) return kv_wrap(err, KV_E_PROTOCOL, "list of referrers");
    KV_TRY(hand_out(index, fn, ctx, err));
    return next_page(&resp, url, err);
}

/* --- the tag --- */

/* NULL in *out: no such tag. */
static kv_code read_tag_index(kv_remote *base, const char *tag, kv_manifest **out, kv_error *err)
{
    kv_error e = {0};
    kv_code rc = kv_remote_manifest(base, kv_sv_of(tag), out, &e);
    if (rc == KV_E_NOTFOUND) return KV_OK;
    if (rc != KV_OK) {
        if (err) *err = e;
        return rc;
    }
    if ((*out)->kind == KV_MANIFEST_INDEX) return KV_OK;
    kv_manifest_free(*out);
    *out = NULL;
    return kv_fail(err, KV_E_PROTOCOL, "tag %s, which should list referrers, is no index", tag);
}

kv_code kv_oci_each_referrer(kv_remote *base, const kv_digest *subject, kv_referrer_fn *fn,
                             void *ctx, kv_error *err)
{
    const kv_oci_remote *r = of(base);
    kv_auto_buf first = KV_BUF(URL_MAX);
    kv_buf_addf(&first, "%s/v2/%s/referrers/%s", r->origin, r->repository,
                kv_digest_str(subject).s);
    KV_TRY(kv_buf_check(&first, err));
    kv_auto_str url = kv_buf_take(&first);
    bool known = true;
    for (int page = 0; url && known && page < PAGES_MAX; page++)
        KV_TRY(each_of_page(r, &url, &known, fn, ctx, err));
    if (known) return KV_OK;
    char tag[KV_DIGEST_TEXT_MAX];
    tag_of(subject, tag);
    kv_auto(kv_manifest) index = NULL;
    KV_TRY(read_tag_index(base, tag, &index, err));
    return index ? hand_out(index, fn, ctx, err) : KV_OK;
}

static void add_descriptor(kv_jout *j, kv_sv media_type, const kv_digest *d, uint64_t size,
                           kv_sv artifact_type, const kv_annotations *a)
{
    kv_jout_obj(j);
    kv_jout_kstr(j, "mediaType", media_type);
    kv_jout_kstr(j, "digest", kv_sv_of(kv_digest_str(d).s));
    kv_jout_ku64(j, "size", size);
    if (a->n) {
        kv_jout_key(j, KV_SV("annotations"));
        kv_jout_obj(j);
        for (size_t i = 0; i < a->n; i++) {
            kv_jout_key(j, a->items[i].key);
            kv_jout_str(j, a->items[i].value);
        }
        kv_jout_end_obj(j);
    }
    if (artifact_type.n) kv_jout_kstr(j, "artifactType", artifact_type);
    kv_jout_end_obj(j);
}

/* What old lists, with m behind it. */
static void format_index(const kv_manifest *old, const kv_manifest *m, kv_buf *out)
{
    kv_jout j = kv_jout_make(out, KV_JSON_GO, 0);
    kv_jout_obj(&j);
    kv_jout_ku64(&j, "schemaVersion", 2);
    kv_jout_kstr(&j, "mediaType", KV_SV(KV_MT_IMAGE_INDEX));
    kv_jout_key(&j, KV_SV("manifests"));
    kv_jout_arr(&j);
    for (size_t i = 0; old && i < old->n_manifests; i++) {
        const kv_descriptor *d = &old->manifests[i];
        add_descriptor(&j, d->media_type, &d->digest, d->size, d->artifact_type, &d->annotations);
    }
    add_descriptor(&j, m->media_type, &m->digest, m->bytes.n, kv_manifest_artifact_type(m),
                   &m->annotations);
    kv_jout_end_arr(&j);
    kv_jout_end_obj(&j);
}

kv_code kv_oci_note_referrer(kv_oci_remote *r, const kv_manifest *m, kv_error *err)
{
    char tag[KV_DIGEST_TEXT_MAX];
    tag_of(&m->subject.digest, tag);
    kv_auto(kv_manifest) old = NULL;
    KV_TRY(read_tag_index(&r->base, tag, &old, err));
    for (size_t i = 0; old && i < old->n_manifests; i++)
        if (kv_digest_eq(&old->manifests[i].digest, &m->digest)) return KV_OK;
    kv_auto_buf text = KV_BUF(KV_MANIFEST_BYTES_MAX);
    format_index(old, m, &text);
    KV_TRY(kv_buf_check(&text, err));
    kv_auto(kv_manifest) index = NULL;
    KV_TRY(kv_manifest_parse(kv_buf_sv(&text), (kv_sv){0}, &index, err));
    return r->base.ops->put_manifest(&r->base, kv_sv_of(tag), index, err);
}

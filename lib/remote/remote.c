#include "remote/remote.h"

#include <stdlib.h>
#include <string.h>

#include "codec/hasher.h"

kv_code kv_remote_open(const kv_reference *ref, const kv_remote_options *options, kv_remote **out,
                       kv_error *err)
{
    static const kv_remote_options DEFAULTS = KV_REMOTE_OPTIONS_INIT;
    return kv_remote_open_oci(ref, options ? options : &DEFAULTS, NULL, out, err);
}

void kv_remote_close(kv_remote *r)
{
    if (r) r->ops->free(r);
}

kv_code kv_remote_ref_parse(kv_sv ref, bool *out_is_digest, kv_digest *out, kv_error *err)
{
    *out_is_digest = kv_sv_find(ref, ':') != SIZE_MAX;
    if (!*out_is_digest) {
        if (kv_tag_name_valid(ref)) return KV_OK;
        return kv_fail(err, KV_E_ARG, "'%.*s' is neither a tag nor a digest", KV_ARG(ref));
    }
    kv_code rc = kv_digest_parse(ref, out, err);
    return rc == KV_OK ? KV_OK : kv_wrap(err, KV_E_ARG, "'%.*s'", KV_ARG(ref));
}

static kv_code check_digest(const kv_digest *want, const kv_digest *got, kv_error *err)
{
    if (kv_digest_eq(want, got)) return KV_OK;
    return kv_fail(err, KV_E_DIGEST, "content of %s has digest %s", kv_digest_str(want).s,
                   kv_digest_str(got).s);
}

kv_code kv_remote_resolve(kv_remote *r, kv_sv ref, kv_digest *out, kv_error *err)
{
    bool is_digest;
    kv_digest want;
    KV_TRY(kv_remote_ref_parse(ref, &is_digest, &want, err));
    KV_TRY(r->ops->resolve(r, ref, out, err));
    return is_digest ? check_digest(&want, out, err) : KV_OK;
}

kv_code kv_remote_manifest(kv_remote *r, kv_sv ref, kv_manifest **out, kv_error *err)
{
    bool is_digest;
    kv_digest want;
    KV_TRY(kv_remote_ref_parse(ref, &is_digest, &want, err));
    kv_auto_buf bytes = KV_BUF(KV_MANIFEST_BYTES_MAX);
    kv_auto_buf type = KV_BUF(1024);
    KV_TRY(r->ops->get_manifest(r, ref, &bytes, &type, err));
    if (is_digest) {
        kv_digest got = kv_digest_of(want.alg, kv_buf_sv(&bytes));
        KV_TRY(check_digest(&want, &got, err));
    }
    return kv_manifest_parse(kv_buf_sv(&bytes), kv_buf_sv(&type), out, err);
}

kv_code kv_remote_blob(kv_remote *r, const kv_descriptor *d, char **out, size_t *out_n,
                       kv_error *err)
{
    if (d->size > KV_MANIFEST_BYTES_MAX)
        return kv_fail(err, KV_E_LIMIT, "%s has %llu bytes, more than %u",
                       kv_digest_str(&d->digest).s, (unsigned long long)d->size,
                       KV_MANIFEST_BYTES_MAX);
    size_t size = (size_t)d->size;
    kv_auto(kv_remote_stream) s = NULL;
    KV_TRY(kv_remote_stream_open(r, d, &s, err));
    kv_auto_str bytes = malloc(size + 1);
    if (!bytes) return kv_fail(err, KV_E_NOMEM, "out of memory");
    for (size_t at = 0, n = 1; n; at += n) /* one byte beyond, so that the end is read */
        KV_TRY(kv_remote_stream_read(s, bytes + at, size - at + 1, &n, err));
    bytes[size] = '\0';
    *out = KV_TAKE(bytes);
    *out_n = size;
    return KV_OK;
}

kv_code kv_remote_delete(kv_remote *r, kv_sv ref, kv_error *err)
{
    bool is_digest;
    kv_digest digest;
    KV_TRY(kv_remote_ref_parse(ref, &is_digest, &digest, err));
    return r->ops->drop(r, ref, err);
}

/* --- streams --- */

kv_code kv_remote_reader_drain(kv_remote_reader *r, kv_http_sink *sink, void *ctx, kv_error *err)
{
    enum { STEP = 128 * 1024 };
    if (r->ops->drain) return r->ops->drain(r, sink, ctx, err);
    kv_auto_str block = malloc(STEP);
    if (!block) return kv_fail(err, KV_E_NOMEM, "out of memory");
    for (;;) {
        size_t n;
        KV_TRY(r->ops->read(r, block, STEP, &n, err));
        if (n == 0) return KV_OK;
        KV_TRY(sink(ctx, block, n, err));
    }
}

struct kv_remote_stream {
    kv_remote_reader *reader;
    kv_digest want;
    kv_hasher hasher;
    bool verifies; /* else the caller does, or the bytes begin behind the start */
    bool verified;
};

kv_code kv_remote_stream_open(kv_remote *r, const kv_descriptor *d, kv_remote_stream **out,
                              kv_error *err)
{
    KV_TRY(kv_remote_stream_open_at(r, d, 0, out, err));
    (*out)->verifies = true;
    return KV_OK;
}

kv_code kv_remote_stream_open_at(kv_remote *r, const kv_descriptor *d, uint64_t offset,
                                 kv_remote_stream **out, kv_error *err)
{
    if (!d->digest.alg) return kv_fail(err, KV_E_ARG, "a descriptor without digest");
    if (offset > d->size) return kv_fail(err, KV_E_RANGE, "an offset behind the end of a blob");
    kv_auto(kv_remote_stream) s = calloc(1, sizeof(*s));
    if (!s) return kv_fail(err, KV_E_NOMEM, "out of memory");
    s->want = d->digest;
    kv_hasher_init(&s->hasher, d->digest.alg);
    KV_TRY(r->ops->open_blob(r, &d->digest, d->size, offset, &s->reader, err));
    *out = KV_TAKE(s);
    return KV_OK;
}

kv_code kv_remote_stream_read(kv_remote_stream *s, void *dst, size_t n, size_t *out_n,
                              kv_error *err)
{
    *out_n = 0;
    if (s->verified) return KV_OK;
    KV_TRY(s->reader->ops->read(s->reader, dst, n, out_n, err));
    if (!s->verifies) return KV_OK;
    if (*out_n) {
        kv_hasher_add(&s->hasher, dst, *out_n);
        return KV_OK;
    }
    kv_digest got;
    kv_hasher_end(&s->hasher, &got);
    KV_TRY(check_digest(&s->want, &got, err));
    s->verified = true;
    return KV_OK;
}

void kv_remote_stream_close(kv_remote_stream *s)
{
    if (!s) return;
    kv_remote_reader_close(s->reader);
    free(s);
}

/* --- tags --- */

struct kv_remote_tags_mem {
    kv_remote *remote;
    kv_remote_page page;
    size_t at; /* in page.names */
    bool started;
    kv_code code;
    kv_error err;
};

kv_remote_tags kv_remote_tags_begin(kv_remote *r)
{
    kv_remote_tags it = {.mem = calloc(1, sizeof(*it.mem))};
    if (!it.mem) return it;
    it.mem->remote = r;
    it.mem->page.names = KV_BUF(64u << 20);
    return it;
}

static bool load_page(struct kv_remote_tags_mem *m)
{
    if (m->code != KV_OK || (m->started && !m->page.next)) return false;
    kv_auto_str at = m->page.next;
    m->page.next = NULL;
    m->started = true;
    m->at = 0;
    kv_buf_truncate(&m->page.names, 0);
    m->code = m->remote->ops->list_tags(m->remote, at, &m->page, &m->err);
    return m->code == KV_OK;
}

bool kv_remote_tags_next(kv_remote_tags *it)
{
    struct kv_remote_tags_mem *m = it->mem;
    it->tag = (kv_sv){0};
    if (!m) return false;
    while (m->at >= m->page.names.n)
        if (!load_page(m)) return false;
    it->tag = kv_sv_of(m->page.names.p + m->at);
    m->at += it->tag.n + 1;
    return true;
}

void kv_remote_tags_clear(kv_remote_tags *it)
{
    if (it->mem) {
        kv_buf_clear(&it->mem->page.names);
        free(it->mem->page.next);
        free(it->mem);
    }
    /* Not all zero, so that end() can tell "ended before" from "no memory at begin". */
    *it = (kv_remote_tags){.tag = KV_SV("")};
}

kv_code kv_remote_tags_end(kv_remote_tags *it, kv_error *err)
{
    if (!it->mem) return it->tag.p ? KV_OK : kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_code code = it->mem->code;
    if (code != KV_OK && err) *err = it->mem->err;
    kv_remote_tags_clear(it);
    return code;
}

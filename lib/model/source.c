/* The local store as a source of ModelKits, and what is read from any source. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "codec/hasher.h"
#include "kitvault/model.h"

/* --- the store --- */

static kv_code store_manifest(void *ctx, const kv_reference *ref, kv_manifest **out, kv_error *err)
{
    kv_digest d;
    KV_TRY(kv_store_resolve(ctx, ref, &d, err));
    kv_code rc = kv_store_manifest(ctx, &d, out, err);
    /* Listed and gone is damage, not absence. */
    if (rc == KV_E_NOTFOUND) rc = kv_wrap(err, KV_E_CORRUPT, "local storage is damaged");
    return rc;
}

typedef struct file_stream {
    int fd;
} file_stream;

static kv_code file_read(void *ctx, void *dst, size_t n, size_t *out_n, kv_error *err)
{
    const file_stream *f = ctx;
    ssize_t got;
    do got = read(f->fd, dst, n);
    while (got < 0 && errno == EINTR);
    if (got < 0) return kv_fail_sys(err, "cannot read blob");
    *out_n = (size_t)got;
    return KV_OK;
}

static void file_close(void *ctx)
{
    file_stream *f = ctx;
    kv_close_fd(&f->fd);
    free(f);
}

static kv_code store_open(void *ctx, const kv_reference *ref, const kv_descriptor *d,
                          kv_kit_stream *out, kv_error *err)
{
    (void)ref;
    file_stream *f = malloc(sizeof(*f));
    if (!f) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_code rc = kv_store_open_blob(ctx, &d->digest, &f->fd, NULL, err);
    if (rc != KV_OK) {
        free(f);
        return rc;
    }
    *out = (kv_kit_stream){.read = file_read, .close = file_close, .ctx = f};
    return KV_OK;
}

kv_kit_source kv_store_source(kv_store *s)
{
    return (kv_kit_source){.manifest = store_manifest, .open = store_open, .ctx = s};
}

/* --- small blobs of any source --- */

static kv_code read_all(kv_kit_stream *s, kv_buf *out, kv_error *err)
{
    for (;;) {
        enum { STEP = 64 * 1024 };
        size_t before = out->n, got;
        char *p = kv_buf_extend(out, STEP);
        if (!p) return kv_buf_check(out, err);
        KV_TRY(s->read(s->ctx, p, STEP, &got, err));
        kv_buf_truncate(out, before + got);
        if (!got) return KV_OK;
    }
}

kv_code kv_kit_read(const kv_kit_source *src, const kv_reference *ref, const kv_descriptor *d,
                    size_t max, char **out, size_t *out_n, kv_error *err)
{
    kv_digest_text name = kv_digest_str(&d->digest);
    if (d->size > max)
        return kv_fail(err, KV_E_LIMIT, "blob %s of %llu bytes is too large", name.s,
                       (unsigned long long)d->size);
    kv_kit_stream s = {0};
    KV_TRY(src->open(src->ctx, ref, d, &s, err));
    kv_auto_buf text = KV_BUF(max + 64 * 1024); /* room for one read beyond the limit */
    kv_code rc = read_all(&s, &text, err);
    if (s.close) s.close(s.ctx);
    if (rc != KV_OK) return rc;
    kv_digest got = kv_digest_of(d->digest.alg, kv_buf_sv(&text));
    if (text.n != d->size || !kv_digest_eq(&got, &d->digest))
        return kv_fail(err, KV_E_DIGEST, "blob %s is damaged", name.s);
    *out_n = text.n;
    *out = kv_buf_take(&text);
    return *out ? KV_OK : kv_fail(err, KV_E_NOMEM, "out of memory");
}

kv_code kv_kit_kitfile_json(const kv_kit_source *src, const kv_reference *ref, const kv_manifest *m,
                            char **out, size_t *out_n, kv_error *err)
{
    kv_kit_kind kind = kv_manifest_kit_kind(m);
    if (kind == KV_KIT_NOT)
        return kv_fail(err, KV_E_UNSUPPORTED, "reference exists but is not a modelkit");
    if (kind == KV_KIT_MODELKIT && m->config.digest.alg)
        return kv_kit_read(src, ref, &m->config, KV_KITFILE_JSON_MAX, out, out_n, err);
    kv_sv text = kv_annotation_get(&m->annotations, KV_ANN_KITFILE);
    if (!text.p) return kv_fail(err, KV_E_NOTFOUND, "artifact does not contain a Kitfile");
    *out = kv_sv_dup(text);
    *out_n = text.n;
    return *out ? KV_OK : kv_fail(err, KV_E_NOMEM, "out of memory");
}

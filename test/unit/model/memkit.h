#pragma once
/* A source of ModelKits in memory, and archives made by hand, for tests of unpack. */
#include "codec/hasher.h"
#include "kitvault/model.h"
#include "tar/tar_write.h"
#include "test/tmpdir.h"

typedef struct memblob {
    char *p;
    size_t n;
    kv_digest digest; /* of what it should be: a test may change p */
    struct memblob *next;
} memblob;

/* One ModelKit of any reference; fail_after > 0: reading a blob fails behind that many bytes. */
typedef struct memkit {
    memblob *blobs;
    kv_manifest *m;
    size_t fail_after;
} memkit;

static inline void memkit_clear(memkit *k)
{
    while (k->blobs) {
        memblob *b = k->blobs;
        k->blobs = b->next;
        free(b->p);
        free(b);
    }
    kv_manifest_free(k->m);
    k->m = NULL;
}
#define auto_memkit KV_CLEANUP(memkit_clear) memkit

static inline kv_descriptor memkit_add(memkit *k, const char *media_type, kv_sv bytes)
{
    memblob *b = calloc(1, sizeof(*b));
    assert_non_null(b);
    b->p = kv_sv_dup(bytes);
    assert_non_null(b->p);
    b->n = bytes.n;
    b->digest = kv_digest_of(KV_SHA256, bytes);
    b->next = k->blobs;
    k->blobs = b;
    return (kv_descriptor){
        .media_type = kv_sv_of(media_type), .digest = b->digest, .size = bytes.n};
}

static inline void memkit_seal(memkit *k, const char *artifact_type, const kv_descriptor *config,
                               const kv_descriptor *layers, size_t n, kv_annotations annotations)
{
    kv_manifest_parts parts = KV_MANIFEST_PARTS_INIT;
    parts.artifact_type = kv_sv_of(artifact_type);
    parts.config = *config;
    parts.layers = layers;
    parts.n_layers = n;
    parts.annotations = annotations;
    kv_auto_str text = NULL;
    size_t text_n;
    assert_int_equal(kv_manifest_format(&parts, &text, &text_n, NULL), KV_OK);
    assert_int_equal(kv_manifest_parse((kv_sv){text, text_n}, KV_SV(""), &k->m, NULL), KV_OK);
}

static inline kv_code memkit_manifest(void *ctx, const kv_reference *ref, kv_manifest **out,
                                      kv_error *err)
{
    memkit *k = ctx;
    if (kv_sv_is(ref->tag, "absent")) return kv_fail(err, KV_E_NOTFOUND, "no such tag");
    if (kv_sv_is(ref->tag, "broken")) return kv_fail(err, KV_E_NETWORK, "line is dead");
    return kv_manifest_parse(k->m->bytes, KV_SV(""), out, err);
}

typedef struct memstream {
    const memkit *kit;
    const memblob *blob;
    size_t at;
} memstream;

static inline kv_code memstream_read(void *ctx, void *dst, size_t n, size_t *out_n, kv_error *err)
{
    memstream *s = ctx;
    if (s->kit->fail_after && s->at >= s->kit->fail_after)
        return kv_fail(err, KV_E_NETWORK, "line is dead");
    size_t left = s->blob->n - s->at, step = n < 100 ? n : 100;
    *out_n = left < step ? left : step;
    memcpy(dst, s->blob->p + s->at, *out_n);
    s->at += *out_n;
    return KV_OK;
}

static inline void memstream_close(void *ctx)
{
    free(ctx);
}

static inline kv_code memkit_open(void *ctx, const kv_reference *ref, const kv_descriptor *d,
                                  kv_kit_stream *out, kv_error *err)
{
    memkit *k = ctx;
    (void)ref;
    for (const memblob *b = k->blobs; b; b = b->next) {
        if (!kv_digest_eq(&b->digest, &d->digest)) continue;
        memstream *s = calloc(1, sizeof(*s));
        assert_non_null(s);
        *s = (memstream){.kit = k, .blob = b};
        *out = (kv_kit_stream){.read = memstream_read, .close = memstream_close, .ctx = s};
        return KV_OK;
    }
    return kv_fail(err, KV_E_NOTFOUND, "no such blob");
}

static inline kv_kit_source memkit_source(memkit *k)
{
    return (kv_kit_source){.manifest = memkit_manifest, .open = memkit_open, .ctx = k};
}

/* --- archives --- */

static inline void tar_add(kv_buf *out, const char *path, char type, unsigned mode, kv_sv content)
{
    size_t at = out->n;
    kv_tar_member m = {.path = kv_sv_of(path), .dir = type == '5', .mode = mode, .size = content.n};
    kv_tar_header(&m, out);
    assert_int_equal(out->failed, 0);
    if (type != '0' && type != '5') {
        char *h = out->p + at;
        h[156] = type;
        memcpy(h + 157, "target", 6);
        unsigned sum = 8 * ' ';
        for (int i = 0; i < 512; i++) sum += i >= 148 && i < 156 ? 0 : (uint8_t)h[i];
        snprintf(h + 148, 7, "%06o", sum);
    }
    kv_buf_add(out, content);
    char zeros[512] = {0};
    kv_buf_add(out, (kv_sv){zeros, kv_tar_padding(content.n)});
}

static inline void tar_end(kv_buf *out)
{
    char zeros[KV_TAR_END_BYTES] = {0};
    kv_buf_add(out, (kv_sv){zeros, sizeof(zeros)});
    assert_int_equal(out->failed, 0);
}

/*
 * A layout in an S3-compatible store: PREFIX/oci-layout, PREFIX/index.json, PREFIX/blobs/ALGORITHM/HEX.
 *
 * A large blob is uploaded in parts to its final key, where nothing is seen before the parts are joined;
 * that is done when all bytes had the digest. After each part PREFIX/uploads/HEX.state says how to go on:
 *   "KVS1 OFFSET PART_BYTES HASH_STATE_IN_HEX UPLOAD_ID"
 * Two processes that upload the same blob write the same parts; the one that is second to join them
 * finds the blob there. index.json is replaced on the condition that it is what was read.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "base/file.h"
#include "blob/s3.h"
#include "codec/hasher.h"
#include "codec/text.h"
#include "oci/image_layout.h"
#include "remote/oci_layout.h"

enum { KEY_MAX = 1024, STATE_MAX = 4096, BREAKS_MAX = 4, PARTS_WANTED_MAX = 9000 };
#define WHOLE_MAX KV_S3_PART_MIN /* smaller blobs are one request, from memory */
#define PART_BYTES (8u << 20)
#define MIB (1u << 20)

typedef struct s3_layout {
    kv_layout base;
    kv_s3 *s3;
    kv_http_options http;
    char *prefix; /* "" or "a/b/" */
    kv_buf etag;  /* of the index that was read; one change at a time */
} s3_layout;

static s3_layout *of(kv_layout *l)
{
    return (s3_layout *)(void *)l;
}

static kv_code key_of(const s3_layout *l, const char *name, kv_buf *out, kv_error *err)
{
    kv_buf_addf(out, "%s%s", l->prefix, name);
    return kv_buf_check(out, err);
}

static kv_code blob_key(const s3_layout *l, const kv_digest *d, kv_buf *out, kv_error *err)
{
    kv_digest_text text = kv_digest_str(d);
    kv_buf_addf(out, "%sblobs/%s/%s", l->prefix, kv_digest_alg_name(d->alg),
                text.s + strlen("sha256:"));
    return kv_buf_check(out, err);
}

static kv_code s3_get_index(kv_layout *base, kv_buf *out, kv_error *err)
{
    s3_layout *l = of(base);
    kv_auto_buf key = KV_BUF(KEY_MAX), etag = KV_BUF(KEY_MAX);
    KV_TRY(key_of(l, "index.json", &key, err));
    kv_buf_truncate(&l->etag, 0);
    KV_TRY(kv_s3_get(l->s3, key.p, out, &etag, err));
    kv_buf_add(&l->etag, kv_buf_sv(&etag));
    return kv_buf_check(&l->etag, err);
}

static kv_code s3_put_index(kv_layout *base, kv_sv text, kv_error *err)
{
    s3_layout *l = of(base);
    kv_auto_buf key = KV_BUF(KEY_MAX);
    KV_TRY(key_of(l, "index.json", &key, err));
    return kv_s3_put(l->s3, key.p, text, l->etag.n ? l->etag.p : "", err);
}

/* --- reading --- */

typedef struct s3_reader {
    kv_blob_reader base;
    kv_s3 *s3;
    pthread_mutex_t lock; /* all below: an answer that is read on while offsets follow each other */
    kv_http_response resp;
    bool open;
    uint64_t at;
    char key[];
} s3_reader;

static kv_code read_on(s3_reader *r, uint64_t off, char *dst, size_t n, size_t *out_n,
                       kv_error *err)
{
    if (!r->open || r->at != off) {
        kv_http_response_clear(&r->resp);
        r->open = false;
        KV_TRY(kv_s3_read_from(r->s3, r->key, off, &r->resp, err));
        r->open = true;
        r->at = off;
    }
    KV_TRY(kv_http_read(&r->resp, dst, n, out_n, err));
    r->at += *out_n;
    return *out_n ? KV_OK : kv_fail(err, KV_E_NETWORK, "S3 ended its answer early");
}

static kv_code read_all(s3_reader *r, uint64_t off, char *dst, size_t n, kv_error *err)
{
    unsigned breaks = 0;
    for (size_t done = 0; done < n;) {
        size_t got = 0;
        kv_error e = {0};
        kv_code rc = read_on(r, off + done, dst + done, n - done, &got, &e);
        if (rc == KV_OK) {
            done += got;
            continue;
        }
        /* A broken answer is asked for again from where it broke. */
        bool broke = r->open && (rc == KV_E_NETWORK || rc == KV_E_TIMEOUT);
        kv_http_response_clear(&r->resp);
        r->open = false;
        if (broke && ++breaks <= BREAKS_MAX) continue;
        if (err) *err = e;
        return rc;
    }
    return KV_OK;
}

static kv_code reader_read(kv_blob_reader *base, uint64_t off, void *dst, size_t n, kv_error *err)
{
    s3_reader *r = (s3_reader *)(void *)base;
    pthread_mutex_lock(&r->lock);
    kv_code rc = read_all(r, off, dst, n, err);
    pthread_mutex_unlock(&r->lock);
    return rc;
}

static void reader_close(kv_blob_reader *base)
{
    s3_reader *r = (s3_reader *)(void *)base;
    kv_http_response_clear(&r->resp);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

static kv_code s3_open(kv_layout *base, const kv_digest *d, kv_blob_reader **out, kv_error *err)
{
    static const kv_blob_reader_ops OPS = {.read = reader_read, .close = reader_close};
    const s3_layout *l = of(base);
    kv_auto_buf key = KV_BUF(KEY_MAX);
    uint64_t size;
    KV_TRY(blob_key(l, d, &key, err));
    KV_TRY(kv_s3_size(l->s3, key.p, &size, err));
    s3_reader *r = calloc(1, sizeof(*r) + key.n + 1);
    if (!r) return kv_fail(err, KV_E_NOMEM, "out of memory");
    r->base = (kv_blob_reader){.ops = &OPS, .size = size, .fd = -1};
    r->s3 = l->s3;
    pthread_mutex_init(&r->lock, NULL);
    memcpy(r->key, key.p, key.n + 1);
    *out = &r->base;
    return KV_OK;
}

/* --- writing --- */

static kv_code wrong_digest(const kv_digest *got, const kv_digest *want, kv_error *err)
{
    return kv_fail(err, KV_E_DIGEST, "content has digest %s, expected %s", kv_digest_str(got).s,
                   kv_digest_str(want).s);
}

static kv_code put_whole(const s3_layout *l, const char *key, const kv_digest *d,
                         const kv_http_source *source, kv_error *err)
{
    size_t size = (size_t)source->size;
    kv_auto_str bytes = malloc(size + 1);
    if (!bytes) return kv_fail(err, KV_E_NOMEM, "out of memory");
    for (size_t at = 0; at < size;) {
        size_t got;
        KV_TRY(source->read(source->ctx, at, bytes + at, size - at, &got, err));
        at += got;
    }
    kv_digest got = kv_digest_of(d->alg, (kv_sv){bytes, size});
    if (!kv_digest_eq(&got, d)) return wrong_digest(&got, d, err);
    return kv_s3_put(l->s3, key, (kv_sv){bytes, size}, NULL, err);
}

typedef struct upload {
    const s3_layout *layout;
    const char *key;
    const kv_digest *digest;
    const kv_http_source *source;
    kv_buf state_key, id, parts; /* parts: for the joining */
    uint64_t part_bytes, offset; /* offset: of what is uploaded */
    kv_hasher hasher;            /* of the first `hashed` bytes */
    uint64_t hashed;
    unsigned n; /* parts that are uploaded */
} upload;

static void upload_clear(upload *u)
{
    kv_buf_clear(&u->state_key);
    kv_buf_clear(&u->id);
    kv_buf_clear(&u->parts);
}
#define auto_upload KV_CLEANUP(upload_clear) upload

static kv_code save(const upload *u, kv_error *err)
{
    uint8_t state[KV_HASHER_STATE_MAX];
    kv_auto_buf text = KV_BUF(STATE_MAX);
    size_t n = kv_hasher_save(&u->hasher, state);
    kv_buf_addf(&text, "KVS1 %llu %llu ", (unsigned long long)u->offset,
                (unsigned long long)u->part_bytes);
    kv_hex_add(&text, state, n);
    kv_buf_addf(&text, " %s", u->id.p);
    KV_TRY(kv_buf_check(&text, err));
    return kv_s3_put(u->layout->s3, u->state_key.p, kv_buf_sv(&text), NULL, err);
}

static bool parse_state(upload *u, kv_sv text)
{
    kv_sv magic, offset, part, hash;
    uint8_t state[KV_HASHER_STATE_MAX];
    text = kv_sv_cut(text, ' ', &magic, NULL);
    text = kv_sv_cut(text, ' ', &offset, NULL);
    text = kv_sv_cut(text, ' ', &part, NULL);
    text = kv_sv_cut(text, ' ', &hash, NULL);
    if (!kv_sv_is(magic, "KVS1") || !kv_sv_to_u64(offset, &u->offset) ||
        !kv_sv_to_u64(part, &u->part_bytes) || u->part_bytes < KV_S3_PART_MIN)
        return false;
    if (u->offset > u->source->size || u->offset % u->part_bytes || hash.n % 2 ||
        hash.n / 2 > sizeof(state) || !kv_hex_parse(hash, state, hash.n / 2))
        return false;
    if (kv_hasher_load(&u->hasher, (kv_sv){(char *)state, hash.n / 2}, NULL) != KV_OK ||
        u->hasher.alg != u->digest->alg || !text.n)
        return false;
    u->hashed = u->offset;
    kv_buf_add(&u->id, text);
    return !u->id.failed;
}

/* Parts that are there, up to the saved offset. */
static kv_code take_part(void *ctx, unsigned n, kv_sv etag, uint64_t size, kv_error *err)
{
    upload *u = ctx;
    if (u->n * u->part_bytes >= u->offset) return KV_OK; /* comes again */
    if (n != u->n + 1 || size != u->part_bytes)
        return kv_fail(err, KV_E_CORRUPT, "the upload has other parts than its state says");
    u->n = n;
    kv_s3_part_add(&u->parts, n, etag);
    return kv_buf_check(&u->parts, err);
}

static bool resume(upload *u)
{
    kv_s3 *s3 = u->layout->s3;
    kv_auto_buf text = KV_BUF(STATE_MAX);
    return kv_s3_get(s3, u->state_key.p, &text, NULL, NULL) == KV_OK &&
           parse_state(u, kv_buf_sv(&text)) &&
           kv_s3_upload_each(s3, u->key, u->id.p, take_part, u, NULL) == KV_OK &&
           u->n * u->part_bytes == u->offset;
}

static kv_code begin(upload *u, kv_error *err)
{
    if (resume(u)) return KV_OK;
    uint64_t least = u->source->size / PARTS_WANTED_MAX;
    u->part_bytes = least < PART_BYTES ? PART_BYTES : (least / MIB + 1) * MIB;
    u->offset = u->hashed = 0;
    u->n = 0;
    kv_buf_truncate(&u->id, 0);
    kv_buf_truncate(&u->parts, 0);
    kv_hasher_init(&u->hasher, u->digest->alg);
    return kv_s3_upload_begin(u->layout->s3, u->key, &u->id, err);
}

/* The bytes of one part; a request that is tried again reads them again, and they are hashed once. */
static kv_code read_part(void *ctx, uint64_t off, void *dst, size_t n, size_t *out_n, kv_error *err)
{
    upload *u = ctx;
    uint64_t at = u->offset + off;
    if (at > u->hashed) return kv_fail(err, KV_E_INTERNAL, "a part is not read in order");
    KV_TRY(u->source->read(u->source->ctx, at, dst, n, out_n, err));
    uint64_t end = at + *out_n, known = u->hashed - at;
    if (end <= u->hashed) return KV_OK;
    kv_hasher_add(&u->hasher, (const char *)dst + known, *out_n - (size_t)known);
    u->hashed = end;
    return KV_OK;
}

static kv_code send_parts(upload *u, kv_error *err)
{
    while (u->offset < u->source->size) {
        uint64_t left = u->source->size - u->offset;
        uint64_t size = left < u->part_bytes ? left : u->part_bytes;
        kv_http_source part = {.read = read_part, .ctx = u, .size = size};
        kv_auto_buf etag = KV_BUF(KEY_MAX);
        KV_TRY(kv_s3_upload_part(u->layout->s3, u->key, u->id.p, u->n + 1, &part, &etag, err));
        if (u->hashed != u->offset + size)
            return kv_fail(err, KV_E_PROTOCOL, "S3 took a part without reading it");
        u->n++;
        u->offset += size;
        kv_s3_part_add(&u->parts, u->n, kv_buf_sv(&etag));
        KV_TRY(kv_buf_check(&u->parts, err));
        if (size == u->part_bytes) KV_TRY(save(u, err));
        kv_crash_point("s3.after-part");
    }
    return KV_OK;
}

static kv_code join(upload *u, kv_error *err)
{
    kv_s3 *s3 = u->layout->s3;
    kv_error e = {0};
    uint64_t size;
    kv_code rc = kv_s3_upload_complete(s3, u->key, u->id.p, kv_buf_sv(&u->parts), &e);
    /* The answer to a first try may have been lost, or another process was faster. */
    if (rc == KV_E_NOTFOUND && kv_s3_size(s3, u->key, &size, NULL) == KV_OK &&
        size == u->source->size)
        rc = KV_OK;
    if (rc != KV_OK && err) *err = e;
    return rc;
}

/* *out_over: nothing is left to go on with. */
static kv_code put_parts(upload *u, bool *out_resumed, bool *out_over, kv_error *err)
{
    *out_over = false;
    KV_TRY(begin(u, err));
    *out_resumed = u->offset > 0;
    KV_TRY(send_parts(u, err));
    kv_digest got;
    kv_hasher_end(&u->hasher, &got);
    *out_over = true;
    if (kv_digest_eq(&got, u->digest)) return join(u, err);
    kv_code ignored = kv_s3_upload_abort(u->layout->s3, u->key, u->id.p, NULL);
    (void)ignored; /* what is left over is nowhere to be seen */
    return wrong_digest(&got, u->digest, err);
}

static kv_code put_large(const s3_layout *l, const char *key, const kv_digest *d,
                         const kv_http_source *source, bool *out_again, kv_error *err)
{
    auto_upload u = {.layout = l, .key = key, .digest = d, .source = source};
    u.state_key = u.id = KV_BUF(STATE_MAX);
    u.parts = KV_BUF(KV_S3_DOCUMENT_MAX);
    kv_digest_text text = kv_digest_str(d);
    kv_buf_addf(&u.state_key, "%suploads/%s.state", l->prefix, text.s + strlen("sha256:"));
    KV_TRY(kv_buf_check(&u.state_key, err));
    bool resumed = false, over;
    kv_code rc = put_parts(&u, &resumed, &over, err);
    if (over) {
        kv_code ignored = kv_s3_drop(l->s3, u.state_key.p, NULL);
        (void)ignored; /* a state without its upload is passed over */
    }
    *out_again = rc == KV_E_DIGEST && resumed;
    return rc;
}

static kv_code s3_put_blob(kv_layout *base, const kv_digest *d, const kv_http_source *source,
                           kv_error *err)
{
    const s3_layout *l = of(base);
    kv_auto_buf key = KV_BUF(KEY_MAX);
    KV_TRY(blob_key(l, d, &key, err));
    if (source->size <= WHOLE_MAX) return put_whole(l, key.p, d, source, err);
    bool again;
    kv_error e = {0};
    kv_code rc = put_large(l, key.p, d, source, &again, &e);
    /* The fault may lie in what a former try left there; that is gone now. */
    if (again) rc = put_large(l, key.p, d, source, &again, &e);
    if (rc != KV_OK && err) *err = e;
    return rc;
}

/* --- opening --- */

static void s3_free(kv_layout *base)
{
    s3_layout *l = of(base);
    kv_s3_close(l->s3);
    kv_buf_clear(&l->etag);
    free(l->prefix);
    free(base->name);
    free(l);
}

static const kv_layout_ops S3_OPS = {
    .get_index = s3_get_index,
    .put_index = s3_put_index,
    .open = s3_open,
    .put_blob = s3_put_blob,
    .free = s3_free,
};

/* "BUCKET/a/b/" to "BUCKET" and "a/b/"; a key with "." or ".." as a part would not reach the store. */
static kv_code split_location(const char *location, char **bucket, char **prefix, kv_error *err)
{
    kv_sv name, rest = kv_sv_cut(kv_sv_of(location), '/', &name, NULL);
    while (kv_sv_ends(rest, KV_SV("/"))) rest.n--;
    kv_auto_buf clean = KV_BUF(KEY_MAX), p = KV_BUF(KEY_MAX);
    kv_path_clean(rest, &clean);
    if (rest.n && (!kv_path_is_local(rest) || !kv_sv_eq(kv_buf_sv(&clean), rest) || rest.n > 512))
        return kv_fail(err, KV_E_ARG, "'s3://%s' has a prefix that is none", location);
    kv_buf_add(&p, rest);
    if (rest.n) kv_buf_addc(&p, '/');
    *bucket = kv_sv_dup(name);
    *prefix = kv_buf_take(&p);
    return *bucket && *prefix ? KV_OK : kv_fail(err, KV_E_NOMEM, "out of memory");
}

/* A prefix that is new becomes a layout. */
static kv_code ensure_layout(const s3_layout *l, bool write, kv_error *err)
{
    kv_auto_buf key = KV_BUF(KEY_MAX), text = KV_BUF(STATE_MAX);
    KV_TRY(key_of(l, KV_IMAGE_LAYOUT_FILE, &key, err));
    kv_error e = {0};
    kv_code rc = kv_s3_get(l->s3, key.p, &text, NULL, &e);
    if (rc == KV_E_NOTFOUND && write)
        return kv_s3_put(l->s3, key.p, KV_SV(KV_IMAGE_LAYOUT_TEXT), NULL, err);
    if (rc == KV_OK) return KV_OK;
    if (err) *err = e;
    return rc == KV_E_NOTFOUND ? kv_wrap(err, rc, "%s is no OCI image layout", l->base.name) : rc;
}

static kv_code open_it(s3_layout *l, const char *location, bool write,
                       const kv_remote_options *network, kv_error *err)
{
    kv_auto_str bucket = NULL;
    KV_TRY(split_location(location, &bucket, &l->prefix, err));
    if (asprintf(&l->base.name, "s3://%s", location) < 0) {
        l->base.name = NULL;
        return kv_fail(err, KV_E_NOMEM, "out of memory");
    }
    kv_auto_s3_config config = {0};
    KV_TRY(kv_s3_config_load(bucket, &config, err));
    l->http = kv_remote_http_options(network, NULL);
    KV_TRY(kv_s3_open(&config, &l->http, &l->s3, err));
    return ensure_layout(l, write, err);
}

kv_code kv_layout_open_s3(const char *location, bool write, const kv_remote_options *network,
                          kv_layout **out, kv_error *err)
{
    s3_layout *l = calloc(1, sizeof(*l));
    if (!l) return kv_fail(err, KV_E_NOMEM, "out of memory");
    l->base.ops = &S3_OPS;
    l->etag = KV_BUF(KEY_MAX);
    kv_code rc = open_it(l, location, write, network, err);
    if (rc == KV_OK)
        *out = &l->base;
    else
        s3_free(&l->base);
    return rc;
}

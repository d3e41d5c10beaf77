/* The wrappers: argument checks, hashing, and the form of a saved upload. Backends move bytes. */
#include "blob/blob.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

enum { REREAD_STEP = 1 << 20, ID_MAX = 64 };

static kv_code check_id(const char *id, kv_error *err)
{
    size_t n = strlen(id);
    bool ok = n > 0 && n <= ID_MAX;
    for (size_t i = 0; i < n && ok; i++)
        ok = (id[i] >= 'a' && id[i] <= 'z') || (id[i] >= '0' && id[i] <= '9') || id[i] == '-';
    return ok ? KV_OK : kv_fail(err, KV_E_ARG, "upload id is not of the form [a-z0-9-]{1,64}");
}

/* --- reading --- */

kv_code kv_blobs_open(kv_blobs *b, const kv_digest *d, kv_blob_reader **out, kv_error *err)
{
    *out = NULL;
    assert(d->alg == KV_SHA256 || d->alg == KV_SHA512);
    return b->ops->open(b, d, out, err);
}

kv_code kv_blobs_stat(kv_blobs *b, const kv_digest *d, uint64_t *out_size, kv_error *err)
{
    kv_auto(kv_blob_reader) r = NULL;
    KV_TRY(kv_blobs_open(b, d, &r, err));
    *out_size = r->size;
    return KV_OK;
}

kv_code kv_blob_read(kv_blob_reader *r, uint64_t off, void *dst, size_t n, kv_error *err)
{
    uint64_t end;
    if (kv_ckd_add(&end, off, (uint64_t)n) || end > r->size)
        return kv_fail(err, KV_E_RANGE, "bytes %llu to %llu of a blob of %llu bytes",
                       (unsigned long long)off, (unsigned long long)end,
                       (unsigned long long)r->size);
    return n ? r->ops->read(r, off, dst, n, err) : KV_OK;
}

uint64_t kv_blob_size(const kv_blob_reader *r)
{
    return r->size;
}

int kv_blob_fd(const kv_blob_reader *r)
{
    return r->fd;
}

void kv_blob_close(kv_blob_reader *r)
{
    if (r) r->ops->close(r);
}

kv_code kv_blobs_get(kv_blobs *b, const kv_digest *d, kv_buf *out, kv_error *err)
{
    kv_auto(kv_blob_reader) r = NULL;
    KV_TRY(kv_blobs_open(b, d, &r, err));
    if (r->size > out->max - out->n)
        return kv_fail(err, KV_E_LIMIT, "blob %s has %llu bytes", kv_digest_str(d).s,
                       (unsigned long long)r->size);
    size_t before = out->n, n = (size_t)r->size;
    char *p = kv_buf_extend(out, n);
    if (!p) return kv_buf_check(out, err);
    kv_code rc = kv_blob_read(r, 0, p, n, err);
    kv_digest got = kv_digest_of(d->alg, (kv_sv){p, n});
    if (rc == KV_OK && !kv_digest_eq(&got, d))
        rc = kv_fail(err, KV_E_DIGEST, "blob %s is damaged", kv_digest_str(d).s);
    if (rc != KV_OK) kv_buf_truncate(out, before);
    return rc;
}

/* --- writing --- */

kv_code kv_blob_begin(kv_blobs *b, const char *id, kv_digest_alg alg, kv_blob_writer **out,
                      kv_error *err)
{
    *out = NULL;
    KV_TRY(check_id(id, err));
    KV_TRY(b->ops->begin(b, id, out, err));
    kv_hasher_init(&(*out)->hashing.hasher, alg);
    (*out)->offset = 0;
    return KV_OK;
}

kv_code kv_blob_append(kv_blob_writer *w, const void *p, size_t n, kv_error *err)
{
    if (n == 0) return KV_OK;
    uint64_t end;
    if (kv_ckd_add(&end, w->offset, (uint64_t)n) || end > INT64_MAX)
        return kv_fail(err, KV_E_LIMIT, "blob is larger than 2^63-1 bytes");
    kv_hashing_add(&w->hashing, p, n); /* first: aside it is hashed while it is written */
    KV_TRY(w->ops->append(w, p, n, err));
    w->offset = end;
    return KV_OK;
}

void kv_blob_hash_aside(kv_blob_writer *w)
{
    kv_hashing_aside(&w->hashing);
}

kv_code kv_blob_expect(kv_blob_writer *w, uint64_t n, kv_error *err)
{
    uint64_t end;
    if (kv_ckd_add(&end, w->offset, n) || end > INT64_MAX)
        return kv_fail(err, KV_E_LIMIT, "blob is larger than 2^63-1 bytes");
    return n && w->ops->expect ? w->ops->expect(w, n, err) : KV_OK;
}

uint64_t kv_blob_offset(const kv_blob_writer *w)
{
    return w->offset;
}

/* A saved upload: "KVB1", u64le offset, u8 length of the digest state, that state, then whatever
 * the backend's sync() added. */
static const char MAGIC[4] = {'K', 'V', 'B', '1'};

kv_code kv_blob_save(kv_blob_writer *w, kv_buf *state, kv_error *err)
{
    uint8_t hash[KV_HASHER_STATE_MAX], head[9];
    size_t n = kv_hasher_save(kv_hashing_join(&w->hashing), hash);
    static_assert(KV_HASHER_STATE_MAX <= 256, "its length fits one byte, none is 256");
    for (size_t i = 0; i < 8; i++) head[i] = (uint8_t)(w->offset >> (8 * i));
    head[8] = (uint8_t)n;
    kv_buf_add(state, (kv_sv){MAGIC, sizeof(MAGIC)});
    kv_buf_add(state, (kv_sv){(const char *)head, sizeof(head)});
    kv_buf_add(state, (kv_sv){(const char *)hash, n});
    kv_code rc = w->ops->sync(w, state, err);
    w->ops->release(w, false);
    return rc != KV_OK ? rc : kv_buf_check(state, err);
}

kv_code kv_blob_resume(kv_blobs *b, const char *id, kv_sv state, kv_blob_writer **out,
                       kv_error *err)
{
    *out = NULL;
    KV_TRY(check_id(id, err));
    kv_rd rd = {.p = state.p, .left = state.n};
    kv_sv magic = kv_rd_take(&rd, sizeof(MAGIC));
    uint64_t offset = kv_rd_u64le(&rd);
    kv_sv hash = kv_rd_take(&rd, kv_rd_u8(&rd));
    kv_hasher hasher;
    if (rd.bad || !kv_sv_eq(magic, (kv_sv){MAGIC, sizeof(MAGIC)}) || offset > INT64_MAX)
        return kv_fail(err, KV_E_CORRUPT, "stored upload state is damaged");
    KV_TRY(kv_hasher_load(&hasher, hash, err));
    KV_TRY(b->ops->resume(b, id, (kv_sv){rd.p, rd.left}, offset, out, err));
    (*out)->hashing.hasher = hasher;
    (*out)->offset = offset;
    return KV_OK;
}

/* Hashes the staged bytes once more, with another algorithm. */
static kv_code rehash(kv_blob_writer *w, kv_digest_alg alg, kv_digest *out, kv_error *err)
{
    kv_hasher h;
    kv_hasher_init(&h, alg);
    kv_auto_str buf = malloc(REREAD_STEP);
    if (!buf) return kv_fail(err, KV_E_NOMEM, "out of memory");
    for (uint64_t off = 0; off < w->offset;) {
        size_t n = w->offset - off < REREAD_STEP ? (size_t)(w->offset - off) : REREAD_STEP;
        KV_TRY(w->ops->reread(w, off, buf, n, err));
        kv_hasher_add(&h, buf, n);
        off += n;
    }
    kv_hasher_end(&h, out);
    return KV_OK;
}

static kv_code verify(kv_blob_writer *w, const kv_digest *expected, kv_digest *out, kv_error *err)
{
    kv_hasher *running = kv_hashing_join(&w->hashing);
    if (!expected || expected->alg == running->alg)
        kv_hasher_end(running, out);
    else
        KV_TRY(rehash(w, expected->alg, out, err));
    if (expected && !kv_digest_eq(out, expected))
        return kv_fail(err, KV_E_DIGEST, "content has digest %s, expected %s", kv_digest_str(out).s,
                       kv_digest_str(expected).s);
    return KV_OK;
}

kv_code kv_blob_commit(kv_blob_writer *w, const kv_digest *expected, kv_digest *out, kv_error *err)
{
    kv_digest got;
    kv_code rc = verify(w, expected, &got, err);
    if (rc == KV_OK) rc = w->ops->finish(w, &got, err);
    w->ops->release(w, rc != KV_OK);
    if (rc == KV_OK && out) *out = got;
    return rc;
}

void kv_blob_abort(kv_blob_writer *w)
{
    if (!w) return;
    (void)kv_hashing_join(&w->hashing);
    w->ops->release(w, true);
}

kv_code kv_blobs_put(kv_blobs *b, const kv_digest *d, kv_sv bytes, kv_error *err)
{
    char id[KV_UUID_MAX];
    kv_uuid4(id);
    kv_blob_writer *w = NULL;
    KV_TRY(kv_blob_begin(b, id, d->alg, &w, err));
    kv_code rc = kv_blob_append(w, bytes.p, bytes.n, err);
    if (rc != KV_OK) {
        kv_blob_abort(w);
        return rc;
    }
    return kv_blob_commit(w, d, NULL, err);
}

kv_code kv_blobs_forget(kv_blobs *b, const char *id, kv_error *err)
{
    KV_TRY(check_id(id, err));
    return b->ops->forget(b, id, err);
}

/* --- the rest --- */

kv_code kv_blobs_drop(kv_blobs *b, const kv_digest *d, kv_error *err)
{
    return b->ops->drop(b, d, err);
}

kv_code kv_blobs_each(kv_blobs *b, kv_blob_fn *fn, void *ctx, kv_error *err)
{
    return b->ops->each(b, fn, ctx, err);
}

void kv_blobs_free(kv_blobs *b)
{
    if (b) b->ops->free(b);
}

/* A blob's way into a layout: read, hashed, appended, and every now and then saved. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "remote/oci_layout.h"

enum { STEP_BYTES = 1 << 20, ID_MAX = 64 };

typedef struct upload {
    kv_blobs *blobs;
    const kv_upload_states *states; /* NULL: nothing is kept */
    const kv_digest *digest;
    const kv_http_source *source;
    char id[ID_MAX + 1];
    kv_blob_writer *writer;
    uint64_t saved; /* offset of the last state */
    bool resumed;   /* begun by another try */
} upload;

static void name_upload(upload *u)
{
    if (!u->states) {
        kv_uuid4(u->id);
        return;
    }
    kv_digest_text text = kv_digest_str(u->digest);
    memcpy(u->id, text.s + strlen("sha256:"), ID_MAX); /* of sha512 half of it, which is enough */
}

/* Goes on where a state says, if there is one that fits. */
static bool resume(upload *u)
{
    kv_auto_buf state = KV_BUF(KV_BLOB_STATE_MAX);
    if (!u->states || u->states->get(u->states->ctx, u->id, &state, NULL) != KV_OK) return false;
    if (kv_blob_resume(u->blobs, u->id, kv_buf_sv(&state), &u->writer, NULL) != KV_OK) return false;
    if (kv_blob_offset(u->writer) <= u->source->size) return true;
    kv_blob_abort(u->writer);
    u->writer = NULL;
    return false;
}

static kv_code begin(upload *u, kv_error *err)
{
    if (!resume(u)) {
        if (u->states) {
            KV_TRY(u->states->drop(u->states->ctx, u->id, err));
            KV_TRY(kv_blobs_forget(u->blobs, u->id, err)); /* of a process that was killed */
        }
        KV_TRY(kv_blob_begin(u->blobs, u->id, u->digest->alg, &u->writer, err));
    }
    u->saved = kv_blob_offset(u->writer);
    u->resumed = u->saved > 0;
    return KV_OK;
}

/* The writer is gone afterwards, whatever happens. */
static kv_code save(upload *u, kv_error *err)
{
    kv_auto_buf state = KV_BUF(KV_BLOB_STATE_MAX);
    u->saved = kv_blob_offset(u->writer);
    kv_blob_writer *w = KV_TAKE(u->writer);
    KV_TRY(kv_blob_save(w, &state, err));
    return u->states->put(u->states->ctx, u->id, kv_buf_sv(&state), err);
}

static kv_code checkpoint(upload *u, kv_error *err)
{
    if (!u->states || kv_blob_offset(u->writer) - u->saved < u->states->every) return KV_OK;
    KV_TRY(save(u, err));
    if (!resume(u))
        return kv_fail(err, KV_E_INTERNAL, "the upload that was just saved cannot be resumed");
    return kv_blob_expect(u->writer, u->source->size - kv_blob_offset(u->writer), err);
}

/* *out_failed_write: bytes may have been taken in part, so nothing can be saved. */
static kv_code send_all(upload *u, void *block, bool *out_failed_write, kv_error *err)
{
    uint64_t size = u->source->size;
    *out_failed_write = true;
    KV_TRY(kv_blob_expect(u->writer, size - kv_blob_offset(u->writer), err));
    for (uint64_t at; (at = kv_blob_offset(u->writer)) < size;) {
        size_t n = size - at < STEP_BYTES ? (size_t)(size - at) : STEP_BYTES, got = 0;
        *out_failed_write = false;
        KV_TRY(u->source->read(u->source->ctx, at, block, n, &got, err));
        *out_failed_write = true;
        KV_TRY(kv_blob_append(u->writer, block, got, err));
        KV_TRY(checkpoint(u, err));
    }
    return KV_OK;
}

static kv_code run(upload *u, kv_error *err)
{
    kv_auto_str block = malloc(STEP_BYTES);
    if (!block) return kv_fail(err, KV_E_NOMEM, "out of memory");
    KV_TRY(begin(u, err));
    bool failed_write;
    kv_code rc = send_all(u, block, &failed_write, err);
    if (rc == KV_OK) return kv_blob_commit(KV_TAKE(u->writer), u->digest, NULL, err);
    if (!u->writer) return rc;
    if (failed_write || !u->states || kv_blob_offset(u->writer) == 0) {
        kv_blob_abort(KV_TAKE(u->writer));
    } else {
        kv_code ignored = save(u, NULL); /* the failure is told; what cannot be kept comes again */
        (void)ignored;
    }
    return rc;
}

kv_code kv_layout_upload(kv_blobs *blobs, const kv_upload_states *states, const kv_digest *d,
                         const kv_http_source *source, kv_error *err)
{
    upload u = {.blobs = blobs, .states = states, .digest = d, .source = source};
    name_upload(&u);
    kv_error e = {0};
    kv_code rc = run(&u, &e);
    /* The fault may lie in what a former try left there; that is gone now. */
    if (rc == KV_E_DIGEST && u.resumed && states->drop(states->ctx, u.id, NULL) == KV_OK)
        rc = run(&u, &e);
    bool over = rc == KV_OK || rc == KV_E_DIGEST;
    if (states && over) {
        kv_code ignored = states->drop(states->ctx, u.id,
                                       NULL); /* a state without bytes is harmless */
        (void)ignored;
    }
    if (rc != KV_OK && err) *err = e;
    return rc;
}

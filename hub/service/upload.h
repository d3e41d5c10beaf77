#pragma once
/*
 * Uploads: bytes on their way to becoming a blob of a repository.
 *
 * An upload is a row and staged bytes. While requests come it is also held open in memory, so that
 * many small chunks cost no reopening; it is saved (bytes durable, hash state in the row) when it
 * is worth it, when too many are open, when nobody came for a while, and when the hub stops. After
 * a crash it goes on from what was saved; asking for its state tells from where.
 */
#include "hub/service/registry.h"

#define KV_UPLOADS_PER_PRINCIPAL 1000 /* own */
#define KV_UPLOAD_EXPIRES_US (24 * 3600 * INT64_C(1000000))

typedef struct kv_upload kv_upload; /* one upload, held by one request */

typedef struct kv_upload_state {
    char id[KV_UUID_MAX];
    uint64_t offset; /* bytes received */
} kv_upload_state;

/** Starts one. alg is hashed while bytes arrive. Errors: KV_E_LIMIT (too many at once). */
KV_MUST_CHECK kv_code kv_upload_start(kv_registry *reg, const kv_principal *who, kv_sv repository,
                                      kv_digest_alg alg, kv_upload_state *out, kv_error *err);
/** Where it stands; waits a moment for a request that is writing. Errors: KV_E_NOTFOUND. */
KV_MUST_CHECK kv_code kv_upload_ask(kv_registry *reg, const kv_principal *who, kv_sv repository,
                                    kv_sv id, kv_upload_state *out, kv_error *err);
/** Forgets it. Errors: KV_E_NOTFOUND, KV_E_BUSY (a request is writing). */
KV_MUST_CHECK kv_code kv_upload_cancel(kv_registry *reg, const kv_principal *who, kv_sv repository,
                                       kv_sv id, kv_error *err);

/** Takes it for one request. Errors: KV_E_NOTFOUND (none, not of this repository or not of this
 * principal), KV_E_BUSY (another request writes, and does not end soon). */
KV_MUST_CHECK kv_code kv_upload_open(kv_registry *reg, const kv_principal *who, kv_sv repository,
                                     kv_sv id, kv_upload **out, kv_error *err);
uint64_t kv_upload_offset(const kv_upload *u);
const char *kv_upload_id(const kv_upload *u);
/** Says that n bytes are to come, so that a disk that is too small for them fails now. On failure
 * the upload is gone. Errors: KV_E_NOSPACE, KV_E_LIMIT. */
KV_MUST_CHECK kv_code kv_upload_expect(kv_upload *u, uint64_t n, kv_error *err);
/** On failure the upload is gone, and its bytes: a disk that is full gets them back. */
KV_MUST_CHECK kv_code kv_upload_append(kv_upload *u, const void *p, size_t n, kv_error *err);
/** Gives it back, saved when enough came since the last time. Errors: it could not be saved, and
 * is gone. */
KV_MUST_CHECK kv_code kv_upload_keep(kv_upload *u, kv_error *err);
/** The same where nobody can be told. NULL is fine. */
void kv_upload_release(kv_upload *u);
KV_DEFINE_AUTO(kv_upload, kv_upload_release)
/** Forgets it, whatever was received. */
void kv_upload_abort(kv_upload *u);
/** Makes it a blob of its repository and releases u whatever happens; on failure it is gone.
 * Errors: KV_E_DIGEST. */
KV_MUST_CHECK kv_code kv_upload_finish(kv_upload *u, const kv_principal *who, const kv_digest *d,
                                       kv_error *err);

/** Saves what nobody came for in idle_us and forgets what expired; called now and then. */
KV_MUST_CHECK kv_code kv_upload_sweep(kv_registry *reg, uint64_t idle_us, kv_error *err);

/* For registry.c. */
struct kv_sessions *kv_sessions_new(void);
void kv_sessions_free(kv_registry *reg);

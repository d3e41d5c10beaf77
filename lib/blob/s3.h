#pragma once
/*
 * Objects of one bucket in an S3-compatible store, by the part of the API that blobs need: whole small
 * objects, ranges, and uploads in parts that another process can go on with.
 * Source: Amazon S3 API reference; oci-registry.md 10.
 */
#include "blob/s3_config.h"
#include "http/http.h"

#define KV_S3_PART_MIN (5u << 20) /* bytes of a part that is not the last */
#define KV_S3_PARTS_MAX 10000u
#define KV_S3_DOCUMENT_MAX (4u << 20) /* an answer in XML; 1000 parts of a list are some 200 KiB */

typedef struct kv_s3 kv_s3;
/**
 * config is taken over (and zeroed) also on failure; http is borrowed but for its transport. Over plain
 * HTTP to another machine a session token would be readable: refused unless http says plain_http.
 * Errors: KV_E_ARG (no keys, no bucket), KV_E_DENIED. Threads: shared.
 */
KV_MUST_CHECK kv_code kv_s3_open(kv_s3_config *config, const kv_http_options *http, kv_s3 **out,
                                 kv_error *err);
void kv_s3_close(kv_s3 *s);
KV_DEFINE_AUTO(kv_s3, kv_s3_close)

/* Keys are of [A-Za-z0-9._/-] here or percent-encoded by the client; a missing object, bucket or
 * upload is KV_E_NOTFOUND. */
KV_MUST_CHECK kv_code kv_s3_size(kv_s3 *s, const char *key, uint64_t *out, kv_error *err);
/** A whole object; etag (may be NULL) gets its version for kv_s3_put. Errors: KV_E_LIMIT. */
KV_MUST_CHECK kv_code kv_s3_get(kv_s3 *s, const char *key, kv_buf *out, kv_buf *etag,
                                kv_error *err);
/** Begins to read at a byte offset; read on with kv_http_read. */
KV_MUST_CHECK kv_code kv_s3_read_from(kv_s3 *s, const char *key, uint64_t offset,
                                      kv_http_response *resp, kv_error *err);
/**
 * Replaces an object as a whole. etag: it must still be that version, "": there must be none yet, NULL:
 * whatever is there. Errors: KV_E_BUSY (somebody else was faster).
 */
KV_MUST_CHECK kv_code kv_s3_put(kv_s3 *s, const char *key, kv_sv bytes, const char *etag,
                                kv_error *err);
/** A missing one is fine. */
KV_MUST_CHECK kv_code kv_s3_drop(kv_s3 *s, const char *key, kv_error *err);

/* --- uploads in parts: the object appears, whole, with complete --- */

KV_MUST_CHECK kv_code kv_s3_upload_begin(kv_s3 *s, const char *key, kv_buf *out_upload,
                                         kv_error *err);
/** Part number n (from 1); replaces one that was there. etag is appended. */
KV_MUST_CHECK kv_code kv_s3_upload_part(kv_s3 *s, const char *key, const char *upload, unsigned n,
                                        const kv_http_source *source, kv_buf *etag, kv_error *err);
/** Every part that is stored, in the order of numbers. */
typedef kv_code kv_s3_part_fn(void *ctx, unsigned n, kv_sv etag, uint64_t size, kv_error *err);
KV_MUST_CHECK kv_code kv_s3_upload_each(kv_s3 *s, const char *key, const char *upload,
                                        kv_s3_part_fn *fn, void *ctx, kv_error *err);
/** parts: kv_s3_part_add for each, in order. */
KV_MUST_CHECK kv_code kv_s3_upload_complete(kv_s3 *s, const char *key, const char *upload,
                                            kv_sv parts, kv_error *err);
void kv_s3_part_add(kv_buf *parts, unsigned n, kv_sv etag);
/** Forgets an upload and its parts; a missing one is fine. */
KV_MUST_CHECK kv_code kv_s3_upload_abort(kv_s3 *s, const char *key, const char *upload,
                                         kv_error *err);

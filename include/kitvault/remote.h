#pragma once
/*
 * Where kits go and come from. A remote is one repository somewhere else; today in an OCI registry.
 * References inside a remote are its last part alone: a tag, or a digest as text.
 */
#include "kitvault/credentials.h"
#include "kitvault/manifest.h"
#include "kitvault/model.h"
#include "kitvault/reference.h"
#include "kitvault/report.h"

struct kv_store;

/** How to reach a remote; all pointers are borrowed and must outlive the remote. */
typedef struct kv_remote_options {
    size_t size;     /* KV_REMOTE_OPTIONS_INIT */
    bool plain_http; /* speak HTTP, and let credentials travel over it */
    bool tls_verify;
    const char *const *tls_certs; /* PEM files of authorities trusted besides the system's */
    size_t n_tls_certs;
    const char *client_cert, *client_key; /* PEM files; NULL: none */
    const char *proxy;                    /* URL; NULL: what the environment says */
    unsigned concurrency;                 /* blobs in flight; more than 16 are not used */
    const char *user_agent;               /* NULL: "kitvault/VERSION" */
    kv_credentials *credentials;          /* NULL: anonymous */
    const kv_report *report;              /* NULL: silent */
    uint64_t max_rate;       /* bytes per second of all transfers together; 0: no limit */
    const char *session_dir; /* a push notes its unfinished uploads here; NULL: nowhere */
} kv_remote_options;
#define KV_REMOTE_CONCURRENCY 5 /* kit's default */
#define KV_REMOTE_OPTIONS_INIT                                                                     \
    {                                                                                              \
        .size = sizeof(kv_remote_options), .tls_verify = true,                                     \
        .concurrency = KV_REMOTE_CONCURRENCY                                                       \
    }

typedef struct kv_remote kv_remote; /* shared */
/**
 * Opens the repository of ref; its tag and digest are not looked at. Nothing is sent yet.
 * "docker.io" is contacted as "registry-1.docker.io". options NULL: defaults.
 * Errors: KV_E_ARG (a certificate file or proxy that cannot be used is found here or on first use).
 */
KV_API KV_MUST_CHECK kv_code kv_remote_open(const kv_reference *ref,
                                            const kv_remote_options *options, kv_remote **out,
                                            kv_error *err);
KV_API void kv_remote_close(kv_remote *r);
KV_DEFINE_AUTO(kv_remote, kv_remote_close)

/*
 * Errors of every call below: KV_E_NOTFOUND (no such repository, tag, digest), KV_E_AUTH,
 * KV_E_DENIED, KV_E_NETWORK, KV_E_TIMEOUT, KV_E_PROTOCOL (an answer the protocol does not have),
 * KV_E_DIGEST (bytes that are not what was asked for), KV_E_CANCELLED.
 */

/** The digest a tag points at, or the digest itself when it is there. */
KV_API KV_MUST_CHECK kv_code kv_remote_resolve(kv_remote *r, kv_sv ref, kv_digest *out,
                                               kv_error *err);
/** A manifest, verified. Free with kv_manifest_free. Also the errors of kv_manifest_parse. */
KV_API KV_MUST_CHECK kv_code kv_remote_manifest(kv_remote *r, kv_sv ref, kv_manifest **out,
                                                kv_error *err);
/**
 * A small blob in memory (a config), verified; malloc'ed, with a NUL behind its *out_n bytes.
 * Errors: KV_E_LIMIT when larger than KV_MANIFEST_BYTES_MAX.
 */
KV_API KV_MUST_CHECK kv_code kv_remote_blob(kv_remote *r, const kv_descriptor *d, char **out,
                                            size_t *out_n, kv_error *err);

/**
 * A blob as a stream. A broken connection is taken up again where it stopped. The last read
 * (*out_n 0) succeeds only when all bytes had the descriptor's digest: what came before it is
 * unverified until then.
 * Threads: one at a time. Memory: about 1 MiB whatever the blob's size.
 */
typedef struct kv_remote_stream kv_remote_stream;
KV_API KV_MUST_CHECK kv_code kv_remote_stream_open(kv_remote *r, const kv_descriptor *d,
                                                   kv_remote_stream **out, kv_error *err);
/** The same from byte offset on, and nothing is verified: for a part, or a caller who hashes. */
KV_API KV_MUST_CHECK kv_code kv_remote_stream_open_at(kv_remote *r, const kv_descriptor *d,
                                                      uint64_t offset, kv_remote_stream **out,
                                                      kv_error *err);
/** Between 1 and n bytes, or 0 at the verified end. n > 0; 256 KiB and more are fastest. */
KV_API KV_MUST_CHECK kv_code kv_remote_stream_read(kv_remote_stream *s, void *dst, size_t n,
                                                   size_t *out_n, kv_error *err);
KV_API void kv_remote_stream_close(kv_remote_stream *s);
KV_DEFINE_AUTO(kv_remote_stream, kv_remote_stream_close)

/**
 * Tags in the remote's order:
 *   kv_auto_remote_tags it = kv_remote_tags_begin(r);
 *   while (kv_remote_tags_next(&it)) use(it.tag);
 *   KV_TRY(kv_remote_tags_end(&it, err));
 * it.tag lives until the next call. Pages are fetched as they are needed.
 */
typedef struct kv_remote_tags {
    kv_sv tag;
    struct kv_remote_tags_mem *mem; /* private */
} kv_remote_tags;
KV_API kv_remote_tags kv_remote_tags_begin(kv_remote *r);
KV_API bool kv_remote_tags_next(kv_remote_tags *it);
/** Releases, and reports why next() stopped; idempotent. A repository nobody knows is
 * KV_E_NOTFOUND. */
KV_API KV_MUST_CHECK kv_code kv_remote_tags_end(kv_remote_tags *it, kv_error *err);
KV_API void kv_remote_tags_clear(kv_remote_tags *it); /* end, for cleanup variables */
#define kv_auto_remote_tags KV_CLEANUP(kv_remote_tags_clear) kv_remote_tags

/**
 * Deletes a manifest (ref a digest: with its tags) or a tag alone (ref a tag).
 * Errors: KV_E_UNSUPPORTED (the registry does not do that), KV_E_NOTFOUND.
 */
KV_API KV_MUST_CHECK kv_code kv_remote_delete(kv_remote *r, kv_sv ref, kv_error *err);

/**
 * Tries a login against a registry ("host[:port]") without keeping it. A registry that asks for no
 * login accepts any. options->credentials is not used.
 */
KV_API KV_MUST_CHECK kv_code kv_remote_check_login(kv_sv registry, const kv_login *login,
                                                   const kv_remote_options *options, kv_error *err);

/* --- whole ModelKits --- */

/**
 * Copies the kit src of the local store to dst: blobs the remote lacks, then the manifest under
 * dst's tag, its extra tags, or its digest. out_digest may be NULL. With a session_dir, an upload
 * that a killed process began goes on where the registry stands.
 * Progress: "Copying XXXXXXXX", one id per blob.
 * Errors: as above; KV_E_NOTFOUND also when src is not in the store; KV_E_DIGEST when the registry
 * finds a blob damaged. Source: kit-compat.md 7.1, oci-registry.md 7.1.
 */
KV_API KV_MUST_CHECK kv_code kv_push(struct kv_store *store, const kv_reference *src,
                                     const kv_reference *dst, const kv_remote_options *options,
                                     kv_digest *out_digest, kv_error *err);
/**
 * A remote as the place a ModelKit is packed into (kv_pack_options.sink): layers are sent while they
 * are packed, from buffers of 8 MiB, and no copy is kept. ref: tags, or none for the digest alone;
 * both are borrowed and must outlive the sink. sink->ctx is freed by kv_remote_sink_free.
 * Errors: KV_E_UNSUPPORTED (a place that takes whole blobs only).
 */
KV_API KV_MUST_CHECK kv_code kv_remote_sink(kv_remote *r, const kv_reference *ref, kv_kit_sink *out,
                                            kv_error *err);
KV_API void kv_remote_sink_free(kv_kit_sink *sink);

/**
 * Copies the kit ref into the local store, and the ModelKits its Kitfile builds on. What is there
 * already is not fetched; a download that broke off is continued, also by a later process. Nothing
 * is visible in the store before all of it is verified and durable.
 * Errors: as above; KV_E_INVALID when ref is no ModelKit; KV_E_DIGEST (the damaged bytes are gone).
 * Source: kit-compat.md 7.1, quirks 11, 12 and 27.
 */
KV_API KV_MUST_CHECK kv_code kv_pull(struct kv_store *store, const kv_reference *ref,
                                     const kv_remote_options *options, kv_digest *out_digest,
                                     kv_error *err);

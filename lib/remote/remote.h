#pragma once
/*
 * What a place for kits has to do. Callers use include/kitvault/remote.h and the wrappers below,
 * which check arguments and verify; an implementation moves bytes.
 */
#include "http/http.h"
#include "kitvault/remote.h"

typedef struct kv_remote_reader kv_remote_reader;
typedef struct kv_remote_writer kv_remote_writer;
/** One page of tags: NUL-separated names appended to `names`; *next is the opaque place of the next
 * page (malloc'ed), or NULL at the end. at NULL: the first page. */
typedef struct kv_remote_page {
    kv_buf names;
    char *next;
} kv_remote_page;

typedef kv_code kv_referrer_fn(void *ctx, const kv_digest *d, kv_error *err);

typedef struct kv_remote_ops {
    const char *scheme; /* "oci", "store", "layout" */
    /* The digest of a tag, or of a digest that is there. KV_E_NOTFOUND for a missing one, and
     * nothing else may use that code; so below. */
    kv_code (*resolve)(kv_remote *r, kv_sv ref, kv_digest *out, kv_error *err);
    /* Bytes of a manifest and their media type, unverified. */
    kv_code (*get_manifest)(kv_remote *r, kv_sv ref, kv_buf *bytes, kv_buf *media_type,
                            kv_error *err);
    kv_code (*put_manifest)(kv_remote *r, kv_sv ref, const kv_manifest *m, kv_error *err);
    kv_code (*stat_blob)(kv_remote *r, const kv_digest *d, uint64_t *out_size, kv_error *err);
    /* Bytes from offset to the end, unverified. A reader heals broken connections by itself. */
    kv_code (*open_blob)(kv_remote *r, const kv_digest *d, uint64_t size, uint64_t offset,
                         kv_remote_reader **out, kv_error *err);
    /* Stored when it returns. mount_from: a repository of the same place that may hold the blob;
     * NULL: unknown. KV_E_DIGEST: source does not have that digest. */
    kv_code (*put_blob)(kv_remote *r, const kv_digest *d, const kv_http_source *source,
                        const char *mount_from, kv_error *err);
    /* A blob whose digest is known when its bytes have been written. NULL: only put_blob. */
    kv_code (*write_blob)(kv_remote *r, kv_remote_writer **out, kv_error *err);
    kv_code (*list_tags)(kv_remote *r, const char *at, kv_remote_page *out, kv_error *err);
    kv_code (*drop)(kv_remote *r, kv_sv ref, kv_error *err);
    /* Hands fn the digest of each manifest that names `subject`; none is no error. */
    kv_code (*each_referrer)(kv_remote *r, const kv_digest *subject, kv_referrer_fn *fn, void *ctx,
                             kv_error *err);
    /* Stores a manifest that an index names, and lists it nowhere; NULL: put_manifest does. */
    kv_code (*put_child)(kv_remote *r, const kv_manifest *m, kv_error *err);
    /* Everything is stored: the place may take its final name. NULL: it has it. */
    kv_code (*finish)(kv_remote *r, kv_error *err);
    void (*free)(kv_remote *r);
} kv_remote_ops;
struct kv_remote {
    const kv_remote_ops *ops;
    const kv_report *report;
};

typedef struct kv_remote_writer_ops {
    kv_code (*write)(kv_remote_writer *w, const void *p, size_t n, kv_error *err);
    /* Stored when it returns. *out_existed: it had been there, and nothing was sent. */
    kv_code (*commit)(kv_remote_writer *w, const kv_digest *d, bool *out_existed, kv_error *err);
    void (*close)(kv_remote_writer *w); /* without commit: the registry forgets it in its time */
} kv_remote_writer_ops;
struct kv_remote_writer {
    const kv_remote_writer_ops *ops;
};

typedef struct kv_remote_reader_ops {
    /* 1..n bytes, 0 at the end: exactly size - offset bytes in all. */
    kv_code (*read)(kv_remote_reader *r, void *dst, size_t n, size_t *out_n, kv_error *err);
    /* All bytes that are left, to sink, with fewer copies than read makes. NULL: read is used. */
    kv_code (*drain)(kv_remote_reader *r, kv_http_sink *sink, void *ctx, kv_error *err);
    void (*close)(kv_remote_reader *r);
} kv_remote_reader_ops;
struct kv_remote_reader {
    const kv_remote_reader_ops *ops;
};
static inline void kv_remote_reader_close(kv_remote_reader *r)
{
    if (r) r->ops->close(r);
}
KV_DEFINE_AUTO(kv_remote_reader, kv_remote_reader_close)
/** Hands all bytes that are left to sink, whose errors end it. */
KV_MUST_CHECK kv_code kv_remote_reader_drain(kv_remote_reader *r, kv_http_sink *sink, void *ctx,
                                             kv_error *err);

/** The OCI registry. As kv_remote_open. */
KV_MUST_CHECK kv_code kv_remote_open_oci(const kv_reference *ref, const kv_remote_options *options,
                                         kv_http_transport *transport, kv_remote **out,
                                         kv_error *err);
/** What the HTTP client is told. Borrows from o. transport: owned by the client, or NULL. */
kv_http_options kv_remote_http_options(const kv_remote_options *o, kv_http_transport *transport);
/** True when ref is a digest, which it then is in *out. A text with ':' that is none is an error:
 * KV_E_ARG. */
KV_MUST_CHECK kv_code kv_remote_ref_parse(kv_sv ref, bool *out_is_digest, kv_digest *out,
                                          kv_error *err);

#pragma once
/* The OCI registry's own parts: how its requests are made, and its uploads. */
#include "remote/remote.h"

typedef struct kv_oci_remote {
    kv_remote base;
    kv_http *http;
    char *origin;     /* "https://host:port" without a slash at the end */
    char *name;       /* "host:port/repository" as the user wrote it, for errors */
    char *repository; /* checked: safe in a path */
    char *pull_scope, *push_scope, *delete_scope;
    const char *session_dir; /* borrowed from the options; may be NULL */
    bool single_put;         /* a host whose uploads cannot be continued */
} kv_oci_remote;

/** Sends to a place that the registry named (Location, Link). One on another origin gets no
 * credentials. Errors: KV_E_PROTOCOL (plain HTTP named by a registry asked over TLS). */
KV_MUST_CHECK kv_code kv_oci_send_at(const kv_oci_remote *r, kv_http_request *req,
                                     kv_http_response *resp, kv_error *err);

/** A blob's way in; as put_blob of the vtable. Source: OCI distribution-spec 1.1, "Push";
 * oci-registry.md 7.1. */
KV_MUST_CHECK kv_code kv_oci_upload(kv_oci_remote *r, const kv_digest *d,
                                    const kv_http_source *source, const char *mount_from,
                                    kv_error *err);
/** As write_blob of the vtable: chunks from a buffer of 8 MiB, which alone can be sent again. */
KV_MUST_CHECK kv_code kv_oci_stream(kv_oci_remote *r, kv_remote_writer **out, kv_error *err);

/** As each_referrer of the vtable: the referrers API, or the index under the tag that stands in for
 * it. Source: OCI distribution-spec 1.1, "Listing Referrers". */
KV_MUST_CHECK kv_code kv_oci_each_referrer(kv_remote *r, const kv_digest *subject,
                                           kv_referrer_fn *fn, void *ctx, kv_error *err);
/** For registries that do not keep referrers themselves: lists m, which has a subject, in the index
 * under the subject's tag. Source: there, "Referrers Tag Schema". */
KV_MUST_CHECK kv_code kv_oci_note_referrer(kv_oci_remote *r, const kv_manifest *m, kv_error *err);

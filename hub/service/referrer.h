#pragma once
/* Referrers: manifests that name a subject. */
#include "hub/service/registry.h"
#include "kitvault/manifest.h"

/** The entry a referrers list shows for a manifest of that digest, as JSON. Pure. Source: OCI
 * distribution-spec 1.1, "Listing Referrers". */
void kv_referrer_entry(const kv_manifest *m, const kv_digest *digest, kv_buf *out);

typedef struct kv_referrer_query {
    kv_sv repository;
    kv_digest subject;
    kv_sv artifact_type; /* empty: all */
    kv_sv last;          /* digest text of the last entry seen; empty: from the start */
    size_t at_most;      /* entries in the page */
} kv_referrer_query;

/* What clients read of one answer (oras-go: 4 MiB), with room for the frame. */
#define KV_REFERRERS_PAGE_MAX ((4u << 20) - 4096)

/** Bytes that a page may take in memory, to be taken from reg->memory before it is asked for. */
KV_MUST_CHECK kv_code kv_referrer_weight(kv_registry *reg, const kv_referrer_query *q, size_t *out,
                                         kv_error *err);

/**
 * A page of entries, JSON objects joined by commas, into out, which has room for
 * KV_REFERRERS_PAGE_MAX; an entry that alone is larger makes a page of its own.
 * out_last: digest of the page's last entry when there are more, else "".
 * A repository that does not exist has none.
 */
KV_MUST_CHECK kv_code kv_referrer_list(kv_registry *reg, const kv_referrer_query *q, kv_buf *out,
                                       char out_last[KV_DIGEST_TEXT_MAX], kv_error *err);

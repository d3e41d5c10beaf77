#pragma once
/* The headers Range and Content-Range, for both sides of a connection. Pure. */
#include "base/str.h"

typedef enum kv_range_kind {
    KV_RANGE_WHOLE,  /* no usable range: the whole content (200) */
    KV_RANGE_PART,   /* one part (206) */
    KV_RANGE_NOWHERE /* nothing of it lies inside the content (416) */
} kv_range_kind;

/**
 * Reads the value of a Range header against content of size bytes.
 * KV_RANGE_PART sets *out_off and *out_n (bytes, n >= 1, clipped to size); the others leave them.
 * Another unit than bytes, broken syntax, and several ranges are KV_RANGE_WHOLE: a server may
 * ignore them. "last < first" is KV_RANGE_NOWHERE, as the OCI conformance suite wants it.
 * Source: RFC 9110 section 14.1.2, 14.2.
 */
kv_range_kind kv_range_parse(kv_sv value, uint64_t size, uint64_t *out_off, uint64_t *out_n);

typedef struct kv_content_range {
    uint64_t first, last; /* bytes, last included */
    uint64_t total;       /* UINT64_MAX: unknown ("*") or not given */
} kv_content_range;

/**
 * Reads "FIRST-LAST" (how registries write it), "bytes FIRST-LAST/TOTAL", "bytes FIRST-LAST/ *"
 * (without the blank) and the "0-0" style of upload status.
 * Errors: KV_E_SYNTAX; also when last < first, or last >= total.
 * Source: RFC 9110 section 14.4; OCI distribution-spec, "Pushing a blob in chunks".
 */
KV_MUST_CHECK kv_code kv_content_range_parse(kv_sv value, kv_content_range *out, kv_error *err);

#pragma once
/* Names of ModelKits: [REGISTRY/]REPOSITORY[:TAG[,TAG2...]|@DIGEST], or a bare digest. */
#include "kitvault/digest.h"

#define KV_REGISTRY_LOCAL "localhost" /* registry of a name that has none */
#define KV_REPOSITORY_NONE "_"        /* repository of untagged packs */

/** One parsed reference; all strings lie in `mem`. Zero it, or parse into it, then clear it. */
typedef struct kv_reference {
    kv_sv registry;   /* never empty; "localhost" when the text named none */
    kv_sv repository; /* never empty */
    kv_sv tag;        /* empty when a digest or nothing was given */
    kv_digest digest; /* alg 0 when a tag or nothing was given */
    kv_sv *extra;     /* tags behind commas */
    size_t n_extra;
    char *mem;
} kv_reference;

/**
 * Parses a reference by kit's grammar.
 * Errors: KV_E_SYNTAX with kit's sentence ("repository (R) name must be lowercase",
 * "invalid reference: invalid tag \"T\"", ...). Ownership: clear with kv_reference_clear.
 * Threads: pure. Source: kit-compat.md section 5, quirks 17, 21 and 24.
 */
KV_API KV_MUST_CHECK kv_code kv_reference_parse(kv_sv text, kv_reference *out, kv_error *err);
KV_API void kv_reference_clear(kv_reference *r);
/** Copies r with another tag (or none: empty) and without digest and extra tags. */
KV_API KV_MUST_CHECK kv_code kv_reference_with_tag(const kv_reference *r, kv_sv tag,
                                                   kv_reference *out, kv_error *err);
/** True when the text named a registry other than the local one. */
KV_API bool kv_reference_is_remote(const kv_reference *r);
/** Full form, "localhost/_" and "localhost/" included; malloc'ed. */
KV_API char *kv_reference_full(const kv_reference *r);
/** The form shown to people: without leading "localhost/", then "_", then "@"; malloc'ed. */
KV_API char *kv_reference_display(const kv_reference *r);
/** "TAG" or "sha256:HEX", the last part of a request path; empty when neither was given. malloc'ed. */
KV_API char *kv_reference_last(const kv_reference *r);
#define kv_auto_reference KV_CLEANUP(kv_reference_clear) kv_reference

/** Grammar of one part alone, for whoever checks names from a request. Source: OCI distribution-spec. */
KV_API bool kv_repository_name_valid(kv_sv name); /* at most 255 bytes */
KV_API bool kv_tag_name_valid(kv_sv tag);

#pragma once
/* The bytes of one layer of any source: counted, hashed, shown as progress, stopped on request. */
#include "codec/aside.h"
#include "kitvault/model.h"

typedef struct kv_layer_feed { /* set report, what and id, zero the rest; close it */
    const kv_report *report;
    kv_sv what; /* names the work in progress: "Unpacking" */
    uint64_t id;
    /* private */
    const kv_descriptor *d;
    kv_kit_stream stream;
    kv_hashing hashing;
    uint64_t n; /* bytes handed out */
} kv_layer_feed;

/** Opens the layer; d is borrowed. Errors: those of the source. */
KV_MUST_CHECK kv_code kv_layer_feed_open(kv_layer_feed *f, const kv_kit_source *src,
                                         const kv_reference *ref, const kv_descriptor *d,
                                         kv_error *err);
/**
 * The next bytes, as kv_pull_fn; ctx is the feed. Unverified until kv_layer_feed_verify.
 * Errors: KV_E_DIGEST (more bytes than the descriptor says), KV_E_CANCELLED, those of the source.
 */
KV_MUST_CHECK kv_code kv_layer_feed_pull(void *ctx, void *dst, size_t n, size_t *out_n,
                                         kv_error *err);
/** Reads what lies behind the end of the archive, and checks all of it. Errors: KV_E_DIGEST. */
KV_MUST_CHECK kv_code kv_layer_feed_verify(kv_layer_feed *f, kv_error *err);
void kv_layer_feed_close(kv_layer_feed *f);
#define kv_auto_layer_feed KV_CLEANUP(kv_layer_feed_close) kv_layer_feed

#pragma once
/* What push and pull share: the blobs of a manifest, each once, and many of them at once. */
#include "base/pool.h"
#include "kitvault/manifest.h"

typedef struct kv_blob_list { /* config and layers, each digest once; borrowed from the manifest */
    const kv_descriptor **items;
    size_t n;
} kv_blob_list;
void kv_blob_list_clear(kv_blob_list *l);
#define kv_auto_blob_list KV_CLEANUP(kv_blob_list_clear) kv_blob_list
/** Errors: KV_E_NOMEM; KV_E_INVALID (one digest with two sizes). */
KV_MUST_CHECK kv_code kv_blob_list_of(const kv_manifest *m, kv_blob_list *out, kv_error *err);

/**
 * fn(ctx, i) for each blob, at most `concurrency` at once (0: the default; never more
 * than 16), on threads of their
 * own: these wait for a network, and must not keep the process's pool from computing.
 */
KV_MUST_CHECK kv_code kv_blob_list_each(const kv_blob_list *l, unsigned concurrency, kv_task_fn *fn,
                                        void *ctx, kv_error *err);

#define KV_COPYING_TEXT_MAX 32
/** "Copying 1c18a3e8". Source: kit-compat.md 6. */
kv_sv kv_copying_text(const kv_descriptor *d, char buf[KV_COPYING_TEXT_MAX]);
/** An id for kv_progress that no other piece of work has. Threads: any. */
uint64_t kv_progress_id(void);

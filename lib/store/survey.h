#pragma once
/* What the ModelKits of the store use: the manifests that repositories list, and their blobs. */
#include "kitvault/store.h"

#define KV_INDEX_DEPTH_MAX 4u /* indexes in indexes that are followed; own */

/** A growing array of digests, sorted before it is asked. Zero it; clear it. */
typedef struct kv_digests {
    kv_digest *items;
    size_t n, cap;
} kv_digests;
void kv_digests_clear(kv_digests *d);
/** d->alg 0 is nothing. Errors: KV_E_NOMEM. */
KV_MUST_CHECK kv_code kv_digests_add(kv_digests *set, const kv_digest *d, kv_error *err);
void kv_digests_sort(kv_digests *set); /* each once */
bool kv_digests_has(const kv_digests *set, const kv_digest *d);

typedef struct kv_survey { /* both sorted */
    kv_digests listed;     /* manifests that some repository lists */
    kv_digests used;       /* these, and all they name, indexes followed */
    kv_digest unreadable;  /* one manifest that cannot be read, so that nobody knows what it uses */
} kv_survey;
/**
 * Reads all lists and manifests. Under kv_store_lock it is the truth, else a state of the moment.
 * Errors: those of the lists (a list that cannot be read), KV_E_CANCELLED, KV_E_NOMEM.
 * Memory: 72 bytes for each digest that is named.
 */
KV_MUST_CHECK kv_code kv_survey_make(kv_store *s, const kv_report *report, kv_survey *out,
                                     kv_error *err);
void kv_survey_clear(kv_survey *v);
#define kv_auto_survey KV_CLEANUP(kv_survey_clear) kv_survey

#pragma once
/* Opening what a place's name means; for copies. */
#include "kitvault/copy.h"
#include "remote/remote.h"

/**
 * write: the place is made when it is missing. report: for what the place says by itself; may be NULL.
 * store is borrowed (KV_PLACE_STORE only). Errors: KV_E_ARG (no store), those of the kind.
 */
KV_MUST_CHECK kv_code kv_place_open(struct kv_store *store, const kv_place *p, bool write,
                                    const kv_remote_options *network, kv_remote **out,
                                    kv_error *err);
/** A repository of the local store as a place. The store is held (kv_store_hold) while it is open. */
KV_MUST_CHECK kv_code kv_remote_open_store(struct kv_store *store, const kv_reference *ref,
                                           bool write, const kv_report *report, kv_remote **out,
                                           kv_error *err);

#pragma once
/* Blobs as a repository hands them out: only what was linked into it is there. */
#include "hub/service/registry.h"

/** Errors: KV_E_NOTFOUND, also when the store has lost the bytes. */
KV_MUST_CHECK kv_code kv_repo_blob_open(kv_registry *reg, kv_sv repository, const kv_digest *d,
                                        kv_blob_reader **out, kv_error *err);
/**
 * Links a stored blob into a repository, which is made when missing, in one transaction that also
 * forgets the upload (NULL: none). The bytes are durable already.
 */
KV_MUST_CHECK kv_code kv_repo_blob_link(kv_registry *reg, const kv_principal *who, kv_sv repository,
                                        const kv_digest *d, uint64_t size, const char *upload_id,
                                        kv_error *err);
/**
 * Links a blob of another repository into this one, if who may pull from that one. from empty: any
 * such repository will do. *out_done false: not there, or not to be seen; nothing tells which.
 */
KV_MUST_CHECK kv_code kv_repo_blob_mount(kv_registry *reg, const kv_principal *who,
                                         kv_sv repository, const kv_digest *d, kv_sv from,
                                         bool *out_done, kv_error *err);
/** Unlinks. Errors: KV_E_NOTFOUND; KV_E_UNSUPPORTED: a version of the repository needs it. */
KV_MUST_CHECK kv_code kv_repo_blob_drop(kv_registry *reg, const kv_principal *who, kv_sv repository,
                                        const kv_digest *d, kv_error *err);

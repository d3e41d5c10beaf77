#pragma once
/* What lies in the store's directories, whoever may need it. */
#include "kitvault/store.h"

/** path is below the home; dir_fd and name are the same file, for unlinkat. */
typedef struct kv_store_file {
    int dir_fd;
    const char *name;
    kv_sv path;
    kv_digest digest; /* of a blob by its name; alg 0 otherwise */
    uint64_t size;
} kv_store_file;
typedef kv_code kv_store_file_fn(void *ctx, const kv_store_file *f, kv_error *err);
/** Every file that has the name of a blob, in no order. Non-KV_OK from fn stops. */
KV_MUST_CHECK kv_code kv_store_each_blob(kv_store *s, kv_store_file_fn *fn, void *ctx,
                                         kv_error *err);
/** Every temporary file and partial download that no process holds; those of kit, which holds
 * nothing, are among them. */
KV_MUST_CHECK kv_code kv_store_each_leftover(kv_store *s, kv_store_file_fn *fn, void *ctx,
                                             kv_error *err);

#pragma once
/* Rows of namespaces and repositories. Threads: as kv_tx. */
#include "base/clock.h"
#include "hub/db/db.h"

typedef struct kv_repository_row {
    char id[KV_UUID_MAX];
    int64_t last_number; /* of its versions; 0: none has one yet */
} kv_repository_row;

/** Errors: KV_E_NOTFOUND. */
KV_MUST_CHECK kv_code kv_q_repository_find(kv_tx *tx, kv_sv name, kv_repository_row *out,
                                           kv_error *err);
/** The id of a namespace. Errors: KV_E_NOTFOUND. */
KV_MUST_CHECK kv_code kv_q_namespace_find(kv_tx *tx, kv_sv name, char out_id[KV_UUID_MAX],
                                          kv_error *err);
KV_MUST_CHECK kv_code kv_q_namespace_insert(kv_tx *tx, const char *id, kv_sv name, int64_t now_us,
                                            int64_t seq, kv_error *err);
KV_MUST_CHECK kv_code kv_q_repository_insert(kv_tx *tx, const char *id, const char *namespace_id,
                                             kv_sv name, int64_t now_us, int64_t seq,
                                             kv_error *err);
KV_MUST_CHECK kv_code kv_q_repository_set_last_number(kv_tx *tx, const char *id, int64_t number,
                                                      kv_error *err);

/** Called for each row in order; false stops. */
typedef bool kv_name_fn(void *ctx, kv_sv name);
/** Names behind `last` ("" for all) in byte order. fn must not use tx. */
KV_MUST_CHECK kv_code kv_q_repository_each(kv_tx *tx, kv_sv last, kv_name_fn *fn, void *ctx,
                                           kv_error *err);

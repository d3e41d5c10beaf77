#pragma once
/* What an engine's author fills in (db_<engine>.c); db.c's wrappers call it. */
#include "hub/db/db.h"

typedef struct kv_db_ops {
    const char *engine; /* as in the migrations' names */
    kv_code (*begin)(kv_db *db, kv_tx_kind kind, kv_tx **out, kv_error *err);
    /* Both release tx. commit answers only when the change is durable. */
    kv_code (*commit)(kv_tx *tx, kv_error *err);
    void (*rollback)(kv_tx *tx);
    /* Binds and starts; *out_stmt goes to the three below. Refuses a statement that writes in a
     * KV_TX_READ, and one that changes other than working tables in a KV_TX_WORK. */
    kv_code (*start)(kv_tx *tx, kv_query *q, const kv_val *v, size_t n, void **out_stmt,
                     kv_error *err);
    int (*step)(kv_tx *tx, void *stmt); /* 1: a row; 0: no more; -1: failed, finish says why */
    /* kind is what the caller reads it as; KV_VAL_NULL only asks whether it is NULL. */
    kv_val (*column)(void *stmt, unsigned i, kv_val_kind kind);
    /* Sets tx->n_last_changed, and adds to tx->n_changed what was not a working change. */
    kv_code (*finish)(kv_tx *tx, void *stmt, kv_error *err);
    void (*close)(kv_db *db);
} kv_db_ops;
struct kv_db {
    const kv_db_ops *ops;
    atomic_uint_least64_t n_state_commits;
};
struct kv_tx {
    kv_db *db;
    kv_tx_kind kind;
    unsigned n_rows_open; /* queries not ended */
    uint64_t n_last_changed, n_changed;
    uint64_t n_leaves;
};

/** The slot of q, given at its first use. From 1, dense. Threads: shared. */
unsigned kv_query_slot(kv_query *q);

typedef enum kv_change { KV_CHANGE_INSERT, KV_CHANGE_UPDATE, KV_CHANGE_DELETE } kv_change;
/** Whether this change of a table needs no leaf. Pure. */
bool kv_is_working_change(kv_sv table, kv_change change);

/* The engines. */
KV_MUST_CHECK kv_code kv_db_open_sqlite(const kv_db_options *opt, kv_db **out, kv_error *err);

#include "hub/db/db.h"

#include <assert.h>
#include <pthread.h>

#include "hub/db/db_engine.h"

/*
 * Working tables, and the tables whose rows follow from others: what they hold is forgotten
 * without harm, or can be made again from leaves and blobs, so changing them takes no leaf.
 * A blob that no manifest names yet is such a thing, so its coming is; its going is not.
 */
static const struct {
    kv_sv table;
    bool insert, update, drop;
} WORKING[] = {
    {KV_SV_INIT("upload"), true, true, true},
    {KV_SV_INIT("progress"), true, true, true},
    {KV_SV_INIT("blob"), true, true, false},
    {KV_SV_INIT("repo_blob"), true, true, false},
    {KV_SV_INIT("audit_checkpoint"), true, false, false}, /* follows from the leaves */
};

bool kv_is_working_change(kv_sv table, kv_change change)
{
    for (size_t i = 0; i < KV_COUNT(WORKING); i++) {
        if (!kv_sv_eq(WORKING[i].table, table)) continue;
        switch (change) {
        case KV_CHANGE_INSERT: return WORKING[i].insert;
        case KV_CHANGE_UPDATE: return WORKING[i].update;
        case KV_CHANGE_DELETE: return WORKING[i].drop;
        }
    }
    return false;
}

unsigned kv_query_slot(kv_query *q)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static unsigned n_slots;
    unsigned slot = atomic_load_explicit(&q->slot, memory_order_acquire);
    if (slot) return slot;
    pthread_mutex_lock(&lock);
    slot = atomic_load_explicit(&q->slot, memory_order_relaxed);
    if (!slot) {
        slot = ++n_slots;
        atomic_store_explicit(&q->slot, slot, memory_order_release);
    }
    pthread_mutex_unlock(&lock);
    return slot;
}

kv_code kv_db_open(const kv_db_options *opt, kv_db **out, kv_error *err)
{
    return kv_db_open_sqlite(opt, out, err);
}

void kv_db_close(kv_db *db)
{
    if (db) db->ops->close(db);
}

uint64_t kv_db_changes(const kv_db *db)
{
    return atomic_load_explicit(&db->n_state_commits, memory_order_acquire);
}

kv_code kv_tx_begin(kv_db *db, kv_tx_kind kind, kv_tx **out, kv_error *err)
{
    KV_TRY(db->ops->begin(db, kind, out, err));
    kv_tx *tx = *out;
    tx->db = db;
    tx->kind = kind;
    tx->n_rows_open = 0;
    tx->n_changed = tx->n_leaves = 0;
    return KV_OK;
}

kv_code kv_tx_commit(kv_tx *tx, kv_error *err)
{
    kv_db *db = tx->db;
    bool state = tx->kind == KV_TX_STATE;
    assert(tx->n_rows_open == 0);
    if (state && tx->n_changed && !tx->n_leaves) {
        kv_tx_rollback(tx);
        return kv_fail(err, KV_E_INTERNAL, "a change of state without an audit leaf was refused");
    }
    KV_TRY(db->ops->commit(tx, err));
    if (state) atomic_fetch_add_explicit(&db->n_state_commits, 1, memory_order_acq_rel);
    return KV_OK;
}

void kv_tx_rollback(kv_tx *tx)
{
    if (!tx) return;
    assert(tx->n_rows_open == 0);
    tx->db->ops->rollback(tx);
}

kv_db *kv_tx_db(const kv_tx *tx)
{
    return tx->db;
}

void kv_tx_count_leaf(kv_tx *tx)
{
    tx->n_leaves++;
}

kv_code kv_tx_query(kv_tx *tx, kv_query *q, const kv_val *v, size_t n, kv_rows *out, kv_error *err)
{
    void *stmt = NULL;
    KV_TRY(tx->db->ops->start(tx, q, v, n, &stmt, err));
    tx->n_rows_open++;
    *out = (kv_rows){.tx = tx, .stmt = stmt};
    return KV_OK;
}

bool kv_rows_next(kv_rows *r)
{
    if (!r->stmt || r->done) return false;
    r->done = r->tx->db->ops->step(r->tx, r->stmt) != 1;
    return !r->done;
}

kv_code kv_rows_end(kv_rows *r, kv_error *err)
{
    if (!r->stmt) return KV_OK;
    void *stmt = KV_TAKE(r->stmt);
    r->tx->n_rows_open--;
    return r->tx->db->ops->finish(r->tx, stmt, err);
}

void kv_rows_close(kv_rows *r)
{
    kv_code ignored = kv_rows_end(r, NULL);
    (void)ignored; /* whoever wants to know calls kv_rows_end */
}

kv_code kv_tx_exec(kv_tx *tx, kv_query *q, const kv_val *v, size_t n, int64_t *out_changed,
                   kv_error *err)
{
    kv_rows r = {0};
    KV_TRY(kv_tx_query(tx, q, v, n, &r, err));
    while (kv_rows_next(&r)) {}
    KV_TRY(kv_rows_end(&r, err));
    if (out_changed) *out_changed = (int64_t)tx->n_last_changed;
    return KV_OK;
}

int64_t kv_col_int(const kv_rows *r, unsigned i)
{
    return r->tx->db->ops->column(r->stmt, i, KV_VAL_INT).i;
}

kv_sv kv_col_text(const kv_rows *r, unsigned i)
{
    return r->tx->db->ops->column(r->stmt, i, KV_VAL_TEXT).s;
}

kv_sv kv_col_bytes(const kv_rows *r, unsigned i)
{
    return r->tx->db->ops->column(r->stmt, i, KV_VAL_BYTES).s;
}

bool kv_col_is_null(const kv_rows *r, unsigned i)
{
    return r->tx->db->ops->column(r->stmt, i, KV_VAL_NULL).kind == KV_VAL_NULL;
}

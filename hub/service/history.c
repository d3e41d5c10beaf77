#include "hub/service/history.h"

#include "hub/db/q_repository.h"

static int64_t newest_first(const kv_event_page *page)
{
    return page->before ? page->before : INT64_MAX;
}

kv_code kv_events_all(kv_db *db, const kv_event_page *page, kv_leaf_fn *fn, void *ctx,
                      kv_error *err)
{
    kv_auto(kv_tx) tx = NULL;
    KV_TRY(kv_tx_begin(db, KV_TX_READ, &tx, err));
    if (page->upwards) return kv_q_audit_from(tx, page->since + 1, page->at_most, fn, ctx, err);
    return kv_q_audit_before(tx, newest_first(page), page->at_most, fn, ctx, err);
}

kv_code kv_events_of_repository(kv_db *db, kv_sv repository, kv_sv tag, kv_sv digest,
                                const kv_event_page *page, kv_leaf_fn *fn, void *ctx, kv_error *err)
{
    kv_auto(kv_tx) tx = NULL;
    kv_repository_row row;
    KV_TRY(kv_tx_begin(db, KV_TX_READ, &tx, err));
    KV_TRY(kv_q_repository_find(tx, repository, &row, err));
    return kv_q_audit_of_repository(tx, kv_sv_of(row.id), tag, digest, newest_first(page),
                                    page->at_most, fn, ctx, err);
}

kv_code kv_events_count(kv_db *db, int64_t *out, kv_error *err)
{
    int64_t time_us;
    kv_auto(kv_tx) tx = NULL;
    KV_TRY(kv_tx_begin(db, KV_TX_READ, &tx, err));
    return kv_q_audit_last(tx, out, &time_us, err);
}

#include "hub/db/q_upload.h"

#include "hub/db/q_common.h"

kv_code kv_q_upload_insert(kv_tx *tx, const kv_upload_row *row, kv_sv repository, int64_t now_us,
                           kv_error *err)
{
    static kv_query q = KV_QUERY(
        "INSERT INTO upload (id, repository, principal_id, algorithm, n_received, "
        "created_at, touched_at) VALUES (?1, ?2, ?3, ?4, 0, ?5, ?5)");
    return kv_tx_exec(tx, &q,
                      KV_VALS(kv_v_text(kv_sv_of(row->id)), kv_v_text(repository),
                              kv_v_text_or_null(kv_sv_of(row->principal_id)),
                              kv_v_text(kv_sv_of(kv_digest_alg_name(row->alg))), kv_v_int(now_us)),
                      NULL, err);
}

kv_code kv_q_upload_find(kv_tx *tx, const char *id, kv_sv repository, kv_upload_row *out,
                         kv_buf *state, kv_error *err)
{
    static kv_query q = KV_QUERY("SELECT id, principal_id, algorithm, n_received, state "
                                 "FROM upload WHERE id = ?1 AND repository = ?2");
    kv_auto_rows r = {0};
    KV_TRY(kv_tx_query(tx, &q, KV_VALS(kv_v_text(kv_sv_of(id)), kv_v_text(repository)), &r, err));
    if (!kv_rows_next(&r)) return kv_q_none(&r, err, "no upload '%s' in this repository", id);
    kv_q_copy(kv_col_text(&r, 0), out->id, sizeof(out->id));
    kv_q_copy(kv_col_text(&r, 1), out->principal_id, sizeof(out->principal_id));
    out->alg = kv_sv_is(kv_col_text(&r, 2), "sha512") ? KV_SHA512 : KV_SHA256;
    out->n_received = (uint64_t)kv_col_int(&r, 3);
    if (state) kv_buf_add(state, kv_col_bytes(&r, 4));
    KV_TRY(kv_rows_end(&r, err));
    return state ? kv_buf_check(state, err) : KV_OK;
}

kv_code kv_q_upload_save(kv_tx *tx, const char *id, uint64_t n_received, kv_sv state,
                         int64_t now_us, kv_error *err)
{
    static kv_query q = KV_QUERY(
        "UPDATE upload SET n_received = ?2, state = ?3, touched_at = ?4 WHERE id = ?1");
    return kv_tx_exec(tx, &q,
                      KV_VALS(kv_v_text(kv_sv_of(id)), kv_v_int((int64_t)n_received),
                              kv_v_bytes(state), kv_v_int(now_us)),
                      NULL, err);
}

kv_code kv_q_upload_touch(kv_tx *tx, const char *id, int64_t now_us, kv_error *err)
{
    static kv_query q = KV_QUERY("UPDATE upload SET touched_at = ?2 WHERE id = ?1");
    return kv_tx_exec(tx, &q, KV_VALS(kv_v_text(kv_sv_of(id)), kv_v_int(now_us)), NULL, err);
}

kv_code kv_q_upload_delete(kv_tx *tx, const char *id, kv_error *err)
{
    static kv_query q = KV_QUERY("DELETE FROM upload WHERE id = ?1");
    return kv_tx_exec(tx, &q, KV_VALS(kv_v_text(kv_sv_of(id))), NULL, err);
}

kv_code kv_q_upload_count(kv_tx *tx, const char *principal_id, uint64_t *out, kv_error *err)
{
    static kv_query q = KV_QUERY(
        "SELECT COUNT(*) FROM upload WHERE COALESCE(principal_id, '') = ?1");
    kv_auto_rows r = {0};
    KV_TRY(kv_tx_query(tx, &q, KV_VALS(kv_v_text(kv_sv_of(principal_id))), &r, err));
    *out = kv_rows_next(&r) ? (uint64_t)kv_col_int(&r, 0) : 0;
    return kv_rows_end(&r, err);
}

kv_code kv_q_upload_stale(kv_tx *tx, int64_t before_us, char out_id[KV_UUID_MAX], kv_error *err)
{
    static kv_query q = KV_QUERY(
        "SELECT id FROM upload WHERE touched_at < ?1 ORDER BY touched_at LIMIT 1");
    kv_auto_rows r = {0};
    KV_TRY(kv_tx_query(tx, &q, KV_VALS(kv_v_int(before_us)), &r, err));
    if (!kv_rows_next(&r)) return kv_q_none(&r, err, "no upload is that old");
    kv_q_copy(kv_col_text(&r, 0), out_id, KV_UUID_MAX);
    return kv_rows_end(&r, err);
}

#include "hub/db/q_referrer.h"

kv_code kv_q_referrer_add(kv_tx *tx, const char *repository_id, const kv_referrer_row *row,
                          kv_error *err)
{
    static kv_query q = KV_QUERY(
        "INSERT INTO referrer (repository_id, subject, digest, artifact_type, descriptor) "
        "VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (repository_id, subject, digest) DO NOTHING");
    return kv_tx_exec(tx, &q,
                      KV_VALS(kv_v_text(kv_sv_of(repository_id)), kv_v_text(kv_sv_of(row->subject)),
                              kv_v_text(kv_sv_of(row->digest)), kv_v_text(row->artifact_type),
                              kv_v_bytes(row->descriptor)),
                      NULL, err);
}

kv_code kv_q_referrer_drop(kv_tx *tx, const char *repository_id, const char *digest, kv_error *err)
{
    static kv_query q = KV_QUERY(
        "DELETE FROM referrer WHERE repository_id = ?1 AND digest = ?2 AND subject = "
        "(SELECT subject FROM manifest WHERE manifest.digest = ?2)");
    return kv_tx_exec(tx, &q,
                      KV_VALS(kv_v_text(kv_sv_of(repository_id)), kv_v_text(kv_sv_of(digest))),
                      NULL, err);
}

kv_code kv_q_referrer_bytes(kv_tx *tx, kv_sv repository, const char *subject, kv_sv artifact_type,
                            kv_sv last, uint64_t *out, kv_error *err)
{
    static kv_query q = KV_QUERY("SELECT COALESCE(SUM(LENGTH(f.descriptor)), 0) FROM referrer f "
                                 "JOIN repository r ON r.id = f.repository_id "
                                 "WHERE r.name = ?1 AND f.subject = ?2 AND f.digest > ?3 "
                                 "AND (?4 = '' OR f.artifact_type = ?4)");
    kv_auto_rows r = {0};
    KV_TRY(kv_tx_query(tx, &q,
                       KV_VALS(kv_v_text(repository), kv_v_text(kv_sv_of(subject)), kv_v_text(last),
                               kv_v_text(artifact_type)),
                       &r, err));
    *out = kv_rows_next(&r) ? (uint64_t)kv_col_int(&r, 0) : 0;
    return kv_rows_end(&r, err);
}

kv_code kv_q_referrer_each(kv_tx *tx, kv_sv repository, const char *subject, kv_sv artifact_type,
                           kv_sv last, kv_referrer_fn *fn, void *ctx, kv_error *err)
{
    static kv_query q = KV_QUERY("SELECT f.digest, f.descriptor FROM referrer f "
                                 "JOIN repository r ON r.id = f.repository_id "
                                 "WHERE r.name = ?1 AND f.subject = ?2 AND f.digest > ?3 "
                                 "AND (?4 = '' OR f.artifact_type = ?4) ORDER BY f.digest");
    kv_auto_rows r = {0};
    KV_TRY(kv_tx_query(tx, &q,
                       KV_VALS(kv_v_text(repository), kv_v_text(kv_sv_of(subject)), kv_v_text(last),
                               kv_v_text(artifact_type)),
                       &r, err));
    while (kv_rows_next(&r))
        if (!fn(ctx, kv_col_text(&r, 0), kv_col_bytes(&r, 1))) break;
    return kv_rows_end(&r, err);
}

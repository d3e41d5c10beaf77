#include "hub/db/q_blob.h"

#include "hub/db/q_common.h"

static kv_code size_of(kv_tx *tx, kv_query *q, kv_sv repository, const char *digest,
                       uint64_t *out_size, kv_error *err)
{
    kv_auto_rows r = {0};
    KV_TRY(
        kv_tx_query(tx, q, KV_VALS(kv_v_text(repository), kv_v_text(kv_sv_of(digest))), &r, err));
    if (!kv_rows_next(&r)) return kv_q_none(&r, err, "no blob %s in this repository", digest);
    *out_size = (uint64_t)kv_col_int(&r, 0);
    return kv_rows_end(&r, err);
}

kv_code kv_q_blob_in(kv_tx *tx, kv_sv repository, const char *digest, uint64_t *out_size,
                     kv_error *err)
{
    static kv_query q = KV_QUERY("SELECT b.size FROM repository r "
                                 "JOIN repo_blob l ON l.repository_id = r.id AND l.digest = ?2 "
                                 "JOIN blob b ON b.digest = l.digest WHERE r.name = ?1");
    return size_of(tx, &q, repository, digest, out_size, err);
}

kv_code kv_q_blob_linked(kv_tx *tx, const char *repository_id, const char *digest,
                         uint64_t *out_size, kv_error *err)
{
    static kv_query q = KV_QUERY(
        "SELECT b.size FROM repo_blob l JOIN blob b ON b.digest = l.digest "
        "WHERE l.repository_id = ?1 AND l.digest = ?2");
    return size_of(tx, &q, kv_sv_of(repository_id), digest, out_size, err);
}

kv_code kv_q_blob_add(kv_tx *tx, const char *digest, uint64_t size, int64_t now_us, kv_error *err)
{
    static kv_query q = KV_QUERY("INSERT INTO blob (digest, size, created_at) VALUES (?1, ?2, ?3) "
                                 "ON CONFLICT (digest) DO NOTHING");
    return kv_tx_exec(
        tx, &q, KV_VALS(kv_v_text(kv_sv_of(digest)), kv_v_int((int64_t)size), kv_v_int(now_us)),
        NULL, err);
}

kv_code kv_q_blob_link(kv_tx *tx, const char *repository_id, const char *digest, int64_t now_us,
                       kv_error *err)
{
    static kv_query q = KV_QUERY(
        "INSERT INTO repo_blob (repository_id, digest, created_at) VALUES (?1, ?2, ?3) "
        "ON CONFLICT (repository_id, digest) DO NOTHING");
    return kv_tx_exec(
        tx, &q,
        KV_VALS(kv_v_text(kv_sv_of(repository_id)), kv_v_text(kv_sv_of(digest)), kv_v_int(now_us)),
        NULL, err);
}

kv_code kv_q_blob_unlink(kv_tx *tx, const char *repository_id, const char *digest, kv_error *err)
{
    static kv_query q = KV_QUERY("DELETE FROM repo_blob WHERE repository_id = ?1 AND digest = ?2");
    return kv_tx_exec(tx, &q,
                      KV_VALS(kv_v_text(kv_sv_of(repository_id)), kv_v_text(kv_sv_of(digest))),
                      NULL, err);
}

kv_code kv_q_blob_in_use(kv_tx *tx, const char *repository_id, const char *digest, bool *out,
                         kv_error *err)
{
    static kv_query q = KV_QUERY("SELECT 1 FROM manifest_blob u "
                                 "JOIN version v ON v.digest = u.manifest AND v.repository_id = ?1 "
                                 "WHERE u.digest = ?2 AND v.to_seq IS NULL LIMIT 1");
    kv_auto_rows r = {0};
    KV_TRY(kv_tx_query(
        tx, &q, KV_VALS(kv_v_text(kv_sv_of(repository_id)), kv_v_text(kv_sv_of(digest))), &r, err));
    *out = kv_rows_next(&r);
    return kv_rows_end(&r, err);
}

kv_code kv_q_blob_holders(kv_tx *tx, const char *digest, kv_name_fn *fn, void *ctx, kv_error *err)
{
    static kv_query q = KV_QUERY(
        "SELECT r.name FROM repo_blob l JOIN repository r ON r.id = l.repository_id "
        "WHERE l.digest = ?1 ORDER BY r.name");
    kv_auto_rows r = {0};
    KV_TRY(kv_tx_query(tx, &q, KV_VALS(kv_v_text(kv_sv_of(digest))), &r, err));
    while (kv_rows_next(&r))
        if (!fn(ctx, kv_col_text(&r, 0))) break;
    return kv_rows_end(&r, err);
}

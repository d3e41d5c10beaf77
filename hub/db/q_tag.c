#include "hub/db/q_tag.h"

#include "hub/db/q_common.h"

kv_code kv_q_tag_find(kv_tx *tx, const char *repository_id, kv_sv name,
                      char out_digest[KV_DIGEST_TEXT_MAX], kv_error *err)
{
    static kv_query q = KV_QUERY("SELECT digest FROM tag "
                                 "WHERE repository_id = ?1 AND name = ?2 AND to_seq IS NULL");
    kv_auto_rows r = {0};
    KV_TRY(
        kv_tx_query(tx, &q, KV_VALS(kv_v_text(kv_sv_of(repository_id)), kv_v_text(name)), &r, err));
    if (!kv_rows_next(&r))
        return kv_q_none(&r, err, "no tag '%.*s' in this repository",
                         KV_ARG(kv_sv_sub(name, 0, 128)));
    kv_q_copy(kv_col_text(&r, 0), out_digest, KV_DIGEST_TEXT_MAX);
    return kv_rows_end(&r, err);
}

kv_code kv_q_tag_end(kv_tx *tx, const char *repository_id, kv_sv name, int64_t seq, kv_error *err)
{
    static kv_query q = KV_QUERY("UPDATE tag SET to_seq = ?3 "
                                 "WHERE repository_id = ?1 AND name = ?2 AND to_seq IS NULL");
    return kv_tx_exec(tx, &q,
                      KV_VALS(kv_v_text(kv_sv_of(repository_id)), kv_v_text(name), kv_v_int(seq)),
                      NULL, err);
}

kv_code kv_q_tag_begin(kv_tx *tx, const char *repository_id, kv_sv name, const char *digest,
                       int64_t seq, kv_error *err)
{
    static kv_query q = KV_QUERY(
        "INSERT INTO tag (repository_id, name, digest, from_seq) VALUES (?1, ?2, ?3, ?4)");
    return kv_tx_exec(tx, &q,
                      KV_VALS(kv_v_text(kv_sv_of(repository_id)), kv_v_text(name),
                              kv_v_text(kv_sv_of(digest)), kv_v_int(seq)),
                      NULL, err);
}

static kv_code each(kv_tx *tx, kv_query *q, const char *repository_id, kv_sv arg, kv_name_fn *fn,
                    void *ctx, kv_error *err)
{
    kv_auto_rows r = {0};
    KV_TRY(
        kv_tx_query(tx, q, KV_VALS(kv_v_text(kv_sv_of(repository_id)), kv_v_text(arg)), &r, err));
    while (kv_rows_next(&r))
        if (!fn(ctx, kv_col_text(&r, 0))) break;
    return kv_rows_end(&r, err);
}

kv_code kv_q_tag_each(kv_tx *tx, const char *repository_id, kv_sv last, kv_name_fn *fn, void *ctx,
                      kv_error *err)
{
    static kv_query q = KV_QUERY(
        "SELECT name FROM tag WHERE repository_id = ?1 AND name > ?2 AND to_seq IS NULL "
        "ORDER BY name");
    return each(tx, &q, repository_id, last, fn, ctx, err);
}

kv_code kv_q_tag_each_of(kv_tx *tx, const char *repository_id, const char *digest, kv_name_fn *fn,
                         void *ctx, kv_error *err)
{
    static kv_query q = KV_QUERY(
        "SELECT name FROM tag WHERE repository_id = ?1 AND digest = ?2 AND to_seq IS NULL "
        "ORDER BY name");
    return each(tx, &q, repository_id, kv_sv_of(digest), fn, ctx, err);
}

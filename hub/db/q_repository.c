#include "hub/db/q_repository.h"

#include "hub/db/q_common.h"

kv_code kv_q_repository_find(kv_tx *tx, kv_sv name, kv_repository_row *out, kv_error *err)
{
    static kv_query q = KV_QUERY("SELECT id, last_number FROM repository WHERE name = ?1");
    kv_auto_rows r = {0};
    KV_TRY(kv_tx_query(tx, &q, KV_VALS(kv_v_text(name)), &r, err));
    if (!kv_rows_next(&r))
        return kv_q_none(&r, err, "no repository '%.*s'", KV_ARG(kv_sv_sub(name, 0, 255)));
    kv_q_copy(kv_col_text(&r, 0), out->id, sizeof(out->id));
    out->last_number = kv_col_int(&r, 1);
    return kv_rows_end(&r, err);
}

kv_code kv_q_namespace_find(kv_tx *tx, kv_sv name, char out_id[KV_UUID_MAX], kv_error *err)
{
    static kv_query q = KV_QUERY("SELECT id FROM namespace WHERE name = ?1");
    kv_auto_rows r = {0};
    KV_TRY(kv_tx_query(tx, &q, KV_VALS(kv_v_text(name)), &r, err));
    if (!kv_rows_next(&r))
        return kv_q_none(&r, err, "no namespace '%.*s'", KV_ARG(kv_sv_sub(name, 0, 255)));
    kv_q_copy(kv_col_text(&r, 0), out_id, KV_UUID_MAX);
    return kv_rows_end(&r, err);
}

kv_code kv_q_namespace_insert(kv_tx *tx, const char *id, kv_sv name, int64_t now_us, int64_t seq,
                              kv_error *err)
{
    static kv_query q = KV_QUERY(
        "INSERT INTO namespace (id, name, created_at, from_seq) VALUES (?1, ?2, ?3, ?4)");
    return kv_tx_exec(
        tx, &q, KV_VALS(kv_v_text(kv_sv_of(id)), kv_v_text(name), kv_v_int(now_us), kv_v_int(seq)),
        NULL, err);
}

kv_code kv_q_repository_insert(kv_tx *tx, const char *id, const char *namespace_id, kv_sv name,
                               int64_t now_us, int64_t seq, kv_error *err)
{
    static kv_query q = KV_QUERY("INSERT INTO repository "
                                 "(id, namespace_id, name, last_number, created_at, from_seq) "
                                 "VALUES (?1, ?2, ?3, 0, ?4, ?5)");
    return kv_tx_exec(tx, &q,
                      KV_VALS(kv_v_text(kv_sv_of(id)), kv_v_text(kv_sv_of(namespace_id)),
                              kv_v_text(name), kv_v_int(now_us), kv_v_int(seq)),
                      NULL, err);
}

kv_code kv_q_repository_set_last_number(kv_tx *tx, const char *id, int64_t number, kv_error *err)
{
    static kv_query q = KV_QUERY("UPDATE repository SET last_number = ?2 WHERE id = ?1");
    return kv_tx_exec(tx, &q, KV_VALS(kv_v_text(kv_sv_of(id)), kv_v_int(number)), NULL, err);
}

kv_code kv_q_repository_each(kv_tx *tx, kv_sv last, kv_name_fn *fn, void *ctx, kv_error *err)
{
    static kv_query q = KV_QUERY("SELECT name FROM repository WHERE name > ?1 ORDER BY name");
    kv_auto_rows r = {0};
    KV_TRY(kv_tx_query(tx, &q, KV_VALS(kv_v_text(last)), &r, err));
    while (kv_rows_next(&r))
        if (!fn(ctx, kv_col_text(&r, 0))) break;
    return kv_rows_end(&r, err);
}

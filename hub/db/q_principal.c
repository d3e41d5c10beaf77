#include "hub/db/q_principal.h"

#include <string.h>

#include "hub/db/q_common.h"

#define ROW_COLUMNS                                                                                \
    "SELECT p.id, p.name, p.created_at, p.disabled_seq, g.id, c.generation, c.hash "               \
    "FROM principal p "                                                                            \
    "LEFT JOIN credential c ON c.principal_id = p.id AND c.kind = 'password' "                     \
    "LEFT JOIN role_grant g ON g.principal_id = p.id AND g.scope = '' AND g.to_seq IS NULL "

static void read_row(const kv_rows *r, kv_principal_row *out)
{
    kv_q_copy(kv_col_text(r, 0), out->id, sizeof(out->id));
    kv_q_copy(kv_col_text(r, 1), out->name, sizeof(out->name));
    out->created_at_us = kv_col_int(r, 2);
    out->disabled = !kv_col_is_null(r, 3);
    out->admin = !kv_col_is_null(r, 4);
    out->generation = kv_col_int(r, 5);
    kv_q_copy(kv_col_text(r, 6), out->password_hash, sizeof(out->password_hash));
}

static kv_code one(kv_tx *tx, kv_query *q, kv_sv key, kv_principal_row *out, kv_error *err)
{
    kv_auto_rows r = {0};
    KV_TRY(kv_tx_query(tx, q, KV_VALS(kv_v_text(key)), &r, err));
    if (!kv_rows_next(&r))
        return kv_q_none(&r, err, "no user '%.*s'", KV_ARG(kv_sv_sub(key, 0, KV_USER_NAME_MAX)));
    read_row(&r, out);
    return kv_rows_end(&r, err);
}

kv_code kv_q_principal_by_name(kv_tx *tx, kv_sv name, kv_principal_row *out, kv_error *err)
{
    static kv_query q = KV_QUERY(ROW_COLUMNS "WHERE p.name = ?1");
    return one(tx, &q, name, out, err);
}

kv_code kv_q_principal_by_id(kv_tx *tx, kv_sv id, kv_principal_row *out, kv_error *err)
{
    static kv_query q = KV_QUERY(ROW_COLUMNS "WHERE p.id = ?1");
    return one(tx, &q, id, out, err);
}

kv_code kv_q_principal_each(kv_tx *tx, kv_sv after, int64_t limit, kv_principal_fn *fn, void *ctx,
                            kv_error *err)
{
    static kv_query q = KV_QUERY(ROW_COLUMNS "WHERE p.name > ?1 ORDER BY p.name LIMIT ?2");
    kv_auto_rows r = {0};
    KV_TRY(kv_tx_query(tx, &q, KV_VALS(kv_v_text(after), kv_v_int(limit)), &r, err));
    while (kv_rows_next(&r)) {
        kv_principal_row row;
        read_row(&r, &row);
        KV_TRY(fn(ctx, &row, err));
    }
    return kv_rows_end(&r, err);
}

kv_code kv_q_principal_has_admin(kv_tx *tx, bool *out, kv_error *err)
{
    static kv_query q = KV_QUERY("SELECT 1 FROM role_grant WHERE scope = '' AND to_seq IS NULL "
                                 "LIMIT 1");
    kv_auto_rows r = {0};
    KV_TRY(kv_tx_query(tx, &q, KV_NO_VALS, &r, err));
    *out = kv_rows_next(&r);
    return kv_rows_end(&r, err);
}

kv_code kv_q_principal_add(kv_tx *tx, const char *id, kv_sv name, int64_t now_us, int64_t seq,
                           kv_error *err)
{
    static kv_query q = KV_QUERY("INSERT INTO principal (id, kind, name, created_at, from_seq) "
                                 "VALUES (?1, 'user', ?2, ?3, ?4)");
    return kv_tx_exec(
        tx, &q, KV_VALS(kv_v_text(kv_sv_of(id)), kv_v_text(name), kv_v_int(now_us), kv_v_int(seq)),
        NULL, err);
}

kv_code kv_q_password_set(kv_tx *tx, const char *principal_id, const char *hash, int64_t seq,
                          kv_error *err)
{
    static kv_query q = KV_QUERY(
        "INSERT INTO credential (principal_id, kind, hash, generation, seq) "
        "VALUES (?1, 'password', ?2, 1, ?3) ON CONFLICT (principal_id, kind) "
        "DO UPDATE SET hash = ?2, generation = credential.generation + 1, seq = ?3");
    return kv_tx_exec(
        tx, &q,
        KV_VALS(kv_v_text(kv_sv_of(principal_id)), kv_v_text(kv_sv_of(hash)), kv_v_int(seq)), NULL,
        err);
}

kv_code kv_q_grant_each(kv_tx *tx, kv_sv principal_id, kv_grant_fn *fn, void *ctx, kv_error *err)
{
    static kv_query q = KV_QUERY("SELECT n.name, g.role FROM role_grant g "
                                 "JOIN namespace n ON n.id = g.scope "
                                 "WHERE g.principal_id = ?1 AND g.to_seq IS NULL ORDER BY n.name");
    kv_auto_rows r = {0};
    KV_TRY(kv_tx_query(tx, &q, KV_VALS(kv_v_text(principal_id)), &r, err));
    while (kv_rows_next(&r)) KV_TRY(fn(ctx, kv_col_text(&r, 0), kv_col_text(&r, 1), err));
    return kv_rows_end(&r, err);
}

kv_code kv_q_grant_get(kv_tx *tx, kv_sv principal_id, kv_sv scope, kv_buf *out_role, kv_error *err)
{
    static kv_query q = KV_QUERY("SELECT role FROM role_grant "
                                 "WHERE principal_id = ?1 AND scope = ?2 AND to_seq IS NULL");
    kv_auto_rows r = {0};
    KV_TRY(kv_tx_query(tx, &q, KV_VALS(kv_v_text(principal_id), kv_v_text(scope)), &r, err));
    if (kv_rows_next(&r)) kv_buf_add(out_role, kv_col_text(&r, 0));
    KV_TRY(kv_rows_end(&r, err));
    return kv_buf_check(out_role, err);
}

kv_code kv_q_grant_end(kv_tx *tx, kv_sv principal_id, kv_sv scope, int64_t seq, kv_error *err)
{
    static kv_query q = KV_QUERY("UPDATE role_grant SET to_seq = ?3 "
                                 "WHERE principal_id = ?1 AND scope = ?2 AND to_seq IS NULL");
    return kv_tx_exec(tx, &q, KV_VALS(kv_v_text(principal_id), kv_v_text(scope), kv_v_int(seq)),
                      NULL, err);
}

kv_code kv_q_grant_add(kv_tx *tx, kv_sv principal_id, kv_sv scope, kv_sv role, int64_t seq,
                       kv_error *err)
{
    static kv_query q = KV_QUERY("INSERT INTO role_grant (id, principal_id, scope, role, from_seq) "
                                 "VALUES (?1, ?2, ?3, ?4, ?5)");
    char id[KV_UUID_MAX];
    kv_uuid7(id);
    return kv_tx_exec(tx, &q,
                      KV_VALS(kv_v_text(kv_sv_of(id)), kv_v_text(principal_id), kv_v_text(scope),
                              kv_v_text(role), kv_v_int(seq)),
                      NULL, err);
}

kv_code kv_q_instance_get(kv_tx *tx, char out_id[KV_UUID_MAX], kv_error *err)
{
    static kv_query q = KV_QUERY("SELECT id FROM instance LIMIT 1");
    kv_auto_rows r = {0};
    KV_TRY(kv_tx_query(tx, &q, KV_NO_VALS, &r, err));
    if (!kv_rows_next(&r)) return kv_q_none(&r, err, "this hub has no id yet");
    kv_q_copy(kv_col_text(&r, 0), out_id, KV_UUID_MAX);
    return kv_rows_end(&r, err);
}

kv_code kv_q_instance_add(kv_tx *tx, const char *id, int64_t now_us, kv_error *err)
{
    static kv_query q = KV_QUERY("INSERT INTO instance (id, created_at) VALUES (?1, ?2)");
    return kv_tx_exec(tx, &q, KV_VALS(kv_v_text(kv_sv_of(id)), kv_v_int(now_us)), NULL, err);
}

kv_code kv_q_secret_get(kv_tx *tx, kv_sv name, void *out, size_t n, kv_error *err)
{
    static kv_query q = KV_QUERY("SELECT value FROM secret WHERE name = ?1");
    kv_auto_rows r = {0};
    KV_TRY(kv_tx_query(tx, &q, KV_VALS(kv_v_text(name)), &r, err));
    if (!kv_rows_next(&r)) return kv_q_none(&r, err, "no key '%.*s'", KV_ARG(name));
    kv_sv value = kv_col_bytes(&r, 0);
    if (value.n != n)
        return kv_fail(err, KV_E_CORRUPT, "the key '%.*s' has %zu bytes instead of %zu",
                       KV_ARG(name), value.n, n);
    memcpy(out, value.p, n);
    return kv_rows_end(&r, err);
}

kv_code kv_q_secret_add(kv_tx *tx, kv_sv name, const void *value, size_t n, int64_t now_us,
                        kv_error *err)
{
    static kv_query q = KV_QUERY(
        "INSERT INTO secret (name, value, created_at) VALUES (?1, ?2, ?3)");
    return kv_tx_exec(tx, &q,
                      KV_VALS(kv_v_text(name), kv_v_bytes((kv_sv){value, n}), kv_v_int(now_us)),
                      NULL, err);
}

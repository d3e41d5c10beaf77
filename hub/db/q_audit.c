#include "hub/db/q_audit.h"

#include <string.h>

static kv_val bytes_of(const kv_hash32 *h)
{
    return kv_v_bytes((kv_sv){(const char *)h->b, sizeof h->b});
}

static bool hash_of(kv_sv bytes, kv_hash32 *out)
{
    if (bytes.n != sizeof out->b) return false;
    memcpy(out->b, bytes.p, sizeof out->b);
    return true;
}

/* The first columns of the first row, as numbers; they stay as they are when there is none. */
static kv_code ints(kv_tx *tx, kv_query *q, const kv_val *v, size_t n, int64_t *const *out,
                    unsigned n_out, kv_error *err)
{
    kv_auto_rows r = {0};
    KV_TRY(kv_tx_query(tx, q, v, n, &r, err));
    if (kv_rows_next(&r))
        for (unsigned i = 0; i < n_out; i++) *out[i] = kv_col_int(&r, i);
    return kv_rows_end(&r, err);
}

kv_code kv_q_audit_last(kv_tx *tx, int64_t *out_seq, int64_t *out_time_us, kv_error *err)
{
    static kv_query q = KV_QUERY("SELECT seq, time FROM audit_leaf ORDER BY seq DESC LIMIT 1");
    *out_seq = *out_time_us = 0;
    return ints(tx, &q, KV_NO_VALS, (int64_t *const[]){out_seq, out_time_us}, 2, err);
}

kv_code kv_q_audit_last_of(kv_tx *tx, kv_sv object_key, int64_t *out_seq, kv_error *err)
{
    static kv_query q = KV_QUERY(
        "SELECT seq FROM audit_leaf WHERE object_key = ?1 ORDER BY seq DESC LIMIT 1");
    *out_seq = 0;
    return ints(tx, &q, KV_VALS(kv_v_text(object_key)), &out_seq, 1, err);
}

static kv_code node_get(kv_tx *tx, unsigned level, int64_t idx, kv_hash32 *out, kv_error *err)
{
    static kv_query q = KV_QUERY("SELECT hash FROM audit_node WHERE level = ?1 AND idx = ?2");
    kv_auto_rows r = {0};
    KV_TRY(kv_tx_query(tx, &q, KV_VALS(kv_v_int(level), kv_v_int(idx)), &r, err));
    bool found = kv_rows_next(&r) && hash_of(kv_col_bytes(&r, 0), out);
    KV_TRY(kv_rows_end(&r, err));
    if (!found)
        return kv_fail(err, KV_E_CORRUPT, "the audit tree has no node %u/%lld", level,
                       (long long)idx);
    return KV_OK;
}

static kv_code node_add(kv_tx *tx, unsigned level, int64_t idx, const kv_hash32 *hash,
                        kv_error *err)
{
    static kv_query q = KV_QUERY("INSERT INTO audit_node (level, idx, hash) VALUES (?1, ?2, ?3)");
    return kv_tx_exec(tx, &q, KV_VALS(kv_v_int(level), kv_v_int(idx), bytes_of(hash)), NULL, err);
}

kv_code kv_q_audit_append(kv_tx *tx, const kv_leaf_row *row, kv_error *err)
{
    static kv_query q = KV_QUERY(
        "INSERT INTO audit_leaf (seq, time, actor_id, action, object_key, object_digest, repo_id, "
        "leaf, leaf_hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)");
    kv_hash32 hash = kv_merkle_leaf(row->leaf);
    KV_TRY(kv_tx_exec(
        tx, &q,
        KV_VALS(kv_v_int(row->seq), kv_v_int(row->time_us), kv_v_text_or_null(row->actor_id),
                kv_v_text(row->action), kv_v_text_or_null(row->object_key),
                kv_v_text_or_null(row->object_digest), kv_v_text_or_null(row->repo_id),
                kv_v_bytes(row->leaf), bytes_of(&hash)),
        NULL, err));
    int64_t idx = row->seq - 1;
    KV_TRY(node_add(tx, 0, idx, &hash, err));
    for (unsigned level = 0; idx & 1; level++, idx >>= 1) {
        kv_hash32 left;
        KV_TRY(node_get(tx, level, idx - 1, &left, err));
        hash = kv_merkle_node(&left, &hash);
        KV_TRY(node_add(tx, level + 1, idx >> 1, &hash, err));
    }
    kv_tx_count_leaf(tx);
    return KV_OK;
}

kv_code kv_q_audit_root(kv_tx *tx, int64_t size, kv_hash32 *out, kv_error *err)
{
    kv_merkle_place at[KV_MERKLE_LEVELS];
    kv_hash32 hashes[KV_MERKLE_LEVELS];
    size_t n = kv_merkle_places((uint64_t)size, at);
    for (size_t i = 0; i < n; i++)
        KV_TRY(node_get(tx, at[i].level, (int64_t)at[i].idx, &hashes[i], err));
    *out = kv_merkle_fold(hashes, n);
    return KV_OK;
}

kv_code kv_q_audit_nodes(kv_tx *tx, unsigned level, int64_t idx, int64_t n, kv_hash_fn *fn,
                         void *ctx, kv_error *err)
{
    static kv_query q = KV_QUERY("SELECT hash FROM audit_node WHERE level = ?1 AND idx >= ?2 "
                                 "ORDER BY idx LIMIT ?3");
    kv_auto_rows r = {0};
    KV_TRY(kv_tx_query(tx, &q, KV_VALS(kv_v_int(level), kv_v_int(idx), kv_v_int(n)), &r, err));
    int64_t got = 0;
    for (; kv_rows_next(&r); got++) {
        kv_hash32 h;
        if (!hash_of(kv_col_bytes(&r, 0), &h))
            return kv_fail(err, KV_E_CORRUPT, "an audit node of level %u is not a hash", level);
        KV_TRY(fn(ctx, &h, err));
    }
    KV_TRY(kv_rows_end(&r, err));
    if (got != n)
        return kv_fail(err, KV_E_CORRUPT, "the audit tree has %lld of %lld nodes at %u/%lld",
                       (long long)got, (long long)n, level, (long long)idx);
    return KV_OK;
}

static kv_code each_leaf(kv_tx *tx, kv_query *q, const kv_val *v, size_t n, kv_leaf_fn *fn,
                         void *ctx, kv_error *err)
{
    kv_auto_rows r = {0};
    KV_TRY(kv_tx_query(tx, q, v, n, &r, err));
    while (kv_rows_next(&r)) {
        kv_leaf_view view = {.seq = kv_col_int(&r, 0),
                             .time_us = kv_col_int(&r, 1),
                             .leaf = kv_col_bytes(&r, 2),
                             .actor_name = kv_col_text(&r, 3)};
        KV_TRY(fn(ctx, &view, err));
    }
    return kv_rows_end(&r, err);
}

#define LEAF_COLUMNS                                                                               \
    "SELECT l.seq, l.time, l.leaf, p.name FROM audit_leaf l "                                      \
    "LEFT JOIN principal p ON p.id = l.actor_id "

kv_code kv_q_audit_from(kv_tx *tx, int64_t from, int64_t limit, kv_leaf_fn *fn, void *ctx,
                        kv_error *err)
{
    static kv_query q = KV_QUERY(LEAF_COLUMNS "WHERE l.seq >= ?1 ORDER BY l.seq LIMIT ?2");
    return each_leaf(tx, &q, KV_VALS(kv_v_int(from), kv_v_int(limit)), fn, ctx, err);
}

kv_code kv_q_audit_before(kv_tx *tx, int64_t before, int64_t limit, kv_leaf_fn *fn, void *ctx,
                          kv_error *err)
{
    static kv_query q = KV_QUERY(LEAF_COLUMNS "WHERE l.seq < ?1 ORDER BY l.seq DESC LIMIT ?2");
    return each_leaf(tx, &q, KV_VALS(kv_v_int(before), kv_v_int(limit)), fn, ctx, err);
}

kv_code kv_q_audit_of_repository(kv_tx *tx, kv_sv repo_id, kv_sv tag, kv_sv digest, int64_t before,
                                 int64_t limit, kv_leaf_fn *fn, void *ctx, kv_error *err)
{
#define CHANGES "l.seq < ?2 AND l.action NOT IN ('version.pulled', 'blob.mounted') "
#define NEWEST "ORDER BY l.seq DESC LIMIT ?3"
    static kv_query all = KV_QUERY(LEAF_COLUMNS "WHERE l.repo_id = ?1 AND " CHANGES NEWEST);
    static kv_query of_tag = KV_QUERY(LEAF_COLUMNS "WHERE l.object_key = ?1 AND " CHANGES NEWEST);
    static kv_query of_digest = KV_QUERY(
        LEAF_COLUMNS "WHERE l.repo_id = ?1 AND l.object_digest = ?4 AND " CHANGES NEWEST);
    if (digest.n)
        return each_leaf(
            tx, &of_digest,
            KV_VALS(kv_v_text(repo_id), kv_v_int(before), kv_v_int(limit), kv_v_text(digest)), fn,
            ctx, err);
    if (!tag.n)
        return each_leaf(tx, &all, KV_VALS(kv_v_text(repo_id), kv_v_int(before), kv_v_int(limit)),
                         fn, ctx, err);
    kv_auto_buf key = KV_BUF(512);
    kv_buf_addf(&key, "tag:%.*s:%.*s", KV_ARG(repo_id), KV_ARG(tag));
    KV_TRY(kv_buf_check(&key, err));
    return each_leaf(tx, &of_tag,
                     KV_VALS(kv_v_text(kv_buf_sv(&key)), kv_v_int(before), kv_v_int(limit)), fn,
                     ctx, err);
}

kv_code kv_q_checkpoint_last(kv_tx *tx, int64_t *out_size, kv_error *err)
{
    static kv_query q = KV_QUERY("SELECT size FROM audit_checkpoint ORDER BY size DESC LIMIT 1");
    *out_size = 0;
    return ints(tx, &q, KV_NO_VALS, &out_size, 1, err);
}

kv_code kv_q_checkpoint_add(kv_tx *tx, int64_t size, const kv_hash32 *root, int64_t time_us,
                            kv_sv note, kv_error *err)
{
    static kv_query q = KV_QUERY("INSERT INTO audit_checkpoint (size, root, time, note) "
                                 "VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING");
    return kv_tx_exec(tx, &q,
                      KV_VALS(kv_v_int(size), bytes_of(root), kv_v_int(time_us), kv_v_text(note)),
                      NULL, err);
}

kv_code kv_q_pii_find(kv_tx *tx, kv_sv principal_id, kv_sv kind, kv_sv value, kv_buf *out_hash,
                      bool *out_found, kv_error *err)
{
    static kv_query q = KV_QUERY(
        "SELECT hash FROM pii WHERE principal_id = ?1 AND kind = ?2 AND value = ?3");
    kv_auto_rows r = {0};
    KV_TRY(kv_tx_query(tx, &q, KV_VALS(kv_v_text(principal_id), kv_v_text(kind), kv_v_text(value)),
                       &r, err));
    *out_found = kv_rows_next(&r);
    if (*out_found) kv_buf_add(out_hash, kv_col_text(&r, 0));
    return kv_rows_end(&r, err);
}

kv_code kv_q_pii_add(kv_tx *tx, kv_sv hash, kv_sv principal_id, kv_sv kind, kv_sv value, kv_sv salt,
                     int64_t now_us, kv_error *err)
{
    static kv_query q = KV_QUERY("INSERT INTO pii (hash, principal_id, kind, value, salt, "
                                 "created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)");
    return kv_tx_exec(tx, &q,
                      KV_VALS(kv_v_text(hash), kv_v_text(principal_id), kv_v_text(kind),
                              kv_v_text(value), kv_v_bytes(salt), kv_v_int(now_us)),
                      NULL, err);
}

kv_code kv_q_progress_get(kv_tx *tx, kv_sv name, int64_t *out, kv_error *err)
{
    static kv_query q = KV_QUERY("SELECT value FROM progress WHERE name = ?1");
    *out = 0;
    return ints(tx, &q, KV_VALS(kv_v_text(name)), &out, 1, err);
}

kv_code kv_q_progress_set(kv_tx *tx, kv_sv name, int64_t value, kv_error *err)
{
    static kv_query q = KV_QUERY("INSERT INTO progress (name, value) VALUES (?1, ?2) "
                                 "ON CONFLICT (name) DO UPDATE SET value = ?2");
    return kv_tx_exec(tx, &q, KV_VALS(kv_v_text(name), kv_v_int(value)), NULL, err);
}

#include "hub/db/q_manifest.h"

#include "hub/db/q_common.h"

static kv_code found(kv_tx *tx, kv_query *q, kv_sv repository, kv_sv ref, kv_version_found *out,
                     kv_error *err)
{
    kv_auto_rows r = {0};
    KV_TRY(kv_tx_query(tx, q, KV_VALS(kv_v_text(repository), kv_v_text(ref)), &r, err));
    if (!kv_rows_next(&r))
        return kv_q_none(&r, err, "no manifest '%.*s' in this repository",
                         KV_ARG(kv_sv_sub(ref, 0, 160)));
    kv_q_copy(kv_col_text(&r, 0), out->repository_id, sizeof(out->repository_id));
    kv_q_copy(kv_col_text(&r, 1), out->version_id, sizeof(out->version_id));
    kv_q_copy(kv_col_text(&r, 2), out->digest, sizeof(out->digest));
    kv_q_copy(kv_col_text(&r, 3), out->media_type, sizeof(out->media_type));
    out->size = (uint64_t)kv_col_int(&r, 4);
    return kv_rows_end(&r, err);
}

kv_code kv_q_version_by_tag(kv_tx *tx, kv_sv repository, kv_sv tag, kv_version_found *out,
                            kv_error *err)
{
    static kv_query q = KV_QUERY(
        "SELECT r.id, v.id, t.digest, m.media_type, m.size FROM repository r "
        "JOIN tag t ON t.repository_id = r.id AND t.name = ?2 AND t.to_seq IS NULL "
        "JOIN version v ON v.repository_id = r.id AND v.digest = t.digest "
        "JOIN manifest m ON m.digest = t.digest WHERE r.name = ?1");
    return found(tx, &q, repository, tag, out, err);
}

kv_code kv_q_version_by_digest(kv_tx *tx, kv_sv repository, const char *digest,
                               kv_version_found *out, kv_error *err)
{
    static kv_query q = KV_QUERY(
        "SELECT r.id, v.id, v.digest, m.media_type, m.size FROM repository r "
        "JOIN version v ON v.repository_id = r.id AND v.digest = ?2 "
        "JOIN manifest m ON m.digest = v.digest "
        "WHERE r.name = ?1 AND v.to_seq IS NULL");
    return found(tx, &q, repository, kv_sv_of(digest), out, err);
}

kv_code kv_q_manifest_bytes(kv_tx *tx, const char *digest, kv_buf *out, kv_error *err)
{
    static kv_query q = KV_QUERY("SELECT bytes FROM manifest WHERE digest = ?1");
    kv_auto_rows r = {0};
    KV_TRY(kv_tx_query(tx, &q, KV_VALS(kv_v_text(kv_sv_of(digest))), &r, err));
    if (!kv_rows_next(&r)) return kv_q_none(&r, err, "no manifest %s", digest);
    kv_buf_add(out, kv_col_bytes(&r, 0));
    KV_TRY(kv_rows_end(&r, err));
    return kv_buf_check(out, err);
}

kv_code kv_q_manifest_add(kv_tx *tx, const kv_manifest_row *row, bool *out_new, kv_error *err)
{
    static kv_query q = KV_QUERY(
        "INSERT INTO manifest (digest, media_type, artifact_type, subject, size, bytes) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (digest) DO NOTHING");
    int64_t changed = 0;
    KV_TRY(
        kv_tx_exec(tx, &q,
                   KV_VALS(kv_v_text(kv_sv_of(row->digest)), kv_v_text(row->media_type),
                           kv_v_text_or_null(row->artifact_type), kv_v_text_or_null(row->subject),
                           kv_v_int((int64_t)row->bytes.n), kv_v_bytes(row->bytes)),
                   &changed, err));
    if (out_new) *out_new = changed > 0;
    return KV_OK;
}

kv_code kv_q_manifest_points_to(kv_tx *tx, const char *manifest, const char *digest,
                                const char *kind, uint64_t size, kv_error *err)
{
    static kv_query q = KV_QUERY(
        "INSERT INTO manifest_blob (manifest, digest, kind, size) "
        "VALUES (?1, ?2, ?3, ?4) ON CONFLICT (manifest, digest, kind) DO NOTHING");
    return kv_tx_exec(tx, &q,
                      KV_VALS(kv_v_text(kv_sv_of(manifest)), kv_v_text(kv_sv_of(digest)),
                              kv_v_text(kv_sv_of(kind)), kv_v_int((int64_t)size)),
                      NULL, err);
}

kv_code kv_q_version_find(kv_tx *tx, const char *repository_id, const char *digest,
                          kv_version_row *out, kv_error *err)
{
    static kv_query q = KV_QUERY("SELECT id, number, to_seq FROM version "
                                 "WHERE repository_id = ?1 AND digest = ?2");
    kv_auto_rows r = {0};
    KV_TRY(kv_tx_query(
        tx, &q, KV_VALS(kv_v_text(kv_sv_of(repository_id)), kv_v_text(kv_sv_of(digest))), &r, err));
    if (!kv_rows_next(&r)) return kv_q_none(&r, err, "no version %s in this repository", digest);
    kv_q_copy(kv_col_text(&r, 0), out->id, sizeof(out->id));
    out->number = kv_col_int(&r, 1);
    out->live = kv_col_is_null(&r, 2);
    return kv_rows_end(&r, err);
}

kv_code kv_q_version_size(kv_tx *tx, const char *repository_id, const char *digest,
                          uint64_t *out_size, kv_error *err)
{
    static kv_query q = KV_QUERY(
        "SELECT m.size FROM version v JOIN manifest m ON m.digest = v.digest "
        "WHERE v.repository_id = ?1 AND v.digest = ?2 AND v.to_seq IS NULL");
    kv_auto_rows r = {0};
    KV_TRY(kv_tx_query(
        tx, &q, KV_VALS(kv_v_text(kv_sv_of(repository_id)), kv_v_text(kv_sv_of(digest))), &r, err));
    if (!kv_rows_next(&r)) return kv_q_none(&r, err, "no manifest %s in this repository", digest);
    *out_size = (uint64_t)kv_col_int(&r, 0);
    return kv_rows_end(&r, err);
}

kv_code kv_q_version_insert(kv_tx *tx, const kv_version_row *row, const char *repository_id,
                            const char *digest, kv_sv by, int64_t now_us, int64_t seq,
                            kv_error *err)
{
    static kv_query q = KV_QUERY("INSERT INTO version (id, repository_id, digest, number, "
                                 "pushed_at, pushed_by, from_seq) "
                                 "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");
    return kv_tx_exec(tx, &q,
                      KV_VALS(kv_v_text(kv_sv_of(row->id)), kv_v_text(kv_sv_of(repository_id)),
                              kv_v_text(kv_sv_of(digest)),
                              row->number ? kv_v_int(row->number) : kv_v_null(), kv_v_int(now_us),
                              kv_v_text_or_null(by), kv_v_int(seq)),
                      NULL, err);
}

kv_code kv_q_version_revive(kv_tx *tx, const char *id, kv_sv by, int64_t now_us, int64_t seq,
                            kv_error *err)
{
    static kv_query q = KV_QUERY("UPDATE version SET pushed_at = ?2, pushed_by = ?3, "
                                 "from_seq = ?4, to_seq = NULL WHERE id = ?1");
    return kv_tx_exec(
        tx, &q,
        KV_VALS(kv_v_text(kv_sv_of(id)), kv_v_int(now_us), kv_v_text_or_null(by), kv_v_int(seq)),
        NULL, err);
}

kv_code kv_q_version_set_number(kv_tx *tx, const char *id, int64_t number, kv_error *err)
{
    static kv_query q = KV_QUERY("UPDATE version SET number = ?2 WHERE id = ?1 AND number IS NULL");
    return kv_tx_exec(tx, &q, KV_VALS(kv_v_text(kv_sv_of(id)), kv_v_int(number)), NULL, err);
}

kv_code kv_q_version_end(kv_tx *tx, const char *id, int64_t seq, kv_error *err)
{
    static kv_query q = KV_QUERY("UPDATE version SET to_seq = ?2 WHERE id = ?1 AND to_seq IS NULL");
    return kv_tx_exec(tx, &q, KV_VALS(kv_v_text(kv_sv_of(id)), kv_v_int(seq)), NULL, err);
}

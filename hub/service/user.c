#include "hub/service/user.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "hub/db/q_principal.h"
#include "hub/service/namespace.h"

static kv_object user_object(const kv_principal_row *row, kv_sv ns)
{
    return (kv_object){
        .type = "user", .id = kv_sv_of(row->id), .name = kv_sv_of(row->name), .ns = ns};
}

/* --- reading --- */

typedef struct reader {
    kv_arena *arena;
    kv_tx *tx;
    kv_user *users; /* malloc'ed while it grows */
    size_t n, cap;
    kv_member *grants;
    size_t n_grants, cap_grants;
} reader;

static kv_code add_row(void *ctx, const kv_principal_row *row, kv_error *err)
{
    reader *r = ctx;
    if (!KV_GROW(r->users, r->n, &r->cap)) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_user *u = &r->users[r->n++];
    *u = (kv_user){.id = kv_arena_dup(r->arena, kv_sv_of(row->id)),
                   .name = kv_arena_dup(r->arena, kv_sv_of(row->name)),
                   .admin = row->admin,
                   .disabled = row->disabled,
                   .created_at_us = row->created_at_us};
    return u->id.p && u->name.p ? KV_OK : kv_fail(err, KV_E_NOMEM, "out of memory");
}

static kv_code add_grant(void *ctx, kv_sv ns, kv_sv role, kv_error *err)
{
    reader *r = ctx;
    kv_sv kept = kv_arena_dup(r->arena, ns);
    if (!kept.p || !KV_GROW(r->grants, r->n_grants, &r->cap_grants))
        return kv_fail(err, KV_E_NOMEM, "out of memory");
    r->grants[r->n_grants++] = (kv_member){
        .ns = kept, .role = kv_sv_is(role, "write") ? KV_ROLE_WRITE : KV_ROLE_READ};
    return KV_OK;
}

static kv_code read_grants(reader *r, kv_user *u, kv_error *err)
{
    r->n_grants = 0;
    KV_TRY(kv_q_grant_each(r->tx, u->id, add_grant, r, err));
    kv_member *kept = KV_NEW(r->arena, kv_member, r->n_grants + 1);
    if (!kept) return kv_fail(err, KV_E_NOMEM, "out of memory");
    if (r->n_grants) memcpy(kept, r->grants, r->n_grants * sizeof(*kept));
    u->grants = kept;
    u->n_grants = r->n_grants;
    return KV_OK;
}

static void reader_clear(reader *r)
{
    kv_tx_rollback(r->tx);
    free(r->users);
    free(r->grants);
}
#define auto_reader KV_CLEANUP(reader_clear) reader

static kv_code read_one(reader *r, kv_sv name, kv_user *out, kv_error *err)
{
    kv_principal_row row;
    KV_TRY(kv_q_principal_by_name(r->tx, name, &row, err));
    KV_TRY(add_row(r, &row, err));
    kv_wipe(row.password_hash, sizeof(row.password_hash));
    KV_TRY(read_grants(r, &r->users[0], err));
    *out = r->users[0];
    return KV_OK;
}

kv_code kv_user_get(kv_identity *id, const kv_principal *who, kv_sv name, kv_arena *arena,
                    kv_user *out, kv_error *err)
{
    auto_reader r = {.arena = arena};
    if (!who->admin && !who->everything && !kv_sv_eq(name, who->name))
        return kv_fail(err, KV_E_NOTFOUND, "no user '%.*s'", KV_ARG(kv_sv_sub(name, 0, 64)));
    KV_TRY(kv_tx_begin(kv_identity_db(id), KV_TX_READ, &r.tx, err));
    return read_one(&r, name, out, err);
}

kv_code kv_user_list(kv_identity *id, kv_sv after, size_t at_most, kv_arena *arena, kv_users *out,
                     kv_error *err)
{
    auto_reader r = {.arena = arena};
    *out = (kv_users){0};
    KV_TRY(kv_tx_begin(kv_identity_db(id), KV_TX_READ, &r.tx, err));
    KV_TRY(kv_q_principal_each(r.tx, after, (int64_t)at_most + 1, add_row, &r, err));
    out->more = r.n > at_most;
    out->n = out->more ? at_most : r.n;
    out->items = KV_NEW(arena, kv_user, out->n + 1);
    if (!out->items) return kv_fail(err, KV_E_NOMEM, "out of memory");
    for (size_t i = 0; i < out->n; i++) {
        KV_TRY(read_grants(&r, &r.users[i], err));
        out->items[i] = r.users[i];
    }
    return KV_OK;
}

kv_code kv_user_has_admin(kv_identity *id, bool *out, kv_error *err)
{
    kv_auto(kv_tx) tx = NULL;
    KV_TRY(kv_tx_begin(kv_identity_db(id), KV_TX_READ, &tx, err));
    return kv_q_principal_has_admin(tx, out, err);
}

/* --- changing --- */

static kv_code add_admin_grant(kv_identity *id, kv_tx *tx, const kv_principal *who,
                               const kv_principal_row *row, kv_error *err)
{
    int64_t seq;
    kv_event ev = {.action = "member.added",
                   .object = user_object(row, KV_SV("")),
                   .new_value = KV_SV("{\"role\":\"admin\"}")};
    KV_TRY(kv_audit_add(kv_identity_audit(id), tx, who, &ev, &seq, err));
    return kv_q_grant_add(tx, kv_sv_of(row->id), KV_SV(""), KV_SV("admin"), seq, err);
}

static kv_code add_user(kv_identity *id, kv_tx *tx, const kv_principal *who, const kv_new_user *u,
                        const char *hash, kv_error *err)
{
    kv_principal_row row;
    kv_error missing;
    if (kv_q_principal_by_name(tx, u->name, &row, &missing) == KV_OK)
        return kv_fail(err, KV_E_EXISTS, "there is a user '%s' already", row.name);
    row = (kv_principal_row){0};
    kv_uuid7(row.id);
    memcpy(row.name, u->name.p, u->name.n);
    kv_pii email = {.kind = "email", .value = u->email, .principal_id = kv_sv_of(row.id)};
    kv_event ev = {.action = "user.created",
                   .object = user_object(&row, KV_SV("")),
                   .pii = &email,
                   .n_pii = u->email.n != 0};
    int64_t seq;
    KV_TRY(kv_audit_add(kv_identity_audit(id), tx, who, &ev, &seq, err));
    KV_TRY(kv_q_principal_add(tx, row.id, u->name, kv_now_us(), seq, err));
    KV_TRY(kv_q_password_set(tx, row.id, hash, seq, err));
    return u->admin ? add_admin_grant(id, tx, who, &row, err) : KV_OK;
}

kv_code kv_user_add(kv_identity *id, const kv_principal *who, const kv_new_user *u, kv_error *err)
{
    char hash[KV_PASSWORD_HASH_MAX];
    kv_auto(kv_tx) tx = NULL;
    if (!kv_user_name_valid(u->name))
        return kv_fail(err, KV_E_INVALID,
                       "a user name has 2 to 64 of a-z and 0-9, with single '.', '_' or '-' "
                       "between them");
    KV_TRY(kv_identity_hash(id, u->password, hash, err));
    KV_TRY(kv_tx_begin(kv_identity_db(id), KV_TX_STATE, &tx, err));
    KV_TRY(add_user(id, tx, who, u, hash, err));
    KV_TRY(kv_tx_commit(KV_TAKE(tx), err));
    kv_identity_changed(id);
    return KV_OK;
}

kv_code kv_user_set_password(kv_identity *id, const kv_principal *who, kv_sv name, kv_sv password,
                             kv_error *err)
{
    char hash[KV_PASSWORD_HASH_MAX];
    kv_principal_row row;
    kv_auto(kv_tx) tx = NULL;
    KV_TRY(kv_identity_hash(id, password, hash, err));
    KV_TRY(kv_tx_begin(kv_identity_db(id), KV_TX_STATE, &tx, err));
    KV_TRY(kv_q_principal_by_name(tx, name, &row, err));
    int64_t seq;
    kv_event ev = {.action = "user.updated",
                   .object = user_object(&row, KV_SV("")),
                   .detail = KV_SV("{\"changed\":[\"password\"]}")};
    KV_TRY(kv_audit_add(kv_identity_audit(id), tx, who, &ev, &seq, err));
    KV_TRY(kv_q_password_set(tx, row.id, hash, seq, err));
    KV_TRY(kv_tx_commit(KV_TAKE(tx), err));
    kv_identity_changed(id);
    return KV_OK;
}

static kv_code role_json(kv_sv role, kv_buf *out, kv_error *err)
{
    if (role.n) kv_buf_addf(out, "{\"role\":\"%.*s\"}", KV_ARG(role));
    return kv_buf_check(out, err);
}

/* Ends the grant that is there and begins the new one; out_changed false: it is as it was. */
static kv_code set_role(kv_identity *id, kv_tx *tx, const kv_principal *who,
                        const kv_principal_row *row, kv_sv ns, kv_role role, bool *out_changed,
                        kv_error *err)
{
    char ns_id[KV_UUID_MAX];
    kv_auto_buf had = KV_BUF(16), old_value = KV_BUF(64), new_value = KV_BUF(64);
    kv_sv user_id = kv_sv_of(row->id);
    kv_sv now = role == KV_ROLE_NONE ? KV_SV("") : kv_sv_of(kv_role_name(role));
    KV_TRY(kv_namespace_ensure(kv_identity_audit(id), tx, who, ns, ns_id, err));
    KV_TRY(kv_q_grant_get(tx, user_id, kv_sv_of(ns_id), &had, err));
    *out_changed = !kv_sv_eq(kv_buf_sv(&had), now);
    if (!*out_changed) return KV_OK;
    KV_TRY(role_json(kv_buf_sv(&had), &old_value, err));
    KV_TRY(role_json(now, &new_value, err));
    kv_event ev = {.action = !had.n  ? "member.added"
                             : now.n ? "member.role_changed"
                                     : "member.removed",
                   .object = user_object(row, ns),
                   .old_value = kv_buf_sv(&old_value),
                   .new_value = kv_buf_sv(&new_value)};
    int64_t seq;
    KV_TRY(kv_audit_add(kv_identity_audit(id), tx, who, &ev, &seq, err));
    KV_TRY(kv_q_grant_end(tx, user_id, kv_sv_of(ns_id), seq, err));
    return now.n ? kv_q_grant_add(tx, user_id, kv_sv_of(ns_id), now, seq, err) : KV_OK;
}

kv_code kv_user_grant(kv_identity *id, const kv_principal *who, kv_sv name, kv_sv ns, kv_role role,
                      kv_error *err)
{
    kv_principal_row row;
    bool changed = false;
    kv_auto(kv_tx) tx = NULL;
    if (!kv_namespace_name_valid(ns))
        return kv_fail(err, KV_E_INVALID, "'%.*s' cannot be the name of a namespace",
                       KV_ARG(kv_sv_sub(ns, 0, 100)));
    KV_TRY(kv_tx_begin(kv_identity_db(id), KV_TX_STATE, &tx, err));
    KV_TRY(kv_q_principal_by_name(tx, name, &row, err));
    KV_TRY(set_role(id, tx, who, &row, ns, role, &changed, err));
    if (!changed) return KV_OK; /* a namespace made on the way goes with the transaction */
    KV_TRY(kv_tx_commit(KV_TAKE(tx), err));
    kv_identity_changed(id);
    return KV_OK;
}

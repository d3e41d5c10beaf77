#include "hub/service/identity.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "hub/db/q_principal.h"
#include "hub/service/namespace.h"
#include "hub/service/rights.h"
#include "hub/service/throttle.h"
#include "hub/service/token.h"
#include "kitvault/version.h"

enum {
    PASSWORD_MIN = 12, /* hub-features.md 4.4 */
    PASSWORD_MAX = 1024,
    HASHES_WAITING_MAX = 16, /* more than that is an attack or an outage: say so at once */
    N_PERSONS = 256,
    N_VERIFIED = 256,
    MEMBERS_MAX = 4096,
    PULL_TOKEN_S = 3600,
    PUSH_TOKEN_S = 6 * 3600,
};
#define VERIFIED_US (300ull * 1000000)

/* A hash of a password nobody has: what an unknown name is checked against, so that it takes as
 * long as a known one. */
static const char NOBODYS_HASH[] =
    "$argon2id$v=19$m=19456,t=2,p=1$"
    "w0d0/viPbT63cmRvTN5okA$E7A+EGUNFvgu+oP31r1IyvAJkBEtaUafWjdZB46b1HM";

typedef struct person { /* read-only once made, but for refs */
    atomic_uint refs;
    uint64_t changes; /* of kv_identity when it was read */
    kv_principal_row row;
    kv_member *members; /* names lie in text */
    size_t n_members;
    kv_buf text;
} person;

typedef struct verified { /* a password that was right a moment ago */
    uint8_t mac[KV_MAC_BYTES];
    char id[KV_UUID_MAX];
    int64_t generation;
    uint64_t until_us; /* monotonic */
} verified;

struct kv_identity {
    kv_db *db;
    kv_audit *audit;
    char hub[KV_UUID_MAX];
    uint8_t token_key[KV_MAC_BYTES];
    uint8_t cache_key[KV_MAC_BYTES]; /* of this process */
    atomic_uint_least64_t changes;
    atomic_uint_least64_t n_password_ok, n_password_failed, n_token_ok, n_token_failed;
    kv_throttle *throttle;
    pthread_mutex_t hash_lock; /* one Argon2 at a time: its memory counts */
    atomic_uint n_hashing;
    pthread_mutex_t lock; /* the two tables below */
    person *persons[N_PERSONS];
    verified verified[N_VERIFIED];
};

kv_db *kv_identity_db(const kv_identity *id)
{
    return id->db;
}

kv_audit *kv_identity_audit(const kv_identity *id)
{
    return id->audit;
}

const char *kv_identity_hub(const kv_identity *id)
{
    return id->hub;
}

kv_sign_ins kv_identity_sign_ins(const kv_identity *id)
{
    return (kv_sign_ins){.password_ok = atomic_load(&id->n_password_ok),
                         .password_failed = atomic_load(&id->n_password_failed),
                         .token_ok = atomic_load(&id->n_token_ok),
                         .token_failed = atomic_load(&id->n_token_failed)};
}

void kv_identity_changed(kv_identity *id)
{
    atomic_fetch_add(&id->changes, 1);
}

/* --- opening --- */

static kv_code first_start(kv_identity *id, kv_tx *tx, kv_error *err)
{
    kv_error missing;
    kv_code rc = kv_q_instance_get(tx, id->hub, &missing);
    if (rc == KV_OK)
        return kv_q_secret_get(tx, KV_SV("token"), id->token_key, sizeof(id->token_key), err);
    if (rc != KV_E_NOTFOUND) return kv_fail(err, rc, "%s", missing.msg);
    kv_uuid7(id->hub);
    kv_random(id->token_key, sizeof(id->token_key));
    KV_TRY(kv_q_instance_add(tx, id->hub, kv_now_us(), err));
    return kv_q_secret_add(tx, KV_SV("token"), id->token_key, sizeof(id->token_key), kv_now_us(),
                           err);
}

static kv_code start(kv_identity *id, bool authorization, kv_error *err)
{
    kv_auto(kv_tx) tx = NULL;
    kv_auto_buf detail = KV_BUF(1024);
    KV_TRY(kv_tx_begin(id->db, KV_TX_STATE, &tx, err));
    KV_TRY(first_start(id, tx, err));
    kv_buf_addf(&detail, "{\"authorization\":%s,\"hub\":\"%s\",\"version\":\"%s\"}",
                authorization ? "true" : "false", id->hub, kv_version());
    KV_TRY(kv_buf_check(&detail, err));
    kv_event ev = {.action = "node.started",
                   .object = {.type = "node", .id = kv_sv_of(kv_audit_node(id->audit))},
                   .detail = kv_buf_sv(&detail)};
    KV_TRY(kv_audit_add(id->audit, tx, &KV_PRINCIPAL_SYSTEM, &ev, NULL, err));
    return kv_tx_commit(KV_TAKE(tx), err);
}

kv_code kv_identity_open(kv_db *db, kv_audit *audit, bool authorization, kv_identity **out,
                         kv_error *err)
{
    kv_auto(kv_identity) id = calloc(1, sizeof(*id));
    if (!id) return kv_fail(err, KV_E_NOMEM, "out of memory");
    id->db = db;
    id->audit = audit;
    (void)pthread_mutex_init(&id->hash_lock, NULL);
    (void)pthread_mutex_init(&id->lock, NULL);
    kv_random(id->cache_key, sizeof(id->cache_key));
    id->throttle = kv_throttle_new();
    if (!id->throttle) return kv_fail(err, KV_E_NOMEM, "out of memory");
    KV_TRY(start(id, authorization, err));
    *out = KV_TAKE(id);
    return KV_OK;
}

static void person_drop(person *p)
{
    if (!p || atomic_fetch_sub(&p->refs, 1) != 1) return;
    kv_wipe(p->row.password_hash, sizeof(p->row.password_hash));
    free(p->members);
    kv_buf_clear(&p->text);
    free(p);
}
KV_DEFINE_AUTO(person, person_drop)

void kv_identity_close(kv_identity *id)
{
    if (!id) return;
    for (size_t i = 0; i < N_PERSONS; i++) person_drop(id->persons[i]);
    kv_throttle_free(id->throttle);
    (void)pthread_mutex_destroy(&id->hash_lock);
    (void)pthread_mutex_destroy(&id->lock);
    kv_wipe(id, sizeof(*id));
    free(id);
}

/* --- people --- */

typedef struct member_reader {
    person *p;
    size_t cap;
} member_reader;

static kv_role role_of(kv_sv name)
{
    for (int r = KV_ROLE_READ; r <= KV_ROLE_ADMIN; r++)
        if (kv_sv_is(name, kv_role_name((kv_role)r))) return (kv_role)r;
    return KV_ROLE_NONE;
}

static kv_code add_member(void *ctx, kv_sv ns, kv_sv role, kv_error *err)
{
    member_reader *r = ctx;
    person *p = r->p;
    if (p->n_members == MEMBERS_MAX) return kv_fail(err, KV_E_LIMIT, "more than 4096 grants");
    if (!KV_GROW(p->members, p->n_members, &r->cap))
        return kv_fail(err, KV_E_NOMEM, "out of memory");
    /* text may move while it grows, so the names are placed when it is complete */
    p->members[p->n_members++] = (kv_member){.ns = {NULL, ns.n}, .role = role_of(role)};
    kv_buf_add(&p->text, ns);
    return kv_buf_check(&p->text, err);
}

static kv_code person_read(kv_identity *id, kv_sv principal_id, person *p, kv_error *err)
{
    kv_auto(kv_tx) tx = NULL;
    member_reader reader = {.p = p};
    p->changes = atomic_load(&id->changes);
    KV_TRY(kv_tx_begin(id->db, KV_TX_READ, &tx, err));
    KV_TRY(kv_q_principal_by_id(tx, principal_id, &p->row, err));
    KV_TRY(kv_q_grant_each(tx, principal_id, add_member, &reader, err));
    size_t at = 0;
    for (size_t i = 0; i < p->n_members; i++) {
        p->members[i].ns.p = p->text.p + at;
        at += p->members[i].ns.n;
    }
    return KV_OK;
}

static size_t slot_of(kv_sv principal_id)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < principal_id.n; i++)
        h = (h ^ (unsigned char)principal_id.p[i]) * 16777619u; /* FNV-1a */
    return h % N_PERSONS;
}

/* The person, with a reference of the caller's. Errors: KV_E_NOTFOUND. */
static kv_code person_get(kv_identity *id, kv_sv principal_id, person **out, kv_error *err)
{
    person **slot = &id->persons[slot_of(principal_id)];
    pthread_mutex_lock(&id->lock);
    person *p = *slot;
    bool good = p && kv_sv_is(principal_id, p->row.id) && p->changes == atomic_load(&id->changes);
    if (good) atomic_fetch_add(&p->refs, 1);
    pthread_mutex_unlock(&id->lock);
    if (good) {
        *out = p;
        return KV_OK;
    }
    kv_auto(person) fresh = calloc(1, sizeof(*fresh));
    if (!fresh) return kv_fail(err, KV_E_NOMEM, "out of memory");
    fresh->refs = 1;
    fresh->text = KV_BUF((size_t)MEMBERS_MAX * 256);
    KV_TRY(person_read(id, principal_id, fresh, err));
    atomic_fetch_add(&fresh->refs, 1);
    pthread_mutex_lock(&id->lock);
    person *old = *slot;
    *slot = fresh;
    pthread_mutex_unlock(&id->lock);
    person_drop(old);
    *out = KV_TAKE(fresh);
    return KV_OK;
}

/* Copies what counts of p into io. */
static kv_code fill(const person *p, kv_arena *arena, kv_principal *io, kv_error *err)
{
    kv_member *members = KV_NEW(arena, kv_member, p->n_members + 1);
    io->type = "user";
    io->id = kv_arena_dup(arena, kv_sv_of(p->row.id));
    io->name = kv_arena_dup(arena, kv_sv_of(p->row.name));
    io->aal = 1;
    io->admin = p->row.admin;
    bool ok = members && io->id.p && io->name.p;
    for (size_t i = 0; ok && i < p->n_members; i++) {
        members[i] = (kv_member){.ns = kv_arena_dup(arena, p->members[i].ns),
                                 .role = p->members[i].role};
        ok = members[i].ns.p;
    }
    if (!ok) return kv_fail(err, KV_E_NOMEM, "out of memory");
    io->members = members;
    io->n_members = p->n_members;
    return KV_OK;
}

/* --- passwords --- */

/* Takes the one place where a password is hashed. */
static kv_code hashing_begin(kv_identity *id, kv_error *err)
{
    if (atomic_fetch_add(&id->n_hashing, 1) >= HASHES_WAITING_MAX) {
        atomic_fetch_sub(&id->n_hashing, 1);
        return kv_fail(err, KV_E_BUSY, "too many passwords are being checked");
    }
    pthread_mutex_lock(&id->hash_lock);
    return KV_OK;
}

static void hashing_end(kv_identity *id)
{
    pthread_mutex_unlock(&id->hash_lock);
    atomic_fetch_sub(&id->n_hashing, 1);
}

kv_code kv_identity_hash(kv_identity *id, kv_sv password, char out[KV_PASSWORD_HASH_MAX],
                         kv_error *err)
{
    if (password.n < PASSWORD_MIN || password.n > PASSWORD_MAX)
        return kv_fail(err, KV_E_INVALID, "a password has %d to %d bytes", PASSWORD_MIN,
                       PASSWORD_MAX);
    KV_TRY(hashing_begin(id, err));
    kv_code rc = kv_password_hash(password, out, err);
    hashing_end(id);
    return rc;
}

static void mac_of(const kv_identity *id, kv_sv name, kv_sv password, uint8_t out[KV_MAC_BYTES])
{
    kv_auto_secret_buf b = KV_BUF(KV_USER_NAME_MAX + PASSWORD_MAX + 1);
    kv_buf_add(&b, name);
    kv_buf_addc(&b, '\0');
    kv_buf_add(&b, password);
    kv_mac(id->cache_key, kv_buf_sv(&b), out);
}

static bool recall(kv_identity *id, const uint8_t mac[KV_MAC_BYTES], verified *out)
{
    pthread_mutex_lock(&id->lock);
    *out = id->verified[mac[0]];
    pthread_mutex_unlock(&id->lock);
    return out->until_us > kv_mono_us() && kv_secret_eq(out->mac, mac, KV_MAC_BYTES);
}

static void remember(kv_identity *id, const uint8_t mac[KV_MAC_BYTES], const kv_principal_row *row)
{
    verified v = {.generation = row->generation, .until_us = kv_mono_us() + VERIFIED_US};
    static_assert(N_VERIFIED == 256, "a slot per value of the first byte");
    memcpy(v.mac, mac, sizeof(v.mac));
    memcpy(v.id, row->id, sizeof(v.id));
    pthread_mutex_lock(&id->lock);
    id->verified[mac[0]] = v;
    pthread_mutex_unlock(&id->lock);
}

static void note_failure(kv_identity *id, const kv_principal *source, const kv_principal_row *row,
                         const char *code)
{
    kv_principal nobody = {.type = "anonymous",
                           .authn = "none",
                           .address = source->address,
                           .user_agent = source->user_agent,
                           .request_id = source->request_id,
                           .adapter = source->adapter};
    kv_event ev = {.action = "auth.failed", .outcome = KV_OUTCOME_DENIED, .code = kv_sv_of(code)};
    /* A name that is nobody's may be a password typed into the wrong field: it is not kept. */
    if (row)
        ev.object = (kv_object){
            .type = "user", .id = kv_sv_of(row->id), .name = kv_sv_of(row->name)};
    kv_audit_count(id->audit, &nobody, &ev);
}

static kv_code read_row(kv_identity *id, kv_sv name, kv_principal_row *out, bool *out_found,
                        kv_error *err)
{
    kv_auto(kv_tx) tx = NULL;
    KV_TRY(kv_tx_begin(id->db, KV_TX_READ, &tx, err));
    kv_error missing;
    kv_code rc = kv_q_principal_by_name(tx, name, out, &missing);
    *out_found = rc == KV_OK && out->generation > 0 && !out->disabled;
    return rc == KV_OK || rc == KV_E_NOTFOUND ? KV_OK : kv_fail(err, rc, "%s", missing.msg);
}

/* Checks with the slow hash. Errors: KV_E_AUTH. */
static kv_code check(kv_identity *id, kv_sv name, kv_sv password, const kv_principal *source,
                     kv_principal_row *out, unsigned *out_wait_s, kv_error *err)
{
    uint64_t now_us = kv_mono_us();
    *out_wait_s = kv_throttle_wait(id->throttle, name, source->address, now_us);
    if (*out_wait_s) {
        note_failure(id, source, NULL, "throttled");
        return kv_fail(err, KV_E_AUTH, "too many wrong passwords; try again in %u s", *out_wait_s);
    }
    bool found = false;
    if (kv_user_name_valid(name)) KV_TRY(read_row(id, name, out, &found, err));
    bool sane = password.n > 0 && password.n <= PASSWORD_MAX;
    bool right = false;
    if (sane) {
        KV_TRY(hashing_begin(id, err));
        right = kv_password_verify(found ? out->password_hash : NOBODYS_HASH, password) && found;
        hashing_end(id);
    }
    if (right) {
        kv_throttle_passed(id->throttle, name, source->address);
        return KV_OK;
    }
    kv_throttle_failed(id->throttle, name, source->address, now_us);
    note_failure(id, source, found ? out : NULL, "bad_credentials");
    return kv_fail(err, KV_E_AUTH, "wrong user name or password");
}

static kv_code by_password(kv_identity *id, kv_sv name, kv_sv password, kv_arena *arena,
                           kv_principal *io, unsigned *out_wait_s, kv_error *err)
{
    uint8_t mac[KV_MAC_BYTES];
    verified known;
    kv_auto(person) p = NULL;
    *out_wait_s = 0;
    mac_of(id, name, password, mac);
    if (recall(id, mac, &known) && person_get(id, kv_sv_of(known.id), &p, err) == KV_OK &&
        p->row.generation == known.generation && !p->row.disabled) {
        io->authn = "password";
        return fill(p, arena, io, err);
    }
    kv_principal_row row;
    kv_code rc = check(id, name, password, io, &row, out_wait_s, err);
    if (rc == KV_OK) {
        remember(id, mac, &row);
        person_drop(KV_TAKE(p));
        rc = person_get(id, kv_sv_of(row.id), &p, err);
    }
    kv_wipe(row.password_hash, sizeof(row.password_hash));
    KV_TRY(rc);
    io->authn = "password";
    return fill(p, arena, io, err);
}

static kv_code counted(kv_code rc, atomic_uint_least64_t *ok, atomic_uint_least64_t *failed)
{
    if (rc == KV_OK) atomic_fetch_add_explicit(ok, 1, memory_order_relaxed);
    if (rc == KV_E_AUTH) atomic_fetch_add_explicit(failed, 1, memory_order_relaxed);
    return rc;
}

kv_code kv_identity_password(kv_identity *id, kv_sv name, kv_sv password, kv_arena *arena,
                             kv_principal *io, unsigned *out_wait_s, kv_error *err)
{
    return counted(by_password(id, name, password, arena, io, out_wait_s, err), &id->n_password_ok,
                   &id->n_password_failed);
}

/* --- tokens --- */

static kv_code by_token(kv_identity *id, kv_sv text, kv_arena *arena, kv_principal *io,
                        kv_error *err)
{
    kv_token t;
    KV_TRY(kv_token_parse(id->token_key, text, kv_now_us() / 1000000, arena, &t, err));
    io->authn = t.principal_id.n ? "token" : "none";
    io->limited = true;
    io->scopes = t.scopes;
    io->n_scopes = t.n_scopes;
    if (!t.principal_id.n) return KV_OK; /* one that was asked for without a login */
    kv_auto(person) p = NULL;
    kv_code rc = person_get(id, t.principal_id, &p, err);
    if (rc == KV_E_NOTFOUND ||
        (rc == KV_OK && (p->row.disabled || p->row.generation != t.generation)))
        return kv_fail(err, KV_E_AUTH, "the token is no longer valid");
    KV_TRY(rc);
    io->token_id = t.id;
    return fill(p, arena, io, err);
}

kv_code kv_identity_token(kv_identity *id, kv_sv text, kv_arena *arena, kv_principal *io,
                          kv_error *err)
{
    return counted(by_token(id, text, arena, io, err), &id->n_token_ok, &id->n_token_failed);
}

/* Adds s to what is granted already, or to the end. False: too many repositories. */
static bool add_scope(kv_scope *list, size_t *n, kv_scope s)
{
    for (size_t i = 0; i < *n; i++)
        if (kv_sv_eq(list[i].repository, s.repository)) {
            list[i].allow |= s.allow;
            return true;
        }
    if (*n == KV_TOKEN_SCOPES_MAX) return false;
    list[(*n)++] = s;
    return true;
}

static kv_code generation_of(kv_identity *id, const kv_principal *who, int64_t *out, kv_error *err)
{
    kv_auto(person) p = NULL;
    *out = 0;
    if (!who->id.n) return KV_OK;
    KV_TRY(person_get(id, who->id, &p, err));
    if (p) *out = p->row.generation;
    return KV_OK;
}

kv_code kv_identity_issue(kv_identity *id, const kv_principal *who, const kv_scope *asked,
                          size_t n_asked, kv_arena *arena, kv_issued *out, kv_error *err)
{
    char token_id[KV_UUID_MAX];
    kv_scope *granted = KV_NEW(arena, kv_scope, KV_TOKEN_SCOPES_MAX);
    if (!granted) return kv_fail(err, KV_E_NOMEM, "out of memory");
    *out = (kv_issued){.issued_us = kv_now_us(), .expires_in_s = PULL_TOKEN_S, .scopes = granted};
    for (size_t i = 0; i < n_asked; i++) {
        kv_scope s = asked[i];
        s.allow &= kv_rights_allowed(kv_rights_role(who, kv_rights_namespace(s.repository)));
        if (!s.allow) continue;
        if (s.allow & ~(unsigned)KV_ALLOW_PULL) out->expires_in_s = PUSH_TOKEN_S;
        if (!add_scope(granted, &out->n_scopes, s))
            return kv_fail(err, KV_E_LIMIT, "a token for more than %d repositories",
                           KV_TOKEN_SCOPES_MAX);
    }
    kv_uuid7(token_id);
    int64_t generation, now_s = out->issued_us / 1000000;
    KV_TRY(generation_of(id, who, &generation, err));
    kv_token t = {.principal_id = who->id,
                  .id = kv_sv_of(token_id),
                  .generation = generation,
                  .issued_s = now_s,
                  .expires_s = now_s + out->expires_in_s,
                  .scopes = granted,
                  .n_scopes = out->n_scopes};
    kv_auto_secret_buf text = KV_BUF(KV_TOKEN_TEXT_MAX);
    KV_TRY(kv_token_format(id->token_key, &t, &text, err));
    out->token = kv_arena_dup(arena, kv_buf_sv(&text));
    if (!out->token.p) return kv_fail(err, KV_E_NOMEM, "out of memory");
    if (who->id.n) {
        kv_event ev = {.action = "token.created", .object = {.type = "token", .name = who->name}};
        kv_audit_count(id->audit, who, &ev);
    }
    return KV_OK;
}

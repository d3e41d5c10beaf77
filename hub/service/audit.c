#include "hub/service/audit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "codec/hasher.h"
#include "codec/text.h"
#include "hub/db/q_audit.h"
#include "hub/service/audit_count.h"
#include "hub/service/leaf.h"
#include "json/json.h"

/*
 * Actions of the catalogue (hub-features.md 8.3) that this hub has. namespace.created and
 * blob.deleted are ours: without them the log could not be replayed.
 */
static const char *const ACTIONS[] = {
    "auth.failed",       "token.created",     "user.created",        "user.updated",
    "user.disabled",     "member.added",      "member.role_changed", "member.removed",
    "namespace.created", "repo.created",      "version.pushed",      "version.trashed",
    "version.restored",  "version.destroyed", "version.pulled",      "tag.created",
    "tag.moved",         "tag.deleted",       "blob.deleted",        "blob.mounted",
    "file.downloaded",   "config.changed",    "node.started",        "node.stopped",
    "gc.deleted",
};

enum {
    PII_VALUE_MAX = 512, /* of a User-Agent; the rest tells nothing more */
    SALT_BYTES = 16,
};

struct kv_audit {
    kv_db *db;
    char node[KV_UUID_MAX];
    kv_audit_counts *counts;
    pthread_mutex_t flush_lock; /* one flush at a time; taken before any lock of counts */
};

kv_code kv_audit_open(kv_db *db, kv_audit **out, kv_error *err)
{
    kv_audit *a = calloc(1, sizeof *a);
    if (!a) return kv_fail(err, KV_E_NOMEM, "out of memory");
    a->db = db;
    kv_uuid7(a->node);
    (void)pthread_mutex_init(&a->flush_lock, NULL);
    a->counts = kv_audit_counts_new();
    if (!a->counts) {
        kv_audit_close(a);
        return kv_fail(err, KV_E_NOMEM, "out of memory");
    }
    *out = a;
    return KV_OK;
}

void kv_audit_close(kv_audit *a)
{
    if (!a) return;
    kv_audit_counts_free(a->counts);
    (void)pthread_mutex_destroy(&a->flush_lock);
    free(a);
}

const char *kv_audit_node(const kv_audit *a)
{
    return a->node;
}

static bool action_known(const char *action)
{
    for (size_t i = 0; i < KV_COUNT(ACTIONS); i++)
        if (strcmp(ACTIONS[i], action) == 0) return true;
    return false;
}

/* The hash that stands for a person's datum: the one it has already, or one with a new salt. */
static kv_code pii_hash(kv_tx *tx, kv_sv principal_id, kv_sv kind, kv_sv value, int64_t now_us,
                        kv_buf *out, kv_error *err)
{
    kv_auto_buf clean = KV_BUF(PII_VALUE_MAX);
    kv_sv cut = kv_sv_sub(value, 0, PII_VALUE_MAX);
    bool plain = kv_utf8_valid(cut);
    for (size_t i = 0; i < cut.n; i++)
        kv_buf_addc(&clean, plain || (unsigned char)cut.p[i] < 0x80 ? cut.p[i] : '?');
    KV_TRY(kv_buf_check(&clean, err));
    bool found = false;
    KV_TRY(kv_q_pii_find(tx, principal_id, kind, kv_buf_sv(&clean), out, &found, err));
    if (found) return kv_buf_check(out, err);

    char salt[SALT_BYTES];
    kv_random(salt, sizeof salt);
    kv_hasher h;
    kv_digest d;
    kv_hasher_init(&h, KV_SHA256);
    kv_hasher_add(&h, salt, sizeof salt);
    kv_hasher_add(&h, kind.p, kind.n);
    kv_hasher_add(&h, "\0", 1);
    if (clean.n) kv_hasher_add(&h, clean.p, clean.n);
    kv_hasher_end(&h, &d);
    size_t before = out->n;
    kv_hex_add(out, d.bytes, kv_digest_size(KV_SHA256));
    KV_TRY(kv_buf_check(out, err));
    return kv_q_pii_add(tx, kv_sv_from(kv_buf_sv(out), before), principal_id, kind,
                        kv_buf_sv(&clean), (kv_sv){salt, sizeof salt}, now_us, err);
}

static int by_kind(const void *a, const void *b)
{
    const kv_named_hash *x = a, *y = b;
    return kv_sv_cmp(x->kind, y->kind);
}

#define HEX_HASH 64

/* Fills leaf->ip_hash and leaf->pii; the text lies in mem. */
static kv_code name_persons(kv_tx *tx, kv_leaf *leaf, kv_buf *mem, kv_error *err)
{
    const kv_principal *who = leaf->who;
    const kv_event *ev = leaf->ev;
    struct {
        kv_sv principal_id, kind, value;
    } all[KV_LEAF_PII_MAX + 1];
    size_t n = 0;
    if (ev->n_pii > KV_LEAF_PII_MAX - 1)
        return kv_fail(err, KV_E_ARG, "an event with %zu personal data", ev->n_pii);
    if (who->address.n) {
        all[n].principal_id = who->id, all[n].kind = KV_SV("ip"), all[n].value = who->address;
        n++;
    }
    if (who->user_agent.n) {
        all[n].principal_id = who->id, all[n].kind = KV_SV("user_agent");
        all[n++].value = who->user_agent;
    }
    for (size_t i = 0; i < ev->n_pii; i++, n++) {
        all[n].principal_id = ev->pii[i].principal_id;
        all[n].kind = kv_sv_of(ev->pii[i].kind);
        all[n].value = ev->pii[i].value;
    }
    for (size_t i = 0; i < n; i++)
        KV_TRY(
            pii_hash(tx, all[i].principal_id, all[i].kind, all[i].value, leaf->time_us, mem, err));
    for (size_t i = 0; i < n; i++) { /* mem has stopped moving */
        kv_sv hash = kv_sv_sub(kv_buf_sv(mem), i * HEX_HASH, (i + 1) * HEX_HASH);
        if (kv_sv_is(all[i].kind, "ip"))
            leaf->ip_hash = hash;
        else
            leaf->pii[leaf->n_pii++] = (kv_named_hash){.kind = all[i].kind, .hash = hash};
    }
    if (leaf->n_pii) qsort(leaf->pii, leaf->n_pii, sizeof leaf->pii[0], by_kind);
    return KV_OK;
}

static kv_code canonical(const char *what, kv_sv value, kv_buf *out, kv_sv *out_value,
                         kv_error *err)
{
    if (!value.n) return KV_OK;
    kv_code rc = kv_json_canonical(value, out, err);
    if (rc != KV_OK)
        return kv_wrap(err, rc, "%s of an audit event (at most %d bytes)", what,
                       KV_EVENT_VALUE_MAX);
    *out_value = kv_buf_sv(out);
    return KV_OK;
}

kv_code kv_audit_add(kv_audit *a, kv_tx *tx, const kv_principal *who, const kv_event *ev,
                     int64_t *out_seq, kv_error *err)
{
    if (!action_known(ev->action))
        return kv_fail(err, KV_E_ARG, "no audit action is called '%s'", ev->action);
    kv_event e = *ev;
    kv_auto_buf old_mem = KV_BUF(KV_EVENT_VALUE_MAX), new_mem = KV_BUF(KV_EVENT_VALUE_MAX);
    kv_auto_buf detail_mem = KV_BUF(KV_EVENT_VALUE_MAX);
    KV_TRY(canonical("old value", ev->old_value, &old_mem, &e.old_value, err));
    KV_TRY(canonical("new value", ev->new_value, &new_mem, &e.new_value, err));
    KV_TRY(canonical("detail", ev->detail, &detail_mem, &e.detail, err));

    kv_leaf leaf = {.node = kv_sv_of(a->node), .who = who, .ev = &e};
    kv_auto_buf key = KV_BUF(1024), pii_mem = KV_BUF((KV_LEAF_PII_MAX + 1) * HEX_HASH);
    kv_object_key_add(&ev->object, &key);
    KV_TRY(kv_buf_check(&key, err));
    int64_t last_us = 0, now_us = kv_now_us();
    KV_TRY(kv_q_audit_last(tx, &leaf.seq, &last_us, err));
    leaf.seq++;
    leaf.time_us = now_us > last_us ? now_us : last_us;
    if (key.n) KV_TRY(kv_q_audit_last_of(tx, kv_buf_sv(&key), &leaf.prev_object_seq, err));
    KV_TRY(name_persons(tx, &leaf, &pii_mem, err));

    kv_auto_buf bytes = KV_BUF(2 * KV_LEAF_MAX);
    KV_TRY(kv_leaf_format(&leaf, &bytes, err));
    kv_leaf_row row = {.seq = leaf.seq,
                       .time_us = leaf.time_us,
                       .actor_id = who->id,
                       .action = kv_sv_of(ev->action),
                       .object_key = kv_buf_sv(&key),
                       .object_digest = ev->object.digest,
                       .repo_id = ev->object.repo_id,
                       .leaf = kv_buf_sv(&bytes)};
    KV_TRY(kv_q_audit_append(tx, &row, err));
    if (out_seq) *out_seq = leaf.seq;
    return KV_OK;
}

kv_code kv_audit_stopped(kv_audit *a, kv_error *err)
{
    kv_auto(kv_tx) tx = NULL;
    kv_event ev = {.action = "node.stopped", .object = {.type = "node", .id = kv_sv_of(a->node)}};
    KV_TRY(kv_tx_begin(a->db, KV_TX_STATE, &tx, err));
    KV_TRY(kv_audit_add(a, tx, &KV_PRINCIPAL_SYSTEM, &ev, NULL, err));
    return kv_tx_commit(KV_TAKE(tx), err);
}

/* --- counted events --- */

enum { FLUSH_MAX = 256 }; /* leaves of one transaction */

static kv_code write_counted(kv_audit *a, const kv_due *due, size_t n, kv_error *err)
{
    kv_auto(kv_tx) tx = NULL;
    KV_TRY(kv_tx_begin(a->db, KV_TX_STATE, &tx, err));
    for (size_t i = 0; i < n; i++) {
        char hour[KV_TIME_TEXT_MAX], detail[128];
        kv_time_format(due[i].entry->hour_us, 0, hour);
        int len = snprintf(detail, sizeof detail, "{\"count\":%llu,\"hour\":\"%s\"}",
                           (unsigned long long)due[i].count, hour);
        kv_event ev = due[i].entry->ev;
        ev.detail = (kv_sv){detail, (size_t)len};
        KV_TRY(kv_audit_add(a, tx, &due[i].entry->who, &ev, NULL, err));
    }
    return kv_tx_commit(KV_TAKE(tx), err);
}

static kv_code flush(kv_audit *a, bool all, kv_error *err)
{
    int64_t now_us = kv_now_us();
    kv_due due[FLUSH_MAX];
    /* A bound, since others go on counting meanwhile. */
    for (int round = 0; round <= KV_COUNTED_MAX / FLUSH_MAX; round++) {
        size_t n = kv_audit_counts_due(a->counts, now_us, all, due, FLUSH_MAX);
        if (n == 0) return KV_OK;
        kv_code rc = write_counted(a, due, n, err);
        kv_audit_counts_done(a->counts, due, n, rc == KV_OK);
        KV_TRY(rc);
    }
    return KV_OK;
}

kv_code kv_audit_flush(kv_audit *a, bool all, kv_error *err)
{
    pthread_mutex_lock(&a->flush_lock);
    kv_code rc = flush(a, all, err);
    if (rc == KV_OK) kv_audit_counts_forget(a->counts, kv_now_us(), all);
    pthread_mutex_unlock(&a->flush_lock);
    return rc;
}

void kv_audit_count(kv_audit *a, const kv_principal *who, const kv_event *ev)
{
    if (kv_audit_counts_add(a->counts, who, ev, kv_now_us())) return;
    /* Full: whoever fills it pays for writing it down, so that nothing goes uncounted. */
    if (kv_audit_flush(a, true, NULL) == KV_OK)
        (void)kv_audit_counts_add(a->counts, who, ev, kv_now_us());
}

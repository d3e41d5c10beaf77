#include "hub/service/audit.h"

#include <pthread.h>
#include <string.h>

#include "codec/text.h"
#include "hub/db/q_audit.h"
#include "test/unit/hub/hub_test.h"
#include "json/json.h"

static const kv_principal ANNA = {.type = "user",
                                  .id = KV_SV_INIT("u1"),
                                  .authn = "password",
                                  .aal = 1,
                                  .address = KV_SV_INIT("192.0.2.7"),
                                  .user_agent = KV_SV_INIT("oras/1.2.0"),
                                  .request_id = KV_SV_INIT("r1"),
                                  .adapter = "oci"};
static const kv_object DEMO = {.type = "tag",
                               .id = KV_SV_INIT("R"),
                               .repo = KV_SV_INIT("team/demo"),
                               .ref = KV_SV_INIT("v1"),
                               .repo_id = KV_SV_INIT("R")};
static const kv_event MOVED = {.action = "tag.moved", .object = {.type = "node"}};

typedef struct walk { /* what a pass over the log found */
    int64_t n, last_us;
    kv_buf text;
    kv_hash32 hash[2048];
} walk;

static kv_code visit(void *ctx, const kv_leaf_view *leaf, kv_error *err)
{
    walk *w = ctx;
    (void)err;
    assert_int_equal(leaf->seq, w->n + 1); /* no gap */
    assert_true(leaf->time_us >= w->last_us);
    w->last_us = leaf->time_us;
    if (w->n < (int64_t)KV_COUNT(w->hash)) w->hash[w->n] = kv_merkle_leaf(leaf->leaf);
    w->n++;
    kv_buf_add(&w->text, leaf->leaf);
    kv_buf_addc(&w->text, '\n');
    return KV_OK;
}

static walk *walk_log(kv_db *db)
{
    walk *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->text = KV_BUF(8u << 20);
    kv_error err = {0};
    kv_tx *tx = begin(db, KV_TX_READ);
    want(kv_q_audit_from(tx, 1, 1000000, visit, w, &err), KV_OK, &err);
    kv_tx_rollback(tx);
    return w;
}

static void walk_free(walk *w)
{
    kv_buf_clear(&w->text);
    free(w);
}

/* The recursive definition of RFC 6962 2.1, to check the stored nodes by. */
static kv_hash32 tree_hash(const kv_hash32 *leaves, size_t n)
{
    if (n == 0) return kv_merkle_empty();
    if (n == 1) return leaves[0];
    size_t k = 1;
    while (k * 2 < n) k *= 2;
    kv_hash32 l = tree_hash(leaves, k), r = tree_hash(leaves + k, n - k);
    return kv_merkle_node(&l, &r);
}

static int64_t add(hub_fixture *f, const kv_event *ev)
{
    kv_error err = {0};
    int64_t seq = 0;
    kv_tx *tx = begin(f->db, KV_TX_STATE);
    want(kv_audit_add(f->audit, tx, &ANNA, ev, &seq, &err), KV_OK, &err);
    want(kv_tx_commit(tx, &err), KV_OK, &err);
    return seq;
}

static bool leaf_has(const walk *w, const char *text)
{
    return kv_sv_find_sub(kv_buf_sv(&w->text), kv_sv_of(text)) != SIZE_MAX;
}

static void chains_objects(void **state)
{
    hub_fixture *f = *state;
    kv_event ev = {.action = "tag.created", .object = DEMO};
    assert_int_equal(add(f, &ev), 1);
    assert_int_equal(add(f, &MOVED), 2);
    ev.action = "tag.moved";
    assert_int_equal(add(f, &ev), 3);
    ev.object.ref = KV_SV("v2");
    assert_int_equal(add(f, &ev), 4);
    walk *w = walk_log(f->db);
    assert_int_equal(w->n, 4);
    assert_true(leaf_has(w, "\"prev_object_seq\":1,\"request_id\":\"r1\",\"seq\":3,"));
    assert_false(leaf_has(w, "\"prev_object_seq\":3"));
    walk_free(w);
}

static void hashes_personal_data(void **state)
{
    hub_fixture *f = *state;
    const kv_pii pii[] = {{"email", KV_SV_INIT("anna@example.org"), KV_SV_INIT("u2")}};
    kv_event ev = {.action = "user.created", .pii = pii, .n_pii = 1};
    add(f, &ev);
    add(f, &ev);
    walk *w = walk_log(f->db);
    static const char *const RAW[] = {"192.0.2.7", "1.2.0", "anna@"};
    for (size_t i = 0; i < KV_COUNT(RAW); i++)
        if (leaf_has(w, RAW[i])) fail_msg("'%s' is in a leaf", RAW[i]);
    /* the same datum of the same person has one hash as long as it is kept */
    kv_auto_buf hash = KV_BUF(100);
    bool found = false;
    kv_error err = {0};
    kv_tx *tx = begin(f->db, KV_TX_READ);
    want(kv_q_pii_find(tx, KV_SV("u1"), KV_SV("ip"), KV_SV("192.0.2.7"), &hash, &found, &err),
         KV_OK, &err);
    kv_tx_rollback(tx);
    assert_true(found);
    kv_auto_buf member = KV_BUF(200);
    kv_buf_addf(&member, "\"ip_hash\":\"%s\"", hash.p);
    kv_sv text = kv_buf_sv(&w->text);
    size_t first = kv_sv_find_sub(text, kv_buf_sv(&member));
    assert_true(first != SIZE_MAX);
    assert_true(kv_sv_find_sub(kv_sv_from(text, first + 1), kv_buf_sv(&member)) != SIZE_MAX);
    walk_free(w);
}

static void refuses(void **state)
{
    hub_fixture *f = *state;
    kv_auto_buf big = KV_BUF(10000);
    kv_buf_addc(&big, '"');
    for (int i = 0; i < KV_EVENT_VALUE_MAX; i++) kv_buf_addc(&big, 'x');
    kv_buf_addc(&big, '"');
    const struct {
        const char *name;
        kv_event ev;
        kv_code want;
    } CASES[] = {
        {"unknown action", {.action = "tag.burnt"}, KV_E_ARG},
        {"old is not JSON", {.action = "tag.moved", .old_value = KV_SV("{")}, KV_E_SYNTAX},
        {"new is too long", {.action = "tag.moved", .new_value = kv_buf_sv(&big)}, KV_E_LIMIT},
        {"detail has a key twice",
         {.action = "tag.moved", .detail = KV_SV("{\"a\":1,\"a\":2}")},
         KV_E_INVALID},
    };
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_error err = {0};
        kv_tx *tx = begin(f->db, KV_TX_STATE);
        kv_code got = kv_audit_add(f->audit, tx, &ANNA, &CASES[i].ev, NULL, &err);
        if (got != CASES[i].want) fail_msg("%s: %d '%s'", CASES[i].name, (int)got, err.msg);
        kv_tx_rollback(tx);
    }
    kv_error err = {0};
    kv_tx *tx = begin(f->db, KV_TX_WORK);
    want(kv_audit_add(f->audit, tx, &ANNA, &MOVED, NULL, &err), KV_E_INTERNAL, &err);
    kv_tx_rollback(tx);
}

typedef struct writer {
    hub_fixture *f;
    int failures;
} writer;

static void *write_leaves(void *arg)
{
    writer *w = arg;
    for (int i = 0; i < 60; i++) {
        kv_tx *tx = NULL;
        if (kv_tx_begin(w->f->db, KV_TX_STATE, &tx, NULL) != KV_OK) {
            w->failures++;
            continue;
        }
        kv_event ev = {.action = "tag.moved", .object = DEMO};
        for (int k = 0; k <= i % 3; k++)
            if (kv_audit_add(w->f->audit, tx, &ANNA, &ev, NULL, NULL) != KV_OK) w->failures++;
        if (i % 5 == 4)
            kv_tx_rollback(tx); /* its numbers must be given again */
        else if (kv_tx_commit(tx, NULL) != KV_OK)
            w->failures++;
    }
    return NULL;
}

static void no_gaps_among_writers(void **state)
{
    hub_fixture *f = *state;
    writer w[8];
    pthread_t t[8];
    for (size_t i = 0; i < 8; i++) {
        w[i] = (writer){.f = f};
        assert_int_equal(pthread_create(&t[i], NULL, write_leaves, &w[i]), 0);
    }
    for (size_t i = 0; i < 8; i++) {
        pthread_join(t[i], NULL);
        assert_int_equal(w[i].failures, 0);
    }
    walk *all = walk_log(f->db);
    assert_int_equal(all->n, 8 * 96);

    kv_error err = {0};
    kv_tx *tx = begin(f->db, KV_TX_READ);
    static const int64_t SIZES[] = {0, 1, 2, 3, 255, 256, 257, 768};
    for (size_t i = 0; i < KV_COUNT(SIZES); i++) {
        kv_hash32 root, expected = tree_hash(all->hash, (size_t)SIZES[i]);
        want(kv_q_audit_root(tx, SIZES[i], &root, &err), KV_OK, &err);
        if (memcmp(root.b, expected.b, sizeof(root.b)) != 0) fail_msg("root of %d", (int)SIZES[i]);
    }
    kv_hash32 root;
    want(kv_q_audit_root(tx, 769, &root, &err), KV_E_CORRUPT, &err);
    kv_tx_rollback(tx);
    walk_free(all);
}

static void counts_pulls(void **state)
{
    hub_fixture *f = *state;
    kv_error err = {0};
    kv_event pull = {
        .action = "version.pulled",
        .object = {.type = "version", .id = KV_SV_INIT("V"), .digest = KV_SV_INIT("sha256:aa")}};
    kv_principal other = ANNA;
    other.id = KV_SV("u2");
    kv_audit_count(f->audit, &ANNA, &pull);
    kv_audit_count(f->audit, &ANNA, &pull);
    kv_audit_count(f->audit, &other, &pull);
    want(kv_audit_flush(f->audit, false, &err), KV_OK, &err);
    walk *w = walk_log(f->db);
    assert_int_equal(w->n, 2);
    assert_true(leaf_has(w, "\"detail\":{\"count\":2,\"hour\":\"2"));
    assert_true(leaf_has(w, "\"detail\":{\"count\":1,\"hour\":\"2"));
    walk_free(w);

    for (int i = 0; i < 5; i++) kv_audit_count(f->audit, &ANNA, &pull);
    want(kv_audit_flush(f->audit, false, &err), KV_OK, &err); /* told already; the hour runs */
    w = walk_log(f->db);
    assert_int_equal(w->n, 2);
    walk_free(w);
    want(kv_audit_flush(f->audit, true, &err), KV_OK, &err);
    want(kv_audit_flush(f->audit, true, &err), KV_OK, &err);
    w = walk_log(f->db);
    assert_int_equal(w->n, 3);
    assert_true(leaf_has(w, "\"detail\":{\"count\":5,"));
    walk_free(w);
}

static void counts_more_than_fit(void **state)
{
    hub_fixture *f = *state;
    kv_error err = {0};
    for (int i = 0; i < 9000; i++) {
        char id[16];
        snprintf(id, sizeof(id), "V%d", i);
        kv_event pull = {.action = "version.pulled",
                         .object = {.type = "version", .id = kv_sv_of(id)}};
        kv_audit_count(f->audit, &ANNA, &pull);
    }
    want(kv_audit_flush(f->audit, true, &err), KV_OK, &err);
    walk *w = walk_log(f->db);
    assert_int_equal(w->n, 9000);
    walk_free(w);
}

KV_TEST_MAIN(WITH_HUB(chains_objects), WITH_HUB(hashes_personal_data), WITH_HUB(refuses),
             WITH_HUB(no_gaps_among_writers), WITH_HUB(counts_pulls),
             WITH_HUB(counts_more_than_fit))

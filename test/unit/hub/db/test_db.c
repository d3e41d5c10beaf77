#include "test/unit/hub/hub_test.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

static kv_query Q_PROGRESS = KV_QUERY(
    "INSERT INTO progress VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2");
static kv_query Q_PROGRESS_GET = KV_QUERY("SELECT value FROM progress WHERE name = ?1");
static kv_query Q_INSTANCE = KV_QUERY("INSERT INTO instance VALUES (?1, ?2)");
static kv_query Q_INSTANCES = KV_QUERY("SELECT id, created_at FROM instance ORDER BY id");
static kv_query Q_CHECKPOINT = KV_QUERY("INSERT INTO audit_checkpoint VALUES (?1, ?2, 0, '')");
static kv_query Q_CHECKPOINT_GO = KV_QUERY("DELETE FROM audit_checkpoint");
static kv_query Q_CHECKPOINT_SET = KV_QUERY("UPDATE audit_checkpoint SET time = 1");
static kv_query Q_BLOB = KV_QUERY("INSERT INTO blob VALUES (?1, 1, NULL, 0)");
static kv_query Q_BLOB_GO = KV_QUERY("DELETE FROM blob WHERE digest = ?1");
static kv_query Q_TAG = KV_QUERY("INSERT INTO tag VALUES (?1, 'v1', 'd', 1, NULL)");

static int64_t progress(kv_db *db, const char *name)
{
    kv_tx *tx = begin(db, KV_TX_READ);
    kv_rows r = {0};
    assert_int_equal(kv_tx_query(tx, &Q_PROGRESS_GET, KV_VALS(kv_v_text(kv_sv_of(name))), &r, NULL),
                     KV_OK);
    int64_t v = kv_rows_next(&r) ? kv_col_int(&r, 0) : -1;
    assert_int_equal(kv_rows_end(&r, NULL), KV_OK);
    kv_tx_rollback(tx);
    return v;
}

static void values_come_back(void **state)
{
    hub_fixture *f = *state;
    kv_error err = {0};
    kv_tx *tx = begin(f->db, KV_TX_STATE);
    int64_t n = 0;
    want(kv_tx_exec(tx, &Q_INSTANCE, KV_VALS(kv_v_text(KV_SV("b")), kv_v_int(INT64_MIN)), &n, &err),
         KV_OK, &err);
    assert_int_equal(n, 1);
    want(kv_tx_exec(tx, &Q_INSTANCE, KV_VALS(kv_v_text(KV_SV("")), kv_v_int(7)), NULL, &err), KV_OK,
         &err);
    kv_tx_count_leaf(tx);
    want(kv_tx_commit(tx, &err), KV_OK, &err);

    tx = begin(f->db, KV_TX_READ);
    kv_rows r = {0};
    want(kv_tx_query(tx, &Q_INSTANCES, KV_NO_VALS, &r, &err), KV_OK, &err);
    assert_true(kv_rows_next(&r));
    assert_int_equal(kv_col_text(&r, 0).n, 0);
    assert_false(kv_col_is_null(&r, 0)); /* empty text is not NULL */
    assert_true(kv_rows_next(&r));
    assert_true(kv_sv_is(kv_col_text(&r, 0), "b"));
    assert_true(kv_col_int(&r, 1) == INT64_MIN);
    assert_false(kv_rows_next(&r));
    assert_false(kv_rows_next(&r));
    want(kv_rows_end(&r, &err), KV_OK, &err);
    want(kv_rows_end(&r, &err), KV_OK, &err);
    want(kv_tx_commit(tx, &err), KV_OK, &err);
}

static void rules_of_the_kinds(void **state)
{
    hub_fixture *f = *state;
    static const struct {
        const char *name;
        kv_tx_kind kind;
        kv_query *q;
        bool leaf;
        kv_code exec, commit;
    } CASES[] = {
        {"state with a leaf", KV_TX_STATE, &Q_CHECKPOINT_GO, true, KV_OK, KV_OK},
        {"state without a leaf", KV_TX_STATE, &Q_BLOB, false, KV_OK, KV_OK},
        {"work on a blob", KV_TX_WORK, &Q_BLOB, false, KV_OK, KV_OK},
        {"work drops a blob", KV_TX_WORK, &Q_BLOB_GO, false, KV_E_INTERNAL, KV_OK},
        {"state drops a blob", KV_TX_STATE, &Q_BLOB_GO, false, KV_OK, KV_E_INTERNAL},
        {"state drops it with a leaf", KV_TX_STATE, &Q_BLOB_GO, true, KV_OK, KV_OK},
        {"nothing changed", KV_TX_STATE, &Q_BLOB_GO, false, KV_OK, KV_OK},
        {"work on a tag", KV_TX_WORK, &Q_TAG, false, KV_E_INTERNAL, KV_OK},
        {"read on a blob", KV_TX_READ, &Q_BLOB, false, KV_E_INTERNAL, KV_OK},
    };
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_error err = {0};
        kv_tx *tx = begin(f->db, CASES[i].kind);
        char id[8];
        snprintf(id, sizeof id, "%zu", i < 3 ? i : 2);
        kv_val v = kv_v_text(kv_sv_of(id));
        bool takes_none = CASES[i].q == &Q_CHECKPOINT_GO;
        kv_code got = kv_tx_exec(tx, CASES[i].q, takes_none ? NULL : &v, !takes_none, NULL, &err);
        if (got != CASES[i].exec) fail_msg("%s: exec %d, '%s'", CASES[i].name, (int)got, err.msg);
        if (CASES[i].leaf) kv_tx_count_leaf(tx);
        if (got != KV_OK) {
            kv_tx_rollback(tx);
            continue;
        }
        got = kv_tx_commit(tx, &err);
        if (got != CASES[i].commit)
            fail_msg("%s: commit %d, '%s'", CASES[i].name, (int)got, err.msg);
    }
}

static void errors_have_codes(void **state)
{
    hub_fixture *f = *state;
    kv_error err = {0};
    const kv_val row[] = {kv_v_int(1), kv_v_bytes(KV_SV("x"))};
    kv_tx *tx = begin(f->db, KV_TX_WORK);
    want(kv_tx_exec(tx, &Q_CHECKPOINT, row, 2, NULL, &err), KV_OK, &err);
    want(kv_tx_exec(tx, &Q_CHECKPOINT, row, 2, NULL, &err), KV_E_EXISTS, &err);
    want(kv_tx_exec(tx, &Q_CHECKPOINT, row, 1, NULL, &err), KV_E_INTERNAL, &err);
    want(kv_tx_commit(tx, &err), KV_OK, &err);

    tx = begin(f->db, KV_TX_STATE);
    kv_val repo = kv_v_text(KV_SV("no-such-repository"));
    want(kv_tx_exec(tx, &Q_TAG, &repo, 1, NULL, &err), KV_E_INVALID, &err);
    kv_tx_rollback(tx);

    static kv_query *const LOCKED[] = {&Q_CHECKPOINT_GO, &Q_CHECKPOINT_SET};
    for (size_t i = 0; i < KV_COUNT(LOCKED); i++) {
        tx = begin(f->db, KV_TX_STATE);
        kv_tx_count_leaf(tx);
        want(kv_tx_exec(tx, LOCKED[i], KV_NO_VALS, NULL, &err), KV_E_INVALID, &err);
        assert_non_null(strstr(err.msg, "append-only"));
        kv_tx_rollback(tx);
    }
}

static void rollback_and_snapshots(void **state)
{
    hub_fixture *f = *state;
    kv_error err = {0};
    kv_val v[] = {kv_v_text(KV_SV("a")), kv_v_int(1)};
    kv_tx *tx = begin(f->db, KV_TX_WORK);
    want(kv_tx_exec(tx, &Q_PROGRESS, v, 2, NULL, &err), KV_OK, &err);
    assert_int_equal(progress(f->db, "a"), -1); /* not committed yet */
    kv_tx_rollback(tx);
    assert_int_equal(progress(f->db, "a"), -1);

    tx = begin(f->db, KV_TX_WORK);
    want(kv_tx_exec(tx, &Q_PROGRESS, v, 2, NULL, &err), KV_OK, &err);
    want(kv_tx_commit(tx, &err), KV_OK, &err);
    assert_int_equal(progress(f->db, "a"), 1);
    kv_tx_rollback(NULL);
}

static void counts_state_commits(void **state)
{
    hub_fixture *f = *state;
    uint64_t before = kv_db_changes(f->db);
    kv_tx *tx = begin(f->db, KV_TX_WORK);
    assert_int_equal(kv_tx_commit(tx, NULL), KV_OK);
    assert_int_equal(kv_db_changes(f->db), before);
    tx = begin(f->db, KV_TX_STATE);
    assert_int_equal(kv_tx_commit(tx, NULL), KV_OK);
    assert_int_equal(kv_db_changes(f->db), before + 1);
}

typedef struct worker {
    kv_db *db;
    int id, failures;
} worker;

/* Every second transaction is rolled back; what was committed must be there at once. */
static void *write_many(void *arg)
{
    worker *w = arg;
    char name[16];
    snprintf(name, sizeof name, "w%d", w->id);
    for (int i = 1; i <= 100; i++) {
        kv_tx *tx = NULL;
        kv_val v[] = {kv_v_text(kv_sv_of(name)), kv_v_int(i)};
        if (kv_tx_begin(w->db, KV_TX_WORK, &tx, NULL) != KV_OK ||
            kv_tx_exec(tx, &Q_PROGRESS, v, 2, NULL, NULL) != KV_OK) {
            w->failures++;
            kv_tx_rollback(tx);
            continue;
        }
        if (i % 2) {
            kv_tx_rollback(tx);
            continue;
        }
        if (kv_tx_commit(tx, NULL) != KV_OK || progress(w->db, name) != i) w->failures++;
    }
    return NULL;
}

static void writers_share_commits(void **state)
{
    hub_fixture *f = *state;
    worker w[16];
    pthread_t t[16];
    for (int i = 0; i < 16; i++) {
        w[i] = (worker){.db = f->db, .id = i};
        assert_int_equal(pthread_create(&t[i], NULL, write_many, &w[i]), 0);
    }
    for (int i = 0; i < 16; i++) {
        pthread_join(t[i], NULL);
        assert_int_equal(w[i].failures, 0);
    }
}

static kv_query Q_NOTE = KV_QUERY("INSERT INTO progress VALUES (?1, ?2)");

typedef struct noter { /* rows it was told are there, and a bound on tries */
    kv_db *db;
    int id, n_tries, n_kept, n_refused;
    bool kept[400];
} noter;

static void note_name(int id, int i, char out[600])
{
    snprintf(out, 600, "n%d-%d-%0500d", id, i, 0);
}

static void *note_many(void *arg)
{
    noter *w = arg;
    for (int i = 0; i < w->n_tries; i++) {
        char name[600];
        kv_tx *tx = NULL;
        note_name(w->id, i, name);
        kv_code rc = kv_tx_begin(w->db, KV_TX_WORK, &tx, NULL);
        if (rc == KV_OK)
            rc = kv_tx_exec(tx, &Q_NOTE, KV_VALS(kv_v_text(kv_sv_of(name)), kv_v_int(i)), NULL,
                            NULL);
        if (rc == KV_OK)
            rc = kv_tx_commit(KV_TAKE(tx), NULL);
        else
            kv_tx_rollback(tx);
        w->kept[i] = rc == KV_OK;
        w->n_kept += rc == KV_OK;
        w->n_refused += rc != KV_OK;
    }
    return NULL;
}

/* The disk fills up in the middle of shared commits: whoever was told yes is kept, whoever was told
 * no is not there, and it goes on when there is room again. */
static void full_disk(void **state)
{
    hub_fixture *f = *state;
    noter w[8];
    pthread_t t[8];
    struct rlimit before, low;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    low = before;
    low.rlim_cur = 1200 * 1024; /* of the write-ahead log */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    for (int i = 0; i < 8; i++) {
        w[i] = (noter){.db = f->db, .id = i, .n_tries = 400};
        assert_int_equal(pthread_create(&t[i], NULL, note_many, &w[i]), 0);
    }
    int n_refused = 0, n_kept = 0;
    for (int i = 0; i < 8; i++) {
        pthread_join(t[i], NULL);
        n_refused += w[i].n_refused;
        n_kept += w[i].n_kept;
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(n_refused > 0 && n_kept > 0);
    for (int i = 0; i < 8; i++)
        for (int k = 0; k < 400; k++) {
            char name[600];
            note_name(i, k, name);
            if ((progress(f->db, name) >= 0) != w[i].kept[k])
                fail_msg("%.10s was told %d", name, w[i].kept[k]);
        }
    noter after = {.db = f->db, .id = 9, .n_tries = 10};
    (void)note_many(&after);
    assert_int_equal(after.n_kept, 10);
}

static void opens_again(void **state)
{
    hub_fixture *f = *state;
    kv_error err = {0};
    kv_tx *tx = begin(f->db, KV_TX_WORK);
    kv_val v[] = {kv_v_text(KV_SV("kept")), kv_v_int(5)};
    want(kv_tx_exec(tx, &Q_PROGRESS, v, 2, NULL, &err), KV_OK, &err);
    want(kv_tx_commit(tx, &err), KV_OK, &err);
    kv_audit_close(KV_TAKE(f->audit));
    kv_db_close(KV_TAKE(f->db));
    want(kv_db_open(&(kv_db_options){.path = f->path, .n_readers = 1}, &f->db, &err), KV_OK, &err);
    assert_int_equal(progress(f->db, "kept"), 5);
}

static void refuses_other_files(void **state)
{
    hub_fixture *f = *state;
    static const struct {
        const char *name;
        kv_sv content;
        kv_code want;
    } CASES[] = {
        {"not a database", KV_SV_INIT("0123456789012345678901234567890123456789"), KV_E_CORRUPT},
    };
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_error err = {0};
        kv_auto_str path = kv_path_join(f->dir, "other.db");
        assert_int_equal(kv_file_write(path, CASES[i].content, 0600, &err), KV_OK);
        kv_db *db = NULL;
        kv_code got = kv_db_open(&(kv_db_options){.path = path}, &db, &err);
        if (got != CASES[i].want) fail_msg("%s: %d, '%s'", CASES[i].name, (int)got, err.msg);
        assert_null(db);
    }
    kv_error err = {0};
    kv_db *db = NULL;
    want(kv_db_open(&(kv_db_options){.path = "/nonexistent/hub.db"}, &db, &err), KV_E_NOTFOUND,
         &err);
}

KV_TEST_MAIN(WITH_HUB(values_come_back), WITH_HUB(rules_of_the_kinds), WITH_HUB(errors_have_codes),
             WITH_HUB(rollback_and_snapshots), WITH_HUB(counts_state_commits),
             WITH_HUB(writers_share_commits), WITH_HUB(full_disk), WITH_HUB(opens_again),
             WITH_HUB(refuses_other_files))

/*
 * SQLite: one connection writes, several read, WAL between them.
 *
 * Group commit. Turning the log over to the disk is what a write costs, so transactions that queue
 * up share one: the writer keeps SQLite's transaction (the batch) open while others wait for their
 * turn, each inside its own savepoint, and the last in the row, or the BATCH_MAX-th, commits for
 * all. Nobody is answered before that. If the commit fails all of them fail; if SQLite gives up the
 * whole transaction in the middle (full disk, I/O error) those who were done fail too.
 *
 * Locks: writer.lock is held from begin to the end of a turn, batch.lock only while waiting for the
 * result or setting it, pool_lock only while a reader is taken or given back. Order: writer.lock,
 * batch.lock.
 */
#include <assert.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>

#include "base/clock.h"
#include "hub/db/db_engine.h"

enum {
    N_READERS = 8,
    N_READERS_MAX = 64,
    BATCH_MAX = 256, /* transactions that share a commit */
    BUSY_MS = 10000,
    WRITER_CACHE_KIB = 2048,
    READER_CACHE_KIB = 512,
};
#define APPLICATION_ID 0x4b564842 /* "KVHB": file(1) and we know our own by it */

typedef struct batch {
    pthread_mutex_t lock;
    pthread_cond_t over;
    unsigned refs; /* the writer's and one per waiting transaction; under lock */
    bool done;
    kv_error result; /* code KV_OK: durable */
} batch;

typedef struct cached_stmt {
    sqlite3_stmt *stmt;
    bool changes_state; /* would change other than working tables */
} cached_stmt;

typedef struct conn {
    kv_tx tx; /* first member: the transaction that runs on this connection */
    sqlite3 *h;
    cached_stmt **stmts; /* by the query's slot; NULL: not prepared yet */
    size_t n_stmts, cap_stmts;
    sqlite3_stmt *begin, *commit, *rollback; /* of the whole transaction */
    sqlite3_stmt *mark, *release, *revert;   /* of the writer's savepoint */
    bool preparing_changes_state;            /* what the authorizer saw */
} conn;

typedef struct sqlite_db {
    kv_db base; /* first member */
    conn writer;
    pthread_mutex_t writer_lock;
    atomic_uint n_waiting; /* for writer_lock */
    batch *batch;          /* SQLite's transaction is open */
    unsigned n_batch;      /* transactions in it */
    conn *readers;
    unsigned n_readers;
    conn **idle; /* stack: the one used last has the warmest cache */
    unsigned n_idle;
    pthread_mutex_t pool_lock;
    pthread_cond_t reader_idle;
} sqlite_db;

static const kv_db_ops SQLITE_OPS;

static sqlite_db *db_of(kv_db *db)
{
    assert(db->ops == &SQLITE_OPS);
    return (sqlite_db *)(void *)db;
}

static conn *conn_of(kv_tx *tx)
{
    return (conn *)(void *)tx;
}

static kv_code code_of(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_DONE:
    case SQLITE_ROW: return KV_OK;
    case SQLITE_CONSTRAINT:
        return rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY ||
                       rc == SQLITE_CONSTRAINT_ROWID
                   ? KV_E_EXISTS
                   : KV_E_INVALID;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return KV_E_BUSY;
    case SQLITE_FULL: return KV_E_NOSPACE;
    case SQLITE_NOMEM: return KV_E_NOMEM;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return KV_E_CORRUPT;
    case SQLITE_TOOBIG: return KV_E_LIMIT;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY: return KV_E_IO;
    default: return KV_E_INTERNAL;
    }
}

static kv_code fail(kv_error *err, sqlite3 *h, int rc)
{
    kv_code code = code_of(rc);
    return kv_fail(err, code ? code : KV_E_INTERNAL, "database: %s",
                   h ? sqlite3_errmsg(h) : sqlite3_errstr(rc));
}

/* --- connections --- */

static int note_changes(void *ctx, int action, const char *a, const char *b, const char *c,
                        const char *d)
{
    conn *cn = ctx;
    kv_sv table = kv_sv_of(a);
    (void)b, (void)c, (void)d;
    if ((action == SQLITE_INSERT && !kv_is_working_change(table, KV_CHANGE_INSERT)) ||
        (action == SQLITE_UPDATE && !kv_is_working_change(table, KV_CHANGE_UPDATE)) ||
        (action == SQLITE_DELETE && !kv_is_working_change(table, KV_CHANGE_DELETE)))
        cn->preparing_changes_state = true;
    return SQLITE_OK;
}

static kv_code prepare(conn *cn, const char *sql, sqlite3_stmt **out, kv_error *err)
{
    cn->preparing_changes_state = false;
    int rc = sqlite3_prepare_v3(cn->h, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);
    return rc == SQLITE_OK ? KV_OK : fail(err, cn->h, rc);
}

static kv_code run(conn *cn, sqlite3_stmt *st, kv_error *err)
{
    (void)sqlite3_step(st);
    int rc = sqlite3_reset(st); /* repeats what step failed with */
    return rc == SQLITE_OK ? KV_OK : fail(err, cn->h, rc);
}

static kv_code exec_text(conn *cn, const char *sql, kv_error *err)
{
    int rc = sqlite3_exec(cn->h, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? KV_OK : fail(err, cn->h, rc);
}

static kv_code conn_prepare(conn *cn, bool writer, kv_error *err)
{
    KV_TRY(prepare(cn, writer ? "BEGIN IMMEDIATE" : "BEGIN", &cn->begin, err));
    KV_TRY(prepare(cn, "COMMIT", &cn->commit, err));
    KV_TRY(prepare(cn, "ROLLBACK", &cn->rollback, err));
    if (!writer) return KV_OK;
    KV_TRY(prepare(cn, "SAVEPOINT turn", &cn->mark, err));
    KV_TRY(prepare(cn, "RELEASE turn", &cn->release, err));
    return prepare(cn, "ROLLBACK TO turn", &cn->revert, err);
}

/* Hashes of passwords and addresses of people lie in it: nobody else may read it. SQLite gives its
 * log files the mode of the database. */
static kv_code make_private(const char *path, kv_error *err)
{
    kv_auto_fd fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return fd < 0 ? kv_fail_sys(err, "cannot open '%s'", path) : KV_OK;
}

static kv_code conn_open(conn *cn, const char *path, bool writer, kv_error *err)
{
    if (writer) KV_TRY(make_private(path, err));
    int rc = sqlite3_open_v2(
        path, &cn->h, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (rc != SQLITE_OK) {
        fail(err, cn->h, rc);
        return kv_wrap(err, code_of(rc), "cannot open '%s'", path);
    }
    (void)sqlite3_busy_timeout(cn->h, BUSY_MS);
    kv_auto_buf pragmas = KV_BUF(1024);
    kv_buf_addf(&pragmas,
                "PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY; PRAGMA cache_size=-%d;",
                writer ? WRITER_CACHE_KIB : READER_CACHE_KIB);
    kv_buf_adds(&pragmas, writer ? "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                                 : "PRAGMA query_only=ON;");
    KV_TRY(kv_buf_check(&pragmas, err));
    KV_TRY(exec_text(cn, pragmas.p, err));
    if (writer) (void)sqlite3_set_authorizer(cn->h, note_changes, cn);
    return KV_OK;
}

static void conn_close(conn *cn)
{
    for (size_t i = 0; i < cn->n_stmts; i++) {
        if (cn->stmts[i]) (void)sqlite3_finalize(cn->stmts[i]->stmt);
        free(cn->stmts[i]);
    }
    free(cn->stmts);
    sqlite3_stmt *own[] = {cn->begin, cn->commit, cn->rollback, cn->mark, cn->release, cn->revert};
    for (size_t i = 0; i < KV_COUNT(own); i++) (void)sqlite3_finalize(own[i]);
    (void)sqlite3_close(cn->h);
    *cn = (conn){0};
}

/* --- the writer's turns and batches --- */

static void batch_drop_ref(batch *b)
{
    pthread_mutex_lock(&b->lock);
    bool last = --b->refs == 0;
    pthread_mutex_unlock(&b->lock);
    if (!last) return;
    (void)pthread_cond_destroy(&b->over);
    (void)pthread_mutex_destroy(&b->lock);
    free(b);
}

static kv_code batch_open(sqlite_db *db, kv_error *err)
{
    batch *b = calloc(1, sizeof *b);
    if (!b) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_code rc = run(&db->writer, db->writer.begin, err);
    if (rc != KV_OK) {
        free(b);
        return rc;
    }
    (void)pthread_mutex_init(&b->lock, NULL);
    (void)pthread_cond_init(&b->over, NULL);
    b->refs = 1;
    db->batch = b;
    db->n_batch = 0;
    return KV_OK;
}

/* Commits the batch, or finds it lost, and tells everybody in it. */
static void batch_close(sqlite_db *db)
{
    batch *b = KV_TAKE(db->batch);
    conn *w = &db->writer;
    kv_error result = {0};
    if (sqlite3_get_autocommit(w->h))
        kv_fail(&result, KV_E_IO, "database: the transaction was lost to an error in its batch");
    else if (run(w, w->commit, &result) != KV_OK && !sqlite3_get_autocommit(w->h))
        (void)run(w, w->rollback, NULL);
    pthread_mutex_lock(&b->lock);
    b->done = true;
    b->result = result;
    pthread_cond_broadcast(&b->over);
    pthread_mutex_unlock(&b->lock);
    batch_drop_ref(b);
}

/* Gives the turn to whoever waits, or commits when nobody does. Unlocks. */
static void turn_end(sqlite_db *db)
{
    if (db->batch && (atomic_load(&db->n_waiting) == 0 || db->n_batch >= BATCH_MAX ||
                      sqlite3_get_autocommit(db->writer.h)))
        batch_close(db);
    pthread_mutex_unlock(&db->writer_lock);
}

static kv_code turn_begin(sqlite_db *db, kv_tx **out, kv_error *err)
{
    atomic_fetch_add(&db->n_waiting, 1);
    pthread_mutex_lock(&db->writer_lock);
    atomic_fetch_sub(&db->n_waiting, 1);
    kv_code rc = db->batch ? KV_OK : batch_open(db, err);
    if (rc == KV_OK) rc = run(&db->writer, db->writer.mark, err);
    if (rc != KV_OK) {
        turn_end(db);
        return rc;
    }
    *out = &db->writer.tx;
    return KV_OK;
}

static kv_code turn_commit(sqlite_db *db, kv_error *err)
{
    kv_code rc = run(&db->writer, db->writer.release, err);
    if (rc != KV_OK) {
        if (!sqlite3_get_autocommit(db->writer.h)) (void)run(&db->writer, db->writer.revert, NULL);
        turn_end(db);
        return rc;
    }
    batch *b = db->batch;
    db->n_batch++;
    pthread_mutex_lock(&b->lock);
    b->refs++;
    pthread_mutex_unlock(&b->lock);
    turn_end(db);

    pthread_mutex_lock(&b->lock);
    while (!b->done) (void)pthread_cond_wait(&b->over, &b->lock);
    rc = b->result.code;
    if (rc != KV_OK && err) *err = b->result;
    pthread_mutex_unlock(&b->lock);
    batch_drop_ref(b);
    return rc;
}

static void turn_rollback(sqlite_db *db)
{
    conn *w = &db->writer;
    /* When SQLite has rolled everything back by itself there is no savepoint left to go back to. */
    if (!sqlite3_get_autocommit(w->h)) {
        (void)run(w, w->revert, NULL);
        (void)run(w, w->release, NULL);
    }
    turn_end(db);
}

/* --- readers --- */

static kv_code reader_begin(sqlite_db *db, kv_tx **out, kv_error *err)
{
    pthread_mutex_lock(&db->pool_lock);
    while (db->n_idle == 0) (void)pthread_cond_wait(&db->reader_idle, &db->pool_lock);
    conn *cn = db->idle[--db->n_idle];
    pthread_mutex_unlock(&db->pool_lock);
    *out = &cn->tx;
    kv_code rc = run(cn, cn->begin, err);
    if (rc == KV_OK) return KV_OK;
    pthread_mutex_lock(&db->pool_lock);
    db->idle[db->n_idle++] = cn;
    pthread_cond_signal(&db->reader_idle);
    pthread_mutex_unlock(&db->pool_lock);
    return rc;
}

static void reader_end(sqlite_db *db, conn *cn)
{
    if (!sqlite3_get_autocommit(cn->h) && run(cn, cn->commit, NULL) != KV_OK)
        (void)run(cn, cn->rollback, NULL);
    pthread_mutex_lock(&db->pool_lock);
    db->idle[db->n_idle++] = cn;
    pthread_cond_signal(&db->reader_idle);
    pthread_mutex_unlock(&db->pool_lock);
}

/* --- the operations --- */

static kv_code sqlite_begin(kv_db *base, kv_tx_kind kind, kv_tx **out, kv_error *err)
{
    sqlite_db *db = db_of(base);
    return kind == KV_TX_READ ? reader_begin(db, out, err) : turn_begin(db, out, err);
}

static kv_code sqlite_commit(kv_tx *tx, kv_error *err)
{
    sqlite_db *db = db_of(tx->db);
    if (tx->kind != KV_TX_READ) return turn_commit(db, err);
    reader_end(db, conn_of(tx));
    return KV_OK;
}

static void sqlite_rollback(kv_tx *tx)
{
    sqlite_db *db = db_of(tx->db);
    if (tx->kind == KV_TX_READ)
        reader_end(db, conn_of(tx));
    else
        turn_rollback(db);
}

/* The connection's statement for q; NULL and an error when it cannot be prepared. */
static cached_stmt *find_stmt(conn *cn, kv_query *q, kv_error *err)
{
    size_t slot = kv_query_slot(q);
    while (slot >= cn->n_stmts) {
        /* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers */
        if (!KV_GROW(cn->stmts, cn->n_stmts, &cn->cap_stmts)) {
            kv_fail(err, KV_E_NOMEM, "out of memory");
            return NULL;
        }
        cn->stmts[cn->n_stmts++] = NULL;
    }
    if (cn->stmts[slot]) return cn->stmts[slot];
    cached_stmt *c = calloc(1, sizeof *c);
    if (!c) {
        kv_fail(err, KV_E_NOMEM, "out of memory");
        return NULL;
    }
    if (prepare(cn, q->sql, &c->stmt, err) != KV_OK) {
        free(c);
        return NULL;
    }
    c->changes_state = cn->preparing_changes_state;
    cn->stmts[slot] = c;
    return c;
}

static int bind(sqlite3_stmt *st, int i, const kv_val *v)
{
    const char *p = v->s.p ? v->s.p : ""; /* a NULL pointer would bind NULL */
    switch (v->kind) {
    case KV_VAL_NULL: return sqlite3_bind_null(st, i);
    case KV_VAL_INT: return sqlite3_bind_int64(st, i, v->i);
    case KV_VAL_TEXT: return sqlite3_bind_text64(st, i, p, v->s.n, SQLITE_STATIC, SQLITE_UTF8);
    case KV_VAL_BYTES: return sqlite3_bind_blob64(st, i, p, v->s.n, SQLITE_STATIC);
    }
    return SQLITE_MISUSE;
}

static kv_code sqlite_start(kv_tx *tx, kv_query *q, const kv_val *v, size_t n, void **out_stmt,
                            kv_error *err)
{
    conn *cn = conn_of(tx);
    cached_stmt *c = find_stmt(cn, q, err);
    if (!c) return KV_E_INTERNAL;
    sqlite3_stmt *st = c->stmt;
    bool writes = !sqlite3_stmt_readonly(st);
    if ((writes && tx->kind == KV_TX_READ) || (c->changes_state && tx->kind == KV_TX_WORK))
        return kv_fail(err, KV_E_INTERNAL, "this transaction may not run '%s'", q->sql);
    if (sqlite3_stmt_busy(st))
        return kv_fail(err, KV_E_INTERNAL, "'%s' is already open in this transaction", q->sql);
    if (n != (size_t)sqlite3_bind_parameter_count(st))
        return kv_fail(err, KV_E_INTERNAL, "'%s' takes %d values, got %zu", q->sql,
                       sqlite3_bind_parameter_count(st), n);
    /* A transaction SQLite gave up must not go on as single statements that commit themselves. */
    if (sqlite3_get_autocommit(cn->h))
        return kv_fail(err, KV_E_IO, "database: the transaction was lost to an earlier error");
    for (size_t i = 0; i < n; i++) {
        int rc = bind(st, (int)i + 1, &v[i]);
        if (rc != SQLITE_OK) return fail(err, cn->h, rc);
    }
    *out_stmt = c;
    return KV_OK;
}

static int sqlite_step_row(kv_tx *tx, void *stmt)
{
    const cached_stmt *c = stmt;
    (void)tx;
    int rc = sqlite3_step(c->stmt);
    return rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : -1;
}

static kv_val sqlite_column(void *stmt, unsigned i, kv_val_kind kind)
{
    const cached_stmt *c = stmt;
    int col = (int)i;
    kv_val v = {.kind = kind};
    if (sqlite3_column_type(c->stmt, col) == SQLITE_NULL) return kv_v_null();
    switch (kind) {
    case KV_VAL_NULL: v.kind = KV_VAL_INT; break; /* only asked whether it is NULL */
    case KV_VAL_INT: v.i = sqlite3_column_int64(c->stmt, col); break;
    case KV_VAL_TEXT: v.s.p = (const char *)sqlite3_column_text(c->stmt, col); break;
    case KV_VAL_BYTES: v.s.p = sqlite3_column_blob(c->stmt, col); break;
    }
    if (v.s.p) v.s.n = (size_t)sqlite3_column_bytes(c->stmt, col);
    return v;
}

static kv_code sqlite_finish(kv_tx *tx, void *stmt, kv_error *err)
{
    conn *cn = conn_of(tx);
    const cached_stmt *c = stmt;
    int rc = sqlite3_reset(c->stmt);
    kv_code code = rc == SQLITE_OK ? KV_OK : fail(err, cn->h, rc);
    (void)sqlite3_clear_bindings(c->stmt);
    tx->n_last_changed = 0;
    if (code == KV_OK && !sqlite3_stmt_readonly(c->stmt))
        tx->n_last_changed = (uint64_t)sqlite3_changes64(cn->h);
    if (c->changes_state) tx->n_changed += tx->n_last_changed;
    return code;
}

/* --- opening --- */

static kv_code one_int(conn *cn, const char *sql, int64_t *out, kv_error *err)
{
    sqlite3_stmt *st = NULL;
    KV_TRY(prepare(cn, sql, &st, err));
    *out = sqlite3_step(st) == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
    int rc = sqlite3_finalize(st);
    return rc == SQLITE_OK ? KV_OK : fail(err, cn->h, rc);
}

static kv_code apply(conn *w, const kv_migration *m, int64_t have, kv_error *err)
{
    if (m->number <= have || (m->engine && !kv_sv_is(KV_SV("sqlite"), m->engine))) return KV_OK;
    if (exec_text(w, m->sql, err) != KV_OK)
        return kv_wrap(err, KV_E_INTERNAL, "migration %04u_%s", m->number, m->name);
    kv_auto_buf note = KV_BUF(512);
    kv_buf_addf(&note, "INSERT INTO schema_version VALUES (%u, '%s', %lld) ON CONFLICT DO NOTHING",
                m->number, m->name, (long long)kv_now_us());
    KV_TRY(kv_buf_check(&note, err));
    return exec_text(w, note.p, err);
}

static kv_code migrate_inside(conn *w, kv_error *err)
{
    int64_t id = 0, n_tables = 0, have = 0;
    KV_TRY(one_int(w, "PRAGMA application_id", &id, err));
    KV_TRY(one_int(w, "SELECT count(*) FROM sqlite_master", &n_tables, err));
    if (id != APPLICATION_ID && n_tables)
        return kv_fail(err, KV_E_CORRUPT, "this database is not one of KitVault's hub");
    KV_TRY(exec_text(w,
                     "CREATE TABLE IF NOT EXISTS schema_version (number INTEGER NOT NULL "
                     "PRIMARY KEY, name TEXT NOT NULL, applied_at INTEGER NOT NULL)",
                     err));
    KV_TRY(one_int(w, "SELECT max(number) FROM schema_version", &have, err));
    int64_t newest = KV_MIGRATIONS[KV_N_MIGRATIONS - 1].number;
    if (have > newest)
        return kv_fail(err, KV_E_UNSUPPORTED,
                       "a newer kitvaultd wrote this database (schema %lld, this one knows %lld)",
                       (long long)have, (long long)newest);
    for (size_t i = 0; i < KV_N_MIGRATIONS; i++) KV_TRY(apply(w, &KV_MIGRATIONS[i], have, err));
    kv_auto_buf mark = KV_BUF(64);
    kv_buf_addf(&mark, "PRAGMA application_id=%d", APPLICATION_ID);
    KV_TRY(kv_buf_check(&mark, err));
    return exec_text(w, mark.p, err);
}

static kv_code migrate(conn *w, kv_error *err)
{
    KV_TRY(run(w, w->begin, err));
    kv_code rc = migrate_inside(w, err);
    if (rc == KV_OK) rc = run(w, w->commit, err);
    if (rc != KV_OK && !sqlite3_get_autocommit(w->h)) (void)run(w, w->rollback, NULL);
    return rc;
}

static kv_code open_inside(sqlite_db *db, const kv_db_options *opt, kv_error *err)
{
    KV_TRY(conn_open(&db->writer, opt->path, true, err));
    KV_TRY(conn_prepare(&db->writer, true, err));
    if (migrate(&db->writer, err) != KV_OK)
        return kv_wrap(err, err ? err->code : KV_E_IO, "'%s'", opt->path);
    unsigned n = opt->n_readers ? opt->n_readers : N_READERS;
    if (n > N_READERS_MAX) n = N_READERS_MAX;
    db->readers = calloc(n, sizeof *db->readers);
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers */
    db->idle = calloc(n, sizeof *db->idle);
    if (!db->readers || !db->idle) return kv_fail(err, KV_E_NOMEM, "out of memory");
    for (; db->n_readers < n; db->n_readers++) {
        conn *cn = &db->readers[db->n_readers];
        kv_code rc = conn_open(cn, opt->path, false, err);
        if (rc == KV_OK) rc = conn_prepare(cn, false, err);
        if (rc != KV_OK) {
            conn_close(cn);
            return rc;
        }
        db->idle[db->n_idle++] = cn;
    }
    return KV_OK;
}

static void sqlite_close_db(kv_db *base)
{
    sqlite_db *db = db_of(base);
    for (unsigned i = 0; i < db->n_readers; i++) conn_close(&db->readers[i]);
    conn_close(&db->writer); /* the last one: checkpoints the WAL and removes it */
    free(db->readers);
    free(db->idle);
    (void)pthread_mutex_destroy(&db->writer_lock);
    (void)pthread_mutex_destroy(&db->pool_lock);
    (void)pthread_cond_destroy(&db->reader_idle);
    free(db);
}

static void configure(void)
{
    /* Each connection is used by one thread at a time, and nobody reads SQLite's memory counters,
     * which all threads would lock for. */
    (void)sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

kv_code kv_db_open_sqlite(const kv_db_options *opt, kv_db **out, kv_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, configure);
    sqlite_db *db = calloc(1, sizeof *db);
    if (!db) return kv_fail(err, KV_E_NOMEM, "out of memory");
    db->base.ops = &SQLITE_OPS;
    (void)pthread_mutex_init(&db->writer_lock, NULL);
    (void)pthread_mutex_init(&db->pool_lock, NULL);
    (void)pthread_cond_init(&db->reader_idle, NULL);
    kv_code rc = open_inside(db, opt, err);
    if (rc != KV_OK) {
        sqlite_close_db(&db->base);
        return rc;
    }
    *out = &db->base;
    return KV_OK;
}

static const kv_db_ops SQLITE_OPS = {
    .engine = "sqlite",
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .start = sqlite_start,
    .step = sqlite_step_row,
    .column = sqlite_column,
    .finish = sqlite_finish,
    .close = sqlite_close_db,
};

#pragma once
/*
 * The hub's database, whichever engine is underneath: transactions, cached statements, rows.
 *
 * SQL is written once, in hub/db/q_*.c and migrations/, in the words that SQLite and PostgreSQL
 * share: parameters are ?1 ?2 ..., upserts are ON CONFLICT, no engine's functions, no PRAGMA.
 * Whatever belongs to one engine stands in its db_<engine>.c. In SQL that is read by both, INTEGER
 * means 64 bits, BLOB bytes, and WITHOUT ROWID is a hint; a driver rewrites those three words.
 *
 * Three kinds of transaction:
 *   KV_TX_READ   one snapshot of what was committed; any number at once, none waits for another
 *   KV_TX_STATE  changes what must be remembered; its commit is refused unless audit leaves were
 *                added (architecture rule 4: no leaf, no change)
 *   KV_TX_WORK   touches working tables only (db.c names them); a statement that would change
 *                anything else is refused
 *
 * Threads: kv_db is shared; a kv_tx and its rows belong to one thread. A thread holds one
 * transaction at a time, briefly: never across network input or output, a password hash, or a lock
 * of somebody else.
 * After an error of any statement the only thing left to do with a transaction is to roll it back;
 * what may collide is written with ON CONFLICT.
 */
#include <stdatomic.h>

#include "base/str.h"

typedef struct kv_db kv_db;
typedef struct kv_tx kv_tx;

typedef enum kv_tx_kind { KV_TX_READ, KV_TX_STATE, KV_TX_WORK } kv_tx_kind;

typedef struct kv_db_options {
    const char *path;   /* of the database file; its directory exists */
    unsigned n_readers; /* connections for KV_TX_READ; 0: the default (8) */
} kv_db_options;

/**
 * Opens the database, making it when missing, and brings its tables up to this build's version.
 * Errors: KV_E_UNSUPPORTED (written by a newer version), KV_E_CORRUPT, KV_E_IO, KV_E_BUSY.
 */
KV_MUST_CHECK kv_code kv_db_open(const kv_db_options *opt, kv_db **out, kv_error *err);
void kv_db_close(kv_db *db); /* no transaction may be open; NULL is fine */
KV_DEFINE_AUTO(kv_db, kv_db_close)

/**
 * How many state commits this process has made. A cache of database answers is fresh as long as
 * the number read before its query is still the current one.
 */
uint64_t kv_db_changes(const kv_db *db);

/* --- transactions --- */

/**
 * Begins; waits for its turn. Errors: KV_E_BUSY (another process holds the database too long),
 * KV_E_IO.
 */
KV_MUST_CHECK kv_code kv_tx_begin(kv_db *db, kv_tx_kind kind, kv_tx **out, kv_error *err);
/**
 * Commits and releases tx, whatever happens. When it returns KV_OK the change survives a power cut;
 * on failure nothing was changed. Several transactions may share one write to the disk, each is
 * answered after it. Errors: KV_E_INTERNAL (changes without a leaf), KV_E_NOSPACE, KV_E_IO.
 */
KV_MUST_CHECK kv_code kv_tx_commit(kv_tx *tx, kv_error *err);
/** Forgets every change and releases tx. NULL is fine. */
void kv_tx_rollback(kv_tx *tx);
KV_DEFINE_AUTO(kv_tx,
               kv_tx_rollback) /* kv_auto(kv_tx) tx = NULL; ... kv_tx_commit(KV_TAKE(tx), err) */
kv_db *kv_tx_db(const kv_tx *tx);

/* --- statements --- */

/** One statement's text; static storage. Prepared once per connection, found by its slot. */
typedef struct kv_query {
    const char *sql;
    atomic_uint slot; /* given at first use; 0: none yet */
} kv_query;
/* clang-format off */
#define KV_QUERY(text) {.sql = (text)} /* static kv_query Q_X = KV_QUERY("SELECT ..."); */
/* clang-format on */

typedef enum kv_val_kind { KV_VAL_NULL, KV_VAL_INT, KV_VAL_TEXT, KV_VAL_BYTES } kv_val_kind;
/** A parameter or a column. Borrows its text. */
typedef struct kv_val {
    kv_val_kind kind;
    int64_t i;
    kv_sv s;
} kv_val;

static inline kv_val kv_v_null(void)
{
    return (kv_val){.kind = KV_VAL_NULL};
}
static inline kv_val kv_v_int(int64_t i)
{
    return (kv_val){.kind = KV_VAL_INT, .i = i};
}
static inline kv_val kv_v_text(kv_sv s)
{
    return (kv_val){.kind = KV_VAL_TEXT, .s = s};
}
/** Empty becomes NULL. */
static inline kv_val kv_v_text_or_null(kv_sv s)
{
    return s.n ? kv_v_text(s) : kv_v_null();
}
static inline kv_val kv_v_bytes(kv_sv s)
{
    return (kv_val){.kind = KV_VAL_BYTES, .s = s};
}
/* Parameters ?1, ?2, ... in order, as the two arguments (values, count) the calls below take. */
#define KV_VALS(...)                                                                               \
    (const kv_val[]){__VA_ARGS__}, sizeof((const kv_val[]){__VA_ARGS__}) / sizeof(kv_val)
#define KV_NO_VALS NULL, 0

/**
 * Runs a statement that answers no rows. out_changed (may be NULL): rows inserted, updated or
 * deleted. Errors: KV_E_EXISTS (a unique key is taken), KV_E_INVALID (another constraint or
 * trigger), KV_E_NOSPACE, KV_E_IO, KV_E_CORRUPT, KV_E_INTERNAL (not allowed in this kind of
 * transaction).
 */
KV_MUST_CHECK kv_code kv_tx_exec(kv_tx *tx, kv_query *q, const kv_val *v, size_t n,
                                 int64_t *out_changed, kv_error *err);

/**
 * Rows of a query, pulled:
 *     kv_auto_rows r = {0};
 *     KV_TRY(kv_tx_query(tx, &Q, KV_VALS(...), &r, err));
 *     while (kv_rows_next(&r)) use(kv_col_text(&r, 0));
 *     KV_TRY(kv_rows_end(&r, err));
 * The parameters' text must live until kv_rows_end. One query of a transaction is open once at a
 * time (do not nest the same one); all are closed before commit.
 */
typedef struct kv_rows {
    kv_tx *tx;
    void *stmt;
    bool done;
} kv_rows;
KV_MUST_CHECK kv_code kv_tx_query(kv_tx *tx, kv_query *q, const kv_val *v, size_t n, kv_rows *out,
                                  kv_error *err);
bool kv_rows_next(kv_rows *r); /* false: no more, or an error that kv_rows_end reports */
/** Releases the rows and says why next stopped. */
KV_MUST_CHECK kv_code kv_rows_end(kv_rows *r, kv_error *err);
void kv_rows_close(kv_rows *r); /* the same without the reason; twice is fine */
#define kv_auto_rows KV_CLEANUP(kv_rows_close) kv_rows
/* Columns of the current row, from 0. Text and bytes live until the next call on the rows. NULL is
 * 0 or "". */
int64_t kv_col_int(const kv_rows *r, unsigned i);
kv_sv kv_col_text(const kv_rows *r, unsigned i);
kv_sv kv_col_bytes(const kv_rows *r, unsigned i);
bool kv_col_is_null(const kv_rows *r, unsigned i);

/** For q_audit.c alone: one leaf was added, so the commit may pass. */
void kv_tx_count_leaf(kv_tx *tx);

/* --- migrations: hub/db/migrations/NNNN_name[.engine].sql, embedded by the build --- */
typedef struct kv_migration {
    unsigned number;    /* NNNN; applied in order, each once, each in one transaction */
    const char *engine; /* "sqlite", "postgres"; NULL: both */
    const char *name;
    const char *sql;
} kv_migration;
extern const kv_migration KV_MIGRATIONS[];
extern const size_t KV_N_MIGRATIONS;

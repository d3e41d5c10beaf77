#include "hub/service/upload.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/crash.h"
#include "hub/db/q_upload.h"
#include "hub/service/repo_blob.h"

enum {
    KEPT_OPEN = 64,      /* writers between requests: descriptors, not memory, are what counts */
    SAVE_STEP = 4 << 20, /* received since the last save: worth a sync */
    CHECKPOINT_STEP = 1 << 30,
    LARGE = 4 << 20,      /* received by one request: worth a thread for the digest */
    WAIT_MS = 2000,       /* for a request whose connection is about to be found broken */
    REPOSITORY_MAX = 256, /* bytes with NUL */
};

/* An upload in memory. Fields but offset belong to the request that is busy with it, else to the
 * lock of the table. */
struct kv_upload {
    kv_upload *next;
    kv_registry *reg;
    kv_upload_row row;
    char repository[REPOSITORY_MAX];
    kv_blob_writer *writer; /* NULL once it has failed */
    uint64_t saved;         /* bytes the row's state covers */
    uint64_t begun;         /* bytes there were when this request began */
    uint64_t expected;      /* bytes there will be when this request has ended, as far as known */
    uint64_t idle_since;    /* monotonic */
    atomic_uint_least64_t offset;
    bool busy;
};

/* Lock order: alone; neither the database nor the store is called under it. */
struct kv_sessions {
    pthread_mutex_t lock;
    pthread_cond_t freed; /* some upload is no longer busy, or gone */
    kv_upload *open;
    size_t n_idle;
};

struct kv_sessions *kv_sessions_new(void)
{
    struct kv_sessions *s = calloc(1, sizeof(*s));
    if (!s) return NULL;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->freed, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

/* --- the table; the lock is held --- */

static kv_upload *find_open(struct kv_sessions *s, kv_sv id)
{
    for (kv_upload *u = s->open; u; u = u->next)
        if (kv_sv_is(id, u->row.id)) return u;
    return NULL;
}

static void mark_busy(struct kv_sessions *s, kv_upload *u)
{
    if (!u->busy) s->n_idle--;
    u->busy = true;
}

/* Waits until nobody is busy with the upload of that id. Returns it, taken, or NULL: not in memory
 * (*out_busy false), or still busy. */
static kv_upload *take_open(struct kv_sessions *s, kv_sv id, bool *out_busy)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += WAIT_MS / 1000;
    *out_busy = false;
    kv_upload *u;
    while ((u = find_open(s, id)) && u->busy)
        if (pthread_cond_timedwait(&s->freed, &s->lock, &until) == ETIMEDOUT) {
            u = find_open(s, id);
            *out_busy = u && u->busy;
            if (*out_busy) return NULL;
        }
    if (u) mark_busy(s, u);
    return u;
}

static void enter(struct kv_sessions *s, kv_upload *u)
{
    u->busy = true;
    u->next = s->open;
    s->open = u;
}

/* --- single uploads --- */

static bool is_of(const kv_upload *u, const kv_principal *who, kv_sv repository)
{
    return kv_sv_is(repository, u->repository) && kv_sv_is(who->id, u->row.principal_id);
}

static kv_code none(kv_sv id, kv_error *err)
{
    return kv_fail(err, KV_E_NOTFOUND, "no upload '%.*s' in this repository",
                   KV_ARG(kv_sv_sub(id, 0, KV_UUID_MAX - 1)));
}

static kv_upload *new_upload(kv_registry *reg, kv_sv id, kv_sv repository)
{
    kv_upload *u = calloc(1, sizeof(*u));
    if (!u) return NULL;
    u->reg = reg;
    memcpy(u->row.id, id.p, id.n);
    memcpy(u->repository, repository.p, repository.n);
    return u;
}

/* Takes u, with whom the caller is busy, out of the table and frees it. The row stays. */
static void leave(kv_upload *u)
{
    struct kv_sessions *s = u->reg->sessions;
    pthread_mutex_lock(&s->lock);
    kv_upload **at = &s->open;
    while (*at != u) at = &(*at)->next;
    *at = u->next;
    pthread_cond_broadcast(&s->freed);
    pthread_mutex_unlock(&s->lock);
    assert(!u->writer);
    free(u);
}

static kv_code delete_row(kv_registry *reg, const char *id, kv_error *err)
{
    kv_auto(kv_tx) tx = NULL;
    KV_TRY(kv_tx_begin(reg->db, KV_TX_WORK, &tx, err));
    KV_TRY(kv_q_upload_delete(tx, id, err));
    return kv_tx_commit(KV_TAKE(tx), err);
}

/* Forgets the upload, its row and its bytes. */
static kv_code discard(kv_upload *u, kv_error *err)
{
    kv_blob_abort(KV_TAKE(u->writer));
    kv_code rc = delete_row(u->reg, u->row.id, err);
    leave(u);
    return rc;
}

/* The same after a failure that is reported already; a row that stays will expire. */
static void discard_quietly(kv_upload *u)
{
    kv_code ignored = discard(u, NULL);
    (void)ignored;
}

/* Makes what was received durable and closes the writer; kv_blob_resume takes up state. */
static kv_code save(kv_upload *u, kv_buf *state, kv_error *err)
{
    uint64_t offset = kv_blob_offset(u->writer);
    KV_TRY(kv_blob_save(KV_TAKE(u->writer), state, err));
    kv_crash_point("hub.upload-saved");
    kv_auto(kv_tx) tx = NULL;
    KV_TRY(kv_tx_begin(u->reg->db, KV_TX_WORK, &tx, err));
    KV_TRY(kv_q_upload_save(tx, u->row.id, offset, kv_buf_sv(state), kv_now_us(), err));
    KV_TRY(kv_tx_commit(KV_TAKE(tx), err));
    u->saved = offset;
    return KV_OK;
}

/* Saves u and takes it out of memory. On failure it is gone. */
static kv_code save_and_leave(kv_upload *u, kv_error *err)
{
    kv_auto_buf state = KV_BUF(KV_BLOB_STATE_MAX);
    kv_code rc = save(u, &state, err);
    if (rc == KV_OK)
        leave(u);
    else
        discard_quietly(u);
    return rc;
}

/* --- opening --- */

static kv_code open_writer(kv_upload *u, kv_sv state, kv_error *err)
{
    kv_blobs *blobs = u->reg->blobs;
    if (state.n) return kv_blob_resume(blobs, u->row.id, state, &u->writer, err);
    /* Bytes that came before a crash and were never saved are in the way. */
    KV_TRY(kv_blobs_forget(blobs, u->row.id, err));
    return kv_blob_begin(blobs, u->row.id, u->row.alg, &u->writer, err);
}

static kv_code load(kv_upload *u, const kv_principal *who, kv_error *err)
{
    kv_auto_buf state = KV_BUF(KV_BLOB_STATE_MAX);
    kv_upload_row row;
    {
        kv_auto(kv_tx) tx = NULL;
        KV_TRY(kv_tx_begin(u->reg->db, KV_TX_READ, &tx, err));
        KV_TRY(kv_q_upload_find(tx, u->row.id, kv_sv_of(u->repository), &row, &state, err));
    }
    /* All but the id, by which others look for u at this moment. */
    memcpy(u->row.principal_id, row.principal_id, sizeof(row.principal_id));
    u->row.alg = row.alg;
    u->row.n_received = row.n_received;
    if (!kv_sv_is(who->id, u->row.principal_id)) return none(kv_sv_of(u->row.id), err);
    kv_code rc = open_writer(u, kv_buf_sv(&state), err);
    /* Staged bytes that are gone: the upload was finished, or lost, just before a crash. */
    if (rc == KV_E_CORRUPT) rc = kv_fail(err, KV_E_NOTFOUND, "upload '%s' was lost", u->row.id);
    if (rc != KV_OK) return rc;
    u->saved = kv_blob_offset(u->writer);
    atomic_store(&u->offset, u->saved);
    return KV_OK;
}

kv_code kv_upload_open(kv_registry *reg, const kv_principal *who, kv_sv repository, kv_sv id,
                       kv_upload **out, kv_error *err)
{
    *out = NULL;
    if (id.n != KV_UUID_MAX - 1 || repository.n >= REPOSITORY_MAX) return none(id, err);
    kv_upload *fresh = new_upload(reg, id, repository);
    if (!fresh) return kv_fail(err, KV_E_NOMEM, "out of memory");
    struct kv_sessions *s = reg->sessions;

    bool busy;
    pthread_mutex_lock(&s->lock);
    kv_upload *u = take_open(s, id, &busy);
    if (u && !is_of(u, who, repository)) {
        u->busy = false;
        s->n_idle++;
        pthread_cond_broadcast(&s->freed);
        pthread_mutex_unlock(&s->lock);
        free(fresh);
        return none(id, err);
    }
    if (!u && !busy) enter(s, fresh);
    pthread_mutex_unlock(&s->lock);

    if (u || busy) free(fresh);
    if (busy)
        return kv_fail(err, KV_E_BUSY, "another request is writing to upload '%.*s'", KV_ARG(id));
    if (!u) {
        kv_code rc = load(fresh, who, err);
        if (rc != KV_OK) {
            leave(fresh);
            return rc;
        }
        u = fresh;
    }
    u->begun = kv_upload_offset(u);
    *out = u;
    return KV_OK;
}

uint64_t kv_upload_offset(const kv_upload *u)
{
    return atomic_load(&u->offset);
}

const char *kv_upload_id(const kv_upload *u)
{
    return u->row.id;
}

/* After a failure of the writer: nothing of it is worth keeping. */
static kv_code fail_writer(kv_upload *u, kv_code rc)
{
    kv_blob_abort(KV_TAKE(u->writer));
    return rc;
}

static kv_code prepare(kv_upload *u, kv_error *err)
{
    uint64_t offset = kv_blob_offset(u->writer);
    return u->expected > offset ? kv_blob_expect(u->writer, u->expected - offset, err) : KV_OK;
}

kv_code kv_upload_expect(kv_upload *u, uint64_t n, kv_error *err)
{
    if (!u->writer) return kv_fail(err, KV_E_IO, "upload '%s' has failed", u->row.id);
    if (kv_ckd_add(&u->expected, kv_blob_offset(u->writer), n)) u->expected = UINT64_MAX;
    kv_code rc = prepare(u, err);
    return rc == KV_OK ? rc : fail_writer(u, rc);
}

/* Within one long request: a crash costs at most CHECKPOINT_STEP of what was received. */
static kv_code checkpoint(kv_upload *u, kv_error *err)
{
    kv_auto_buf state = KV_BUF(KV_BLOB_STATE_MAX);
    KV_TRY(save(u, &state, err));
    KV_TRY(kv_blob_resume(u->reg->blobs, u->row.id, kv_buf_sv(&state), &u->writer, err));
    return prepare(u, err);
}

kv_code kv_upload_append(kv_upload *u, const void *p, size_t n, kv_error *err)
{
    if (!u->writer) return kv_fail(err, KV_E_IO, "upload '%s' has failed", u->row.id);
    kv_code rc = kv_blob_append(u->writer, p, n, err);
    if (rc == KV_OK && kv_blob_offset(u->writer) - u->saved >= CHECKPOINT_STEP)
        rc = checkpoint(u, err);
    if (rc != KV_OK) return fail_writer(u, rc);
    uint64_t offset = kv_blob_offset(u->writer);
    if (offset - u->begun >= LARGE) kv_blob_hash_aside(u->writer);
    atomic_store(&u->offset, offset);
    return KV_OK;
}

/* --- giving back --- */

/* Leaves u in memory for the next request; returns an idle one that should make room, taken. */
static kv_upload *park(kv_upload *u)
{
    struct kv_sessions *s = u->reg->sessions;
    kv_upload *oldest = NULL;
    pthread_mutex_lock(&s->lock);
    u->busy = false;
    u->expected = 0;
    u->idle_since = kv_mono_us();
    if (++s->n_idle > KEPT_OPEN)
        for (kv_upload *v = s->open; v; v = v->next)
            if (!v->busy && (!oldest || v->idle_since < oldest->idle_since)) oldest = v;
    if (oldest) mark_busy(s, oldest);
    pthread_cond_broadcast(&s->freed);
    pthread_mutex_unlock(&s->lock);
    return oldest;
}

kv_code kv_upload_keep(kv_upload *u, kv_error *err)
{
    if (!u->writer) return discard(u, err);
    /* After a large request always: it may have been saved on its way, and has a thread aside. */
    uint64_t offset = kv_blob_offset(u->writer);
    if (offset - u->saved >= SAVE_STEP || offset - u->begun >= LARGE) return save_and_leave(u, err);
    kv_upload *oldest = park(u);
    return oldest ? save_and_leave(oldest, NULL) : KV_OK;
}

void kv_upload_release(kv_upload *u)
{
    if (!u) return;
    kv_code ignored = kv_upload_keep(u, NULL);
    (void)ignored;
}

void kv_upload_abort(kv_upload *u)
{
    discard_quietly(u);
}

kv_code kv_upload_finish(kv_upload *u, const kv_principal *who, const kv_digest *d, kv_error *err)
{
    if (!u->writer) {
        discard_quietly(u);
        return kv_fail(err, KV_E_IO, "the upload has failed");
    }
    uint64_t size = kv_blob_offset(u->writer);
    kv_code rc = kv_blob_commit(KV_TAKE(u->writer), d, NULL, err);
    if (rc == KV_OK)
        rc = kv_repo_blob_link(u->reg, who, kv_sv_of(u->repository), d, size, u->row.id, err);
    if (rc == KV_OK)
        leave(u);
    else
        discard_quietly(u);
    return rc;
}

/* --- start, ask, cancel --- */

kv_code kv_upload_start(kv_registry *reg, const kv_principal *who, kv_sv repository,
                        kv_digest_alg alg, kv_upload_state *out, kv_error *err)
{
    kv_upload_row row = {.alg = alg};
    kv_uuid4(row.id);
    if (who->id.n && who->id.n < sizeof(row.principal_id))
        memcpy(row.principal_id, who->id.p, who->id.n);
    kv_auto(kv_tx) tx = NULL;
    KV_TRY(kv_tx_begin(reg->db, KV_TX_WORK, &tx, err));
    uint64_t n;
    KV_TRY(kv_q_upload_count(tx, row.principal_id, &n, err));
    if (n >= KV_UPLOADS_PER_PRINCIPAL)
        return kv_fail(err, KV_E_LIMIT, "%u uploads are open: finish or cancel some",
                       KV_UPLOADS_PER_PRINCIPAL);
    KV_TRY(kv_q_upload_insert(tx, &row, repository, kv_now_us(), err));
    KV_TRY(kv_tx_commit(KV_TAKE(tx), err));
    *out = (kv_upload_state){0};
    memcpy(out->id, row.id, sizeof(out->id));
    return KV_OK;
}

/* The state of an upload that is in memory; false: it is not. */
static bool ask_open(kv_registry *reg, const kv_principal *who, kv_sv repository, kv_sv id,
                     kv_upload_state *out)
{
    struct kv_sessions *s = reg->sessions;
    bool busy;
    pthread_mutex_lock(&s->lock);
    kv_upload *u = take_open(s, id, &busy);
    if (busy)
        u = find_open(s, id);
    else if (u) {
        u->busy = false;
        s->n_idle++;
        pthread_cond_broadcast(&s->freed);
    }
    bool mine = u && is_of(u, who, repository);
    if (mine) {
        memcpy(out->id, u->row.id, sizeof(out->id));
        out->offset = atomic_load(&u->offset);
    }
    pthread_mutex_unlock(&s->lock);
    return mine;
}

kv_code kv_upload_ask(kv_registry *reg, const kv_principal *who, kv_sv repository, kv_sv id,
                      kv_upload_state *out, kv_error *err)
{
    *out = (kv_upload_state){0};
    if (id.n != KV_UUID_MAX - 1) return none(id, err);
    if (ask_open(reg, who, repository, id, out)) return KV_OK;
    char name[KV_UUID_MAX] = {0};
    memcpy(name, id.p, id.n);
    kv_upload_row row;
    kv_auto(kv_tx) tx = NULL;
    KV_TRY(kv_tx_begin(reg->db, KV_TX_READ, &tx, err));
    KV_TRY(kv_q_upload_find(tx, name, repository, &row, NULL, err));
    if (!kv_sv_is(who->id, row.principal_id)) return none(id, err);
    memcpy(out->id, row.id, sizeof(out->id));
    out->offset = row.n_received;
    return KV_OK;
}

kv_code kv_upload_cancel(kv_registry *reg, const kv_principal *who, kv_sv repository, kv_sv id,
                         kv_error *err)
{
    kv_upload *u = NULL;
    KV_TRY(kv_upload_open(reg, who, repository, id, &u, err));
    return discard(u, err);
}

/* --- from time to time --- */

static kv_upload *take_idle(struct kv_sessions *s, uint64_t idle_us)
{
    uint64_t now = kv_mono_us();
    pthread_mutex_lock(&s->lock);
    kv_upload *u = s->open;
    while (u && (u->busy || now - u->idle_since < idle_us)) u = u->next;
    if (u) mark_busy(s, u);
    pthread_mutex_unlock(&s->lock);
    return u;
}

static bool is_open(struct kv_sessions *s, const char *id)
{
    pthread_mutex_lock(&s->lock);
    bool open = find_open(s, kv_sv_of(id));
    pthread_mutex_unlock(&s->lock);
    return open;
}

kv_code kv_upload_sweep(kv_registry *reg, uint64_t idle_us, kv_error *err)
{
    for (kv_upload *u; (u = take_idle(reg->sessions, idle_us));) KV_TRY(save_and_leave(u, err));
    for (;;) {
        char id[KV_UUID_MAX];
        kv_auto(kv_tx) tx = NULL;
        KV_TRY(kv_tx_begin(reg->db, KV_TX_WORK, &tx, err));
        kv_error old;
        kv_code rc = kv_q_upload_stale(tx, kv_now_us() - KV_UPLOAD_EXPIRES_US, id, &old);
        if (rc == KV_E_NOTFOUND) return KV_OK;
        if (rc != KV_OK) return kv_fail(err, rc, "%s", old.msg);
        if (is_open(reg->sessions, id)) { /* still being written, after a day */
            KV_TRY(kv_q_upload_touch(tx, id, kv_now_us(), err));
        } else { /* first the bytes: a row is left when they cannot be removed */
            KV_TRY(kv_blobs_forget(reg->blobs, id, err));
            KV_TRY(kv_q_upload_delete(tx, id, err));
        }
        KV_TRY(kv_tx_commit(KV_TAKE(tx), err));
    }
}

void kv_sessions_free(kv_registry *reg)
{
    struct kv_sessions *s = reg->sessions;
    if (!s) return;
    for (kv_upload *u; (u = take_idle(s, 0));) {
        kv_code ignored = save_and_leave(u, NULL); /* a client asks where it stands, and repeats */
        (void)ignored;
    }
    assert(!s->open); /* requests have ended before */
    pthread_cond_destroy(&s->freed);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

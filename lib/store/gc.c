/*
 * What nobody needs, removed. Alone with the store and under its lock, so that what no list names
 * now will not be named by one; kv_store_hold says who keeps us out.
 */
#include <errno.h>
#include <unistd.h>

#include "kitvault/care.h"
#include "store/layout.h"
#include "store/survey.h"
#include "store/waste.h"

const char *kv_garbage_kind_name(kv_garbage_kind kind)
{
    return kind == KV_GARBAGE_BLOB ? "blob" : "leftover";
}

typedef struct gc {
    kv_store *store;
    const kv_gc_options *opts;
    kv_survey survey;
    kv_gc_result result;
} gc;

static void gc_clear(gc *g)
{
    kv_survey_clear(&g->survey);
}

static kv_code drop(const gc *g, const kv_store_file *f, kv_garbage_kind kind, kv_error *err)
{
    const kv_gc_options *o = g->opts;
    kv_garbage garbage = {.kind = kind, .path = f->path, .digest = f->digest, .size = f->size};
    KV_TRY(kv_check_cancel(o->report, err));
    if (o->found) KV_TRY(o->found(o->ctx, &garbage, err));
    if (!o->dry_run && unlinkat(f->dir_fd, f->name, 0) < 0 && errno != ENOENT)
        return kv_fail_sys(err, "cannot remove '%.*s'", KV_ARG(f->path));
    return KV_OK;
}

static kv_code take_leftover(void *ctx, const kv_store_file *f, kv_error *err)
{
    gc *g = ctx;
    KV_TRY(drop(g, f, KV_GARBAGE_LEFTOVER, err));
    g->result.n_leftovers++;
    g->result.leftover_bytes += f->size;
    return KV_OK;
}

static kv_code take_blob(void *ctx, const kv_store_file *f, kv_error *err)
{
    gc *g = ctx;
    if (kv_digests_has(&g->survey.used, &f->digest)) return KV_OK;
    KV_TRY(drop(g, f, KV_GARBAGE_BLOB, err));
    g->result.n_blobs++;
    g->result.blob_bytes += f->size;
    return KV_OK;
}

/* Before the blobs: a list never names what is gone. */
static kv_code tidy_index(gc *g, kv_error *err)
{
    kv_auto_store_list shared = {0};
    KV_TRY(kv_store_read_index(g->store, NULL, &shared, err));
    for (size_t i = shared.n; i-- > 0;) {
        const kv_digest *d = &shared.items[i].digest;
        if (!d->alg || kv_digests_has(&g->survey.listed, d)) continue;
        kv_store_list_drop(&shared, i);
        g->result.n_entries++;
    }
    if (!g->result.n_entries || g->opts->dry_run) return KV_OK;
    return kv_store_write_index(g->store, NULL, &shared, err);
}

static kv_code survey(gc *g, kv_error *err)
{
    kv_code rc = kv_survey_make(g->store, g->opts->report, &g->survey, err);
    if (rc == KV_E_SYNTAX || rc == KV_E_INVALID)
        return kv_wrap(err, KV_E_CORRUPT, "no blob is removed");
    KV_TRY(rc);
    if (!g->survey.unreadable.alg) return KV_OK;
    return kv_fail(err, KV_E_CORRUPT,
                   "no blob is removed: manifest %s is listed and cannot be read, so nobody knows "
                   "what it uses",
                   kv_digest_str(&g->survey.unreadable).s);
}

static kv_code collect(gc *g, kv_error *err)
{
    KV_TRY(kv_store_each_leftover(g->store, take_leftover, g, err));
    KV_TRY(survey(g, err));
    KV_TRY(tidy_index(g, err));
    return kv_store_each_blob(g->store, take_blob, g, err);
}

kv_code kv_store_gc(kv_store *s, const kv_gc_options *opts, kv_gc_result *out, kv_error *err)
{
    static const kv_gc_options DEFAULTS = KV_GC_OPTIONS_INIT;
    KV_CLEANUP(gc_clear) gc g = {.store = s, .opts = opts ? opts : &DEFAULTS};
    if (out) *out = g.result;
    if (!kv_store_exists(s)) return KV_OK;
    kv_auto_fd alone = -1, lock = -1;
    kv_code rc = kv_store_hold_alone(s, g.opts->wait_ms, &alone, err);
    if (rc == KV_E_BUSY)
        return kv_fail(err, rc, "another process uses local storage; try again when it is done");
    KV_TRY(rc);
    KV_TRY(kv_store_lock(s, &lock, err));
    rc = collect(&g, err);
    if (out) *out = g.result;
    return rc;
}

/*
 * A kit from a registry into the local store, and then the kits its Kitfile builds on, one after
 * the other. Blobs become durable first; lists and tags are written when everything is there,
 * parents before children: a tag never names what is not complete.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crash.h"
#include "kitvault/kitfile.h"
#include "kitvault/store.h"
#include "remote/blobs.h"
#include "remote/remote.h"
#include "store/layout.h"

typedef struct pulled { /* one kit of the chain */
    kv_reference ref;
    char *name; /* as it is shown, for cycles */
    kv_digest digest;
} pulled;
#define CHAIN_MAX KV_KITFILE_PARENTS_MAX /* kit's limit counts the first one too */
typedef struct chain {
    pulled kits[CHAIN_MAX];
    size_t n;
} chain;

static void chain_clear(chain *c)
{
    for (size_t i = 0; i < c->n; i++) {
        kv_reference_clear(&c->kits[i].ref);
        free(c->kits[i].name);
    }
}
#define auto_chain KV_CLEANUP(chain_clear) chain

typedef struct pull_job { /* one kit in work */
    kv_store *store;
    kv_remote *remote;
    const kv_report *report;
    const kv_manifest *manifest;
    kv_blob_list blobs;
    bool aside; /* fewer large blobs than processors: hashing is worth a thread of its own */
} pull_job;

/* Blobs worth a thread: below, starting one costs more than it saves. */
static const uint64_t LARGE_BYTES = 4u << 20;

static bool has_idle_processors(const kv_blob_list *l)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    for (size_t i = 0; i < l->n; i++) n -= l->items[i]->size >= LARGE_BYTES;
    return n > 0;
}

/* --- one blob --- */

typedef struct blob_sink { /* where a blob's bytes go, and who is told */
    kv_ingest *in;
    const pull_job *job;
    const kv_descriptor *d;
    kv_sv what;
    uint64_t id;
} blob_sink;

static kv_code take_piece(void *ctx, const void *p, size_t n, kv_error *err)
{
    const blob_sink *s = ctx;
    KV_TRY(kv_check_cancel(s->job->report, err));
    KV_TRY(kv_ingest_write(s->in, p, n, err));
    kv_progress(s->job->report, s->id, s->what, kv_ingest_offset(s->in), s->d->size);
    return KV_OK;
}

static kv_code copy(const pull_job *job, const kv_descriptor *d, kv_ingest *in, kv_error *err)
{
    char buf[KV_COPYING_TEXT_MAX];
    blob_sink s = {
        .in = in, .job = job, .d = d, .what = kv_copying_text(d, buf), .id = kv_progress_id()};
    kv_auto(kv_remote_reader) reader = NULL;
    KV_TRY(job->remote->ops->open_blob(job->remote, &d->digest, d->size, kv_ingest_offset(in),
                                       &reader, err));
    kv_progress(job->report, s.id, s.what, kv_ingest_offset(in), d->size);
    return kv_remote_reader_drain(reader, take_piece, &s, err);
}

static kv_code fetch_once(const pull_job *job, const kv_descriptor *d, bool *out_continued,
                          kv_error *err)
{
    kv_auto(kv_ingest) in = NULL;
    KV_TRY(kv_ingest_begin(job->store, &d->digest, d->size, &in, err));
    *out_continued = kv_ingest_offset(in) > 0;
    if (job->aside && d->size >= LARGE_BYTES) kv_ingest_hash_aside(in);
    KV_TRY(copy(job, d, in, err));
    kv_crash_point("pull.before-commit");
    return kv_ingest_commit(KV_TAKE(in), err);
}

static kv_code fetch(const pull_job *job, const kv_descriptor *d, kv_error *err)
{
    bool continued = false;
    kv_code rc = fetch_once(job, d, &continued, err);
    if (rc != KV_E_DIGEST || !continued) return rc;
    /* The fault may lie in what a former try left here; that is gone now. */
    kv_say(job->report, KV_DEBUG, "partial download of %s was damaged, starting over",
           kv_digest_str(&d->digest).s);
    return fetch_once(job, d, &continued, err);
}

static const char *kind_of(const pull_job *job, const kv_descriptor *d)
{
    if (d == &job->manifest->config) return "config";
    const char *name = kv_layer_kind_name(kv_layer_type_of(d).kind);
    return name && *name ? name : "unknown";
}

static kv_code pull_blob(void *ctx, size_t i, kv_error *err)
{
    const pull_job *job = ctx;
    const kv_descriptor *d = job->blobs.items[i];
    if (kv_store_has(job->store, &d->digest, d->size)) return KV_OK;
    KV_TRY(kv_check_cancel(job->report, err));
    kv_code rc = fetch(job, d, err);
    if (rc == KV_OK || rc == KV_E_CANCELLED) return rc;
    return kv_wrap(err, rc, "failed to pull: failed to get %s layer", kind_of(job, d));
}

/* --- one kit --- */

static kv_code fetch_manifest(kv_remote *remote, const kv_reference *ref, kv_manifest **out,
                              kv_error *err)
{
    kv_auto_str full = kv_reference_full(ref);
    kv_auto_str last = kv_reference_last(ref);
    if (!full || !last) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_auto(kv_manifest) m = NULL;
    kv_code rc = kv_remote_manifest(remote, kv_sv_of(last), &m, err);
    if (rc != KV_OK) return kv_wrap(err, rc, "failed to fetch %s", full);
    if (m->kind != KV_MANIFEST_IMAGE)
        return kv_fail(err, KV_E_INVALID, "reference %s is not an image manifest", full);
    if (kv_manifest_kit_kind(m) == KV_KIT_NOT)
        return kv_fail(err, KV_E_INVALID, "reference %s does not refer to a model", full);
    *out = KV_TAKE(m);
    return KV_OK;
}

/* Once for all kits of the chain, when the first one was found: until all are listed. */
static kv_code hold_store(kv_store *store, int *hold, kv_error *err)
{
    if (*hold >= 0) return KV_OK;
    KV_TRY(kv_store_prepare(store, err));
    return kv_store_hold(store, hold, err);
}

static kv_code pull_kit(kv_store *store, pulled *kit, const kv_remote_options *options, int *hold,
                        kv_manifest **out, kv_error *err)
{
    kv_auto(kv_remote) remote = NULL;
    KV_TRY(kv_remote_open(&kit->ref, options, &remote, err));
    kv_auto(kv_manifest) m = NULL;
    KV_TRY(fetch_manifest(remote, &kit->ref, &m, err));
    KV_TRY(hold_store(store, hold, err));
    kv_auto_blob_list blobs = {0};
    KV_TRY(kv_blob_list_of(m, &blobs, err));
    pull_job job = {
        .store = store,
        .remote = remote,
        .report = options->report,
        .manifest = m,
        .blobs = blobs,
        .aside = has_idle_processors(&blobs),
    };
    KV_TRY(kv_blob_list_each(&blobs, options->concurrency, pull_blob, &job, err));
    KV_TRY(kv_store_put(store, m->bytes, KV_STORE_MODE_PULLED, &kit->digest, NULL, err));
    kv_crash_point("pull.after-blobs");
    *out = KV_TAKE(m);
    return KV_OK;
}

/* --- the chain of parents --- */

/* The Kitfile as JSON: the config, or an annotation of a ModelPack; empty when there is none. */
static kv_code kitfile_json(kv_store *store, const kv_manifest *m, char **out, size_t *out_n,
                            kv_error *err)
{
    *out = NULL;
    *out_n = 0;
    if (kv_manifest_kit_kind(m) == KV_KIT_MODELKIT)
        return kv_store_read(store, &m->config.digest, KV_KITFILE_BYTES_MAX, out, out_n, err);
    kv_sv text = kv_annotation_get(&m->annotations, KV_ANN_KITFILE);
    if (!text.n) return KV_OK;
    *out = kv_sv_dup(text);
    *out_n = text.n;
    return *out ? KV_OK : kv_fail(err, KV_E_NOMEM, "out of memory");
}

static kv_code join(const chain *c, size_t from, const char *last, kv_code code, const char *what,
                    kv_error *err)
{
    kv_auto_buf text = KV_BUF(KV_ERROR_TEXT_MAX);
    for (size_t i = from; i < c->n; i++) kv_buf_addf(&text, "%s=>", c->kits[i].name);
    kv_buf_adds(&text, last);
    return kv_fail(err, code, "%s: [%s]", what, text.p ? text.p : "");
}

/* Appends ref, whose ownership moves. */
static kv_code chain_add(chain *c, kv_reference *ref, kv_error *err)
{
    kv_auto_str name = kv_reference_display(ref);
    if (!name) return kv_fail(err, KV_E_NOMEM, "out of memory");
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->kits[i].name, name) == 0)
            return join(c, i, name, KV_E_INVALID, "found cycle in modelkit references", err);
    if (c->n == CHAIN_MAX)
        return join(c, 0, name, KV_E_INVALID, "reached maximum number of model references", err);
    c->kits[c->n++] = (pulled){.ref = *ref, .name = KV_TAKE(name)};
    *ref = (kv_reference){0};
    return KV_OK;
}

/* Appends the kit that m's Kitfile builds on, if it names one that is not here for good. */
static kv_code add_parent(kv_store *store, chain *c, const kv_manifest *m, const kv_report *report,
                          kv_error *err)
{
    kv_auto_str json = NULL;
    size_t n;
    KV_TRY(kitfile_json(store, m, &json, &n, err));
    if (!n) return KV_OK;
    kv_auto(kv_kitfile) kf = NULL;
    KV_TRY(kv_kitfile_parse_json((kv_sv){json, n}, &kf, err));
    if (!kf->model || !kv_kitfile_is_reference(kf->model->entry.path)) return KV_OK;
    kv_sv path = kf->model->entry.path;
    kv_say(report, KV_INFO, "Pulling referenced image %.*s", KV_ARG(path));
    kv_auto_reference parent = {0};
    KV_TRY(kv_reference_parse(path, &parent, err));
    if (kv_reference_is_remote(&parent)) return chain_add(c, &parent, err);
    /* A name without registry can only be one of this machine. */
    kv_digest digest;
    return kv_store_resolve(store, &parent, &digest, err);
}

static kv_code list_all(kv_store *store, const chain *c, kv_error *err)
{
    for (size_t i = c->n; i-- > 0;) {
        kv_auto(kv_manifest) m = NULL;
        KV_TRY(kv_store_manifest(store, &c->kits[i].digest, &m, err));
        KV_TRY(kv_store_add(store, &c->kits[i].ref, m, err));
        kv_crash_point("pull.after-list");
    }
    return KV_OK;
}

static kv_code copy_reference(const kv_reference *ref, kv_reference *out, kv_error *err)
{
    kv_auto_str text = kv_reference_full(ref);
    if (!text) return kv_fail(err, KV_E_NOMEM, "out of memory");
    return kv_reference_parse(kv_sv_of(text), out, err);
}

kv_code kv_pull(kv_store *store, const kv_reference *ref, const kv_remote_options *options,
                kv_digest *out_digest, kv_error *err)
{
    static const kv_remote_options DEFAULTS = KV_REMOTE_OPTIONS_INIT;
    if (!options) options = &DEFAULTS;
    auto_chain c = {0};
    kv_auto_fd hold = -1;
    kv_auto_reference first = {0};
    KV_TRY(copy_reference(ref, &first, err));
    KV_TRY(kv_store_recover(store, options->report, err));
    KV_TRY(chain_add(&c, &first, err));
    for (size_t i = 0; i < c.n; i++) {
        kv_auto(kv_manifest) m = NULL;
        kv_code rc = pull_kit(store, &c.kits[i], options, &hold, &m, err);
        bool parents = i > 0 || rc == KV_OK;
        if (rc == KV_OK) rc = add_parent(store, &c, m, options->report, err);
        if (rc == KV_OK) continue;
        return parents ? kv_wrap(err, rc, "failed to pull referenced modelkits") : rc;
    }
    KV_TRY(list_all(store, &c, err));
    if (out_digest) *out_digest = c.kits[0].digest;
    return KV_OK;
}

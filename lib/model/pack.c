/*
 * Packing: workers turn layers into temporary blobs, at most n_threads at once; the calling thread
 * takes the finished ones in the order of the Kitfile, gives them their names and says so. So lines,
 * manifest and blobs come out as from a tool that does one layer after the other.
 *
 * The workers are threads of this call and not of a pool: the caller has to wait for them one by
 * one, while kv_pool_each returns only when all are done.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crash.h"
#include "base/file.h"
#include "codec/hasher.h"
#include "kitfile/ignore.h"
#include "kitvault/kitfile.h"
#include "kitvault/model.h"
#include "model/describe.h"
#include "model/layer.h"
#include "tar/zip_find.h"

kv_code kv_compression_parse(kv_sv text, kv_compression *out, kv_error *err)
{
    static const struct {
        const char *name;
        kv_compression value;
    } NAMES[] = {{"none", KV_COMPRESS_NONE},
                 {"gzip", KV_COMPRESS_GZIP},
                 {"gzip-fastest", KV_COMPRESS_GZIP_FASTEST},
                 {"zstd", KV_COMPRESS_ZSTD}};
    for (size_t i = 0; i < KV_COUNT(NAMES); i++)
        if (kv_sv_is(text, NAMES[i].name)) {
            *out = NAMES[i].value;
            return KV_OK;
        }
    return kv_fail(
        err, KV_E_ARG,
        "invalid compression type: must be one of 'none', 'gzip', 'gzip-fastest', or 'zstd'");
}

/* One layer of the Kitfile on its way. */
typedef struct layer {
    kv_layer_kind kind;
    kv_kitfile_entry *entry;
    kv_buf path;        /* cleaned */
    uint64_t file_size; /* when the path is a file */
    bool is_file, ignored;
    kv_layer_job job;
    bool done; /* guarded by pack.lock, as the two below */
    kv_code code;
    kv_error *err; /* malloc'ed when code is set: an error is some KiB */
} layer;

typedef struct pack {
    kv_store *store;
    const kv_pack_options *opts;
    const kv_reference *tag; /* never NULL */
    kv_kitfile *kitfile, *parents;
    kv_ignore *ignore;
    int context_fd;
    layer *layers;
    size_t n_layers, cap_layers;
    bool any_new; /* a blob was stored that was not there */

    pthread_mutex_t lock;
    pthread_cond_t changed; /* a layer is done, or may begin */
    size_t next;            /* the first layer nobody has begun */
    size_t taken;           /* layers the calling thread is through with */
    unsigned n_threads;
    atomic_size_t failed; /* first layer that failed: those behind it are in vain */
} pack;

static bool writes_store(const pack *p)
{
    return !p->opts->dry_run && !p->opts->sink;
}

static const char *kind_of(const pack *p, const layer *l)
{
    return kv_describe_kind(p->opts, l->kind);
}

/* --- the Kitfile --- */

static kv_code store_or_remote(void *ctx, const kv_reference *ref, kv_kitfile **out, kv_error *err)
{
    const pack *p = ctx;
    kv_kit_source local = kv_store_source(p->store);
    const kv_kit_source *src = &local;
    kv_auto(kv_manifest) m = NULL;
    kv_auto_str shown = kv_reference_display(ref);
    kv_code rc = local.manifest(local.ctx, ref, &m, err);
    if (rc == KV_E_NOTFOUND && p->opts->remote && kv_reference_is_remote(ref)) {
        src = p->opts->remote;
        rc = src->manifest(src->ctx, ref, &m, err);
    }
    kv_auto_str text = NULL;
    size_t n;
    if (rc == KV_OK) rc = kv_kit_kitfile_json(src, ref, m, &text, &n, err);
    if (rc == KV_OK) rc = kv_kitfile_parse_json((kv_sv){text, n}, out, err);
    if (rc == KV_OK) return KV_OK;
    return kv_wrap(err, rc, "failed to fetch Kitfile for %s", shown ? shown : "?");
}

static kv_code load_kitfile(pack *p, kv_error *err)
{
    const kv_pack_options *o = p->opts;
    if (o->kitfile_text.p) return kv_kitfile_parse_yaml(o->kitfile_text, &p->kitfile, err);
    if (o->kitfile) return kv_kitfile_load(o->kitfile, &p->kitfile, err);
    kv_auto_str path = NULL;
    KV_TRY(kv_kitfile_find(o->context ? o->context : ".", &path, err));
    return kv_kitfile_load(path, &p->kitfile, err);
}

static kv_code read_ignore_text(const pack *p, kv_buf *out, kv_error *err)
{
    kv_auto_fd fd = openat(p->context_fd, KV_IGNORE_NAME, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return KV_OK;
    if (fd < 0) return kv_fail_sys(err, "cannot open '%s'", KV_IGNORE_NAME);
    return kv_fd_read_all(fd, KV_IGNORE_NAME, out, err);
}

static kv_code understand(pack *p, kv_error *err)
{
    KV_TRY(load_kitfile(p, err));
    KV_TRY(kv_kitfile_validate(p->kitfile, p->opts->report, err));
    kv_auto_str own = kv_reference_display(p->tag);
    if (!own) return kv_fail(err, KV_E_NOMEM, "out of memory");
    const kv_kitfile_fetcher fetcher = {.fetch = store_or_remote, .ctx = p};
    KV_TRY(kv_kitfile_resolve(p->kitfile, kv_sv_of(own), &fetcher, &p->parents, err));
    kv_auto_buf text = KV_BUF(KV_IGNORE_BYTES_MAX);
    KV_TRY(read_ignore_text(p, &text, err));
    return kv_ignore_new(kv_buf_sv(&text), p->kitfile, p->parents, &p->ignore, err);
}

/* --- the list of layers --- */

static kv_code list_layers(pack *p, kv_error *err)
{
    kv_kitfile_iter it = kv_kitfile_begin(p->kitfile);
    while (kv_kitfile_next(&it)) {
        if (!it.has_layer) continue;
        if (!KV_GROW(p->layers, p->n_layers, &p->cap_layers))
            return kv_fail(err, KV_E_NOMEM, "out of memory");
        layer *l = &p->layers[p->n_layers++];
        *l = (layer){.kind = it.kind, .entry = it.entry, .path = KV_BUF(64 * 1024)};
        l->job.temp = KV_STORE_TEMP_NONE;
        kv_path_clean(it.entry->path, &l->path);
        KV_TRY(kv_buf_check(&l->path, err));
    }
    return KV_OK;
}

/* A bundle of an MCP server is the file its author made, so that its digest is known to others. */
static bool is_raw(const pack *p, kv_layer_kind kind)
{
    return p->opts->raw || kind == KV_LAYER_MCPB;
}

/* Called by the worker that has the layer, when its turn comes: kit finds out as late. */
static kv_code look_at_path(const pack *p, layer *l, kv_error *err)
{
    struct stat st;
    if (fstatat(p->context_fd, l->path.p, &st, 0) < 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return kv_fail(err, KV_E_INVALID, "path %.*s does not exist", KV_ARG(l->entry->path));
        return kv_fail_sys(err, "path %.*s", KV_ARG(l->entry->path));
    }
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return kv_fail(err, KV_E_INVALID, "path %.*s is neither a file nor a directory",
                       KV_ARG(l->entry->path));
    l->is_file = S_ISREG(st.st_mode);
    if (is_raw(p, l->kind) && !l->is_file)
        return kv_fail(err, KV_E_INVALID, "path %.*s is a directory, and a raw layer is one file",
                       KV_ARG(l->entry->path));
    l->file_size = l->is_file ? (uint64_t)st.st_size : 0;
    l->ignored = kv_ignore_match(p->ignore, kv_buf_sv(&l->path), kv_buf_sv(&l->path));
    return KV_OK;
}

static kv_compression compression_of(const pack *p, kv_layer_kind kind)
{
    return is_raw(p, kind) ? KV_COMPRESS_NONE : p->opts->compression;
}

static kv_layer_form form_of(const pack *p, kv_layer_kind kind)
{
    if (is_raw(p, kind)) return KV_FORM_RAW;
    kv_compression c = p->opts->compression;
    if (c == KV_COMPRESS_NONE) return KV_FORM_TAR;
    return c == KV_COMPRESS_ZSTD ? KV_FORM_TAR_ZSTD : KV_FORM_TAR_GZIP;
}

static kv_described describe(const pack *p, const layer *l)
{
    return (kv_described){.type = {.kind = l->kind, .form = form_of(p, l->kind)},
                          .path = kv_buf_sv(&l->path),
                          .digest = l->job.digest,
                          .diff_id = l->job.diff_id,
                          .size = l->job.size,
                          .mode = l->job.mode,
                          .content_size = l->job.n_content};
}

/* --- workers --- */

static kv_code read_bundle(void *ctx, uint64_t offset, void *dst, size_t n, kv_error *err)
{
    return kv_pread_all(*(const int *)ctx, "bundle", dst, n, offset, err);
}

/* Its entries are not looked at any closer: nothing here opens or unpacks them. */
static kv_code check_bundle(const pack *p, const layer *l, kv_error *err)
{
    bool found;
    if (p->opts->model_pack)
        return kv_fail(err, KV_E_UNSUPPORTED, "mcpServers are not supported for ModelPack");
    kv_auto_fd fd = openat(p->context_fd, l->path.p, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return kv_fail_sys(err, "cannot open '%s'", l->path.p);
    kv_code rc = kv_zip_find(read_bundle, &fd, l->file_size, KV_SV("manifest.json"), &found, err);
    if (rc == KV_OK && !found) rc = kv_fail(err, KV_E_INVALID, "no manifest.json in it");
    return rc == KV_OK ? rc : kv_wrap(err, rc, "path %.*s", KV_ARG(l->entry->path));
}

static kv_code pack_layer(pack *p, layer *l, kv_error *err)
{
    KV_TRY(kv_check_cancel(p->opts->report, err));
    KV_TRY(look_at_path(p, l, err));
    if (l->kind == KV_LAYER_MCPB) KV_TRY(check_bundle(p, l, err));
    l->job.store = p->store;
    l->job.walk.context_fd = p->context_fd;
    l->job.walk.layer = kv_buf_sv(&l->path);
    l->job.walk.ignore = p->ignore;
    l->job.compression = compression_of(p, l->kind);
    l->job.raw = is_raw(p, l->kind);
    l->job.normalize_modes = p->opts->normalize_modes;
    l->job.dry = p->opts->dry_run;
    l->job.fresh = p->opts->no_cache || p->opts->sink;
    l->job.sink = p->opts->sink;
    l->job.report = p->opts->report;
    l->job.index = (size_t)(l - p->layers);
    l->job.failed = &p->failed;
    return kv_layer_pack(&l->job, err);
}

static void finish_layer(pack *p, layer *l, kv_code code, kv_error *err)
{
    pthread_mutex_lock(&p->lock);
    l->code = code;
    l->err = err;
    l->done = true;
    size_t i = (size_t)(l - p->layers);
    if (code != KV_OK && i < atomic_load(&p->failed)) atomic_store(&p->failed, i);
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

/* The next layer, or NULL when there is none. Finished blobs that wait for their turn take room on
 * the disk only, but one that failed early must not be followed by a hundred that are in vain. */
static layer *begin_layer(pack *p)
{
    layer *l = NULL;
    pthread_mutex_lock(&p->lock);
    while (p->next < p->n_layers && p->next < atomic_load(&p->failed) &&
           p->next >= p->taken + 2u * p->n_threads)
        pthread_cond_wait(&p->changed, &p->lock);
    if (p->next < p->n_layers && p->next < atomic_load(&p->failed)) l = &p->layers[p->next++];
    pthread_mutex_unlock(&p->lock);
    return l;
}

static void *worker(void *arg)
{
    pack *p = arg;
    for (layer *l; (l = begin_layer(p));) {
        kv_error *err = calloc(1, sizeof(*err)); /* NULL is a caller that wants no text */
        kv_code rc = pack_layer(p, l, err);
        if (rc == KV_OK) {
            free(err);
            err = NULL;
        }
        finish_layer(p, l, rc, err);
    }
    return NULL;
}

/* Every layer up to the first that fails is begun and ends. */
static void wait_for(pack *p, const layer *l)
{
    pthread_mutex_lock(&p->lock);
    while (!l->done) pthread_cond_wait(&p->changed, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

/* --- what a finished layer leads to; the calling thread --- */

static void say_remarks(const pack *p, const layer *l)
{
    kv_sv rest = kv_buf_sv(&l->job.remarks), line;
    while (rest.n) {
        rest = kv_sv_cut(rest, '\n', &line, NULL);
        kv_say(p->opts->report, KV_WARN, "%.*s", KV_ARG(line));
    }
    if (l->ignored)
        kv_say(p->opts->report, KV_ERROR, "Warning: %s layer path %.*s ignored by kitignore",
               kind_of(p, l), KV_ARG(l->entry->path));
    if ((l->is_file ? l->file_size : l->job.n_content) == 0)
        kv_say(p->opts->report, KV_WARN, "No files detected in %s layer with path %.*s",
               kind_of(p, l), KV_ARG(l->entry->path));
}

static kv_code adopt_blob(pack *p, layer *l, bool *out_existed, kv_error *err)
{
    kv_crash_point("pack.before-blob");
    *out_existed = l->job.known;
    if (!l->job.known)
        KV_TRY(kv_store_adopt(p->store, &l->job.temp, &l->job.digest, l->job.size,
                              KV_STORE_MODE_PULLED, out_existed, err));
    kv_crash_point("pack.after-blob");
    if (!*out_existed) p->any_new = true;
    kv_say(p->opts->report, KV_INFO, "%s %s layer: %s", *out_existed ? "Already saved" : "Saved",
           kind_of(p, l), kv_digest_str(&l->job.digest).s);
    return KV_OK;
}

static void tell_packed(const pack *p, const kv_packed *what)
{
    if (p->opts->packed) p->opts->packed(p->opts->packed_ctx, what);
}

static kv_code take_layer(pack *p, layer *l, kv_error *err)
{
    wait_for(p, l);
    if (l->code != KV_OK) {
        if (err && l->err) *err = *l->err;
        if (l->code == KV_E_CANCELLED) return l->code;
        return kv_wrap(err, l->code, "error processing %s", kind_of(p, l));
    }
    say_remarks(p, l);
    bool existed = l->job.existed;
    if (p->opts->sink)
        kv_say(p->opts->report, KV_INFO,
               existed ? "Already there: %s layer %s" : "Pushed %s layer: %s", kind_of(p, l),
               kv_digest_str(&l->job.digest).s);
    else if (p->opts->dry_run)
        existed = kv_store_has(p->store, &l->job.digest, l->job.size);
    else
        KV_TRY(adopt_blob(p, l, &existed, err));
    l->entry->digest = l->job.digest;
    l->entry->diff_id = l->job.diff_id;
    kv_described d = describe(p, l);
    tell_packed(p, &(kv_packed){.kind = kind_of(p, l),
                                .path = d.path,
                                .media_type = kv_describe_type(p->opts, d.type),
                                .digest = d.digest,
                                .diff_id = d.diff_id,
                                .size = d.size,
                                .existed = existed});
    return KV_OK;
}

static kv_code take_layers(pack *p, kv_error *err)
{
    for (size_t i = 0; i < p->n_layers; i++) {
        KV_TRY(take_layer(p, &p->layers[i], err));
        pthread_mutex_lock(&p->lock);
        p->taken++;
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&p->lock);
    }
    return KV_OK;
}

enum { THREADS_MAX = 4 }; /* each takes up to 10 MiB, and the disk is the limit before that */

static kv_code pack_layers(pack *p, kv_error *err)
{
    long n_cpu = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned want = p->opts->n_threads ? p->opts->n_threads : n_cpu > 0 ? (unsigned)n_cpu : 1;
    if (want > p->n_layers) want = (unsigned)p->n_layers;
    if (want > THREADS_MAX) want = THREADS_MAX;
    p->n_threads = want;
    pthread_t threads[THREADS_MAX];
    unsigned n = 0;
    while (n < want && pthread_create(&threads[n], NULL, worker, p) == 0) n++;
    if (n == 0 && want) return kv_fail(err, KV_E_NOMEM, "cannot start a thread");

    kv_code rc = take_layers(p, err);
    pthread_mutex_lock(&p->lock);
    if (rc != KV_OK) atomic_store(&p->failed, 0);
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < n; i++) pthread_join(threads[i], NULL);
    return rc;
}

/* --- config and manifest --- */

static kv_code write_sink(const kv_kit_sink *sink, kv_sv text, const kv_digest *d,
                          bool *out_existed, kv_error *err)
{
    void *blob = NULL;
    KV_TRY(sink->open(sink->ctx, &blob, err));
    kv_code rc = sink->write(blob, text.p, text.n, err);
    if (rc == KV_OK) rc = sink->commit(blob, d, out_existed, err);
    sink->close(blob);
    return rc;
}

/* A manifest is no blob of a sink: it comes last, and makes the rest known. */
static kv_code hand_on(const kv_kit_sink *sink, kv_sv text, const char *kind, kv_descriptor *d,
                       bool *out_existed, kv_error *err)
{
    *out_existed = false;
    d->digest = kv_digest_of(KV_SHA256, text);
    if (strcmp(kind, "manifest") == 0) return sink->manifest(sink->ctx, text, err);
    return write_sink(sink, text, &d->digest, out_existed, err);
}

/* Stores a document, or only finds its digest. */
static kv_code keep(pack *p, kv_sv text, const char *kind, kv_descriptor *d, bool *out_existed,
                    kv_error *err)
{
    d->size = text.n;
    if (p->opts->sink) {
        KV_TRY(hand_on(p->opts->sink, text, kind, d, out_existed, err));
    } else if (p->opts->dry_run) {
        d->digest = kv_digest_of(KV_SHA256, text);
        *out_existed = kv_store_has(p->store, &d->digest, d->size);
    } else {
        KV_TRY(kv_store_put(p->store, text, KV_STORE_MODE_PACKED, &d->digest, out_existed, err));
    }
    tell_packed(p, &(kv_packed){.kind = kind,
                                .media_type = d->media_type,
                                .digest = d->digest,
                                .size = d->size,
                                .existed = *out_existed});
    return KV_OK;
}

static kv_code save_config(pack *p, const kv_described *layers, kv_descriptor *out, kv_error *err)
{
    kv_auto_str text = NULL;
    size_t n;
    bool existed;
    KV_TRY(kv_describe_config(p->opts, p->kitfile, layers, p->n_layers, &text, &n, err));
    *out = (kv_descriptor){.media_type = p->opts->model_pack ? KV_SV(KV_MT_MODELPACK_CONFIG)
                                                             : KV_SV(KV_MT_KIT_CONFIG)};
    KV_TRY(keep(p, (kv_sv){text, n}, "config", out, &existed, err));
    if (!writes_store(p)) return KV_OK;
    kv_say(p->opts->report, KV_INFO,
           existed ? "Configuration already exists in storage: %s" : "Saved configuration: %s",
           kv_digest_str(&out->digest).s);
    return KV_OK;
}

static kv_code list_manifest(pack *p, kv_sv text, const kv_digest *d, bool existed, kv_error *err)
{
    kv_say(p->opts->report, KV_INFO,
           existed ? "Manifest already exists in storage: %s" : "Saved manifest to storage: %s",
           kv_digest_str(d).s);
    kv_crash_point("pack.after-manifest");
    if (p->any_new) KV_TRY(kv_store_sync_blobs(p->store, KV_SHA256, err));
    kv_auto(kv_manifest) m = NULL;
    KV_TRY(kv_manifest_parse(text, KV_SV(""), &m, err));
    KV_TRY(kv_store_add(p->store, p->tag, m, err));
    kv_say(p->opts->report, KV_INFO, "Model saved: %s", kv_digest_str(d).s);
    return KV_OK;
}

static kv_code save_manifest(pack *p, const kv_descriptor *config, const kv_described *layers,
                             kv_digest *out, kv_error *err)
{
    kv_auto_str text = NULL;
    size_t n;
    bool existed;
    KV_TRY(kv_describe_manifest(p->opts, p->kitfile, config, layers, p->n_layers, &text, &n, err));
    kv_descriptor d = {.media_type = KV_SV(KV_MT_IMAGE_MANIFEST)};
    KV_TRY(keep(p, (kv_sv){text, n}, "manifest", &d, &existed, err));
    *out = d.digest;
    return !writes_store(p) ? KV_OK : list_manifest(p, (kv_sv){text, n}, out, existed, err);
}

static kv_code save_documents(pack *p, kv_digest *out, kv_error *err)
{
    kv_described *layers = calloc(p->n_layers ? p->n_layers : 1, sizeof(*layers));
    if (!layers) return kv_fail(err, KV_E_NOMEM, "out of memory");
    for (size_t i = 0; i < p->n_layers; i++) layers[i] = describe(p, &p->layers[i]);
    kv_descriptor config;
    kv_code rc = save_config(p, layers, &config, err);
    if (rc == KV_OK) rc = save_manifest(p, &config, layers, out, err);
    free(layers);
    return rc;
}

/* --- the whole --- */

static kv_code open_context(pack *p, kv_error *err)
{
    const char *dir = p->opts->context ? p->opts->context : ".";
    p->context_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (p->context_fd < 0) return kv_fail_sys(err, "failed to use context path %s", dir);
    return KV_OK;
}

/* Before anything else, as kit does: a directory without Kitfile is a wrong argument. */
static kv_code check_arguments(const pack *p, kv_error *err)
{
    if (p->opts->sink && p->opts->dry_run)
        return kv_fail(err, KV_E_ARG, "invalid arguments: --push and --dry-run exclude each other");
    if (p->opts->raw && p->opts->compression != KV_COMPRESS_NONE)
        return kv_fail(err, KV_E_UNSUPPORTED,
                       "invalid arguments: compression for raw layers is not supported%s",
                       p->opts->model_pack ? " for ModelPack" : "");
    if (p->opts->kitfile || p->opts->kitfile_text.p) return KV_OK;
    kv_auto_str path = NULL;
    kv_code rc = kv_kitfile_find(p->opts->context ? p->opts->context : ".", &path, err);
    return rc == KV_OK ? rc : kv_wrap(err, KV_E_ARG, "invalid arguments");
}

static kv_code make_cache(pack *p, kv_error *err)
{
    kv_auto_buf path = KV_BUF(KV_STORE_PATH_MAX);
    KV_TRY(kv_store_recover(p->store, p->opts->report, err));
    KV_TRY(kv_store_prepare(p->store, err));
    KV_TRY(kv_store_path(p->store, &path, err, "cache/pack"));
    return kv_mkdirs(path.p, 0700, err);
}

static kv_code run(pack *p, kv_digest *out, kv_error *err)
{
    KV_TRY(understand(p, err));
    KV_TRY(list_layers(p, err));
    kv_auto_fd hold = -1;
    if (writes_store(p)) {
        KV_TRY(make_cache(p, err));
        KV_TRY(kv_store_hold(p->store, &hold, err));
    }
    KV_TRY(pack_layers(p, err));
    return save_documents(p, out, err);
}

static void pack_clear(pack *p)
{
    for (size_t i = 0; i < p->n_layers; i++) {
        layer *l = &p->layers[i];
        kv_store_temp_drop(&l->job.temp);
        kv_buf_clear(&l->job.remarks);
        kv_buf_clear(&l->path);
        free(l->err);
    }
    free(p->layers);
    kv_ignore_free(p->ignore);
    kv_kitfile_free(p->parents);
    kv_kitfile_free(p->kitfile);
    kv_close_fd(&p->context_fd);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
}

kv_code kv_pack(kv_store *s, const kv_pack_options *opts, kv_digest *out, kv_error *err)
{
    static const kv_reference UNTAGGED = {.registry = KV_SV_INIT(KV_REGISTRY_LOCAL),
                                          .repository = KV_SV_INIT(KV_REPOSITORY_NONE)};
    KV_CLEANUP(pack_clear)
    pack p = {.store = s, .opts = opts, .tag = opts->tag ? opts->tag : &UNTAGGED, .context_fd = -1};
    atomic_init(&p.failed, SIZE_MAX);
    pthread_mutex_init(&p.lock, NULL);
    pthread_cond_init(&p.changed, NULL);
    KV_TRY(check_arguments(&p, err));
    KV_TRY(open_context(&p, err));
    kv_digest d;
    kv_code rc = run(&p, &d, err);
    if (rc != KV_OK) return kv_wrap(err, rc, "failed to pack model kit");
    if (out) *out = d;
    return KV_OK;
}

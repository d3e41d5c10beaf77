#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crash.h"
#include "base/file.h"
#include "blob/aside.h"
#include "codec/hasher.h"
#include "kitvault/kitfile.h"
#include "kitvault/model.h"
#include "model/target.h"
#include "tar/tar_read.h"
#include "json/json.h"

/* Annotations of other tools; source: kit-compat 3.1, 3.3. */
#define ANN_FILEPATH_OLD "org.cnai.model.filepath"
#define ANN_METADATA "org.cncf.model.file.metadata+json"
#define ANN_METADATA_OLD "org.cnai.model.file.metadata+json"

#define KITFILE_NAME "Kitfile"

enum {
    DRAIN_BYTES = 256 * 1024,
    ASIDE_BYTES = 4 << 20,
    RAW_MODE = 0644,
    CHAIN_MAX = KV_KITFILE_PARENTS_MAX
};

/* One call of kv_unpack. */
typedef struct unpack {
    kv_store *store;
    const kv_unpack_options *opts;
    kv_buf dir; /* absolute */
    kv_target *target;
    kv_sv chain[CHAIN_MAX + 1]; /* shown references from the first ModelKit to the current one */
    size_t n_chain;
} unpack;

/* --- where a ModelKit is --- */

static kv_code fetch_manifest(const unpack *u, const kv_reference *ref, kv_kit_source *src,
                              kv_manifest **out, kv_error *err)
{
    kv_auto_str shown = kv_reference_display(ref);
    if (!shown) return kv_fail(err, KV_E_NOMEM, "out of memory");
    *src = kv_store_source(u->store);
    kv_code rc = src->manifest(src->ctx, ref, out, err);
    if (rc != KV_E_NOTFOUND)
        return rc == KV_OK ? rc : kv_wrap(err, rc, "failed to find reference %s", shown);
    if (!kv_reference_is_remote(ref))
        return kv_fail(err, rc, "failed to find reference %s: not found", shown);
    if (u->opts->remote) {
        *src = *u->opts->remote;
        rc = src->manifest(src->ctx, ref, out, err);
    }
    if (rc == KV_E_NOTFOUND)
        return kv_fail(err, rc,
                       "failed to find reference %s: reference %s is not present in local storage "
                       "and could not be found in remote",
                       shown, shown);
    return rc == KV_OK ? rc : kv_wrap(err, rc, "failed to find reference %s", shown);
}

/* --- the bytes of a layer: counted, hashed, cancelled --- */

typedef struct feed {
    const unpack *u;
    const kv_descriptor *d;
    kv_kit_stream stream;
    kv_hasher hasher;
    kv_aside *aside; /* has the running digest; NULL: hasher has it */
    uint64_t n, id;
} feed;

/* A layer worth a thread is hashed beside the writing of its files. */
static void feed_begin(feed *f)
{
    kv_hasher_init(&f->hasher, f->d->digest.alg);
    if (f->d->size >= ASIDE_BYTES) f->aside = kv_aside_new(&f->hasher);
}

static void join_aside(feed *f)
{
    if (!f->aside) return;
    f->hasher = kv_aside_end(f->aside);
    f->aside = NULL;
}

static void feed_close(feed *f)
{
    join_aside(f);
    if (f->stream.close) f->stream.close(f->stream.ctx);
}

static kv_code feed_pull(void *ctx, void *dst, size_t n, size_t *out_n, kv_error *err)
{
    feed *f = ctx;
    KV_TRY(kv_check_cancel(f->u->opts->report, err));
    KV_TRY(f->stream.read(f->stream.ctx, dst, n, out_n, err));
    if (f->aside)
        kv_aside_add(f->aside, dst, *out_n);
    else
        kv_hasher_add(&f->hasher, dst, *out_n);
    f->n += *out_n;
    if (f->n > f->d->size)
        return kv_fail(err, KV_E_DIGEST, "layer %s is longer than its %llu bytes",
                       kv_digest_str(&f->d->digest).s, (unsigned long long)f->d->size);
    kv_progress(f->u->opts->report, f->id, KV_SV("Unpacking"), f->n, f->d->size);
    return KV_OK;
}

/* Reads what lies behind the end of the archive, and checks all of it. */
static kv_code feed_verify(feed *f, kv_error *err)
{
    kv_auto_str rest = malloc(DRAIN_BYTES);
    if (!rest) return kv_fail(err, KV_E_NOMEM, "out of memory");
    size_t n;
    do KV_TRY(feed_pull(f, rest, DRAIN_BYTES, &n, err));
    while (n);
    kv_digest got;
    join_aside(f);
    kv_hasher_end(&f->hasher, &got);
    if (f->n == f->d->size && kv_digest_eq(&got, &f->d->digest)) return KV_OK;
    return kv_fail(err, KV_E_DIGEST, "layer %s is damaged: its bytes have another digest",
                   kv_digest_str(&f->d->digest).s);
}

/* --- layers into files --- */

static kv_code copy_file(kv_tar_reader *tar, kv_target *t, uint64_t size, kv_error *err)
{
    for (;;) {
        const void *p;
        size_t n;
        uint64_t off;
        KV_TRY(kv_tar_read(tar, &p, &n, &off, err));
        if (n == 0) return kv_target_end_file(t, size, err);
        KV_TRY(kv_target_write(t, p, n, off, err));
    }
}

static kv_code stage_entry(kv_tar_reader *tar, kv_target *t, const kv_tar_entry *e, kv_error *err)
{
    if (e->kind == KV_TAR_DIR) return kv_target_dir(t, e->path, e->mode, err);
    if (e->kind != KV_TAR_FILE)
        return kv_fail(err, KV_E_UNSUPPORTED, "unrecognized type in archive: %u (entry '%.*s')",
                       e->type, KV_ARG(kv_sv_sub(e->path, 0, 1000)));
    bool skip;
    KV_TRY(kv_target_file(t, e->path, e->mode, &skip, err));
    return skip ? KV_OK : copy_file(tar, t, e->size, err);
}

static kv_code stage_tar(feed *f, kv_layer_form form, kv_target *t, kv_error *err)
{
    kv_tar_filter filter = form == KV_FORM_TAR_GZIP   ? KV_TAR_GZIP
                           : form == KV_FORM_TAR_ZSTD ? KV_TAR_ZSTD
                                                      : KV_TAR_PLAIN;
    kv_auto(kv_tar_reader) tar = NULL;
    KV_TRY(kv_tar_open(filter, feed_pull, f, &tar, err));
    for (;;) {
        kv_tar_entry e;
        bool more;
        KV_TRY(kv_tar_next(tar, &e, &more, err));
        if (!more) return KV_OK;
        KV_TRY(stage_entry(tar, t, &e, err));
    }
}

static kv_sv layer_path(const kv_descriptor *d)
{
    kv_sv path = kv_annotation_get(&d->annotations, KV_ANN_FILEPATH);
    return path.p ? path : kv_annotation_get(&d->annotations, ANN_FILEPATH_OLD);
}

/* The mode a raw layer's annotation gives, or the usual one. */
static unsigned raw_mode(const kv_descriptor *d)
{
    kv_sv text = kv_annotation_get(&d->annotations, ANN_METADATA);
    if (!text.p) text = kv_annotation_get(&d->annotations, ANN_METADATA_OLD);
    kv_auto(kv_jdoc) doc = NULL;
    uint64_t mode;
    if (!text.n || kv_jdoc_parse(text, &doc, NULL) != KV_OK) return RAW_MODE;
    const kv_json *v = kv_json_get(kv_jdoc_root(doc), "mode");
    return kv_json_u64(v, &mode) && (mode & 0777) ? (unsigned)(mode & 0777) : RAW_MODE;
}

static kv_code stage_raw(feed *f, kv_target *t, kv_error *err)
{
    bool skip;
    KV_TRY(kv_target_file(t, layer_path(f->d), raw_mode(f->d), &skip, err));
    if (skip) return KV_OK;
    kv_auto_str block = malloc(DRAIN_BYTES);
    if (!block) return kv_fail(err, KV_E_NOMEM, "out of memory");
    for (;;) {
        size_t n;
        uint64_t at = f->n;
        KV_TRY(feed_pull(f, block, DRAIN_BYTES, &n, err));
        if (n == 0) return kv_target_end_file(t, f->n, err);
        KV_TRY(kv_target_write(t, block, n, at, err));
    }
}

/* --- which layer is what --- */

/* One layer to unpack. */
typedef struct step {
    const kv_descriptor *layer;
    kv_layer_type type;
    kv_kitfile_entry entry; /* strings borrow from Kitfile or manifest */
    bool legacy; /* of kit before 0.5: the tar's paths begin at the parent of the entry's path */
} step;

typedef struct plan {
    step *steps;
    size_t n;
} plan;
static void plan_clear(plan *p)
{
    free(p->steps);
}

/* The n-th entry of a kind that has a layer, or NULL. */
static const kv_kitfile_entry *nth_entry(kv_kitfile *kf, kv_layer_kind kind, size_t n)
{
    kv_kitfile_iter it = kv_kitfile_begin(kf);
    while (kv_kitfile_next(&it))
        if (it.kind == kind && it.has_layer && n-- == 0) return it.entry;
    return NULL;
}

static kv_code match_entry(step *s, kv_kitfile *kf, size_t nth, bool kit, kv_error *err)
{
    const char *kind = kv_layer_kind_name(s->type.kind);
    const kv_kitfile_entry *e = nth_entry(kf, s->type.kind, nth);
    if (!e)
        return kv_fail(err, KV_E_INVALID, "config and manifest do not match: no %s for layer %s",
                       kind, kv_digest_str(&s->layer->digest).s);
    s->entry = *e;
    s->legacy = kit && !e->digest.alg;
    if (e->digest.alg && !kv_digest_eq(&e->digest, &s->layer->digest))
        return kv_fail(err, KV_E_INVALID, "digest in config and manifest do not match in %s", kind);
    return KV_OK;
}

/* Without a Kitfile a layer tells where it goes; the first of the weights is the model. */
static kv_code entry_of_layer(step *s, size_t nth, kv_error *err)
{
    s->entry = (kv_kitfile_entry){.path = layer_path(s->layer)};
    if (!s->entry.path.p)
        return kv_fail(err, KV_E_INVALID, "unknown file path for layer: no %s annotation",
                       KV_ANN_FILEPATH);
    if (s->type.kind == KV_LAYER_MODEL && nth > 0) s->type.kind = KV_LAYER_PART;
    return KV_OK;
}

static kv_code make_plan(const unpack *u, const kv_manifest *m, kv_kitfile *kf, plan *out,
                         kv_error *err)
{
    size_t seen[KV_LAYER_PROMPT + 1] = {0}; /* layers by kind */
    bool kit = kv_manifest_kit_kind(m) == KV_KIT_MODELKIT;
    out->steps = calloc(m->n_layers ? m->n_layers : 1, sizeof(step));
    if (!out->steps) return kv_fail(err, KV_E_NOMEM, "out of memory");
    for (size_t i = 0; i < m->n_layers; i++) {
        step s = {.layer = &m->layers[i], .type = kv_layer_type_of(&m->layers[i])};
        if (s.type.kind == KV_LAYER_UNKNOWN) {
            kv_say(u->opts->report, KV_WARN, "Layer %s is of unknown type %.*s and is not unpacked",
                   kv_digest_str(&s.layer->digest).s, KV_ARG(s.layer->media_type));
            continue;
        }
        size_t nth = seen[s.type.kind]++;
        KV_TRY(kf ? match_entry(&s, kf, nth, kit, err) : entry_of_layer(&s, nth, err));
        if (s.type.form == KV_FORM_RAW && !layer_path(s.layer).p)
            return kv_fail(err, KV_E_INVALID, "unknown file path for layer: no %s annotation",
                           KV_ANN_FILEPATH);
        out->steps[out->n++] = s;
    }
    return KV_OK;
}

static void say_step(const unpack *u, const step *s)
{
    static const struct {
        const char *what;
        bool has_name;
    } LINES[] = {
        [KV_LAYER_MODEL] = {"model", true}, [KV_LAYER_PART] = {"model part", true},
        [KV_LAYER_CODE] = {"code", false},  [KV_LAYER_DATASET] = {"dataset", true},
        [KV_LAYER_DOCS] = {"docs", false},  [KV_LAYER_PROMPT] = {"prompt", false},
    };
    const char *what = LINES[s->type.kind].what;
    if (LINES[s->type.kind].has_name)
        kv_say(u->opts->report, KV_INFO, "Unpacking %s %.*s to %.*s", what, KV_ARG(s->entry.name),
               KV_ARG(s->entry.path));
    else
        kv_say(u->opts->report, KV_INFO, "Unpacking %s to %.*s", what, KV_ARG(s->entry.path));
}

/* --- one layer --- */

static kv_code set_prefix(const unpack *u, const step *s, kv_error *err)
{
    if (!s->legacy) return kv_target_prefix(u->target, KV_SV(""), err);
    kv_auto_buf clean = KV_BUF(64 * 1024);
    kv_path_clean(s->entry.path, &clean);
    KV_TRY(kv_buf_check(&clean, err));
    size_t slash = kv_sv_rfind(kv_buf_sv(&clean), '/');
    kv_sv parent = slash == SIZE_MAX ? KV_SV("")
                                     : kv_sv_sub(kv_buf_sv(&clean), 0, slash ? slash : 1);
    return kv_target_prefix(u->target, parent, err);
}

static kv_code stage_layer(unpack *u, const kv_kit_source *src, const kv_reference *ref,
                           const step *s, uint64_t id, kv_error *err)
{
    KV_CLEANUP(feed_close) feed f = {.u = u, .d = s->layer, .id = id};
    feed_begin(&f);
    KV_TRY(set_prefix(u, s, err));
    KV_TRY(src->open(src->ctx, ref, s->layer, &f.stream, err));
    KV_TRY(s->type.form == KV_FORM_RAW ? stage_raw(&f, u->target, err)
                                       : stage_tar(&f, s->type.form, u->target, err));
    return feed_verify(&f, err);
}

static kv_code unpack_layer(unpack *u, const kv_kit_source *src, const kv_reference *ref,
                            const step *s, uint64_t id, kv_error *err)
{
    say_step(u, s);
    kv_code rc = stage_layer(u, src, ref, s, id, err);
    kv_crash_point("unpack.after-stage");
    if (rc == KV_OK)
        rc = kv_target_apply(u->target, err);
    else
        kv_target_discard(u->target);
    kv_crash_point("unpack.after-layer");
    return rc == KV_OK ? rc : kv_wrap(err, rc, "failed to unpack");
}

/* --- the Kitfile --- */

static kv_code same_kitfile(unpack *u, kv_sv text, bool *out_same, kv_error *err)
{
    kv_auto_fd fd = -1;
    KV_TRY(kv_target_open_file(u->target, KV_SV(KITFILE_NAME), &fd, err));
    kv_auto_buf old = KV_BUF(text.n + 1);
    kv_code rc = kv_fd_read_all(fd, KITFILE_NAME, &old, err);
    if (rc != KV_OK && rc != KV_E_LIMIT) return rc;
    if (rc == KV_E_LIMIT || old.n != text.n)
        return kv_fail(err, KV_E_EXISTS, "failed to unpack config: path %s/%s already exists",
                       u->dir.p, KITFILE_NAME);
    *out_same = kv_sv_eq(kv_buf_sv(&old), text);
    if (*out_same) return KV_OK;
    return kv_fail(err, KV_E_EXISTS,
                   "failed to unpack: Kitfile exists and does not match model's Kitfile");
}

static kv_code write_kitfile(unpack *u, kv_sv text, kv_error *err)
{
    kv_say(u->opts->report, KV_INFO, "Unpacking config to %s/%s", u->dir.p, KITFILE_NAME);
    bool skip = false;
    KV_TRY(kv_target_prefix(u->target, KV_SV(""), err));
    KV_TRY(kv_target_file(u->target, KV_SV(KITFILE_NAME), 0644, &skip, err));
    if (skip) return KV_OK;
    KV_TRY(kv_target_write(u->target, text.p, text.n, 0, err));
    KV_TRY(kv_target_end_file(u->target, text.n, err));
    return kv_target_apply(u->target, err);
}

static kv_code unpack_kitfile(unpack *u, const kv_kitfile *kf, kv_error *err)
{
    kv_auto_str text = NULL;
    size_t n;
    kv_found found;
    KV_TRY(kv_kitfile_format_yaml(kf, &text, &n, err));
    KV_TRY(kv_target_prefix(u->target, KV_SV(""), err));
    KV_TRY(kv_target_look(u->target, KV_SV(KITFILE_NAME), &found, err));
    if (found != KV_FOUND_NONE && found != KV_FOUND_FILE)
        return kv_fail(
            err, KV_E_EXISTS,
            "failed to unpack config: path %s/%s already exists and is not a regular file",
            u->dir.p, KITFILE_NAME);
    if (found == KV_FOUND_FILE && !u->opts->overwrite) {
        bool same = false;
        KV_TRY(same_kitfile(u, (kv_sv){text, n}, &same, err));
        kv_say(u->opts->report, KV_INFO, "Found existing Kitfile at %s/%s", u->dir.p, KITFILE_NAME);
        return KV_OK;
    }
    kv_code rc = write_kitfile(u, (kv_sv){text, n}, err);
    if (rc != KV_OK) kv_target_discard(u->target);
    return rc == KV_OK ? rc : kv_wrap(err, rc, "failed to unpack config");
}

/* *out stays NULL for an artifact that has none. */
static kv_code read_kitfile(const unpack *u, const kv_kit_source *src, const kv_reference *ref,
                            const kv_manifest *m, kv_kitfile **out, kv_error *err)
{
    kv_auto_str text = NULL;
    size_t n;
    kv_error why = {0};
    kv_code rc = kv_kit_kitfile_json(src, ref, m, &text, &n, &why);
    if (rc == KV_E_NOTFOUND && kv_manifest_kit_kind(m) == KV_KIT_MODELPACK) {
        kv_say(u->opts->report, KV_WARN, "Could not get Kitfile: %s", why.msg);
        kv_say(u->opts->report, KV_WARN, "Functionality may be impacted");
        return KV_OK;
    }
    if (rc != KV_OK) {
        if (err) *err = why;
        return rc;
    }
    return kv_kitfile_parse_json((kv_sv){text, n}, out, err);
}

/* --- a ModelKit and those it refers to --- */

static kv_code unpack_kit(unpack *u, const kv_reference *ref, const kv_filters *filters,
                          kv_error *err);

/* "[a=>b=>c]", from the i-th of the chain on. */
static void add_chain(kv_buf *out, const unpack *u, size_t i, kv_sv last)
{
    kv_buf_addc(out, '[');
    for (; i < u->n_chain; i++) kv_buf_addf(out, "%.*s=>", KV_ARG(u->chain[i]));
    kv_buf_addf(out, "%.*s]", KV_ARG(last));
}

static kv_code check_chain(const unpack *u, kv_sv next, kv_error *err)
{
    kv_auto_buf text = KV_BUF(64 * 1024);
    for (size_t i = 0; i < u->n_chain; i++) {
        if (!kv_sv_eq(u->chain[i], next)) continue;
        add_chain(&text, u, i, next);
        return kv_fail(err, KV_E_INVALID, "found cycle in modelkit references: %s",
                       text.p ? text.p : "");
    }
    if (u->n_chain <= CHAIN_MAX) return KV_OK;
    add_chain(&text, u, 0, next);
    return kv_fail(err, KV_E_INVALID, "reached maximum number of model references: %s",
                   text.p ? text.p : "");
}

static kv_code unpack_parent(unpack *u, kv_sv name, const kv_filters *filters, kv_error *err)
{
    kv_auto_filters wanted = {0};
    bool any;
    KV_TRY(kv_filters_for_parent(filters, &wanted, &any, err));
    if (!any) return KV_OK;
    KV_TRY(check_chain(u, name, err));
    kv_auto_reference ref = {0};
    KV_TRY(kv_reference_parse(name, &ref, err));
    kv_say(u->opts->report, KV_INFO, "Unpacking referenced modelkit %.*s", KV_ARG(name));
    u->chain[u->n_chain++] = name;
    kv_code rc = unpack_kit(u, &ref, &wanted, err);
    u->n_chain--;
    return rc;
}

static bool has_remote_dataset(const kv_kitfile *kf)
{
    for (size_t i = 0; i < kf->datasets.n; i++)
        if (kf->datasets.items[i].remote_path.n) return true;
    return false;
}

static kv_code unpack_layers(unpack *u, const kv_kit_source *src, const kv_reference *ref,
                             const kv_manifest *m, kv_kitfile *kf, const kv_filters *filters,
                             kv_error *err)
{
    KV_CLEANUP(plan_clear) plan p = {0};
    KV_TRY(make_plan(u, m, kf, &p, err));
    for (size_t i = 0; i < p.n; i++) {
        const step *s = &p.steps[i];
        if (!kv_filters_match(filters, s->type.kind, &s->entry)) continue;
        KV_TRY(unpack_layer(u, src, ref, s, i, err));
    }
    if (kf && has_remote_dataset(kf))
        kv_say(u->opts->report, KV_WARN,
               "ModelKit contains remote datasets, which are not unpacked");
    return KV_OK;
}

static kv_code unpack_kit(unpack *u, const kv_reference *ref, const kv_filters *filters,
                          kv_error *err)
{
    kv_kit_source src;
    kv_auto(kv_manifest) m = NULL;
    kv_auto(kv_kitfile) kf = NULL;
    KV_TRY(fetch_manifest(u, ref, &src, &m, err));
    kv_code rc = read_kitfile(u, &src, ref, m, &kf, err);
    if (rc != KV_OK) return kv_wrap(err, rc, "failed to read model");
    if (kf && kf->model && kv_kitfile_is_reference(kf->model->entry.path))
        KV_TRY(unpack_parent(u, kf->model->entry.path, filters, err));
    if (kf && kv_filters_match_kitfile(filters)) KV_TRY(unpack_kitfile(u, kf, err));
    return unpack_layers(u, &src, ref, m, kf, filters, err);
}

static kv_code parse_filters(const kv_unpack_options *opts, kv_filters *out, kv_error *err)
{
    for (size_t i = 0; i < opts->n_filters; i++) {
        kv_code rc = kv_filters_add(out, opts->filters[i], err);
        if (rc != KV_OK)
            return kv_wrap(err, rc, "invalid filter \"%.*s\"", KV_ARG(opts->filters[i]));
    }
    return KV_OK;
}

static kv_code run(unpack *u, const kv_reference *ref, kv_error *err)
{
    kv_auto_filters filters = {0};
    KV_TRY(kv_path_absolute(u->opts->dir ? u->opts->dir : ".", &u->dir, err));
    kv_say(u->opts->report, KV_INFO, "Unpacking to %s", u->dir.p);
    KV_TRY(parse_filters(u->opts, &filters, err));
    kv_target_options how = {.overwrite = u->opts->overwrite,
                             .ignore_existing = u->opts->ignore_existing};
    kv_code rc = kv_target_open(u->dir.p, &how, &u->target, err);
    if (rc != KV_OK) return kv_wrap(err, rc, "failed to unpack");
    kv_auto_str shown = kv_reference_display(ref);
    if (!shown) return kv_fail(err, KV_E_NOMEM, "out of memory");
    u->chain[u->n_chain++] = kv_sv_of(shown);
    KV_TRY(unpack_kit(u, ref, &filters, err));
    rc = kv_target_finish(u->target, err);
    return rc == KV_OK ? rc : kv_wrap(err, rc, "failed to unpack");
}

kv_code kv_unpack(kv_store *s, const kv_reference *ref, const kv_unpack_options *opts,
                  kv_error *err)
{
    unpack u = {.store = s, .opts = opts, .dir = KV_BUF(64 * 1024)};
    kv_code rc = run(&u, ref, err);
    kv_target_close(u.target);
    kv_buf_clear(&u.dir);
    return rc;
}

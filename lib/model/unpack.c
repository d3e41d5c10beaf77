#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crash.h"
#include "base/file.h"
#include "kitvault/kitfile.h"
#include "kitvault/model.h"
#include "model/layer_feed.h"
#include "model/layer_plan.h"
#include "model/target.h"
#include "tar/tar_read.h"
#include "json/json.h"

#define KITFILE_NAME "Kitfile"

enum { BLOCK_BYTES = 256 * 1024, CHAIN_MAX = KV_KITFILE_PARENTS_MAX };

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
    bool skip = u->opts->skip_store && kv_reference_is_remote(ref);
    kv_code rc = skip ? KV_E_NOTFOUND : src->manifest(src->ctx, ref, out, err);
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

static kv_code stage_tar(kv_layer_feed *f, kv_layer_form form, kv_target *t, kv_error *err)
{
    kv_auto(kv_tar_reader) tar = NULL;
    KV_TRY(kv_tar_open(kv_layer_filter(form), kv_layer_feed_pull, f, &tar, err));
    for (;;) {
        kv_tar_entry e;
        bool more;
        KV_TRY(kv_tar_next(tar, &e, &more, err));
        if (!more) return KV_OK;
        KV_TRY(stage_entry(tar, t, &e, err));
    }
}

static kv_code stage_raw(kv_layer_feed *f, kv_target *t, kv_error *err)
{
    bool skip;
    KV_TRY(kv_target_file(t, kv_layer_path(f->d), kv_layer_raw_mode(f->d), &skip, err));
    if (skip) return KV_OK;
    kv_auto_str block = malloc(BLOCK_BYTES);
    if (!block) return kv_fail(err, KV_E_NOMEM, "out of memory");
    for (;;) {
        size_t n;
        uint64_t at = f->n;
        KV_TRY(kv_layer_feed_pull(f, block, BLOCK_BYTES, &n, err));
        if (n == 0) return kv_target_end_file(t, f->n, err);
        KV_TRY(kv_target_write(t, block, n, at, err));
    }
}

static void say_step(const unpack *u, const kv_layer_step *s)
{
    static const struct {
        const char *what;
        bool has_name;
    } LINES[] = {
        [KV_LAYER_MODEL] = {"model", true},    [KV_LAYER_PART] = {"model part", true},
        [KV_LAYER_CODE] = {"code", false},     [KV_LAYER_DATASET] = {"dataset", true},
        [KV_LAYER_DOCS] = {"docs", false},     [KV_LAYER_PROMPT] = {"prompt", false},
        [KV_LAYER_MCPB] = {"mcpServer", true},
    };
    const char *what = LINES[s->type.kind].what;
    if (LINES[s->type.kind].has_name)
        kv_say(u->opts->report, KV_INFO, "Unpacking %s %.*s to %.*s", what, KV_ARG(s->entry.name),
               KV_ARG(s->entry.path));
    else
        kv_say(u->opts->report, KV_INFO, "Unpacking %s to %.*s", what, KV_ARG(s->entry.path));
}

/* --- one layer --- */

static kv_code stage_layer(unpack *u, const kv_kit_source *src, const kv_reference *ref,
                           const kv_layer_step *s, uint64_t id, kv_error *err)
{
    kv_auto_buf prefix = KV_BUF(64 * 1024);
    KV_TRY(kv_layer_prefix(s, &prefix, err));
    KV_TRY(kv_target_prefix(u->target, kv_buf_sv(&prefix), err));
    kv_auto_layer_feed f = {.report = u->opts->report, .what = KV_SV("Unpacking"), .id = id};
    KV_TRY(kv_layer_feed_open(&f, src, ref, s->layer, err));
    KV_TRY(s->type.form == KV_FORM_RAW ? stage_raw(&f, u->target, err)
                                       : stage_tar(&f, s->type.form, u->target, err));
    return kv_layer_feed_verify(&f, err);
}

static kv_code unpack_layer(unpack *u, const kv_kit_source *src, const kv_reference *ref,
                            const kv_layer_step *s, uint64_t id, kv_error *err)
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

/* A dataset that stayed where it is. Nothing here speaks to such places, so who asks for it is told
 * before anything is written, and who does not learns where to get it. */
static kv_code tell_remote_datasets(const unpack *u, const kv_kitfile *kf,
                                    const kv_filters *filters, kv_error *err)
{
    for (size_t i = 0; i < kf->datasets.n; i++) {
        const kv_kitfile_entry *e = &kf->datasets.items[i];
        if (!e->remote_path.n || !kv_filters_match(filters, KV_LAYER_DATASET, e)) continue;
        if (u->opts->include_remote)
            return kv_fail(err, KV_E_UNSUPPORTED,
                           "dataset %.*s lies at %.*s, and datasets on S3 cannot be fetched",
                           KV_ARG(e->name), KV_ARG(e->remote_path));
        kv_say(u->opts->report, KV_WARN,
               "Dataset %.*s is not part of the ModelKit and is not unpacked; it lies at %.*s",
               KV_ARG(e->name), KV_ARG(e->remote_path));
    }
    return KV_OK;
}

static kv_code unpack_layers(unpack *u, const kv_kit_source *src, const kv_reference *ref,
                             const kv_manifest *m, kv_kitfile *kf, const kv_filters *filters,
                             kv_error *err)
{
    kv_auto_layer_plan p = {0};
    KV_TRY(kv_layer_plan_make(m, kf, u->opts->report, &p, err));
    for (size_t i = 0; i < p.n; i++) {
        const kv_layer_step *s = &p.steps[i];
        if (!kv_filters_match(filters, s->type.kind, &s->entry)) continue;
        KV_TRY(unpack_layer(u, src, ref, s, i, err));
    }
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
    if (kf) KV_TRY(tell_remote_datasets(u, kf, filters, err));
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
                             .ignore_existing = u->opts->ignore_existing,
                             .report = u->opts->report};
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
    kv_auto_fd hold = -1;
    KV_TRY(kv_store_hold(s, &hold, err));
    kv_code rc = run(&u, ref, err);
    kv_target_close(u.target);
    kv_buf_clear(&u.dir);
    return rc;
}

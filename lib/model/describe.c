#include "model/describe.h"

#include <stdlib.h>

#include "base/clock.h"
#include "kitvault/version.h"
#include "json/json.h"

#define ARENA_MAX (64u << 20)
enum { TAR_UID = 1000 }; /* the owner kit gives to every file; its group is 0 */

kv_sv kv_describe_type(const kv_pack_options *opts, kv_layer_type type)
{
    return kv_sv_of(opts->model_pack ? kv_layer_modelpack_type(type) : kv_layer_media_type(type));
}

const char *kv_describe_kind(const kv_pack_options *opts, kv_layer_kind kind)
{
    return opts->model_pack ? kv_layer_modelpack_name(kind) : kv_layer_kind_name(kind);
}

/* --- the config of a ModelPack --- */

typedef struct licenses { /* borrowed texts */
    kv_sv *items;
    size_t n, cap;
    bool failed;
} licenses;

static void licenses_clear(licenses *l)
{
    free(l->items);
}

static void add_license(licenses *l, kv_sv text)
{
    if (!text.n || l->failed) return;
    for (size_t i = 0; i < l->n; i++)
        if (kv_sv_eq(l->items[i], text)) return;
    l->failed = !KV_GROW(l->items, l->n, &l->cap);
    if (!l->failed) l->items[l->n++] = text;
}

static int by_text(const void *a, const void *b)
{
    return kv_sv_cmp(*(const kv_sv *)a, *(const kv_sv *)b);
}

static kv_code find_licenses(const kv_kitfile *kf, licenses *out, kv_error *err)
{
    kv_kitfile copy = *kf; /* the iteration lets its user set digests; this one does not */
    kv_kitfile_iter it = kv_kitfile_begin(&copy);
    add_license(out, kf->package.license);
    while (kv_kitfile_next(&it)) add_license(out, it.entry->license);
    if (out->failed) return kv_fail(err, KV_E_NOMEM, "out of memory");
    if (out->n) qsort(out->items, out->n, sizeof(*out->items), by_text);
    return KV_OK;
}

static void put_list(kv_jout *j, const char *key, const kv_sv *items, size_t n)
{
    if (!n) return;
    kv_jout_key(j, kv_sv_of(key));
    kv_jout_arr(j);
    for (size_t i = 0; i < n; i++) kv_jout_str(j, items[i]);
    kv_jout_end_arr(j);
}

static void put_text(kv_jout *j, const char *key, kv_sv text)
{
    if (text.n) kv_jout_kstr(j, key, text);
}

static kv_code put_descriptor(kv_jout *j, const kv_pack_options *opts, const kv_kitfile *kf,
                              kv_error *err)
{
    KV_CLEANUP(licenses_clear) licenses l = {0};
    const kv_kitfile_package *p = &kf->package;
    KV_TRY(find_licenses(kf, &l, err));
    kv_jout_key(j, KV_SV("descriptor"));
    kv_jout_obj(j);
    if (opts->has_created) {
        char when[KV_TIME_TEXT_MAX];
        kv_time_format(opts->created * 1000000, 0, when);
        kv_jout_kstr(j, "createdAt", kv_sv_of(when));
    }
    put_list(j, "authors", p->authors.items, p->authors.n);
    put_text(j, "name", p->name);
    put_text(j, "version", p->version);
    put_list(j, "licenses", l.items, l.n);
    put_text(j, "title", p->name);
    put_text(j, "description", p->description);
    kv_jout_end_obj(j);
    return KV_OK;
}

static kv_code format_modelpack_config(const kv_pack_options *opts, const kv_kitfile *kf,
                                       const kv_described *layers, size_t n, char **out,
                                       size_t *out_n, kv_error *err)
{
    kv_auto_buf b = KV_BUF(KV_KITFILE_JSON_MAX);
    kv_jout j = kv_jout_make(&b, KV_JSON_GO, 0);
    kv_jout_obj(&j);
    KV_TRY(put_descriptor(&j, opts, kf, err));
    kv_jout_key(&j, KV_SV("modelfs"));
    kv_jout_obj(&j);
    kv_jout_kstr(&j, "type", KV_SV("layers"));
    kv_jout_key(&j, KV_SV("diffIds"));
    kv_jout_arr(&j);
    for (size_t i = 0; i < n; i++) kv_jout_str(&j, kv_sv_of(kv_digest_str(&layers[i].diff_id).s));
    kv_jout_end_arr(&j);
    kv_jout_end_obj(&j);
    kv_jout_key(&j, KV_SV("config"));
    kv_jout_obj(&j);
    if (kf->model) put_text(&j, "format", kf->model->format);
    kv_jout_end_obj(&j);
    kv_jout_end_obj(&j);
    KV_TRY(kv_buf_check(&b, err));
    *out_n = b.n;
    *out = kv_buf_take(&b);
    return KV_OK;
}

kv_code kv_describe_config(const kv_pack_options *opts, const kv_kitfile *kf,
                           const kv_described *layers, size_t n, char **out, size_t *out_n,
                           kv_error *err)
{
    if (opts->model_pack) return format_modelpack_config(opts, kf, layers, n, out, out_n, err);
    return kv_kitfile_format_json(kf, out, out_n, err);
}

/* --- the manifest --- */

/* What a tar would have said of a raw layer's file; times and owners as in kit's tars, so that the
 * manifest does not depend on the machine. */
static kv_code file_metadata(const kv_described *l, kv_arena *arena, kv_sv *out, kv_error *err)
{
    enum { TYPE_FILE = '0' };
    kv_auto_buf b = KV_BUF(256u * 1024);
    kv_jout j = kv_jout_make(&b, KV_JSON_GO, 0);
    size_t slash = kv_sv_rfind(l->path, '/');
    kv_jout_obj(&j);
    kv_jout_kstr(&j, "name", slash == SIZE_MAX ? l->path : kv_sv_from(l->path, slash + 1));
    kv_jout_ku64(&j, "mode", l->mode & 0777);
    kv_jout_ku64(&j, "uid", TAR_UID);
    kv_jout_ku64(&j, "gid", 0);
    kv_jout_ku64(&j, "size", l->content_size);
    kv_jout_kstr(&j, "mtime", KV_SV("1970-01-01T00:00:00Z"));
    kv_jout_ku64(&j, "typeflag", TYPE_FILE);
    kv_jout_end_obj(&j);
    KV_TRY(kv_buf_check(&b, err));
    *out = kv_arena_dup(arena, kv_buf_sv(&b));
    return out->p ? KV_OK : kv_fail(err, KV_E_NOMEM, "out of memory");
}

static kv_code describe_layer(const kv_pack_options *opts, const kv_described *l, kv_arena *arena,
                              kv_descriptor *out, kv_error *err)
{
    kv_annotation *a = KV_NEW(arena, kv_annotation, 3);
    if (!a) return kv_fail(err, KV_E_NOMEM, "out of memory");
    size_t n = 0;
    if (l->type.kind == KV_LAYER_PROMPT)
        a[n++] = (kv_annotation){KV_SV(KV_ANN_SUBTYPE), KV_SV("prompt")};
    if (l->type.form == KV_FORM_RAW) {
        a[n].key = KV_SV(KV_ANN_FILE_METADATA);
        KV_TRY(file_metadata(l, arena, &a[n++].value, err));
    }
    a[n++] = (kv_annotation){KV_SV(KV_ANN_FILEPATH), l->path};
    *out = (kv_descriptor){
        .media_type = kv_describe_type(opts, l->type),
        .digest = l->digest,
        .size = l->size,
        .annotations = {.items = a, .n = n},
    };
    return KV_OK;
}

kv_code kv_describe_manifest(const kv_pack_options *opts, const kv_kitfile *kf,
                             const kv_descriptor *config, const kv_described *layers, size_t n,
                             char **out, size_t *out_n, kv_error *err)
{
    kv_auto(kv_arena) arena = kv_arena_new(ARENA_MAX);
    kv_descriptor *d = arena ? KV_NEW(arena, kv_descriptor, n) : NULL;
    if (!d) return kv_fail(err, KV_E_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) KV_TRY(describe_layer(opts, &layers[i], arena, &d[i], err));

    const char *version = opts->cli_version ? opts->cli_version : kv_version();
    kv_annotation notes[2] = {{KV_SV(KV_ANN_CLI_VERSION), kv_sv_of(version)}};
    kv_manifest_parts parts = KV_MANIFEST_PARTS_INIT;
    parts.artifact_type = KV_SV(KV_MT_KIT_MANIFEST);
    parts.config = *config;
    parts.layers = d;
    parts.n_layers = n;
    parts.annotations = (kv_annotations){.items = notes, .n = 1};
    kv_auto_str kitfile = NULL;
    if (opts->model_pack) {
        size_t kitfile_n;
        KV_TRY(kv_kitfile_format_json(kf, &kitfile, &kitfile_n, err));
        notes[parts.annotations.n++] = (kv_annotation){KV_SV(KV_ANN_KITFILE), {kitfile, kitfile_n}};
        parts.media_type = KV_SV(KV_MT_IMAGE_MANIFEST);
        parts.artifact_type = KV_SV(KV_MT_MODELPACK_MANIFEST);
    }
    return kv_manifest_format(&parts, out, out_n, err);
}

#include "model/layer_plan.h"

#include <stdlib.h>

#include "base/file.h"
#include "json/json.h"

/* Annotations of other tools; source: kit-compat 3.1, 3.3. */
#define ANN_FILEPATH_OLD "org.cnai.model.filepath"
#define ANN_METADATA_OLD "org.cnai.model.file.metadata+json"

enum { RAW_MODE = 0644 };

kv_sv kv_layer_path(const kv_descriptor *d)
{
    kv_sv path = kv_annotation_get(&d->annotations, KV_ANN_FILEPATH);
    return path.p ? path : kv_annotation_get(&d->annotations, ANN_FILEPATH_OLD);
}

unsigned kv_layer_raw_mode(const kv_descriptor *d)
{
    kv_sv text = kv_annotation_get(&d->annotations, KV_ANN_FILE_METADATA);
    if (!text.p) text = kv_annotation_get(&d->annotations, ANN_METADATA_OLD);
    kv_auto(kv_jdoc) doc = NULL;
    uint64_t mode;
    if (!text.n || kv_jdoc_parse(text, &doc, NULL) != KV_OK) return RAW_MODE;
    const kv_json *v = kv_json_get(kv_jdoc_root(doc), "mode");
    return kv_json_u64(v, &mode) && (mode & 0777) ? (unsigned)(mode & 0777) : RAW_MODE;
}

kv_tar_filter kv_layer_filter(kv_layer_form form)
{
    if (form == KV_FORM_TAR_GZIP) return KV_TAR_GZIP;
    return form == KV_FORM_TAR_ZSTD ? KV_TAR_ZSTD : KV_TAR_PLAIN;
}

void kv_layer_plan_clear(kv_layer_plan *p)
{
    free(p->steps);
    *p = (kv_layer_plan){0};
}

/* The n-th entry of a kind that has a layer, or NULL. */
static const kv_kitfile_entry *nth_entry(kv_kitfile *kf, kv_layer_kind kind, size_t n)
{
    kv_kitfile_iter it = kv_kitfile_begin(kf);
    while (kv_kitfile_next(&it))
        if (it.kind == kind && it.has_layer && n-- == 0) return it.entry;
    return NULL;
}

static kv_code match_entry(kv_layer_step *s, kv_kitfile *kf, size_t nth, bool kit, kv_error *err)
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
static kv_code entry_of_layer(kv_layer_step *s, size_t nth, kv_error *err)
{
    s->entry = (kv_kitfile_entry){.path = kv_layer_path(s->layer)};
    if (!s->entry.path.p)
        return kv_fail(err, KV_E_INVALID, "unknown file path for layer: no %s annotation",
                       KV_ANN_FILEPATH);
    if (s->type.kind == KV_LAYER_MODEL && nth > 0) s->type.kind = KV_LAYER_PART;
    return KV_OK;
}

kv_code kv_layer_plan_make(const kv_manifest *m, kv_kitfile *kf, const kv_report *report,
                           kv_layer_plan *out, kv_error *err)
{
    size_t seen[KV_LAYER_MCPB + 1] = {0}; /* layers by kind */
    bool kit = kv_manifest_kit_kind(m) == KV_KIT_MODELKIT;
    out->steps = calloc(m->n_layers ? m->n_layers : 1, sizeof(kv_layer_step));
    if (!out->steps) return kv_fail(err, KV_E_NOMEM, "out of memory");
    for (size_t i = 0; i < m->n_layers; i++) {
        kv_layer_step s = {.layer = &m->layers[i], .type = kv_layer_type_of(&m->layers[i])};
        if (s.type.kind == KV_LAYER_UNKNOWN) {
            kv_say(report, KV_WARN, "Layer %s is of unknown type %.*s and is not unpacked",
                   kv_digest_str(&s.layer->digest).s, KV_ARG(s.layer->media_type));
            continue;
        }
        size_t nth = seen[s.type.kind]++;
        KV_TRY(kf ? match_entry(&s, kf, nth, kit, err) : entry_of_layer(&s, nth, err));
        if (s.type.form == KV_FORM_RAW && !kv_layer_path(s.layer).p)
            return kv_fail(err, KV_E_INVALID, "unknown file path for layer: no %s annotation",
                           KV_ANN_FILEPATH);
        out->steps[out->n++] = s;
    }
    return KV_OK;
}

kv_code kv_layer_prefix(const kv_layer_step *s, kv_buf *out, kv_error *err)
{
    if (!s->legacy) return KV_OK;
    kv_auto_buf clean = KV_BUF(64 * 1024);
    kv_path_clean(s->entry.path, &clean);
    KV_TRY(kv_buf_check(&clean, err));
    size_t slash = kv_sv_rfind(kv_buf_sv(&clean), '/');
    if (slash != SIZE_MAX) kv_buf_add(out, kv_sv_sub(kv_buf_sv(&clean), 0, slash ? slash : 1));
    return kv_buf_check(out, err);
}

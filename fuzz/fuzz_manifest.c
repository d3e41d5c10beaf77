#include <stdlib.h>

#include "base/str.h"
#include "fuzz/fuzz.h"
#include "kitvault/manifest.h"

/* The first line is the content type, the rest the document. Every view of it is touched. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kv_sv type, text = kv_sv_cut((kv_sv){(const char *)data, size}, '\n', &type, NULL);
    kv_auto(kv_manifest) m = NULL;
    if (kv_manifest_parse(text, type, &m, NULL) != KV_OK) return 0;
    size_t sum = kv_manifest_artifact_type(m).n + (size_t)kv_manifest_kit_kind(m);
    for (size_t i = 0; i < m->n_layers; i++) {
        kv_layer_type t = kv_layer_type_of(&m->layers[i]);
        sum += (size_t)t.kind + kv_annotation_get(&m->layers[i].annotations, KV_ANN_FILEPATH).n;
    }
    sum += (size_t)kv_manifest_layers_size(m);
    kv_manifest_parts parts = KV_MANIFEST_PARTS_INIT;
    parts.media_type = m->media_type;
    parts.artifact_type = m->artifact_type;
    parts.config = m->config;
    parts.layers = m->layers;
    parts.n_layers = m->n_layers;
    parts.subject = m->subject.digest.alg ? &m->subject : NULL;
    parts.annotations = m->annotations;
    if (m->kind != KV_MANIFEST_IMAGE) return 0;
    /* What we write of it parses, and is the same when written again. */
    char *out = NULL, *twice = NULL;
    size_t n = 0, n2 = 0;
    if (kv_manifest_format(&parts, &out, &n, NULL) != KV_OK)
        return 0; /* escapes can make it longer */
    kv_auto(kv_manifest) again = NULL;
    kv_code rc = kv_manifest_parse((kv_sv){out, n}, (kv_sv){"", 0}, &again, NULL);
    if (rc != KV_OK && rc != KV_E_LIMIT) __builtin_trap();
    if (again) {
        parts.media_type = again->media_type;
        parts.artifact_type = again->artifact_type;
        parts.config = again->config;
        parts.layers = again->layers;
        parts.n_layers = again->n_layers;
        parts.subject = again->subject.digest.alg ? &again->subject : NULL;
        parts.annotations = again->annotations;
        if (kv_manifest_format(&parts, &twice, &n2, NULL) == KV_OK &&
            !kv_sv_eq((kv_sv){out, n}, (kv_sv){twice, n2}))
            __builtin_trap();
    }
    free(out);
    free(twice);
    return sum == SIZE_MAX ? 1 : 0;
}

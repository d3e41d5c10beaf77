#pragma once
/* Config and manifest of what was packed: kit's, or those of a CNCF ModelPack. Pure. */
#include "kitvault/kitfile.h"
#include "kitvault/model.h"

/** One layer that is ready. Strings are borrowed. */
typedef struct kv_described {
    kv_layer_type type;
    kv_sv path; /* cleaned */
    kv_digest digest, diff_id;
    uint64_t size;         /* of the blob */
    unsigned mode;         /* raw layers: of the file */
    uint64_t content_size; /* raw layers: of the file */
} kv_described;

/** Media type and the name lines have for a layer. Static storage. */
kv_sv kv_describe_type(const kv_pack_options *opts, kv_layer_type type);
const char *kv_describe_kind(const kv_pack_options *opts, kv_layer_kind kind);

/**
 * The config blob: the Kitfile's JSON, or the model-spec's config. *out is malloc'ed.
 * Source: kit-compat 1.4, 3.1, 3.2.
 */
KV_MUST_CHECK kv_code kv_describe_config(const kv_pack_options *opts, const kv_kitfile *kf,
                                         const kv_described *layers, size_t n, char **out,
                                         size_t *out_n, kv_error *err);
/** The manifest around that config; *out is malloc'ed. Source: kit-compat 2.5, 3.1, 3.2. */
KV_MUST_CHECK kv_code kv_describe_manifest(const kv_pack_options *opts, const kv_kitfile *kf,
                                           const kv_descriptor *config, const kv_described *layers,
                                           size_t n, char **out, size_t *out_n, kv_error *err);

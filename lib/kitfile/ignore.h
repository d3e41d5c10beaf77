#pragma once
/* What is left out of a layer: the patterns of .kitignore, and files that lie in other layers. */
#include "base/str.h"
#include "kitvault/kitfile.h"

#define KV_IGNORE_NAME ".kitignore"
#define KV_IGNORE_BYTES_MAX (256u << 10) /* of a .kitignore; own */

/** Compiled patterns and layer paths. Threads: shared, read-only once made. */
typedef struct kv_ignore kv_ignore;

/**
 * text is the .kitignore of the context, empty when there is none. kf's layers exclude their files
 * from each other's layers; those of parents (of kv_kitfile_resolve; may be NULL) from all of kf's.
 * Errors: KV_E_SYNTAX "invalid .kitignore file: syntax error in pattern", KV_E_LIMIT, KV_E_NOMEM.
 * Ownership: kv_ignore_free; nothing is borrowed. Source: kit-compat 2.4, quirk 3.
 */
KV_MUST_CHECK kv_code kv_ignore_new(kv_sv text, const kv_kitfile *kf, const kv_kitfile *parents,
                                    kv_ignore **out, kv_error *err);
void kv_ignore_free(kv_ignore *ig);
KV_DEFINE_AUTO(kv_ignore, kv_ignore_free)
/**
 * Whether a file or directory is left out of the layer of layer_path. Both are relative to the
 * context and clean (kv_path_clean); "." is the context itself.
 * Ask match(layer_path, layer_path) for "the layer itself is ignored".
 */
bool kv_ignore_match(const kv_ignore *ig, kv_sv path, kv_sv layer_path);
/** With '!' patterns an ignored directory may hold files that are not: it must be walked. */
bool kv_ignore_has_negation(const kv_ignore *ig);
/**
 * True when path is not left out here, and is by kit, because a layer's path is a mere string
 * prefix of its own (`data` of `data-v2/x`): for the note that digests differ from kit's only there.
 */
bool kv_ignore_is_prefix_quirk(const kv_ignore *ig, kv_sv path, kv_sv layer_path);

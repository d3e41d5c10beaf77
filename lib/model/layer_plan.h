#pragma once
/* Which layer of a ModelKit is which entry of its Kitfile, and where its files belong. */
#include "base/str.h"
#include "kitvault/kitfile.h"
#include "tar/tar_read.h"

typedef struct kv_layer_step {
    const kv_descriptor *layer;
    kv_layer_type type;
    kv_kitfile_entry entry; /* strings borrow from Kitfile or manifest */
    bool legacy; /* of kit before 0.5: the tar's paths begin at the parent of the entry's path */
} kv_layer_step;

typedef struct kv_layer_plan { /* zero it; clear it. Borrows from manifest and Kitfile */
    kv_layer_step *steps;
    size_t n;
} kv_layer_plan;
void kv_layer_plan_clear(kv_layer_plan *p);
#define kv_auto_layer_plan KV_CLEANUP(kv_layer_plan_clear) kv_layer_plan

/**
 * The layers of m in its order; those of unknown type are passed over with a warning. kf NULL: a
 * ModelPack without Kitfile, whose layers tell where they go.
 * Errors: KV_E_INVALID (Kitfile and manifest do not match; a layer without a path).
 * Source: kit-compat 2.1, 3.3, 9.2.
 */
KV_MUST_CHECK kv_code kv_layer_plan_make(const kv_manifest *m, kv_kitfile *kf,
                                         const kv_report *report, kv_layer_plan *out,
                                         kv_error *err);
/** What goes in front of the tar's paths; "": nothing. */
KV_MUST_CHECK kv_code kv_layer_prefix(const kv_layer_step *s, kv_buf *out, kv_error *err);

/** Path of a raw layer's file, from its annotations; {NULL, 0}: none. */
kv_sv kv_layer_path(const kv_descriptor *d);
/** The mode a raw layer's annotation gives, or 0644. */
unsigned kv_layer_raw_mode(const kv_descriptor *d);
/** How a layer's tar is compressed. Not for KV_FORM_RAW. */
kv_tar_filter kv_layer_filter(kv_layer_form form);

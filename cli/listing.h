#pragma once
/* What `list` shows: the ModelKits of the local store or of one repository in a registry. */
#include "cli/context.h"
#include "cli/net.h"
#include "kitvault/kitfile.h"

typedef struct kv_listed_kit { /* texts as they are shown; "<none>" where there is nothing */
    kv_sv repository, digest, model_name, author, size;
    const kv_sv *tags;
    size_t n_tags;
} kv_listed_kit;

typedef struct kv_listing { /* zero it first; clear it. Texts live in arena */
    kv_listed_kit *kits;
    size_t n, cap;
    kv_arena *arena;
} kv_listing;
void kv_listing_clear(kv_listing *l);
#define kv_auto_listing KV_CLEANUP(kv_listing_clear) kv_listing

/** Every ModelKit of the local store that a filter wants: by repository, then digest. */
KV_MUST_CHECK kv_code kv_list_local(const kv_cli *cli, const kv_filters *filters, kv_listing *out,
                                    kv_error *err);
/** The ModelKits of a repository, one per tag, in the registry's order; what is no ModelKit is
 * passed over. text may name one tag or digest. */
KV_MUST_CHECK kv_code kv_list_remote(const kv_cli *cli, const char *text, const kv_net_args *net,
                                     const kv_filters *filters, kv_listing *out, kv_error *err);

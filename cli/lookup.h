#pragma once
/* One ModelKit named on the command line, found in the local store or in a registry. */
#include "cli/local.h"
#include "cli/names.h"
#include "cli/net.h"

typedef struct kv_lookup_result { /* zero it first; clear it */
    kv_reference reference;
    kv_manifest *manifest;
    kv_kit_source source; /* where it was found; lives as long as the result */
    kv_store *store;
    kv_net net;
} kv_lookup_result;
/**
 * Errors: KV_E_ARG (of the reference, the options), KV_E_NOTFOUND "could not find modelkit R",
 * others behind "error resolving modelkit: ". net is used, and checked, only for remote.
 * Source: kit-compat.md 8, info.
 */
KV_MUST_CHECK kv_code kv_lookup(const kv_cli *cli, const char *text, bool remote,
                                const kv_net_args *net, kv_lookup_result *out, kv_error *err);
/** The same in the local store, then, for a reference with a registry, there; with remote only
 * there. */
KV_MUST_CHECK kv_code kv_lookup_anywhere(const kv_cli *cli, const char *text, bool remote,
                                         const kv_net_args *net, kv_lookup_result *out,
                                         kv_error *err);
void kv_lookup_clear(kv_lookup_result *r);
#define kv_auto_lookup KV_CLEANUP(kv_lookup_clear) kv_lookup_result

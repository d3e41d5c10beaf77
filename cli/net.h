#pragma once
/* The options of every command that talks to a registry, and what they make. */
#include "cli/context.h"
#include "kitvault/credentials.h"
#include "kitvault/model.h"
#include "kitvault/remote.h"

/* A member of a command's struct; its table has .group = &kv_net_group. */
typedef struct kv_net_args {
    bool plain_http, tls_verify;
    kv_strs tls_certs;
    const char *cert, *key, *proxy, *limit_rate;
    int concurrency;
} kv_net_args;
extern const kv_opt_group kv_net_group;

/** Options for the library, with the user's logins. Borrows from cli and args. */
typedef struct kv_net {
    kv_remote_options options;
    kv_credentials *credentials;
    char *session_dir;
    struct kv_net_repository *open; /* private: what was asked for so far */
    size_t n_open, cap_open;
} kv_net;
/**
 * Errors: KV_E_ARG "invalid arguments: invalid argument for concurrency (0): must be at least 1",
 * "... for limit-rate (x): ...".
 * Source: kit-compat.md 6 (the environment wins over --cert and --key: quirk 18).
 */
KV_MUST_CHECK kv_code kv_net_open(const kv_cli *cli, const kv_net_args *args, kv_net *out,
                                  kv_error *err);
void kv_net_close(kv_net *net);
#define kv_auto_net KV_CLEANUP(kv_net_close) kv_net

/** The repository of ref; borrowed until net is closed. */
KV_MUST_CHECK kv_code kv_net_remote(kv_net *net, const kv_reference *ref, kv_remote **out,
                                    kv_error *err);
/** Registries as a source of ModelKits; each reference names its own. net must outlive it. */
kv_kit_source kv_net_source(kv_net *net);

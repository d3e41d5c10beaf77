#pragma once
/*
 * Every setting of the hub, as one typed table (config.c). A setting comes from, in this order: a
 * flag of the command line, an environment variable, the configuration file, its default.
 *
 * From a key "http.head_timeout" follow the flag --http-head-timeout and the variable
 * KITVAULT_HTTP_HEAD_TIMEOUT. The file holds "key = value" lines; "#" begins a comment.
 */
#include "base/str.h"

typedef struct kv_config {
    kv_arena *arena; /* owns the texts; never NULL texts: unset is "" */
    const char *data;
    const char *listen;
    const char *public_url;
    const char *tls_cert, *tls_key;
    const char *admin_password_file;
    const char *log_level;
    bool no_auth;
    bool log_requests;
    uint64_t max_connections, max_per_address, max_requests;
    uint64_t head_timeout_s, idle_timeout_s, body_timeout_s, min_rate;
    uint64_t stop_grace_s;
} kv_config;

/**
 * Reads all sources. argv: the arguments behind the subcommand; env: as environ.
 * Errors: KV_E_ARG (unknown or wrong flag, value out of range), KV_E_SYNTAX and KV_E_INVALID (the
 * file, with its line), KV_E_NOTFOUND (the file). out is empty on failure.
 */
KV_MUST_CHECK kv_code kv_config_load(int argc, char *const *argv, char *const *env, kv_config *out,
                                     kv_error *err);
void kv_config_clear(kv_config *c);
#define kv_auto_config KV_CLEANUP(kv_config_clear) kv_config
/** The settings in force, as a configuration file with the meaning of each in comments. */
void kv_config_print(const kv_config *c, kv_buf *out);
/** The flags with their meaning, for --help. */
void kv_config_help(kv_buf *out);
/** The page kitvaultd(8), roff of man(7). */
void kv_config_man(kv_buf *out);

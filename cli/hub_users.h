#pragma once
/* Pieces the `hub user` commands share. */
#include "cli/hub_client.h"

/** Everything a call needs, opened from the HUB operand and the network options. Clear it. */
typedef struct kv_hub_session {
    kv_net net;
    kv_hub_client hub;
} kv_hub_session;
KV_MUST_CHECK kv_code kv_hub_session_open(const kv_cli *cli, const kv_net_args *net,
                                          const char *host, kv_hub_session *out, kv_error *err);
void kv_hub_session_close(kv_hub_session *s);
#define kv_auto_hub_session KV_CLEANUP(kv_hub_session_close) kv_hub_session

/** Wipes and frees. */
void kv_secret_clear(kv_buf *secret);
#define kv_auto_secret KV_CLEANUP(kv_secret_clear) kv_buf
enum { KV_SECRET_MAX = 4096 };
/**
 * A new password: the whole of standard input without its last newline, or asked for twice.
 * Errors: KV_E_ARG (empty, the two differ, no terminal to ask on).
 */
KV_MUST_CHECK kv_code kv_hub_new_password(const kv_cli *cli, bool from_stdin, kv_buf *out,
                                          kv_error *err);

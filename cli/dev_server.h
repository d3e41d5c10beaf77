#pragma once
/*
 * The server that `dev` starts: a program of the user's that takes --model, --host and --port, as
 * llama.cpp's llama-server does. One at a time per home.
 *
 * HOME/harness/process.pid has its process id and HOME/harness/harness.log what it prints. The server
 * holds a lock on the log while it runs, so a process id that was given to another program meanwhile
 * is never taken for it. Source: kit-compat.md 13 (names of the files), own (the lock).
 */
#include "cli/context.h"

#define KV_DEV_SERVER_ENV "KITVAULT_DEV_SERVER" /* names the program */

typedef struct kv_dev_server {
    const char *program, *model, *host;
    int port;
} kv_dev_server;
/**
 * Starts it and waits until it takes connections. When it ends before, takes none for a minute, or
 * the user interrupts, nothing is left running.
 * Errors: KV_E_EXISTS (one is running), KV_E_NOTFOUND (no such program), KV_E_TIMEOUT, KV_E_CANCELLED.
 */
KV_MUST_CHECK kv_code kv_dev_start(const kv_cli *cli, const kv_dev_server *s, kv_error *err);
/** Ends it: asks, and after ten seconds insists. Errors: KV_E_NOTFOUND (none is running). */
KV_MUST_CHECK kv_code kv_dev_stop(const kv_cli *cli, kv_error *err);
/**
 * Prints what it printed. follow: until it ends, or an interrupt (which is no error).
 * Errors: KV_E_NOTFOUND (no log).
 */
KV_MUST_CHECK kv_code kv_dev_logs(const kv_cli *cli, bool follow, kv_error *err);
/** A port of host that nobody listens on at the moment. Errors: KV_E_ARG (not a host of ours). */
KV_MUST_CHECK kv_code kv_dev_free_port(const char *host, int *out, kv_error *err);

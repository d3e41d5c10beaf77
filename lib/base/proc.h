#pragma once
/* Running another program. */
#include "base/str.h"

/**
 * Runs argv[0], found by PATH, with input on its standard input, and keeps its standard output (at
 * most out->max bytes; standard error is ours). *out_status is its exit status, or 128 and the
 * signal that ended it. No shell. A program that takes longer than timeout_ms is killed.
 * Errors: KV_E_NOTFOUND (no such program), KV_E_TIMEOUT, KV_E_LIMIT (too much output), KV_E_IO.
 * Threads: any; SIGPIPE is never raised.
 */
KV_MUST_CHECK kv_code kv_proc_run(const char *const *argv, kv_sv input, unsigned timeout_ms,
                                  kv_buf *out, int *out_status, kv_error *err);

/**
 * Starts argv[0], found by PATH, in a session of its own, so that it outlives this process. It reads
 * nothing; what it prints, errors too, goes to out_fd, whose locks it shares while it runs.
 * Errors: KV_E_NOTFOUND (no such program), KV_E_IO.
 */
KV_MUST_CHECK kv_code kv_proc_start(const char *const *argv, int out_fd, int *out_pid,
                                    kv_error *err);

#pragma once
/* What one run of the program has in hand: home directory, console, the wish to stop. */
#include "cli/console.h"
#include "cli/options.h"

/**
 * Makes the context of one run from the global options. program is the name it was called by.
 * object: standard output is for one JSON object, so lines go to standard error and no bar is drawn.
 * On failure the texts kit prints are out already, and err holds what follows "Error: ".
 * Ownership: kv_cli_free; program and the options' strings must outlive it.
 */
KV_MUST_CHECK kv_code kv_cli_new(const char *program, const kv_global_args *global, bool object,
                                 kv_cli **out, kv_error *err);
void kv_cli_free(kv_cli *cli);
KV_DEFINE_AUTO(kv_cli, kv_cli_free)

/** "kit", "kitvault": for texts that tell a user what to type. Borrowed. */
const char *kv_cli_program(const kv_cli *cli);
/** The home directory, absolute: --config, $KITOPS_HOME, the user's data directory. Borrowed. */
const char *kv_cli_home(const kv_cli *cli);
/** HOME/name; malloc'ed, NULL when memory is gone. */
char *kv_cli_home_path(const kv_cli *cli, const char *name);
/** For the library: lines, progress, the wish to stop (interrupt). Borrowed. Threads: shared. */
const kv_report *kv_cli_report(const kv_cli *cli);

/** One line of level info, of any length: "Modelkit A tagged as B". */
void kv_cli_say(const kv_cli *cli, const char *fmt, ...) KV_PRINTF(2, 3);
/** One line of any level and length. */
void kv_cli_line(const kv_cli *cli, kv_level level, kv_sv text);
/** Text in several lines that was made here, JSON or YAML, as they are. */
void kv_cli_block(const kv_cli *cli, kv_level level, kv_sv text);
/** Bytes of a result to standard output as they are, whatever the level. */
void kv_cli_put(const kv_cli *cli, kv_sv bytes);
/** Everything on standard input, at most out->max bytes. */
KV_MUST_CHECK kv_code kv_cli_read_stdin(kv_buf *out, kv_error *err);

/**
 * Asks for one line on the terminal: prompt as it is, answer without its newline; echo false for
 * secrets. The caller wipes a secret. Errors: KV_E_ARG "attempting to read input from
 * non-terminal", KV_E_CANCELLED.
 */
KV_MUST_CHECK kv_code kv_cli_ask(const kv_cli *cli, const char *prompt, bool echo, kv_buf *out,
                                 kv_error *err);
/** True when questions can be asked. */
bool kv_cli_is_interactive(void);

/** Set by an interrupt; what kv_report.cancel points to. main arms it. */
extern atomic_bool kv_cli_interrupted;

/** Rubs out progress bars that are still drawn, before an error is told. */
void kv_cli_end_progress(const kv_cli *cli);

/** A failure stands in the result already (cli/document.h). */
void kv_cli_set_told(kv_cli *cli);
bool kv_cli_has_told(const kv_cli *cli);

/** The exit status of the program for a command that ended with code. Commands of kit fail with 1
 * (kit-compat.md 6), our own by kv_error_class. */
int kv_cli_exit_status(const kv_cmd *cmd, kv_code code);

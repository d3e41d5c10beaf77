#pragma once
/* What a command shows: lines by level, results, and progress bars, over two streams.
 *
 * Texts of level info and below go to standard output and warnings and errors to standard error,
 * as scripts around kit expect. Source: kit-compat.md 6.
 * Threads: shared; one lock around everything that is written.
 */
#include "kitvault/report.h"

typedef enum kv_bar_style { KV_BARS_NONE, KV_BARS_PLAIN, KV_BARS_FANCY } kv_bar_style;

typedef struct kv_console kv_console;
/** style is what was asked for; bars are drawn only when standard output is a terminal. to_stderr:
 * lines of every level go there. NULL: no memory. */
kv_console *kv_console_new(kv_level level, kv_bar_style style, bool to_stderr);
void kv_console_free(kv_console *c);
KV_DEFINE_AUTO(kv_console, kv_console_free)

/** One line: prefix by level, first letter in upper case, exactly one newline at its end. Control
 * characters of outside text are escaped (kv_visible_add), but for line feeds with two blanks behind
 * them, as messages that list things have them. */
void kv_console_line(kv_console *c, kv_level level, kv_sv text);
/** The same of text in several lines that was made here. */
void kv_console_block(kv_console *c, kv_level level, kv_sv text);
/** Bytes of a result, as they are, to standard output. */
void kv_console_put(kv_console *c, kv_sv bytes);
/** Progress as kv_report hands it over. */
void kv_console_progress(kv_console *c, uint64_t id, kv_sv what, uint64_t done, uint64_t total);
/** Rubs out the bars that are still drawn. */
void kv_console_end_progress(kv_console *c);

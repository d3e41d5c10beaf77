#pragma once
/* Marked steps at which a test kills the process. */

/**
 * Ends the process at once with status KV_CRASH_STATUS when the environment variable
 * KITVAULT_CRASH_AT names this point, as a power cut would: nothing is flushed or cleaned up.
 * Names are "area.step" ("pack.after-blob"); they are listed in docs/format/crash-points.md.
 */
#define KV_CRASH_STATUS 86
void kv_crash_point(const char *name);

#pragma once
/* The hub's log: one JSON object per line on stderr. Secrets have no place in it; neither have
 * query strings nor headers. Threads: shared; lines do not mix. */
#include "base/str.h"
#include "kitvault/report.h"
#include "json/json.h"

/** "trace", "debug", "info", "warn", "error"; false for another word. */
bool kv_level_parse(kv_sv text, kv_level *out);
/** Lines below this are dropped. Before the first request; KV_INFO until then. */
void kv_log_set_level(kv_level level);
bool kv_log_wants(kv_level level);

/** {"time","level","msg"} */
void kv_log(kv_level level, const char *fmt, ...) KV_PRINTF(2, 3);
/** The same with "request", the id that also stands in the answer. */
void kv_log_request(kv_level level, const char *request_id, const char *fmt, ...) KV_PRINTF(3, 4);

/**
 * A line with more members: begin, add with kv_jout_k...(&line.json, ...), end. Holds the log's
 * lock in between: add members and nothing else. A level below the lowest is the caller's to check.
 */
typedef struct kv_log_line {
    kv_jout json;
    size_t start;
    kv_level level;
} kv_log_line;
void kv_log_begin(kv_log_line *line, kv_level level, const char *msg);
void kv_log_end(kv_log_line *line);
/** Lines that come thick are written together; this writes what waits. Call ten times a second. */
void kv_log_flush(void);

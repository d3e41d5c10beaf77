#pragma once
/* The hub's log: one JSON object per line on stderr. Secrets have no place in it; neither have
 * query strings nor headers. Threads: shared; a line is one write. */
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

/** A line with more members: begin, add with kv_jout_k...(&line.json, ...), end. */
typedef struct kv_log_line {
    kv_buf buf;
    kv_jout json;
} kv_log_line;
void kv_log_begin(kv_log_line *line, kv_level level, const char *msg);
void kv_log_end(kv_log_line *line);

#pragma once
/* Events of the hub's audit log as rows. */
#include "cli/table.h"

enum { KV_EVENT_COLUMNS = 5 };
extern const kv_sv kv_event_head[KV_EVENT_COLUMNS];
/**
 * The row of one event ({"leaf": ..., "actor_name"?}): sequence number, time, who, what, and the
 * object with its change. Text from the hub is made fit for a terminal.
 * Source: docs/api.md, docs/format/audit-leaf.md.
 */
KV_MUST_CHECK kv_code kv_event_row(kv_table *table, const kv_json *event, kv_error *err);

#pragma once
/* The audit log as files: tiles, entries and a checkpoint, docs/format/audit-leaf.md "Files". */
#include "hub/db/db.h"

/**
 * Brings the files under dir (made when missing) up to what is committed. Complete files come
 * first, then those that will be replaced, then the checkpoint, then the database's note of how far
 * it is; whatever is interrupted is done again at the next call.
 * origin  names the log in its checkpoints
 * Errors: KV_E_CORRUPT (the files tell of another or a longer log than the database: somebody put
 * an older database back; the files are left as they are), KV_E_IO, KV_E_NOSPACE.
 * Threads: one call at a time per dir.
 */
KV_MUST_CHECK kv_code kv_tlog_publish(kv_db *db, const char *dir, const char *origin,
                                      kv_error *err);
/** Notes the present root in the database, when there are leaves since the last such note. */
KV_MUST_CHECK kv_code kv_tlog_checkpoint(kv_db *db, const char *origin, kv_error *err);

#pragma once
/* What the q_*.c files share. */
#include "hub/db/db.h"

/** Copies a column into a field with its NUL; text that does not fit cannot have been stored by us
 * and is cut. */
void kv_q_copy(kv_sv text, char *out, size_t room);
/** The end of a query without a row: the error that stopped it, else KV_E_NOTFOUND with fmt. */
KV_MUST_CHECK kv_code kv_q_none(kv_rows *r, kv_error *err, const char *fmt, ...) KV_PRINTF(3, 4);

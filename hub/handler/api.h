#pragma once
/* What the handlers of /api/v1 share. Source: docs/api.md. */
#include "hub/http/http.h"
#include "hub/hub.h"
#include "json/json.h"

/** Reads the body, at most 64 KiB of application/json, into the struct of the table; strings live as
 * long as *doc. Errors: KV_E_LIMIT, KV_E_SYNTAX, KV_E_INVALID. */
KV_MUST_CHECK kv_code kv_api_body(kv_request *req, const kv_jtable *table, kv_jdoc **doc, void *out,
                                  kv_error *err);
/** The parameters limit (1 to 500, default 50) and cursor of a list. Errors: KV_E_ARG. */
KV_MUST_CHECK kv_code kv_api_page(kv_request *req, size_t *out_limit, kv_sv *out_cursor,
                                  kv_error *err);
/** The same with a cursor that is a number; 0: none. */
KV_MUST_CHECK kv_code kv_api_page_number(kv_request *req, size_t *out_limit, int64_t *out_cursor,
                                         kv_error *err);
/** Answers with what was written. */
KV_MUST_CHECK kv_code kv_api_answer(kv_request *req, int status, const kv_buf *body, kv_error *err);

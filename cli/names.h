#pragma once
/* References as operands: parsing with kit's sentences, and what a missing tag means. */
#include "cli/context.h"
#include "kitvault/reference.h"

/** Errors: KV_E_ARG "invalid arguments: failed to parse reference: ...". Clear *out. */
KV_MUST_CHECK kv_code kv_cli_reference(const char *text, kv_reference *out, kv_error *err);
/** The same, for commands that need a tag or digest (tag, info, inspect, remove). Errors: also
 * "invalid arguments: missing tag or digest from ModelKit reference 'R'". */
KV_MUST_CHECK kv_code kv_cli_reference_exact(const char *text, kv_reference *out, kv_error *err);
/**
 * The same, for commands that take `latest` where neither is given and say so. intro begins the
 * line: "No tag specified for pull" makes "No tag specified for pull. Using 'latest' as default
 * ('REF:latest')". Source: kit-compat.md 5.
 */
KV_MUST_CHECK kv_code kv_cli_reference_or_latest(const kv_cli *cli, const char *text,
                                                 const char *intro, kv_reference *out,
                                                 kv_error *err);
/** For commands that take one name. Errors: "invalid arguments: invalid reference format: extra tags
 * are not supported: b, c". */
KV_MUST_CHECK kv_code kv_cli_reference_single(const kv_reference *r, kv_error *err);
/** For --remote. Errors: "invalid arguments: can not check remote: R does not contain registry". */
KV_MUST_CHECK kv_code kv_cli_reference_needs_registry(const kv_reference *r, kv_error *err);

#pragma once
/* Value trees to and from JSON. */
#include "kitvault/value.h"
#include "json/json.h"

/**
 * Writes a tree. In both profiles keys are sorted, as Go's encoder sorts maps.
 * Errors: KV_E_INVALID "json: unsupported value: NaN" (or +Inf, -Inf), "json: unsupported type:
 * map[interface {}]interface {}" (a key that is no string): the texts of Go; KV_E_NOMEM.
 */
KV_MUST_CHECK kv_code kv_jout_tree(kv_jout *j, const kv_value *v, kv_error *err);
/**
 * Copies a parsed value. Integers that fit stay integers, other numbers become doubles.
 * Errors: KV_E_LIMIT (the arena's, or a number beyond the range of a double).
 */
KV_MUST_CHECK kv_code kv_value_from_json(const kv_json *v, kv_arena *arena, const kv_value **out,
                                         kv_error *err);

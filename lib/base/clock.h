#pragma once
/* Time and randomness. */
#include "base/str.h"

int64_t kv_now_us(void);   /* UTC, microseconds since 1970 */
uint64_t kv_mono_us(void); /* monotonic, microseconds since some start */
#define KV_TIME_TEXT_MAX 32
/** "2026-11-24T10:34:27.123456Z" (digits 6) or without fraction (digits 0); RFC 3339, UTC. */
void kv_time_format(int64_t us, int digits, char out[KV_TIME_TEXT_MAX]);
/** Parses RFC 3339 with any offset and fraction. Errors: KV_E_SYNTAX. */
KV_MUST_CHECK kv_code kv_time_parse(kv_sv text, int64_t *out_us, kv_error *err);

/** n bytes from the operating system's generator; aborts when there is none. */
void kv_random(void *p, size_t n);
#define KV_UUID_MAX 37
void kv_uuid4(char out[KV_UUID_MAX]); /* RFC 9562, lower case */
void kv_uuid7(char out[KV_UUID_MAX]); /* sorts by time of making */

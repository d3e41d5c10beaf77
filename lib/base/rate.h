#pragma once
/* A limit of bytes per second that several threads keep together. */
#include "base/str.h"
#include "kitvault/report.h"

typedef struct kv_rate kv_rate;       /* shared */
#define KV_RATE_LEAST 1024u           /* bytes per second: below, a connection looks dead */
kv_rate *kv_rate_new(uint64_t per_s); /* at least KV_RATE_LEAST; NULL: no memory */
void kv_rate_free(kv_rate *r);

/** How many bytes to move at once at most, so that they flow instead of coming in bursts. */
size_t kv_rate_piece(const kv_rate *r);
/** Waits for the turn of n bytes, in the order of the calls. Errors: KV_E_CANCELLED. */
KV_MUST_CHECK kv_code kv_rate_take(kv_rate *r, size_t n, const kv_report *report, kv_error *err);

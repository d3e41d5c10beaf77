#pragma once
/* What the writers of a Kitfile share. */
#include "kitfile/schema.h"
#include "yaml/yout.h"

#define KF_TEXT_MAX                                                                                \
    (64u << 20) /* of a written Kitfile; own, escapes can make text six times longer */

/** Writes the member f of the struct at p; flow is for lists of strings. */
void kf_write_yaml(kv_yout *y, const kf_field *f, const void *p, bool flow);
/** Checks b and hands its text to the caller. */
KV_MUST_CHECK kv_code kf_take(kv_buf *b, char **out, size_t *out_n, kv_error *err);

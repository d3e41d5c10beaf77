#pragma once
/* Bytes as text: hex, base64, percent-encoding. Pure. */
#include "base/str.h"

void kv_hex_add(kv_buf *out, const void *p, size_t n); /* lower case */
/** Lower-case hex to exactly n bytes; false on any other digit or length. */
bool kv_hex_parse(kv_sv text, void *out, size_t n);
/** RFC 4648 section 4, with padding. */
void kv_base64_add(kv_buf *out, kv_sv bytes);
/** RFC 4648 section 5 alphabet (- and _), with padding when `pad`. */
void kv_base64url_add(kv_buf *out, kv_sv bytes, bool pad);
/** Accepts both alphabets, padding optional. Errors: KV_E_SYNTAX. */
KV_MUST_CHECK kv_code kv_base64_parse(kv_sv text, kv_buf *out, kv_error *err);
/** Everything but RFC 3986 unreserved characters, and those in `keep`, becomes %XX. */
void kv_percent_add(kv_buf *out, kv_sv text, const char *keep);
/** Decodes %XX once (and + as blank when `plus`). Errors: KV_E_SYNTAX on a broken escape or NUL. */
KV_MUST_CHECK kv_code kv_percent_parse(kv_sv text, bool plus, kv_buf *out, kv_error *err);

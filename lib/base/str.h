#pragma once
/* Strings: kv_sv for what is read, kv_buf for what is built, kv_rd over hostile bytes. */
#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "kitvault/error.h"
#include "kitvault/sv.h"

/* --- borrowed strings: pure --- */
kv_sv kv_sv_of(const char *s); /* NULL: empty */
bool kv_sv_eq(kv_sv a, kv_sv b);
bool kv_sv_is(kv_sv a, const char *b);
bool kv_sv_eq_nocase(kv_sv a, kv_sv b); /* ASCII only */
int kv_sv_cmp(kv_sv a, kv_sv b);        /* bytewise, shorter first: for qsort */
bool kv_sv_starts(kv_sv s, kv_sv prefix);
bool kv_sv_ends(kv_sv s, kv_sv suffix);
/** Index of the first / last c, or SIZE_MAX. */
size_t kv_sv_find(kv_sv s, char c);
size_t kv_sv_rfind(kv_sv s, char c);
/** Index of the first occurrence of sub, or SIZE_MAX. */
size_t kv_sv_find_sub(kv_sv s, kv_sv sub);
kv_sv kv_sv_sub(kv_sv s, size_t from, size_t to); /* clipped to s */
kv_sv kv_sv_from(kv_sv s, size_t from);           /* clipped */
kv_sv kv_sv_trim(kv_sv s);                        /* ASCII white space at both ends */
/** Cuts at the first sep: out_head is before it; returns what is behind it. found may be NULL. */
kv_sv kv_sv_cut(kv_sv s, char sep, kv_sv *out_head, bool *found);
/** malloc'ed NUL-terminated copy; NULL when memory is gone. */
char *kv_sv_dup(kv_sv s);
/** Decimal digits only, no sign, no blank, the whole text; false on anything else or overflow. */
bool kv_sv_to_u64(kv_sv s, uint64_t *out);
/** The whole text as a decimal floating-point number, whatever the host's locale; at most 400
 * bytes. False on anything else, and on numbers beyond the range of a double. */
bool kv_sv_to_double(kv_sv s, double *out);
/** Bytes of the first character of s (RFC 3629), 0 when s is empty or does not begin with one. */
size_t kv_utf8_next(kv_sv s);
bool kv_utf8_valid(kv_sv s);

/* --- growing buffers: one thread at a time --- */
typedef struct kv_buf {
    char *p; /* n bytes and a NUL; NULL while empty */
    size_t n, cap, max;
    kv_code failed; /* first failure; later appends do nothing */
} kv_buf;
#define KV_BUF(limit) ((kv_buf){.max = (limit)})
void kv_buf_add(kv_buf *b, kv_sv s);
void kv_buf_addc(kv_buf *b, char c);
void kv_buf_adds(kv_buf *b, const char *s);
void kv_buf_addf(kv_buf *b, const char *fmt, ...) KV_PRINTF(2, 3);
/** n more bytes to write into, already counted; NULL (and failed set) when they cannot be had. */
char *kv_buf_extend(kv_buf *b, size_t n);
void kv_buf_truncate(kv_buf *b, size_t n);
/** KV_E_LIMIT or KV_E_NOMEM when an append failed. */
KV_MUST_CHECK kv_code kv_buf_check(const kv_buf *b, kv_error *err);
kv_sv kv_buf_sv(const kv_buf *b);
/** Moves the text out (malloc'ed, NUL-terminated, never NULL unless memory is gone). */
char *kv_buf_take(kv_buf *b);
void kv_buf_clear(kv_buf *b); /* frees; reusable with the same max */
#define kv_auto_buf KV_CLEANUP(kv_buf_clear) kv_buf
/** Appends text for people: control characters (C0, DEL, C1 in UTF-8) as \\ooo, so that what came
 * from outside is one line and moves no cursor. */
void kv_visible_add(kv_buf *out, kv_sv text);
/** The same, and backslashes too, so that it can be read back: names in lists. */
void kv_plain_add(kv_buf *out, kv_sv text);

/* --- bounded reader over hostile bytes; sticky failure --- */
typedef struct kv_rd {
    const char *p;
    size_t left;
    bool bad;
} kv_rd;
kv_sv kv_rd_take(kv_rd *r, uint64_t n); /* past the end: sets bad, returns "" */
uint8_t kv_rd_u8(kv_rd *r);
uint16_t kv_rd_u16be(kv_rd *r);
uint64_t kv_rd_u64le(kv_rd *r); /* past the end: sets bad, returns 0 */

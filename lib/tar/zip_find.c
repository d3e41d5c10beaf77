/*
 * The end record stands in the last 64 KiB and says where the central directory is; that has a header
 * for each entry, 46 bytes, then name, extra field and comment. All numbers are little-endian.
 */
#include "tar/zip_find.h"

#include <stdlib.h>
#include <string.h>

enum {
    END_BYTES = 22,
    END64_BYTES = 56,
    LOCATOR_BYTES = 20,
    HEADER_BYTES = 46,
    COMMENT_MAX = 0xffff,
    TAIL_MAX = END_BYTES + COMMENT_MAX,
    NAME_MAX_BYTES = 0xffff,
};
#define END_SIGN "PK\5\6"
#define END64_SIGN "PK\6\6"
#define LOCATOR_SIGN "PK\6\7"
#define HEADER_SIGN "PK\1\2"
#define IN_ZIP64_32 0xffffffffu
#define IN_ZIP64_16 0xffffu

typedef struct zip {
    kv_pread_fn *read;
    void *ctx;
    uint64_t size;
    uint64_t from, n; /* of the central directory, in bytes */
    char *block;      /* TAIL_MAX bytes */
} zip;

static kv_code not_zip(kv_error *err, const char *why)
{
    return kv_fail(err, KV_E_CORRUPT, "not a ZIP archive: %s", why);
}

static uint64_t le(kv_rd *r, unsigned n)
{
    kv_sv s = kv_rd_take(r, n);
    uint64_t v = 0;
    for (size_t i = 0; i < s.n; i++) v |= (uint64_t)(uint8_t)s.p[i] << 8 * i;
    return v;
}

static bool is_sign(const char *p, const char *sign)
{
    return memcmp(p, sign, 4) == 0;
}

/* What does not fit into the end record stands in another one, which a locator before it finds. */
static kv_code read_end64(zip *z, uint64_t end_at, kv_error *err)
{
    char text[END64_BYTES];
    if (end_at < LOCATOR_BYTES) return not_zip(err, "no ZIP64 locator");
    KV_TRY(z->read(z->ctx, end_at - LOCATOR_BYTES, text, LOCATOR_BYTES, err));
    if (!is_sign(text, LOCATOR_SIGN)) return not_zip(err, "no ZIP64 locator");
    kv_rd rd = {.p = text + 8, .left = LOCATOR_BYTES - 8};
    uint64_t at = kv_rd_u64le(&rd);
    if (end_at < END64_BYTES || at > end_at - END64_BYTES)
        return not_zip(err, "its ZIP64 end record is elsewhere");
    KV_TRY(z->read(z->ctx, at, text, END64_BYTES, err));
    if (!is_sign(text, END64_SIGN)) return not_zip(err, "no ZIP64 end record");
    rd = (kv_rd){.p = text + 40, .left = END64_BYTES - 40};
    z->n = kv_rd_u64le(&rd);
    z->from = kv_rd_u64le(&rd);
    return KV_OK;
}

static kv_code read_end(zip *z, uint64_t at, const char *record, kv_error *err)
{
    kv_rd rd = {.p = record + 10, .left = END_BYTES - 10};
    uint64_t n_entries = le(&rd, 2);
    z->n = le(&rd, 4);
    z->from = le(&rd, 4);
    if (n_entries == IN_ZIP64_16 || z->n == IN_ZIP64_32 || z->from == IN_ZIP64_32)
        KV_TRY(read_end64(z, at, err));
    uint64_t end;
    if (kv_ckd_add(&end, z->from, z->n) || end > at)
        return not_zip(err, "its directory lies behind its end");
    return KV_OK;
}

/* The last end record whose comment reaches exactly to the end of the archive. */
static kv_code find_end(zip *z, kv_error *err)
{
    size_t n = z->size < TAIL_MAX ? (size_t)z->size : TAIL_MAX;
    if (n < END_BYTES) return not_zip(err, "it is too short");
    uint64_t start = z->size - n;
    KV_TRY(z->read(z->ctx, start, z->block, n, err));
    for (size_t at = n - END_BYTES + 1; at-- > 0;) {
        if (!is_sign(z->block + at, END_SIGN)) continue;
        kv_rd rd = {.p = z->block + at + 20, .left = 2};
        if (at + END_BYTES + le(&rd, 2) != n) continue;
        char record[END_BYTES];
        memcpy(record, z->block + at, END_BYTES);
        return read_end(z, start + at, record, err);
    }
    return not_zip(err, "no end record");
}

static kv_code find_name(zip *z, kv_sv name, bool *out_found, kv_error *err)
{
    bool found = false;
    uint64_t at = z->from, end = z->from + z->n;
    while (at < end) {
        char head[HEADER_BYTES];
        if (end - at < HEADER_BYTES) return not_zip(err, "its directory ends inside an entry");
        KV_TRY(z->read(z->ctx, at, head, HEADER_BYTES, err));
        if (!is_sign(head, HEADER_SIGN)) return not_zip(err, "its directory is damaged");
        kv_rd rd = {.p = head + 28, .left = 6};
        uint64_t name_n = le(&rd, 2), rest = le(&rd, 2) + le(&rd, 2);
        at += HEADER_BYTES;
        if (end - at < name_n + rest) return not_zip(err, "its directory ends inside an entry");
        if (name_n == name.n) {
            KV_TRY(z->read(z->ctx, at, z->block, (size_t)name_n, err));
            if (kv_sv_eq((kv_sv){z->block, (size_t)name_n}, name)) found = true;
        }
        at += name_n + rest;
    }
    *out_found = found;
    return KV_OK;
}

kv_code kv_zip_find(kv_pread_fn *read, void *ctx, uint64_t size, kv_sv name, bool *out_found,
                    kv_error *err)
{
    zip z = {.read = read, .ctx = ctx, .size = size, .block = malloc(TAIL_MAX)};
    *out_found = false;
    if (!z.block) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_code rc = find_end(&z, err);
    if (rc == KV_OK && name.n <= NAME_MAX_BYTES) rc = find_name(&z, name, out_found, err);
    free(z.block);
    return rc;
}

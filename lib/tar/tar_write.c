#include "tar/tar_write.h"

#include <stdio.h>
#include <string.h>

/* Layout of a header block: POSIX.1-2017, pax, "ustar Interchange Format". */
enum {
    NAME_AT = 0,
    NAME_MAX_BYTES = 100,
    MODE_AT = 100,
    UID_AT = 108,
    GID_AT = 116,
    SIZE_AT = 124,
    MTIME_AT = 136,
    SUM_AT = 148,
    TYPE_AT = 156,
    MAGIC_AT = 257,
    DEVMAJOR_AT = 329,
    DEVMINOR_AT = 337,
    PREFIX_AT = 345,
    PREFIX_MAX_BYTES = 155,
};
#define USTAR_SIZE_MAX 8589934591u /* 11 octal digits */

static void put_octal(char *block, size_t at, int digits, uint64_t v)
{
    char text[32];
    snprintf(text, sizeof(text), "%0*llo", digits, (unsigned long long)v);
    memcpy(block + at, text, (size_t)digits); /* the NUL behind is there already */
}

static void put_sum(char *block)
{
    unsigned sum = 8 * ' '; /* the field counts as blanks */
    for (size_t i = 0; i < KV_TAR_BLOCK; i++) sum += (uint8_t)block[i];
    put_octal(block, SUM_AT, 6, sum);
    block[SUM_AT + 7] = ' ';
}

static void put_common(char *block, unsigned mode, unsigned uid, uint64_t size, char type)
{
    put_octal(block, MODE_AT, 7, mode & 07777);
    put_octal(block, UID_AT, 7, uid);
    put_octal(block, GID_AT, 7, 0);
    put_octal(block, SIZE_AT, 11, size);
    put_octal(block, MTIME_AT, 11, 0);
    block[TYPE_AT] = type;
    /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): bytes of the format, no string */
    memcpy(block + MAGIC_AT, "ustar\00000", 8);
}

static bool is_ascii(kv_sv s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((uint8_t)s.p[i] >= 0x80 || s.p[i] == '\0') return false;
    return true;
}

/* Rule (b): cuts a long name at a slash into prefix and name fields. */
static bool split_ustar(kv_sv path, kv_sv *prefix, kv_sv *name)
{
    size_t slash = kv_sv_rfind(kv_sv_sub(path, 0, PREFIX_MAX_BYTES + 1), '/');
    if (slash == SIZE_MAX || slash == 0) return false;
    *prefix = kv_sv_sub(path, 0, slash);
    *name = kv_sv_from(path, slash + 1);
    return name->n >= 1 && name->n <= NAME_MAX_BYTES && prefix->n <= PREFIX_MAX_BYTES;
}

/* A path as an old reader sees it behind a PAX header: ASCII bytes only, cut to the field. */
static void put_cut_name(char *block, kv_sv path)
{
    size_t kept = 0;
    for (size_t i = 0; i < path.n; i++) {
        if ((uint8_t)path.p[i] >= 0x80) continue;
        if (kept < NAME_MAX_BYTES) block[NAME_AT + kept] = path.p[i];
        kept++;
    }
    /* A cut behind a slash would make a file look like a directory. */
    if (kept > NAME_MAX_BYTES && block[NAME_AT + NAME_MAX_BYTES - 1] == '/')
        block[NAME_AT + NAME_MAX_BYTES - 1] = '\0';
}

static size_t decimal_digits(size_t v)
{
    size_t n = 1;
    while (v >= 10) {
        v /= 10;
        n++;
    }
    return n;
}

/* "LEN key=value\n", where LEN counts its own digits. */
static void add_record(kv_buf *out, const char *key, kv_sv value)
{
    size_t bare = 1 + strlen(key) + 1 + value.n + 1;
    size_t len = bare + decimal_digits(bare);
    if (decimal_digits(len) != len - bare) len = bare + decimal_digits(len);
    kv_buf_addf(out, "%zu %s=", len, key);
    kv_buf_add(out, value);
    kv_buf_addc(out, '\n');
}

/* Name of the extra header: DIR/PaxHeaders.0/BASE, ASCII bytes only, cut, no slash at its end. */
static void put_pax_name(char *block, kv_sv path)
{
    size_t slash = kv_sv_rfind(path, '/');
    kv_sv dir = slash == SIZE_MAX ? KV_SV("") : kv_sv_sub(path, 0, slash + 1);
    kv_sv base = slash == SIZE_MAX ? path : kv_sv_from(path, slash + 1);
    const kv_sv parts[] = {dir, KV_SV("PaxHeaders.0/"), base};
    size_t n = 0;
    for (size_t k = 0; k < KV_COUNT(parts); k++)
        for (size_t i = 0; i < parts[k].n && n < NAME_MAX_BYTES; i++)
            if ((uint8_t)parts[k].p[i] < 0x80) block[NAME_AT + n++] = parts[k].p[i];
    while (n && block[NAME_AT + n - 1] == '/') block[NAME_AT + --n] = '\0';
}

static void add_zeros(kv_buf *out, size_t n)
{
    char *p = kv_buf_extend(out, n);
    if (p) memset(p, 0, n);
}

static void add_pax(kv_buf *out, const kv_tar_member *m, bool ascii)
{
    kv_auto_buf records = KV_BUF(m->path.n + 128);
    if (!ascii || m->path.n > NAME_MAX_BYTES) add_record(&records, "path", m->path);
    if (m->size > USTAR_SIZE_MAX) {
        char text[24];
        snprintf(text, sizeof(text), "%llu", (unsigned long long)m->size);
        add_record(&records, "size", kv_sv_of(text));
    }
    if (records.failed) {
        out->failed = records.failed;
        return;
    }
    char block[KV_TAR_BLOCK] = {0};
    put_pax_name(block, m->path);
    put_common(block, 0, 0, records.n, 'x');
    put_sum(block);
    kv_buf_add(out, (kv_sv){block, sizeof(block)});
    kv_buf_add(out, kv_buf_sv(&records));
    add_zeros(out, kv_tar_padding(records.n));
}

void kv_tar_header(const kv_tar_member *m, kv_buf *out)
{
    char block[KV_TAR_BLOCK] = {0};
    bool ascii = is_ascii(m->path);
    kv_sv prefix = {"", 0}, name = m->path;
    bool fits = ascii && (m->path.n <= NAME_MAX_BYTES || split_ustar(m->path, &prefix, &name));

    if (fits && m->size <= USTAR_SIZE_MAX) {
        memcpy(block + NAME_AT, name.p, name.n);
        memcpy(block + PREFIX_AT, prefix.p, prefix.n);
    } else {
        add_pax(out, m, ascii);
        put_cut_name(block, m->path);
    }
    /* 11 digits of a larger size stand in the PAX record, and the field says 0. */
    put_common(block, m->mode, 1000, m->size > USTAR_SIZE_MAX ? 0 : m->size, m->dir ? '5' : '0');
    put_octal(block, DEVMAJOR_AT, 7, 0);
    put_octal(block, DEVMINOR_AT, 7, 0);
    put_sum(block);
    kv_buf_add(out, (kv_sv){block, sizeof(block)});
}

unsigned kv_tar_padding(uint64_t size)
{
    return (unsigned)((KV_TAR_BLOCK - size % KV_TAR_BLOCK) % KV_TAR_BLOCK);
}

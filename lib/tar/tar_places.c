#include "tar/tar_places.h"

#include <string.h>

#include "tar/tar_write.h"

enum { NAME_MAX_BYTES = 4096, PAX_MAX_BYTES = 64 * 1024 };

/* Offsets and lengths of the fields of a header. */
enum {
    AT_NAME = 0,
    N_NAME = 100,
    AT_SIZE = 124,
    N_SIZE = 12,
    AT_SUM = 148,
    N_SUM = 8,
    AT_TYPE = 156,
    AT_MAGIC = 257,
    AT_PREFIX = 345,
    N_PREFIX = 155,
};

typedef struct scan {
    uint64_t total, at; /* at: of the next header */
    kv_tar_pread_fn *read;
    void *read_ctx;
    kv_buf name; /* of the next entry, when an extension gave one */
    bool has_size;
    uint64_t size;
} scan;

static kv_code corrupt(const scan *s, const char *what, kv_error *err)
{
    return kv_fail(err, KV_E_CORRUPT, "archive: %s at byte %llu", what, (unsigned long long)s->at);
}

/* Octal digits with blanks around, or GNU's big-endian number behind a byte 0x80. */
static bool number(const uint8_t *p, size_t n, uint64_t *out)
{
    uint64_t v = 0;
    if (p[0] == 0x80) {
        for (size_t i = 1; i < n; i++) {
            if (v >> 56) return false;
            v = v << 8 | p[i];
        }
        *out = v;
        return true;
    }
    size_t i = 0;
    while (i < n && p[i] == ' ') i++;
    for (; i < n && p[i] >= '0' && p[i] <= '7'; i++) v = v << 3 | (uint64_t)(p[i] - '0');
    for (; i < n; i++)
        if (p[i] != ' ' && p[i] != 0) return false;
    *out = v;
    return true;
}

static bool sum_is_right(const uint8_t h[KV_TAR_BLOCK])
{
    uint64_t want, sum = 0;
    for (size_t i = 0; i < KV_TAR_BLOCK; i++)
        sum += i >= AT_SUM && i < AT_SUM + N_SUM ? (uint8_t)' ' : h[i];
    return number(h + AT_SUM, N_SUM, &want) && want == sum;
}

static kv_sv field(const uint8_t *h, size_t at, size_t n)
{
    const char *p = (const char *)h + at;
    return (kv_sv){p, strnlen(p, n)};
}

/* One record of a pax header: "LENGTH KEY=VALUE\n", LENGTH counting itself. */
static bool pax_record(kv_sv *rest, kv_sv *key, kv_sv *value)
{
    size_t blank = kv_sv_find(*rest, ' ');
    uint64_t n;
    if (blank == SIZE_MAX || !kv_sv_to_u64(kv_sv_sub(*rest, 0, blank), &n)) return false;
    if (n > rest->n || n < blank + 3 || rest->p[n - 1] != '\n') return false;
    kv_sv record = kv_sv_sub(*rest, blank + 1, (size_t)n - 1);
    bool found;
    *value = kv_sv_cut(record, '=', key, &found);
    *rest = kv_sv_from(*rest, (size_t)n);
    return found;
}

static kv_code take_pax(scan *s, kv_sv text, kv_error *err)
{
    while (text.n) {
        kv_sv key, value;
        if (!pax_record(&text, &key, &value)) return corrupt(s, "a broken pax header", err);
        if (kv_sv_starts(key, KV_SV("GNU.sparse.")))
            return kv_fail(err, KV_E_UNSUPPORTED, "archive: a sparse file");
        if (kv_sv_is(key, "path")) {
            kv_buf_truncate(&s->name, 0);
            kv_buf_add(&s->name, value);
        }
        if (kv_sv_is(key, "size")) {
            if (!kv_sv_to_u64(value, &s->size)) return corrupt(s, "a broken size", err);
            s->has_size = true;
        }
    }
    return KV_OK;
}

/* Content of an extension header, at most max bytes. */
static kv_code extension(scan *s, uint64_t content, uint64_t size, kv_buf *out, kv_error *err)
{
    if (size > out->max) return corrupt(s, "an extension header that is too long", err);
    char *p = size ? kv_buf_extend(out, (size_t)size) : NULL;
    if (!p) return size ? kv_buf_check(out, err) : KV_OK;
    return s->read(s->read_ctx, p, (size_t)size, content, err);
}

static kv_code take_extension(scan *s, char type, uint64_t content, uint64_t size, kv_error *err)
{
    kv_auto_buf text = KV_BUF(PAX_MAX_BYTES);
    KV_TRY(extension(s, content, size, &text, err));
    if (type == 'x') return take_pax(s, kv_buf_sv(&text), err);
    kv_buf_truncate(&s->name, 0); /* 'L': the name and its NUL */
    kv_buf_add(&s->name, (kv_sv){text.p, text.p ? strnlen(text.p, text.n) : 0});
    return kv_buf_check(&s->name, err);
}

static kv_code name_of(scan *s, const uint8_t *h, kv_error *err)
{
    if (s->name.n) return KV_OK;
    bool ustar = memcmp(h + AT_MAGIC, "ustar\0", 6) == 0; /* GNU has other fields there */
    kv_sv prefix = ustar ? field(h, AT_PREFIX, N_PREFIX) : (kv_sv){0};
    kv_buf_add(&s->name, prefix);
    if (prefix.n) kv_buf_addc(&s->name, '/');
    kv_buf_add(&s->name, field(h, AT_NAME, N_NAME));
    return kv_buf_check(&s->name, err);
}

static kv_code hand_out(scan *s, const uint8_t *h, uint64_t content, uint64_t size,
                        kv_tar_place_fn *fn, void *ctx, kv_error *err)
{
    KV_TRY(name_of(s, h, err));
    kv_sv path = kv_buf_sv(&s->name);
    while (kv_sv_starts(path, KV_SV("./"))) path = kv_sv_from(path, 2);
    return fn(ctx, &(kv_tar_place){.path = path, .offset = content, .size = size}, err);
}

/* Links, devices, directories and pipes have no content, whatever their size says. */
static bool has_content(char type)
{
    return type < '1' || type > '6';
}

static kv_code entry(scan *s, const uint8_t h[KV_TAR_BLOCK], kv_tar_place_fn *fn, void *ctx,
                     kv_error *err)
{
    if (!sum_is_right(h)) return corrupt(s, "no tar header", err);
    char type = (char)h[AT_TYPE];
    bool extends = type == 'x' || type == 'L';
    uint64_t size, content = s->at + KV_TAR_BLOCK;
    if (!number(h + AT_SIZE, N_SIZE, &size)) return corrupt(s, "a broken size", err);
    if (!extends && s->has_size) size = s->size;
    if (!has_content(type)) size = 0;
    if (type == 'S') return kv_fail(err, KV_E_UNSUPPORTED, "archive: a sparse file");
    if (size > s->total - content) return corrupt(s, "a file that goes on behind the end", err);
    if (extends) {
        KV_TRY(take_extension(s, type, content, size, err));
    } else {
        if (type == '0' || type == '\0' || type == '7')
            KV_TRY(hand_out(s, h, content, size, fn, ctx, err));
        if (type != 'g' && type != 'K') {
            kv_buf_truncate(&s->name, 0);
            s->has_size = false;
        }
    }
    uint64_t padding = kv_tar_padding(size), left = s->total - content - size;
    s->at = content + size + (padding < left ? padding : left);
    return KV_OK;
}

static kv_code each_entry(scan *s, kv_tar_place_fn *fn, void *ctx, kv_error *err)
{
    static const uint8_t ZEROS[KV_TAR_BLOCK];
    for (unsigned n = 0; s->total - s->at >= KV_TAR_BLOCK; n++) {
        uint8_t h[KV_TAR_BLOCK];
        KV_TRY(s->read(s->read_ctx, h, sizeof(h), s->at, err));
        if (memcmp(h, ZEROS, sizeof(h)) == 0) return KV_OK;
        if (n == KV_TAR_ENTRIES_MAX)
            return kv_fail(err, KV_E_LIMIT, "archive: more than %u entries", KV_TAR_ENTRIES_MAX);
        KV_TRY(entry(s, h, fn, ctx, err));
    }
    return s->total == s->at ? KV_OK : corrupt(s, "less than a header", err);
}

kv_code kv_tar_places(uint64_t total, kv_tar_pread_fn *read, void *read_ctx, kv_tar_place_fn *fn,
                      void *fn_ctx, kv_error *err)
{
    scan s = {.total = total, .read = read, .read_ctx = read_ctx, .name = KV_BUF(NAME_MAX_BYTES)};
    kv_code rc = each_entry(&s, fn, fn_ctx, err);
    kv_buf_clear(&s.name);
    return rc;
}

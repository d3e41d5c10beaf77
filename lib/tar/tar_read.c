#include "tar/tar_read.h"

#include <errno.h>
#include <locale.h>
#include <stdlib.h>

#include "tar/lazy_archive.h"

enum { PULL_BYTES = 512 * 1024 };

struct kv_tar_reader {
    struct archive *a;
    kv_pull_fn *pull; /* of tar bytes: the caller's, or the decompressor's */
    void *pull_ctx;
    kv_decompressor *decompressor; /* NULL: none */
    kv_skip_fn *skip;              /* NULL: bytes are read over */
    void *ctx;
    bool in_entry, in_header;
    uint64_t header_bytes; /* read for the headers of this entry */
    kv_error pull_err;     /* code set: pull failed, and this is why */
    /* libarchive converts names from a PAX header's UTF-8 to the locale of the thread, and keeps
     * the raw bytes where it cannot. A name is bytes here, so its calls run in the C locale,
     * whatever the program around us has set. */
    locale_t c_locale;
    char block[PULL_BYTES];
};

static ssize_t on_read(struct archive *a, void *ctx, const void **out)
{
    kv_tar_reader *r = ctx;
    size_t n = 0;
    kv_code rc = r->pull_err.code; /* of a skip */
    /* libarchive keeps all of a sparse map, which compresses very well. */
    if (rc == KV_OK && r->in_header && r->header_bytes > KV_TAR_HEADER_MAX)
        rc = kv_fail(&r->pull_err, KV_E_LIMIT,
                     "cannot read archive: the headers of an entry have more than %u bytes",
                     KV_TAR_HEADER_MAX);
    if (rc == KV_OK) rc = r->pull(r->pull_ctx, r->block, sizeof(r->block), &n, &r->pull_err);
    if (rc != KV_OK) {
        archive_set_error(a, EIO, "source failed");
        return -1;
    }
    r->header_bytes += n;
    *out = r->block;
    return (ssize_t)n;
}

static la_int64_t on_skip(struct archive *a, void *ctx, la_int64_t n)
{
    (void)a;
    kv_tar_reader *r = ctx;
    uint64_t done = 0;
    if (!r->skip || n <= 0) return 0;
    /* libarchive asks again, for ever, when it is told of a failure here: it is told to read, which
     * fails. */
    if (r->skip(r->ctx, (uint64_t)n, &done, &r->pull_err) != KV_OK) return 0;
    return (la_int64_t)done;
}

static kv_code fail(kv_tar_reader *r, kv_error *err)
{
    if (r->pull_err.code != KV_OK) {
        if (err) *err = r->pull_err;
        return r->pull_err.code;
    }
    const char *why = archive_error_string(r->a);
    return kv_fail(err, KV_E_CORRUPT, "cannot read archive: %s", why ? why : "damaged");
}

static int open_archive(kv_tar_reader *r)
{
    int rc = archive_read_support_format_tar(r->a);
    /* A layer of no bytes at all is an empty archive to kit. */
    if (rc == ARCHIVE_OK) rc = archive_read_support_format_empty(r->a);
    if (rc == ARCHIVE_OK) rc = archive_read_open2(r->a, r, NULL, on_read, on_skip, NULL);
    return rc;
}

/* Not libarchive's: its zstd takes any window, and what it reads for a header cannot be counted. */
static kv_code open_source(kv_tar_reader *r, kv_tar_filter filter, kv_pull_fn *pull, kv_error *err)
{
    r->pull = pull;
    r->pull_ctx = r->ctx;
    if (filter == KV_TAR_PLAIN) return KV_OK;
    kv_codec codec = filter == KV_TAR_GZIP ? KV_CODEC_GZIP : KV_CODEC_ZSTD;
    r->decompressor = kv_decompressor_new(codec, pull, r->ctx);
    if (!r->decompressor) return kv_fail(err, KV_E_NOMEM, "out of memory");
    r->pull = kv_decompressor_pull;
    r->pull_ctx = r->decompressor;
    return KV_OK;
}

kv_code kv_tar_open(kv_tar_filter filter, kv_pull_fn *pull, void *ctx, kv_tar_reader **out,
                    kv_error *err)
{
    return kv_tar_open_skipping(filter, pull, NULL, ctx, out, err);
}

kv_code kv_tar_open_skipping(kv_tar_filter filter, kv_pull_fn *pull, kv_skip_fn *skip, void *ctx,
                             kv_tar_reader **out, kv_error *err)
{
    KV_TRY(kv_archive_load(err));
    kv_auto(kv_tar_reader) r = calloc(1, sizeof(*r));
    if (!r) return kv_fail(err, KV_E_NOMEM, "out of memory");
    r->skip = filter == KV_TAR_PLAIN ? skip : NULL;
    r->ctx = ctx;
    KV_TRY(open_source(r, filter, pull, err));
    r->c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    r->a = archive_read_new();
    if (!r->a || !r->c_locale) return kv_fail(err, KV_E_NOMEM, "out of memory");
    locale_t before = uselocale(r->c_locale);
    int rc = open_archive(r);
    uselocale(before);
    if (rc != ARCHIVE_OK) return fail(r, err);
    *out = KV_TAKE(r);
    return KV_OK;
}

void kv_tar_close(kv_tar_reader *r)
{
    if (!r) return;
    if (r->a) archive_read_free(r->a);
    if (r->c_locale) freelocale(r->c_locale);
    kv_decompressor_free(r->decompressor);
    free(r);
}

/* The type byte of the header that libarchive's view of an entry came from. */
static unsigned type_byte(struct archive_entry *e)
{
    static const struct {
        unsigned filetype;
        char type;
    } TYPES[] = {{AE_IFREG, '0'}, {AE_IFLNK, '2'}, {AE_IFCHR, '3'},
                 {AE_IFBLK, '4'}, {AE_IFDIR, '5'}, {AE_IFIFO, '6'}};
    if (archive_entry_hardlink(e)) return '1';
    for (size_t i = 0; i < KV_COUNT(TYPES); i++)
        if (archive_entry_filetype(e) == TYPES[i].filetype) return (unsigned)TYPES[i].type;
    return '?';
}

static kv_code take_entry(kv_tar_reader *r, struct archive_entry *e, kv_tar_entry *out,
                          kv_error *err)
{
    const char *path = archive_entry_pathname(e);
    if (!path || !*path) return kv_fail(err, KV_E_CORRUPT, "archive entry without a name");
    unsigned type = type_byte(e);
    int64_t size = archive_entry_size_is_set(e) ? archive_entry_size(e) : 0;
    if (size < 0) return fail(r, err);
    *out = (kv_tar_entry){
        .path = kv_sv_of(path),
        .kind = type == '0'   ? KV_TAR_FILE
                : type == '5' ? KV_TAR_DIR
                              : KV_TAR_OTHER,
        .type = type,
        .mode = archive_entry_perm(e) & 07777,
        .size = (uint64_t)size,
    };
    return KV_OK;
}

/* What is left of the last entry is passed over apart, so that it does not count as headers. */
static int next_header(kv_tar_reader *r, struct archive_entry **out)
{
    int rc = r->in_entry ? archive_read_data_skip(r->a) : ARCHIVE_OK;
    if (rc == ARCHIVE_EOF || rc < ARCHIVE_WARN) return ARCHIVE_FATAL;
    r->header_bytes = 0;
    r->in_header = true;
    rc = archive_read_next_header(r->a, out);
    r->in_header = false;
    r->in_entry = rc == ARCHIVE_OK || rc == ARCHIVE_WARN;
    return rc;
}

kv_code kv_tar_next(kv_tar_reader *r, kv_tar_entry *out, bool *out_more, kv_error *err)
{
    struct archive_entry *e = NULL;
    locale_t before = uselocale(r->c_locale);
    int rc = next_header(r, &e);
    kv_code code = KV_OK;
    *out_more = rc != ARCHIVE_EOF;
    /* libarchive may take a source that fails for one that ends. */
    if (r->pull_err.code != KV_OK) rc = ARCHIVE_FATAL;
    /* A warning is about a name that is not ASCII, see above: its bytes are there. */
    if (rc == ARCHIVE_OK || rc == ARCHIVE_WARN)
        code = take_entry(r, e, out, err);
    else if (rc != ARCHIVE_EOF)
        code = fail(r, err);
    uselocale(before);
    return code;
}

kv_code kv_tar_read(kv_tar_reader *r, const void **out_p, size_t *out_n, uint64_t *out_off,
                    kv_error *err)
{
    la_int64_t off = 0;
    *out_n = 0;
    for (;;) {
        int rc = archive_read_data_block(r->a, out_p, out_n, &off);
        if (r->pull_err.code != KV_OK) return fail(r, err);
        if (rc == ARCHIVE_EOF) {
            *out_n = 0;
            return KV_OK;
        }
        if (rc != ARCHIVE_OK || off < 0) return fail(r, err);
        if (*out_n) break; /* a hole at the end of a sparse file comes as an empty piece */
    }
    *out_off = (uint64_t)off;
    return KV_OK;
}

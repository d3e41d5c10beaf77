/*
 * Blobs in a directory:
 *   oci-layout                  {"imageLayoutVersion":"1.0.0"}
 *   blobs/sha256/HEX, blobs/sha512/HEX
 *   uploads/ID                  bytes of an upload in progress
 * An upload is renamed to its final name after fdatasync; then the directory is synced. All are on
 * one file system, so a rename is atomic.
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crash.h"
#include "base/file.h"
#include "base/flusher.h"
#include "blob/blob.h"
#include "codec/text.h"
#include "oci/image_layout.h"

/* Dirty bytes are pushed to the disk in steps while more arrive, and the disk's own cache is flushed
 * in larger ones, so that the sync at the end of a large upload has little left to wait for. */
enum { WRITEBACK_STEP = 8 << 20, FLUSH_STEP = 32 << 20 };

typedef struct fs_blobs {
    kv_blobs base;
    int dir;     /* the root */
    int uploads; /* uploads/ */
    int algs[3]; /* blobs/ALGORITHM, indexed by kv_digest_alg; -1: not there */
    mode_t mode; /* of new files, less the umask */
    kv_flusher *flusher;
} fs_blobs;

typedef struct fs_reader {
    kv_blob_reader base;
} fs_reader;

typedef struct fs_writer {
    kv_blob_writer base;
    fs_blobs *blobs;
    int fd;
    kv_flush flush;
    uint64_t pushed;   /* bytes whose write-back has been started */
    uint64_t flushed;  /* bytes whose flush has been asked for */
    uint64_t reserved; /* size of the file, where it is more than what was appended */
    char id[];
} fs_writer;

static const kv_blobs_ops FS_OPS;

static fs_blobs *fs_of(kv_blobs *b)
{
    assert(b->ops == &FS_OPS);
    return (fs_blobs *)(void *)b;
}

static void name_of(const kv_digest *d, char out[KV_DIGEST_TEXT_MAX])
{
    kv_digest_text t = kv_digest_str(d);
    memmove(out, t.s + 7, sizeof(t.s) - 7);
}

/* --- reading --- */

static kv_code fs_read(kv_blob_reader *r, uint64_t off, void *dst, size_t n, kv_error *err)
{
    return kv_pread_all(r->fd, "blob", dst, n, off, err);
}

static void fs_close(kv_blob_reader *r)
{
    kv_close_fd(&r->fd);
    free(r);
}

static const kv_blob_reader_ops FS_READER_OPS = {.read = fs_read, .close = fs_close};

static kv_code fs_open(kv_blobs *b, const kv_digest *d, kv_blob_reader **out, kv_error *err)
{
    char name[KV_DIGEST_TEXT_MAX];
    name_of(d, name);
    int dir = fs_of(b)->algs[d->alg];
    kv_auto_fd fd = dir < 0 ? -1 : openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (dir < 0 || (fd < 0 && errno == ENOENT))
        return kv_fail(err, KV_E_NOTFOUND, "blob %s not found", kv_digest_str(d).s);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return kv_fail_sys(err, "cannot open blob %s", kv_digest_str(d).s);
    fs_reader *r = calloc(1, sizeof(*r));
    if (!r) return kv_fail(err, KV_E_NOMEM, "out of memory");
    r->base = (kv_blob_reader){.ops = &FS_READER_OPS, .size = (uint64_t)st.st_size, .fd = fd};
    fd = -1;
    *out = &r->base;
    return KV_OK;
}

/* --- writing --- */

static fs_writer *writer_of(kv_blob_writer *w)
{
    return (fs_writer *)(void *)w;
}

static kv_code fs_append(kv_blob_writer *base, const void *p, size_t n, kv_error *err)
{
    fs_writer *w = writer_of(base);
    KV_TRY(kv_write_all(w->fd, "upload", p, n, err));
    uint64_t end = base->offset + n;
    if (end - w->pushed >= WRITEBACK_STEP) {
        /* Only a hint: the sync at the end reports failures. */
        sync_file_range(w->fd, (off_t)w->pushed, (off_t)(end - w->pushed), SYNC_FILE_RANGE_WRITE);
        w->pushed = end;
    }
    if (end - w->flushed >= FLUSH_STEP) {
        kv_flusher_ask(w->blobs->flusher, &w->flush);
        w->flushed = end;
    }
    return KV_OK;
}

static kv_code fs_expect(kv_blob_writer *base, uint64_t n, kv_error *err)
{
    fs_writer *w = writer_of(base);
    uint64_t end;
    if (kv_ckd_add(&end, base->offset, n) || end > INT64_MAX)
        return kv_fail(err, KV_E_LIMIT, "blob is larger than 2^63-1 bytes");
    if (fallocate(w->fd, 0, (off_t)base->offset, (off_t)n) < 0) {
        /* A file system that cannot reserve is no failure. */
        if (errno == EOPNOTSUPP || errno == EINTR) return KV_OK;
        return kv_fail_sys(err, "no room for an upload of %llu bytes", (unsigned long long)end);
    }
    if (w->reserved < end) w->reserved = end;
    return KV_OK;
}

/* What was reserved and did not come must not be part of the blob. */
static kv_code cut_reserve(fs_writer *w, kv_error *err)
{
    if (w->reserved <= w->base.offset) return KV_OK;
    if (ftruncate(w->fd, (off_t)w->base.offset) < 0)
        return kv_fail_sys(err, "cannot cut upload '%s'", w->id);
    w->reserved = w->base.offset;
    return KV_OK;
}

/* Everything that was appended, and nothing else, is in the file and durable. */
static kv_code make_durable(fs_writer *w, kv_error *err)
{
    KV_TRY(cut_reserve(w, err));
    KV_TRY(kv_flusher_wait(w->blobs->flusher, &w->flush, err));
    kv_crash_point("blob.before-sync");
    if (fdatasync(w->fd) < 0) return kv_fail_sys(err, "cannot sync upload '%s'", w->id);
    return KV_OK;
}

static kv_code fs_sync(kv_blob_writer *base, kv_buf *state, kv_error *err)
{
    (void)state; /* the file's name is the id, which the caller keeps */
    return make_durable(writer_of(base), err);
}

static kv_code fs_reread(kv_blob_writer *base, uint64_t off, void *dst, size_t n, kv_error *err)
{
    return kv_pread_all(writer_of(base)->fd, "upload", dst, n, off, err);
}

static kv_code fs_finish(kv_blob_writer *base, const kv_digest *d, kv_error *err)
{
    fs_writer *w = writer_of(base);
    char name[KV_DIGEST_TEXT_MAX];
    name_of(d, name);
    KV_TRY(make_durable(w, err));
    kv_crash_point("blob.before-rename");
    /* Also when the blob is there already: the same bytes, freshly verified. */
    if (renameat(w->blobs->uploads, w->id, w->blobs->algs[d->alg], name) < 0)
        return kv_fail_sys(err, "cannot store blob %s", kv_digest_str(d).s);
    kv_crash_point("blob.after-rename");
    if (fsync(w->blobs->algs[d->alg]) < 0)
        return kv_fail_sys(err, "cannot sync the directory of blob %s", kv_digest_str(d).s);
    return KV_OK;
}

static void fs_release(kv_blob_writer *base, bool forget)
{
    fs_writer *w = writer_of(base);
    kv_code ignored = kv_flusher_wait(w->blobs->flusher, &w->flush, NULL);
    (void)ignored; /* who wanted to keep the bytes has asked before */
    if (forget) unlinkat(w->blobs->uploads, w->id, 0);
    kv_close_fd(&w->fd);
    free(w);
}

static const kv_blob_writer_ops FS_WRITER_OPS = {
    .append = fs_append,
    .expect = fs_expect,
    .sync = fs_sync,
    .reread = fs_reread,
    .finish = fs_finish,
    .release = fs_release,
};

static kv_code new_writer(fs_blobs *fs, const char *id, int flags, fs_writer **out, kv_error *err)
{
    kv_auto_fd fd = openat(fs->uploads, id, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, fs->mode);
    if (fd < 0) return kv_fail_sys(err, "cannot open upload '%s'", id);
    size_t n = strlen(id) + 1;
    fs_writer *w = calloc(1, sizeof(*w) + n);
    if (!w) return kv_fail(err, KV_E_NOMEM, "out of memory");
    w->base.ops = &FS_WRITER_OPS;
    w->blobs = fs;
    w->fd = w->flush.fd = fd;
    memcpy(w->id, id, n);
    fd = -1;
    *out = w;
    return KV_OK;
}

static kv_code fs_begin(kv_blobs *b, const char *id, kv_blob_writer **out, kv_error *err)
{
    fs_writer *w = NULL;
    KV_TRY(new_writer(fs_of(b), id, O_CREAT | O_EXCL, &w, err));
    *out = &w->base;
    return KV_OK;
}

static kv_code cut_to(fs_writer *w, uint64_t offset, kv_error *err)
{
    struct stat st;
    if (fstat(w->fd, &st) < 0) return kv_fail_sys(err, "cannot stat upload '%s'", w->id);
    if ((uint64_t)st.st_size < offset)
        return kv_fail(err, KV_E_CORRUPT, "upload '%s' has %lld bytes, its state says %llu", w->id,
                       (long long)st.st_size, (unsigned long long)offset);
    if (ftruncate(w->fd, (off_t)offset) < 0)
        return kv_fail_sys(err, "cannot cut upload '%s'", w->id);
    if (lseek(w->fd, (off_t)offset, SEEK_SET) < 0)
        return kv_fail_sys(err, "cannot seek in upload '%s'", w->id);
    w->pushed = w->flushed = offset;
    return KV_OK;
}

static kv_code fs_resume(kv_blobs *b, const char *id, kv_sv state, uint64_t offset,
                         kv_blob_writer **out, kv_error *err)
{
    (void)state;
    fs_writer *w = NULL;
    KV_TRY(new_writer(fs_of(b), id, 0, &w, err));
    kv_code rc = cut_to(w, offset, err);
    if (rc != KV_OK) {
        fs_release(&w->base, false);
        return rc;
    }
    *out = &w->base;
    return KV_OK;
}

static kv_code fs_forget(kv_blobs *b, const char *id, kv_error *err)
{
    if (unlinkat(fs_of(b)->uploads, id, 0) < 0 && errno != ENOENT)
        return kv_fail_sys(err, "cannot remove upload '%s'", id);
    return KV_OK;
}

/* --- the rest --- */

static kv_code fs_drop(kv_blobs *b, const kv_digest *d, kv_error *err)
{
    char name[KV_DIGEST_TEXT_MAX];
    name_of(d, name);
    int dir = fs_of(b)->algs[d->alg];
    if (unlinkat(dir, name, 0) < 0) {
        if (errno == ENOENT)
            return kv_fail(err, KV_E_NOTFOUND, "blob %s not found", kv_digest_str(d).s);
        return kv_fail_sys(err, "cannot remove blob %s", kv_digest_str(d).s);
    }
    if (fsync(dir) < 0) return kv_fail_sys(err, "cannot sync the directory of blobs");
    return KV_OK;
}

static kv_code each_in(fs_blobs *fs, kv_digest_alg alg, kv_blob_fn *fn, void *ctx, kv_error *err)
{
    if (fs->algs[alg] < 0) return KV_OK;
    int fd = openat(fs->algs[alg], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        kv_code rc = kv_fail_sys(err, "cannot list blobs");
        kv_close_fd(&fd);
        return rc;
    }
    kv_code rc = KV_OK;
    for (struct dirent *e; rc == KV_OK && (e = readdir(dir));) {
        kv_digest d = {.alg = alg};
        struct stat st;
        /* Foreign files, and blobs that went away since the listing, are none of ours. */
        if (!kv_hex_parse(kv_sv_of(e->d_name), d.bytes, kv_digest_size(alg))) continue;
        if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode)) continue;
        rc = fn(ctx, &d, (uint64_t)st.st_size, err);
    }
    closedir(dir);
    return rc;
}

static kv_code fs_each(kv_blobs *b, kv_blob_fn *fn, void *ctx, kv_error *err)
{
    KV_TRY(each_in(fs_of(b), KV_SHA256, fn, ctx, err));
    return each_in(fs_of(b), KV_SHA512, fn, ctx, err);
}

static void fs_free(kv_blobs *b)
{
    fs_blobs *fs = fs_of(b);
    kv_close_fd(&fs->dir);
    kv_close_fd(&fs->uploads);
    kv_close_fd(&fs->algs[KV_SHA256]);
    kv_close_fd(&fs->algs[KV_SHA512]);
    kv_flusher_free(fs->flusher);
    free(fs);
}

static const kv_blobs_ops FS_OPS = {
    .scheme = "file",
    .open = fs_open,
    .begin = fs_begin,
    .resume = fs_resume,
    .forget = fs_forget,
    .drop = fs_drop,
    .each = fs_each,
    .free = fs_free,
};

/* make: with these permissions, less the umask; 0: a missing one is *out -1. */
static kv_code open_dir(const char *root, const char *sub, mode_t make, int *out, kv_error *err)
{
    kv_auto_str path = kv_path_join(root, sub);
    if (!path) return kv_fail(err, KV_E_NOMEM, "out of memory");
    if (make) KV_TRY(kv_mkdirs(path, make, err));
    *out = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*out >= 0 || (!make && errno == ENOENT)) return KV_OK;
    return kv_fail_sys(err, "cannot open directory '%s'", path);
}

static kv_code write_layout(const char *root, mode_t mode, kv_error *err)
{
    kv_auto_str path = kv_path_join(root, KV_IMAGE_LAYOUT_FILE);
    if (!path) return kv_fail(err, KV_E_NOMEM, "out of memory");
    if (access(path, F_OK) == 0) return kv_image_layout_check(path, err);
    return kv_file_write(path, KV_SV(KV_IMAGE_LAYOUT_TEXT), mode, err);
}

static kv_code new_fs(kv_blobs **out, kv_error *err)
{
    fs_blobs *fs = calloc(1, sizeof(*fs));
    if (!fs) return kv_fail(err, KV_E_NOMEM, "out of memory");
    *fs = (fs_blobs){
        .base.ops = &FS_OPS, .dir = -1, .uploads = -1, .algs = {-1, -1, -1}, .mode = 0600};
    *out = &fs->base;
    fs->flusher = kv_flusher_new();
    return fs->flusher ? KV_OK : kv_fail(err, KV_E_NOMEM, "out of memory");
}

static kv_code open_dirs(fs_blobs *fs, const char *dir, mode_t make, kv_error *err)
{
    KV_TRY(open_dir(dir, ".", make, &fs->dir, err));
    if (fs->dir < 0) return kv_fail(err, KV_E_NOTFOUND, "no directory '%s'", dir);
    KV_TRY(open_dir(dir, "uploads", make, &fs->uploads, err));
    KV_TRY(open_dir(dir, "blobs/sha256", make, &fs->algs[KV_SHA256], err));
    return open_dir(dir, "blobs/sha512", make, &fs->algs[KV_SHA512], err);
}

kv_code kv_blobs_open_fs(const char *dir, kv_blobs **out, kv_error *err)
{
    kv_auto(kv_blobs) b = NULL;
    *out = NULL;
    KV_TRY(new_fs(&b, err));
    KV_TRY(open_dirs(fs_of(b), dir, 0700, err));
    KV_TRY(write_layout(dir, 0644, err));
    *out = KV_TAKE(b);
    return KV_OK;
}

kv_code kv_blobs_open_layout(const char *dir, bool write, kv_blobs **out, kv_error *err)
{
    kv_auto(kv_blobs) b = NULL;
    *out = NULL;
    KV_TRY(new_fs(&b, err));
    fs_of(b)->mode = 0666;
    KV_TRY(open_dirs(fs_of(b), dir, write ? 0777 : 0, err));
    if (write) KV_TRY(write_layout(dir, KV_MODE_UMASK, err));
    *out = KV_TAKE(b);
    return KV_OK;
}

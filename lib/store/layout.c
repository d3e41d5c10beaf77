#include "store/layout.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "codec/text.h"
#include "oci/image_layout.h"
#include "store/store_priv.h"

enum { LOCK_WAIT_MS = 30000, RANDOM_BYTES = 8, COPY_BYTES = 256 * 1024 };

kv_code kv_store_path(const kv_store *s, kv_buf *out, kv_error *err, const char *fmt, ...)
{
    char rest[1024];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(rest, sizeof(rest), fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof(rest)) return kv_fail(err, KV_E_LIMIT, "path is too long");
    kv_buf_addf(out, "%s/%s", s->home, rest);
    return kv_buf_check(out, err);
}

kv_code kv_store_blob_path(const kv_store *s, const kv_digest *d, kv_buf *out, kv_error *err)
{
    return kv_store_path(s, out, err, "storage/blobs/%s/%s", kv_digest_alg_name(d->alg),
                         kv_digest_str(d).s + strlen("sha256:"));
}

/* --- directories, lock --- */

bool kv_store_exists(const kv_store *s)
{
    kv_auto_buf path = KV_BUF(KV_STORE_PATH_MAX);
    return kv_store_path(s, &path, NULL, "storage") == KV_OK && access(path.p, F_OK) == 0;
}

kv_code kv_store_lock(kv_store *s, int *out_fd, kv_error *err)
{
    kv_auto_buf path = KV_BUF(KV_STORE_PATH_MAX);
    KV_TRY(kv_mkdirs(s->home, 0755, err));
    /* Beside storage/, which holds kit's files only. */
    KV_TRY(kv_store_path(s, &path, err, "storage.lock"));
    return kv_lock_file(path.p, true, LOCK_WAIT_MS, out_fd, err);
}

/* A home that is not there, or that cannot be written, has nothing to protect. */
static bool cannot_be_held(kv_code rc, int sys)
{
    return rc == KV_E_NOTFOUND || sys == EROFS || sys == EACCES || sys == EPERM;
}

static kv_code take_hold(kv_store *s, bool exclusive, unsigned wait_ms, int *out_fd, kv_error *err)
{
    kv_auto_buf path = KV_BUF(KV_STORE_PATH_MAX);
    kv_error local = {0};
    *out_fd = -1;
    KV_TRY(kv_store_path(s, &path, err, "storage.use"));
    kv_code rc = kv_lock_file(path.p, exclusive, wait_ms, out_fd, &local);
    if (rc == KV_OK || cannot_be_held(rc, local.sys)) return KV_OK;
    if (err) *err = local;
    return rc;
}

kv_code kv_store_hold(kv_store *s, int *out_fd, kv_error *err)
{
    return take_hold(s, false, LOCK_WAIT_MS, out_fd, err);
}

kv_code kv_store_hold_alone(kv_store *s, unsigned wait_ms, int *out_fd, kv_error *err)
{
    return take_hold(s, true, wait_ms, out_fd, err);
}

bool kv_store_is_abandoned(int dir_fd, const char *name)
{
    kv_auto_fd fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
}

/* Removes abandoned files of DIR whose name has our mark. Failures do not matter here. */
static void sweep(const kv_store *s, const char *dir, const char *mark)
{
    kv_auto_buf path = KV_BUF(KV_STORE_PATH_MAX);
    if (kv_store_path(s, &path, NULL, "%s", dir) != KV_OK) return;
    DIR *d = opendir(path.p);
    if (!d) return;
    for (struct dirent *e; (e = readdir(d));)
        if (strstr(e->d_name, mark) && kv_store_is_abandoned(dirfd(d), e->d_name))
            unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
}

static kv_code write_if_missing(const kv_store *s, const char *name, kv_sv text, kv_error *err)
{
    kv_auto_buf path = KV_BUF(KV_STORE_PATH_MAX);
    KV_TRY(kv_store_path(s, &path, err, "storage/%s", name));
    if (access(path.p, F_OK) == 0) return KV_OK;
    return kv_file_write(path.p, text, KV_MODE_UMASK, err);
}

kv_code kv_store_prepare(kv_store *s, kv_error *err)
{
    if (atomic_load(&s->prepared)) return KV_OK;
    static const char *const DIRS[] = {"storage/blobs/sha256", "storage/ingest"};
    for (size_t i = 0; i < KV_COUNT(DIRS); i++) {
        kv_auto_buf path = KV_BUF(KV_STORE_PATH_MAX);
        KV_TRY(kv_store_path(s, &path, err, "%s", DIRS[i]));
        KV_TRY(kv_mkdirs(path.p, 0755, err));
    }
    KV_TRY(kv_store_recover(s, NULL, err));
    /* Under the lock, or an empty index.json could replace one that was just filled. */
    kv_auto_fd lock = -1;
    KV_TRY(kv_store_lock(s, &lock, err));
    KV_TRY(write_if_missing(s, KV_IMAGE_LAYOUT_FILE, KV_SV(KV_IMAGE_LAYOUT_TEXT), err));
    kv_auto_buf empty = KV_BUF(1024);
    kv_store_index_format(&(kv_store_list){0}, true, &empty);
    KV_TRY(kv_buf_check(&empty, err));
    KV_TRY(write_if_missing(s, "index.json", kv_buf_sv(&empty), err));
    KV_TRY(kv_store_settle(s, err));
    sweep(s, "storage", KV_FILE_TEMP_MARK); /* lists and oci-layout, only written under the lock */
    sweep(s, ".", KV_STORE_NOTE KV_FILE_TEMP_MARK);
    sweep(s, "storage/ingest", KV_STORE_TEMP_MARK);
    sweep(s, "cache/pack", KV_STORE_TEMP_MARK);
    atomic_store(&s->prepared, true);
    return KV_OK;
}

/* --- temporary files --- */

static kv_code make_once(const char *path, int *out_fd, kv_error *err)
{
    kv_auto_fd fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return kv_fail_sys(err, "cannot create '%s'", path);
    struct stat st;
    if (flock(fd, LOCK_EX) < 0) return kv_fail_sys(err, "cannot lock '%s'", path);
    if (fstat(fd, &st) < 0) return kv_fail_sys(err, "cannot stat '%s'", path);
    /* A sweep may have come between making and locking. */
    if (st.st_nlink == 0) return kv_fail(err, KV_E_BUSY, "'%s' was removed", path);
    *out_fd = fd;
    fd = -1;
    return KV_OK;
}

kv_code kv_store_temp_make(kv_store *s, const char *dir, const char *prefix, kv_store_temp *out,
                           kv_error *err)
{
    kv_code rc = KV_E_BUSY;
    for (int tries = 0; rc == KV_E_BUSY && tries < 10; tries++) {
        uint8_t r[RANDOM_BYTES];
        kv_random(r, sizeof(r));
        kv_auto_buf path = KV_BUF(KV_STORE_PATH_MAX);
        KV_TRY(kv_store_path(s, &path, err, "%s/%s" KV_STORE_TEMP_MARK, dir, prefix));
        kv_hex_add(&path, r, sizeof(r));
        KV_TRY(kv_buf_check(&path, err));
        rc = make_once(path.p, &out->fd, err);
        if (rc == KV_OK) out->path = kv_buf_take(&path);
    }
    if (rc == KV_OK && !out->path) {
        kv_close_fd(&out->fd);
        return kv_fail(err, KV_E_NOMEM, "out of memory");
    }
    return rc;
}

void kv_store_temp_drop(kv_store_temp *t)
{
    if (t->path) unlink(t->path);
    free(t->path);
    t->path = NULL;
    kv_close_fd(&t->fd);
}

/* For a cache directory on another file system, which rename cannot leave. */
static kv_code copy_to_ingest(kv_store *s, kv_store_temp *t, kv_error *err)
{
    kv_auto_store_temp copy = KV_STORE_TEMP_NONE;
    KV_TRY(kv_store_temp_make(s, "storage/ingest", "copy", &copy, err));
    kv_auto_str block = malloc(COPY_BYTES);
    if (!block) return kv_fail(err, KV_E_NOMEM, "out of memory");
    uint64_t off = 0;
    for (;;) {
        ssize_t got = pread(t->fd, block, COPY_BYTES, (off_t)off);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return kv_fail_sys(err, "cannot read '%s'", t->path);
        if (got == 0) break;
        KV_TRY(kv_write_all(copy.fd, copy.path, block, (size_t)got, err));
        off += (uint64_t)got;
    }
    kv_store_temp old = *t;
    *t = copy;
    copy = old; /* dropped by its cleanup */
    return KV_OK;
}

kv_code kv_store_temp_rename(kv_store_temp *t, const char *path, kv_error *err)
{
    if (rename(t->path, path) < 0) return kv_fail_sys(err, "cannot rename to '%s'", path);
    free(t->path);
    t->path = NULL;
    kv_close_fd(&t->fd);
    return KV_OK;
}

static kv_code finish_temp(const kv_store *s, kv_store_temp *t, mode_t mode, kv_error *err)
{
    if (fchmod(t->fd, mode) < 0) return kv_fail_sys(err, "cannot set the mode of '%s'", t->path);
    if (s->waits && fsync(t->fd) < 0) return kv_fail_sys(err, "cannot sync '%s'", t->path);
    return KV_OK;
}

static bool same_device(kv_store *s, int fd)
{
    kv_auto_buf dir = KV_BUF(KV_STORE_PATH_MAX);
    struct stat a, b;
    if (kv_store_path(s, &dir, NULL, "storage/blobs/sha256") != KV_OK) return true;
    return stat(dir.p, &a) < 0 || fstat(fd, &b) < 0 || a.st_dev == b.st_dev;
}

kv_code kv_store_replace(kv_store *s, kv_store_temp *t, const kv_digest *d, mode_t mode,
                         kv_error *err)
{
    kv_auto_buf path = KV_BUF(KV_STORE_PATH_MAX);
    KV_TRY(kv_store_blob_path(s, d, &path, err));
    if (d->alg == KV_SHA512) { /* rare, so made on demand */
        kv_auto_buf dir = KV_BUF(KV_STORE_PATH_MAX);
        KV_TRY(kv_store_path(s, &dir, err, "storage/blobs/sha512"));
        KV_TRY(kv_mkdirs(dir.p, 0755, err));
    }
    if (!same_device(s, t->fd)) KV_TRY(copy_to_ingest(s, t, err));
    KV_TRY(finish_temp(s, t, mode, err));
    return kv_store_temp_rename(t, path.p, err);
}

kv_code kv_store_adopt(kv_store *s, kv_store_temp *t, const kv_digest *d, uint64_t size,
                       mode_t mode, bool *out_existed, kv_error *err)
{
    *out_existed = kv_store_has(s, d, size);
    if (!*out_existed) return kv_store_replace(s, t, d, mode, err);
    kv_store_temp_drop(t);
    return KV_OK;
}

kv_code kv_store_sync_blobs(kv_store *s, kv_digest_alg alg, kv_error *err)
{
    if (!s->waits) return KV_OK;
    kv_auto_buf dir = KV_BUF(KV_STORE_PATH_MAX);
    KV_TRY(kv_store_path(s, &dir, err, "storage/blobs/%s", kv_digest_alg_name(alg)));
    return kv_fsync_dir(dir.p, err);
}

/* --- lists --- */

static kv_code list_path(kv_store *s, const char *stem, const char *what, kv_buf *out,
                         kv_error *err)
{
    if (!stem) return kv_store_path(s, out, err, "storage/index.json");
    return kv_store_path(s, out, err, "storage/%s-%s.json", stem, what);
}

typedef kv_code parse_fn(kv_sv text, const char *where, kv_store_list *out, kv_error *err);

static kv_code read_list(kv_store *s, const char *stem, const char *what, parse_fn *parse,
                         kv_store_list *out, kv_error *err)
{
    *out = (kv_store_list){0};
    kv_auto_buf path = KV_BUF(KV_STORE_PATH_MAX), text = KV_BUF(KV_STORE_LIST_MAX);
    KV_TRY(list_path(s, stem, what, &path, err));
    kv_error local;
    kv_code rc = kv_file_read(path.p, &text, &local);
    if (rc == KV_E_NOTFOUND) return KV_OK;
    if (rc != KV_OK) {
        if (err) *err = local;
        return rc;
    }
    return parse(kv_buf_sv(&text), path.p, out, err);
}

kv_code kv_store_read_index(kv_store *s, const char *stem, kv_store_list *out, kv_error *err)
{
    return read_list(s, stem, "index", kv_store_index_parse, out, err);
}

kv_code kv_store_read_tags(kv_store *s, const char *stem, kv_store_list *out, kv_error *err)
{
    return read_list(s, stem, "tags", kv_store_tags_parse, out, err);
}

static kv_code write_list(kv_store *s, const char *stem, const char *what, const kv_store_list *l,
                          kv_buf *text, kv_error *err)
{
    kv_auto_buf path = KV_BUF(KV_STORE_PATH_MAX);
    KV_TRY(kv_buf_check(text, err));
    KV_TRY(list_path(s, stem, what, &path, err));
    if (l->n || !stem) return kv_file_write(path.p, kv_buf_sv(text), KV_MODE_UMASK, err);
    if (unlink(path.p) < 0 && errno != ENOENT)
        return kv_fail_sys(err, "cannot remove '%s'", path.p);
    return KV_OK;
}

kv_code kv_store_write_index(kv_store *s, const char *stem, const kv_store_list *l, kv_error *err)
{
    kv_auto_buf text = KV_BUF(KV_STORE_LIST_MAX);
    kv_store_index_format(l, !stem, &text);
    return write_list(s, stem, "index", l, &text, err);
}

kv_code kv_store_write_tags(kv_store *s, const char *stem, const kv_store_list *l, kv_error *err)
{
    kv_auto_buf text = KV_BUF(KV_STORE_LIST_MAX);
    kv_store_tags_format(l, &text);
    return write_list(s, stem, "tags", l, &text, err);
}

static kv_code each_repo(DIR *d, kv_store_repo_fn *fn, void *ctx, kv_error *err)
{
    for (struct dirent *e; (e = readdir(d));) {
        kv_auto_buf name = KV_BUF(1024);
        if (!kv_store_name_decode(kv_sv_of(e->d_name), &name)) continue;
        kv_auto_str stem = strdup(e->d_name);
        if (!stem) return kv_fail(err, KV_E_NOMEM, "out of memory");
        stem[strlen(stem) - strlen(KV_STORE_NAME_SUFFIX)] = '\0';
        KV_TRY(fn(ctx, stem, kv_buf_sv(&name), err));
    }
    return KV_OK;
}

kv_code kv_store_each_repo(kv_store *s, kv_store_repo_fn *fn, void *ctx, kv_error *err)
{
    kv_auto_buf path = KV_BUF(KV_STORE_PATH_MAX);
    KV_TRY(kv_store_path(s, &path, err, "storage"));
    DIR *d = opendir(path.p);
    if (!d && errno == ENOENT) return KV_OK;
    if (!d) return kv_fail_sys(err, "cannot open directory '%s'", path.p);
    kv_code rc = each_repo(d, fn, ctx, err);
    closedir(d);
    return rc;
}

kv_code kv_store_stem(const kv_reference *ref, kv_buf *out, kv_error *err)
{
    kv_store_name_encode(ref->registry, ref->repository, out);
    return kv_buf_check(out, err);
}

kv_code kv_store_not_found(const kv_reference *ref, kv_error *err)
{
    kv_auto_str full = kv_reference_full(ref);
    return kv_fail(err, KV_E_NOTFOUND, "model %s not found", full ? full : "?");
}

const kv_store_entry *kv_store_lookup(const kv_reference *ref, const kv_store_list *index,
                                      const kv_store_list *tags)
{
    const kv_digest *d = &ref->digest;
    if (!d->alg) {
        const kv_store_entry *tag = kv_store_find_tag(tags, ref->tag);
        if (!tag || !tag->digest.alg) return NULL;
        d = &tag->digest;
    }
    /* A manifest exists for a repository only if the repository's index lists it. */
    return kv_store_find_digest(index, d);
}

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum { READ_STEP = 64 * 1024, LOCK_POLL_MS = 20 };

kv_code kv_fd_read_all(int fd, const char *name, kv_buf *out, kv_error *err)
{
    for (;;) {
        size_t before = out->n;
        size_t room = out->max - before < READ_STEP ? out->max - before : READ_STEP;
        /* One byte beyond the limit tells a file that fits from one that does not. */
        char one;
        char *p = room ? kv_buf_extend(out, room) : &one;
        if (!p) return kv_buf_check(out, err);
        ssize_t got = read(fd, p, room ? room : 1);
        if (got < 0) {
            kv_buf_truncate(out, before);
            if (errno == EINTR) continue;
            return kv_fail_sys(err, "cannot read '%s'", name);
        }
        if (room) kv_buf_truncate(out, before + (size_t)got);
        if (got == 0) return kv_buf_check(out, err);
        if (!room) return kv_fail(err, KV_E_LIMIT, "'%s' is larger than %zu bytes", name, out->max);
    }
}

kv_code kv_file_read(const char *path, kv_buf *out, kv_error *err)
{
    kv_auto_fd fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return kv_fail_sys(err, "cannot open '%s'", path);
    return kv_fd_read_all(fd, path, out, err);
}

kv_code kv_write_all(int fd, const char *name, const void *p, size_t n, kv_error *err)
{
    const char *at = p;
    while (n) {
        ssize_t put = write(fd, at, n);
        if (put < 0) {
            if (errno == EINTR) continue;
            return kv_fail_sys(err, "cannot write '%s'", name);
        }
        at += put;
        n -= (size_t)put;
    }
    return KV_OK;
}

kv_code kv_pwrite_all(int fd, const char *name, const void *p, size_t n, uint64_t off,
                      kv_error *err)
{
    const char *at = p;
    while (n) {
        ssize_t put = pwrite(fd, at, n, (off_t)off);
        if (put < 0) {
            if (errno == EINTR) continue;
            return kv_fail_sys(err, "cannot write '%s'", name);
        }
        at += put;
        off += (uint64_t)put;
        n -= (size_t)put;
    }
    return KV_OK;
}

kv_code kv_pread_all(int fd, const char *name, void *p, size_t n, uint64_t off, kv_error *err)
{
    char *at = p;
    while (n) {
        ssize_t got = pread(fd, at, n, (off_t)off);
        if (got < 0) {
            if (errno == EINTR) continue;
            return kv_fail_sys(err, "cannot read '%s'", name);
        }
        if (got == 0)
            return kv_fail(err, KV_E_CORRUPT, "'%s' ends at byte %llu", name,
                           (unsigned long long)off);
        at += got;
        off += (uint64_t)got;
        n -= (size_t)got;
    }
    return KV_OK;
}

/* Directory part of path: "." when there is none. */
static char *dir_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash) return strdup(".");
    if (slash == path) return strdup("/");
    return strndup(path, (size_t)(slash - path));
}

kv_code kv_fsync_dir(const char *path, kv_error *err)
{
    kv_auto_fd fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return kv_fail_sys(err, "cannot open directory '%s'", path);
    if (fsync(fd) < 0) return kv_fail_sys(err, "cannot sync directory '%s'", path);
    return KV_OK;
}

static kv_code write_temp(const char *temp, kv_sv data, mode_t mode, kv_error *err)
{
    mode_t made = mode == KV_MODE_UMASK ? 0666 : 0600;
    kv_auto_fd fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, made);
    if (fd < 0) return kv_fail_sys(err, "cannot create '%s'", temp);
    KV_TRY(kv_write_all(fd, temp, data.p, data.n, err));
    if (mode != KV_MODE_UMASK && fchmod(fd, mode) < 0)
        return kv_fail_sys(err, "cannot set the mode of '%s'", temp);
    if (fsync(fd) < 0) return kv_fail_sys(err, "cannot sync '%s'", temp);
    return KV_OK;
}

kv_code kv_file_write(const char *path, kv_sv data, mode_t mode, kv_error *err)
{
    uint8_t r[8];
    kv_random(r, sizeof(r));
    kv_auto_buf temp = KV_BUF(8192);
    kv_buf_addf(&temp, "%s" KV_FILE_TEMP_MARK "%02x%02x%02x%02x%02x%02x%02x%02x", path, r[0], r[1],
                r[2], r[3], r[4], r[5], r[6], r[7]);
    KV_TRY(kv_buf_check(&temp, err));
    kv_auto_str dir = dir_of(path);
    if (!dir) return kv_fail(err, KV_E_NOMEM, "out of memory");

    kv_code rc = write_temp(temp.p, data, mode, err);
    if (rc == KV_OK && rename(temp.p, path) < 0)
        rc = kv_fail_sys(err, "cannot rename to '%s'", path);
    if (rc != KV_OK) {
        unlink(temp.p);
        return rc;
    }
    return kv_fsync_dir(dir, err);
}

void kv_file_sweep(const char *path)
{
    const char *slash = strrchr(path, '/');
    kv_auto_buf start = KV_BUF(8192);
    kv_buf_addf(&start, "%s" KV_FILE_TEMP_MARK, slash ? slash + 1 : path);
    kv_auto_str dir = dir_of(path);
    DIR *d = dir && !start.failed ? opendir(dir) : NULL;
    if (!d) return;
    for (struct dirent *e; (e = readdir(d));)
        if (strncmp(e->d_name, start.p, start.n) == 0) unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
}

kv_code kv_mkdirs(const char *path, mode_t mode, kv_error *err)
{
    kv_auto_str p = strdup(path);
    if (!p) return kv_fail(err, KV_E_NOMEM, "out of memory");
    for (char *at = p + 1;; at++) {
        if (*at != '/' && *at != '\0') continue;
        char keep = *at;
        *at = '\0';
        struct stat st;
        if (mkdir(p, mode) < 0 && errno != EEXIST)
            return kv_fail_sys(err, "cannot create directory '%s'", p);
        if (keep == '\0') {
            if (stat(p, &st) < 0) return kv_fail_sys(err, "cannot stat '%s'", p);
            if (!S_ISDIR(st.st_mode))
                return kv_fail(err, KV_E_EXISTS, "'%s' exists and is not a directory", p);
            return KV_OK;
        }
        *at = keep;
    }
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

kv_code kv_remove_tree(const char *path, kv_error *err)
{
    if (nftw(path, remove_entry, 32, FTW_DEPTH | FTW_PHYS) < 0 && errno != ENOENT)
        return kv_fail_sys(err, "cannot remove '%s'", path);
    return KV_OK;
}

static void close_fts(FTS **fts)
{
    if (*fts) fts_close(*fts);
}

static kv_code visit(const FTSENT *e, kv_tree_fn *fn, void *ctx, kv_error *err)
{
    bool root = e->fts_level == FTS_ROOTLEVEL;
    switch (e->fts_info) {
    case FTS_DP: return KV_OK; /* the second time */
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS:
        errno = e->fts_errno;
        if (errno == ENOENT && !root) return KV_OK;
        return kv_fail_sys(err, "cannot read '%s'", e->fts_path);
    default: return root ? KV_OK : fn(ctx, e->fts_path, e->fts_statp, err);
    }
}

kv_code kv_tree_each(const char *path, kv_tree_fn *fn, void *ctx, kv_error *err)
{
    kv_auto_str start = kv_sv_dup(kv_sv_of(path));
    if (!start) return kv_fail(err, KV_E_NOMEM, "out of memory");
    char *const roots[] = {start, NULL};
    KV_CLEANUP(close_fts) FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    if (!fts) return kv_fail_sys(err, "cannot read '%s'", path);
    for (;;) {
        errno = 0;
        const FTSENT *e = fts_read(fts);
        if (!e && errno) return kv_fail_sys(err, "cannot read '%s'", path);
        if (!e) return KV_OK;
        KV_TRY(visit(e, fn, ctx, err));
    }
}

kv_code kv_lock_file(const char *path, bool exclusive, unsigned wait_ms, int *out_fd, kv_error *err)
{
    kv_auto_fd fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return kv_fail_sys(err, "cannot open lock file '%s'", path);
    uint64_t until = kv_mono_us() + (uint64_t)wait_ms * 1000;
    while (flock(fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) < 0) {
        if (errno == EINTR) continue;
        if (errno != EWOULDBLOCK) return kv_fail_sys(err, "cannot lock '%s'", path);
        if (kv_mono_us() >= until)
            return kv_fail(err, KV_E_BUSY, "'%s' is locked by another process", path);
        struct timespec pause = {.tv_nsec = LOCK_POLL_MS * 1000000L};
        nanosleep(&pause, NULL);
    }
    *out_fd = fd;
    fd = -1;
    return KV_OK;
}

char *kv_path_join(const char *a, const char *b)
{
    size_t n = strlen(a);
    kv_buf out = KV_BUF(64 * 1024);
    kv_buf_adds(&out, a);
    if (n && a[n - 1] != '/') kv_buf_addc(&out, '/');
    kv_buf_adds(&out, b);
    if (out.failed) {
        kv_buf_clear(&out);
        return NULL;
    }
    return kv_buf_take(&out);
}

/* Drops the last component of what was written since `from`. */
static void pop_component(kv_buf *out, size_t from)
{
    kv_sv s = kv_sv_from(kv_buf_sv(out), from);
    size_t slash = kv_sv_rfind(s, '/');
    kv_buf_truncate(out, slash == SIZE_MAX ? from : from + slash);
}

void kv_path_clean(kv_sv path, kv_buf *out)
{
    size_t start = out->n;
    bool rooted = path.n && path.p[0] == '/';
    if (rooted) kv_buf_addc(out, '/');
    size_t from = out->n, depth = 0; /* depth: components that ".." may take away */
    while (path.n) {
        kv_sv part;
        path = kv_sv_cut(path, '/', &part, NULL);
        if (part.n == 0 || kv_sv_is(part, ".")) continue;
        if (kv_sv_is(part, "..")) {
            if (depth) {
                pop_component(out, from);
                depth--;
                continue;
            }
            if (rooted) continue;
        } else {
            depth++;
        }
        if (out->n > from) kv_buf_addc(out, '/');
        kv_buf_add(out, part);
    }
    if (out->n == start) kv_buf_addc(out, '.');
}

bool kv_path_is_local(kv_sv path)
{
    if (path.n == 0 || path.p[0] == '/') return false;
    size_t depth = 0;
    while (path.n) {
        kv_sv part;
        path = kv_sv_cut(path, '/', &part, NULL);
        if (part.n == 0 || kv_sv_is(part, ".")) continue;
        if (!kv_sv_is(part, "..")) {
            depth++;
        } else if (depth-- == 0) {
            return false;
        }
    }
    return true;
}

kv_code kv_path_absolute(const char *path, kv_buf *out, kv_error *err)
{
    kv_auto_buf full = KV_BUF(64 * 1024);
    if (path[0] != '/') {
        kv_auto_str cwd = getcwd(NULL, 0);
        if (!cwd) return kv_fail_sys(err, "cannot tell the current directory");
        kv_buf_adds(&full, cwd);
        kv_buf_addc(&full, '/');
    }
    kv_buf_adds(&full, path);
    KV_TRY(kv_buf_check(&full, err));
    kv_path_clean(kv_buf_sv(&full), out);
    return kv_buf_check(out, err);
}

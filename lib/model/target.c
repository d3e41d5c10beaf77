#include "model/target.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "codec/text.h"

#define STAGING_PREFIX ".kitvault-unpack-"
enum {
    PATH_BYTES_MAX = 64 * 1024, /* of one entry; own */
    /* Bits taken from an archive, as kit does: of files all, which the kernel takes setuid and setgid
     * from when anybody but root writes to them; of directories what mkdir takes. */
    FILE_MODE = 07777,
    DIR_MODE = 01777,
    KEPT_MODE = 0777, /* of a file that is replaced: new content gets no old privileges */
    COPY_BYTES = 256 * 1024,
    PARENT_MODE = 0755,         /* of directories the archive does not mention */
    CLOSED_BYTES_MAX = 8 << 20, /* paths of directories whose rights wait for the end; own */
    OWNER_ALL = 0700,
};

/* One line of the list: this, then path_n bytes of path. */
typedef struct record {
    uint64_t number; /* name in the staging directory; files */
    uint32_t path_n;
    uint32_t mode;
    uint32_t is_dir;
    uint32_t reserved;
} record;

typedef struct closed_dir { /* to lose owner rights at the end */
    struct closed_dir *before;
    kv_sv path;
    unsigned mode;
} closed_dir;

struct kv_target {
    kv_target_options opts;
    char *dir;
    int root; /* O_PATH */
    char *staging_path;
    int staging;
    FILE *list;
    uint64_t n_files; /* staged so far */
    kv_buf prefix;    /* cleaned, "" or ending in '/' */
    kv_buf path;      /* of the file being written */
    int file;
    kv_arena *arena; /* of closed */
    closed_dir *closed;
    /* Neighbours in an archive share their directory: the last one walked to stays open. */
    kv_buf parent_path;
    int parent;
};

/* --- staging directory --- */

static void sweep(kv_target *t)
{
    DIR *d = opendir(t->dir);
    if (!d) return;
    for (struct dirent *e; (e = readdir(d));) {
        if (strncmp(e->d_name, STAGING_PREFIX, strlen(STAGING_PREFIX)) != 0) continue;
        kv_auto_fd fd = openat(dirfd(d), e->d_name,
                               O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0) continue;
        kv_auto_str path = kv_path_join(t->dir, e->d_name);
        /* What cannot be removed is only in the way of whoever looks for tidiness. */
        if (path && kv_remove_tree(path, NULL) != KV_OK) continue;
    }
    closedir(d);
}

static kv_code make_staging_once(kv_target *t, kv_error *err)
{
    uint8_t r[8];
    kv_random(r, sizeof(r));
    kv_auto_buf path = KV_BUF(PATH_BYTES_MAX);
    kv_buf_addf(&path, "%s/" STAGING_PREFIX, t->dir);
    kv_hex_add(&path, r, sizeof(r));
    KV_TRY(kv_buf_check(&path, err));
    if (mkdir(path.p, 0700) < 0) return kv_fail_sys(err, "cannot create directory '%s'", path.p);
    kv_auto_fd fd = open(path.p, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return kv_fail_sys(err, "cannot open directory '%s'", path.p);
    (void)flock(fd, LOCK_EX | LOCK_NB); /* some file systems have no locks: then no sweep either */
    struct stat st;
    if (fstat(fd, &st) == 0 && st.st_nlink == 0)
        return kv_fail(err, KV_E_BUSY, "'%s' was removed", path.p);
    t->staging_path = kv_buf_take(&path);
    if (!t->staging_path) return kv_fail(err, KV_E_NOMEM, "out of memory");
    t->staging = fd;
    fd = -1;
    return KV_OK;
}

/* Made when the first layer needs it: looking leaves nothing behind. */
static kv_code make_staging(kv_target *t, kv_error *err)
{
    if (t->staging >= 0) return KV_OK;
    kv_code rc = KV_E_BUSY; /* another unpack's sweep may come between making and locking */
    for (int tries = 0; rc == KV_E_BUSY && tries < 5; tries++) rc = make_staging_once(t, err);
    return rc;
}

static kv_code open_list(kv_target *t, kv_error *err)
{
    if (t->list) return KV_OK;
    KV_TRY(make_staging(t, err));
    kv_auto_fd fd = openat(t->staging, "list", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    t->list = fd < 0 ? NULL : fdopen(fd, "w+");
    if (!t->list) return kv_fail_sys(err, "cannot create '%s/list'", t->staging_path);
    fd = -1; /* the stream has it */
    return KV_OK;
}

static kv_code add_record(kv_target *t, record r, kv_sv path, kv_error *err)
{
    KV_TRY(open_list(t, err));
    r.path_n = (uint32_t)path.n;
    if (fwrite(&r, sizeof(r), 1, t->list) != 1 || fwrite(path.p, 1, path.n, t->list) != path.n)
        return kv_fail_sys(err, "cannot write '%s/list'", t->staging_path);
    return KV_OK;
}

static void number_name(uint64_t number, char out[24])
{
    snprintf(out, 24, "%llu", (unsigned long long)number);
}

void kv_target_discard(kv_target *t)
{
    kv_close_fd(&t->file);
    if (t->list) fclose(t->list);
    t->list = NULL;
    for (uint64_t i = 0; i < t->n_files; i++) {
        char name[24];
        number_name(i, name);
        unlinkat(t->staging, name, 0);
    }
    t->n_files = 0;
}

/* --- open, close --- */

kv_code kv_target_open(const char *dir, const kv_target_options *opts, kv_target **out,
                       kv_error *err)
{
    kv_auto(kv_target) t = calloc(1, sizeof(*t));
    if (!t) return kv_fail(err, KV_E_NOMEM, "out of memory");
    *t = (kv_target){.opts = *opts,
                     .root = -1,
                     .staging = -1,
                     .file = -1,
                     .parent = -1,
                     .prefix = KV_BUF(PATH_BYTES_MAX),
                     .path = KV_BUF(PATH_BYTES_MAX),
                     .parent_path = KV_BUF(PATH_BYTES_MAX)};
    t->dir = strdup(dir);
    t->arena = kv_arena_new(CLOSED_BYTES_MAX);
    if (!t->dir || !t->arena) return kv_fail(err, KV_E_NOMEM, "out of memory");
    KV_TRY(kv_mkdirs(dir, PARENT_MODE, err));
    t->root = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (t->root < 0) return kv_fail_sys(err, "cannot open directory '%s'", dir);
    sweep(t);
    *out = KV_TAKE(t);
    return KV_OK;
}

void kv_target_close(kv_target *t)
{
    if (!t) return;
    kv_target_discard(t);
    if (t->staging_path && kv_remove_tree(t->staging_path, NULL) != KV_OK) {
        /* swept by the next unpack into this directory */
    }
    free(t->staging_path);
    kv_close_fd(&t->staging);
    kv_close_fd(&t->parent);
    kv_close_fd(&t->root);
    kv_buf_clear(&t->prefix);
    kv_buf_clear(&t->path);
    kv_buf_clear(&t->parent_path);
    kv_arena_free(t->arena);
    free(t->dir);
    free(t);
}

/* --- paths --- */

static kv_code illegal(kv_sv path, const char *why, kv_error *err)
{
    return kv_fail(err, KV_E_INVALID, "illegal file path: %.*s: %s",
                   KV_ARG(kv_sv_sub(path, 0, 1000)), why);
}

static kv_code outside(kv_sv path, kv_error *err)
{
    return illegal(path, "paths must be within context directory", err);
}

/* The lexical checks; out is replaced by prefix and cleaned path. */
static kv_code clean_path(const kv_target *t, kv_sv path, kv_buf *out, kv_error *err)
{
    kv_buf_truncate(out, 0);
    if (path.n && path.p[0] == '/')
        return kv_fail(err, KV_E_INVALID,
                       "illegal file path: %.*s: absolute paths are not supported (%.*s)",
                       KV_ARG(kv_sv_sub(path, 0, 1000)), KV_ARG(kv_sv_sub(path, 0, 1000)));
    if (!kv_path_is_local(path) || (path.n && memchr(path.p, '\0', path.n)))
        return illegal(path, "layer paths must stay within context directory", err);
    kv_buf_add(out, kv_buf_sv(&t->prefix));
    kv_auto_buf clean = KV_BUF(PATH_BYTES_MAX);
    kv_path_clean(path, &clean);
    KV_TRY(kv_buf_check(&clean, err));
    if (!kv_sv_is(kv_buf_sv(&clean), ".")) kv_buf_add(out, kv_buf_sv(&clean));
    if (out->n && out->p[out->n - 1] == '/') kv_buf_truncate(out, out->n - 1);
    return kv_buf_check(out, err);
}

kv_code kv_target_prefix(kv_target *t, kv_sv prefix, kv_error *err)
{
    kv_auto_buf clean = KV_BUF(PATH_BYTES_MAX);
    kv_buf_truncate(&t->prefix, 0);
    if (prefix.n == 0) return KV_OK;
    KV_TRY(clean_path(t, prefix, &clean, err));
    if (clean.n) kv_buf_addc(&clean, '/');
    kv_buf_add(&t->prefix, kv_buf_sv(&clean));
    return kv_buf_check(&t->prefix, err);
}

static kv_code open_part(int at, const char *name, bool create, kv_sv way, int *out_fd,
                         kv_error *err)
{
    const int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    *out_fd = openat(at, name, flags);
    if (*out_fd < 0 && errno == ENOENT && create) {
        if (mkdirat(at, name, PARENT_MODE) < 0 && errno != EEXIST)
            return kv_fail_sys(err, "cannot create directory '%.*s'", KV_ARG(way));
        *out_fd = openat(at, name, flags);
    }
    if (*out_fd >= 0 || errno == ENOENT) return KV_OK; /* -1: there is nothing */
    int e = errno;
    struct stat st;
    if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        if (S_ISLNK(st.st_mode)) return outside(way, err);
        if (!S_ISDIR(st.st_mode))
            return kv_fail(err, KV_E_EXISTS, "path '%.*s' already exists and is not a directory",
                           KV_ARG(way));
    }
    errno = e;
    return kv_fail_sys(err, "cannot open directory '%.*s'", KV_ARG(way));
}

static void forget_parent(kv_target *t)
{
    kv_close_fd(&t->parent);
    kv_buf_truncate(&t->parent_path, 0);
}

/*
 * The directory that holds path (clean, not empty), reached without following a link; *out_fd is
 * borrowed from t, or -1 when a part of the way is missing and create is false. *out_base points
 * into path, which ends in a NUL.
 */
static kv_code open_parent(kv_target *t, const kv_buf *path, bool create, int *out_fd,
                           const char **out_base, kv_error *err)
{
    kv_sv all = kv_buf_sv(path);
    size_t slash = kv_sv_rfind(all, '/');
    kv_sv dir = slash == SIZE_MAX ? KV_SV("") : kv_sv_sub(all, 0, slash);
    *out_base = path->p + (slash == SIZE_MAX ? 0 : slash + 1);
    *out_fd = t->root;
    if (dir.n == 0) return KV_OK;
    if (t->parent >= 0 && kv_sv_eq(dir, kv_buf_sv(&t->parent_path))) {
        *out_fd = t->parent;
        return KV_OK;
    }
    forget_parent(t);
    kv_auto_fd at = -1;
    for (size_t from = 0; from < dir.n;) {
        kv_sv part;
        kv_sv_cut(kv_sv_from(dir, from), '/', &part, NULL);
        kv_auto_str name = kv_sv_dup(part);
        if (!name) return kv_fail(err, KV_E_NOMEM, "out of memory");
        int next;
        KV_TRY(open_part(at >= 0 ? at : t->root, name, create, kv_sv_sub(dir, 0, from + part.n),
                         &next, err));
        kv_close_fd(&at);
        at = next;
        *out_fd = -1;
        if (next < 0) return KV_OK;
        from += part.n + 1;
    }
    kv_buf_add(&t->parent_path, dir);
    KV_TRY(kv_buf_check(&t->parent_path, err));
    *out_fd = t->parent = at;
    at = -1;
    return KV_OK;
}

/* As kv_target_look, of a clean path; also the mode. */
static kv_code look_at(kv_target *t, const kv_buf *path, kv_found *out, mode_t *out_mode,
                       kv_error *err)
{
    *out = KV_FOUND_DIR;
    if (path->n == 0) return KV_OK; /* the target itself */
    int at;
    const char *base;
    *out = KV_FOUND_NONE;
    KV_TRY(open_parent(t, path, false, &at, &base, err));
    if (at < 0) return KV_OK;
    struct stat st;
    if (fstatat(at, base, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        if (errno == ENOENT) return KV_OK;
        return kv_fail_sys(err, "cannot stat '%s'", path->p);
    }
    if (S_ISLNK(st.st_mode)) return outside(kv_buf_sv(path), err);
    *out = S_ISREG(st.st_mode)   ? KV_FOUND_FILE
           : S_ISDIR(st.st_mode) ? KV_FOUND_DIR
                                 : KV_FOUND_OTHER;
    if (out_mode) *out_mode = st.st_mode & 07777;
    return KV_OK;
}

kv_code kv_target_look(kv_target *t, kv_sv path, kv_found *out, kv_error *err)
{
    kv_auto_buf clean = KV_BUF(PATH_BYTES_MAX);
    KV_TRY(clean_path(t, path, &clean, err));
    return look_at(t, &clean, out, NULL, err);
}

kv_code kv_target_open_file(kv_target *t, kv_sv path, int *out_fd, kv_error *err)
{
    kv_auto_buf clean = KV_BUF(PATH_BYTES_MAX);
    int at;
    const char *base;
    KV_TRY(clean_path(t, path, &clean, err));
    KV_TRY(open_parent(t, &clean, false, &at, &base, err));
    *out_fd = at < 0 ? -1 : openat(at, base, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (at < 0) errno = ENOENT;
    return *out_fd < 0 ? kv_fail_sys(err, "cannot open '%s'", clean.p) : KV_OK;
}

/* --- staging --- */

/* The target itself has a name for people, too. */
static kv_sv shown(kv_sv path)
{
    return path.n ? path : KV_SV(".");
}

static kv_code not_a_directory(kv_sv path, kv_error *err)
{
    return kv_fail(err, KV_E_EXISTS, "path '%.*s' already exists and is not a directory",
                   KV_ARG(shown(path)));
}

static kv_code exists(kv_sv path, kv_error *err)
{
    return kv_fail(err, KV_E_EXISTS, "path '%.*s' already exists", KV_ARG(shown(path)));
}

kv_code kv_target_dir(kv_target *t, kv_sv path, unsigned mode, kv_error *err)
{
    kv_found found;
    KV_TRY(clean_path(t, path, &t->path, err));
    KV_TRY(look_at(t, &t->path, &found, NULL, err));
    if (found == KV_FOUND_DIR) return KV_OK;
    if (found != KV_FOUND_NONE) return not_a_directory(kv_buf_sv(&t->path), err);
    record r = {.mode = mode & DIR_MODE, .is_dir = 1};
    return add_record(t, r, kv_buf_sv(&t->path), err);
}

/* Whether a file may take the place, and whether it is to be left as it is. */
static kv_code may_write(const kv_target *t, kv_sv path, kv_found found, bool *out_skip,
                         kv_error *err)
{
    *out_skip = found != KV_FOUND_NONE && t->opts.ignore_existing;
    if (found == KV_FOUND_NONE || *out_skip) return KV_OK;
    if (!t->opts.overwrite) return exists(path, err);
    if (found == KV_FOUND_FILE) return KV_OK;
    return kv_fail(err, KV_E_EXISTS, "path '%.*s' already exists and is not a regular file",
                   KV_ARG(shown(path)));
}

kv_code kv_target_file(kv_target *t, kv_sv path, unsigned mode, bool *out_skip, kv_error *err)
{
    kv_found found;
    KV_TRY(clean_path(t, path, &t->path, err));
    KV_TRY(look_at(t, &t->path, &found, NULL, err));
    KV_TRY(may_write(t, kv_buf_sv(&t->path), found, out_skip, err));
    if (*out_skip) return KV_OK;
    KV_TRY(make_staging(t, err));
    char name[24];
    number_name(t->n_files, name);
    /* With the final mode, so that the umask applies; the descriptor writes all the same. */
    t->file = openat(t->staging, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode & FILE_MODE);
    if (t->file < 0) return kv_fail_sys(err, "cannot create '%s/%s'", t->staging_path, name);
    record r = {.number = t->n_files++, .mode = mode & FILE_MODE};
    return add_record(t, r, kv_buf_sv(&t->path), err);
}

kv_code kv_target_write(kv_target *t, const void *p, size_t n, uint64_t off, kv_error *err)
{
    return kv_pwrite_all(t->file, t->path.p, p, n, off, err);
}

kv_code kv_target_end_file(kv_target *t, uint64_t size, kv_error *err)
{
    struct stat st;
    kv_auto_fd fd = t->file;
    t->file = -1;
    if (fstat(fd, &st) < 0) return kv_fail_sys(err, "cannot stat '%s'", t->path.p);
    if ((uint64_t)st.st_size == size) return KV_OK;
    if (ftruncate(fd, (off_t)size) < 0) return kv_fail_sys(err, "cannot write '%s'", t->path.p);
    return KV_OK;
}

/* --- names --- */

static kv_code remember_closed(kv_target *t, kv_sv path, unsigned mode, kv_error *err)
{
    closed_dir *c = KV_NEW(t->arena, closed_dir, 1);
    if (c) c->path = kv_arena_dup(t->arena, path);
    if (!c || !c->path.p) return kv_fail(err, KV_E_LIMIT, "too many read-only directories");
    c->mode = mode;
    c->before = t->closed;
    t->closed = c;
    return KV_OK;
}

static kv_code apply_dir(kv_target *t, const kv_buf *path, unsigned mode, kv_error *err)
{
    int at;
    const char *base;
    KV_TRY(open_parent(t, path, true, &at, &base, err));
    /* Its owner must be able to fill it; kv_target_finish takes back what was not asked for. */
    if (mkdirat(at, base, mode | OWNER_ALL) < 0) {
        kv_found found;
        if (errno != EEXIST) return kv_fail_sys(err, "cannot create directory '%s'", path->p);
        KV_TRY(look_at(t, path, &found, NULL, err));
        return found == KV_FOUND_DIR ? KV_OK : not_a_directory(kv_buf_sv(path), err);
    }
    if ((mode & OWNER_ALL) == OWNER_ALL) return KV_OK;
    return remember_closed(t, kv_buf_sv(path), mode, err);
}

static int rename_new(int from_dir, const char *from, int to_dir, const char *to)
{
    if (renameat2(from_dir, from, to_dir, to, RENAME_NOREPLACE) == 0) return 0;
    if (errno != EINVAL && errno != ENOSYS) return -1;
    /* A file system without that flag: the check and the rename are two steps there. */
    if (faccessat(to_dir, to, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        errno = EEXIST;
        return -1;
    }
    return renameat(from_dir, from, to_dir, to);
}

/* *out_far: the directory is on another file system than the staged file, which has no name yet. */
static kv_code give_name(kv_target *t, int from, const char *name, const kv_buf *path,
                         bool *out_far, kv_error *err)
{
    int at;
    const char *base;
    *out_far = false;
    KV_TRY(open_parent(t, path, true, &at, &base, err));
    if (rename_new(from, name, at, base) == 0) return KV_OK;
    *out_far = errno == EXDEV;
    if (*out_far) return KV_OK;
    if (errno != EEXIST) return kv_fail_sys(err, "cannot rename to '%s'", path->p);

    /* Looked at again: an archive may name a file twice, or somebody else was here. */
    kv_found found;
    mode_t mode = 0;
    bool skip;
    KV_TRY(look_at(t, path, &found, &mode, err));
    KV_TRY(may_write(t, kv_buf_sv(path), found, &skip, err));
    if (skip) return KV_OK; /* the staged file goes with the staging directory */
    if (found == KV_FOUND_FILE && fchmodat(from, name, mode & KEPT_MODE, 0) < 0)
        return kv_fail_sys(err, "cannot set the mode of '%s'", path->p);
    if (renameat(from, name, at, base) < 0)
        return kv_fail_sys(err, "cannot rename to '%s'", path->p);
    return KV_OK;
}

/* Holes stay holes. */
static kv_code copy_blocks(const kv_target *t, int from, int to, const char *path, kv_error *err)
{
    static const char ZEROS[4096];
    kv_auto_str block = malloc(COPY_BYTES);
    if (!block) return kv_fail(err, KV_E_NOMEM, "out of memory");
    for (uint64_t off = 0;;) {
        KV_TRY(kv_check_cancel(t->opts.report, err));
        ssize_t got = pread(from, block, COPY_BYTES, (off_t)off);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return kv_fail_sys(err, "cannot read what was unpacked for '%s'", path);
        if (got == 0) break;
        for (size_t at = 0, step; at < (size_t)got; at += step) {
            step = (size_t)got - at < sizeof(ZEROS) ? (size_t)got - at : sizeof(ZEROS);
            if (memcmp(block + at, ZEROS, step) == 0) continue;
            KV_TRY(kv_pwrite_all(to, path, block + at, step, off + at, err));
        }
        off += (uint64_t)got;
        if (ftruncate(to, (off_t)off) < 0) return kv_fail_sys(err, "cannot write '%s'", path);
    }
    return KV_OK;
}

/* A copy of the staged file beside the place that it is for; temp is its name there. */
static kv_code copy_beside(const kv_target *t, const char *staged, int at, const char *temp,
                           const kv_buf *path, kv_error *err)
{
    struct stat st;
    kv_auto_fd from = openat(t->staging, staged, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (from < 0 || fstat(from, &st) < 0)
        return kv_fail_sys(err, "cannot open '%s/%s'", t->staging_path, staged);
    kv_auto_fd to = openat(at, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (to < 0) return kv_fail_sys(err, "cannot create a file beside '%s'", path->p);
    KV_TRY(copy_blocks(t, from, to, path->p, err));
    if (fchmod(to, st.st_mode & FILE_MODE) < 0)
        return kv_fail_sys(err, "cannot set the mode of '%s'", path->p);
    return KV_OK;
}

/* Something is mounted in the target: rename does not lead there. */
static kv_code apply_far_file(kv_target *t, const kv_buf *path, const char *staged, kv_error *err)
{
    int at;
    const char *base;
    bool far;
    uint8_t r[8];
    kv_random(r, sizeof(r));
    kv_auto_buf temp = KV_BUF(256);
    kv_buf_adds(&temp, STAGING_PREFIX);
    kv_hex_add(&temp, r, sizeof(r));
    KV_TRY(kv_buf_check(&temp, err));
    KV_TRY(open_parent(t, path, true, &at, &base, err));
    kv_auto_fd dir = openat(at, ".", O_PATH | O_DIRECTORY | O_CLOEXEC); /* give_name walks again */
    if (dir < 0) return kv_fail_sys(err, "cannot open the directory of '%s'", path->p);
    kv_code rc = copy_beside(t, staged, dir, temp.p, path, err);
    if (rc == KV_OK) rc = give_name(t, dir, temp.p, path, &far, err);
    if (rc == KV_OK && far)
        rc = kv_fail(err, KV_E_BUSY, "the directory of '%s' keeps changing", path->p);
    unlinkat(dir, temp.p, 0); /* what has its name is not there any more */
    return rc;
}

static kv_code apply_file(kv_target *t, const kv_buf *path, uint64_t number, kv_error *err)
{
    bool far;
    char name[24];
    number_name(number, name);
    KV_TRY(give_name(t, t->staging, name, path, &far, err));
    return far ? apply_far_file(t, path, name, err) : KV_OK;
}

/* The next record; *out_more false at the end. */
static kv_code read_record(kv_target *t, record *r, kv_buf *path, bool *out_more, kv_error *err)
{
    size_t n = fread(r, 1, sizeof(*r), t->list);
    *out_more = n == sizeof(*r);
    if (n == 0 && !ferror(t->list)) return KV_OK;
    kv_buf_truncate(path, 0);
    char *p = *out_more ? kv_buf_extend(path, r->path_n) : NULL;
    if (!p || fread(p, 1, r->path_n, t->list) != r->path_n)
        return kv_fail(err, KV_E_IO, "cannot read '%s/list'", t->staging_path);
    return KV_OK;
}

static kv_code apply_all(kv_target *t, kv_error *err)
{
    kv_auto_buf path = KV_BUF(PATH_BYTES_MAX);
    if (fflush(t->list) != 0) return kv_fail_sys(err, "cannot write '%s/list'", t->staging_path);
    rewind(t->list);
    for (;;) {
        record r;
        bool more;
        KV_TRY(read_record(t, &r, &path, &more, err));
        if (!more) return KV_OK;
        KV_TRY(r.is_dir ? apply_dir(t, &path, r.mode, err) : apply_file(t, &path, r.number, err));
    }
}

kv_code kv_target_apply(kv_target *t, kv_error *err)
{
    kv_code rc = t->list ? apply_all(t, err) : KV_OK;
    kv_target_discard(t);
    return rc;
}

kv_code kv_target_finish(kv_target *t, kv_error *err)
{
    forget_parent(t);
    for (const closed_dir *c = t->closed; c; c = c->before) { /* the innermost first */
        kv_auto_buf path = KV_BUF(PATH_BYTES_MAX);
        kv_buf_add(&path, c->path);
        KV_TRY(kv_buf_check(&path, err));
        int at;
        const char *base;
        struct stat st;
        KV_TRY(open_parent(t, &path, false, &at, &base, err));
        if (at < 0 || fstatat(at, base, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
            continue; /* somebody took it away: nothing to protect */
        mode_t mode = st.st_mode & 07777 & ~(mode_t)(OWNER_ALL & ~c->mode);
        if (fchmodat(at, base, mode, 0) < 0)
            return kv_fail_sys(err, "cannot set the mode of '%s'", path.p);
    }
    t->closed = NULL;
    return KV_OK;
}

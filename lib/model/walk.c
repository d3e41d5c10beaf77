#include "model/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

enum { NAMES_BYTES_MAX = 256 << 20 }; /* names of one directory; own */

/* State of one walk: the path that grows and shrinks, and what was remarked once. */
typedef struct walker {
    const kv_walk *w;
    kv_buf path;
    bool said_dots, said_prefix;
} walker;

static void remark(walker *k, bool *once, const char *what)
{
    if (!k->w->remark || (once && *once)) return;
    if (once) *once = true;
    kv_auto_buf text = KV_BUF(16384);
    /* Not the name first: a console makes the first letter of a line a capital. */
    kv_buf_addf(&text, "path %.*s %s", KV_ARG(kv_buf_sv(&k->path)), what);
    if (!text.failed) k->w->remark(k->w->ctx, text.p);
}

/* --- sorted names of a directory, packed: millions of files are a few MiB --- */

typedef struct names {
    kv_buf text;    /* names, each with its NUL */
    uint32_t *from; /* offsets into text, sorted by name */
    size_t n, cap;
} names;

static void names_clear(names *l)
{
    kv_buf_clear(&l->text);
    free(l->from);
}

static int by_name(const void *a, const void *b, void *text)
{
    const char *base = text;
    return strcmp(base + *(const uint32_t *)a, base + *(const uint32_t *)b);
}

static kv_code add_name(names *l, const char *name, kv_error *err)
{
    size_t at = l->text.n;
    kv_buf_add(&l->text, (kv_sv){name, strlen(name) + 1});
    KV_TRY(kv_buf_check(&l->text, err));
    if (!KV_GROW(l->from, l->n, &l->cap)) return kv_fail(err, KV_E_NOMEM, "out of memory");
    l->from[l->n++] = (uint32_t)at;
    return KV_OK;
}

static kv_code read_names(walker *k, int dir_fd, names *l, kv_error *err)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        kv_code rc = kv_fail_sys(err, "cannot open directory '%s'", k->path.n ? k->path.p : ".");
        if (fd >= 0) close(fd);
        return rc;
    }
    kv_code rc = KV_OK;
    errno = 0;
    for (struct dirent *e; rc == KV_OK && (e = readdir(d)); errno = 0)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            rc = add_name(l, e->d_name, err);
    if (rc == KV_OK && errno)
        rc = kv_fail_sys(err, "cannot read directory '%s'", k->path.n ? k->path.p : ".");
    closedir(d);
    if (rc == KV_OK && l->n) qsort_r(l->from, l->n, sizeof(l->from[0]), by_name, l->text.p);
    return rc;
}

/* --- the walk --- */

static kv_code walk_dir(walker *k, int dir_fd, kv_error *err);

static kv_code descend(walker *k, int dir_fd, const char *name, kv_error *err)
{
    kv_auto_fd fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return kv_fail_sys(err, "cannot open directory '%s'", k->path.p);
    return walk_dir(k, fd, err);
}

/* k->path is the path of name. */
static kv_code visit(walker *k, int dir_fd, const char *name, kv_error *err)
{
    const kv_walk *w = k->w;
    kv_sv path = kv_buf_sv(&k->path);
    struct stat st;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return kv_fail_sys(err, "cannot stat '%s'", k->path.p);
    bool dir = S_ISDIR(st.st_mode);
    bool ignored = kv_ignore_match(w->ignore, path, w->layer);
    if (!dir && !S_ISREG(st.st_mode)) {
        if (!ignored)
            remark(k, NULL,
                   S_ISLNK(st.st_mode) ? "is a symbolic link and is not packed"
                                       : "is neither a file nor a directory and is not packed");
        return KV_OK;
    }
    if (!ignored) {
        bool below = kv_sv_is(w->layer, ".") || path.n > w->layer.n;
        if (below && strstr(name, ".."))
            remark(k, &k->said_dots,
                   "has two dots in its name: kit would leave it out, so digests differ");
        else if (kv_ignore_is_prefix_quirk(w->ignore, path, w->layer))
            remark(k, &k->said_prefix,
                   "is packed here, where kit would leave it out, so digests differ");
        kv_walk_entry e = {.dir_fd = dir_fd, .name = name, .path = path, .st = &st};
        KV_TRY(w->entry(w->ctx, &e, err));
    } else if (!kv_ignore_has_negation(w->ignore)) {
        return KV_OK;
    }
    return dir ? descend(k, dir_fd, name, err) : KV_OK;
}

static kv_code visit_child(walker *k, int dir_fd, const char *name, kv_error *err)
{
    size_t before = k->path.n;
    if (before) kv_buf_addc(&k->path, '/');
    kv_buf_adds(&k->path, name);
    KV_TRY(kv_buf_check(&k->path, err));
    kv_code rc = visit(k, dir_fd, name, err);
    kv_buf_truncate(&k->path, before);
    return rc;
}

/* What of the layer's path lies below the current directory: empty inside the layer. */
static kv_sv way_to_layer(const walker *k)
{
    kv_sv layer = k->w->layer;
    if (kv_sv_is(layer, ".")) return KV_SV("");
    size_t here = k->path.n ? k->path.n + 1 : 0;
    return kv_sv_from(layer, here);
}

static kv_code walk_dir(walker *k, int dir_fd, kv_error *err)
{
    kv_sv way = way_to_layer(k);
    if (way.n) {
        kv_sv next;
        kv_sv_cut(way, '/', &next, NULL);
        kv_auto_str name = kv_sv_dup(next);
        if (!name) return kv_fail(err, KV_E_NOMEM, "out of memory");
        return visit_child(k, dir_fd, name, err);
    }
    KV_CLEANUP(names_clear) names l = {.text = KV_BUF(NAMES_BYTES_MAX)};
    KV_TRY(read_names(k, dir_fd, &l, err));
    for (size_t i = 0; i < l.n; i++) KV_TRY(visit_child(k, dir_fd, l.text.p + l.from[i], err));
    return KV_OK;
}

kv_code kv_walk_layer(const kv_walk *w, kv_error *err)
{
    walker k = {.w = w, .path = KV_BUF(64 * 1024)};
    kv_code rc = walk_dir(&k, w->context_fd, err);
    kv_buf_clear(&k.path);
    return rc;
}

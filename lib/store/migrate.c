/*
 * Stores of kit before 0.3: each repository was an OCI layout of its own, in the directory
 * storage/REGISTRY/REPOSITORY, its tags as annotations of index.json. Everything is copied, and
 * verified on the way, before anything old goes; a migration that broke off begins again.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crash.h"
#include "base/file.h"
#include "codec/text.h"
#include "kitvault/store.h"
#include "store/layout.h"

enum { DEPTH_MAX = 16, COPY_BYTES = 256 * 1024 };

/* Directories below storage/ that are layouts of their own: "REGISTRY/REPOSITORY". */
typedef struct layouts {
    char **items;
    size_t n, cap;
} layouts;
static void layouts_clear(layouts *l)
{
    for (size_t i = 0; i < l->n; i++) free(l->items[i]);
    free(l->items);
}

static kv_code old_path(const kv_store *s, const char *layout, const char *name, kv_buf *out,
                        kv_error *err)
{
    kv_buf_truncate(out, 0);
    return kv_store_path(s, out, err, "storage%s%s%s%s", *layout ? "/" : "", layout,
                         *name ? "/" : "", name);
}

/* --- finding --- */

static bool is_file(const kv_store *s, const char *dir, const char *name)
{
    kv_auto_buf path = KV_BUF(KV_STORE_PATH_MAX);
    struct stat st;
    return old_path(s, dir, name, &path, NULL) == KV_OK && lstat(path.p, &st) == 0 &&
           S_ISREG(st.st_mode);
}

static kv_code note_layout(layouts *l, const char *dir, kv_error *err)
{
    if (!KV_GROW(l->items, l->n, &l->cap)) return kv_fail(err, KV_E_NOMEM, "out of memory");
    l->items[l->n] = strdup(dir);
    return l->items[l->n++] ? KV_OK : kv_fail(err, KV_E_NOMEM, "out of memory");
}

static kv_code search(const kv_store *s, const char *dir, unsigned depth, layouts *l,
                      kv_error *err);

static kv_code search_entries(const kv_store *s, const char *dir, DIR *d, unsigned depth,
                              layouts *l, kv_error *err)
{
    for (struct dirent *e; (e = readdir(d));) {
        struct stat st;
        if (e->d_name[0] == '.' || strcmp(e->d_name, "blobs") == 0 ||
            strcmp(e->d_name, "ingest") == 0)
            continue;
        if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
            continue;
        kv_auto_str below = *dir ? kv_path_join(dir, e->d_name) : strdup(e->d_name);
        if (!below) return kv_fail(err, KV_E_NOMEM, "out of memory");
        if (is_file(s, below, "index.json")) KV_TRY(note_layout(l, below, err));
        KV_TRY(search(s, below, depth + 1, l, err));
    }
    return KV_OK;
}

static kv_code search(const kv_store *s, const char *dir, unsigned depth, layouts *l, kv_error *err)
{
    kv_auto_buf path = KV_BUF(KV_STORE_PATH_MAX);
    if (depth > DEPTH_MAX) return KV_OK;
    KV_TRY(old_path(s, dir, "", &path, err));
    DIR *d = opendir(path.p);
    if (!d && errno == ENOENT) return KV_OK;
    if (!d) return kv_fail_sys(err, "cannot open directory '%s'", path.p);
    kv_code rc = search_entries(s, dir, d, depth, l, err);
    closedir(d);
    return rc;
}

/* --- copying --- */

static kv_code open_old_blob(const kv_store *s, const char *layout, const kv_digest *d, int *out_fd,
                             kv_buf *path, kv_error *err)
{
    kv_buf_truncate(path, 0);
    KV_TRY(kv_store_path(s, path, err, "storage/%s/blobs/%s/%s", layout, kv_digest_alg_name(d->alg),
                         kv_digest_str(d).s + strlen("sha256:")));
    *out_fd = open(path->p, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return *out_fd < 0 ? kv_fail_sys(err, "cannot open '%s'", path->p) : KV_OK;
}

static kv_code copy_blob(kv_store *s, const char *layout, const kv_digest *d, uint64_t size,
                         kv_error *err)
{
    if (!d->alg || kv_store_has(s, d, size)) return KV_OK;
    kv_auto_buf path = KV_BUF(KV_STORE_PATH_MAX);
    kv_auto_fd fd = -1;
    kv_auto(kv_ingest) in = NULL;
    kv_auto_str block = malloc(COPY_BYTES);
    if (!block) return kv_fail(err, KV_E_NOMEM, "out of memory");
    KV_TRY(open_old_blob(s, layout, d, &fd, &path, err));
    KV_TRY(kv_ingest_begin(s, d, size, &in, err));
    for (uint64_t at = kv_ingest_offset(in); at < size;) {
        size_t n = size - at < COPY_BYTES ? (size_t)(size - at) : COPY_BYTES;
        KV_TRY(kv_pread_all(fd, path.p, block, n, at, err));
        KV_TRY(kv_ingest_write(in, block, n, err));
        at += n;
    }
    kv_code rc = kv_ingest_commit(KV_TAKE(in), err);
    return rc == KV_OK ? rc : kv_wrap(err, rc, "%s", path.p);
}

static kv_code copy_kit(kv_store *s, const char *layout, const kv_store_entry *e, kv_error *err)
{
    kv_auto(kv_manifest) m = NULL;
    KV_TRY(copy_blob(s, layout, &e->digest, e->size, err));
    KV_TRY(kv_store_manifest(s, &e->digest, &m, err));
    KV_TRY(copy_blob(s, layout, &m->config.digest, m->config.size, err));
    for (size_t i = 0; i < m->n_layers; i++)
        KV_TRY(copy_blob(s, layout, &m->layers[i].digest, m->layers[i].size, err));

    kv_reference where = {0};
    where.repository = kv_sv_cut(kv_sv_of(layout), '/', &where.registry, NULL);
    kv_sv tag = kv_json_str(
        kv_json_get(kv_json_get(e->raw, "annotations"), "org.opencontainers.image.ref.name"));
    if (kv_tag_name_valid(tag)) where.tag = tag;
    return kv_store_add(s, &where, m, err);
}

static kv_code copy_layout(kv_store *s, const char *layout, kv_error *err)
{
    kv_auto_buf path = KV_BUF(KV_STORE_PATH_MAX), text = KV_BUF(KV_STORE_LIST_MAX);
    kv_auto_store_list list = {0};
    KV_TRY(old_path(s, layout, "index.json", &path, err));
    KV_TRY(kv_file_read(path.p, &text, err));
    KV_TRY(kv_store_index_parse(kv_buf_sv(&text), path.p, &list, err));
    for (size_t i = 0; i < list.n; i++)
        if (list.items[i].digest.alg) KV_TRY(copy_kit(s, layout, &list.items[i], err));
    return KV_OK;
}

/* --- removing --- */

/* The layout's own files, index.json last: as long as it is there a migration is not finished. */
static kv_code remove_layout(kv_store *s, const char *layout, kv_error *err)
{
    static const char *const NAMES[] = {"blobs", "ingest", "oci-layout", "index.json"};
    kv_auto_buf path = KV_BUF(KV_STORE_PATH_MAX);
    for (size_t i = 0; i < KV_COUNT(NAMES); i++) {
        KV_TRY(old_path(s, layout, NAMES[i], &path, err));
        KV_TRY(kv_remove_tree(path.p, err));
    }
    return KV_OK;
}

/* The directories that held it, as far as they are empty now. */
static void remove_empty(const kv_store *s, const char *layout)
{
    kv_auto_buf path = KV_BUF(KV_STORE_PATH_MAX);
    kv_sv rest = kv_sv_of(layout);
    while (rest.n) {
        kv_buf_truncate(&path, 0);
        if (kv_store_path(s, &path, NULL, "storage/%.*s", KV_ARG(rest)) != KV_OK) return;
        if (rmdir(path.p) < 0) return;
        size_t slash = kv_sv_rfind(rest, '/');
        rest = kv_sv_sub(rest, 0, slash == SIZE_MAX ? 0 : slash);
    }
}

kv_code kv_store_migrate(kv_store *s, const kv_report *report, kv_error *err)
{
    KV_CLEANUP(layouts_clear) layouts l = {0};
    KV_TRY(search(s, "", 0, &l, err));
    if (l.n == 0) return KV_OK;
    kv_say(report, KV_INFO, "Migrating local storage to new format");
    for (size_t i = 0; i < l.n; i++) KV_TRY(copy_layout(s, l.items[i], err));
    kv_crash_point("migrate.after-copy");
    for (size_t i = 0; i < l.n; i++) KV_TRY(remove_layout(s, l.items[i], err));
    for (size_t i = l.n; i-- > 0;) remove_empty(s, l.items[i]);
    return KV_OK;
}

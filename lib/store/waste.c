#include "store/waste.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "store/layout.h"

/* Directories below the home and the names in them that are looked at. */
typedef struct place {
    const char *dir;
    kv_digest_alg alg;   /* names are blobs of it */
    const char *mark[2]; /* else names that hold one of these; none: every name */
} place;
static const place BLOBS[] = {
    {"storage/blobs/sha256", KV_SHA256, {0}},
    {"storage/blobs/sha512", KV_SHA512, {0}},
};
static const place LEFTOVERS[] = {
    {"storage", 0, {KV_FILE_TEMP_MARK}}, /* whose writer holds the store's lock */
    {"storage/ingest", 0, {0}},
    {"cache/pack", 0, {KV_STORE_TEMP_MARK, "kitops_layer_"}}, /* the second one is kit's */
};

static bool is_meant(const place *p, const char *name, kv_digest *out)
{
    *out = (kv_digest){0};
    if (p->alg) {
        kv_auto_buf text = KV_BUF(512);
        kv_buf_addf(&text, "%s:%s", kv_digest_alg_name(p->alg), name);
        return !text.failed && kv_digest_parse(kv_buf_sv(&text), out, NULL) == KV_OK;
    }
    if (name[0] == '.') return false;
    if (!p->mark[0] || strstr(name, p->mark[0])) return true;
    return p->mark[1] && strstr(name, p->mark[1]);
}

static kv_code look_at(const place *p, int dir_fd, const char *name, kv_store_file_fn *fn,
                       void *ctx, kv_error *err)
{
    kv_digest digest;
    struct stat st;
    if (!is_meant(p, name, &digest)) return KV_OK;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode)) return KV_OK;
    if (!p->alg && !kv_store_is_abandoned(dir_fd, name)) return KV_OK;
    kv_auto_buf path = KV_BUF(KV_STORE_PATH_MAX);
    kv_buf_addf(&path, "%s/%s", p->dir, name);
    KV_TRY(kv_buf_check(&path, err));
    kv_store_file f = {.dir_fd = dir_fd,
                       .name = name,
                       .path = kv_buf_sv(&path),
                       .digest = digest,
                       .size = (uint64_t)st.st_size};
    return fn(ctx, &f, err);
}

static kv_code each(kv_store *s, const place *p, kv_store_file_fn *fn, void *ctx, kv_error *err)
{
    kv_auto_buf path = KV_BUF(KV_STORE_PATH_MAX);
    KV_TRY(kv_store_path(s, &path, err, "%s", p->dir));
    DIR *d = opendir(path.p);
    if (!d && errno == ENOENT) return KV_OK;
    if (!d) return kv_fail_sys(err, "cannot open directory '%s'", path.p);
    kv_code rc = KV_OK;
    for (;;) {
        errno = 0;
        struct dirent *e = readdir(d);
        if (!e && errno) rc = kv_fail_sys(err, "cannot read directory '%s'", path.p);
        if (!e) break;
        rc = look_at(p, dirfd(d), e->d_name, fn, ctx, err);
        if (rc != KV_OK) break;
    }
    closedir(d);
    return rc;
}

kv_code kv_store_each_blob(kv_store *s, kv_store_file_fn *fn, void *ctx, kv_error *err)
{
    for (size_t i = 0; i < KV_COUNT(BLOBS); i++) KV_TRY(each(s, &BLOBS[i], fn, ctx, err));
    return KV_OK;
}

kv_code kv_store_each_leftover(kv_store *s, kv_store_file_fn *fn, void *ctx, kv_error *err)
{
    for (size_t i = 0; i < KV_COUNT(LEFTOVERS); i++) KV_TRY(each(s, &LEFTOVERS[i], fn, ctx, err));
    return KV_OK;
}

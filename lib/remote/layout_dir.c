/*
 * A layout in a directory: oci-layout, index.json, blobs/ALGORITHM/HEX, and in uploads/ what is on
 * its way in. Uploads of one process have fixed names and can be resumed: whoever holds the lock.
 * Others at the same time work under names of their own.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "oci/image_layout.h"
#include "remote/oci_layout.h"

enum { LOCK_WAIT_MS = 30000, PATH_BYTES_MAX = 8192 };
#define STATE_EVERY (256u << 20) /* bytes that come again at most after a kill */

typedef struct dir_layout {
    kv_layout base;
    char *dir;
    kv_blobs *blobs;
    int resumes; /* the lock of those whose uploads can be resumed; -1: somebody else has it */
} dir_layout;

static dir_layout *of(kv_layout *l)
{
    return (dir_layout *)(void *)l;
}

static kv_code dir_get_index(kv_layout *l, kv_buf *out, kv_error *err)
{
    kv_auto_str path = kv_path_join(of(l)->dir, "index.json");
    if (!path) return kv_fail(err, KV_E_NOMEM, "out of memory");
    return kv_file_read(path, out, err);
}

static kv_code dir_put_index(kv_layout *l, kv_sv text, kv_error *err)
{
    kv_auto_str path = kv_path_join(of(l)->dir, "index.json");
    if (!path) return kv_fail(err, KV_E_NOMEM, "out of memory");
    return kv_file_write(path, text, KV_MODE_UMASK, err);
}

static kv_code dir_lock(kv_layout *l, int *out_fd, kv_error *err)
{
    kv_auto_str path = kv_path_join(of(l)->dir, "uploads/index.lock");
    if (!path) return kv_fail(err, KV_E_NOMEM, "out of memory");
    return kv_lock_file(path, true, LOCK_WAIT_MS, out_fd, err);
}

static kv_code dir_open(kv_layout *l, const kv_digest *d, kv_blob_reader **out, kv_error *err)
{
    return kv_blobs_open(of(l)->blobs, d, out, err);
}

/* --- states of uploads: uploads/ID.state --- */

static kv_code state_path(const dir_layout *l, const char *id, kv_buf *out, kv_error *err)
{
    kv_buf_addf(out, "%s/uploads/%s.state", l->dir, id);
    return kv_buf_check(out, err);
}

static kv_code get_state(void *ctx, const char *id, kv_buf *out, kv_error *err)
{
    kv_auto_buf path = KV_BUF(PATH_BYTES_MAX);
    KV_TRY(state_path(ctx, id, &path, err));
    return kv_file_read(path.p, out, err);
}

static kv_code put_state(void *ctx, const char *id, kv_sv state, kv_error *err)
{
    kv_auto_buf path = KV_BUF(PATH_BYTES_MAX);
    KV_TRY(state_path(ctx, id, &path, err));
    return kv_file_write(path.p, state, 0600, err);
}

static kv_code drop_state(void *ctx, const char *id, kv_error *err)
{
    kv_auto_buf path = KV_BUF(PATH_BYTES_MAX);
    KV_TRY(state_path(ctx, id, &path, err));
    return kv_remove_tree(path.p, err);
}

static kv_code dir_put_blob(kv_layout *base, const kv_digest *d, const kv_http_source *source,
                            kv_error *err)
{
    dir_layout *l = of(base);
    kv_upload_states states = {
        .get = get_state, .put = put_state, .drop = drop_state, .ctx = l, .every = STATE_EVERY};
    return kv_layout_upload(l->blobs, l->resumes >= 0 ? &states : NULL, d, source, err);
}

static void dir_free(kv_layout *base)
{
    dir_layout *l = of(base);
    kv_blobs_free(l->blobs);
    kv_close_fd(&l->resumes);
    free(l->dir);
    free(base->name);
    free(l);
}

static const kv_layout_ops DIR_OPS = {
    .get_index = dir_get_index,
    .put_index = dir_put_index,
    .lock = dir_lock,
    .open = dir_open,
    .put_blob = dir_put_blob,
    .free = dir_free,
};

static kv_code take_resumes(dir_layout *l, kv_error *err)
{
    kv_auto_str path = kv_path_join(l->dir, "uploads/lock");
    if (!path) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_error local = {0};
    kv_code rc = kv_lock_file(path, true, 0, &l->resumes, &local);
    if (rc == KV_OK || rc == KV_E_BUSY) return KV_OK;
    if (err) *err = local;
    return rc;
}

static bool is_empty(const char *dir)
{
    DIR *d = opendir(dir);
    if (!d) return false;
    bool empty = true;
    for (struct dirent *e; empty && (e = readdir(d));)
        empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
    closedir(d);
    return empty;
}

/* A directory that holds other things is not filled with blobs by a slip of the keyboard. */
static kv_code check_is_layout(const dir_layout *l, bool write, kv_error *err)
{
    if (!l->dir) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_auto_str file = kv_path_join(l->dir, KV_IMAGE_LAYOUT_FILE);
    if (!file) return kv_fail(err, KV_E_NOMEM, "out of memory");
    if (access(file, F_OK) == 0) return kv_image_layout_check(file, err);
    bool exists = access(l->dir, F_OK) == 0;
    if (write && (!exists || is_empty(l->dir))) return KV_OK;
    if (!exists) return kv_fail(err, KV_E_NOTFOUND, "there is no directory '%s'", l->dir);
    return kv_fail(err, KV_E_INVALID, "'%s' is no OCI image layout: it has no oci-layout", l->dir);
}

kv_code kv_layout_open_dir(const char *dir, bool write, const kv_remote_options *network,
                           kv_layout **out, kv_error *err)
{
    (void)network;
    dir_layout *l = calloc(1, sizeof(*l));
    if (!l) return kv_fail(err, KV_E_NOMEM, "out of memory");
    *l = (dir_layout){.base.ops = &DIR_OPS, .resumes = -1, .dir = strdup(dir)};
    kv_code rc = KV_OK;
    if (!l->dir || asprintf(&l->base.name, "dir:%s", dir) < 0) {
        l->base.name = NULL;
        rc = kv_fail(err, KV_E_NOMEM, "out of memory");
    }
    if (rc == KV_OK) rc = check_is_layout(l, write, err);
    if (rc == KV_OK) rc = kv_blobs_open_layout(dir, write, &l->blobs, err);
    if (rc == KV_OK && write) rc = take_resumes(l, err);
    if (rc == KV_OK)
        *out = &l->base;
    else
        dir_free(&l->base);
    return rc;
}

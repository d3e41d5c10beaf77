/*
 * A layout in one uncompressed tar archive. It is read where it lies. A new one is PATH.partial, held
 * under flock (one that nobody holds was left by a killed process, and is begun again), blob behind
 * blob; an upload that fails is written over by the next. It gets its name by link, which takes no
 * name that is in use, when index.json stands behind everything else.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crash.h"
#include "base/file.h"
#include "codec/hasher.h"
#include "oci/image_layout.h"
#include "remote/oci_layout.h"
#include "tar/tar_places.h"
#include "tar/tar_write.h"

enum { STEP_BYTES = 1 << 20, FILE_MODE = 0644 };
#define WRITE_BACK_BYTES (8u << 20) /* between two hints to the kernel that the disk may begin */

typedef struct place { /* a blob, or with alg 0 index.json */
    kv_digest digest;
    uint64_t offset, size;
} place;

typedef struct archive_layout {
    kv_layout base;
    char *path, *partial; /* partial: of a new one, until it has its name */
    int fd;
    bool owned;            /* partial is ours, and goes when this ends without success */
    pthread_mutex_t mutex; /* all below, and the end of a new file */
    place *places;         /* of an old one: sorted by digest */
    size_t n, cap;
    uint64_t end; /* of what is whole */
    kv_buf index; /* of a new one */
} archive_layout;

static archive_layout *of(kv_layout *l)
{
    return (archive_layout *)(void *)l;
}

/* --- where things are --- */

static kv_code remember(archive_layout *l, const place *p, kv_error *err)
{
    if (!KV_GROW(l->places, l->n, &l->cap)) return kv_fail(err, KV_E_NOMEM, "out of memory");
    l->places[l->n++] = *p;
    return KV_OK;
}

static int by_digest(const void *a, const void *b)
{
    return memcmp(&((const place *)a)->digest, &((const place *)b)->digest, sizeof(kv_digest));
}

static bool find(archive_layout *l, const kv_digest *d, place *out)
{
    place key = {.digest = *d};
    const place *p = NULL;
    pthread_mutex_lock(&l->mutex);
    if (!l->partial && l->n) p = bsearch(&key, l->places, l->n, sizeof(key), by_digest);
    for (size_t i = 0; l->partial && !p && i < l->n; i++)
        if (kv_digest_eq(&l->places[i].digest, d)) p = &l->places[i];
    if (p) *out = *p;
    pthread_mutex_unlock(&l->mutex);
    return p != NULL;
}

static bool is_blob(kv_sv path, kv_digest *out)
{
    kv_sv alg, hex;
    if (!kv_sv_starts(path, KV_SV("blobs/"))) return false;
    hex = kv_sv_cut(kv_sv_from(path, strlen("blobs/")), '/', &alg, NULL);
    kv_auto_buf text = KV_BUF(KV_DIGEST_TEXT_MAX);
    kv_buf_addf(&text, "%.*s:%.*s", KV_ARG(alg), KV_ARG(hex));
    return !text.failed && kv_digest_parse(kv_buf_sv(&text), out, NULL) == KV_OK;
}

static kv_code take_place(void *ctx, const kv_tar_place *p, kv_error *err)
{
    place x = {.offset = p->offset, .size = p->size};
    if (!kv_sv_is(p->path, "index.json") && !is_blob(p->path, &x.digest)) return KV_OK;
    return remember(ctx, &x, err);
}

static kv_code read_at(void *ctx, void *dst, size_t n, uint64_t off, kv_error *err)
{
    const archive_layout *l = ctx;
    return kv_pread_all(l->fd, l->path, dst, n, off, err);
}

/* --- reading --- */

static kv_code archive_get_index(kv_layout *base, kv_buf *out, kv_error *err)
{
    archive_layout *l = of(base);
    if (l->partial) {
        if (!l->index.n) return kv_fail(err, KV_E_NOTFOUND, "no index yet");
        kv_buf_add(out, kv_buf_sv(&l->index));
        return kv_buf_check(out, err);
    }
    place p;
    if (!find(l, &(kv_digest){0}, &p))
        return kv_fail(err, KV_E_INVALID, "'%s' is no OCI image layout: it has no index.json",
                       l->path);
    if (p.size > out->max)
        return kv_fail(err, KV_E_LIMIT, "index.json in '%s' has %llu bytes", l->path,
                       (unsigned long long)p.size);
    char *dst = p.size ? kv_buf_extend(out, (size_t)p.size) : NULL;
    if (!dst) return p.size ? kv_buf_check(out, err) : KV_OK;
    return read_at(l, dst, (size_t)p.size, p.offset, err);
}

typedef struct archive_reader {
    kv_blob_reader base;
    archive_layout *layout;
    uint64_t offset;
} archive_reader;

static kv_code reader_read(kv_blob_reader *base, uint64_t off, void *dst, size_t n, kv_error *err)
{
    archive_reader *r = (archive_reader *)(void *)base;
    return read_at(r->layout, dst, n, r->offset + off, err);
}

static void reader_close(kv_blob_reader *r)
{
    free(r);
}

static kv_code archive_open(kv_layout *base, const kv_digest *d, kv_blob_reader **out,
                            kv_error *err)
{
    static const kv_blob_reader_ops OPS = {.read = reader_read, .close = reader_close};
    archive_layout *l = of(base);
    place p;
    if (!find(l, d, &p))
        return kv_fail(err, KV_E_NOTFOUND, "%s has no blob %s", base->name, kv_digest_str(d).s);
    archive_reader *r = calloc(1, sizeof(*r));
    if (!r) return kv_fail(err, KV_E_NOMEM, "out of memory");
    r->base = (kv_blob_reader){.ops = &OPS, .size = p.size, .fd = -1};
    r->layout = l;
    r->offset = p.offset;
    *out = &r->base;
    return KV_OK;
}

/* --- writing; under the mutex --- */

static kv_code put_header(archive_layout *l, kv_sv path, uint64_t size, uint64_t *out_content,
                          kv_error *err)
{
    kv_auto_buf h = KV_BUF(8 * KV_TAR_BLOCK);
    kv_tar_header(&(kv_tar_member){.path = path, .mode = FILE_MODE, .size = size}, &h);
    KV_TRY(kv_buf_check(&h, err));
    *out_content = l->end + h.n;
    return kv_pwrite_all(l->fd, l->partial, h.p, h.n, l->end, err);
}

static kv_code put_zeros(archive_layout *l, uint64_t at, size_t n, kv_error *err)
{
    static const char ZEROS[KV_TAR_END_BYTES];
    return kv_pwrite_all(l->fd, l->partial, ZEROS, n, at, err);
}

static kv_code put_document(archive_layout *l, const char *name, kv_sv text, kv_error *err)
{
    uint64_t at;
    KV_TRY(put_header(l, kv_sv_of(name), text.n, &at, err));
    KV_TRY(kv_pwrite_all(l->fd, l->partial, text.p, text.n, at, err));
    KV_TRY(put_zeros(l, at + text.n, kv_tar_padding(text.n), err));
    l->end = at + text.n + kv_tar_padding(text.n);
    return KV_OK;
}

static kv_code put_content(archive_layout *l, uint64_t content, const kv_digest *d,
                           const kv_http_source *source, kv_error *err)
{
    kv_auto_str block = malloc(STEP_BYTES);
    if (!block) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_hasher hasher;
    kv_hasher_init(&hasher, d->alg);
    uint64_t pushed = 0;
    for (uint64_t at = 0; at < source->size;) {
        uint64_t left = source->size - at;
        size_t n = left < STEP_BYTES ? (size_t)left : STEP_BYTES, got = 0;
        KV_TRY(source->read(source->ctx, at, block, n, &got, err));
        kv_hasher_add(&hasher, block, got);
        KV_TRY(kv_pwrite_all(l->fd, l->partial, block, got, content + at, err));
        at += got;
        if (at - pushed < WRITE_BACK_BYTES) continue;
        (void)sync_file_range(l->fd, (off_t)(content + pushed), (off_t)(at - pushed),
                              SYNC_FILE_RANGE_WRITE); /* a hint: the fsync reports what fails */
        pushed = at;
    }
    kv_digest got;
    kv_hasher_end(&hasher, &got);
    if (kv_digest_eq(&got, d)) return KV_OK;
    return kv_fail(err, KV_E_DIGEST, "content has digest %s, expected %s", kv_digest_str(&got).s,
                   kv_digest_str(d).s);
}

static kv_code append(archive_layout *l, const kv_digest *d, const kv_http_source *source,
                      kv_error *err)
{
    kv_auto_buf name = KV_BUF(256);
    kv_digest_text text = kv_digest_str(d);
    kv_buf_addf(&name, "blobs/%s/%s", kv_digest_alg_name(d->alg), text.s + strlen("sha256:"));
    KV_TRY(kv_buf_check(&name, err));
    uint64_t content;
    KV_TRY(put_header(l, kv_buf_sv(&name), source->size, &content, err));
    KV_TRY(put_content(l, content, d, source, err));
    uint64_t end = content + source->size;
    KV_TRY(put_zeros(l, end, kv_tar_padding(source->size), err));
    KV_TRY(remember(l, &(place){.digest = *d, .offset = content, .size = source->size}, err));
    l->end = end + kv_tar_padding(source->size);
    return KV_OK;
}

static kv_code archive_put_blob(kv_layout *base, const kv_digest *d, const kv_http_source *source,
                                kv_error *err)
{
    archive_layout *l = of(base);
    pthread_mutex_lock(&l->mutex);
    kv_code rc = append(l, d, source, err);
    pthread_mutex_unlock(&l->mutex);
    return rc;
}

static kv_code archive_put_index(kv_layout *base, kv_sv text, kv_error *err)
{
    archive_layout *l = of(base);
    kv_buf_truncate(&l->index, 0);
    kv_buf_add(&l->index, text);
    return kv_buf_check(&l->index, err);
}

static kv_code give_name(archive_layout *l, kv_error *err)
{
    kv_crash_point("copy.before-rename");
    if (link(l->partial, l->path) < 0) {
        if (errno == EEXIST) return kv_fail(err, KV_E_EXISTS, "'%s' exists already", l->path);
        /* A file system without links: rename would take a name in use, but somebody has to make it
         * in the moment since this process looked. */
        if (access(l->path, F_OK) == 0 || rename(l->partial, l->path) < 0)
            return kv_fail_sys(err, "cannot rename to '%s'", l->path);
    } else {
        unlink(l->partial);
    }
    kv_free_str(&l->partial);
    kv_sv path = kv_sv_of(l->path);
    size_t slash = kv_sv_rfind(path, '/');
    kv_auto_str dir = slash == SIZE_MAX ? strdup(".") : kv_sv_dup(kv_sv_sub(path, 0, slash + 1));
    if (!dir) return kv_fail(err, KV_E_NOMEM, "out of memory");
    return kv_fsync_dir(dir, err);
}

static kv_code archive_finish(kv_layout *base, kv_error *err)
{
    archive_layout *l = of(base);
    if (!l->partial) return KV_OK;
    KV_TRY(put_document(l, "index.json", kv_buf_sv(&l->index), err));
    KV_TRY(put_zeros(l, l->end, KV_TAR_END_BYTES, err));
    l->end += KV_TAR_END_BYTES;
    /* What a failed upload left behind the end must not follow it. */
    if (ftruncate(l->fd, (off_t)l->end) < 0 || fsync(l->fd) < 0)
        return kv_fail_sys(err, "cannot write '%s'", l->partial);
    return give_name(l, err);
}

static void archive_free(kv_layout *base)
{
    archive_layout *l = of(base);
    if (l->partial && l->owned) unlink(l->partial);
    kv_close_fd(&l->fd);
    kv_buf_clear(&l->index);
    free(l->places);
    free(l->path);
    free(l->partial);
    free(base->name);
    pthread_mutex_destroy(&l->mutex);
    free(l);
}

static const kv_layout_ops ARCHIVE_OPS = {
    .get_index = archive_get_index,
    .put_index = archive_put_index,
    .open = archive_open,
    .put_blob = archive_put_blob,
    .finish = archive_finish,
    .free = archive_free,
};

static kv_code open_old(archive_layout *l, kv_error *err)
{
    if (!l->path) return kv_fail(err, KV_E_NOMEM, "out of memory");
    l->fd = open(l->path, O_RDONLY | O_CLOEXEC);
    if (l->fd < 0) return kv_fail_sys(err, "cannot open '%s'", l->path);
    struct stat st;
    if (fstat(l->fd, &st) < 0) return kv_fail_sys(err, "cannot stat '%s'", l->path);
    if (!S_ISREG(st.st_mode)) return kv_fail(err, KV_E_INVALID, "'%s' is no file", l->path);
    kv_code rc = kv_tar_places((uint64_t)st.st_size, read_at, l, take_place, l, err);
    if (rc != KV_OK) return kv_wrap(err, rc, "'%s'", l->path);
    if (l->n) qsort(l->places, l->n, sizeof(*l->places), by_digest);
    return KV_OK;
}

/* Between open and lock the other writer may have given the file its final name. */
static kv_code own_partial(archive_layout *l, kv_error *err)
{
    struct stat mine, named;
    if (flock(l->fd, LOCK_EX | LOCK_NB) == 0 && fstat(l->fd, &mine) == 0 &&
        lstat(l->partial, &named) == 0 && mine.st_ino == named.st_ino &&
        mine.st_dev == named.st_dev)
        return KV_OK;
    return kv_fail(err, KV_E_BUSY, "'%s' is being written by another process", l->partial);
}

static kv_code begin_new(archive_layout *l, kv_error *err)
{
    if (!l->path) return kv_fail(err, KV_E_NOMEM, "out of memory");
    if (access(l->path, F_OK) == 0)
        return kv_fail(err, KV_E_EXISTS, "'%s' exists already, and archives are written once",
                       l->path);
    if (asprintf(&l->partial, "%s.partial", l->path) < 0) {
        l->partial = NULL;
        return kv_fail(err, KV_E_NOMEM, "out of memory");
    }
    l->fd = open(l->partial, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (l->fd < 0) return kv_fail_sys(err, "cannot open '%s'", l->partial);
    KV_TRY(own_partial(l, err));
    if (ftruncate(l->fd, 0) < 0) return kv_fail_sys(err, "cannot truncate '%s'", l->partial);
    l->owned = true;
    return put_document(l, KV_IMAGE_LAYOUT_FILE, KV_SV(KV_IMAGE_LAYOUT_TEXT), err);
}

kv_code kv_layout_open_archive(const char *path, bool write, const kv_remote_options *network,
                               kv_layout **out, kv_error *err)
{
    (void)network;
    archive_layout *l = calloc(1, sizeof(*l));
    if (!l) return kv_fail(err, KV_E_NOMEM, "out of memory");
    *l = (archive_layout){.base.ops = &ARCHIVE_OPS, .fd = -1, .path = strdup(path)};
    l->index = KV_BUF(KV_LAYOUT_INDEX_MAX);
    pthread_mutex_init(&l->mutex, NULL);
    kv_code rc = KV_OK;
    if (!l->path || asprintf(&l->base.name, "archive:%s", path) < 0) {
        l->base.name = NULL;
        rc = kv_fail(err, KV_E_NOMEM, "out of memory");
    }
    if (rc == KV_OK) rc = write ? begin_new(l, err) : open_old(l, err);
    if (rc == KV_OK)
        *out = &l->base;
    else
        archive_free(&l->base);
    return rc;
}

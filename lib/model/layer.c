#include "model/layer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/outfile.h"
#include "codec/compress.h"
#include "codec/hasher.h"
#include "model/memo.h"
#include "tar/tar_write.h"

enum { PLAIN_BYTES = 256 * 1024, REMARKS_MAX = 1 << 20 };

/* The layer's bytes go through add_tar: hashed as they are, then straight into the file, or through
 * a compressor whose output is hashed a second time. */
typedef struct packer {
    kv_layer_job *job;
    kv_outfile *out;           /* NULL: no file is written */
    void *blob_of_sink;        /* NULL: no sink */
    kv_compressor *compressor; /* NULL: the tar is the blob */
    kv_hasher tar, blob;
    char *plain; /* what is read when it is not read into the outfile at once; else NULL */
    uint64_t n_blob;
    bool has_file; /* of a raw layer */
    kv_buf header;
    kv_stamp stamp;
    uint64_t total; /* expected bytes of files, for progress; 0: none */
} packer;

static void packer_clear(packer *p)
{
    if (p->blob_of_sink) p->job->sink->close(p->blob_of_sink);
    kv_outfile_free(p->out);
    kv_compressor_free(p->compressor);
    free(p->plain);
    kv_buf_clear(&p->header);
}

static kv_code write_blob(packer *k, const void *p, size_t n, kv_error *err)
{
    k->n_blob += n;
    if (k->blob_of_sink) return k->job->sink->write(k->blob_of_sink, p, n, err);
    return k->out ? kv_outfile_add(k->out, p, n, err) : KV_OK;
}

static kv_code add_blob(void *ctx, const void *p, size_t n, kv_error *err)
{
    packer *k = ctx;
    kv_hasher_add(&k->blob, p, n);
    return write_blob(k, p, n, err);
}

static kv_code add_tar(packer *k, const void *p, size_t n, kv_error *err)
{
    kv_hasher_add(&k->tar, p, n);
    if (k->compressor) return kv_compressor_add(k->compressor, p, n, err);
    return write_blob(k, p, n, err);
}

static kv_code check_stop(const packer *k, kv_error *err)
{
    KV_TRY(kv_check_cancel(k->job->report, err));
    if (atomic_load_explicit(k->job->failed, memory_order_relaxed) < k->job->index)
        return kv_fail(err, KV_E_CANCELLED, "another layer failed");
    return KV_OK;
}

static ssize_t read_some(int fd, void *dst, size_t n)
{
    for (;;) {
        ssize_t got = read(fd, dst, n);
        if (got >= 0 || errno != EINTR) return got;
    }
}

/* Reads at most `left` bytes of a file into the stream; *out_n 0 at the file's end. */
static kv_code copy_piece(packer *k, int fd, uint64_t left, const char *name, size_t *out_n,
                          kv_error *err)
{
    size_t room = PLAIN_BYTES;
    char *dst = k->plain ? k->plain : kv_outfile_room(k->out, &room);
    ssize_t got = read_some(fd, dst, left < room ? (size_t)left : room);
    if (got < 0) return kv_fail_sys(err, "cannot read '%s'", name);
    *out_n = (size_t)got;
    if (k->plain) return add_tar(k, dst, *out_n, err);
    kv_hasher_add(&k->tar, dst, *out_n);
    k->n_blob += *out_n;
    return kv_outfile_took(k->out, *out_n, err);
}

static kv_code add_content(packer *k, int fd, uint64_t size, const char *name, kv_error *err)
{
    kv_layer_job *job = k->job;
    for (uint64_t left = size; left;) {
        size_t n;
        KV_TRY(check_stop(k, err));
        KV_TRY(copy_piece(k, fd, left, name, &n, err));
        if (n == 0) return kv_fail(err, KV_E_IO, "'%s' became shorter while it was packed", name);
        left -= n;
        job->n_content += n;
        /* done == total would end the bar before the layer is finished. */
        if (job->n_content < k->total)
            kv_progress(job->report, job->index, KV_SV("Packing"), job->n_content, k->total);
    }
    char one;
    ssize_t more = read_some(fd, &one, 1);
    if (more < 0) return kv_fail_sys(err, "cannot read '%s'", name);
    if (more) return kv_fail(err, KV_E_IO, "'%s' became longer while it was packed", name);
    char zeros[KV_TAR_BLOCK] = {0};
    return job->raw ? KV_OK : add_tar(k, zeros, kv_tar_padding(size), err);
}

static unsigned mode_of(const packer *k, const struct stat *st)
{
    if (!k->job->normalize_modes) return st->st_mode & 07777;
    return S_ISDIR(st->st_mode) || (st->st_mode & 0111) ? 0755 : 0644;
}

static kv_code add_header(packer *k, const kv_walk_entry *e, const struct stat *st, kv_error *err)
{
    kv_stamp_entry(&k->stamp, e->path, mode_of(k, st), S_ISDIR(st->st_mode));
    if (k->job->raw) {
        k->job->mode = mode_of(k, st);
        k->has_file = true;
        return KV_OK;
    }
    kv_tar_member m = {
        .path = e->path,
        .dir = S_ISDIR(st->st_mode),
        .mode = mode_of(k, st),
        .size = S_ISDIR(st->st_mode) ? 0 : (uint64_t)st->st_size,
    };
    kv_buf_truncate(&k->header, 0);
    kv_tar_header(&m, &k->header);
    KV_TRY(kv_buf_check(&k->header, err));
    return add_tar(k, k->header.p, k->header.n, err);
}

static kv_code add_file(packer *k, const kv_walk_entry *e, kv_error *err)
{
    kv_auto_str name = kv_sv_dup(e->path);
    if (!name) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_auto_fd fd = openat(e->dir_fd, e->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return kv_fail_sys(err, "cannot open '%s'", name);
    /* Size and mode of what was opened: the name may stand for another file by now. */
    struct stat st;
    if (fstat(fd, &st) < 0) return kv_fail_sys(err, "cannot stat '%s'", name);
    if (!S_ISREG(st.st_mode))
        return kv_fail(err, KV_E_INVALID, "'%s' is not a regular file any more", name);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    KV_TRY(add_header(k, e, &st, err));
    kv_stamp_file(&k->stamp, fd, &st);
    KV_TRY(add_content(k, fd, (uint64_t)st.st_size, name, err));
    kv_stamp_check(&k->stamp, fd, &st);
    return KV_OK;
}

static kv_code on_entry(void *ctx, const kv_walk_entry *e, kv_error *err)
{
    packer *k = ctx;
    KV_TRY(check_stop(k, err));
    if (!S_ISDIR(e->st->st_mode)) return add_file(k, e, err);
    return k->job->raw ? KV_OK : add_header(k, e, e->st, err);
}

static void on_remark(void *ctx, const char *text)
{
    packer *k = ctx;
    kv_buf_adds(&k->job->remarks, text);
    kv_buf_addc(&k->job->remarks, '\n');
}

/* --- layers that were packed before --- */

static kv_code foresee(void *ctx, const kv_walk_entry *e, kv_error *err)
{
    packer *k = ctx;
    KV_TRY(check_stop(k, err));
    bool dir = S_ISDIR(e->st->st_mode);
    if (dir && k->job->raw) return KV_OK;
    k->job->mode = mode_of(k, e->st);
    kv_stamp_entry(&k->stamp, e->path, k->job->mode, dir);
    if (dir) return KV_OK;
    kv_stamp_file(&k->stamp, e->dir_fd, e->st);
    k->total += (uint64_t)e->st->st_size;
    return KV_OK;
}

static uint32_t way_of(const kv_layer_job *job)
{
    return (uint32_t)job->compression << 1 | job->raw;
}

/* Walks without reading: the stamp of the files as they are now, and their size for a progress bar. */
static kv_code look_ahead(packer *k, kv_digest *out, bool *out_sure, kv_error *err)
{
    kv_layer_job *job = k->job;
    job->walk.entry = foresee;
    job->walk.remark = on_remark;
    job->walk.ctx = k;
    kv_stamp_begin(&k->stamp, way_of(job));
    KV_TRY(kv_walk_layer(&job->walk, err));
    *out_sure = kv_stamp_end(&k->stamp, out);
    return KV_OK;
}

static bool is_known(packer *k, const kv_digest *stamp)
{
    kv_memo m;
    kv_layer_job *job = k->job;
    if (job->fresh || !kv_memo_find(job->store, stamp, &m)) return false;
    job->digest = m.digest;
    job->diff_id = m.diff_id;
    job->size = m.size;
    job->n_content = m.n_content;
    return true;
}

static void remember(packer *k, const kv_digest *before)
{
    kv_digest stamp;
    const kv_layer_job *job = k->job;
    if (!kv_stamp_end(&k->stamp, &stamp) || !kv_digest_eq(&stamp, before)) return;
    kv_memo_keep(job->store, &stamp,
                 &(kv_memo){.digest = job->digest,
                            .diff_id = job->diff_id,
                            .size = job->size,
                            .n_content = job->n_content});
}

static kv_code start_compressor(packer *k, kv_error *err)
{
    static const kv_codec CODECS[] = {
        [KV_COMPRESS_GZIP] = KV_CODEC_GZIP,
        [KV_COMPRESS_GZIP_FASTEST] = KV_CODEC_GZIP_FASTEST,
        [KV_COMPRESS_ZSTD] = KV_CODEC_ZSTD,
    };
    bool compress = k->job->compression != KV_COMPRESS_NONE;
    if (compress) k->compressor = kv_compressor_new(CODECS[k->job->compression], add_blob, k);
    if (compress || !k->out) k->plain = malloc(PLAIN_BYTES);
    bool ok = (k->compressor || !compress) && (k->plain || k->out);
    return ok && (k->plain || !compress) ? KV_OK : kv_fail(err, KV_E_NOMEM, "out of memory");
}

static kv_code finish(packer *k, kv_error *err)
{
    kv_layer_job *job = k->job;
    char zeros[KV_TAR_END_BYTES] = {0};
    if (job->raw && !k->has_file)
        return kv_fail(
            err, KV_E_INVALID,
            "path %.*s is left out by .kitignore or is no file, and a raw layer is one file",
            KV_ARG(job->walk.layer));
    if (!job->raw) KV_TRY(add_tar(k, zeros, sizeof(zeros), err));
    kv_hasher_end(&k->tar, &job->diff_id);
    job->digest = job->diff_id;
    if (k->compressor) {
        KV_TRY(kv_compressor_end(k->compressor, err));
        kv_hasher_end(&k->blob, &job->digest);
    }
    job->size = k->n_blob;
    if (k->blob_of_sink)
        return job->sink->commit(k->blob_of_sink, &job->digest, &job->existed, err);
    return k->out ? kv_outfile_end(k->out, err) : KV_OK;
}

static kv_code open_blob(packer *k, kv_error *err)
{
    kv_layer_job *job = k->job;
    KV_TRY(kv_store_temp_make(job->store, "cache/pack", "layer", &job->temp, err));
    k->out = kv_outfile_new(job->temp.fd, job->temp.path, kv_store_waits(job->store));
    return k->out ? KV_OK : kv_fail(err, KV_E_NOMEM, "out of memory");
}

static kv_code pack_files(packer *k, kv_error *err)
{
    kv_layer_job *job = k->job;
    kv_buf_truncate(&job->remarks, 0); /* the walk makes them again */
    k->has_file = false;
    if (job->sink)
        KV_TRY(job->sink->open(job->sink->ctx, &k->blob_of_sink, err));
    else if (!job->dry)
        KV_TRY(open_blob(k, err));
    KV_TRY(start_compressor(k, err));
    job->walk.entry = on_entry;
    kv_stamp_begin(&k->stamp, way_of(job));
    KV_TRY(kv_walk_layer(&job->walk, err));
    return finish(k, err);
}

kv_code kv_layer_pack(kv_layer_job *job, kv_error *err)
{
    job->temp = KV_STORE_TEMP_NONE;
    job->remarks = KV_BUF(REMARKS_MAX);
    KV_CLEANUP(packer_clear) packer k = {.job = job, .header = KV_BUF(1u << 20)};
    kv_hasher_init(&k.tar, KV_SHA256);
    kv_hasher_init(&k.blob, KV_SHA256);
    kv_digest stamp;
    bool sure = false;
    KV_TRY(look_ahead(&k, &stamp, &sure, err));
    job->known = sure && is_known(&k, &stamp);
    if (!job->known) KV_TRY(pack_files(&k, err));
    if (!job->known && sure && !job->dry && !job->sink) remember(&k, &stamp);
    if (k.total) kv_progress(job->report, job->index, KV_SV("Packing"), k.total, k.total);
    return KV_OK;
}

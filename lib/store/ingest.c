/*
 * Blobs on their way in: storage/ingest/HEX is a partial download that any process may continue,
 * as kit does. Whoever writes it holds it under flock; who finds it held works in a temporary file
 * of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crash.h"
#include "base/file.h"
#include "codec/aside.h"
#include "kitvault/store.h"
#include "store/layout.h"

enum { REREAD_BYTES = 256 * 1024 };
/* Dirty pages go to the disk while more bytes arrive, so that the final fsync has little to do. */
#define WRITE_BACK_BYTES (8u << 20)

struct kv_ingest {
    kv_store *store;
    kv_digest digest;
    uint64_t size, offset, written_back;
    kv_hashing hashing;
    kv_store_temp file;
    bool shared_name; /* the file is ingest/HEX, and stays for the next try */
};

static kv_code open_partial(const char *path, int *out_fd, kv_error *err)
{
    for (int tries = 0; tries < 10; tries++) {
        kv_auto_fd fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0) return kv_fail_sys(err, "cannot open '%s'", path);
        if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
            if (errno == EINTR) continue;
            return kv_fail(err, KV_E_BUSY, "'%s' is being written by another process", path);
        }
        /* Between open and lock the other writer may have made it a blob, which is not to be
         * touched: only the file that still has this name is a partial one. */
        struct stat mine, named;
        if (fstat(fd, &mine) < 0) return kv_fail_sys(err, "cannot stat '%s'", path);
        if (lstat(path, &named) < 0 || mine.st_ino != named.st_ino || mine.st_dev != named.st_dev)
            continue;
        *out_fd = fd;
        fd = -1;
        return KV_OK;
    }
    return kv_fail(err, KV_E_BUSY, "'%s' keeps changing", path);
}

static kv_code open_file(kv_ingest *in, kv_error *err)
{
    kv_auto_buf path = KV_BUF(KV_STORE_PATH_MAX);
    kv_digest_text name = kv_digest_str(&in->digest);
    KV_TRY(kv_store_path(in->store, &path, err, "storage/ingest/%s", name.s + strlen("sha256:")));
    kv_code rc = open_partial(path.p, &in->file.fd, err);
    if (rc == KV_E_BUSY)
        return kv_store_temp_make(in->store, "storage/ingest", "blob", &in->file, err);
    if (rc != KV_OK) return rc;
    in->shared_name = true;
    in->file.path = kv_buf_take(&path);
    return in->file.path ? KV_OK : kv_fail(err, KV_E_NOMEM, "out of memory");
}

kv_code kv_ingest_restart(kv_ingest *in, kv_error *err)
{
    if (ftruncate(in->file.fd, 0) < 0)
        return kv_fail_sys(err, "cannot truncate '%s'", in->file.path);
    if (lseek(in->file.fd, 0, SEEK_SET) < 0)
        return kv_fail_sys(err, "cannot seek in '%s'", in->file.path);
    in->offset = in->written_back = 0;
    kv_hasher_init(kv_hashing_join(&in->hashing), in->digest.alg);
    return KV_OK;
}

/* Hashes what a former try left; leaves the file position at its end. */
static kv_code reread(kv_ingest *in, kv_error *err)
{
    struct stat st;
    if (fstat(in->file.fd, &st) < 0) return kv_fail_sys(err, "cannot stat '%s'", in->file.path);
    if ((uint64_t)st.st_size > in->size) return kv_ingest_restart(in, err);
    kv_auto_str block = malloc(REREAD_BYTES);
    if (!block) return kv_fail(err, KV_E_NOMEM, "out of memory");
    for (;;) {
        ssize_t got = read(in->file.fd, block, REREAD_BYTES);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return kv_fail_sys(err, "cannot read '%s'", in->file.path);
        if (got == 0) return KV_OK;
        kv_hashing_add(&in->hashing, block, (size_t)got);
        in->offset += (uint64_t)got;
    }
}

kv_code kv_ingest_begin(kv_store *s, const kv_digest *d, uint64_t size, kv_ingest **out,
                        kv_error *err)
{
    KV_TRY(kv_store_prepare(s, err));
    kv_auto(kv_ingest) in = calloc(1, sizeof(*in));
    if (!in) return kv_fail(err, KV_E_NOMEM, "out of memory");
    *in = (kv_ingest){.store = s, .digest = *d, .size = size, .file = KV_STORE_TEMP_NONE};
    kv_hasher_init(&in->hashing.hasher, d->alg);
    KV_TRY(open_file(in, err));
    KV_TRY(reread(in, err));
    *out = KV_TAKE(in);
    return KV_OK;
}

void kv_ingest_hash_aside(kv_ingest *in)
{
    kv_hashing_aside(&in->hashing);
}

uint64_t kv_ingest_offset(const kv_ingest *in)
{
    return in->offset;
}

/* The next try starts over: what is here is not what it should be. */
static kv_code refuse(kv_ingest *in, kv_error *err)
{
    kv_store_temp_drop(&in->file);
    return kv_fail(err, KV_E_DIGEST, "downloaded file hash does not match descriptor");
}

kv_code kv_ingest_write(kv_ingest *in, const void *p, size_t n, kv_error *err)
{
    if (in->file.fd < 0 || n > in->size - in->offset) return refuse(in, err);
    KV_TRY(kv_write_all(in->file.fd, in->file.path, p, n, err));
    kv_hashing_add(&in->hashing, p, n);
    in->offset += n;
    if (kv_store_waits(in->store) && in->offset - in->written_back >= WRITE_BACK_BYTES) {
        /* A hint: the fsync at the end reports what fails. */
        (void)sync_file_range(in->file.fd, (off_t)in->written_back,
                              (off_t)(in->offset - in->written_back), SYNC_FILE_RANGE_WRITE);
        in->written_back = in->offset;
    }
    return KV_OK;
}

static kv_code commit(kv_ingest *in, bool replace, kv_error *err)
{
    if (in->file.fd < 0) return refuse(in, err);
    if (in->offset < in->size)
        return kv_fail(err, KV_E_CORRUPT, "got %llu of %llu bytes of blob %s",
                       (unsigned long long)in->offset, (unsigned long long)in->size,
                       kv_digest_str(&in->digest).s);
    kv_digest got;
    kv_hasher_end(kv_hashing_join(&in->hashing), &got);
    if (!kv_digest_eq(&got, &in->digest)) return refuse(in, err);
    bool existed = !replace && kv_store_has(in->store, &in->digest, in->size);
    kv_crash_point("ingest.before-rename");
    if (existed)
        kv_store_temp_drop(&in->file);
    else
        KV_TRY(kv_store_replace(in->store, &in->file, &in->digest, KV_STORE_MODE_PULLED, err));
    KV_TRY(kv_store_sync_blobs(in->store, in->digest.alg, err));
    kv_crash_point("ingest.after-rename");
    return KV_OK;
}

kv_code kv_ingest_commit(kv_ingest *in, kv_error *err)
{
    kv_code rc = commit(in, false, err);
    kv_ingest_close(in);
    return rc;
}

kv_code kv_ingest_replace(kv_ingest *in, kv_error *err)
{
    kv_code rc = commit(in, true, err);
    kv_ingest_close(in);
    return rc;
}

void kv_ingest_close(kv_ingest *in)
{
    if (!in) return;
    /* An empty partial file helps nobody. */
    if (in->shared_name && in->offset > 0) {
        free(in->file.path);
        in->file.path = NULL;
    }
    kv_store_temp_drop(&in->file);
    (void)kv_hashing_join(&in->hashing);
    free(in);
}

#include "model/memo.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"

#define MEMO_DIR "cache/layers"
#define VERSION 1u /* of the form of stamps and memos, and of the bytes that packing gives */
enum {
    US = 1000000,
    RACY_US = 2 * US, /* the coarsest time stamps of local file systems (FAT) */
    MEMO_BYTES_MAX = 512,
    /* linux/magic.h does not have these */
    CIFS_MAGIC = (int)0xFF534D42,
    SMB2_MAGIC = (int)0xFE534D42,
    FUSE_MAGIC = 0x65735546,
};

/* Times of other machines or programs say nothing about what happened here since. */
static bool stamps_itself(int fd)
{
    struct statfs fs;
    if (fstatfs(fd, &fs) < 0) return false;
    switch ((int)fs.f_type) {
    case NFS_SUPER_MAGIC:
    case SMB_SUPER_MAGIC:
    case CIFS_MAGIC:
    case SMB2_MAGIC:
    case FUSE_MAGIC:
    case V9FS_MAGIC:
    case AFS_SUPER_MAGIC:
    case CODA_SUPER_MAGIC:
    case CEPH_SUPER_MAGIC: return false;
    default: return true;
    }
}

static int64_t time_us(struct timespec t)
{
    return (int64_t)t.tv_sec * US + t.tv_nsec / 1000;
}

static void add_numbers(kv_stamp *s, const uint64_t *v, size_t n)
{
    kv_hasher_add(&s->hasher, v,
                  n * sizeof(*v)); /* stays on this machine: its byte order will do */
}

void kv_stamp_begin(kv_stamp *s, uint32_t way)
{
    *s = (kv_stamp){.begun = kv_now_us(), .newest = INT64_MIN, .device = (dev_t)-1};
    kv_hasher_init(&s->hasher, KV_SHA256);
    add_numbers(s, (uint64_t[]){VERSION, way}, 2);
}

void kv_stamp_entry(kv_stamp *s, kv_sv path, unsigned mode, bool dir)
{
    add_numbers(s, (uint64_t[]){path.n, (uint64_t)mode << 1 | dir}, 2);
    kv_hasher_add(&s->hasher, path.p, path.n);
}

void kv_stamp_file(kv_stamp *s, int fd, const struct stat *st)
{
    if (st->st_dev != s->device) {
        if (!stamps_itself(fd)) s->unsure = true;
        s->device = st->st_dev;
    }
    int64_t m = time_us(st->st_mtim), c = time_us(st->st_ctim);
    if (m > s->newest) s->newest = m;
    if (c > s->newest) s->newest = c;
    add_numbers(s,
                (uint64_t[]){(uint64_t)st->st_dev, (uint64_t)st->st_ino, (uint64_t)st->st_size,
                             (uint64_t)st->st_mtim.tv_sec, (uint64_t)st->st_mtim.tv_nsec,
                             (uint64_t)st->st_ctim.tv_sec, (uint64_t)st->st_ctim.tv_nsec},
                7);
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

void kv_stamp_check(kv_stamp *s, int fd, const struct stat *before)
{
    struct stat now;
    if (fstat(fd, &now) < 0 || now.st_size != before->st_size ||
        !same_time(now.st_mtim, before->st_mtim) || !same_time(now.st_ctim, before->st_ctim))
        s->unsure = true;
}

bool kv_stamp_end(kv_stamp *s, kv_digest *out)
{
    kv_hasher_end(&s->hasher, out);
    return !s->unsure && s->newest < s->begun - RACY_US;
}

/* --- memos --- */

static kv_code memo_path(kv_store *s, const kv_digest *stamp, kv_buf *out, kv_error *err)
{
    return kv_store_path(s, out, err, MEMO_DIR "/%s", kv_digest_str(stamp).s + strlen("sha256:"));
}

/* "1 DIGEST DIFF_ID SIZE CONTENT SUM", the last one of what is before it: a torn file is nobody's. */
static void format(const kv_memo *m, kv_buf *out)
{
    kv_buf_addf(out, "%u %s %s %" PRIu64 " %" PRIu64 " ", VERSION, kv_digest_str(&m->digest).s,
                kv_digest_str(&m->diff_id).s, m->size, m->n_content);
    if (out->failed) return;
    kv_digest sum = kv_digest_of(KV_SHA256, kv_buf_sv(out));
    kv_buf_addf(out, "%s\n", kv_digest_str(&sum).s);
}

static bool parse(kv_sv text, kv_memo *out)
{
    kv_sv word[5], rest = text; /* what follows is compared with what these would give */
    for (size_t i = 0; i < KV_COUNT(word); i++) rest = kv_sv_cut(rest, ' ', &word[i], NULL);
    if (kv_digest_parse(word[1], &out->digest, NULL) != KV_OK ||
        kv_digest_parse(word[2], &out->diff_id, NULL) != KV_OK ||
        !kv_sv_to_u64(word[3], &out->size) || !kv_sv_to_u64(word[4], &out->n_content))
        return false;
    kv_auto_buf again = KV_BUF(MEMO_BYTES_MAX);
    format(out, &again);
    return !again.failed && kv_sv_eq(kv_buf_sv(&again), text);
}

bool kv_memo_find(kv_store *s, const kv_digest *stamp, kv_memo *out)
{
    kv_auto_buf path = KV_BUF(KV_STORE_PATH_MAX), text = KV_BUF(MEMO_BYTES_MAX);
    return memo_path(s, stamp, &path, NULL) == KV_OK &&
           kv_file_read(path.p, &text, NULL) == KV_OK && parse(kv_buf_sv(&text), out) &&
           kv_store_has(s, &out->digest, out->size);
}

/* Half of them, whichever: the next pack of what is still there makes its memo anew. */
static void thin_out(const char *dir)
{
    DIR *d = opendir(dir);
    if (!d) return;
    size_t n = 0;
    while (readdir(d)) n++;
    rewinddir(d);
    if (n > KV_MEMO_COUNT_MAX)
        for (struct dirent *e; n > KV_MEMO_COUNT_MAX / 2 && (e = readdir(d));)
            if (e->d_name[0] != '.' && unlinkat(dirfd(d), e->d_name, 0) == 0) n--;
    closedir(d);
}

static kv_code keep(kv_store *s, const kv_digest *stamp, const kv_memo *m, kv_error *err)
{
    kv_auto_buf dir = KV_BUF(KV_STORE_PATH_MAX), path = KV_BUF(KV_STORE_PATH_MAX),
                text = KV_BUF(MEMO_BYTES_MAX);
    KV_TRY(kv_store_path(s, &dir, err, MEMO_DIR));
    KV_TRY(kv_mkdirs(dir.p, 0700, err));
    thin_out(dir.p);
    format(m, &text);
    KV_TRY(kv_buf_check(&text, err));
    KV_TRY(memo_path(s, stamp, &path, err));
    kv_auto_store_temp temp = KV_STORE_TEMP_NONE;
    KV_TRY(kv_store_temp_make(s, "cache/pack", "memo", &temp, err));
    KV_TRY(kv_write_all(temp.fd, temp.path, text.p, text.n, err));
    return kv_store_temp_rename(&temp, path.p, err);
}

void kv_memo_keep(kv_store *s, const kv_digest *stamp, const kv_memo *m)
{
    if (keep(s, stamp, m, NULL) != KV_OK) {
        /* the next pack reads the files again */
    }
}

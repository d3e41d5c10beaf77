/*
 * Blobs on their way to the disk. Who stores something does not wait for the disk, so a power cut
 * may leave a blob of zeros under a name that lists know. A note beside the store says since when
 * blobs may be in that state and in which run of the machine (its boot id). It is on the disk before
 * the first such blob has a name. In the same run it moves forward once the blobs behind it are
 * synced; in another run the blobs behind it are read again, and what is not whole goes away.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "codec/hasher.h"
#include "store/layout.h"
#include "store/store_priv.h"

#define BOOT_ID "/proc/sys/kernel/random/boot_id"
enum {
    US = 1000000,
    SETTLE_AFTER_US = 60 * US, /* the kernel has written most by then: the sync is quick */
    CLOCK_SLACK_US = 60 * US,  /* a clock may have been set back while blobs were stored */
    BOOT_MAX = 64,
    BLOCK_BYTES = 256 * 1024,
};

typedef struct note {
    char boot[BOOT_MAX]; /* "": unreadable, so everything behind `since` is in doubt */
    int64_t since;       /* microseconds since 1970 */
} note;

static kv_code note_path(const kv_store *s, kv_buf *out, kv_error *err)
{
    return kv_store_path(s, out, err,
                         KV_STORE_NOTE); /* beside storage/, which holds kit's files only */
}

/* "" on a machine that does not tell. */
static void boot_id(char out[BOOT_MAX])
{
    kv_auto_buf text = KV_BUF(BOOT_MAX);
    out[0] = '\0';
    if (kv_file_read(BOOT_ID, &text, NULL) != KV_OK) return;
    kv_sv id = kv_sv_trim(kv_buf_sv(&text));
    (void)snprintf(out, BOOT_MAX, "%.*s", KV_ARG(id));
}

/* A note that cannot be read puts everything in doubt; *out_there false: nothing is in doubt. */
static kv_code read_note(const kv_store *s, note *out, bool *out_there, kv_error *err)
{
    kv_auto_buf path = KV_BUF(KV_STORE_PATH_MAX), text = KV_BUF(256);
    kv_error why;
    *out = (note){.since = INT64_MIN};
    *out_there = false;
    KV_TRY(note_path(s, &path, err));
    kv_code rc = kv_file_read(path.p, &text, &why);
    if (rc == KV_E_NOTFOUND) return KV_OK;
    if (rc != KV_OK && rc != KV_E_LIMIT) {
        if (err) *err = why;
        return rc;
    }
    *out_there = true;
    bool found;
    kv_sv boot, since = kv_sv_cut(kv_buf_sv(&text), ' ', &boot, &found);
    if (rc == KV_OK && found && boot.n < BOOT_MAX &&
        kv_time_parse(kv_sv_trim(since), &out->since, NULL) == KV_OK)
        (void)snprintf(out->boot, BOOT_MAX, "%.*s", KV_ARG(boot));
    else
        out->since = INT64_MIN;
    return KV_OK;
}

static kv_code write_note(const kv_store *s, const char *boot, int64_t since, kv_error *err)
{
    kv_auto_buf path = KV_BUF(KV_STORE_PATH_MAX), text = KV_BUF(256);
    char when[KV_TIME_TEXT_MAX];
    kv_time_format(since, 6, when);
    kv_buf_addf(&text, "%s %s\n", boot, when);
    KV_TRY(kv_buf_check(&text, err));
    KV_TRY(note_path(s, &path, err));
    return kv_file_write(path.p, kv_buf_sv(&text), KV_MODE_UMASK, err);
}

static kv_code drop_note(const kv_store *s, kv_error *err)
{
    kv_auto_buf path = KV_BUF(KV_STORE_PATH_MAX);
    KV_TRY(note_path(s, &path, err));
    if (unlink(path.p) < 0 && errno != ENOENT)
        return kv_fail_sys(err, "cannot remove '%s'", path.p);
    return KV_OK;
}

/* --- the blobs since then --- */

typedef struct blob {
    int dir; /* of the blobs of its algorithm */
    const char *name;
    kv_digest digest;
    struct stat st;
} blob;
typedef kv_code blob_fn(kv_store *s, const blob *b, const kv_report *report, kv_error *err);

static int64_t changed_us(const struct stat *st)
{
    return (int64_t)st->st_ctim.tv_sec * US + st->st_ctim.tv_nsec / 1000;
}

static kv_code visit(kv_store *s, blob *b, const char *alg, int64_t since, blob_fn *fn,
                     const kv_report *report, kv_error *err)
{
    char text[256];
    int n = snprintf(text, sizeof(text), "%s:%s", alg, b->name);
    if (n < 0 || (size_t)n >= sizeof(text)) return KV_OK;
    if (kv_digest_parse(kv_sv_of(text), &b->digest, NULL) != KV_OK) return KV_OK;
    if (fstatat(b->dir, b->name, &b->st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(b->st.st_mode))
        return KV_OK;
    return changed_us(&b->st) < since ? KV_OK : fn(s, b, report, err);
}

static kv_code each_of(kv_store *s, kv_digest_alg alg, int64_t since, blob_fn *fn,
                       const kv_report *report, kv_error *err)
{
    const char *name = kv_digest_alg_name(alg);
    kv_auto_buf path = KV_BUF(KV_STORE_PATH_MAX);
    KV_TRY(kv_store_path(s, &path, err, "storage/blobs/%s", name));
    DIR *d = opendir(path.p);
    if (!d && errno == ENOENT) return KV_OK;
    if (!d) return kv_fail_sys(err, "cannot open directory '%s'", path.p);
    kv_code rc = KV_OK;
    for (struct dirent *e; rc == KV_OK && (e = readdir(d));) {
        blob b = {.dir = dirfd(d), .name = e->d_name};
        rc = visit(s, &b, name, since, fn, report, err);
    }
    closedir(d);
    return rc;
}

/* Calls fn for the blobs that were stored since then, in no order. */
static kv_code each_since(kv_store *s, int64_t since, blob_fn *fn, const kv_report *report,
                          kv_error *err)
{
    if (since > INT64_MIN + CLOCK_SLACK_US) since -= CLOCK_SLACK_US;
    KV_TRY(each_of(s, KV_SHA256, since, fn, report, err));
    return each_of(s, KV_SHA512, since, fn, report, err);
}

/* --- the same run of the machine: sync --- */

static kv_code sync_blob(kv_store *s, const blob *b, const kv_report *report, kv_error *err)
{
    (void)s;
    (void)report;
    kv_auto_fd fd = openat(b->dir, b->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return KV_OK; /* removed meanwhile */
    if (fd < 0 || fsync(fd) < 0)
        return kv_fail_sys(err, "cannot sync blob %s", kv_digest_str(&b->digest).s);
    return KV_OK;
}

kv_code kv_store_settle(kv_store *s, kv_error *err)
{
    note old;
    bool there;
    char boot[BOOT_MAX];
    int64_t now = kv_now_us();
    boot_id(boot);
    if (!boot[0]) s->waits = true; /* no way to see later that it stopped */
    KV_TRY(read_note(s, &old, &there, err));
    bool fresh = there && now >= old.since && now - old.since < SETTLE_AFTER_US;
    if (fresh && !s->waits) return KV_OK;
    if (there) KV_TRY(each_since(s, old.since, sync_blob, NULL, err));
    return s->waits ? drop_note(s, err) : write_note(s, boot, now, err);
}

/* --- another run: verify --- */

static kv_code hash_blob(int fd, const blob *b, const kv_report *report, bool *out_whole,
                         kv_error *err)
{
    kv_hasher h;
    kv_digest got;
    kv_auto_str block = malloc(BLOCK_BYTES);
    if (!block) return kv_fail(err, KV_E_NOMEM, "out of memory");
    uint64_t done = 0, total = (uint64_t)b->st.st_size;
    kv_hasher_init(&h, b->digest.alg);
    for (;;) {
        KV_TRY(kv_check_cancel(report, err));
        ssize_t n = pread(fd, block, BLOCK_BYTES, (off_t)done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return kv_fail_sys(err, "cannot read blob %s", kv_digest_str(&b->digest).s);
        if (n == 0) break;
        kv_hasher_add(&h, block, (size_t)n);
        done += (uint64_t)n;
        kv_progress(report, 0, KV_SV("Checking"), done < total ? done : total, total);
    }
    kv_hasher_end(&h, &got);
    *out_whole = kv_digest_eq(&got, &b->digest);
    return KV_OK;
}

/* Whoever stored it again meanwhile has given the name another file. */
static kv_code remove_same(kv_store *s, const blob *b, kv_error *err)
{
    struct stat now;
    kv_auto_fd lock = -1;
    KV_TRY(kv_store_lock(s, &lock, err));
    if (fstatat(b->dir, b->name, &now, AT_SYMLINK_NOFOLLOW) < 0 || now.st_ino != b->st.st_ino ||
        now.st_dev != b->st.st_dev)
        return KV_OK;
    if (unlinkat(b->dir, b->name, 0) < 0)
        return kv_fail_sys(err, "cannot remove blob %s", kv_digest_str(&b->digest).s);
    return KV_OK;
}

static kv_code verify_blob(kv_store *s, const blob *b, const kv_report *report, kv_error *err)
{
    bool whole = false;
    kv_auto_fd fd = openat(b->dir, b->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return KV_OK;
    if (fd < 0) return kv_fail_sys(err, "cannot open blob %s", kv_digest_str(&b->digest).s);
    KV_TRY(hash_blob(fd, b, report, &whole, err));
    if (whole) return KV_OK;
    kv_say(
        report, KV_WARN,
        "Blob %s had not reached the disk when the machine stopped. It was removed; pack or pull "
        "its ModelKit again",
        kv_digest_str(&b->digest).s);
    return remove_same(s, b, err);
}

kv_code kv_store_recover(kv_store *s, const kv_report *report, kv_error *err)
{
    note old;
    bool there;
    char boot[BOOT_MAX];
    KV_TRY(read_note(s, &old, &there, err));
    if (!there) return KV_OK;
    boot_id(boot);
    if (boot[0] && strcmp(boot, old.boot) == 0) return KV_OK;
    int64_t now = kv_now_us();
    KV_TRY(each_since(s, old.since, verify_blob, report, err));
    kv_auto_fd lock = -1;
    KV_TRY(kv_store_lock(s, &lock, err));
    return boot[0] ? write_note(s, boot, now, err) : drop_note(s, err);
}

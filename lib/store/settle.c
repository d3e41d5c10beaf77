/*
 * Blobs on their way to the disk. Who stores something does not wait for the disk, so a power cut
 * may leave a blob of zeros under a name that lists know. A note beside the store says since when
 * blobs may be in that state and in which run of the machine (its boot id). It is on the disk before
 * the first such blob has a name. In the same run it moves forward once the blobs behind it are
 * synced; in another run the blobs behind it are read again, and what is not whole goes away.
 */
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
#include "store/waste.h"

#define BOOT_ID "/proc/sys/kernel/random/boot_id"
enum {
    US = 1000000,
    SETTLE_AFTER_US = 60 * US, /* the kernel has written most by then: the sync is quick */
    CLOCK_SLACK_US = 60 * US,  /* a clock may have been set back while blobs were stored */
    BOOT_MAX = 64,
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

typedef struct visit { /* of the blobs that were stored since then */
    kv_store *store;
    const kv_report *report;
    int64_t since;
    uint64_t done, total; /* bytes of the blob that is read */
} visit;
static visit visit_since(kv_store *s, int64_t since, const kv_report *report)
{
    if (since > INT64_MIN + CLOCK_SLACK_US) since -= CLOCK_SLACK_US;
    return (visit){.store = s, .report = report, .since = since};
}

/* Opens f if it is one of those; *out_fd stays -1 otherwise, also when it was removed meanwhile. */
static kv_code open_recent(const visit *v, const kv_store_file *f, int *out_fd, struct stat *st,
                           kv_error *err)
{
    kv_auto_fd fd = openat(f->dir_fd, f->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return KV_OK;
    if (fd < 0 || fstat(fd, st) < 0)
        return kv_fail_sys(err, "cannot open blob %s", kv_digest_str(&f->digest).s);
    if ((int64_t)st->st_ctim.tv_sec * US + st->st_ctim.tv_nsec / 1000 < v->since) return KV_OK;
    *out_fd = fd;
    fd = -1;
    return KV_OK;
}

/* --- the same run of the machine: sync --- */

static kv_code sync_blob(void *ctx, const kv_store_file *f, kv_error *err)
{
    struct stat st;
    kv_auto_fd fd = -1;
    KV_TRY(open_recent(ctx, f, &fd, &st, err));
    if (fd >= 0 && fsync(fd) < 0)
        return kv_fail_sys(err, "cannot sync blob %s", kv_digest_str(&f->digest).s);
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
    visit v = visit_since(s, old.since, NULL);
    if (there) KV_TRY(kv_store_each_blob(s, sync_blob, &v, err));
    return s->waits ? drop_note(s, err) : write_note(s, boot, now, err);
}

/* --- another run: verify --- */

static kv_code heard(void *ctx, size_t n, kv_error *err)
{
    visit *v = ctx;
    v->done += n;
    kv_progress(v->report, 0, KV_SV("Checking"), v->done < v->total ? v->done : v->total, v->total);
    return kv_check_cancel(v->report, err);
}

/* Whoever stored it again meanwhile has given the name another file. */
static kv_code remove_same(kv_store *s, const kv_store_file *f, const struct stat *st,
                           kv_error *err)
{
    struct stat now;
    kv_auto_fd lock = -1;
    KV_TRY(kv_store_lock(s, &lock, err));
    if (fstatat(f->dir_fd, f->name, &now, AT_SYMLINK_NOFOLLOW) < 0 || now.st_ino != st->st_ino ||
        now.st_dev != st->st_dev)
        return KV_OK;
    if (unlinkat(f->dir_fd, f->name, 0) < 0)
        return kv_fail_sys(err, "cannot remove blob %s", kv_digest_str(&f->digest).s);
    return KV_OK;
}

static kv_code verify_blob(void *ctx, const kv_store_file *f, kv_error *err)
{
    visit *v = ctx;
    struct stat st;
    kv_digest got;
    kv_auto_fd fd = -1;
    KV_TRY(open_recent(v, f, &fd, &st, err));
    if (fd < 0) return KV_OK;
    v->done = 0;
    v->total = (uint64_t)st.st_size;
    kv_code rc = kv_hash_fd(fd, f->digest.alg, heard, v, &got, err);
    if (rc != KV_OK) return kv_wrap(err, rc, "blob %s", kv_digest_str(&f->digest).s);
    if (kv_digest_eq(&got, &f->digest)) return KV_OK;
    kv_say(
        v->report, KV_WARN,
        "Blob %s had not reached the disk when the machine stopped. It was removed; pack or pull "
        "its ModelKit again",
        kv_digest_str(&f->digest).s);
    return remove_same(v->store, f, &st, err);
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
    visit v = visit_since(s, old.since, report);
    KV_TRY(kv_store_each_blob(s, verify_blob, &v, err));
    kv_auto_fd lock = -1;
    KV_TRY(kv_store_lock(s, &lock, err));
    return boot[0] ? write_note(s, boot, now, err) : drop_note(s, err);
}

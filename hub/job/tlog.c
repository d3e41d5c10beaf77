#include "hub/job/tlog.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/file.h"
#include "codec/text.h"
#include "hub/db/q_audit.h"

enum { TILE = 256, TILE_BITS = 8, LEVELS = 7, BUNDLE_MAX = TILE * (65535 + 2), MODE = 0600 };

typedef struct publisher {
    kv_db *db;
    const char *dir;
    int64_t done, size; /* leaves in the files, leaves committed */
    kv_buf bytes;       /* of the file being made */
} publisher;

/* "DIR/tile/KIND/x001/x234/067" */
static kv_code tile_path(const publisher *p, const char *kind, int64_t n, kv_buf *out,
                         kv_error *err)
{
    char groups[32];
    size_t at = sizeof(groups);
    groups[--at] = '\0';
    for (bool last = true; last || n; last = false, n /= 1000) {
        char text[6];
        snprintf(text, sizeof(text), last ? "/%03d" : "/x%03d", (int)(n % 1000));
        at -= strlen(text);
        memcpy(groups + at, text, strlen(text));
    }
    kv_buf_addf(out, "%s/tile/%s%s", p->dir, kind, groups + at);
    return kv_buf_check(out, err);
}

static kv_code write_file(const char *path, kv_sv bytes, kv_error *err)
{
    kv_auto_buf parent = KV_BUF(4096);
    kv_sv sv = kv_sv_of(path);
    kv_buf_add(&parent, kv_sv_sub(sv, 0, kv_sv_rfind(sv, '/')));
    KV_TRY(kv_buf_check(&parent, err));
    KV_TRY(kv_mkdirs(parent.p, 0700, err));
    return kv_file_write(path, bytes, MODE, err);
}

/* Removes the partial files of a tile but the two given widths: the newest, and the one that a
 * reader of the checkpoint before may be about to ask for. */
static void drop_partials(const char *dir, int64_t keep, int64_t keep_too)
{
    DIR *d = opendir(dir);
    if (!d) return;
    for (struct dirent *e; (e = readdir(d));) {
        uint64_t width;
        if (!kv_sv_to_u64(kv_sv_of(e->d_name), &width) || (int64_t)width == keep ||
            (int64_t)width == keep_too)
            continue;
        kv_auto_str path = kv_path_join(dir, e->d_name);
        if (path) (void)remove(path);
    }
    (void)closedir(d);
}

/* Writes p->bytes as file n of a kind, which holds `width` of its TILE; had: how many before. */
static kv_code write_tile(publisher *p, const char *kind, int64_t n, int64_t width, int64_t had,
                          kv_error *err)
{
    kv_auto_buf path = KV_BUF(4096), partials = KV_BUF(4096);
    KV_TRY(tile_path(p, kind, n, &path, err));
    kv_buf_addf(&partials, "%s.p", path.p);
    if (width < TILE) kv_buf_addf(&path, ".p/%lld", (long long)width);
    KV_TRY(kv_buf_check(&path, err));
    KV_TRY(kv_buf_check(&partials, err));
    KV_TRY(write_file(path.p, kv_buf_sv(&p->bytes), err));
    if (width < TILE)
        drop_partials(partials.p, width, had);
    else
        KV_TRY(kv_remove_tree(partials.p, err));
    kv_crash_point("tlog.after-tile");
    return KV_OK;
}

static kv_code add_entry(void *ctx, const kv_leaf_view *leaf, kv_error *err)
{
    publisher *p = ctx;
    kv_buf_addc(&p->bytes, (char)(leaf->leaf.n >> 8));
    kv_buf_addc(&p->bytes, (char)(leaf->leaf.n & 0xff));
    kv_buf_add(&p->bytes, leaf->leaf);
    return kv_buf_check(&p->bytes, err);
}

static kv_code add_hash(void *ctx, const kv_hash32 *hash, kv_error *err)
{
    publisher *p = ctx;
    kv_buf_add(&p->bytes, (kv_sv){(const char *)hash->b, sizeof(hash->b)});
    return kv_buf_check(&p->bytes, err);
}

/* Reads file n: level < 0 the leaves, else the hashes of that level of tiles. */
static kv_code read_tile(publisher *p, int level, int64_t n, int64_t width, kv_error *err)
{
    kv_auto(kv_tx) tx =
        NULL; /* one per file: a snapshot must not be held while files are written */
    kv_buf_truncate(&p->bytes, 0);
    KV_TRY(kv_tx_begin(p->db, KV_TX_READ, &tx, err));
    if (level < 0) return kv_q_audit_from(tx, n * TILE + 1, width, add_entry, p, err);
    return kv_q_audit_nodes(tx, (unsigned)level * TILE_BITS, n * TILE, width, add_hash, p, err);
}

/* The files of one kind that differ between `had` and `have` of what it holds. */
static kv_code publish_kind(publisher *p, const char *kind, int level, int64_t had, int64_t have,
                            kv_error *err)
{
    for (int64_t n = had / TILE; had < have && n * TILE < have; n++) {
        int64_t width = have - n * TILE < TILE ? have - n * TILE : TILE;
        int64_t had_here = had > n * TILE ? had - n * TILE : 0;
        KV_TRY(read_tile(p, level, n, width, err));
        KV_TRY(write_tile(p, kind, n, width, had_here, err));
    }
    return KV_OK;
}

static kv_code publish_tiles(publisher *p, kv_error *err)
{
    KV_TRY(publish_kind(p, "entries", -1, p->done, p->size, err));
    for (int level = 0; level < LEVELS && p->size >> (level * TILE_BITS); level++) {
        char kind[16];
        snprintf(kind, sizeof(kind), "%d", level);
        KV_TRY(publish_kind(p, kind, level, p->done >> (level * TILE_BITS),
                            p->size >> (level * TILE_BITS), err));
    }
    return KV_OK;
}

/* --- checkpoints --- */

static kv_code note_of(kv_tx *tx, const char *origin, int64_t size, kv_hash32 *out_root,
                       kv_buf *out, kv_error *err)
{
    KV_TRY(kv_q_audit_root(tx, size, out_root, err));
    kv_buf_addf(out, "%s\n%lld\n", origin, (long long)size);
    kv_base64_add(out, (kv_sv){(const char *)out_root->b, sizeof(out_root->b)});
    kv_buf_addc(out, '\n');
    return kv_buf_check(out, err);
}

/* What the checkpoint file says must be part of what the database says. */
static kv_code check_files(publisher *p, kv_tx *tx, const char *origin, const char *path,
                           kv_error *err)
{
    kv_auto_buf text = KV_BUF(4096), want = KV_BUF(4096);
    kv_error missing;
    kv_code rc = kv_file_read(path, &text, &missing);
    if (rc == KV_E_NOTFOUND) {
        p->done = 0; /* the files are gone, or there never were any: write them all */
        return KV_OK;
    }
    if (rc != KV_OK) return kv_fail(err, rc, "%s", missing.msg);
    kv_sv line, rest = kv_sv_cut(kv_buf_sv(&text), '\n', &line, NULL);
    uint64_t size = 0;
    kv_hash32 root;
    (void)kv_sv_cut(rest, '\n', &line, NULL);
    bool sane = kv_sv_to_u64(line, &size) && size <= INT64_MAX;
    if (sane && (int64_t)size <= p->size) {
        KV_TRY(note_of(tx, origin, (int64_t)size, &root, &want, err));
        if (kv_sv_eq(kv_buf_sv(&want), kv_buf_sv(&text))) return KV_OK;
    }
    return kv_fail(err, KV_E_CORRUPT,
                   "the audit log's files under '%s' tell of %llu events that are not those of the "
                   "database, which has %lld: it was put back from an older copy, or one of them "
                   "was changed",
                   p->dir, (unsigned long long)size, (long long)p->size);
}

/* What there is to do; *out_note is the checkpoint of p->size. */
static kv_code look(publisher *p, const char *origin, const char *path, kv_buf *out_note,
                    kv_error *err)
{
    kv_auto(kv_tx) tx = NULL;
    int64_t time_us;
    kv_hash32 root;
    KV_TRY(kv_tx_begin(p->db, KV_TX_READ, &tx, err));
    KV_TRY(kv_q_audit_last(tx, &p->size, &time_us, err));
    KV_TRY(kv_q_progress_get(tx, KV_SV("tlog"), &p->done, err));
    KV_TRY(check_files(p, tx, origin, path, err));
    return note_of(tx, origin, p->size, &root, out_note, err);
}

static kv_code note_progress(kv_db *db, int64_t size, kv_error *err)
{
    kv_auto(kv_tx) tx = NULL;
    KV_TRY(kv_tx_begin(db, KV_TX_WORK, &tx, err));
    KV_TRY(kv_q_progress_set(tx, KV_SV("tlog"), size, err));
    return kv_tx_commit(KV_TAKE(tx), err);
}

static kv_code publish(publisher *p, const char *origin, kv_error *err)
{
    kv_auto_buf note = KV_BUF(4096), path = KV_BUF(4096);
    kv_buf_addf(&path, "%s/checkpoint", p->dir);
    KV_TRY(kv_buf_check(&path, err));
    KV_TRY(look(p, origin, path.p, &note, err));
    if (p->done >= p->size) return KV_OK;
    KV_TRY(publish_tiles(p, err));
    kv_crash_point("tlog.before-checkpoint");
    KV_TRY(write_file(path.p, kv_buf_sv(&note), err));
    return note_progress(p->db, p->size, err);
}

kv_code kv_tlog_publish(kv_db *db, const char *dir, const char *origin, kv_error *err)
{
    publisher p = {.db = db, .dir = dir, .bytes = KV_BUF(BUNDLE_MAX)};
    kv_code rc = publish(&p, origin, err);
    kv_buf_clear(&p.bytes);
    return rc;
}

kv_code kv_tlog_checkpoint(kv_db *db, const char *origin, kv_error *err)
{
    kv_auto(kv_tx) tx = NULL;
    kv_auto_buf note = KV_BUF(4096);
    int64_t size, noted, time_us;
    kv_hash32 root;
    KV_TRY(kv_tx_begin(db, KV_TX_WORK, &tx, err));
    KV_TRY(kv_q_audit_last(tx, &size, &time_us, err));
    KV_TRY(kv_q_checkpoint_last(tx, &noted, err));
    if (size == noted) return KV_OK;
    KV_TRY(note_of(tx, origin, size, &root, &note, err));
    KV_TRY(kv_q_checkpoint_add(tx, size, &root, kv_now_us(), kv_buf_sv(&note), err));
    return kv_tx_commit(KV_TAKE(tx), err);
}

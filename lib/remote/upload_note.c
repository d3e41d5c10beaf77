#include "remote/upload_note.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "codec/hasher.h"

enum { NOTE_MAX = 128 * 1024, PATH_MAX_BYTES = 8192 };
static const char FIRST_LINE[] = "kitvault upload 1\n";

static bool make_path(kv_upload_note *n, const char *dir)
{
    kv_digest id = kv_digest_of(KV_SHA256, kv_buf_sv(&n->name));
    kv_digest_text text = kv_digest_str(&id);
    kv_buf_addf(&n->path, "%s/%s", dir, text.s + strlen("sha256:"));
    return kv_buf_check(&n->name, NULL) == KV_OK && kv_buf_check(&n->path, NULL) == KV_OK;
}

/* A file that lost its name between opening and locking belongs to nobody any more. */
static bool take_lock(kv_upload_note *n)
{
    struct stat st;
    if (kv_lock_file(n->path.p, true, 0, &n->fd, NULL) != KV_OK) return false;
    if (fstat(n->fd, &st) == 0 && st.st_nlink) return true;
    kv_close_fd(&n->fd);
    return false;
}

kv_upload_note kv_upload_note_open(const char *dir, kv_sv origin, kv_sv repository, kv_sv digest)
{
    kv_upload_note n = KV_UPLOAD_NOTE_NONE;
    if (!dir) return n;
    n.path = KV_BUF(PATH_MAX_BYTES);
    n.name = KV_BUF(NOTE_MAX / 2);
    kv_buf_addf(&n.name, "%.*s/%.*s@%.*s", KV_ARG(origin), KV_ARG(repository), KV_ARG(digest));
    if (!make_path(&n, dir) || kv_mkdirs(dir, 0700, NULL) != KV_OK || !take_lock(&n)) n.fd = -1;
    return n;
}

char *kv_upload_note_get(const kv_upload_note *n)
{
    kv_auto_buf text = KV_BUF(NOTE_MAX);
    kv_sv name, place;
    bool first, second;
    if (n->fd < 0 || lseek(n->fd, 0, SEEK_SET) < 0) return NULL;
    if (kv_fd_read_all(n->fd, n->path.p, &text, NULL) != KV_OK) return NULL;
    kv_sv rest = kv_buf_sv(&text);
    if (!kv_sv_starts(rest, kv_sv_of(FIRST_LINE))) return NULL;
    rest = kv_sv_cut(kv_sv_from(rest, strlen(FIRST_LINE)), '\n', &name, &first);
    rest = kv_sv_cut(rest, '\n', &place, &second);
    bool whole = first && second && place.n && !rest.n && !memchr(place.p, '\0', place.n);
    return whole && kv_sv_eq(name, kv_buf_sv(&n->name)) ? kv_sv_dup(place) : NULL;
}

void kv_upload_note_put(kv_upload_note *n, const char *place)
{
    kv_auto_buf text = KV_BUF(NOTE_MAX);
    if (n->fd < 0) return;
    kv_buf_addf(&text, "%s%.*s\n%s\n", FIRST_LINE, KV_ARG(kv_buf_sv(&n->name)), place);
    if (kv_buf_check(&text, NULL) != KV_OK || ftruncate(n->fd, 0) < 0) return;
    /* Half of it has no line end and is taken for none. */
    (void)!kv_pwrite_all(n->fd, n->path.p, text.p, text.n, 0, NULL);
}

void kv_upload_note_clear(kv_upload_note *n)
{
    if (n->fd >= 0) (void)!ftruncate(n->fd, 0);
}

void kv_upload_note_close(kv_upload_note *n)
{
    struct stat st;
    /* Removed while it is held: nobody else has begun with it. */
    if (n->fd >= 0 && fstat(n->fd, &st) == 0 && st.st_size == 0) (void)unlink(n->path.p);
    kv_close_fd(&n->fd);
    kv_buf_clear(&n->path);
    kv_buf_clear(&n->name);
}

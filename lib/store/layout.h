#pragma once
/*
 * The files of the local store, as its parts share them.
 *
 * Write order, always: bytes durable under a temporary name, rename, directory durable; then the
 * lists that name them: index.json, B64-index.json, B64-tags.json (removal: the other way round).
 * So a crash leaves garbage, never a list that names what is not there.
 *
 * Lists are read without a lock (each is replaced as a whole) and changed under kv_store_lock.
 * Temporary files are held under flock by whoever writes them; one that nobody holds was left by a
 * crash and is swept when the next process stores something. Only names that kit does not make are
 * swept: kit takes no locks.
 *
 * Blobs are stored before a list names them, and read while somebody may remove their kit. Whoever
 * does either holds the store (kv_store_hold, shared); blobs that no kit uses are removed only by
 * one who holds it alone.
 */
#include <sys/types.h>

#include "base/str.h"
#include "kitvault/store.h"
#include "store/index.h"

#define KV_STORE_PATH_MAX 8192u
/* Between the prefix and the random part of our temporary names. */
#define KV_STORE_TEMP_MARK "_kv"

/** Appends the path of something under home: kv_store_path(s, &p, "storage/%s", name). */
KV_MUST_CHECK kv_code kv_store_path(const kv_store *s, kv_buf *out, kv_error *err, const char *fmt,
                                    ...) KV_PRINTF(4, 5);
KV_MUST_CHECK kv_code kv_store_blob_path(const kv_store *s, const kv_digest *d, kv_buf *out,
                                         kv_error *err);
/** True when there is a storage directory. */
bool kv_store_exists(const kv_store *s);
/** Makes the directories, oci-layout and index.json, and sweeps what crashes left. Once per store. */
KV_MUST_CHECK kv_code kv_store_prepare(kv_store *s, kv_error *err);
/** Storing waits for the disk (kv_store_wait). */
bool kv_store_waits(const kv_store *s);
/** Notes, under the lock, that blobs are about to be stored without a wait for the disk, and makes
 * durable what was stored so a while ago; in a store that waits, everything. */
KV_MUST_CHECK kv_code kv_store_settle(kv_store *s, kv_error *err);
#define KV_STORE_NOTE "storage.unsynced"
/** Bytes are hashed on a thread of their own from here on, where a processor may be free for it. */
void kv_ingest_hash_aside(kv_ingest *in);
/** The lock for changes of lists; held while *out_fd is open. */
KV_MUST_CHECK kv_code kv_store_lock(kv_store *s, int *out_fd, kv_error *err);

/**
 * The other side of kv_store_hold: nobody else holds the store while *out_fd is open, so that blobs
 * nobody lists are garbage. Errors: KV_E_BUSY after wait_ms.
 * Order: whoever holds kv_store_lock asks with wait_ms 0 only; whoever is alone may wait for it.
 */
KV_MUST_CHECK kv_code kv_store_hold_alone(kv_store *s, unsigned wait_ms, int *out_fd,
                                          kv_error *err);
/** True when nobody holds the temporary file: whoever wrote it is gone. */
bool kv_store_is_abandoned(int dir_fd, const char *name);

/** A temporary file, locked, that becomes a blob or goes away. path is malloc'ed. */
typedef struct kv_store_temp {
    int fd; /* -1: none */
    char *path;
} kv_store_temp;
#define KV_STORE_TEMP_NONE ((kv_store_temp){.fd = -1})
/** Makes DIR/PREFIX_kvRANDOM below home, mode 0600, opened for reading and writing. */
KV_MUST_CHECK kv_code kv_store_temp_make(kv_store *s, const char *dir, const char *prefix,
                                         kv_store_temp *out, kv_error *err);
/** Gives t's file the name path, which is on the same file system; t is then empty. Not durable. */
KV_MUST_CHECK kv_code kv_store_temp_rename(kv_store_temp *t, const char *path, kv_error *err);
/** Removes the file if it is still there. */
void kv_store_temp_drop(kv_store_temp *t);
#define kv_auto_store_temp KV_CLEANUP(kv_store_temp_drop) kv_store_temp
/**
 * Makes t's bytes durable (in a store that waits) and gives them their final name; t is then
 * empty. The caller has hashed them, and calls kv_store_sync_blobs before a list names them. A blob
 * that is there is kept.
 */
KV_MUST_CHECK kv_code kv_store_adopt(kv_store *s, kv_store_temp *t, const kv_digest *d,
                                     uint64_t size, mode_t mode, bool *out_existed, kv_error *err);
/** The same, but a blob that is there is replaced: its content was found to be damaged. */
KV_MUST_CHECK kv_code kv_store_replace(kv_store *s, kv_store_temp *t, const kv_digest *d,
                                       mode_t mode, kv_error *err);
KV_MUST_CHECK kv_code kv_store_sync_blobs(kv_store *s, kv_digest_alg alg, kv_error *err);

/** Reads a list; a missing file is an empty one. stem: of kv_store_name_encode; NULL: the shared. */
KV_MUST_CHECK kv_code kv_store_read_index(kv_store *s, const char *stem, kv_store_list *out,
                                          kv_error *err);
KV_MUST_CHECK kv_code kv_store_read_tags(kv_store *s, const char *stem, kv_store_list *out,
                                         kv_error *err);
/** Replaces a list; an empty one of a repository is removed. */
KV_MUST_CHECK kv_code kv_store_write_index(kv_store *s, const char *stem, const kv_store_list *l,
                                           kv_error *err);
KV_MUST_CHECK kv_code kv_store_write_tags(kv_store *s, const char *stem, const kv_store_list *l,
                                          kv_error *err);

/** Calls fn with the stem and "REGISTRY/REPOSITORY" of every repository, in no order. */
typedef kv_code kv_store_repo_fn(void *ctx, const char *stem, kv_sv name, kv_error *err);
KV_MUST_CHECK kv_code kv_store_each_repo(kv_store *s, kv_store_repo_fn *fn, void *ctx,
                                         kv_error *err);
/** The stem of ref's repository. */
KV_MUST_CHECK kv_code kv_store_stem(const kv_reference *ref, kv_buf *out, kv_error *err);
/** "model REF not found"; returns KV_E_NOTFOUND. */
kv_code kv_store_not_found(const kv_reference *ref, kv_error *err);
/** The entry ref names in lists of its repository, or NULL. */
const kv_store_entry *kv_store_lookup(const kv_reference *ref, const kv_store_list *index,
                                      const kv_store_list *tags);

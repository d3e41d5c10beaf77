#pragma once
/*
 * The local store: ModelKits on this machine, in the layout of kit, which reads and writes it too.
 *
 * Blobs are shared by all repositories; a repository is a list of manifests and a table of tags.
 * Changes of lists and tables are made under a lock between processes and by rename; a blob gets
 * its name only when it is whole and verified. docs/format/store.md has the files.
 */
#include "kitvault/manifest.h"
#include "kitvault/reference.h"
#include "kitvault/report.h"

typedef struct kv_store kv_store;

/**
 * Opens the store of a home directory (kit's KITOPS_HOME). Nothing is made; a home that
 * does not exist is an empty store, and its directories come with the first thing stored.
 * Errors: KV_E_UNSUPPORTED, KV_E_CORRUPT (storage/oci-layout is not of version 1.0.0).
 * Ownership: kv_store_close. Threads: a store is shared. Source: kit-compat 4.1.
 */
KV_API KV_MUST_CHECK kv_code kv_store_open(const char *home, kv_store **out, kv_error *err);
KV_API void kv_store_close(kv_store *s);
KV_DEFINE_AUTO(kv_store, kv_store_close)
/**
 * From here on a blob is on the disk before a list names it, also those stored before. Without it
 * storing does not wait: lists are durable, blobs follow when the kernel writes them, and what the
 * machine lost when it stopped before is found by kv_store_recover. Call it before anything is
 * stored.
 */
KV_API void kv_store_wait(kv_store *s);
/**
 * After the machine stopped: reads again the blobs that were stored just before without waiting for
 * the disk, removes those that are not whole and warns of each. Does nothing, quickly, while the
 * machine runs on. Whatever stores calls it, too, but cannot tell report.
 * Errors: KV_E_IO, KV_E_CANCELLED; the next call goes on. Threads: any; also between processes.
 */
KV_API KV_MUST_CHECK kv_code kv_store_recover(kv_store *s, const kv_report *report, kv_error *err);
/** The home directory as it was given. Borrowed. */
KV_API const char *kv_store_home(const kv_store *s);

/**
 * While *out_fd is open no process removes a blob of this store, listed or not: what is stored now
 * and listed later, or read for long, stays. kv_pack, kv_pull, kv_push and kv_unpack do this
 * themselves; whoever calls kv_store_put or kv_ingest_commit before kv_store_add does it, too. A
 * removal meanwhile leaves its blobs to kv_store_gc.
 * *out_fd is -1 where the home does not exist or cannot be written; the caller closes it.
 * Errors: KV_E_BUSY (blobs are being removed for more than 30 s).
 */
KV_API KV_MUST_CHECK kv_code kv_store_hold(kv_store *s, int *out_fd, kv_error *err);

/* --- what is there --- */

/**
 * The digest of the manifest that ref's tag or digest names in ref's repository.
 * Errors: KV_E_NOTFOUND "model REF not found" (full reference: "localhost/a:b"), KV_E_ARG (neither
 * tag nor digest), KV_E_CORRUPT, KV_E_SYNTAX (an index file that cannot be read).
 */
KV_API KV_MUST_CHECK kv_code kv_store_resolve(kv_store *s, const kv_reference *ref, kv_digest *out,
                                              kv_error *err);
/** Reads, verifies and parses a manifest. Errors: KV_E_NOTFOUND, KV_E_DIGEST, of the parser. */
KV_API KV_MUST_CHECK kv_code kv_store_manifest(kv_store *s, const kv_digest *d, kv_manifest **out,
                                               kv_error *err);
/** A whole verified blob of at most max bytes; *out is malloc'ed. Errors: KV_E_NOTFOUND,
 * KV_E_LIMIT, KV_E_DIGEST. */
KV_API KV_MUST_CHECK kv_code kv_store_read(kv_store *s, const kv_digest *d, size_t max, char **out,
                                           size_t *out_n, kv_error *err);
/** Opens a blob for reading from offset 0; out_size may be NULL. Not verified: whoever streams it
 * hashes it. The caller closes *out_fd. Errors: KV_E_NOTFOUND. */
KV_API KV_MUST_CHECK kv_code kv_store_open_blob(kv_store *s, const kv_digest *d, int *out_fd,
                                                uint64_t *out_size, kv_error *err);
/** Whether a blob of that size is stored (by name and size; content is not read). */
KV_API bool kv_store_has(kv_store *s, const kv_digest *d, uint64_t size);

/**
 * Iterates over all ModelKits of all repositories: by repository name as it is shown, then digest.
 *     kv_store_iter it = kv_store_begin(store);
 *     while (kv_store_next(&it)) ...
 *     KV_TRY(kv_store_end(&it, err));
 * A state of the moment of begin. kv_store_end releases, is idempotent, and reports what stopped
 * next(). Strings are borrowed from the iteration.
 */
typedef struct kv_store_iter {
    kv_sv registry, repository;
    kv_digest digest;  /* of the manifest */
    uint64_t size;     /* of the manifest, bytes */
    const kv_sv *tags; /* sorted bytewise */
    size_t n_tags;
    struct kv_store_listing *mem; /* private, as what follows */
    size_t next;
    bool ended;
} kv_store_iter;
KV_API kv_store_iter kv_store_begin(kv_store *s);
KV_API bool kv_store_next(kv_store_iter *it);
KV_API KV_MUST_CHECK kv_code kv_store_end(kv_store_iter *it, kv_error *err);

/* --- storing blobs --- */

#define KV_STORE_MODE_PACKED 0444u /* config and manifest of a pack; source: kit-compat 4.1 */
#define KV_STORE_MODE_PULLED 0600u

/**
 * Stores bytes under their sha256 digest. out and out_existed may be NULL; out_existed
 * tells a blob that was there before. mode is exact and applies to a new file.
 */
KV_API KV_MUST_CHECK kv_code kv_store_put(kv_store *s, kv_sv bytes, unsigned mode, kv_digest *out,
                                          bool *out_existed, kv_error *err);

/**
 * One blob on its way in. Bytes are hashed as they are written. A partial file stays when the
 * ingest is closed without commit, and the next ingest of that digest goes on behind it.
 * Threads: one at a time; different ingests at once are fine, of one digest too (also between
 * processes: the second one then works in a file of its own, that is not resumed).
 */
typedef struct kv_ingest kv_ingest;
/** Begins or goes on with digest d of size bytes. What a former try left behind is read and hashed
 * again; a partial file longer than size is dropped. */
KV_API KV_MUST_CHECK kv_code kv_ingest_begin(kv_store *s, const kv_digest *d, uint64_t size,
                                             kv_ingest **out, kv_error *err);
/** Bytes that are here already; ask the source for those behind. */
KV_API uint64_t kv_ingest_offset(const kv_ingest *in);
/** Errors: KV_E_DIGEST when more than size bytes arrive (the partial file is dropped). */
KV_API KV_MUST_CHECK kv_code kv_ingest_write(kv_ingest *in, const void *p, size_t n, kv_error *err);
/** Back to offset 0, for a source that cannot send ranges. */
KV_API KV_MUST_CHECK kv_code kv_ingest_restart(kv_ingest *in, kv_error *err);
/**
 * Verifies size and digest and gives the blob (mode 0600) its name; frees in,
 * whatever happens. Errors: KV_E_DIGEST "downloaded file hash does not match descriptor" (the
 * partial file is dropped, so the next try starts over).
 */
KV_API KV_MUST_CHECK kv_code kv_ingest_commit(kv_ingest *in, kv_error *err);
/** The same, and a blob that is stored already is replaced: for one that was found damaged. */
KV_API KV_MUST_CHECK kv_code kv_ingest_replace(kv_ingest *in, kv_error *err);
/** Stops; the partial file stays. NULL is fine. */
KV_API void kv_ingest_close(kv_ingest *in);
KV_DEFINE_AUTO(kv_ingest, kv_ingest_close)

/* --- repositories and tags --- */

/**
 * Lists m in where's repository and gives it where's tag (if any) and extra tags. The manifest's
 * blob and those it names must be stored already: this is checked under the lock, since another
 * process may have removed one meanwhile. Idempotent; a tag moves.
 * Errors: KV_E_NOTFOUND (a blob is missing, named), KV_E_BUSY (locked for more than 30 s).
 */
KV_API KV_MUST_CHECK kv_code kv_store_add(kv_store *s, const kv_reference *where,
                                          const kv_manifest *m, kv_error *err);
/**
 * Gives the kit `from` the tags of `to`, in to's repository, which may be another one.
 * Errors: KV_E_NOTFOUND as kv_store_resolve (of from), KV_E_ARG (to has no tag).
 */
KV_API KV_MUST_CHECK kv_code kv_store_tag(kv_store *s, const kv_reference *from,
                                          const kv_reference *to, kv_error *err);
/** Drops one tag (ref's) and keeps the manifest. Errors: KV_E_NOTFOUND. */
KV_API KV_MUST_CHECK kv_code kv_store_untag(kv_store *s, const kv_reference *ref, kv_error *err);
/** What kv_store_remove did. */
typedef struct kv_removed {
    kv_digest digest;
    bool untagged_only; /* other tags hold the manifest */
} kv_removed;
/**
 * Removes as kit's `remove`: by digest, or with all_tags, the manifest and every tag of it in that
 * repository; by tag the tag, and the manifest with its last tag. Blobs that no manifest of any
 * repository names any more go with it, unless somebody holds the store (kv_store_hold). ref's extra tags are ignored. out may be NULL.
 * Errors: KV_E_NOTFOUND "model REF not found" (full reference).
 */
KV_API KV_MUST_CHECK kv_code kv_store_remove(kv_store *s, const kv_reference *ref, bool all_tags,
                                             kv_removed *out, kv_error *err);

/**
 * Brings a store of kit before 0.3 (an index.json per repository directory) into today's layout;
 * does nothing, quickly, where there is none. Says "Migrating local storage to new format".
 * Source: kit-compat 4.2.
 */
KV_API KV_MUST_CHECK kv_code kv_store_migrate(kv_store *s, const kv_report *report, kv_error *err);

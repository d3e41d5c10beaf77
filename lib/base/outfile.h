#pragma once
/* A large file written once from its start to its end, at the speed of the disk. */
#include "base/str.h"

/**
 * Collects bytes and hands them to the disk in whole buffers while the caller fills the next one,
 * so that hashing and writing go on at once; a thread of its own begins with the first full
 * buffer, and small files never see one. Bytes can be put into the buffer itself (room, took),
 * which saves a copy.
 * write_back: the disk begins with each buffer at once, for a file that will be synced.
 * Ownership: fd and name are borrowed; nothing is closed or synced here. Memory: 4 MiB.
 * Threads: one at a time.
 */
typedef struct kv_outfile kv_outfile;
kv_outfile *kv_outfile_new(int fd, const char *name, bool write_back); /* NULL: no memory */
/** At least one byte of room; *out_n says how many. */
char *kv_outfile_room(kv_outfile *o, size_t *out_n);
/** The first n bytes of the room were filled. Errors of writing may come up in a later call. */
KV_MUST_CHECK kv_code kv_outfile_took(kv_outfile *o, size_t n, kv_error *err);
KV_MUST_CHECK kv_code kv_outfile_add(kv_outfile *o, const void *p, size_t n, kv_error *err);
/** Writes what is left; everything is in the file when it returns. */
KV_MUST_CHECK kv_code kv_outfile_end(kv_outfile *o, kv_error *err);
uint64_t kv_outfile_size(const kv_outfile *o); /* bytes taken so far */
void kv_outfile_free(kv_outfile *o);
KV_DEFINE_AUTO(kv_outfile, kv_outfile_free)

#pragma once
/*
 * The directory a ModelKit is unpacked into, as a place that hostile archives write to.
 *
 * A layer's files are written into a staging directory inside the target (.kitvault-unpack-RANDOM,
 * held under flock, swept when nobody holds it) and get their names only when the caller knows the
 * layer's digest: kv_target_apply, else kv_target_discard. What is to be done then is kept in a
 * list file there, so that memory does not grow with the number of files.
 *
 * Where something is mounted in the target, a file is copied to its file system first and renamed
 * there; a process killed between the two leaves a file .kitvault-unpack-RANDOM beside it.
 *
 * Every path is checked as text (not absolute, never climbing out) and then walked component by
 * component without following symbolic links; a link on the way, or in the place of a file, is an
 * error. Links, devices and pipes are never made.
 * Source: kit-compat 9.3, 9.4, quirk 14.
 */
#include <sys/types.h>

#include "base/str.h"
#include "kitvault/report.h"

typedef struct kv_target kv_target; /* one thread at a time */

typedef struct kv_target_options {
    bool overwrite;          /* replace files that exist; they keep their mode */
    bool ignore_existing;    /* keep files that exist; wins over overwrite */
    const kv_report *report; /* for the wish to stop; NULL: none */
} kv_target_options;

/** Makes dir with its parents if missing. Errors: KV_E_EXISTS (not a directory), KV_E_IO. */
KV_MUST_CHECK kv_code kv_target_open(const char *dir, const kv_target_options *opts,
                                     kv_target **out, kv_error *err);
/** Removes the staging directory and what is in it. */
void kv_target_close(kv_target *t);
KV_DEFINE_AUTO(kv_target, kv_target_close)

/**
 * The next files lie below prefix ("" or "." : the target itself); for layers of old kits.
 * Errors: KV_E_INVALID "illegal file path: P: ...".
 */
KV_MUST_CHECK kv_code kv_target_prefix(kv_target *t, kv_sv prefix, kv_error *err);
/** Stages a directory. Errors: KV_E_INVALID, KV_E_EXISTS "path 'P' already exists and is not a
 * directory". */
KV_MUST_CHECK kv_code kv_target_dir(kv_target *t, kv_sv path, unsigned mode, kv_error *err);
/**
 * Begins a file of size bytes; kv_target_write and kv_target_end_file follow unless *out_skip.
 * Errors: KV_E_INVALID, KV_E_EXISTS "path 'P' already exists".
 */
KV_MUST_CHECK kv_code kv_target_file(kv_target *t, kv_sv path, unsigned mode, bool *out_skip,
                                     kv_error *err);
KV_MUST_CHECK kv_code kv_target_write(kv_target *t, const void *p, size_t n, uint64_t off,
                                      kv_error *err);
/** size: where the file ends, behind the last piece if that was followed by a hole. */
KV_MUST_CHECK kv_code kv_target_end_file(kv_target *t, uint64_t size, kv_error *err);

/** Gives everything staged its name. After an error some of it has it. */
KV_MUST_CHECK kv_code kv_target_apply(kv_target *t, kv_error *err);
/** Forgets everything staged. */
void kv_target_discard(kv_target *t);
/** At the very end: takes from directories the rights that were needed to fill them. */
KV_MUST_CHECK kv_code kv_target_finish(kv_target *t, kv_error *err);

typedef enum kv_found { KV_FOUND_NONE, KV_FOUND_FILE, KV_FOUND_DIR, KV_FOUND_OTHER } kv_found;
/**
 * What has the place of path. Errors: KV_E_INVALID as above, also when it is a symbolic link.
 */
KV_MUST_CHECK kv_code kv_target_look(kv_target *t, kv_sv path, kv_found *out, kv_error *err);
/** Opens an existing regular file for reading. Errors: KV_E_NOTFOUND, KV_E_INVALID. */
KV_MUST_CHECK kv_code kv_target_open_file(kv_target *t, kv_sv path, int *out_fd, kv_error *err);

#pragma once
/* Files and directories. Every function names the path in its errors. */
#include <stdio.h>
#include <sys/types.h>

#include "base/str.h"

/** Reads a whole file. Errors: KV_E_NOTFOUND, KV_E_IO, KV_E_LIMIT (more than out->max bytes). */
KV_MUST_CHECK kv_code kv_file_read(const char *path, kv_buf *out, kv_error *err);
/** Reads fd to its end. name is for errors. */
KV_MUST_CHECK kv_code kv_fd_read_all(int fd, const char *name, kv_buf *out, kv_error *err);
/**
 * Replaces path as a whole: temporary file beside it, fsync, rename, fsync of the directory. On
 * failure path is what it was and the temporary file is gone. The mode is exact (no umask), but for
 * KV_MODE_UMASK: 0666 less the umask.
 */
#define KV_MODE_UMASK ((mode_t)-1)
KV_MUST_CHECK kv_code kv_file_write(const char *path, kv_sv data, mode_t mode, kv_error *err);
/** What kv_file_write puts between a file's name and the random end of its temporary one. */
#define KV_FILE_TEMP_MARK ".tmp-"
/** Removes what killed writers of path left beside it. The caller holds the lock under which path is
 * written. Failures do not matter: a leftover is only in the way of whoever looks for tidiness. */
void kv_file_sweep(const char *path);
/** All n bytes, whatever the number of system calls. name is for errors. */
KV_MUST_CHECK kv_code kv_write_all(int fd, const char *name, const void *p, size_t n,
                                   kv_error *err);
KV_MUST_CHECK kv_code kv_pwrite_all(int fd, const char *name, const void *p, size_t n, uint64_t off,
                                    kv_error *err);
/** Exactly n bytes at off; KV_E_CORRUPT when the file ends before. */
KV_MUST_CHECK kv_code kv_pread_all(int fd, const char *name, void *p, size_t n, uint64_t off,
                                   kv_error *err);
/** Makes path and its parents; existing directories are fine. */
KV_MUST_CHECK kv_code kv_mkdirs(const char *path, mode_t mode, kv_error *err);
/** Makes a directory's entries durable. */
KV_MUST_CHECK kv_code kv_fsync_dir(const char *path, kv_error *err);
/**
 * Calls fn for everything below path, a directory before its content; path itself is left out, and
 * symbolic links are not followed. What goes away meanwhile is passed over. Non-KV_OK from fn stops.
 * Errors: KV_E_NOTFOUND (no such path), KV_E_IO, those of fn.
 */
struct stat;
typedef kv_code kv_tree_fn(void *ctx, const char *path, const struct stat *st, kv_error *err);
KV_MUST_CHECK kv_code kv_tree_each(const char *path, kv_tree_fn *fn, void *ctx, kv_error *err);
/** Removes a file or tree below path; a missing one is fine; symbolic links are not followed. */
KV_MUST_CHECK kv_code kv_remove_tree(const char *path, kv_error *err);
/**
 * Takes an advisory lock on the file path (made if missing, mode 0600), waiting up to wait_ms.
 * The lock lives as long as *out_fd is open. Errors: KV_E_BUSY after wait_ms.
 */
KV_MUST_CHECK kv_code kv_lock_file(const char *path, bool exclusive, unsigned wait_ms, int *out_fd,
                                   kv_error *err);
/** "a/b" from "a" and "b" (a absolute b wins is NOT done); malloc'ed, NULL when memory is gone. */
char *kv_path_join(const char *a, const char *b);
/** Lexical clean-up as Go's path.Clean: "./a//b/../c/" -> "a/c", "" -> ".". */
void kv_path_clean(kv_sv path, kv_buf *out);
/** True for a clean-able relative path that never leaves its start (as Go's filepath.IsLocal). */
bool kv_path_is_local(kv_sv path);
/** Absolute form against the current directory; lexical, the path need not exist. */
KV_MUST_CHECK kv_code kv_path_absolute(const char *path, kv_buf *out, kv_error *err);

#pragma once
/* The files and directories of one layer, in the order kit puts them into its tar. */
#include <sys/stat.h>

#include "kitfile/ignore.h"

/** Something of the layer. dir_fd and name open it; path is relative to the context. Borrowed. */
typedef struct kv_walk_entry {
    int dir_fd;
    const char *name;
    kv_sv path;
    const struct stat *st; /* of a regular file or a directory; links were not followed */
} kv_walk_entry;

typedef struct kv_walk {
    int context_fd;
    kv_sv layer; /* cleaned path; "." is the whole context */
    const kv_ignore *ignore;
    kv_code (*entry)(void *ctx, const kv_walk_entry *e, kv_error *err); /* non-KV_OK stops */
    void *ctx;
    /* What is passed over and may surprise: a finished sentence. NULL: silent. */
    void (*remark)(void *ctx, const char *text);
} kv_walk;

/**
 * Walks from the context root: ancestors of the layer's path first, then what lies below it, names
 * sorted bytewise, a directory before its content. Links and special files are passed over.
 * Memory: the names of the directories on the way. Descriptors: one per level.
 * Errors: KV_E_IO and others, naming the path; those of entry.
 * Threads: walks may run at once. Source: kit-compat 2.2, 2.4, quirks 1, 2 and 3.
 */
KV_MUST_CHECK kv_code kv_walk_layer(const kv_walk *w, kv_error *err);

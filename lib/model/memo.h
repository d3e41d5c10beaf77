#pragma once
/*
 * Layers that were packed before: which blob the files of a layer gave, so that an unchanged tree is
 * not read again.
 *
 * A stamp is a digest over all that decides the bytes of a layer short of the files' content, and in
 * place of the content over what the kernel changes with it: device, inode, size, mtime and ctime. It is
 * taken before the files are read and while they are; only when both are one, and every file was
 * last changed well before, does the stamp stand for the bytes that were read. (A file that is changed
 * in the moment it is read can have the times of what was read: such stamps are not kept.)
 */
#include <sys/stat.h>

#include "codec/hasher.h"
#include "store/layout.h"

typedef struct kv_stamp { /* caller's storage; nothing to free */
    kv_hasher hasher;
    int64_t begun, newest; /* microseconds since 1970: of the stamp, of the youngest file */
    dev_t device;          /* whose file system was looked at last */
    bool unsure;           /* a file system whose times are not this machine's, or a change seen */
} kv_stamp;

/** way: one number for all options that change the bytes of a layer from the same files. */
void kv_stamp_begin(kv_stamp *s, uint32_t way);
/** A file or directory: all that its tar header says but the size of a file. */
void kv_stamp_entry(kv_stamp *s, kv_sv path, unsigned mode, bool dir);
/** In place of a file's content. fd: any descriptor on the same device. */
void kv_stamp_file(kv_stamp *s, int fd, const struct stat *st);
/** Whether a file that was read is still what it was; else the stamp is unsure. */
void kv_stamp_check(kv_stamp *s, int fd, const struct stat *before);
/** Ends it. Returns whether the stamp can stand for content. */
bool kv_stamp_end(kv_stamp *s, kv_digest *out);

typedef struct kv_memo { /* what a layer became */
    kv_digest digest, diff_id;
    uint64_t size, n_content; /* bytes of the blob, of the files in it */
} kv_memo;
/** A memo for the stamp whose blob is in the store (by name and size). Files of the cache that are
 * damaged or of another version are as good as none. */
bool kv_memo_find(kv_store *s, const kv_digest *stamp, kv_memo *out);
/** Keeps one for the next time, and throws away the oldest when there are more than
 * KV_MEMO_COUNT_MAX. Failures are not told: the layer is packed in any case. */
void kv_memo_keep(kv_store *s, const kv_digest *stamp, const kv_memo *m);
#define KV_MEMO_COUNT_MAX 4096u

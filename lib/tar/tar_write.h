#pragma once
/* Tar headers byte for byte as kit writes them: archives that have the same digest everywhere. */
#include "base/str.h"

#define KV_TAR_BLOCK 512u
#define KV_TAR_END_BYTES 1024u /* two zero blocks close an archive */

/** One entry. The times, owner and group are constants of the format (0, 1000, 0). */
typedef struct kv_tar_member {
    kv_sv path; /* relative, clean, no NUL, not empty */
    bool dir;
    unsigned mode; /* permission bits and 07000; others are dropped */
    uint64_t size; /* bytes of content; 0 for directories */
} kv_tar_member;

/**
 * Appends the header of m: 512 bytes, or with a PAX extension where the name is not ASCII or does
 * not fit, or the size is over 8 GiB - 1. Content follows, then kv_tar_padding(size) zero bytes.
 * Failures stick in out. Threads: pure. Source: kit-compat 2.2.
 */
void kv_tar_header(const kv_tar_member *m, kv_buf *out);
/** Zero bytes that fill the last block of a content. */
unsigned kv_tar_padding(uint64_t size);

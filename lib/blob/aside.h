#pragma once
/*
 * A digest computed on another thread, so that hashing and writing the same bytes take the time of
 * the longer one. Bytes are copied into a few buffers between the two threads; only so many such
 * threads live at once, whoever asks when all are taken hashes by himself.
 */
#include "codec/hasher.h"

typedef struct kv_aside kv_aside; /* one thread at a time */

/** Goes on from h. NULL: no processor, thread or memory to spare. */
kv_aside *kv_aside_new(const kv_hasher *h);
/** Copies the bytes; waits while all buffers are full. */
void kv_aside_add(kv_aside *a, const void *p, size_t n);
/** Waits until all is hashed and returns the running digest; frees a. */
kv_hasher kv_aside_end(kv_aside *a);

#pragma once
/*
 * A digest computed on another thread, so that hashing and writing the same bytes take the time of
 * the longer one. Bytes are copied into a few buffers between the two threads; only so many such
 * threads live at once, whoever asks when all are taken hashes by himself.
 */
#include "codec/hasher.h"

/** A running digest that may have a thread aside. Zero it but for the hasher. One thread at a time. */
typedef struct kv_hashing {
    kv_hasher hasher;       /* has the digest while aside is NULL */
    struct kv_aside *aside; /* private */
} kv_hashing;

/**
 * From here on bytes are hashed on a thread of their own, which costs 768 KiB until kv_hashing_join.
 * Without a processor, thread or memory to spare it changes nothing.
 */
void kv_hashing_aside(kv_hashing *h);
/** Adds bytes; with a thread aside they are copied, and it waits while all buffers are full. */
void kv_hashing_add(kv_hashing *h, const void *p, size_t n);
/** Waits until all is hashed and ends the thread; returns &h->hasher, which has the digest again. */
kv_hasher *kv_hashing_join(kv_hashing *h);

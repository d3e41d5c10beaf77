#pragma once
/* SHA-1, for the names git gives to files; nothing of ours relies on it. */
#include "base/str.h"

#define KV_SHA1_BYTES 20
typedef struct kv_sha1 kv_sha1; /* one thread at a time */
kv_sha1 *kv_sha1_new(void);     /* NULL: no memory */
void kv_sha1_add(kv_sha1 *h, const void *p, size_t n);
void kv_sha1_end(kv_sha1 *h, uint8_t out[KV_SHA1_BYTES]); /* free it afterwards */
void kv_sha1_free(kv_sha1 *h);
KV_DEFINE_AUTO(kv_sha1, kv_sha1_free)

#pragma once
/*
 * Slows guessing of passwords down: 10 failures per name and address, or 50 per address, within 10
 * minutes are free; each further one doubles a pause, up to 10 minutes, in which even the right
 * password is not looked at. A name alone is never locked, so nobody can lock others out.
 * Threads: shared. Source: hub-features.md 3.1.
 */
#include "base/str.h"

typedef struct kv_throttle kv_throttle;
kv_throttle *kv_throttle_new(void); /* NULL: no memory */
void kv_throttle_free(kv_throttle *t);
/** Seconds to wait before a try is looked at; 0: now. now_us: a monotonic clock. */
unsigned kv_throttle_wait(kv_throttle *t, kv_sv name, kv_sv address, uint64_t now_us);
void kv_throttle_failed(kv_throttle *t, kv_sv name, kv_sv address, uint64_t now_us);
/** A good password: that name and address begin anew. */
void kv_throttle_passed(kv_throttle *t, kv_sv name, kv_sv address);

#pragma once
/*
 * A bound on what is used at once: takers wait until there is room. Not fair, but nobody starves
 * as long as everybody gives back. Threads: shared.
 */
#include <stddef.h>

typedef struct kv_gate kv_gate;
kv_gate *kv_gate_new(size_t room); /* NULL: no memory */
void kv_gate_free(kv_gate *g);     /* NULL is fine */
/** Takes n of the room, waiting for it; more than there is in all takes all. Returns what was
 * taken, to be given back. */
size_t kv_gate_take(kv_gate *g, size_t n);
void kv_gate_give(kv_gate *g, size_t n);

#include "hub/service/gate.h"

#include <pthread.h>
#include <stdlib.h>

struct kv_gate {
    pthread_mutex_t lock;
    pthread_cond_t given;
    size_t room, left;
};

kv_gate *kv_gate_new(size_t room)
{
    kv_gate *g = calloc(1, sizeof(*g));
    if (!g) return NULL;
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->given, NULL);
    g->room = g->left = room;
    return g;
}

void kv_gate_free(kv_gate *g)
{
    if (!g) return;
    pthread_cond_destroy(&g->given);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

size_t kv_gate_take(kv_gate *g, size_t n)
{
    if (n > g->room) n = g->room;
    pthread_mutex_lock(&g->lock);
    while (g->left < n) pthread_cond_wait(&g->given, &g->lock);
    g->left -= n;
    pthread_mutex_unlock(&g->lock);
    return n;
}

void kv_gate_give(kv_gate *g, size_t n)
{
    if (!n) return;
    pthread_mutex_lock(&g->lock);
    g->left += n;
    pthread_cond_broadcast(&g->given);
    pthread_mutex_unlock(&g->lock);
}

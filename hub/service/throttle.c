#include "hub/service/throttle.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "codec/secret.h"

enum {
    N_SETS = 512, /* sets of WAYS records; the oldest of its set makes room */
    WAYS = 4,
    FREE_PER_NAME = 10,
    FREE_PER_ADDRESS = 50,
    PAUSE_MAX_S = 600,
};
#define WINDOW_US (600ull * 1000000)

typedef struct record {
    uint8_t who[16]; /* of a keyed hash: an attacker cannot choose who shares a set */
    unsigned n;
    uint64_t first_us, last_us, free_at_us;
} record;

struct kv_throttle {
    pthread_mutex_t lock;
    uint8_t key[KV_MAC_BYTES];
    record sets[N_SETS][WAYS];
};

kv_throttle *kv_throttle_new(void)
{
    kv_throttle *t = calloc(1, sizeof(*t));
    if (!t) return NULL;
    kv_random(t->key, sizeof(t->key));
    (void)pthread_mutex_init(&t->lock, NULL);
    return t;
}

void kv_throttle_free(kv_throttle *t)
{
    if (!t) return;
    (void)pthread_mutex_destroy(&t->lock);
    free(t);
}

/* Only hashed, so that what somebody typed as a name (a password, by mistake) is not kept. */
static void hash(const kv_throttle *t, kv_sv name, kv_sv address, uint8_t out[KV_MAC_BYTES])
{
    kv_auto_buf b = KV_BUF(4096);
    kv_buf_add(&b, address);
    kv_buf_addc(&b, '\n');
    kv_buf_add(&b, kv_sv_sub(name, 0, 256));
    kv_mac(t->key, kv_buf_sv(&b), out);
    kv_wipe(b.p, b.n);
}

/* The record of that hash; with `make`, in place of the one of its set that was idle longest. */
static record *find(kv_throttle *t, const uint8_t h[KV_MAC_BYTES], bool make)
{
    record *set = t->sets[(h[16] << 8 | h[17]) % N_SETS], *oldest = &set[0];
    for (int i = 0; i < WAYS; i++) {
        if (set[i].n && memcmp(set[i].who, h, sizeof(set[i].who)) == 0) return &set[i];
        if (set[i].last_us < oldest->last_us) oldest = &set[i];
    }
    if (!make) return NULL;
    *oldest = (record){0};
    memcpy(oldest->who, h, sizeof(oldest->who));
    return oldest;
}

static unsigned wait_of(const record *r, uint64_t now_us)
{
    if (!r || r->free_at_us <= now_us) return 0;
    return (unsigned)((r->free_at_us - now_us + 999999) / 1000000);
}

static void count(record *r, unsigned n_free, uint64_t now_us)
{
    if (!r->n || (now_us - r->first_us > WINDOW_US && r->free_at_us <= now_us)) {
        r->n = 0;
        r->first_us = now_us;
    }
    r->n++;
    r->last_us = now_us;
    if (r->n <= n_free) return;
    unsigned doublings = r->n - n_free;
    uint64_t pause_s = doublings < 10 ? 1ull << doublings : PAUSE_MAX_S;
    if (pause_s > PAUSE_MAX_S) pause_s = PAUSE_MAX_S;
    r->free_at_us = now_us + pause_s * 1000000;
}

unsigned kv_throttle_wait(kv_throttle *t, kv_sv name, kv_sv address, uint64_t now_us)
{
    uint8_t one[KV_MAC_BYTES], all[KV_MAC_BYTES];
    hash(t, name, address, one);
    hash(t, KV_SV(""), address, all);
    pthread_mutex_lock(&t->lock);
    unsigned a = wait_of(find(t, one, false), now_us), b = wait_of(find(t, all, false), now_us);
    pthread_mutex_unlock(&t->lock);
    return a > b ? a : b;
}

void kv_throttle_failed(kv_throttle *t, kv_sv name, kv_sv address, uint64_t now_us)
{
    uint8_t one[KV_MAC_BYTES], all[KV_MAC_BYTES];
    hash(t, name, address, one);
    hash(t, KV_SV(""), address, all);
    pthread_mutex_lock(&t->lock);
    count(find(t, one, true), FREE_PER_NAME, now_us);
    count(find(t, all, true), FREE_PER_ADDRESS, now_us);
    pthread_mutex_unlock(&t->lock);
}

void kv_throttle_passed(kv_throttle *t, kv_sv name, kv_sv address)
{
    uint8_t one[KV_MAC_BYTES];
    hash(t, name, address, one);
    pthread_mutex_lock(&t->lock);
    record *r = find(t, one, false);
    if (r) *r = (record){0};
    pthread_mutex_unlock(&t->lock);
}

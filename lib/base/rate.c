#include "base/rate.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"

enum {
    PIECES_PER_S = 8,
    PIECE_LEAST = 1024,
    PIECE_MOST = 1024 * 1024,
    STEP_US = 50000, /* how late a wish to cancel may be seen */
};

struct kv_rate {
    uint64_t per_s;
    pthread_mutex_t lock;
    uint64_t free_us; /* when all bytes taken so far have had their time; the lock guards it */
};

kv_rate *kv_rate_new(uint64_t per_s)
{
    kv_rate *r = calloc(1, sizeof(*r));
    if (!r) return NULL;
    r->per_s = per_s < KV_RATE_LEAST ? KV_RATE_LEAST : per_s;
    pthread_mutex_init(&r->lock, NULL);
    return r;
}

void kv_rate_free(kv_rate *r)
{
    if (!r) return;
    pthread_mutex_destroy(&r->lock);
    free(r);
}

size_t kv_rate_piece(const kv_rate *r)
{
    uint64_t n = r->per_s / PIECES_PER_S;
    if (n < PIECE_LEAST) return PIECE_LEAST;
    return n > PIECE_MOST ? PIECE_MOST : (size_t)n;
}

/* When the bytes before these n have had their time, which n then begin to use up. */
static uint64_t turn_of(kv_rate *r, size_t n)
{
    pthread_mutex_lock(&r->lock);
    uint64_t now = kv_mono_us();
    uint64_t turn = r->free_us > now ? r->free_us : now; /* time that nobody used is lost */
    r->free_us = turn + (uint64_t)((double)n * 1e6 / (double)r->per_s);
    pthread_mutex_unlock(&r->lock);
    return turn;
}

kv_code kv_rate_take(kv_rate *r, size_t n, const kv_report *report, kv_error *err)
{
    uint64_t turn = turn_of(r, n);
    for (;;) {
        KV_TRY(kv_check_cancel(report, err));
        uint64_t now = kv_mono_us();
        if (now >= turn) return KV_OK;
        uint64_t step = turn - now < STEP_US ? turn - now : STEP_US;
        struct timespec t = {.tv_nsec = (long)(step * 1000)};
        nanosleep(&t, NULL);
    }
}

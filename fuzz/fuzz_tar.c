#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "tar/tar_read.h"

enum { STEP = 700, CONTENT_MAX = 1 << 20 };

static kv_code pull(void *ctx, void *dst, size_t n, size_t *out_n, kv_error *err)
{
    (void)err;
    kv_sv *left = ctx;
    size_t step = n < STEP ? n : STEP;
    *out_n = left->n < step ? left->n : step;
    if (*out_n) memcpy(dst, left->p, *out_n);
    *left = kv_sv_from(*left, *out_n);
    return KV_OK;
}

/* The first byte picks the filter. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    kv_sv left = {(const char *)data + 1, size - 1};
    kv_auto(kv_tar_reader) r = NULL;
    if (kv_tar_open((kv_tar_filter)(data[0] % 3), pull, &left, &r, NULL) != KV_OK) return 0;
    size_t total = 0; /* a small input may unpack to very much */
    kv_tar_entry e;
    bool more;
    while (kv_tar_next(r, &e, &more, NULL) == KV_OK && more) {
        if (e.path.n == 0 || e.mode > 07777) abort();
        const void *p;
        size_t n;
        uint64_t off, at = 0;
        while (kv_tar_read(r, &p, &n, &off, NULL) == KV_OK && n) {
            if (off < at) abort(); /* pieces come in order and do not overlap */
            at = off + n;
            total += n;
            if (total > CONTENT_MAX) return 0;
        }
    }
    return 0;
}

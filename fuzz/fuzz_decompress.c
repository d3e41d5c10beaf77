#include <stdlib.h>
#include <string.h>

#include "codec/decompress.h"
#include "fuzz/fuzz.h"

enum { STEP = 700, CONTENT_MAX = 4 << 20 };

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

/* The first byte picks the form. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    kv_sv left = {(const char *)data + 1, size - 1};
    kv_codec codec = data[0] % 2 ? KV_CODEC_ZSTD : KV_CODEC_GZIP;
    kv_auto(kv_decompressor) d = kv_decompressor_new(codec, pull, &left);
    if (!d) return 0;
    static char piece[4000];
    for (size_t n = 1, total = 0; n && total < CONTENT_MAX; total += n) {
        if (kv_decompressor_pull(d, piece, sizeof(piece), &n, NULL) != KV_OK) return 0;
        if (n > sizeof(piece)) abort();
    }
    return 0;
}

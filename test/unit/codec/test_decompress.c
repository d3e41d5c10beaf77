#include "codec/decompress.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "test/test.h"

typedef struct source {
    kv_sv left;
    size_t step;
    bool fails; /* at its end */
} source;

static kv_code pull(void *ctx, void *dst, size_t n, size_t *out_n, kv_error *err)
{
    source *s = ctx;
    if (n > s->step) n = s->step;
    *out_n = s->left.n < n ? s->left.n : n;
    if (!*out_n && s->fails) return kv_fail(err, KV_E_NETWORK, "line is dead");
    if (*out_n) memcpy(dst, s->left.p, *out_n);
    s->left = kv_sv_from(s->left, *out_n);
    return KV_OK;
}

static kv_code to_buf(void *ctx, const void *p, size_t n, kv_error *err)
{
    kv_buf_add(ctx, (kv_sv){p, n});
    return kv_buf_check(ctx, err);
}

static void compress(kv_codec codec, kv_sv text, kv_buf *out)
{
    kv_auto(kv_compressor) c = kv_compressor_new(codec, to_buf, out);
    assert_non_null(c);
    assert_int_equal(kv_compressor_add(c, text.p, text.n, NULL), KV_OK);
    assert_int_equal(kv_compressor_end(c, NULL), KV_OK);
}

static kv_code decompress(kv_codec codec, source *s, kv_buf *out, kv_error *err)
{
    kv_auto(kv_decompressor) d = kv_decompressor_new(codec, pull, s);
    assert_non_null(d);
    for (;;) {
        char piece[999];
        size_t n;
        KV_TRY(kv_decompressor_pull(d, piece, sizeof(piece), &n, err));
        if (!n) return KV_OK;
        kv_buf_add(out, (kv_sv){piece, n});
    }
}

/* A zstd frame without content, by hand: magic, a header that asks for a window of 2^(10 + exponent)
 * bytes, one last raw block of no bytes. */
#define FRAME(window) "\x28\xb5\x2f\xfd\x00" window "\x01\x00\x00"
#define SKIPPABLE "\x50\x2a\x4d\x18\x03\x00\x00\x00xyz"

static void takes_and_refuses(void **state)
{
    (void)state;
    kv_auto_buf gz = KV_BUF(10000), zst = KV_BUF(10000), two_gz = KV_BUF(10000),
                two_zst = KV_BUF(10000), tail_gz = KV_BUF(10000), bad_gz = KV_BUF(10000),
                bad_zst = KV_BUF(10000), skip_zst = KV_BUF(10000);
    compress(KV_CODEC_GZIP, KV_SV("hello "), &gz);
    compress(KV_CODEC_ZSTD, KV_SV("hello "), &zst);
    for (int i = 0; i < 2; i++) {
        kv_buf_add(&two_gz, kv_buf_sv(&gz));
        kv_buf_add(&two_zst, kv_buf_sv(&zst));
    }
    kv_buf_add(&tail_gz, kv_buf_sv(&gz));
    kv_buf_adds(&tail_gz, "junk");
    kv_buf_add(&skip_zst, KV_SV(SKIPPABLE));
    kv_buf_add(&skip_zst, kv_buf_sv(&zst));
    kv_buf_add(&bad_gz, kv_buf_sv(&gz));
    bad_gz.p[bad_gz.n - 6] ^= 1; /* the CRC */
    kv_buf_add(&bad_zst, kv_buf_sv(&zst));
    bad_zst.p[6] ^= 0x7e; /* the first block's header */
    const struct {
        const char *name;
        kv_codec codec;
        kv_sv bytes;
        kv_code code;
        const char *want; /* the text, or a part of the message */
    } CASES[] = {
        {"gzip", KV_CODEC_GZIP, kv_buf_sv(&gz), KV_OK, "hello "},
        {"zstd", KV_CODEC_ZSTD, kv_buf_sv(&zst), KV_OK, "hello "},
        {"gzip, nothing", KV_CODEC_GZIP, {"", 0}, KV_OK, ""},
        {"zstd, nothing", KV_CODEC_ZSTD, {"", 0}, KV_OK, ""},
        {"gzip, two members", KV_CODEC_GZIP, kv_buf_sv(&two_gz), KV_OK, "hello hello "},
        {"zstd, two frames", KV_CODEC_ZSTD, kv_buf_sv(&two_zst), KV_OK, "hello hello "},
        {"zstd, behind a frame to skip", KV_CODEC_ZSTD, kv_buf_sv(&skip_zst), KV_OK, "hello "},
        {"gzip and more", KV_CODEC_GZIP, kv_buf_sv(&tail_gz), KV_OK, "hello "},
        {"gzip, cut", KV_CODEC_GZIP, {gz.p, gz.n - 1}, KV_E_CORRUPT, "gzip data that ends"},
        {"gzip, cut in the header", KV_CODEC_GZIP, {gz.p, 3}, KV_E_CORRUPT, "gzip data that ends"},
        {"zstd, cut", KV_CODEC_ZSTD, {zst.p, zst.n - 1}, KV_E_CORRUPT, "zstd data that ends"},
        {"zstd, cut in the magic", KV_CODEC_ZSTD, {zst.p, 3}, KV_E_CORRUPT, "zstd data that ends"},
        {"gzip, damaged", KV_CODEC_GZIP, kv_buf_sv(&bad_gz), KV_E_CORRUPT, "damaged gzip data: "},
        {"zstd, damaged", KV_CODEC_ZSTD, kv_buf_sv(&bad_zst), KV_E_CORRUPT, "damaged zstd data: "},
        {"no gzip", KV_CODEC_GZIP, KV_SV("plain text"), KV_E_CORRUPT, "damaged gzip data: "},
        {"no zstd", KV_CODEC_ZSTD, KV_SV("plain text"), KV_E_CORRUPT, "damaged zstd data: "},
        {"zstd for gzip", KV_CODEC_GZIP, kv_buf_sv(&zst), KV_E_CORRUPT, "damaged gzip data: "},
        /* window descriptors: exponent in the upper five bits */
        {"window of 8 MiB", KV_CODEC_ZSTD, KV_SV(FRAME("\x68")), KV_OK, ""},
        {"window of 32 MiB", KV_CODEC_ZSTD, KV_SV(FRAME("\x78")), KV_OK, ""},
        {"window of 36 MiB", KV_CODEC_ZSTD, KV_SV(FRAME("\x79")), KV_E_LIMIT, "more than 32 MiB"},
        {"window of 128 MiB", KV_CODEC_ZSTD, KV_SV(FRAME("\x88")), KV_E_LIMIT, "more than 32 MiB"},
        {"window of 3.75 TiB", KV_CODEC_ZSTD, KV_SV(FRAME("\xff")), KV_E_LIMIT, "more than 32 MiB"},
    };
    static const size_t STEPS[] = {1, 7, 100000};
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        for (size_t k = 0; k < KV_COUNT(STEPS); k++) {
            source s = {.left = CASES[i].bytes, .step = STEPS[k]};
            kv_auto_buf got = KV_BUF(10000);
            kv_error err = {0};
            kv_code code = decompress(CASES[i].codec, &s, &got, &err);
            bool good = code == KV_OK ? kv_sv_is(kv_buf_sv(&got), CASES[i].want)
                                      : strstr(err.msg, CASES[i].want) != NULL;
            if (code != CASES[i].code || !good)
                fail_msg("%s, by %zu: code %d, '%s', '%s'", CASES[i].name, STEPS[k], (int)code,
                         got.p ? got.p : "", err.msg);
        }
    }
}

static void hands_failures_up(void **state)
{
    (void)state;
    kv_auto_buf gz = KV_BUF(10000), got = KV_BUF(10000);
    compress(KV_CODEC_GZIP, KV_SV("hello "), &gz);
    source s = {.left = {gz.p, gz.n / 2}, .step = 5, .fails = true};
    kv_error err = {0};
    assert_int_equal(decompress(KV_CODEC_GZIP, &s, &got, &err), KV_E_NETWORK);
    assert_string_equal(err.msg, "line is dead");
}

static void large_content(void **state)
{
    enum { N = 3000000 };
    (void)state;
    kv_auto_str text = malloc(N);
    assert_non_null(text);
    uint32_t x = 1;
    for (size_t i = 0; i < N; i++) {
        x = x * 1664525u + 1013904223u;
        text[i] = i % 200000 < 100000 ? (char)(x >> 24) : "kitvault "[i % 9];
    }
    static const kv_codec CODECS[] = {KV_CODEC_GZIP, KV_CODEC_ZSTD};
    for (size_t i = 0; i < KV_COUNT(CODECS); i++) {
        kv_auto_buf packed = KV_BUF(N * 2), got = KV_BUF(N * 2);
        compress(CODECS[i], (kv_sv){text, N}, &packed);
        source s = {.left = kv_buf_sv(&packed), .step = 70000};
        assert_int_equal(decompress(CODECS[i], &s, &got, NULL), KV_OK);
        assert_true(kv_sv_eq(kv_buf_sv(&got), (kv_sv){text, N}));
    }
}

KV_TEST_MAIN(cmocka_unit_test(takes_and_refuses), cmocka_unit_test(hands_failures_up),
             cmocka_unit_test(large_content))

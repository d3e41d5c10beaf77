#include "codec/compress.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "test/test.h"

static kv_code to_buf(void *ctx, const void *p, size_t n, kv_error *err)
{
    kv_buf_add(ctx, (kv_sv){p, n});
    return kv_buf_check(ctx, err);
}

static kv_code refuse(void *ctx, const void *p, size_t n, kv_error *err)
{
    (void)ctx;
    (void)p;
    (void)n;
    return kv_fail(err, KV_E_NOSPACE, "full");
}

static kv_sv unpacked(kv_codec codec, kv_sv packed, char *dst, size_t room)
{
    if (codec == KV_CODEC_ZSTD) {
        size_t n = ZSTD_decompress(dst, room, packed.p, packed.n);
        assert_false(ZSTD_isError(n));
        return (kv_sv){dst, n};
    }
    z_stream z = {0};
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK); /* checks the gzip trailer too */
    z.next_in = (Bytef *)(uintptr_t)packed.p;
    z.avail_in = (uInt)packed.n;
    z.next_out = (Bytef *)dst;
    z.avail_out = (uInt)room;
    for (;;) { /* member by member */
        assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
        if (z.avail_in == 0) break;
        assert_int_equal(inflateReset(&z), Z_OK);
    }
    size_t n = room - z.avail_out;
    inflateEnd(&z);
    return (kv_sv){dst, n};
}

static void round_trips(void **state)
{
    static const struct {
        const char *name;
        kv_codec codec;
        size_t n, step;
        const char *head;
        size_t head_n;
    } CASES[] = {
        {"gzip, nothing", KV_CODEC_GZIP, 0, 1, "\x1f\x8b\x08\0\0\0\0\0\0\xff", 10},
        {"gzip, by 7 bytes", KV_CODEC_GZIP, 100000, 7, "\x1f\x8b\x08\0\0\0\0\0\0\xff", 10},
        {"gzip, at once", KV_CODEC_GZIP, 3000000, 3000000, "\x1f\x8b\x08\0\0\0\0\0\0\xff", 10},
        {"gzip, one block", KV_CODEC_GZIP, 262144, 262144, "\x1f\x8b\x08\0\0\0\0\0\0\xff", 10},
        {"gzip, all blocks at once", KV_CODEC_GZIP, 4 * 262144, 65536,
         "\x1f\x8b\x08\0\0\0\0\0\0\xff", 10},
        {"gzip, a byte more", KV_CODEC_GZIP, 4 * 262144 + 1, 4096, "\x1f\x8b\x08\0\0\0\0\0\0\xff",
         10},
        {"fastest", KV_CODEC_GZIP_FASTEST, 1000000, 65536, "\x1f\x8b\x08\0\0\0\0\0\4\xff", 10},
        {"zstd, nothing", KV_CODEC_ZSTD, 0, 1, "\x28\xb5\x2f\xfd", 4},
        {"zstd", KV_CODEC_ZSTD, 3000000, 100001, "\x28\xb5\x2f\xfd", 4},
    };
    (void)state;
    enum { ROOM = 4000000 };
    char *in = malloc(ROOM), *back = malloc(ROOM);
    assert_non_null(in);
    assert_non_null(back);
    uint32_t x = 1;
    for (size_t i = 0; i < ROOM; i++) { /* half random, half text, so that both block kinds occur */
        x = x * 1664525u + 1013904223u;
        in[i] = i % 200000 < 100000 ? (char)(x >> 24) : "kitvault "[i % 9];
    }
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto_buf packed = KV_BUF(ROOM * 2);
        kv_auto(kv_compressor) c = kv_compressor_new(CASES[i].codec, to_buf, &packed);
        assert_non_null(c);
        for (size_t at = 0; at < CASES[i].n; at += CASES[i].step) {
            size_t n = CASES[i].n - at < CASES[i].step ? CASES[i].n - at : CASES[i].step;
            assert_int_equal(kv_compressor_add(c, in + at, n, NULL), KV_OK);
        }
        assert_int_equal(kv_compressor_end(c, NULL), KV_OK);
        kv_sv got = unpacked(CASES[i].codec, kv_buf_sv(&packed), back, ROOM);
        if (!kv_sv_eq(got, (kv_sv){in, CASES[i].n})) fail_msg("%s: other bytes", CASES[i].name);
        if (memcmp(packed.p, CASES[i].head, CASES[i].head_n)) fail_msg("%s: head", CASES[i].name);
    }
    free(in);
    free(back);
}

/* However the bytes come in and however many threads there are. */
static void bytes_depend_on_the_input_alone(void **state)
{
    (void)state;
    enum { N = 3000000 };
    static const size_t STEPS[] = {N, 65536, 99991};
    kv_auto_buf first = KV_BUF(N * 2);
    char *in = calloc(1, N);
    assert_non_null(in);
    for (size_t i = 0; i < N; i += 3) in[i] = (char)(i >> 7);
    for (size_t k = 0; k < KV_COUNT(STEPS); k++) {
        kv_auto_buf packed = KV_BUF(N * 2);
        kv_auto(kv_compressor) c = kv_compressor_new(KV_CODEC_GZIP, to_buf, &packed);
        for (size_t at = 0; at < N; at += STEPS[k])
            assert_int_equal(
                kv_compressor_add(c, in + at, N - at < STEPS[k] ? N - at : STEPS[k], NULL), KV_OK);
        assert_int_equal(kv_compressor_end(c, NULL), KV_OK);
        if (k == 0) kv_buf_add(&first, kv_buf_sv(&packed));
        assert_true(kv_sv_eq(kv_buf_sv(&first), kv_buf_sv(&packed)));
    }
    free(in);
}

static void sink_failure_comes_up(void **state)
{
    (void)state;
    static const kv_codec CODECS[] = {KV_CODEC_GZIP, KV_CODEC_GZIP_FASTEST, KV_CODEC_ZSTD};
    for (size_t i = 0; i < KV_COUNT(CODECS); i++) {
        kv_auto(kv_compressor) c = kv_compressor_new(CODECS[i], refuse, NULL);
        kv_error err = {0};
        kv_code rc = kv_compressor_add(c, "x", 1, &err);
        if (rc == KV_OK) rc = kv_compressor_end(c, &err);
        assert_int_equal(rc, KV_E_NOSPACE);
        assert_string_equal(err.msg, "full");
    }
}

KV_TEST_MAIN(cmocka_unit_test(round_trips), cmocka_unit_test(bytes_depend_on_the_input_alone),
             cmocka_unit_test(sink_failure_comes_up))

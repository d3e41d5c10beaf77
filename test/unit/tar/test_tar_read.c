#include "tar/tar_read.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/compress.h"
#include "tar/tar_write.h"
#include "test/test.h"

/* Gives bytes in pieces of `step`, and fails at `fail_at`. */
typedef struct source {
    kv_sv left;
    size_t step, given, fail_at;
} source;

static kv_code pull(void *ctx, void *dst, size_t n, size_t *out_n, kv_error *err)
{
    source *s = ctx;
    if (s->fail_at && s->given >= s->fail_at) return kv_fail(err, KV_E_NETWORK, "line is dead");
    size_t step = n < s->step ? n : s->step;
    *out_n = s->left.n < step ? s->left.n : step;
    memcpy(dst, s->left.p, *out_n);
    s->left = kv_sv_from(s->left, *out_n);
    s->given += *out_n;
    return KV_OK;
}

static void add_entry(kv_buf *out, const char *path, char type, const char *content)
{
    size_t at = out->n, n = strlen(content);
    kv_tar_header(
        &(kv_tar_member){.path = kv_sv_of(path), .dir = type == '5', .mode = 0754, .size = n}, out);
    if (type != '0' && type != '5') { /* our writer has two kinds only: change it and the sum */
        char *h = out->p + at;
        h[156] = type;
        memcpy(h + 157, "target", 6);
        unsigned sum = 8 * ' ';
        for (int i = 0; i < 512; i++) sum += i >= 148 && i < 156 ? 0 : (uint8_t)h[i];
        snprintf(h + 148, 7, "%06o", sum);
    }
    kv_buf_adds(out, content);
    char zeros[512] = {0};
    kv_buf_add(out, (kv_sv){zeros, kv_tar_padding(n)});
}

static void add_end(kv_buf *out)
{
    char zeros[KV_TAR_END_BYTES] = {0};
    kv_buf_add(out, (kv_sv){zeros, sizeof(zeros)});
}

/* "TYPE PATH MODE CONTENT;" of every entry, or the error's text. */
static kv_code list(kv_tar_filter filter, source *src, kv_buf *out, kv_error *err)
{
    kv_auto(kv_tar_reader) r = NULL;
    KV_TRY(kv_tar_open(filter, pull, src, &r, err));
    for (;;) {
        kv_tar_entry e;
        bool more;
        KV_TRY(kv_tar_next(r, &e, &more, err));
        if (!more) return KV_OK;
        kv_buf_addf(out, "%c %.*s %o ", (char)e.type, KV_ARG(e.path), e.mode);
        uint64_t want = 0;
        for (;;) {
            const void *p;
            size_t n;
            uint64_t off;
            KV_TRY(kv_tar_read(r, &p, &n, &off, err));
            if (!n) break;
            assert_int_equal(off, want);
            want += n;
            kv_buf_add(out, (kv_sv){p, n});
        }
        if (e.kind == KV_TAR_FILE) assert_int_equal(want, e.size);
        kv_buf_addc(out, ';');
    }
}

static void reads_entries(void **state)
{
    static const char WANT[] = "5 d 754 ;0 d/a 754 hello;0 mod\303\250le/\377 754 x;1 h 754 ;"
                               "2 l 754 ;3 c 754 ;4 b 754 ;6 p 754 ;";
    static const char *const LOCALES[] = {"C", "C.UTF-8"};
    (void)state;
    kv_auto_buf tar = KV_BUF(1u << 20);
    add_entry(&tar, "d", '5', "");
    add_entry(&tar, "d/a", '0', "hello");
    add_entry(&tar, "mod\303\250le/\377", '0', "x"); /* valid and invalid UTF-8 */
    add_entry(&tar, "h", '1', "");
    add_entry(&tar, "l", '2', "");
    add_entry(&tar, "c", '3', "");
    add_entry(&tar, "b", '4', "");
    add_entry(&tar, "p", '6', "");
    add_end(&tar);
    for (size_t l = 0; l < KV_COUNT(LOCALES); l++) {
        setlocale(LC_ALL, LOCALES[l]);
        for (size_t step = 1; step < 100000; step = step * 37 + 11) {
            source src = {.left = kv_buf_sv(&tar), .step = step};
            kv_auto_buf got = KV_BUF(10000);
            kv_error err = {0};
            if (list(KV_TAR_PLAIN, &src, &got, &err) != KV_OK) fail_msg("%s", err.msg);
            assert_string_equal(got.p, WANT);
        }
    }
    setlocale(LC_ALL, "C");
}

static kv_code to_buf(void *ctx, const void *p, size_t n, kv_error *err)
{
    kv_buf_add(ctx, (kv_sv){p, n});
    return kv_buf_check(ctx, err);
}

static void compressed(kv_codec codec, const kv_buf *tar, kv_buf *out)
{
    kv_auto(kv_compressor) c = kv_compressor_new(codec, to_buf, out);
    assert_non_null(c);
    assert_int_equal(kv_compressor_add(c, tar->p, tar->n, NULL), KV_OK);
    assert_int_equal(kv_compressor_end(c, NULL), KV_OK);
}

static void good_and_bad_streams(void **state)
{
    (void)state;
    kv_auto_buf tar = KV_BUF(1u << 20), gz = KV_BUF(1u << 20), zst = KV_BUF(1u << 20);
    add_entry(&tar, "a", '0', "hello");
    size_t headers = tar.n;
    add_entry(&tar, "b", '0', "world");
    add_end(&tar);
    compressed(KV_CODEC_GZIP, &tar, &gz);
    compressed(KV_CODEC_ZSTD, &tar, &zst);
    char zeros[KV_TAR_END_BYTES] = {0}, junk[2048];
    memset(junk, 'j', sizeof(junk));
    kv_auto_buf bad_sum = KV_BUF(1u << 20), bad_gz = KV_BUF(1u << 20);
    kv_buf_add(&bad_sum, kv_buf_sv(&tar));
    bad_sum.p[headers] ^= 1; /* name of the second entry */
    kv_buf_add(&bad_gz, kv_buf_sv(&gz));
    bad_gz.p[bad_gz.n - 6] ^= 1; /* CRC */
    const struct {
        const char *name;
        kv_tar_filter filter;
        kv_sv bytes;
        size_t fail_at;
        kv_code want;
        const char *text;
    } CASES[] = {
        {"plain", KV_TAR_PLAIN, kv_buf_sv(&tar), 0, KV_OK, "0 a 754 hello;0 b 754 world;"},
        {"gzip", KV_TAR_GZIP, kv_buf_sv(&gz), 0, KV_OK, "0 a 754 hello;0 b 754 world;"},
        {"zstd", KV_TAR_ZSTD, kv_buf_sv(&zst), 0, KV_OK, "0 a 754 hello;0 b 754 world;"},
        {"no entries", KV_TAR_PLAIN, {zeros, sizeof(zeros)}, 0, KV_OK, ""},
        {"no bytes", KV_TAR_PLAIN, {"", 0}, 0, KV_OK, ""},
        {"cut in a header", KV_TAR_PLAIN, {tar.p, headers + 100}, 0, KV_E_CORRUPT, NULL},
        {"cut in a content", KV_TAR_PLAIN, {tar.p, 514}, 0, KV_E_CORRUPT, NULL},
        {"junk", KV_TAR_PLAIN, {junk, sizeof(junk)}, 0, KV_E_CORRUPT, NULL},
        {"checksum", KV_TAR_PLAIN, kv_buf_sv(&bad_sum), 0, KV_E_CORRUPT, NULL},
        {"gzip where none is due", KV_TAR_PLAIN, kv_buf_sv(&gz), 0, KV_E_CORRUPT, NULL},
        {"cut gzip", KV_TAR_GZIP, {gz.p, gz.n / 2}, 0, KV_E_CORRUPT, NULL},
        {"cut zstd", KV_TAR_ZSTD, {zst.p, zst.n / 2}, 0, KV_E_CORRUPT, NULL},
        {"source fails at once", KV_TAR_PLAIN, kv_buf_sv(&tar), 1, KV_E_NETWORK, "line is dead"},
        {"source fails later", KV_TAR_PLAIN, kv_buf_sv(&tar), 600, KV_E_NETWORK, "line is dead"},
    };
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        source src = {.left = CASES[i].bytes, .step = 300, .fail_at = CASES[i].fail_at};
        kv_auto_buf got = KV_BUF(10000);
        kv_error err = {0};
        kv_code rc = list(CASES[i].filter, &src, &got, &err);
        if (rc != CASES[i].want) fail_msg("%s: code %d '%s'", CASES[i].name, (int)rc, err.msg);
        kv_sv text = rc == KV_OK ? kv_buf_sv(&got) : kv_sv_of(err.msg);
        if (CASES[i].text && !kv_sv_is(text, CASES[i].text))
            fail_msg("%s: '%.*s'", CASES[i].name, KV_ARG(text));
    }
}

/* --- sources that can skip --- */

typedef struct skipping { /* skips at most `most` at once; 0: never */
    source src;
    size_t most, skipped;
    bool fails;
} skipping;

static kv_code skipping_pull(void *ctx, void *dst, size_t n, size_t *out_n, kv_error *err)
{
    return pull(&((skipping *)ctx)->src, dst, n, out_n, err);
}

static kv_code skipping_skip(void *ctx, uint64_t n, uint64_t *out_n, kv_error *err)
{
    skipping *s = ctx;
    if (s->fails) return kv_fail(err, KV_E_NETWORK, "cannot start there");
    size_t step = n < s->most ? (size_t)n : s->most;
    if (step > s->src.left.n) step = s->src.left.n;
    s->src.left = kv_sv_from(s->src.left, step);
    s->skipped += step;
    *out_n = step;
    return KV_OK;
}

static kv_code names(kv_tar_filter filter, skipping *s, kv_skip_fn *skip, kv_buf *out,
                     kv_error *err)
{
    kv_auto(kv_tar_reader) r = NULL;
    KV_TRY(kv_tar_open_skipping(filter, skipping_pull, skip, s, &r, err));
    for (;;) {
        kv_tar_entry e;
        bool more;
        KV_TRY(kv_tar_next(r, &e, &more, err));
        if (!more) return KV_OK;
        kv_buf_addf(out, "%.*s ", KV_ARG(e.path));
    }
}

static void skips_content(void **state)
{
    enum { LARGE = 2 << 20 };
    (void)state;
    kv_auto_buf tar = KV_BUF(8u << 20), gz = KV_BUF(8u << 20);
    kv_auto_str large = malloc(LARGE + 1);
    assert_non_null(large);
    memset(large, 'x', LARGE);
    large[LARGE] = '\0';
    add_entry(&tar, "a", '0', large);
    add_entry(&tar, "b", '0', "small");
    add_entry(&tar, "c", '0', large);
    add_entry(&tar, "d", '0', "");
    add_end(&tar);
    compressed(KV_CODEC_GZIP, &tar, &gz);
    const struct {
        const char *name;
        kv_tar_filter filter;
        size_t most;
        bool can, fails;
        size_t cut; /* bytes missing at the end */
        kv_code code;
        size_t skipped_min, skipped_max;
    } CASES[] = {
        {"at once", KV_TAR_PLAIN, SIZE_MAX, true, false, 0, KV_OK, 3 << 20, 2 * LARGE},
        {"in steps", KV_TAR_PLAIN, 100000, true, false, 0, KV_OK, 200000, 2 * LARGE},
        {"not now", KV_TAR_PLAIN, 0, true, false, 0, KV_OK, 0, 0},
        {"never", KV_TAR_PLAIN, SIZE_MAX, false, false, 0, KV_OK, 0, 0},
        {"compressed", KV_TAR_GZIP, SIZE_MAX, true, false, 0, KV_OK, 0, 0},
        {"fails", KV_TAR_PLAIN, SIZE_MAX, true, true, 0, KV_E_NETWORK, 0, 0},
        {"cut", KV_TAR_PLAIN, SIZE_MAX, true, false, LARGE, KV_E_CORRUPT, 0, SIZE_MAX},
    };
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_sv all = CASES[i].filter == KV_TAR_GZIP ? kv_buf_sv(&gz) : kv_buf_sv(&tar);
        skipping s = {.src = {.left = kv_sv_sub(all, 0, all.n - CASES[i].cut), .step = 10000},
                      .most = CASES[i].most,
                      .fails = CASES[i].fails};
        kv_auto_buf got = KV_BUF(1000);
        kv_error err = {0};
        kv_code code = names(CASES[i].filter, &s, CASES[i].can ? skipping_skip : NULL, &got, &err);
        if (code != CASES[i].code || s.skipped < CASES[i].skipped_min ||
            s.skipped > CASES[i].skipped_max)
            fail_msg("%s: code %d '%s', skipped %zu", CASES[i].name, (int)code, err.msg, s.skipped);
        if (code == KV_OK) assert_string_equal(got.p, "a b c d ");
    }
}

KV_TEST_MAIN(cmocka_unit_test(reads_entries), cmocka_unit_test(good_and_bad_streams),
             cmocka_unit_test(skips_content))

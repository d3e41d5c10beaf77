#include "kitvault/files.h"

#include "codec/compress.h"
#include "test/unit/model/memkit.h"

#define MODEL_TAR "application/vnd.kitops.modelkit.model.v1.tar"
#define RAW "application/vnd.cncf.model.weight.v1.raw"

static const kv_annotations NO_ANNOTATIONS;

/* --- helpers --- */

/* A kit whose one layer is the model with path "m". modern: as kit writes it since 0.5. */
static void model_kit(memkit *k, const char *media_type, kv_sv bytes, const char *path, bool modern)
{
    kv_descriptor layer = memkit_add(k, media_type, bytes);
    kv_auto_buf config = KV_BUF(10000);
    kv_buf_addf(&config, "{\"manifestVersion\":\"1.0.0\",\"package\":{},\"model\":{\"path\":\"%s\"",
                path);
    if (modern) kv_buf_addf(&config, ",\"digest\":\"%s\"", kv_digest_str(&layer.digest).s);
    kv_buf_adds(&config, "}}");
    kv_descriptor c = memkit_add(k, KV_MT_KIT_CONFIG, kv_buf_sv(&config));
    memkit_seal(k, modern ? KV_MT_KIT_MANIFEST : "", &c, &layer, 1, NO_ANNOTATIONS);
}

/* "KIND PATH MODE SIZE LAYER DIGEST...;" of every file; the digest's first four letters. */
static kv_code list(memkit *k, const bool *skip, kv_buf *out, kv_error *err)
{
    kv_kit_source src = memkit_source(k);
    kv_auto_reference ref = {0};
    assert_int_equal(kv_reference_parse(KV_SV("example.com/a:v1"), &ref, NULL), KV_OK);
    kv_auto_file_iter it = kv_files_begin(&src, &ref, k->m, skip, NULL);
    while (kv_files_next(&it)) {
        kv_buf_addf(out, "%s %.*s %o %llu %zu", kv_file_kind_name(it.kind), KV_ARG(it.path),
                    it.mode, (unsigned long long)it.size, it.layer);
        if (it.digest.alg) kv_buf_addf(out, " %.4s", kv_digest_str(&it.digest).s + 7);
        kv_buf_addc(out, ';');
    }
    return kv_files_end(&it, err);
}

static kv_code to_buf(void *ctx, const void *p, size_t n, kv_error *err)
{
    kv_buf_add(ctx, (kv_sv){p, n});
    return kv_buf_check(ctx, err);
}

static kv_code cat_from(const kv_kit_source *src, const kv_manifest *m, const char *path,
                        bool verify, kv_buf *out, kv_error *err)
{
    kv_auto_reference ref = {0};
    assert_int_equal(kv_reference_parse(KV_SV("example.com/a:v1"), &ref, NULL), KV_OK);
    const kv_file_sink sink = {.write = to_buf, .ctx = out};
    return kv_file_cat(src, &ref, m, kv_sv_of(path), verify, NULL, &sink, err);
}

static kv_code cat(memkit *k, const char *path, kv_buf *out, kv_error *err)
{
    kv_kit_source src = memkit_source(k);
    return cat_from(&src, k->m, path, false, out, err);
}

static void compress(kv_codec codec, const kv_buf *tar, kv_buf *out)
{
    kv_auto(kv_compressor) c = kv_compressor_new(codec, to_buf, out);
    assert_non_null(c);
    assert_int_equal(kv_compressor_add(c, tar->p, tar->n, NULL), KV_OK);
    assert_int_equal(kv_compressor_end(c, NULL), KV_OK);
}

/* --- forms of layers --- */

static void forms(void **state)
{
    (void)state;
    kv_auto_buf tar = KV_BUF(1u << 20), gz = KV_BUF(1u << 20), zst = KV_BUF(1u << 20);
    tar_add(&tar, "m", '5', 0750, KV_SV(""));
    tar_add(&tar, "./m//a", '0', 04640, KV_SV("hello"));
    tar_add(&tar, "m/link", '2', 0777, KV_SV(""));
    tar_end(&tar);
    compress(KV_CODEC_GZIP, &tar, &gz);
    compress(KV_CODEC_ZSTD, &tar, &zst);
    const struct {
        const char *media_type;
        const kv_buf *bytes;
    } CASES[] = {{MODEL_TAR, &tar}, {MODEL_TAR "+gzip", &gz}, {MODEL_TAR "+zstd", &zst}};
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        auto_memkit k = {0};
        kv_auto_buf got = KV_BUF(10000), text = KV_BUF(10000);
        kv_error err = {0};
        model_kit(&k, CASES[i].media_type, kv_buf_sv(CASES[i].bytes), "m", true);
        if (list(&k, NULL, &got, &err) != KV_OK) fail_msg("%s", err.msg);
        assert_string_equal(got.p, "dir m 750 0 0;file m/a 4640 5 0 2cf2;other m/link 777 0 0;");
        if (cat(&k, "m/./a", &text, &err) != KV_OK) fail_msg("%s", err.msg);
        assert_string_equal(text.p, "hello");
        assert_int_equal(cat(&k, "m", &text, &err), KV_E_ARG);
        assert_string_equal(err.msg, "'m' is a directory");
        assert_int_equal(cat(&k, "m/link", &text, &err), KV_E_ARG);
        assert_string_equal(err.msg, "'m/link' is not a regular file");
        assert_int_equal(cat(&k, "m/b", &text, &err), KV_E_NOTFOUND);
        assert_string_equal(err.msg, "no file 'm/b' in the ModelKit");
    }
}

/* kit before 0.5 packed a path's last component alone. */
static void old_layers(void **state)
{
    (void)state;
    kv_auto_buf tar = KV_BUF(1u << 20), got = KV_BUF(10000), text = KV_BUF(10000);
    tar_add(&tar, "weights", '5', 0755, KV_SV(""));
    tar_add(&tar, "weights/w", '0', 0644, KV_SV("x"));
    tar_end(&tar);
    auto_memkit k = {0};
    model_kit(&k, MODEL_TAR, kv_buf_sv(&tar), "./a/b/weights", false);
    assert_int_equal(list(&k, NULL, &got, NULL), KV_OK);
    assert_string_equal(got.p, "dir a/b/weights 755 0 0;file a/b/weights/w 644 1 0 2d71;");
    assert_int_equal(cat(&k, "a/b/weights/w", &text, NULL), KV_OK);
    assert_string_equal(text.p, "x");
}

static void raw_layers(void **state)
{
    (void)state;
    auto_memkit k = {0};
    kv_annotation a[] = {
        {KV_SV(KV_ANN_FILEPATH), KV_SV("w/1.bin")},
        {KV_SV("org.cncf.model.file.metadata+json"), KV_SV("{\"name\":\"1.bin\",\"mode\":384}")},
        {KV_SV(KV_ANN_FILEPATH), KV_SV("w/2.bin")},
    };
    kv_descriptor layers[] = {memkit_add(&k, RAW, KV_SV("hello")), memkit_add(&k, RAW, KV_SV(""))};
    layers[0].annotations = (kv_annotations){a, 2};
    layers[1].annotations = (kv_annotations){a + 2, 1};
    kv_descriptor c = memkit_add(&k, KV_MT_MODELPACK_CONFIG, KV_SV("{}"));
    memkit_seal(&k, KV_MT_MODELPACK_MANIFEST, &c, layers, 2, NO_ANNOTATIONS);
    kv_auto_buf got = KV_BUF(10000), rest = KV_BUF(10000), text = KV_BUF(10000);
    assert_int_equal(list(&k, NULL, &got, NULL), KV_OK);
    assert_string_equal(got.p, "file w/1.bin 600 5 0 2cf2;file w/2.bin 644 0 1 e3b0;");
    const bool skip[] = {true, false};
    assert_int_equal(list(&k, skip, &rest, NULL), KV_OK);
    assert_string_equal(rest.p, "file w/2.bin 644 0 1 e3b0;");
    assert_int_equal(cat(&k, "w/1.bin", &text, NULL), KV_OK);
    assert_string_equal(text.p, "hello");
}

/* GNU's sparse format 1.0: a pax header, the map in front of the content, holes left out. */
static void sparse_files(void **state)
{
    (void)state;
    kv_auto_buf tar = KV_BUF(1u << 20), got = KV_BUF(10000), text = KV_BUF(20000);
    kv_auto_buf content = KV_BUF(10000), want = KV_BUF(20000);
    char zeros[8192] = {0};
    tar_add(&tar, "pax", 'x', 0644,
            KV_SV("22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n"
                  "23 GNU.sparse.name=m/s\n29 GNU.sparse.realsize=10000\n"));
    kv_buf_adds(&content, "1\n4096\n3\n");
    kv_buf_add(&content, (kv_sv){zeros, 512 - content.n});
    kv_buf_adds(&content, "abc");
    tar_add(&tar, "GNUSparseFile.0/s", '0', 0644, kv_buf_sv(&content));
    tar_add(&tar, "m/t", '0', 0644, KV_SV("behind"));
    tar_end(&tar);
    kv_buf_add(&want, (kv_sv){zeros, 4096});
    kv_buf_adds(&want, "abc");
    kv_buf_add(&want, (kv_sv){zeros, 10000 - 4099});
    auto_memkit k = {0};
    model_kit(&k, MODEL_TAR, kv_buf_sv(&tar), "m", true);
    kv_error err = {0};
    if (list(&k, NULL, &got, &err) != KV_OK) fail_msg("%s", err.msg);
    kv_digest d = kv_digest_of(KV_SHA256, kv_buf_sv(&want));
    kv_auto_buf line = KV_BUF(1000);
    kv_buf_addf(&line, "file m/s 644 10000 0 %.4s;file m/t 644 6 0 ", kv_digest_str(&d).s + 7);
    assert_true(kv_sv_starts(kv_buf_sv(&got), kv_buf_sv(&line)));
    assert_int_equal(cat(&k, "m/s", &text, NULL), KV_OK);
    assert_true(kv_sv_eq(kv_buf_sv(&text), kv_buf_sv(&want)));
}

/* --- by ranges --- */

typedef struct ranged { /* a memkit whose source can start in the middle, and counts */
    memkit kit;
    size_t opens, bytes;
} ranged;

typedef struct counted {
    kv_kit_stream inner;
    ranged *r;
} counted;

static kv_code counted_read(void *ctx, void *dst, size_t n, size_t *out_n, kv_error *err)
{
    counted *c = ctx;
    KV_TRY(c->inner.read(c->inner.ctx, dst, n, out_n, err));
    c->r->bytes += *out_n;
    return KV_OK;
}

static void counted_close(void *ctx)
{
    counted *c = ctx;
    c->inner.close(c->inner.ctx);
    free(c);
}

static kv_code open_at(void *ctx, const kv_reference *ref, const kv_descriptor *d, uint64_t offset,
                       kv_kit_stream *out, kv_error *err)
{
    ranged *r = ctx;
    counted *c = calloc(1, sizeof(*c));
    assert_non_null(c);
    c->r = r;
    assert_int_equal(memkit_open(&r->kit, ref, d, &c->inner, err), KV_OK);
    ((memstream *)c->inner.ctx)->at = offset;
    r->opens++;
    *out = (kv_kit_stream){.read = counted_read, .close = counted_close, .ctx = c};
    return KV_OK;
}

static void large_files_are_not_read(void **state)
{
    (void)state;
    enum { N = 4 << 20 };
    kv_auto_buf tar = KV_BUF(16u << 20);
    kv_auto_str large = malloc(N);
    assert_non_null(large);
    memset(large, 'x', N);
    tar_add(&tar, "m/a", '0', 0644, KV_SV("before"));
    tar_add(&tar, "m/large", '0', 0644, (kv_sv){large, N});
    tar_add(&tar, "m/z", '0', 0644, KV_SV("behind"));
    tar_end(&tar);
    static const struct {
        const char *path;
        bool verify, damaged;
        kv_code code;
        size_t opens, bytes_max;
    } CASES[] = {
        {"m/a", false, false, KV_OK, 1, 1 << 20},
        {"m/z", false, false, KV_OK, 2, 1 << 20}, /* a second request, behind the large one */
        {"m/z", false, true, KV_OK, 2, 1 << 20},  /* nobody can tell */
        {"m/z", true, false, KV_OK, 0, 0},
        {"m/z", true, true, KV_E_DIGEST, 0, 0},
    };
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        ranged r = {0};
        kv_error err = {0};
        kv_auto_buf text = KV_BUF(10000);
        model_kit(&r.kit, MODEL_TAR, kv_buf_sv(&tar), "m", true);
        if (CASES[i].damaged) {
            for (memblob *b = r.kit.blobs; b; b = b->next)
                if (b->n == tar.n) b->p[100000] ^= 1;
        }
        /* All get the same context, whose first member is the memkit. */
        kv_kit_source src = {
            .manifest = memkit_manifest, .open = memkit_open, .open_at = open_at, .ctx = &r};
        kv_code code = cat_from(&src, r.kit.m, CASES[i].path, CASES[i].verify, &text, &err);
        if (code != CASES[i].code || r.opens != CASES[i].opens || r.bytes > CASES[i].bytes_max)
            fail_msg("%zu: code %d '%s', %zu requests, %zu bytes", i, (int)code, err.msg, r.opens,
                     r.bytes);
        assert_string_equal(text.p, CASES[i].path[2] == 'a' ? "before" : "behind");
        memkit_clear(&r.kit);
    }
}

/* --- what cannot be read --- */

static void failures(void **state)
{
    (void)state;
    kv_auto_buf tar = KV_BUF(1u << 20);
    tar_add(&tar, "m", '0', 0644, KV_SV("hello"));
    tar_end(&tar);
    static const struct {
        const char *name;
        size_t cut, flip, fail_after;
        bool missing;
        kv_code code;
        const char *text;
    } CASES[] = {
        {"damaged content", 0, 513, 0, false, KV_E_DIGEST, "another digest"},
        {"damaged header", 0, 0, 0, false, KV_E_CORRUPT, "cannot read archive"},
        {"shorter", 700, SIZE_MAX, 0, false, KV_E_CORRUPT, "cannot read archive"},
        {"line is cut", 0, SIZE_MAX, 600, false, KV_E_NETWORK, "line is dead"},
        {"missing", 0, SIZE_MAX, 0, true, KV_E_CORRUPT, "is missing"},
    };
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        auto_memkit k = {0};
        kv_auto_buf got = KV_BUF(10000);
        kv_error err = {0};
        model_kit(&k, MODEL_TAR, kv_buf_sv(&tar), "m", true);
        for (memblob *b = k.blobs; b; b = b->next) {
            if (b->n != tar.n) continue;
            if (CASES[i].flip != SIZE_MAX) b->p[CASES[i].flip] ^= 1;
            if (CASES[i].cut) b->n = CASES[i].cut;
            if (CASES[i].missing) b->digest.alg = KV_SHA512;
        }
        k.fail_after = CASES[i].fail_after;
        kv_code code = list(&k, NULL, &got, &err);
        if (code != CASES[i].code || !strstr(err.msg, CASES[i].text))
            fail_msg("%s: code %d '%s'", CASES[i].name, (int)code, err.msg);
    }
}

KV_TEST_MAIN(cmocka_unit_test(forms), cmocka_unit_test(old_layers), cmocka_unit_test(raw_layers),
             cmocka_unit_test(sparse_files), cmocka_unit_test(large_files_are_not_read),
             cmocka_unit_test(failures))

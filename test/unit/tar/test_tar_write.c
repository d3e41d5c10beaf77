#include "tar/tar_write.h"

#include <string.h>

#include "base/str.h"
#include "codec/hasher.h"
#include "test/test.h"

/* A field of a header block, to its first NUL. */
static kv_sv field(const char *block, size_t at, size_t n)
{
    return (kv_sv){block + at, strnlen(block + at, n)};
}

static kv_sv repeated(kv_arena *a, char c, size_t n)
{
    char *p = kv_arena_alloc(a, n, 1);
    assert_non_null(p);
    memset(p, c, n);
    return (kv_sv){p, n};
}

static kv_sv joined(kv_arena *a, kv_sv x, kv_sv y)
{
    char *p = kv_arena_alloc(a, x.n + 1 + y.n, 1);
    assert_non_null(p);
    memcpy(p, x.p, x.n);
    p[x.n] = '/';
    memcpy(p + x.n + 1, y.p, y.n);
    return (kv_sv){p, x.n + 1 + y.n};
}

static void names_and_sizes(void **state)
{
    kv_auto(kv_arena) a = kv_arena_new(1u << 20);
    assert_non_null(a);
    kv_sv a98 = repeated(a, 'a', 98), b101 = repeated(a, 'b', 101), d155 = repeated(a, 'd', 155);
    const struct {
        const char *name;
        kv_sv path;
        uint64_t size;
        size_t blocks; /* 1: USTAR, 3: PAX */
        kv_sv want_name, want_prefix;
        const char *want_records;
    } CASES[] = {
        {"short", KV_SV("m/x"), 5, 1, KV_SV("m/x"), KV_SV(""), NULL},
        {"exactly 100 bytes", joined(a, KV_SV("m"), a98), 5, 1, joined(a, KV_SV("m"), a98),
         KV_SV(""), NULL},
        {"101 bytes, cut at a slash", joined(a, joined(a, KV_SV("m"), KV_SV("n")), a98), 5, 1, a98,
         KV_SV("m/n"), NULL},
        {"longest prefix", joined(a, d155, a98), 5, 1, a98, d155, NULL},
        {"largest USTAR size", KV_SV("big"), 8589934591u, 1, KV_SV("big"), KV_SV(""), NULL},
        {"base over 100 bytes", joined(a, KV_SV("m"), b101), 5, 3,
         kv_sv_sub(joined(a, KV_SV("m"), b101), 0, 100), KV_SV(""), NULL},
        {"not ASCII", KV_SV("mod\303\250le/x"), 5, 3, KV_SV("modle/x"), KV_SV(""),
         "18 path=mod\303\250le/x\n"},
        {"over 8 GiB", KV_SV("big"), 8589934592u, 3, KV_SV("big"), KV_SV(""),
         "19 size=8589934592\n"},
        {"both", KV_SV("\377"), 8589934592u, 3, KV_SV(""), KV_SV(""),
         "9 path=\377\n19 size=8589934592\n"},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto_buf out = KV_BUF(1u << 20);
        kv_tar_member m = {.path = CASES[i].path, .mode = 0644, .size = CASES[i].size};
        kv_tar_header(&m, &out);
        const char *why = NULL;
        if (out.failed || out.n != CASES[i].blocks * 512) {
            fail_msg("%s: %zu bytes", CASES[i].name, out.n);
            return;
        }
        const char *h = out.p + out.n - 512;
        if (!kv_sv_eq(field(h, 0, 100), CASES[i].want_name)) why = "name";
        if (!kv_sv_eq(field(h, 345, 155), CASES[i].want_prefix)) why = "prefix";
        if (h[156] != '0') why = "type";
        if (CASES[i].blocks == 3 && out.p[156] != 'x') why = "type of the extension";
        if (CASES[i].want_records && strcmp(out.p + 512, CASES[i].want_records)) why = "records";
        if (why) fail_msg("%s: wrong %s", CASES[i].name, why);
    }
}

/* A record's length field counts itself: 99 bytes without it would become 101, 102... */
static void record_lengths(void **state)
{
    (void)state;
    for (size_t n = 1; n < 1000; n++) {
        char path[1024];
        memset(path, 'p', n);
        path[0] = (char)0xff;
        kv_auto_buf out = KV_BUF(1u << 20);
        kv_tar_member m = {.path = {path, n}, .mode = 0644};
        kv_tar_header(&m, &out);
        assert_int_equal(out.failed, 0);
        kv_sv rest, head;
        rest = kv_sv_cut((kv_sv){out.p + 512, out.n - 512}, ' ', &head, NULL);
        uint64_t len;
        assert_true(kv_sv_to_u64(head, &len));
        assert_int_equal(len, head.n + 1 + 5 + n + 1);
        assert_int_equal(rest.p[5 + n], '\n');
    }
}

/* The archive of kit-compat 2.2 with its digest: two headers, six bytes, the end. */
static void golden_archive(void **state)
{
    (void)state;
    kv_auto_buf out = KV_BUF(1u << 20);
    kv_tar_header(&(kv_tar_member){.path = KV_SV("model"), .dir = true, .mode = 0755}, &out);
    kv_tar_header(&(kv_tar_member){.path = KV_SV("model/weights.bin"), .mode = 0100644, .size = 6},
                  &out);
    kv_buf_adds(&out, "hello\n");
    char zeros[512 + KV_TAR_END_BYTES] = {0};
    kv_buf_add(&out, (kv_sv){zeros, kv_tar_padding(6) + KV_TAR_END_BYTES});
    assert_int_equal(out.n, 2560);
    kv_digest d = kv_digest_of(KV_SHA256, kv_buf_sv(&out));
    assert_string_equal(kv_digest_str(&d).s,
                        "sha256:1c18a3e8224688b90417b043728d5d82a39c78566fd63bfbe537a1b3611eaf3b");
}

static void padding(void **state)
{
    (void)state;
    assert_int_equal(kv_tar_padding(0), 0);
    assert_int_equal(kv_tar_padding(1), 511);
    assert_int_equal(kv_tar_padding(512), 0);
    assert_int_equal(kv_tar_padding(UINT64_MAX), 1);
}

KV_TEST_MAIN(cmocka_unit_test(names_and_sizes), cmocka_unit_test(record_lengths),
             cmocka_unit_test(golden_archive), cmocka_unit_test(padding))

#include "tar/tar_places.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tar/tar_write.h"
#include "test/test.h"

typedef struct listing {
    kv_sv archive;
    kv_buf *out;
} listing;

static kv_code read_at(void *ctx, void *dst, size_t n, uint64_t off, kv_error *err)
{
    const listing *l = ctx;
    assert_true(off <= l->archive.n && n <= l->archive.n - off);
    if (!n) return kv_fail(err, KV_E_IO, "an empty read");
    memcpy(dst, l->archive.p + off, n);
    return KV_OK;
}

static kv_code add_place(void *ctx, const kv_tar_place *p, kv_error *err)
{
    (void)err;
    const listing *l = ctx;
    assert_true(p->offset + p->size <= l->archive.n);
    kv_buf_addf(l->out, "%.*s=%.*s;", KV_ARG(p->path),
                KV_ARG(((kv_sv){l->archive.p + p->offset, (size_t)p->size})));
    return KV_OK;
}

/* "PATH=CONTENT;" of every file, or the error. */
static kv_code list(kv_sv archive, kv_buf *out)
{
    listing l = {archive, out};
    kv_error err = {0};
    kv_code rc = kv_tar_places(archive.n, read_at, &l, add_place, &l, &err);
    if (rc != KV_OK) kv_buf_addf(out, "%s", err.msg);
    return rc;
}

static void fix_sum(char *h)
{
    unsigned sum = 8 * ' ';
    for (int i = 0; i < 512; i++) sum += i >= 148 && i < 156 ? 0 : (uint8_t)h[i];
    snprintf(h + 148, 8, "%06o", sum);
    h[155] = ' ';
}

/* An entry; size NULL: that of the content. */
static void add(kv_buf *out, const char *name, char type, const char *content, const char *size)
{
    char h[512] = {0}, digits[24];
    size_t n = strlen(content);
    snprintf(h, 100, "%s", name);
    snprintf(digits, sizeof(digits), "%011zo", n);
    memcpy(h + 124, digits, 11);
    if (size) memcpy(h + 124, size, 12);
    h[156] = type;
    memcpy(h + 257,
           "ustar\0"
           "00",
           8);
    fix_sum(h);
    kv_buf_add(out, (kv_sv){h, sizeof(h)});
    kv_buf_adds(out, content);
    char zeros[512] = {0};
    kv_buf_add(out, (kv_sv){zeros, kv_tar_padding(n)});
}

static void check(const char *what, kv_buf *archive, kv_code code, const char *want)
{
    kv_auto_buf got = KV_BUF(65536);
    kv_code rc = list(kv_buf_sv(archive), &got);
    if (rc != code || !strstr(got.p ? got.p : "", want) ||
        (rc == KV_OK && strcmp(got.p ? got.p : "", want) != 0))
        fail_msg("%s: code %d, '%s'", what, (int)rc, got.p ? got.p : "");
    kv_buf_clear(archive);
}

static void lists_files(void **state)
{
    (void)state;
    kv_auto_buf a = KV_BUF(1 << 20);
    char zeros[1024] = {0};
    check("nothing", &a, KV_OK, "");
    add(&a, "./a", '0', "alpha", NULL);
    add(&a, "dir/", '5', "", NULL);
    add(&a, "link", '2', "", NULL);
    add(&a, "old", '\0', "", NULL);
    kv_buf_add(&a, (kv_sv){zeros, sizeof(zeros)});
    kv_buf_adds(&a, "what follows the end is not looked at");
    check("files, links, end", &a, KV_OK, "a=alpha;old=;");

    add(&a, "g", 'g', "11 path=no\n", NULL);
    add(&a, "x", 'x', "15 path=longer\n", NULL);
    add(&a, "short", '0', "s", NULL);
    add(&a, "plain", '0', "p", NULL);
    check("pax names one entry", &a, KV_OK, "longer=s;plain=p;");

    add(&a, "x", 'x', "9 size=2\n", NULL);
    add(&a, "f", '0', "two", "00000000000\0");
    check("pax size wins", &a, KV_OK, "f=tw;");

    add(&a, "././@LongLink", 'L', "gnu/long", NULL);
    add(&a, "gnu/lo", '0', "g", NULL);
    check("a GNU name", &a, KV_OK, "gnu/long=g;");

    add(&a, "big", '0', "abc", "\x80\0\0\0\0\0\0\0\0\0\0\3");
    check("a GNU size", &a, KV_OK, "big=abc;");

    add(&a, "link", '1', "", "00000000005\0");
    add(&a, "after", '0', "a", NULL);
    check("a link has no content", &a, KV_OK, "after=a;");

    kv_tar_header(&(kv_tar_member){.path = KV_SV("ours"), .mode = 0644, .size = 512}, &a);
    kv_buf_add(&a, (kv_sv){zeros, 512});
    kv_auto_buf got = KV_BUF(65536);
    assert_int_equal(list(kv_buf_sv(&a), &got), KV_OK);
    assert_string_equal(got.p, "ours=;"); /* zeros print as nothing */
}

static void refuses(void **state)
{
    (void)state;
    kv_auto_buf a = KV_BUF(1 << 20);
    kv_buf_adds(&a, "too short");
    check("less than a header", &a, KV_E_CORRUPT, "less than a header at byte 0");

    add(&a, "a", '0', "alpha", NULL);
    a.p[3] = 'x';
    check("a wrong sum", &a, KV_E_CORRUPT, "no tar header at byte 0");

    add(&a, "a", '0', "alpha", NULL);
    kv_buf_truncate(&a, 514);
    check("a cut file", &a, KV_E_CORRUPT, "behind the end at byte 0");

    add(&a, "a", '0', "a", "0000000000x\0");
    check("a size that is none", &a, KV_E_CORRUPT, "a broken size");
    add(&a, "a", '0', "a", "\x80\1\0\0\0\0\0\0\0\0\0\0");
    check("a size beyond 64 bits", &a, KV_E_CORRUPT, "a broken size");
    add(&a, "a", '0', "a", "\x80\0\0\0\377\377\377\377\377\377\377\377");
    check("a size that wraps", &a, KV_E_CORRUPT, "behind the end");

    static const char *const RECORDS[] = {"x",        "5 a=b\n", "6 a=b.", "9 path=\n",
                                          "99 a=b\n", " a=b\n",  "6 abc\n"};
    for (size_t i = 0; i < KV_COUNT(RECORDS); i++) {
        add(&a, "x", 'x', RECORDS[i], NULL);
        check(RECORDS[i], &a, KV_E_CORRUPT, "a broken pax header");
    }
    add(&a, "x", 'x', "9 size=x\n", NULL);
    check("a pax size that is none", &a, KV_E_CORRUPT, "a broken size");
    add(&a, "x", 'x', "22 GNU.sparse.major=1\n", NULL);
    check("pax sparse", &a, KV_E_UNSUPPORTED, "a sparse file");
    add(&a, "x", 'S', "", NULL);
    check("GNU sparse", &a, KV_E_UNSUPPORTED, "a sparse file");

    char *long_text = malloc(70000);
    assert_non_null(long_text);
    memset(long_text, 'a', 69999);
    long_text[69999] = '\0';
    add(&a, "x", 'L', long_text, NULL);
    check("a name without end", &a, KV_E_CORRUPT, "too long");
    long_text[5000] = '\0';
    add(&a, "x", 'L', long_text, NULL);
    check("a long name", &a, KV_E_LIMIT, "");
    free(long_text);
}

KV_TEST_MAIN(cmocka_unit_test(lists_files), cmocka_unit_test(refuses))

/* Uploads into a layout: what broke off goes on, what is damaged starts over, nothing wrong is kept. */
#include "codec/hasher.h"
#include "remote/oci_layout.h"
#include "test/tmpdir.h"

enum { SIZE = 5 << 20 };

typedef struct feed {
    char *bytes;
    uint64_t break_at; /* no byte from there on; 0: never */
    uint64_t first;    /* the first offset that was asked for; UINT64_MAX: none yet */
} feed;

static kv_code read_feed(void *ctx, uint64_t off, void *dst, size_t n, size_t *out_n, kv_error *err)
{
    feed *f = ctx;
    if (f->first == UINT64_MAX) f->first = off;
    if (f->break_at && off >= f->break_at) return kv_fail(err, KV_E_NETWORK, "line is dead");
    memcpy(dst, f->bytes + off, n);
    *out_n = n;
    return KV_OK;
}

static char *make_bytes(kv_digest *out)
{
    char *p = malloc(SIZE);
    assert_non_null(p);
    for (size_t i = 0; i < SIZE; i++) p[i] = (char)(i * 7 % 251);
    *out = kv_digest_of(KV_SHA256, (kv_sv){p, SIZE});
    return p;
}

static kv_code put(const char *dir, feed *f, const kv_digest *d)
{
    kv_layout *l = NULL;
    assert_int_equal(kv_layout_open_dir(dir, true, NULL, &l, NULL), KV_OK);
    f->first = UINT64_MAX;
    kv_http_source source = {.read = read_feed, .ctx = f, .size = SIZE};
    kv_code rc = l->ops->put_blob(l, d, &source, NULL);
    kv_auto(kv_blob_reader) r = NULL;
    assert_int_equal(l->ops->open(l, d, &r, NULL), rc == KV_OK ? KV_OK : KV_E_NOTFOUND);
    l->ops->free(l);
    return rc;
}

static void goes_on(void **state)
{
    const char *dir = tmpdir_path(*state, "lay");
    kv_digest d;
    kv_auto_str bytes = make_bytes(&d);
    feed f = {.bytes = bytes, .break_at = 3 << 20};
    assert_int_equal(put(dir, &f, &d), KV_E_NETWORK);
    assert_true(f.first == 0);
    f.break_at = 4 << 20;
    assert_int_equal(put(dir, &f, &d), KV_E_NETWORK);
    assert_true(f.first == 3 << 20);
    f.break_at = 0;
    assert_int_equal(put(dir, &f, &d), KV_OK);
    assert_true(f.first == 4 << 20);
}

static void starts_over_when_it_was_damaged(void **state)
{
    const char *dir = tmpdir_path(*state, "lay");
    kv_digest d;
    kv_auto_str bytes = make_bytes(&d);
    feed f = {.bytes = bytes, .break_at = 3 << 20};
    bytes[100] ^= 1; /* the first try gets wrong bytes */
    assert_int_equal(put(dir, &f, &d), KV_E_NETWORK);
    bytes[100] ^= 1;
    f.break_at = 0;
    assert_int_equal(put(dir, &f, &d), KV_OK);
}

static void refuses_wrong_bytes(void **state)
{
    const char *dir = tmpdir_path(*state, "lay");
    kv_digest d;
    kv_auto_str bytes = make_bytes(&d);
    feed f = {.bytes = bytes};
    bytes[100] ^= 1;
    assert_int_equal(put(dir, &f, &d), KV_E_DIGEST);
    bytes[100] ^= 1;
    assert_int_equal(put(dir, &f, &d), KV_OK);
    assert_true(f.first == 0);
}

/* A second process at the same time works under a name of its own. */
static void shares_the_directory(void **state)
{
    const char *dir = tmpdir_path(*state, "lay");
    kv_digest d;
    kv_auto_str bytes = make_bytes(&d);
    kv_layout *first = NULL;
    assert_int_equal(kv_layout_open_dir(dir, true, NULL, &first, NULL), KV_OK);
    feed f = {.bytes = bytes, .break_at = 3 << 20};
    assert_int_equal(put(dir, &f, &d), KV_E_NETWORK);
    f.break_at = 0;
    assert_int_equal(put(dir, &f, &d), KV_OK);
    assert_true(f.first == 0);
    first->ops->free(first);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, tmpdir_setup, tmpdir_teardown)
KV_TEST_MAIN(TEST(goes_on), TEST(starts_over_when_it_was_damaged), TEST(refuses_wrong_bytes),
             TEST(shares_the_directory))

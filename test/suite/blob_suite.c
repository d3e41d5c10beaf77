/* One suite for every blob backend: a backend is right when it passes. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "blob/blob.h"
#include "test/test.h"

typedef struct maker {
    const char *name;
    kv_blobs *(*open)(const char *dir);
} maker;

static kv_blobs *open_mem(const char *dir)
{
    (void)dir;
    return kv_blobs_new_mem();
}

static kv_blobs *open_fs(const char *dir)
{
    kv_blobs *b = NULL;
    assert_int_equal(kv_blobs_open_fs(dir, &b, NULL), KV_OK);
    return b;
}

static kv_blobs *open_fault(const char *dir)
{
    (void)dir;
    return kv_blobs_new_fault(kv_blobs_new_mem(), "none", 0, KV_E_IO);
}

/* clang-format off */
static const maker MAKERS[] = {
    {"mem", open_mem},
    {"file", open_fs},
    {"fault", open_fault},
};
/* clang-format on */

/* Runs fn with a fresh backend of each kind. */
static void with_each(void (*fn)(kv_blobs *b, const char *name))
{
    for (size_t i = 0; i < KV_COUNT(MAKERS); i++) {
        char dir[] = "/tmp/kv-blob-XXXXXX";
        assert_non_null(mkdtemp(dir));
        kv_blobs *b = MAKERS[i].open(dir);
        assert_non_null(b);
        fn(b, MAKERS[i].name);
        kv_blobs_free(b);
        assert_int_equal(kv_remove_tree(dir, NULL), KV_OK);
    }
}

static kv_blob_writer *begin(kv_blobs *b, const char *id, kv_digest_alg alg)
{
    kv_blob_writer *w = NULL;
    kv_error err = {0};
    if (kv_blob_begin(b, id, alg, &w, &err) != KV_OK) fail_msg("begin: %s", err.msg);
    return w;
}

static kv_code count(void *ctx, const kv_digest *d, uint64_t size, kv_error *err)
{
    (void)d;
    (void)err;
    ((uint64_t *)ctx)[0]++;
    ((uint64_t *)ctx)[1] += size;
    return KV_OK;
}

static void round_trip(kv_blobs *b, const char *name)
{
    static const kv_sv CONTENTS[] = {KV_SV_INIT(""), KV_SV_INIT("a"), KV_SV_INIT("hello\0world")};
    for (size_t i = 0; i < KV_COUNT(CONTENTS); i++) {
        for (int alg = KV_SHA256; alg <= KV_SHA512; alg++) {
            kv_digest d = kv_digest_of((kv_digest_alg)alg, CONTENTS[i]);
            kv_error err = {0};
            uint64_t size = 99;
            assert_int_equal(kv_blobs_stat(b, &d, &size, NULL), KV_E_NOTFOUND);
            for (int twice = 0; twice < 2; twice++)
                if (kv_blobs_put(b, &d, CONTENTS[i], &err) != KV_OK)
                    fail_msg("%s: put %zu: %s", name, i, err.msg);
            assert_int_equal(kv_blobs_stat(b, &d, &size, NULL), KV_OK);
            assert_int_equal(size, CONTENTS[i].n);
            kv_auto_buf out = KV_BUF(100);
            assert_int_equal(kv_blobs_get(b, &d, &out, NULL), KV_OK);
            assert_true(kv_sv_eq(kv_buf_sv(&out), CONTENTS[i]));
        }
    }
    uint64_t sum[2] = {0};
    assert_int_equal(kv_blobs_each(b, count, sum, NULL), KV_OK);
    assert_int_equal(sum[0], 6);
    assert_int_equal(sum[1], 2 * (0 + 1 + 11));
}

static void ranges(kv_blobs *b, const char *name)
{
    (void)name;
    kv_digest d = kv_digest_of(KV_SHA256, KV_SV("0123456789"));
    assert_int_equal(kv_blobs_put(b, &d, KV_SV("0123456789"), NULL), KV_OK);
    kv_auto(kv_blob_reader) r = NULL;
    assert_int_equal(kv_blobs_open(b, &d, &r, NULL), KV_OK);
    char got[11] = {0};
    assert_int_equal(kv_blob_read(r, 3, got, 4, NULL), KV_OK);
    assert_string_equal(got, "3456");
    assert_int_equal(kv_blob_read(r, 10, got, 0, NULL), KV_OK);
    assert_int_equal(kv_blob_read(r, 8, got, 3, NULL), KV_E_RANGE);
    assert_int_equal(kv_blob_read(r, UINT64_MAX, got, 2, NULL), KV_E_RANGE);
    kv_auto_buf small = KV_BUF(9);
    assert_int_equal(kv_blobs_get(b, &d, &small, NULL), KV_E_LIMIT);
    /* A reader outlives the drop of its blob. */
    assert_int_equal(kv_blobs_drop(b, &d, NULL), KV_OK);
    assert_int_equal(kv_blob_read(r, 0, got, 10, NULL), KV_OK);
    assert_string_equal(got, "0123456789");
    assert_int_equal(kv_blobs_drop(b, &d, NULL), KV_E_NOTFOUND);
}

static void wrong_digest_keeps_nothing(kv_blobs *b, const char *name)
{
    (void)name;
    kv_digest other = kv_digest_of(KV_SHA256, KV_SV("other"));
    kv_blob_writer *w = begin(b, "u1", KV_SHA256);
    assert_int_equal(kv_blob_append(w, "bytes", 5, NULL), KV_OK);
    kv_error err = {0};
    assert_int_equal(kv_blob_commit(w, &other, NULL, &err), KV_E_DIGEST);
    assert_non_null(strstr(err.msg, kv_digest_str(&other).s));
    uint64_t sum[2] = {0};
    assert_int_equal(kv_blobs_each(b, count, sum, NULL), KV_OK);
    assert_int_equal(sum[0], 0);
    /* The id is free again. */
    kv_blob_abort(begin(b, "u1", KV_SHA256));
}

/* The digest on another thread is the same digest, saved, resumed and committed. */
static void hashes_aside(kv_blobs *b, const char *name)
{
    (void)name;
    enum { PIECE = 100000, N = 10 };
    char *piece = malloc(PIECE);
    assert_non_null(piece);
    kv_hasher h;
    kv_digest d;
    kv_hasher_init(&h, KV_SHA256);
    kv_auto_buf state = KV_BUF(KV_BLOB_STATE_MAX);
    kv_blob_writer *w = begin(b, "aside", KV_SHA256);
    for (int i = 0; i < N; i++) {
        memset(piece, 'a' + i, PIECE);
        kv_hasher_add(&h, piece, PIECE);
        if (i == 2 || i == 6) kv_blob_hash_aside(w);
        assert_int_equal(kv_blob_append(w, piece, PIECE, NULL), KV_OK);
        if (i != 4) continue;
        assert_int_equal(kv_blob_save(w, &state, NULL), KV_OK);
        assert_int_equal(kv_blob_resume(b, "aside", kv_buf_sv(&state), &w, NULL), KV_OK);
    }
    kv_hasher_end(&h, &d);
    assert_int_equal(kv_blob_commit(w, &d, NULL, NULL), KV_OK);
    w = begin(b, "aside2", KV_SHA256);
    kv_blob_hash_aside(w);
    assert_int_equal(kv_blob_append(w, piece, PIECE, NULL), KV_OK);
    kv_blob_abort(w);
    free(piece);
}

/* A hint changes nothing of what is stored, right or wrong. */
static void expects(kv_blobs *b, const char *name)
{
    (void)name;
    static const uint64_t HINTS[] = {0, 1, 6, 100000};
    for (size_t i = 0; i < KV_COUNT(HINTS); i++) {
        char id[16];
        snprintf(id, sizeof(id), "hint%zu", i);
        kv_digest d = kv_digest_of(KV_SHA256, KV_SV("abcdef"));
        kv_auto_buf state = KV_BUF(KV_BLOB_STATE_MAX);
        kv_blob_writer *w = begin(b, id, KV_SHA256);
        assert_int_equal(kv_blob_expect(w, HINTS[i], NULL), KV_OK);
        assert_int_equal(kv_blob_append(w, "abc", 3, NULL), KV_OK);
        assert_int_equal(kv_blob_save(w, &state, NULL), KV_OK);
        assert_int_equal(kv_blob_resume(b, id, kv_buf_sv(&state), &w, NULL), KV_OK);
        assert_int_equal(kv_blob_expect(w, HINTS[i], NULL), KV_OK);
        assert_int_equal(kv_blob_append(w, "def", 3, NULL), KV_OK);
        assert_int_equal(kv_blob_commit(w, &d, NULL, NULL), KV_OK);
        uint64_t size = 0;
        assert_int_equal(kv_blobs_stat(b, &d, &size, NULL), KV_OK);
        assert_int_equal(size, 6);
    }
    kv_blob_writer *w = begin(b, "toomuch", KV_SHA256);
    assert_int_equal(kv_blob_expect(w, UINT64_MAX, NULL), KV_E_LIMIT);
    kv_blob_abort(w);
}

static void other_algorithm(kv_blobs *b, const char *name)
{
    (void)name;
    kv_digest d = kv_digest_of(KV_SHA512, KV_SV("abcdef")), got;
    kv_blob_writer *w = begin(b, "u2", KV_SHA256);
    assert_int_equal(kv_blob_append(w, "abc", 3, NULL), KV_OK);
    assert_int_equal(kv_blob_append(w, "def", 3, NULL), KV_OK);
    assert_int_equal(kv_blob_offset(w), 6);
    assert_int_equal(kv_blob_commit(w, &d, &got, NULL), KV_OK);
    assert_true(kv_digest_eq(&d, &got));
}

static void resumes(kv_blobs *b, const char *name)
{
    (void)name;
    kv_auto_buf state = KV_BUF(KV_BLOB_STATE_MAX);
    kv_blob_writer *w = begin(b, "u3", KV_SHA256), *again = NULL;
    assert_int_equal(kv_blob_append(w, "hel", 3, NULL), KV_OK);
    assert_int_equal(kv_blob_save(w, &state, NULL), KV_OK);

    /* A writer that died behind the saved offset: its bytes are cut off. */
    assert_int_equal(kv_blob_resume(b, "u3", kv_buf_sv(&state), &w, NULL), KV_OK);
    assert_int_equal(kv_blob_append(w, "XXXX", 4, NULL), KV_OK);
    w->ops->release(w, false);

    assert_int_equal(kv_blob_resume(b, "u3", kv_buf_sv(&state), &again, NULL), KV_OK);
    assert_int_equal(kv_blob_offset(again), 3);
    assert_int_equal(kv_blob_append(again, "lo", 2, NULL), KV_OK);
    kv_digest d = kv_digest_of(KV_SHA256, KV_SV("hello"));
    assert_int_equal(kv_blob_commit(again, &d, NULL, NULL), KV_OK);

    /* Committed: the upload is gone. */
    assert_int_equal(kv_blob_resume(b, "u3", kv_buf_sv(&state), &w, NULL), KV_E_NOTFOUND);
}

static void refuses(kv_blobs *b, const char *name)
{
    (void)name;
    static const char *const IDS[] = {"", "../x", "A", "a/b", "a.b"};
    kv_blob_writer *w = NULL;
    for (size_t i = 0; i < KV_COUNT(IDS); i++)
        assert_int_equal(kv_blob_begin(b, IDS[i], KV_SHA256, &w, NULL), KV_E_ARG);
    kv_blob_writer *first = begin(b, "same", KV_SHA256);
    assert_int_equal(kv_blob_begin(b, "same", KV_SHA256, &w, NULL), KV_E_EXISTS);

    static const kv_sv STATES[] = {KV_SV_INIT(""), KV_SV_INIT("KVB1"),
                                   KV_SV_INIT("XXXX12345678\1z"),
                                   KV_SV_INIT("KVB1\0\0\0\0\0\0\0\0\5KVH1\1")};
    for (size_t i = 0; i < KV_COUNT(STATES); i++)
        assert_int_equal(kv_blob_resume(b, "same", STATES[i], &w, NULL), KV_E_CORRUPT);
    kv_blob_abort(first);
    assert_int_equal(kv_blobs_forget(b, "same", NULL), KV_OK); /* already gone: fine */
}

static void resume_past_the_end(kv_blobs *b, const char *name)
{
    (void)name;
    kv_auto_buf state = KV_BUF(KV_BLOB_STATE_MAX);
    kv_blob_writer *w = begin(b, "long", KV_SHA256);
    assert_int_equal(kv_blob_append(w, "0123456789", 10, NULL), KV_OK);
    assert_int_equal(kv_blob_save(w, &state, NULL), KV_OK);
    kv_blob_abort(begin(b, "short", KV_SHA256));
    w = begin(b, "short", KV_SHA256);
    w->ops->release(w, false);
    assert_int_equal(kv_blob_resume(b, "short", kv_buf_sv(&state), &w, NULL), KV_E_CORRUPT);
    assert_int_equal(kv_blobs_forget(b, "long", NULL), KV_OK);
    assert_int_equal(kv_blob_resume(b, "long", kv_buf_sv(&state), &w, NULL), KV_E_NOTFOUND);
}

#define EACH(fn)                                                                                   \
    static void each_##fn(void **state)                                                            \
    {                                                                                              \
        (void)state;                                                                               \
        with_each(fn);                                                                             \
    }
/* clang-format off */
EACH(round_trip) EACH(ranges) EACH(wrong_digest_keeps_nothing) EACH(hashes_aside) EACH(expects) EACH(other_algorithm)
EACH(resumes) EACH(refuses) EACH(resume_past_the_end)
    /* clang-format on */

    /* Whatever fails, nothing becomes visible, and the next try succeeds. */
    static void survives_faults(void **state)
{
    static const char *const OPS[] = {"begin", "append", "sync", "finish", "read", "open"};
    (void)state;
    kv_digest d = kv_digest_of(KV_SHA256, KV_SV("payload"));
    for (size_t i = 0; i < KV_COUNT(OPS); i++) {
        kv_auto(kv_blobs) b = kv_blobs_new_fault(kv_blobs_new_mem(), OPS[i], 1, KV_E_NOSPACE);
        kv_auto_buf out = KV_BUF(100);
        kv_error err = {0};
        kv_code rc = kv_blobs_put(b, &d, KV_SV("payload"), &err);
        if (rc == KV_OK) rc = kv_blobs_get(b, &d, &out, &err);
        bool hit = strcmp(OPS[i], "sync") != 0; /* put does not save */
        assert_int_equal(rc, hit ? KV_E_NOSPACE : KV_OK);
        assert_int_equal(kv_blobs_put(b, &d, KV_SV("payload"), NULL), KV_OK);
        kv_buf_clear(&out);
        assert_int_equal(kv_blobs_get(b, &d, &out, NULL), KV_OK);
    }
}

/* A damaged file is told apart from a missing one, and a new upload repairs it. */
static void file_damage(void **state)
{
    (void)state;
    char dir[] = "/tmp/kv-blob-XXXXXX";
    assert_non_null(mkdtemp(dir));
    {
        kv_auto(kv_blobs) b = open_fs(dir);
        kv_digest d = kv_digest_of(KV_SHA256, KV_SV("payload"));
        assert_int_equal(kv_blobs_put(b, &d, KV_SV("payload"), NULL), KV_OK);
        kv_auto_buf path = KV_BUF(300), out = KV_BUF(100);
        kv_buf_addf(&path, "%s/blobs/sha256/%s", dir, kv_digest_str(&d).s + 7);
        assert_int_equal(kv_file_write(path.p, KV_SV("paYload"), 0600, NULL), KV_OK);
        assert_int_equal(kv_blobs_get(b, &d, &out, NULL), KV_E_DIGEST);
        assert_int_equal(out.n, 0);
        assert_int_equal(kv_blobs_put(b, &d, KV_SV("payload"), NULL), KV_OK);
        assert_int_equal(kv_blobs_get(b, &d, &out, NULL), KV_OK);
    }
    assert_int_equal(kv_remove_tree(dir, NULL), KV_OK);
}

KV_TEST_MAIN(cmocka_unit_test(each_round_trip), cmocka_unit_test(each_ranges),
             cmocka_unit_test(each_wrong_digest_keeps_nothing), cmocka_unit_test(each_hashes_aside),
             cmocka_unit_test(each_expects), cmocka_unit_test(each_other_algorithm),
             cmocka_unit_test(each_resumes), cmocka_unit_test(each_refuses),
             cmocka_unit_test(each_resume_past_the_end), cmocka_unit_test(survives_faults),
             cmocka_unit_test(file_damage))

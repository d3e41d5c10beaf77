#include "base/flusher.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "test/test.h"

static int scratch(void)
{
    char path[] = "/tmp/kv-flush-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    unlink(path);
    return fd;
}

static void many_files_in_any_order(void **state)
{
    (void)state;
    enum { N = 20, ROUNDS = 5 };
    kv_flusher *f = kv_flusher_new();
    kv_flush files[N] = {0};
    for (int i = 0; i < N; i++) files[i].fd = scratch();
    for (int r = 0; r < ROUNDS; r++) {
        for (int i = 0; i < N; i++) {
            assert_int_equal(write(files[i].fd, "x", 1), 1);
            kv_flusher_ask(f, &files[i]);
            kv_flusher_ask(f, &files[i]); /* twice is once */
        }
        for (int i = r; i < N; i += 2) assert_int_equal(kv_flusher_wait(f, &files[i], NULL), KV_OK);
    }
    for (int i = N - 1; i >= 0; i--) {
        assert_int_equal(kv_flusher_wait(f, &files[i], NULL), KV_OK);
        close(files[i].fd);
    }
    kv_flusher_free(f);
}

/* The system reports a failed sync once; it must not be lost between the threads. */
static void a_failure_is_kept(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    kv_flusher *f = kv_flusher_new();
    kv_flush file = {.fd = ends[1]}; /* cannot be synced: EINVAL */
    kv_flusher_ask(f, &file);
    kv_error err = {0};
    for (int i = 0; i < 1000 && kv_flusher_wait(f, &file, &err) == KV_OK; i++) {
        kv_flusher_ask(f, &file); /* a wait may come before the thread: then nothing was tried */
        usleep(1000);
    }
    assert_int_equal(err.code, KV_E_IO);
    assert_int_equal(kv_flusher_wait(f, &file, &err), KV_E_IO);
    kv_flusher_free(f);
    close(ends[0]);
    close(ends[1]);
}

static void nothing_to_do(void **state)
{
    (void)state;
    kv_flusher *f = kv_flusher_new();
    kv_flush file = {.fd = -1};
    assert_int_equal(kv_flusher_wait(f, &file, NULL), KV_OK);
    kv_flusher_free(f);
    kv_flusher_free(NULL);
}

KV_TEST_MAIN(cmocka_unit_test(many_files_in_any_order), cmocka_unit_test(a_failure_is_kept),
             cmocka_unit_test(nothing_to_do))

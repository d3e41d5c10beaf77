#include "base/outfile.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "test/tmpdir.h"

static char byte_at(uint64_t i)
{
    return (char)(i * 2654435761u >> 13);
}

/* n bytes by steps of `step`, half of them through the room. */
static kv_code fill(kv_outfile *o, uint64_t n, size_t step, kv_error *err)
{
    for (uint64_t at = 0, turn = 0; at < n; turn++) {
        size_t room, want = n - at < step ? (size_t)(n - at) : step;
        char *p = kv_outfile_room(o, &room);
        if (turn % 2) {
            kv_auto_str copy = malloc(want);
            for (size_t i = 0; i < want; i++) copy[i] = byte_at(at + i);
            KV_TRY(kv_outfile_add(o, copy, want, err));
        } else {
            if (want > room) want = room;
            for (size_t i = 0; i < want; i++) p[i] = byte_at(at + i);
            KV_TRY(kv_outfile_took(o, want, err));
        }
        at += want;
        assert_int_equal(kv_outfile_size(o), at);
    }
    return KV_OK;
}

static void writes_all_bytes(void **state)
{
    static const struct {
        uint64_t n;
        size_t step;
    } CASES[] = {{0, 1},
                 {1, 1},
                 {4095, 512},
                 {2u << 20, 65536},
                 {2097153, 65536},
                 {9000000, 300007},
                 {16u << 20, 1u << 20}};
    for (size_t c = 0; c < KV_COUNT(CASES); c++) {
        const char *path = tmpdir_path(*state, "f");
        kv_auto_fd fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
        kv_auto(kv_outfile) o = kv_outfile_new(fd, path, true);
        assert_non_null(o);
        assert_int_equal(fill(o, CASES[c].n, CASES[c].step, NULL), KV_OK);
        assert_int_equal(kv_outfile_end(o, NULL), KV_OK);
        kv_auto_buf got = KV_BUF(32u << 20);
        assert_int_equal(kv_file_read(path, &got, NULL), KV_OK);
        assert_int_equal(got.n, CASES[c].n);
        for (size_t i = 0; i < got.n; i++)
            if (got.p[i] != byte_at(i)) fail_msg("%zu: byte %zu", c, i);
    }
}

static void left_in_the_middle(void **state)
{
    const char *path = tmpdir_path(*state, "f");
    kv_auto_fd fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    kv_auto(kv_outfile) o = kv_outfile_new(fd, path, true);
    assert_int_equal(fill(o, 7000000, 100000, NULL), KV_OK);
}

/* The thread's failure comes up in the caller, with its reason, and stays. */
static void full_disk(void **state)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct rlimit limit = {3u << 20, 3u << 20};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        const char *path = tmpdir_path(*state, "f");
        kv_auto_fd fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
        kv_auto(kv_outfile) o = kv_outfile_new(fd, path, true);
        kv_error err = {0};
        if (fill(o, 32u << 20, 100000, &err) != KV_E_LIMIT) _exit(1);
        if (!strstr(err.msg, "cannot write '")) _exit(2);
        if (kv_outfile_end(o, NULL) != KV_E_LIMIT) _exit(3);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

#define ROW(f) cmocka_unit_test_setup_teardown(f, tmpdir_setup, tmpdir_teardown)
KV_TEST_MAIN(ROW(writes_all_bytes), ROW(left_in_the_middle), ROW(full_disk))

#include "base/file.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "test/test.h"

static char *dir;

static int make_dir(void **state)
{
    (void)state;
    char t[] = "/tmp/kv-file-XXXXXX";
    dir = strdup(mkdtemp(t));
    return dir == NULL;
}

static int drop_dir(void **state)
{
    (void)state;
    int rc = kv_remove_tree(dir, NULL) != KV_OK;
    free(dir);
    return rc;
}

static void replaces_whole(void **state)
{
    (void)state;
    kv_auto_str path = kv_path_join(dir, "f");
    for (int i = 0; i < 2; i++) {
        kv_auto_buf got = KV_BUF(100);
        kv_sv text = i ? KV_SV("second") : KV_SV("first one");
        assert_int_equal(kv_file_write(path, text, 0640, NULL), KV_OK);
        assert_int_equal(kv_file_read(path, &got, NULL), KV_OK);
        assert_true(kv_sv_eq(kv_buf_sv(&got), text));
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0640);
    }
    /* The target is a directory: an error, no temporary file stays. */
    kv_auto_str sub = kv_path_join(dir, "sub");
    assert_int_equal(kv_mkdirs(sub, 0755, NULL), KV_OK);
    kv_error err = {0};
    assert_int_not_equal(kv_file_write(sub, KV_SV("x"), 0644, &err), KV_OK);
    assert_non_null(strstr(err.msg, sub));
    assert_int_equal(rmdir(sub), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(mkdir(dir, 0700), 0);
}

static void reads_to_the_limit(void **state)
{
    (void)state;
    kv_auto_str path = kv_path_join(dir, "ten");
    assert_int_equal(kv_file_write(path, KV_SV("0123456789"), 0600, NULL), KV_OK);
    kv_auto_buf exact = KV_BUF(10), less = KV_BUF(9);
    assert_int_equal(kv_file_read(path, &exact, NULL), KV_OK);
    assert_int_equal(exact.n, 10);
    assert_int_equal(kv_file_read(path, &less, NULL), KV_E_LIMIT);
}

static void sweeps_leftovers(void **state)
{
    static const struct {
        const char *name;
        bool stays;
    } FILES[] = {
        {"swept", true},     {"swept.tmp-0123", false}, {"swept.tmp-4567", false},
        {"swept.tmp", true}, {"other.tmp-0123", true},  {"unswept.tmp-0123", true},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(FILES); i++) {
        kv_auto_str path = kv_path_join(dir, FILES[i].name);
        assert_int_equal(kv_file_write(path, KV_SV("x"), 0600, NULL), KV_OK);
    }
    kv_auto_str path = kv_path_join(dir, "swept");
    kv_file_sweep(path);
    for (size_t i = 0; i < KV_COUNT(FILES); i++) {
        kv_auto_str one = kv_path_join(dir, FILES[i].name);
        if ((access(one, F_OK) == 0) != FILES[i].stays) fail_msg("%s", FILES[i].name);
    }
    kv_auto_str nowhere = kv_path_join(dir, "no/such");
    kv_file_sweep(nowhere);
}

static void makes_directories(void **state)
{
    (void)state;
    kv_auto_str deep = kv_path_join(dir, "a/b//c/");
    assert_int_equal(kv_mkdirs(deep, 0755, NULL), KV_OK);
    assert_int_equal(kv_mkdirs(deep, 0755, NULL), KV_OK);
    kv_auto_str file = kv_path_join(dir, "a/file");
    assert_int_equal(kv_file_write(file, KV_SV(""), 0600, NULL), KV_OK);
    assert_int_equal(kv_mkdirs(file, 0755, NULL), KV_E_EXISTS);
    kv_auto_str below = kv_path_join(dir, "a/file/x");
    assert_int_not_equal(kv_mkdirs(below, 0755, NULL), KV_OK);
}

static void locks(void **state)
{
    (void)state;
    kv_auto_str path = kv_path_join(dir, "lock");
    kv_auto_fd one = -1, two = -1;
    assert_int_equal(kv_lock_file(path, true, 0, &one, NULL), KV_OK);
    assert_int_equal(kv_lock_file(path, true, 30, &two, NULL), KV_E_BUSY);
    assert_int_equal(kv_lock_file(path, false, 0, &two, NULL), KV_E_BUSY);
    kv_close_fd(&one);
    assert_int_equal(kv_lock_file(path, false, 0, &one, NULL), KV_OK);
    assert_int_equal(kv_lock_file(path, false, 0, &two, NULL), KV_OK);
}

static void times(void **state)
{
    static const struct {
        const char *text;
        kv_code want;
        int64_t us;
    } CASES[] = {
        {"1970-01-01T00:00:00Z", KV_OK, 0},
        {"2026-11-24T10:34:27.123456Z", KV_OK, 1795516467123456},
        {"2026-11-24T12:34:27.5+02:00", KV_OK, 1795516467500000},
        {"2026-11-24t10:34:27.1234567z", KV_OK, 1795516467123456},
        {"1969-12-31T23:59:59.999999Z", KV_OK, -1},
        {"2026-11-24", KV_E_SYNTAX, 0},
        {"2026-11-24T10:34:27", KV_E_SYNTAX, 0},
        {"2026-13-24T10:34:27Z", KV_E_SYNTAX, 0},
        {"2026-11-24T10:34:27.Z", KV_E_SYNTAX, 0},
        {"2026-11-24T24:34:27Z", KV_E_SYNTAX, 0},
        {"2026-11-24T10:34:27+2:00", KV_E_SYNTAX, 0},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        int64_t us = 0;
        if (kv_time_parse(kv_sv_of(CASES[i].text), &us, NULL) != CASES[i].want ||
            (CASES[i].want == KV_OK && us != CASES[i].us))
            fail_msg("%s: %lld", CASES[i].text, (long long)us);
    }
    char text[KV_TIME_TEXT_MAX];
    kv_time_format(-1, 6, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999999Z");
    kv_time_format(1795516467123456, 0, text);
    assert_string_equal(text, "2026-11-24T10:34:27Z");
}

static void uuids(void **state)
{
    (void)state;
    char a[KV_UUID_MAX], b[KV_UUID_MAX];
    kv_uuid7(a);
    struct timespec pause = {.tv_nsec = 3000000};
    nanosleep(&pause, NULL);
    kv_uuid7(b);
    assert_true(strcmp(a, b) < 0);
    assert_int_equal(a[14], '7');
    kv_uuid4(a);
    assert_int_equal(a[14], '4');
    assert_non_null(strchr("89ab", a[19]));
    assert_int_equal(strlen(a), 36);
}

KV_TEST_MAIN(cmocka_unit_test_setup_teardown(replaces_whole, make_dir, drop_dir),
             cmocka_unit_test_setup_teardown(reads_to_the_limit, make_dir, drop_dir),
             cmocka_unit_test_setup_teardown(sweeps_leftovers, make_dir, drop_dir),
             cmocka_unit_test_setup_teardown(makes_directories, make_dir, drop_dir),
             cmocka_unit_test_setup_teardown(locks, make_dir, drop_dir), cmocka_unit_test(times),
             cmocka_unit_test(uuids))

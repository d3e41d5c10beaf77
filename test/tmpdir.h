#pragma once
/* A directory of its own for a test, and small files in it. Asserts instead of returning errors. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "test/test.h"

/* cmocka setup and teardown: *state is the path of an empty directory. */
static inline int tmpdir_setup(void **state)
{
    const char *base = getenv("TMPDIR");
    kv_auto_str path = kv_path_join(base && *base ? base : "/tmp", "kitvault-test-XXXXXX");
    if (!path || !mkdtemp(path)) return -1;
    *state = KV_TAKE(path);
    return 0;
}

static inline int tmpdir_teardown(void **state)
{
    kv_error err = {0};
    kv_code rc = kv_remove_tree(*state, &err);
    free(*state);
    return rc == KV_OK ? 0 : -1;
}

/* A path below dir, in one of eight static buffers. */
static inline const char *tmpdir_path(const char *dir, const char *name)
{
    static char ring[8][4096];
    static unsigned turn;
    char *p = ring[turn++ % 8];
    snprintf(p, sizeof(ring[0]), "%s/%s", dir, name);
    return p;
}

static inline void tmpdir_write(const char *dir, const char *name, kv_sv text, unsigned mode)
{
    const char *path = tmpdir_path(dir, name);
    kv_auto_str parent = strdup(path);
    assert_non_null(parent);
    *strrchr(parent, '/') = '\0';
    assert_int_equal(kv_mkdirs(parent, 0755, NULL), KV_OK);
    assert_int_equal(kv_file_write(path, text, (mode_t)mode, NULL), KV_OK);
}

static inline bool tmpdir_has(const char *dir, const char *name)
{
    struct stat st;
    return lstat(tmpdir_path(dir, name), &st) == 0;
}

static inline unsigned tmpdir_mode(const char *dir, const char *name)
{
    struct stat st;
    assert_int_equal(lstat(tmpdir_path(dir, name), &st), 0);
    return st.st_mode & 07777;
}

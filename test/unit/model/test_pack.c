#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/crash.h"
#include "kitvault/model.h"
#include "test/tmpdir.h"

/* Lines of a run: "I Saved ...", digests cut to 4 digits. */
typedef struct run {
    kv_buf lines;
    kv_digest digest;
    kv_error err;
    kv_code code;
} run;
static void run_clear(run *r)
{
    kv_buf_clear(&r->lines);
}
#define auto_run KV_CLEANUP(run_clear) run

static void take_line(void *ctx, kv_level level, kv_sv text)
{
    kv_buf *out = ctx;
    size_t digest = kv_sv_find_sub(text, KV_SV("sha256:"));
    if (digest != SIZE_MAX) text = kv_sv_sub(text, 0, digest + 11);
    kv_buf_addf(out, "%c %.*s\n", "TDIWE"[level], KV_ARG(text));
}

static run pack_with(const char *dir, kv_pack_options opts, const char *name)
{
    run r = {.lines = KV_BUF(1u << 20)};
    kv_auto(kv_store) s = NULL;
    kv_auto_reference tag = {0};
    kv_report report = {.line = take_line, .ctx = &r.lines};
    if (opts.report) report.cancel = opts.report->cancel;
    assert_int_equal(kv_store_open(tmpdir_path(dir, "home"), &s, NULL), KV_OK);
    if (name) {
        assert_int_equal(kv_reference_parse(kv_sv_of(name), &tag, NULL), KV_OK);
        opts.tag = &tag;
    }
    opts.context = tmpdir_path(dir, "in");
    opts.report = &report;
    r.code = kv_pack(s, &opts, &r.digest, &r.err);
    return r;
}

static run pack(const char *dir)
{
    kv_pack_options opts = KV_PACK_OPTIONS_INIT;
    return pack_with(dir, opts, "a/b:v1");
}

static unsigned files_in(const char *dir, const char *name)
{
    DIR *d = opendir(tmpdir_path(dir, name));
    unsigned n = 0;
    for (struct dirent *e; d && (e = readdir(d));) n += e->d_name[0] != '.';
    if (d) closedir(d);
    return n;
}

/* Kits in the store, by iteration. */
static size_t listed(const char *dir)
{
    kv_auto(kv_store) s = NULL;
    assert_int_equal(kv_store_open(tmpdir_path(dir, "home"), &s, NULL), KV_OK);
    kv_store_iter it = kv_store_begin(s);
    size_t n = 0;
    while (kv_store_next(&it)) n++;
    assert_int_equal(kv_store_end(&it, NULL), KV_OK);
    return n;
}

static void write_tree(const char *dir)
{
    tmpdir_write(dir, "in/Kitfile",
                 KV_SV("manifestVersion: 1.0.0\nmodel: {path: m}\n"
                       "code: [{path: c}]\ndocs: [{path: d}]\n"),
                 0644);
    tmpdir_write(dir, "in/m/w.bin", KV_SV("weights"), 0644);
    tmpdir_write(dir, "in/c/main.py", KV_SV("print()"), 0755);
    tmpdir_write(dir, "in/d", KV_SV("# read me"), 0644);
}

static void same_with_any_number_of_threads(void **state)
{
    static const char WANT[] = "I Saved model layer: sha256:";
    const char *dir = *state;
    kv_auto_buf first = KV_BUF(10000), kitfile = KV_BUF(10000);
    kv_buf_adds(&kitfile, "manifestVersion: 1.0.0\nmodel: {path: m00}\ncode:\n");
    for (int i = 0; i < 20; i++) {
        char name[32], text[4000];
        snprintf(name, sizeof(name), "in/m%02d/x", i);
        /* The earlier the larger, so that with threads the later ones are done first. */
        memset(text, 'a' + i, sizeof(text));
        tmpdir_write(dir, name, (kv_sv){text, (size_t)(20 - i) * 200}, 0644);
        if (i) kv_buf_addf(&kitfile, "  - {path: m%02d}\n", i);
    }
    tmpdir_write(dir, "in/Kitfile", kv_buf_sv(&kitfile), 0644);
    kv_digest digest = {0};
    for (unsigned n = 1; n <= 32; n *= 2) {
        kv_pack_options opts = KV_PACK_OPTIONS_INIT;
        opts.n_threads = n;
        assert_int_equal(kv_remove_tree(tmpdir_path(dir, "home"), NULL), KV_OK);
        auto_run r = pack_with(dir, opts, "a/b:v1");
        if (r.code != KV_OK) fail_msg("%s", r.err.msg);
        assert_true(kv_sv_starts(kv_buf_sv(&r.lines), kv_sv_of(WANT)));
        if (n == 1) {
            kv_buf_add(&first, kv_buf_sv(&r.lines));
            digest = r.digest;
        }
        assert_string_equal(r.lines.p, first.p);
        assert_true(kv_digest_eq(&r.digest, &digest));
        assert_int_equal(files_in(dir, "home/cache/pack"), 0);
    }
    auto_run again = pack(dir);
    assert_true(kv_sv_starts(kv_buf_sv(&again.lines), KV_SV("I Already saved model layer: ")));
    assert_non_null(strstr(again.lines.p, "I Configuration already exists in storage: sha256:"));
    assert_non_null(strstr(again.lines.p, "I Manifest already exists in storage: sha256:"));
    assert_int_equal(tmpdir_mode(dir, "home/cache/pack"), 0700);
}

static void refuses(void **state)
{
    static const struct {
        const char *name, *kitfile;
        kv_code want;
        const char *msg, *lines;
    } CASES[] = {
        {"no path", "model: {path: nope}", KV_E_INVALID,
         "failed to pack model kit: error processing model: path nope does not exist", ""},
        {"below a file", "docs: [{path: d/x}]", KV_E_INVALID,
         "failed to pack model kit: error processing docs: path d/x does not exist", ""},
        {"a pipe", "model: {path: pipe}", KV_E_INVALID,
         "failed to pack model kit: error processing model: path pipe is neither a file nor a "
         "directory",
         ""},
        {"the second layer", "model: {path: m}\ndatasets: [{path: nope}]\ncode: [{path: c}]",
         KV_E_INVALID,
         "failed to pack model kit: error processing dataset: path nope does not exist",
         "I Saved model layer: sha256:8617\nI Saved code layer: sha256:fd9c\n"},
        {"bad YAML", "model: {path", KV_E_SYNTAX, "failed to pack model kit: yaml: ", ""},
        {"climbing", "model: {path: ../x}", KV_E_INVALID,
         "failed to pack model kit: errors while validating Kitfile: ", ""},
    };
    const char *dir = *state;
    write_tree(dir);
    assert_int_equal(mkfifo(tmpdir_path(dir, "in/pipe"), 0600), 0);
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        tmpdir_write(dir, "in/Kitfile", kv_sv_of(CASES[i].kitfile), 0644);
        auto_run r = pack(dir);
        if (r.code != CASES[i].want || !kv_sv_starts(kv_sv_of(r.err.msg), kv_sv_of(CASES[i].msg)))
            fail_msg("%s: code %d '%s'", CASES[i].name, (int)r.code, r.err.msg);
        if (!kv_sv_starts(kv_buf_sv(&r.lines), kv_sv_of(CASES[i].lines)))
            fail_msg("%s: %s", CASES[i].name, r.lines.p);
        assert_int_equal(listed(dir), 0);
        assert_int_equal(files_in(dir, "home/cache/pack"), 0);
    }
    assert_int_equal(unlink(tmpdir_path(dir, "in/Kitfile")), 0);
    auto_run r = pack(dir);
    assert_int_equal(r.code, KV_E_ARG);
    assert_true(
        kv_sv_starts(kv_sv_of(r.err.msg), KV_SV("invalid arguments: No Kitfile found in ")));
    kv_pack_options opts = KV_PACK_OPTIONS_INIT;
    opts.kitfile_text = KV_SV("manifestVersion: 1.0.0");
    assert_int_equal(kv_remove_tree(tmpdir_path(dir, "in"), NULL), KV_OK);
    auto_run gone = pack_with(dir, opts, NULL);
    assert_true(kv_sv_starts(kv_sv_of(gone.err.msg), KV_SV("failed to use context path ")));
}

static void remarks(void **state)
{
    const char *dir = *state;
    tmpdir_write(dir, "in/Kitfile", KV_SV("model: {path: m}\ncode: [{path: empty}, {path: ig}]"),
                 0644);
    tmpdir_write(dir, "in/m/w..bin", KV_SV("x"), 0644);
    tmpdir_write(dir, "in/m/x..bin", KV_SV("x"), 0644);
    tmpdir_write(dir, "in/ig/x", KV_SV("x"), 0644);
    tmpdir_write(dir, "in/.kitignore", KV_SV("ig\n"), 0644);
    assert_int_equal(mkdir(tmpdir_path(dir, "in/empty"), 0755), 0);
    assert_int_equal(symlink("w..bin", tmpdir_path(dir, "in/m/link")), 0);
    assert_int_equal(mkfifo(tmpdir_path(dir, "in/m/pipe"), 0600), 0);
    auto_run r = pack(dir);
    if (r.code != KV_OK) fail_msg("%s", r.err.msg);
    static const char *const WANT[] = {
        ("W path m/link is a symbolic link and is not packed\n"
         "W path m/pipe is neither a file nor a directory and is not packed\n"
         "W path m/w..bin has two dots in its name: kit would leave it out, so digests differ\n"
         "I Saved model layer: "),
        "W No files detected in code layer with path empty\nI Saved code layer: ",
        ("E Warning: code layer path ig ignored by kitignore\n"
         "W No files detected in code layer with path ig\nI Saved code layer: "),
    };
    for (size_t i = 0; i < KV_COUNT(WANT); i++)
        if (!strstr(r.lines.p, WANT[i])) fail_msg("%zu: %s", i, r.lines.p);
}

static void cancelled(void **state)
{
    const char *dir = *state;
    write_tree(dir);
    atomic_bool stop = true;
    kv_report report = {.cancel = &stop};
    kv_pack_options opts = KV_PACK_OPTIONS_INIT;
    opts.report = &report;
    auto_run r = pack_with(dir, opts, "a/b:v1");
    assert_int_equal(r.code, KV_E_CANCELLED);
    assert_int_equal(listed(dir), 0);
    assert_int_equal(files_in(dir, "home/cache/pack"), 0);
    assert_int_equal(files_in(dir, "home/storage/blobs/sha256"), 0);
}

/* Runs in a child; the child's exit status, or KV_CRASH_STATUS. */
static int in_child(const char *dir, const char *crash_at, rlim_t file_limit)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (crash_at) setenv("KITVAULT_CRASH_AT", crash_at, 1);
        if (file_limit) {
            struct rlimit limit = {file_limit, file_limit};
            signal(SIGXFSZ, SIG_IGN);
            setrlimit(RLIMIT_FSIZE, &limit);
        }
        run r = pack(dir);
        _exit(r.code == KV_OK ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void killed(void **state)
{
    static const char *const POINTS[] = {"pack.before-blob", "pack.after-blob",
                                         "pack.after-manifest", "store.after-shared-index",
                                         "store.after-index"};
    const char *dir = *state;
    write_tree(dir);
    for (size_t i = 0; i < KV_COUNT(POINTS); i++) {
        assert_int_equal(kv_remove_tree(tmpdir_path(dir, "home"), NULL), KV_OK);
        assert_int_equal(in_child(dir, POINTS[i], 0), KV_CRASH_STATUS);
        auto_run r = pack(dir);
        if (r.code != KV_OK) fail_msg("%s: %s", POINTS[i], r.err.msg);
        assert_int_equal(listed(dir), 1);
        assert_int_equal(files_in(dir, "home/cache/pack"), 0);
        assert_int_equal(files_in(dir, "home/storage/ingest"), 0);
        assert_int_equal(files_in(dir, "home/storage/blobs/sha256"), 5);
    }
}

/* A write that fails as on a full disk. */
static void full_disk(void **state)
{
    const char *dir = *state;
    write_tree(dir);
    char block[8192];
    memset(block, 'x', sizeof(block));
    tmpdir_write(dir, "in/m/big", (kv_sv){block, sizeof(block)}, 0644);
    assert_int_equal(in_child(dir, NULL, 4096), 1);
    assert_int_equal(files_in(dir, "home/cache/pack"), 0);
    assert_int_equal(listed(dir), 0);
    auto_run r = pack(dir);
    assert_int_equal(r.code, KV_OK);
}

/* cache/ may lie on another file system, which rename cannot leave. */
static void cache_elsewhere(void **state)
{
    const char *dir = *state;
    struct stat here, there;
    char other[] = "/dev/shm/kitvault-test-XXXXXX";
    if (stat(dir, &here) < 0 || stat("/dev/shm", &there) < 0 || here.st_dev == there.st_dev) skip();
    if (!mkdtemp(other)) skip();
    write_tree(dir);
    assert_int_equal(mkdir(tmpdir_path(dir, "home"), 0755), 0);
    assert_int_equal(symlink(other, tmpdir_path(dir, "home/cache")), 0);
    auto_run r = pack(dir);
    bool ok = r.code == KV_OK && files_in(dir, "home/cache/pack") == 0;
    assert_int_equal(kv_remove_tree(other, NULL), KV_OK);
    if (!ok) fail_msg("%s", r.err.msg);
    assert_int_equal(listed(dir), 1);
    assert_int_equal(files_in(dir, "home/storage/ingest"), 0);
    assert_int_equal(files_in(dir, "home/storage/blobs/sha256"), 5);
}

static void at_once(void **state)
{
    enum { PACKERS = 4 };
    const char *dir = *state;
    write_tree(dir);
    pid_t pids[PACKERS];
    for (int i = 0; i < PACKERS; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0) {
            run r = pack(dir);
            _exit(r.code == KV_OK ? 0 : 1);
        }
    }
    for (int i = 0; i < PACKERS; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    assert_int_equal(listed(dir), 1);
    assert_int_equal(files_in(dir, "home/cache/pack"), 0);
    assert_int_equal(files_in(dir, "home/storage/blobs/sha256"), 5);
}

static void assert_same_file(const char *dir, const char *a, const char *b)
{
    kv_auto_buf x = KV_BUF(1u << 24), y = KV_BUF(1u << 24);
    assert_int_equal(kv_file_read(tmpdir_path(dir, a), &x, NULL), KV_OK);
    assert_int_equal(kv_file_read(tmpdir_path(dir, b), &y, NULL), KV_OK);
    if (!kv_sv_eq(kv_buf_sv(&x), kv_buf_sv(&y))) fail_msg("%s", b);
}

static void round_trips(void **state)
{
    static const char *const KINDS[] = {"none", "gzip", "gzip-fastest", "zstd"};
    const char *dir = *state;
    write_tree(dir);
    enum { BIG = 3 << 20 };
    char *big = malloc(BIG);
    assert_non_null(big);
    uint32_t x = 7;
    for (size_t i = 0; i < BIG; i++) {
        x = x * 1664525u + 1013904223u;
        big[i] = (char)(x >> 28);
    }
    tmpdir_write(dir, "in/m/big", (kv_sv){big, BIG}, 0644);
    free(big);
    for (size_t i = 0; i < KV_COUNT(KINDS); i++) {
        kv_pack_options opts = KV_PACK_OPTIONS_INIT;
        assert_int_equal(kv_compression_parse(kv_sv_of(KINDS[i]), &opts.compression, NULL), KV_OK);
        auto_run r = pack_with(dir, opts, "a/b:v1");
        if (r.code != KV_OK) fail_msg("%s: %s", KINDS[i], r.err.msg);
        kv_auto(kv_store) s = NULL;
        kv_auto_reference ref = {0};
        assert_int_equal(kv_store_open(tmpdir_path(dir, "home"), &s, NULL), KV_OK);
        assert_int_equal(kv_reference_parse(KV_SV("a/b:v1"), &ref, NULL), KV_OK);
        kv_unpack_options how = KV_UNPACK_OPTIONS_INIT;
        how.dir = tmpdir_path(dir, "out");
        kv_error err = {0};
        if (kv_unpack(s, &ref, &how, &err) != KV_OK) fail_msg("%s: %s", KINDS[i], err.msg);
        assert_same_file(dir, "in/m/big", "out/m/big");
        assert_same_file(dir, "in/m/w.bin", "out/m/w.bin");
        assert_same_file(dir, "in/c/main.py", "out/c/main.py");
        assert_int_equal(tmpdir_mode(dir, "out/c/main.py"), 0755);
        assert_int_equal(kv_remove_tree(tmpdir_path(dir, "out"), NULL), KV_OK);
    }
    kv_compression c;
    kv_error err = {0};
    assert_int_equal(kv_compression_parse(KV_SV("lz4"), &c, &err), KV_E_ARG);
}

/* A damaged blob in the store is found when it is unpacked, and nothing of it is written. */
static void damaged_store(void **state)
{
    const char *dir = *state;
    write_tree(dir);
    auto_run r = pack(dir);
    assert_int_equal(r.code, KV_OK);
    kv_auto(kv_store) s = NULL;
    kv_auto(kv_manifest) m = NULL;
    assert_int_equal(kv_store_open(tmpdir_path(dir, "home"), &s, NULL), KV_OK);
    assert_int_equal(kv_store_manifest(s, &r.digest, &m, NULL), KV_OK);
    char blob[300];
    snprintf(blob, sizeof(blob), "home/storage/blobs/sha256/%s",
             kv_digest_str(&m->layers[0].digest).s + 7);
    kv_auto_fd fd = open(tmpdir_path(dir, blob), O_RDWR);
    assert_int_equal(pwrite(fd, "W", 1, 1024), 1); /* first byte of the content */
    kv_auto_reference ref = {0};
    assert_int_equal(kv_reference_parse(KV_SV("a/b:v1"), &ref, NULL), KV_OK);
    kv_unpack_options how = KV_UNPACK_OPTIONS_INIT;
    how.dir = tmpdir_path(dir, "out");
    kv_error err = {0};
    assert_int_equal(kv_unpack(s, &ref, &how, &err), KV_E_DIGEST);
    assert_false(tmpdir_has(dir, "out/m"));
}

static void inspects(void **state)
{
    const char *dir = *state;
    write_tree(dir);
    auto_run r = pack(dir);
    kv_auto(kv_store) s = NULL;
    kv_auto(kv_manifest) m = NULL;
    assert_int_equal(kv_store_open(tmpdir_path(dir, "home"), &s, NULL), KV_OK);
    assert_int_equal(kv_store_manifest(s, &r.digest, &m, NULL), KV_OK);
    kv_auto_str text = NULL;
    size_t n;
    assert_int_equal(
        kv_kit_inspect_json(m, KV_SV("{\"a\":[12345678901234567890,1e400,0.5]}"), &text, &n, NULL),
        KV_OK);
    assert_int_equal(strlen(text), n);
    assert_non_null(strstr(text, "\"kitfile\": {\n    \"a\": [\n      12345678901234567000,\n"
                                 "      1e400,\n      0.5\n    ]\n  },\n  \"manifest\": {\n"));
    free(text);
    text = NULL;
    assert_int_equal(kv_kit_inspect_json(m, KV_SV(""), &text, &n, NULL), KV_OK);
    assert_null(strstr(text, "kitfile"));
    free(text);
    text = NULL;
    assert_int_equal(kv_kit_inspect_json(m, KV_SV("{"), &text, &n, NULL), KV_E_SYNTAX);
}

#define ROW(f) cmocka_unit_test_setup_teardown(f, tmpdir_setup, tmpdir_teardown)
KV_TEST_MAIN(ROW(same_with_any_number_of_threads), ROW(refuses), ROW(remarks), ROW(cancelled),
             ROW(killed), ROW(full_disk), ROW(cache_elsewhere), ROW(at_once), ROW(round_trips),
             ROW(damaged_store), ROW(inspects))

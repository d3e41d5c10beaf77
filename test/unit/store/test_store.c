#include "kitvault/store.h"

#include <dirent.h>
#include <sys/wait.h>

#include "base/crash.h"
#include "codec/hasher.h"
#include "kitvault/care.h"
#include "test/tmpdir.h"

static kv_store *open_store(void **state)
{
    kv_store *s = NULL;
    assert_int_equal(kv_store_open(*state, &s, NULL), KV_OK);
    return s;
}

/* Stores the blobs of a kit with one layer; it is not listed yet. */
static kv_manifest *make_kit(kv_store *s, const char *config, const char *layer)
{
    kv_descriptor c = {.media_type = KV_SV(KV_MT_KIT_CONFIG), .size = strlen(config)};
    kv_descriptor l = {.media_type = KV_SV("application/vnd.kitops.modelkit.model.v1.tar"),
                       .size = strlen(layer)};
    assert_int_equal(kv_store_put(s, kv_sv_of(config), KV_STORE_MODE_PACKED, &c.digest, NULL, NULL),
                     KV_OK);
    assert_int_equal(kv_store_put(s, kv_sv_of(layer), KV_STORE_MODE_PULLED, &l.digest, NULL, NULL),
                     KV_OK);
    kv_manifest_parts parts = KV_MANIFEST_PARTS_INIT;
    parts.artifact_type = KV_SV(KV_MT_KIT_MANIFEST);
    parts.config = c;
    parts.layers = &l;
    parts.n_layers = 1;
    kv_auto_str text = NULL;
    size_t n;
    assert_int_equal(kv_manifest_format(&parts, &text, &n, NULL), KV_OK);
    assert_int_equal(kv_store_put(s, (kv_sv){text, n}, KV_STORE_MODE_PACKED, NULL, NULL, NULL),
                     KV_OK);
    kv_manifest *m = NULL;
    assert_int_equal(kv_manifest_parse((kv_sv){text, n}, KV_SV(""), &m, NULL), KV_OK);
    return m;
}

static kv_reference ref_of(const char *text)
{
    kv_reference r = {0};
    kv_error err = {0};
    if (kv_reference_parse(kv_sv_of(text), &r, &err) != KV_OK) fail_msg("%s", err.msg);
    return r;
}

static void add(kv_store *s, const char *name, const kv_manifest *m)
{
    kv_auto_reference r = ref_of(name);
    kv_error err = {0};
    if (kv_store_add(s, &r, m, &err) != KV_OK) fail_msg("%s: %s", name, err.msg);
}

static kv_code resolve(kv_store *s, const char *name, kv_digest *out)
{
    kv_auto_reference r = ref_of(name);
    return kv_store_resolve(s, &r, out, NULL);
}

static kv_code drop(kv_store *s, const char *name, bool all_tags, kv_removed *out)
{
    kv_auto_reference r = ref_of(name);
    return kv_store_remove(s, &r, all_tags, out, NULL);
}

static bool has_digest(kv_store *s, const kv_digest *d)
{
    kv_auto_fd fd = -1;
    return kv_store_open_blob(s, d, &fd, NULL, NULL) == KV_OK;
}

/* "repo:tag,tag repo:tag ..." of a whole store. */
static void assert_list(kv_store *s, const char *want)
{
    kv_auto_buf got = KV_BUF(10000);
    kv_store_iter it = kv_store_begin(s);
    while (kv_store_next(&it)) {
        if (got.n) kv_buf_addc(&got, ' ');
        kv_buf_addf(&got, "%.*s/%.*s", KV_ARG(it.registry), KV_ARG(it.repository));
        for (size_t i = 0; i < it.n_tags; i++)
            kv_buf_addf(&got, "%c%.*s", i ? ',' : ':', KV_ARG(it.tags[i]));
    }
    kv_error err = {0};
    if (kv_store_end(&it, &err) != KV_OK) fail_msg("%s", err.msg);
    assert_int_equal(kv_store_end(&it, &err), KV_OK);
    if (!kv_sv_is(kv_buf_sv(&got), want)) fail_msg("'%s' instead of '%s'", got.p, want);
}

static void empty_home(void **state)
{
    kv_auto(kv_store) s = NULL;
    assert_int_equal(kv_store_open(tmpdir_path(*state, "none"), &s, NULL), KV_OK);
    kv_digest d;
    assert_list(s, "");
    assert_int_equal(resolve(s, "a/b:v1", &d), KV_E_NOTFOUND);
    assert_int_equal(drop(s, "a/b:v1", false, NULL), KV_E_NOTFOUND);
    assert_false(tmpdir_has(*state, "none"));
}

static void layout_is_kits(void **state)
{
    static const char *const FILES[] = {"storage/oci-layout",
                                        "storage/index.json",
                                        "storage/ingest",
                                        "storage/blobs/sha256",
                                        "storage/bG9jYWxob3N0L2EvYg==-index.json",
                                        "storage/bG9jYWxob3N0L2EvYg==-tags.json",
                                        "storage/bG9jYWxob3N0L18=-index.json"};
    kv_auto(kv_store) s = open_store(state);
    kv_auto(kv_manifest) m = make_kit(s, "{}", "layer");
    add(s, "a/b:v1", m);
    kv_auto_reference untagged = {0};
    assert_int_equal(kv_reference_parse(kv_sv_of(kv_digest_str(&m->digest).s), &untagged, NULL),
                     KV_OK);
    assert_int_equal(kv_store_add(s, &untagged, m, NULL), KV_OK);
    for (size_t i = 0; i < KV_COUNT(FILES); i++)
        if (!tmpdir_has(*state, FILES[i])) fail_msg("%s", FILES[i]);
    assert_false(tmpdir_has(*state, "storage/bG9jYWxob3N0L18=-tags.json"));
    char blob[200];
    snprintf(blob, sizeof(blob), "storage/blobs/sha256/%s", kv_digest_str(&m->digest).s + 7);
    assert_int_equal(tmpdir_mode(*state, blob), 0444);
    snprintf(blob, sizeof(blob), "storage/blobs/sha256/%s",
             kv_digest_str(&m->layers[0].digest).s + 7);
    assert_int_equal(tmpdir_mode(*state, blob), 0600);
    assert_list(s, "localhost/_ localhost/a/b:v1");
}

static void tags_and_resolve(void **state)
{
    kv_auto(kv_store) s = open_store(state);
    kv_auto(kv_manifest) m1 = make_kit(s, "{}", "one");
    kv_auto(kv_manifest) m2 = make_kit(s, "{}", "two");
    add(s, "a/b:v1,v2", m1);
    add(s, "a/b:v2", m2);
    kv_digest d;
    assert_int_equal(resolve(s, "a/b:v1", &d), KV_OK);
    assert_true(kv_digest_eq(&d, &m1->digest));
    assert_int_equal(resolve(s, "a/b:v2", &d), KV_OK);
    assert_true(kv_digest_eq(&d, &m2->digest));
    char by_digest[200];
    snprintf(by_digest, sizeof(by_digest), "a/b@%s", kv_digest_str(&m1->digest).s);
    assert_int_equal(resolve(s, by_digest, &d), KV_OK);
    /* Blobs are global, manifests are not. */
    snprintf(by_digest, sizeof(by_digest), "other/x@%s", kv_digest_str(&m1->digest).s);
    assert_int_equal(resolve(s, by_digest, &d), KV_E_NOTFOUND);

    kv_auto_reference from = ref_of("a/b:v1"), to = ref_of("other/x:y,z"), bare = ref_of("other/q");
    assert_int_equal(kv_store_tag(s, &from, &bare, NULL), KV_E_ARG);
    assert_int_equal(kv_store_tag(s, &from, &to, NULL), KV_OK);
    assert_int_equal(resolve(s, by_digest, &d), KV_OK);
    kv_error err = {0};
    assert_int_equal(kv_store_tag(s, &bare, &to, &err), KV_E_ARG);
    kv_auto_reference unknown = ref_of("no/such:v1");
    assert_int_equal(kv_store_tag(s, &unknown, &to, &err), KV_E_NOTFOUND);
    assert_string_equal(err.msg, "model localhost/no/such:v1 not found");
    assert_int_equal(kv_store_untag(s, &from, NULL), KV_OK);
    assert_int_equal(kv_store_untag(s, &from, NULL), KV_E_NOTFOUND);
    assert_int_equal(resolve(s, "a/b:v1", &d), KV_E_NOTFOUND);
}

static void list_order(void **state)
{
    kv_auto(kv_store) s = open_store(state);
    kv_auto(kv_manifest) m = make_kit(s, "{}", "x");
    add(s, "zz/b:v1", m);
    add(s, "example.com/q:c,b,a", m);
    add(s, "aa/b:v1", m);
    assert_list(s, "localhost/aa/b:v1 example.com/q:a,b,c localhost/zz/b:v1");
}

static void remove_counts_references(void **state)
{
    kv_auto(kv_store) s = open_store(state);
    kv_auto(kv_manifest) m1 = make_kit(s, "{}", "shared");
    kv_auto(kv_manifest) m2 = make_kit(s, "{\"x\":1}", "shared");
    add(s, "a/b:v1,v2", m1);
    add(s, "c/d:v1", m1);
    add(s, "a/b:w", m2);
    kv_removed done;

    assert_int_equal(drop(s, "a/b:v1", false, &done), KV_OK);
    assert_true(done.untagged_only && kv_digest_eq(&done.digest, &m1->digest));
    assert_int_equal(drop(s, "a/b:v2", false, &done), KV_OK);
    assert_false(done.untagged_only);
    assert_true(has_digest(s, &m1->digest)); /* c/d lists it */
    assert_list(s, "localhost/a/b:w localhost/c/d:v1");

    assert_int_equal(drop(s, "c/d:v1", false, NULL), KV_OK);
    assert_false(has_digest(s, &m1->digest));
    assert_false(has_digest(s, &m1->config.digest));
    assert_true(has_digest(s, &m1->layers[0].digest)); /* m2 has it too */

    assert_int_equal(drop(s, "a/b:w", true, NULL), KV_OK);
    assert_false(has_digest(s, &m2->digest));
    assert_false(has_digest(s, &m2->layers[0].digest));
    assert_false(tmpdir_has(*state, "storage/bG9jYWxob3N0L2EvYg==-index.json"));
    assert_false(tmpdir_has(*state, "storage/bG9jYWxob3N0L2EvYg==-tags.json"));
    assert_list(s, "");
}

static void remove_of_all_tags(void **state)
{
    kv_auto(kv_store) s = open_store(state);
    kv_auto(kv_manifest) m = make_kit(s, "{}", "x");
    add(s, "a/b:v1,v2", m);
    assert_int_equal(drop(s, "a/b:v1", true, NULL), KV_OK);
    assert_list(s, "");
}

/* What an unreadable neighbour uses is not known, so nothing it may use goes. */
static void remove_beside_a_damaged_kit(void **state)
{
    kv_auto(kv_store) s = open_store(state);
    kv_auto(kv_manifest) m1 = make_kit(s, "{}", "shared");
    kv_auto(kv_manifest) m2 = make_kit(s, "{\"x\":1}", "shared");
    add(s, "a/b:v1", m1);
    add(s, "c/d:v1", m2);
    char blob[200];
    snprintf(blob, sizeof(blob), "storage/blobs/sha256/%s", kv_digest_str(&m2->digest).s + 7);
    tmpdir_write(*state, blob, KV_SV("damaged"), 0600);
    assert_int_equal(drop(s, "a/b:v1", false, NULL), KV_OK);
    assert_true(has_digest(s, &m1->layers[0].digest));
    kv_manifest *none = NULL;
    kv_error err = {0};
    assert_int_equal(kv_store_manifest(s, &m2->digest, &none, &err), KV_E_DIGEST);
}

static void add_needs_blobs(void **state)
{
    kv_auto(kv_store) s = open_store(state);
    kv_auto(kv_manifest) m = make_kit(s, "{}", "x");
    char blob[200];
    snprintf(blob, sizeof(blob), "storage/blobs/sha256/%s",
             kv_digest_str(&m->layers[0].digest).s + 7);
    assert_int_equal(unlink(tmpdir_path(*state, blob)), 0);
    kv_auto_reference r = ref_of("a/b:v1");
    kv_error err = {0};
    assert_int_equal(kv_store_add(s, &r, m, &err), KV_E_NOTFOUND);
    assert_non_null(strstr(err.msg, kv_digest_str(&m->layers[0].digest).s));
    assert_list(s, "");
}

static void damaged_lists(void **state)
{
    kv_auto(kv_store) s = open_store(state);
    tmpdir_write(*state, "storage/bG9jYWxob3N0L2EvYg==-index.json", KV_SV("{"), 0644);
    kv_auto_reference r = ref_of("a/b:v1");
    kv_digest d;
    kv_error err = {0};
    assert_int_equal(kv_store_resolve(s, &r, &d, &err), KV_E_SYNTAX);
    assert_non_null(strstr(err.msg, "bG9jYWxob3N0L2EvYg==-index.json"));
    kv_store_iter it = kv_store_begin(s);
    assert_false(kv_store_next(&it));
    assert_int_equal(kv_store_end(&it, &err), KV_E_SYNTAX);
}

/* --- ingest --- */

static const kv_sv BODY = KV_SV_INIT("0123456789");

static kv_ingest *begin(kv_store *s, kv_sv body, uint64_t want_offset)
{
    kv_digest d = kv_digest_of(KV_SHA256, body);
    kv_ingest *in = NULL;
    kv_error err = {0};
    if (kv_ingest_begin(s, &d, body.n, &in, &err) != KV_OK) fail_msg("%s", err.msg);
    assert_int_equal(kv_ingest_offset(in), want_offset);
    return in;
}

static unsigned files_in(const char *dir, const char *name)
{
    DIR *d = opendir(tmpdir_path(dir, name));
    assert_non_null(d);
    unsigned n = 0;
    for (struct dirent *e; (e = readdir(d));) n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static void ingest_resumes(void **state)
{
    kv_auto(kv_store) s = open_store(state);
    kv_digest d = kv_digest_of(KV_SHA256, BODY);
    kv_ingest *in = begin(s, BODY, 0);
    assert_int_equal(kv_ingest_write(in, "0123", 4, NULL), KV_OK);
    kv_ingest_close(in);
    assert_int_equal(files_in(*state, "storage/ingest"), 1);
    in = begin(s, BODY, 4);
    assert_false(kv_store_has(s, &d, BODY.n));
    assert_int_equal(kv_ingest_write(in, "456789", 6, NULL), KV_OK);
    assert_int_equal(kv_ingest_commit(in, NULL), KV_OK);
    assert_true(kv_store_has(s, &d, BODY.n));
    assert_int_equal(files_in(*state, "storage/ingest"), 0);
    kv_auto_str text = NULL;
    size_t n;
    assert_int_equal(kv_store_read(s, &d, 100, &text, &n, NULL), KV_OK);
    assert_string_equal(text, "0123456789");
}

static void ingest_refuses(void **state)
{
    static const struct {
        const char *name, *first, *second;
        kv_code write, commit;
        unsigned left; /* files in ingest/ afterwards */
    } CASES[] = {
        {"other bytes", "012345678", "x", KV_OK, KV_E_DIGEST, 0},
        {"too many bytes", "012345678", "90", KV_E_DIGEST, KV_E_DIGEST, 0},
        {"too few bytes", "0123", "4", KV_OK, KV_E_CORRUPT, 1},
        {"nothing", "", "", KV_OK, KV_E_CORRUPT, 0},
    };
    kv_auto(kv_store) s = open_store(state);
    kv_digest d = kv_digest_of(KV_SHA256, BODY);
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_ingest *in = begin(s, BODY, 0);
        assert_int_equal(kv_ingest_write(in, CASES[i].first, strlen(CASES[i].first), NULL), KV_OK);
        kv_code rc = kv_ingest_write(in, CASES[i].second, strlen(CASES[i].second), NULL);
        kv_code end = kv_ingest_commit(in, NULL);
        if (rc != CASES[i].write || end != CASES[i].commit ||
            files_in(*state, "storage/ingest") != CASES[i].left || kv_store_has(s, &d, BODY.n))
            fail_msg("%s: %d, %d", CASES[i].name, (int)rc, (int)end);
        if (CASES[i].left) {
            in = begin(s, BODY, 5);
            assert_int_equal(kv_ingest_restart(in, NULL), KV_OK);
            assert_int_equal(kv_ingest_offset(in), 0);
            kv_ingest_close(in);
        }
    }
}

static void ingest_of_damaged_partial(void **state)
{
    kv_auto(kv_store) s = open_store(state);
    kv_digest d = kv_digest_of(KV_SHA256, BODY);
    char partial[200];
    snprintf(partial, sizeof(partial), "storage/ingest/%s", kv_digest_str(&d).s + 7);
    tmpdir_write(*state, partial, KV_SV("ABC"), 0600);
    kv_ingest *in = begin(s, BODY, 3);
    assert_int_equal(kv_ingest_write(in, "3456789", 7, NULL), KV_OK);
    assert_int_equal(kv_ingest_commit(in, NULL), KV_E_DIGEST);
    tmpdir_write(*state, partial, KV_SV("longer than the blob"), 0600);
    in = begin(s, BODY, 0);
    assert_int_equal(kv_ingest_write(in, BODY.p, BODY.n, NULL), KV_OK);
    assert_int_equal(kv_ingest_commit(in, NULL), KV_OK);
}

static void ingest_twice_at_once(void **state)
{
    kv_auto(kv_store) s = open_store(state);
    kv_ingest *a = begin(s, BODY, 0);
    assert_int_equal(kv_ingest_write(a, "0123", 4, NULL), KV_OK);
    kv_ingest *b = begin(s, BODY, 0); /* a holds the shared name */
    assert_int_equal(kv_ingest_write(b, BODY.p, BODY.n, NULL), KV_OK);
    assert_int_equal(kv_ingest_commit(b, NULL), KV_OK);
    assert_int_equal(kv_ingest_write(a, "456789", 6, NULL), KV_OK);
    assert_int_equal(kv_ingest_commit(a, NULL), KV_OK);
    assert_int_equal(files_in(*state, "storage/ingest"), 0);
}

static void ingest_of_sha512(void **state)
{
    kv_auto(kv_store) s = open_store(state);
    kv_digest d = kv_digest_of(KV_SHA512, BODY);
    kv_ingest *in = NULL;
    assert_int_equal(kv_ingest_begin(s, &d, BODY.n, &in, NULL), KV_OK);
    assert_int_equal(kv_ingest_write(in, BODY.p, BODY.n, NULL), KV_OK);
    assert_int_equal(kv_ingest_commit(in, NULL), KV_OK);
    assert_true(kv_store_has(s, &d, BODY.n));
}

/* --- crashes and neighbours --- */

static void in_child(void **state, const char *crash_at, void (*work)(kv_store *s), int want)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (crash_at) setenv("KITVAULT_CRASH_AT", crash_at, 1);
        kv_store *s = NULL;
        if (kv_store_open(*state, &s, NULL) != KV_OK) _exit(1);
        work(s);
        kv_store_close(s);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), want);
}

static void add_ab(kv_store *s)
{
    kv_auto(kv_manifest) m = make_kit(s, "{}", "x");
    add(s, "a/b:v1", m);
}

static void remove_ab(kv_store *s)
{
    if (drop(s, "a/b:v1", false, NULL) != KV_OK) _exit(1);
}

static void ingest_body(kv_store *s)
{
    kv_ingest *in = begin(s, BODY, 0);
    if (kv_ingest_write(in, BODY.p, BODY.n, NULL) != KV_OK) _exit(1);
    if (kv_ingest_commit(in, NULL) != KV_OK) _exit(1);
}

static void crash_while_adding(void **state)
{
    static const char *const POINTS[] = {"store.after-shared-index", "store.after-index"};
    for (size_t i = 0; i < KV_COUNT(POINTS); i++) {
        in_child(state, POINTS[i], add_ab, KV_CRASH_STATUS);
        kv_auto(kv_store) s = open_store(state);
        kv_digest d;
        assert_int_equal(resolve(s, "a/b:v1", &d), KV_E_NOTFOUND);
        in_child(state, NULL, add_ab, 0);
        assert_int_equal(resolve(s, "a/b:v1", &d), KV_OK);
        assert_int_equal(drop(s, "a/b:v1", false, NULL), KV_OK);
    }
}

static void crash_while_removing(void **state)
{
    static const char *const POINTS[] = {"store.after-untag", "store.after-remove-index"};
    for (size_t i = 0; i < KV_COUNT(POINTS); i++) {
        in_child(state, NULL, add_ab, 0);
        in_child(state, POINTS[i], remove_ab, KV_CRASH_STATUS);
        kv_auto(kv_store) s = open_store(state);
        kv_digest d;
        assert_int_equal(resolve(s, "a/b:v1", &d), KV_E_NOTFOUND);
        in_child(state, NULL, add_ab, 0);
        in_child(state, NULL, remove_ab, 0);
        assert_list(s, "");
        assert_int_equal(files_in(*state, "storage/blobs/sha256"), 0);
    }
}

static void crash_while_ingesting(void **state)
{
    kv_auto(kv_store) s = open_store(state);
    kv_digest d = kv_digest_of(KV_SHA256, BODY);
    in_child(state, "ingest.before-rename", ingest_body, KV_CRASH_STATUS);
    assert_false(kv_store_has(s, &d, BODY.n));
    kv_ingest *in = begin(s, BODY, BODY.n); /* all bytes are here already */
    assert_int_equal(kv_ingest_commit(in, NULL), KV_OK);
    assert_true(kv_store_has(s, &d, BODY.n));
}

static void sweeps_only_what_is_ours(void **state)
{
    tmpdir_write(*state, "storage/ingest/abc_kv0123", KV_SV("left by a crash"), 0600);
    tmpdir_write(*state, "storage/ingest/abc_123456", KV_SV("kit's"), 0600);
    tmpdir_write(*state, "storage/ingest/abc", KV_SV("partial"), 0600);
    tmpdir_write(*state, "cache/pack/layer_kv0123", KV_SV("left by a crash"), 0600);
    tmpdir_write(*state, "storage/x-index.json.tmp-0123", KV_SV("left by a crash"), 0600);
    tmpdir_write(*state, "storage/oci-layout.tmp-0123", KV_SV("left by a crash"), 0600);
    kv_auto(kv_store) s = open_store(state);
    add_ab(s);
    assert_false(tmpdir_has(*state, "storage/ingest/abc_kv0123"));
    assert_true(tmpdir_has(*state, "storage/ingest/abc_123456"));
    assert_true(tmpdir_has(*state, "storage/ingest/abc"));
    assert_false(tmpdir_has(*state, "cache/pack/layer_kv0123"));
    assert_false(tmpdir_has(*state, "storage/x-index.json.tmp-0123"));
    assert_false(tmpdir_has(*state, "storage/oci-layout.tmp-0123"));
}

/* --- garbage --- */

static void assert_gc(kv_store *s, bool dry_run, uint64_t n_blobs, uint64_t n_leftovers)
{
    kv_gc_options opts = KV_GC_OPTIONS_INIT;
    kv_gc_result r;
    kv_error err = {0};
    opts.dry_run = dry_run;
    if (kv_store_gc(s, &opts, &r, &err) != KV_OK) fail_msg("%s", err.msg);
    assert_int_equal(r.n_blobs, n_blobs);
    assert_int_equal(r.n_leftovers, n_leftovers);
}

static void gc_removes_what_nobody_uses(void **state)
{
    static const char *const LEFT[] = {
        "storage/ingest/abc_kv0123",
        "storage/ingest/abc_123456",
        "storage/ingest/abc",
        "cache/pack/layer_kv0123",
        "cache/pack/kitops_layer_12345",
        "storage/x-index.json.tmp-0123",
        "storage/oci-layout.tmp-0123",
    };
    static const char *const OTHERS[] = {"cache/pack/somebody's", "storage/blobs/sha256/no-digest"};
    kv_auto(kv_store) s = open_store(state);
    add_ab(s);
    for (size_t i = 0; i < KV_COUNT(LEFT); i++) tmpdir_write(*state, LEFT[i], KV_SV("left"), 0600);
    for (size_t i = 0; i < KV_COUNT(OTHERS); i++)
        tmpdir_write(*state, OTHERS[i], KV_SV("other"), 0600);
    kv_digest d;
    assert_int_equal(kv_store_put(s, KV_SV("unused"), 0600, &d, NULL, NULL), KV_OK);
    assert_gc(s, true, 1, KV_COUNT(LEFT));
    assert_true(has_digest(s, &d));
    assert_gc(s, false, 1, KV_COUNT(LEFT));
    assert_false(has_digest(s, &d));
    for (size_t i = 0; i < KV_COUNT(LEFT); i++) assert_false(tmpdir_has(*state, LEFT[i]));
    for (size_t i = 0; i < KV_COUNT(OTHERS); i++) assert_true(tmpdir_has(*state, OTHERS[i]));
    assert_gc(s, false, 0, 0);
    assert_list(s, "localhost/a/b:v1");
    assert_int_equal(files_in(*state, "storage/blobs/sha256"), 3 + 1);
}

static void gc_tidies_the_shared_index(void **state)
{
    in_child(state, "store.after-shared-index", add_ab, KV_CRASH_STATUS);
    kv_auto(kv_store) s = open_store(state);
    kv_gc_result r;
    assert_int_equal(kv_store_gc(s, NULL, &r, NULL), KV_OK);
    assert_int_equal(r.n_entries, 1);
    assert_int_equal(r.n_blobs, 3);
    assert_int_equal(kv_store_gc(s, NULL, &r, NULL), KV_OK);
    assert_int_equal(r.n_entries, 0);
}

static void gc_keeps_what_is_in_use(void **state)
{
    kv_auto(kv_store) s = open_store(state);
    kv_auto_fd hold = -1;
    kv_gc_options opts = KV_GC_OPTIONS_INIT;
    kv_error err = {0};
    opts.wait_ms = 1;
    kv_auto(kv_manifest) m = make_kit(s, "{}", "x");
    assert_int_equal(kv_store_hold(s, &hold, NULL), KV_OK);
    assert_int_equal(kv_store_gc(s, &opts, NULL, &err), KV_E_BUSY);
    assert_non_null(strstr(err.msg, "another process uses local storage"));
    add(s, "a/b:v1", m);
    /* A removal leaves blobs alone, too, and gc finds them afterwards. */
    assert_int_equal(drop(s, "a/b:v1", false, NULL), KV_OK);
    assert_list(s, "");
    assert_true(has_digest(s, &m->digest));
    assert_true(has_digest(s, &m->layers[0].digest));
    kv_close_fd(&hold);
    assert_gc(s, false, 3, 0);
}

static void gc_without_knowing_removes_no_blob(void **state)
{
    kv_auto(kv_store) s = open_store(state);
    kv_auto(kv_manifest) m = make_kit(s, "{}", "x");
    add(s, "a/b:v1", m);
    kv_digest d;
    kv_gc_result r;
    kv_error err = {0};
    assert_int_equal(kv_store_put(s, KV_SV("unused"), 0600, &d, NULL, NULL), KV_OK);
    tmpdir_write(*state, "storage/ingest/abc", KV_SV("left"), 0600);
    char path[256];
    snprintf(path, sizeof(path), "storage/blobs/sha256/%s", kv_digest_str(&m->digest).s + 7);
    tmpdir_write(*state, path, KV_SV("{}"), 0600);
    assert_int_equal(kv_store_gc(s, NULL, &r, &err), KV_E_CORRUPT);
    assert_non_null(strstr(err.msg, "is listed and cannot be read"));
    assert_true(has_digest(s, &d));
    assert_int_equal(r.n_blobs, 0);
    assert_int_equal(r.n_leftovers, 1);
}

static void gc_of_no_home(void **state)
{
    kv_auto(kv_store) s = NULL;
    assert_int_equal(kv_store_open(tmpdir_path(*state, "none"), &s, NULL), KV_OK);
    assert_gc(s, false, 0, 0);
    assert_false(tmpdir_has(*state, "none"));
}

static void replaces_a_damaged_blob(void **state)
{
    kv_auto(kv_store) s = open_store(state);
    kv_digest d = kv_digest_of(KV_SHA256, BODY);
    char path[256];
    snprintf(path, sizeof(path), "storage/blobs/sha256/%s", kv_digest_str(&d).s + 7);
    kv_ingest *in = begin(s, BODY, 0);
    kv_auto_str spoiled = kv_sv_dup(BODY);
    spoiled[0] ^= 1;
    tmpdir_write(*state, path, (kv_sv){spoiled, BODY.n}, 0600);
    assert_int_equal(kv_ingest_write(in, BODY.p, BODY.n, NULL), KV_OK);
    assert_int_equal(kv_ingest_replace(in, NULL), KV_OK);
    kv_auto_str got = NULL;
    size_t n;
    assert_int_equal(kv_store_read(s, &d, 1 << 20, &got, &n, NULL), KV_OK);
}

/* --- stores of old kits --- */

static void put_old_blob(const char *home, const char *layout, kv_sv bytes, kv_digest *out)
{
    char name[300];
    *out = kv_digest_of(KV_SHA256, bytes);
    snprintf(name, sizeof(name), "storage/%s/blobs/sha256/%s", layout, kv_digest_str(out).s + 7);
    tmpdir_write(home, name, bytes, 0644);
}

/* An OCI layout with one kit, tagged when tag is not NULL. */
static void put_old_layout(const char *home, const char *layout, const char *layer, const char *tag)
{
    kv_descriptor c = {.media_type = KV_SV(KV_MT_KIT_CONFIG), .size = 2};
    kv_descriptor l = {.media_type = KV_SV("application/vnd.kitops.modelkit.model.v1.tar"),
                       .size = strlen(layer)};
    put_old_blob(home, layout, KV_SV("{}"), &c.digest);
    put_old_blob(home, layout, kv_sv_of(layer), &l.digest);
    kv_manifest_parts parts = KV_MANIFEST_PARTS_INIT;
    parts.config = c;
    parts.layers = &l;
    parts.n_layers = 1;
    kv_auto_str text = NULL;
    size_t n;
    kv_digest d;
    assert_int_equal(kv_manifest_format(&parts, &text, &n, NULL), KV_OK);
    put_old_blob(home, layout, (kv_sv){text, n}, &d);

    kv_auto_buf index = KV_BUF(10000);
    kv_buf_addf(&index,
                "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"%s\",\"digest\":\"%s\","
                "\"size\":%zu",
                KV_MT_IMAGE_MANIFEST, kv_digest_str(&d).s, n);
    if (tag)
        kv_buf_addf(&index, ",\"annotations\":{\"org.opencontainers.image.ref.name\":\"%s\"}", tag);
    kv_buf_adds(&index, "}]}");
    char name[300];
    snprintf(name, sizeof(name), "storage/%s/index.json", layout);
    tmpdir_write(home, name, kv_buf_sv(&index), 0644);
    snprintf(name, sizeof(name), "storage/%s/oci-layout", layout);
    tmpdir_write(home, name, KV_SV("{}"), 0644);
}

static void count_line(void *ctx, kv_level level, kv_sv text)
{
    (void)level;
    if (kv_sv_is(text, "Migrating local storage to new format")) ++*(int *)ctx;
}

static void migrate_once(kv_store *s)
{
    kv_error err = {0};
    if (kv_store_migrate(s, NULL, &err) != KV_OK) _exit(1);
}

static void migrates_old_stores(void **state)
{
    kv_auto(kv_store) s = open_store(state);
    int lines = 0;
    kv_report report = {.line = count_line, .ctx = &lines};
    assert_int_equal(kv_store_migrate(s, &report, NULL), KV_OK); /* no store at all */
    put_old_layout(*state, "localhost/a", "one", "v1");
    put_old_layout(*state, "localhost/a/b", "two", NULL);
    put_old_layout(*state, "example.com:5000/c", "one", "latest");
    assert_int_equal(lines, 0);
    in_child(state, "migrate.after-copy", migrate_once, KV_CRASH_STATUS);
    assert_int_equal(kv_store_migrate(s, &report, NULL), KV_OK);
    assert_int_equal(lines, 1);
    assert_list(s, "localhost/a:v1 localhost/a/b example.com:5000/c:latest");
    assert_false(tmpdir_has(*state, "storage/localhost"));
    assert_false(tmpdir_has(*state, "storage/example.com:5000"));
    assert_int_equal(kv_store_migrate(s, &report, NULL), KV_OK);
    assert_int_equal(lines, 1);
}

static void keeps_damaged_old_stores(void **state)
{
    kv_auto(kv_store) s = open_store(state);
    put_old_layout(*state, "localhost/a", "one", "v1");
    kv_digest d = kv_digest_of(KV_SHA256, KV_SV("one"));
    char name[300];
    snprintf(name, sizeof(name), "storage/localhost/a/blobs/sha256/%s", kv_digest_str(&d).s + 7);
    tmpdir_write(*state, name, KV_SV("ONE"), 0644);
    kv_error err = {0};
    assert_int_equal(kv_store_migrate(s, NULL, &err), KV_E_DIGEST);
    assert_non_null(strstr(err.msg, "storage/localhost/a/blobs"));
    assert_true(tmpdir_has(*state, "storage/localhost/a/index.json"));
    assert_list(s, "");
}

/* Eight processes tag at once; with a lock none loses the others' tags. */
static void many_writers(void **state)
{
    enum { WRITERS = 8, EACH = 5 };
    pid_t pids[WRITERS];
    for (int w = 0; w < WRITERS; w++) {
        pids[w] = fork();
        assert_true(pids[w] >= 0);
        if (pids[w]) continue;
        kv_store *s = NULL;
        if (kv_store_open(*state, &s, NULL) != KV_OK) _exit(1);
        kv_manifest *m = make_kit(s, "{}", w % 2 ? "odd" : "even");
        for (int i = 0; i < EACH; i++) {
            char name[64];
            snprintf(name, sizeof(name), "a/b:t%d-%d", w, i);
            add(s, name, m);
        }
        kv_manifest_free(m);
        kv_store_close(s);
        _exit(0);
    }
    for (int w = 0; w < WRITERS; w++) {
        int status;
        assert_int_equal(waitpid(pids[w], &status, 0), pids[w]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    kv_auto(kv_store) s = open_store(state);
    kv_store_iter it = kv_store_begin(s);
    size_t kits = 0, tags = 0;
    while (kv_store_next(&it)) {
        kits++;
        tags += it.n_tags;
    }
    assert_int_equal(kv_store_end(&it, NULL), KV_OK);
    assert_int_equal(kits, 2);
    assert_int_equal(tags, WRITERS * EACH);
}

#define ROW(f) cmocka_unit_test_setup_teardown(f, tmpdir_setup, tmpdir_teardown)
static void refuses_another_layout(void **state)
{
    kv_store *s = NULL;
    kv_error err = {0};
    tmpdir_write(*state, "storage/oci-layout", KV_SV("{\"imageLayoutVersion\":\"9.9.9\"}"), 0644);
    assert_int_equal(kv_store_open(*state, &s, &err), KV_E_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "storage/oci-layout' has imageLayoutVersion '9.9.9'"));
    assert_null(s);
}

KV_TEST_MAIN(ROW(empty_home), ROW(layout_is_kits), ROW(tags_and_resolve), ROW(list_order),
             ROW(remove_counts_references), ROW(remove_of_all_tags),
             ROW(remove_beside_a_damaged_kit), ROW(add_needs_blobs), ROW(damaged_lists),
             ROW(ingest_resumes), ROW(ingest_refuses), ROW(ingest_of_damaged_partial),
             ROW(ingest_twice_at_once), ROW(ingest_of_sha512), ROW(crash_while_adding),
             ROW(crash_while_removing), ROW(crash_while_ingesting), ROW(sweeps_only_what_is_ours),
             ROW(gc_removes_what_nobody_uses), ROW(gc_tidies_the_shared_index),
             ROW(gc_keeps_what_is_in_use), ROW(gc_without_knowing_removes_no_blob),
             ROW(gc_of_no_home), ROW(replaces_a_damaged_blob), ROW(migrates_old_stores),
             ROW(keeps_damaged_old_stores), ROW(many_writers), ROW(refuses_another_layout))

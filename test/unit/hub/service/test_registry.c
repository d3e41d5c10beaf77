#include "hub/service/registry.h"

#include <pthread.h>
#include <string.h>

#include "hub/db/q_audit.h"
#include "hub/db/q_manifest.h"
#include "hub/service/referrer.h"
#include "hub/service/repo_blob.h"
#include "hub/service/repo_manifest.h"
#include "hub/service/upload.h"
#include "test/unit/hub/hub_test.h"
#include "json/json.h"

/* No row has this id: the tables that name principals are somebody else's. */
static const kv_principal ANYBODY = {.type = "anonymous", .authn = "none", .everything = true};
static const kv_member READER[] = {{KV_SV_INIT("team"), KV_ROLE_WRITE},
                                   {KV_SV_INIT("lib"), KV_ROLE_READ}};

typedef struct fixture {
    hub_fixture *hub;
    kv_blobs *blobs;
    kv_registry *reg;
    kv_arena *arena;
} fixture;

static int setup_with(void **state, kv_blobs *blobs)
{
    fixture *f = calloc(1, sizeof(*f));
    if (!f || hub_setup((void **)&f->hub) != 0) return 1;
    f->blobs = blobs;
    f->arena = kv_arena_new(16u << 20);
    *state = f;
    return kv_registry_open(f->hub->db, f->blobs, f->hub->audit, &f->reg, NULL) != KV_OK;
}

static int setup(void **state)
{
    return setup_with(state, kv_blobs_new_mem());
}

static int teardown(void **state)
{
    fixture *f = *state;
    kv_registry_close(f->reg);
    kv_blobs_free(f->blobs);
    kv_arena_free(f->arena);
    int rc = hub_teardown((void **)&f->hub);
    free(f);
    return rc;
}
#define WITH_REGISTRY(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

/* --- steps --- */

static kv_digest push_blob(fixture *f, const char *repo, kv_sv data)
{
    kv_error err = {0};
    kv_upload_state s;
    kv_upload *u = NULL;
    kv_digest d = kv_digest_of(KV_SHA256, data);
    want(kv_upload_start(f->reg, &ANYBODY, kv_sv_of(repo), KV_SHA256, &s, &err), KV_OK, &err);
    want(kv_upload_open(f->reg, &ANYBODY, kv_sv_of(repo), kv_sv_of(s.id), &u, &err), KV_OK, &err);
    want(kv_upload_append(u, data.p, data.n, &err), KV_OK, &err);
    want(kv_upload_finish(u, &ANYBODY, &d, &err), KV_OK, &err);
    return d;
}

/* A manifest with nothing in it but salt; needs no blob. */
static kv_sv index_of(fixture *f, const char *salt)
{
    kv_buf b = KV_BUF(4096);
    kv_buf_addf(&b, "{\"schemaVersion\":2,\"manifests\":[],\"annotations\":{\"salt\":\"%s\"}}",
                salt);
    kv_sv kept = kv_arena_dup(f->arena, kv_buf_sv(&b));
    kv_buf_clear(&b);
    return kept;
}

static kv_pushed push(fixture *f, const char *repo, const char *tag, kv_sv bytes)
{
    kv_error err = {0};
    kv_sv name = kv_sv_of(tag);
    kv_pushed done;
    kv_auto_buf body = KV_BUF(4096);
    kv_buf_add(&body, bytes);
    kv_push p = {
        .repository = kv_sv_of(repo), .tags = &name, .n_tags = tag ? 1 : 0, .bytes = &body};
    if (!tag) p.digest = kv_digest_of(KV_SHA256, bytes);
    want(kv_manifest_push(f->reg, &ANYBODY, &p, f->arena, &done, &err), KV_OK, &err);
    return done;
}

static void remove_manifest(fixture *f, const char *repo, const kv_digest *d)
{
    kv_error err = {0};
    kv_ref ref = {.digest = *d};
    kv_condition any = {0};
    want(kv_manifest_delete(f->reg, &ANYBODY, kv_sv_of(repo), &ref, &any, &err), KV_OK, &err);
}

static int64_t number_of(fixture *f, const char *repo, const kv_digest *d)
{
    kv_error err = {0};
    kv_repository r;
    kv_version_row v;
    kv_tx *tx = begin(f->hub->db, KV_TX_READ);
    want(kv_repository_find(tx, kv_sv_of(repo), &r, &err), KV_OK, &err);
    want(kv_q_version_find(tx, r.id, kv_digest_str(d).s, &v, &err), KV_OK, &err);
    kv_tx_rollback(tx);
    return v.number;
}

static kv_code print_leaf(void *ctx, const kv_leaf_view *leaf, kv_error *err)
{
    kv_auto(kv_jdoc) doc = NULL;
    KV_TRY(kv_jdoc_parse(leaf->leaf, &doc, err));
    const kv_json *root = kv_jdoc_root(doc), *object = kv_json_get(root, "object");
    kv_buf_addf(ctx, "%.*s %.*s\n", KV_ARG(kv_json_str(kv_json_get(root, "action"))),
                KV_ARG(kv_json_str(kv_json_get(object, "ref"))));
    return KV_OK;
}

/* "ACTION REF" of every leaf from seq on. */
static char *log_from(fixture *f, int64_t seq)
{
    kv_error err = {0};
    kv_buf out = KV_BUF(1u << 20);
    kv_buf_adds(&out, "");
    kv_tx *tx = begin(f->hub->db, KV_TX_READ);
    want(kv_q_audit_from(tx, seq, 1000, print_leaf, &out, &err), KV_OK, &err);
    kv_tx_rollback(tx);
    return kv_buf_take(&out);
}

static int64_t log_length(fixture *f)
{
    int64_t seq, time;
    kv_error err = {0};
    kv_tx *tx = begin(f->hub->db, KV_TX_READ);
    want(kv_q_audit_last(tx, &seq, &time, &err), KV_OK, &err);
    kv_tx_rollback(tx);
    return seq;
}

/* --- versions --- */

static void numbers_versions(void **state)
{
    fixture *f = *state;
    kv_sv a = index_of(f, "a"), b = index_of(f, "b"), c = index_of(f, "c"), s = index_of(f, "s");
    static const char SIG[] =
        "sha256-0000000000000000000000000000000000000000000000000000000000000000.sig";
    kv_digest da = push(f, "team/m", "v1", a).digest;
    kv_digest ds = push(f, "team/m", SIG, s).digest;
    kv_digest dc = push(f, "team/m", NULL, c).digest;
    kv_digest db = push(f, "team/m", "v2", b).digest;
    assert_int_equal(number_of(f, "team/m", &da), 1);
    assert_int_equal(number_of(f, "team/m", &ds), 0); /* a signature */
    assert_int_equal(number_of(f, "team/m", &dc), 0); /* by digest: a child of an index, say */
    assert_int_equal(number_of(f, "team/m", &db), 2);

    push(f, "team/m", "also", c); /* tagged later: its number comes then */
    assert_int_equal(number_of(f, "team/m", &dc), 3);
    push(f, "team/m", "v1", b); /* has one already */
    assert_int_equal(number_of(f, "team/m", &db), 2);
    remove_manifest(f, "team/m", &da);
    push(f, "team/m", "v1", a); /* back again, under the same number */
    assert_int_equal(number_of(f, "team/m", &da), 1);
    kv_digest dd = push(f, "team/m", "x", index_of(f, "d")).digest;
    assert_int_equal(number_of(f, "team/m", &dd), 4);
    push(f, "team/other", "v1", a); /* each repository counts for itself */
    assert_int_equal(number_of(f, "team/other", &da), 1);
}

static void logs_each_change_once(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *name, *tag, *salt;
        bool drop_tag, drop_version;
        const char *want;
    } STEPS[] = {
        {"first push", "v1", "a", false, false,
         "namespace.created \nrepo.created \nversion.pushed \ntag.created v1\n"},
        {"again", "v1", "a", false, false, ""},
        {"another tag", "v2", "a", false, false, "tag.created v2\n"},
        {"by digest again", NULL, "a", false, false, ""},
        {"moved", "v1", "b", false, false, "version.pushed \ntag.moved v1\n"},
        {"moved back", "v1", "a", false, false, "tag.moved v1\n"},
        {"tag deleted", "v2", "a", true, false, "tag.deleted v2\n"},
        {"version deleted", "v1", "a", false, true, "tag.deleted v1\nversion.trashed \n"},
        {"pushed again", "v1", "a", false, false, "version.pushed \ntag.created v1\n"},
    };
    for (size_t i = 0; i < KV_COUNT(STEPS); i++) {
        int64_t before = log_length(f);
        kv_sv bytes = index_of(f, STEPS[i].salt);
        kv_digest d = kv_digest_of(KV_SHA256, bytes);
        kv_ref tag = {.tag = kv_sv_of(STEPS[i].tag)};
        kv_condition any = {0};
        kv_error err = {0};
        if (STEPS[i].drop_version)
            remove_manifest(f, "team/m", &d);
        else if (STEPS[i].drop_tag)
            want(kv_manifest_delete(f->reg, &ANYBODY, KV_SV("team/m"), &tag, &any, &err), KV_OK,
                 &err);
        else
            push(f, "team/m", STEPS[i].tag, bytes);
        char *got = log_from(f, before + 1);
        if (strcmp(got, STEPS[i].want) != 0) fail_msg("%s: %s", STEPS[i].name, got);
        free(got);
    }
}

typedef struct racer {
    fixture *f;
    pthread_t thread;
    int id;
} racer;

static void *race(void *arg)
{
    racer *r = arg;
    for (int i = 0; i < 10; i++) {
        char salt[32], tag[32];
        snprintf(salt, sizeof(salt), "%d-%d", r->id, i);
        snprintf(tag, sizeof(tag), "t%d", i);
        kv_auto_buf b = KV_BUF(4096);
        kv_buf_addf(&b, "{\"schemaVersion\":2,\"manifests\":[],\"annotations\":{\"s\":\"%s\"}}",
                    salt);
        kv_auto(kv_arena) arena = kv_arena_new(1u << 20);
        kv_sv name = kv_sv_of(tag);
        kv_pushed done;
        kv_error err = {0};
        kv_push p = {.repository = KV_SV("team/race"), .tags = &name, .n_tags = 1, .bytes = &b};
        want(kv_manifest_push(r->f->reg, &ANYBODY, &p, arena, &done, &err), KV_OK, &err);
    }
    return NULL;
}

static void numbers_have_no_gap_under_concurrency(void **state)
{
    racer r[4];
    for (int i = 0; i < 4; i++) {
        r[i] = (racer){.f = *state, .id = i};
        assert_int_equal(pthread_create(&r[i].thread, NULL, race, &r[i]), 0);
    }
    for (int i = 0; i < 4; i++) pthread_join(r[i].thread, NULL);
    fixture *f = *state;
    kv_error err = {0};
    kv_repository repo;
    kv_tx *tx = begin(f->hub->db, KV_TX_READ);
    want(kv_repository_find(tx, KV_SV("team/race"), &repo, &err), KV_OK, &err);
    kv_tx_rollback(tx);
    assert_int_equal(repo.last_number, 40);
    bool seen[41] = {false};
    for (int i = 0; i < 40; i++) {
        char salt[32];
        snprintf(salt, sizeof(salt), "%d-%d", i / 10, i % 10);
        kv_auto_buf b = KV_BUF(4096);
        kv_buf_addf(&b, "{\"schemaVersion\":2,\"manifests\":[],\"annotations\":{\"s\":\"%s\"}}",
                    salt);
        kv_digest d = kv_digest_of(KV_SHA256, kv_buf_sv(&b));
        int64_t n = number_of(f, "team/race", &d);
        assert_true(n >= 1 && n <= 40 && !seen[n]);
        seen[n] = true;
    }
}

static void knows_system_tags(void **state)
{
#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    static const struct {
        kv_sv tag;
        bool want;
    } CASES[] = {
        {KV_SV_INIT("sha256-" HEX64), true},
        {KV_SV_INIT("sha512-" HEX64), true},
        {KV_SV_INIT("sha256-" HEX64 ".sig"), true},
        {KV_SV_INIT("sha256-" HEX64 ".att"), true},
        {KV_SV_INIT("sha256-" HEX64 ".sbom"), true},
        {KV_SV_INIT("sha256-" HEX64 ".other"), false},
        {KV_SV_INIT("sha256-" HEX64 "0"), false},
        {KV_SV_INIT("sha256-0123"), false},
        {KV_SV_INIT("sha384-" HEX64), false},
        {KV_SV_INIT("latest"), false},
        {KV_SV_INIT(""), false},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++)
        if (kv_tag_is_system(CASES[i].tag) != CASES[i].want) fail_msg("%.*s", KV_ARG(CASES[i].tag));
}

static void conditions_decide(void **state)
{
    fixture *f = *state;
    kv_sv old = index_of(f, "old"), new = index_of(f, "new");
    kv_digest d = push(f, "team/c", "here", old).digest;
    kv_digest_text is = kv_digest_str(&d);
    kv_sv right = kv_sv_of(is.s), wrong = KV_SV("sha256:0");
    const struct {
        const char *name, *tag;
        kv_condition c;
        kv_code want;
    } CASES[] = {
        {"absent, is there", "here", {.absent = true}, KV_E_EXISTS},
        {"present, is not", "gone", {.present = true}, KV_E_EXISTS},
        {"wrong one", "here", {.is = &wrong, .n_is = 1}, KV_E_EXISTS},
        {"wrong one of none", "gone", {.is = &wrong, .n_is = 1}, KV_E_EXISTS},
        {"right one", "here", {.is = &right, .n_is = 1}, KV_OK},
        {"absent", "gone", {.absent = true}, KV_OK},
        {"present", "here", {.present = true}, KV_OK},
    };
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_error err = {0};
        kv_pushed done;
        kv_sv tag = kv_sv_of(CASES[i].tag);
        kv_auto_buf body = KV_BUF(4096);
        kv_buf_add(&body, new);
        kv_push p = {.repository = KV_SV("team/c"),
                     .tags = &tag,
                     .n_tags = 1,
                     .if_tag = CASES[i].c,
                     .bytes = &body};
        kv_code got = kv_manifest_push(f->reg, &ANYBODY, &p, f->arena, &done, &err);
        if (got != CASES[i].want) fail_msg("%s: %d %s", CASES[i].name, (int)got, err.msg);
    }
}

/* --- blobs --- */

static bool mount(fixture *f, const kv_principal *who, const char *to, const kv_digest *d,
                  const char *from)
{
    kv_error err = {0};
    bool done = false;
    want(kv_repo_blob_mount(f->reg, who, kv_sv_of(to), d, kv_sv_of(from), &done, &err), KV_OK,
         &err);
    return done;
}

static void mounts_only_what_may_be_read(void **state)
{
    fixture *f = *state;
    const kv_principal bob = {.type = "user",
                              .id = KV_SV_INIT("01890000-0000-7000-8000-000000000000"),
                              .authn = "password",
                              .members = READER,
                              .n_members = KV_COUNT(READER)};
    kv_digest open = push_blob(f, "lib/base", KV_SV("everybody's"));
    kv_digest secret = push_blob(f, "hidden/base", KV_SV("theirs"));
    push_blob(f, "team/x", KV_SV("there")); /* bob may not make namespaces, this one is */
    kv_digest nowhere = kv_digest_of(KV_SHA256, KV_SV("nobody's"));

    assert_false(mount(f, &bob, "team/x", &secret, "hidden/base"));
    assert_false(mount(f, &bob, "team/x", &secret, ""));
    assert_false(mount(f, &bob, "team/x", &secret, "lib/base"));
    assert_false(mount(f, &bob, "team/x", &nowhere, "lib/base"));
    assert_false(mount(f, &bob, "team/x", &nowhere, ""));
    assert_false(mount(f, &bob, "team/x", &open, "hidden/base"));
    assert_true(mount(f, &bob, "team/x", &open, "lib/base"));
    assert_true(mount(f, &bob, "team/y", &open, ""));
    kv_auto(kv_blob_reader) r = NULL;
    kv_error err = {0};
    want(kv_repo_blob_open(f->reg, KV_SV("team/y"), &open, &r, &err), KV_OK, &err);
    assert_true(mount(f, &ANYBODY, "team/x", &secret, ""));
}

/* --- uploads --- */

static kv_upload *open_upload(fixture *f, const char *id, kv_code wanted)
{
    kv_error err = {0};
    kv_upload *u = NULL;
    want(kv_upload_open(f->reg, &ANYBODY, KV_SV("team/u"), kv_sv_of(id), &u, &err), wanted, &err);
    return u;
}

static kv_upload_state start_upload(fixture *f)
{
    kv_error err = {0};
    kv_upload_state s;
    want(kv_upload_start(f->reg, &ANYBODY, KV_SV("team/u"), KV_SHA256, &s, &err), KV_OK, &err);
    return s;
}

static void keeps_more_uploads_than_it_holds_open(void **state)
{
    enum { N = 150 };
    fixture *f = *state;
    kv_upload_state s[N];
    kv_error err = {0};
    for (int i = 0; i < N; i++) s[i] = start_upload(f);
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < N; i++) {
            kv_upload *u = open_upload(f, s[i].id, KV_OK);
            assert_int_equal(kv_upload_offset(u), round * 4);
            want(kv_upload_append(u, "four", 4, &err), KV_OK, &err);
            want(kv_upload_keep(u, &err), KV_OK, &err);
        }
    kv_digest d = kv_digest_of(KV_SHA256, KV_SV("fourfourfour"));
    for (int i = 0; i < N; i++)
        want(kv_upload_finish(open_upload(f, s[i].id, KV_OK), &ANYBODY, &d, &err), KV_OK, &err);
}

static void goes_on_in_another_process(void **state)
{
    fixture *f = *state;
    kv_error err = {0};
    kv_upload_state s = start_upload(f), t;
    kv_upload *u = open_upload(f, s.id, KV_OK);
    want(kv_upload_append(u, "begun, ", 7, &err), KV_OK, &err);
    want(kv_upload_keep(u, &err), KV_OK, &err);
    kv_registry_close(f->reg);
    want(kv_registry_open(f->hub->db, f->blobs, f->hub->audit, &f->reg, &err), KV_OK, &err);
    want(kv_upload_ask(f->reg, &ANYBODY, KV_SV("team/u"), kv_sv_of(s.id), &t, &err), KV_OK, &err);
    assert_int_equal(t.offset, 7);
    u = open_upload(f, s.id, KV_OK);
    want(kv_upload_append(u, "done", 4, &err), KV_OK, &err);
    kv_digest d = kv_digest_of(KV_SHA256, KV_SV("begun, done"));
    want(kv_upload_finish(u, &ANYBODY, &d, &err), KV_OK, &err);
}

static void belongs_to_who_began_it(void **state)
{
    fixture *f = *state;
    const kv_principal bob = {.type = "user",
                              .id = KV_SV_INIT("01890000-0000-7000-8000-000000000000"),
                              .everything = true};
    kv_error err = {0};
    kv_upload_state s = start_upload(f), t;
    kv_upload *u = NULL;
    for (int held = 0; held < 2; held++) { /* as a row only, and in memory */
        want(kv_upload_open(f->reg, &bob, KV_SV("team/u"), kv_sv_of(s.id), &u, &err), KV_E_NOTFOUND,
             &err);
        want(kv_upload_open(f->reg, &ANYBODY, KV_SV("team/v"), kv_sv_of(s.id), &u, &err),
             KV_E_NOTFOUND, &err);
        want(kv_upload_ask(f->reg, &bob, KV_SV("team/u"), kv_sv_of(s.id), &t, &err), KV_E_NOTFOUND,
             &err);
        want(kv_upload_cancel(f->reg, &bob, KV_SV("team/u"), kv_sv_of(s.id), &err), KV_E_NOTFOUND,
             &err);
        want(kv_upload_keep(open_upload(f, s.id, KV_OK), &err), KV_OK, &err);
    }
    want(kv_upload_cancel(f->reg, &ANYBODY, KV_SV("team/u"), kv_sv_of(s.id), &err), KV_OK, &err);
    open_upload(f, s.id, KV_E_NOTFOUND);
    open_upload(f, "no id", KV_E_NOTFOUND);
}

static void one_request_at_a_time(void **state)
{
    fixture *f = *state;
    kv_error err = {0};
    kv_upload_state s = start_upload(f), t;
    kv_upload *u = open_upload(f, s.id, KV_OK);
    want(kv_upload_append(u, "x", 1, &err), KV_OK, &err);
    open_upload(f, s.id, KV_E_BUSY);
    want(kv_upload_ask(f->reg, &ANYBODY, KV_SV("team/u"), kv_sv_of(s.id), &t, &err), KV_OK, &err);
    assert_int_equal(t.offset, 1);
    want(kv_upload_keep(u, &err), KV_OK, &err);
    kv_upload_release(open_upload(f, s.id, KV_OK));
}

static void sweeps(void **state)
{
    fixture *f = *state;
    kv_error err = {0};
    kv_upload_state s = start_upload(f);
    kv_upload *u = open_upload(f, s.id, KV_OK);
    want(kv_upload_append(u, "abc", 3, &err), KV_OK, &err);
    want(kv_upload_keep(u, &err), KV_OK, &err);
    want(kv_upload_sweep(f->reg, 0, &err), KV_OK, &err); /* saved, not forgotten */
    u = open_upload(f, s.id, KV_OK);
    assert_int_equal(kv_upload_offset(u), 3);
    want(kv_upload_keep(u, &err), KV_OK, &err);
    want(kv_upload_sweep(f->reg, 0, &err), KV_OK, &err);

    static kv_query q = KV_QUERY("UPDATE upload SET touched_at = 1");
    kv_tx *tx = begin(f->hub->db, KV_TX_WORK);
    want(kv_tx_exec(tx, &q, KV_NO_VALS, NULL, &err), KV_OK, &err);
    want(kv_tx_commit(tx, &err), KV_OK, &err);
    u = open_upload(f, s.id, KV_OK);
    want(kv_upload_sweep(f->reg, 0, &err), KV_OK, &err); /* in use: its time begins anew */
    want(kv_upload_keep(u, &err), KV_OK, &err);
    kv_upload_release(open_upload(f, s.id, KV_OK));
}

/* --- a store that fails --- */

static const struct {
    const char *op;
    unsigned n;
    kv_code code;
} FAULTS[] = {
    {"begin", 1, KV_E_NOSPACE},
    {"append", 1, KV_E_NOSPACE},
    {"append", 2, KV_E_IO},
    {"finish", 1, KV_E_IO},
};

static void a_failed_upload_leaves_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < KV_COUNT(FAULTS); i++) {
        fixture *f = NULL;
        kv_error err = {0};
        kv_blobs *bad = kv_blobs_new_fault(kv_blobs_new_mem(), FAULTS[i].op, FAULTS[i].n,
                                           FAULTS[i].code);
        assert_int_equal(setup_with((void **)&f, bad), 0);
        kv_upload_state s = start_upload(f);
        kv_upload *u = NULL;
        kv_digest d = kv_digest_of(KV_SHA256, KV_SV("abcd"));
        kv_code rc = kv_upload_open(f->reg, &ANYBODY, KV_SV("team/u"), kv_sv_of(s.id), &u, &err);
        if (rc == KV_OK) rc = kv_upload_append(u, "ab", 2, &err);
        if (rc == KV_OK) rc = kv_upload_append(u, "cd", 2, &err);
        if (rc == KV_OK) rc = kv_upload_finish(KV_TAKE(u), &ANYBODY, &d, &err);
        kv_upload_release(u);
        if (rc != FAULTS[i].code) fail_msg("%s %u: %d", FAULTS[i].op, FAULTS[i].n, (int)rc);
        kv_auto(kv_blob_reader) r = NULL;
        assert_int_equal(kv_repo_blob_open(f->reg, KV_SV("team/u"), &d, &r, NULL), KV_E_NOTFOUND);
        push_blob(f, "team/u", KV_SV("abcd")); /* the next try */
        assert_int_equal(kv_repo_blob_open(f->reg, KV_SV("team/u"), &d, &r, NULL), KV_OK);
        kv_blob_close(KV_TAKE(r));
        assert_int_equal(teardown((void **)&f), 0);
    }
}

/* --- referrers --- */

static void pages_referrers(void **state)
{
    fixture *f = *state;
    kv_digest subject = kv_digest_of(KV_SHA256, KV_SV("subject"));
    for (int i = 0; i < 5; i++) {
        kv_auto_buf b = KV_BUF(4096);
        kv_buf_addf(&b,
                    "{\"schemaVersion\":2,\"manifests\":[],\"artifactType\":\"a/%d\",\"subject\":"
                    "{\"mediaType\":\"x/y\",\"size\":7,\"digest\":\"%s\"}}",
                    i % 2, kv_digest_str(&subject).s);
        char tag[8];
        snprintf(tag, sizeof(tag), "t%d", i);
        kv_buf_addf(&b, "%*s", i, ""); /* another digest each */
        push(f, "team/r", tag, kv_buf_sv(&b));
    }
    static const struct {
        kv_sv type;
        size_t at_most;
        int want_pages, want_entries;
    } CASES[] = {
        {KV_SV_INIT(""), 100, 1, 5},  {KV_SV_INIT(""), 5, 1, 5},    {KV_SV_INIT(""), 2, 3, 5},
        {KV_SV_INIT("a/0"), 2, 2, 3}, {KV_SV_INIT("a/9"), 2, 1, 0},
    };
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        int pages = 0, entries = 0;
        char last[KV_DIGEST_TEXT_MAX] = "";
        do {
            kv_error err = {0};
            kv_auto_buf out = KV_BUF(1u << 20);
            char next[KV_DIGEST_TEXT_MAX];
            kv_referrer_query q = {.repository = KV_SV("team/r"),
                                   .subject = subject,
                                   .artifact_type = CASES[i].type,
                                   .last = kv_sv_of(last),
                                   .at_most = CASES[i].at_most};
            want(kv_referrer_list(f->reg, &q, &out, next, &err), KV_OK, &err);
            for (size_t k = 0; k < out.n; k++) entries += out.p[k] == '{';
            memcpy(last, next, sizeof(last));
            pages++;
        } while (last[0]);
        if (pages != CASES[i].want_pages || entries != CASES[i].want_entries)
            fail_msg("case %zu: %d pages, %d entries", i, pages, entries);
    }
}

KV_TEST_MAIN(WITH_REGISTRY(numbers_versions), WITH_REGISTRY(logs_each_change_once),
             WITH_REGISTRY(numbers_have_no_gap_under_concurrency),
             cmocka_unit_test(knows_system_tags), WITH_REGISTRY(conditions_decide),
             WITH_REGISTRY(mounts_only_what_may_be_read),
             WITH_REGISTRY(keeps_more_uploads_than_it_holds_open),
             WITH_REGISTRY(goes_on_in_another_process), WITH_REGISTRY(belongs_to_who_began_it),
             WITH_REGISTRY(one_request_at_a_time), WITH_REGISTRY(sweeps),
             cmocka_unit_test(a_failed_upload_leaves_nothing), WITH_REGISTRY(pages_referrers))

#include "hub/job/tlog.h"

#include <string.h>
#include <sys/stat.h>

#include "codec/text.h"
#include "hub/db/q_audit.h"
#include "test/unit/hub/hub_test.h"

static void add(hub_fixture *f, int n)
{
    kv_error err = {0};
    kv_event ev = {.action = "config.changed"};
    kv_tx *tx = begin(f->db, KV_TX_STATE);
    for (int i = 0; i < n; i++)
        want(kv_audit_add(f->audit, tx, &KV_PRINCIPAL_SYSTEM, &ev, NULL, &err), KV_OK, &err);
    want(kv_tx_commit(tx, &err), KV_OK, &err);
}

static void publish(hub_fixture *f)
{
    kv_error err = {0};
    kv_auto_str dir = kv_path_join(f->dir, "tlog");
    want(kv_tlog_publish(f->db, dir, "example", &err), KV_OK, &err);
}

/* Size of a file below tlog; -1: there is none. */
static int64_t size_of(hub_fixture *f, const char *name)
{
    char path[300];
    struct stat st;
    snprintf(path, sizeof(path), "%s/tlog/%s", f->dir, name);
    return stat(path, &st) == 0 ? (int64_t)st.st_size : -1;
}

static kv_buf read_file(hub_fixture *f, const char *name)
{
    char path[300];
    kv_buf b = KV_BUF(32u << 20);
    kv_error err = {0};
    snprintf(path, sizeof(path), "%s/tlog/%s", f->dir, name);
    want(kv_file_read(path, &b, &err), KV_OK, &err);
    return b;
}

static void grows(void **state)
{
    hub_fixture *f = *state;
    add(f, 3);
    publish(f);
    assert_int_equal(size_of(f, "tile/0/000.p/3"), 3 * 32);
    add(f, 252);
    publish(f);
    assert_int_equal(size_of(f, "tile/0/000.p/255"), 255 * 32);
    assert_int_equal(size_of(f, "tile/0/000.p/3"), 3 * 32); /* of the checkpoint before */
    assert_int_equal(size_of(f, "tile/1/000.p/0"), -1);
    add(f, 1);
    publish(f);
    assert_int_equal(size_of(f, "tile/0/000"), 256 * 32);
    assert_int_equal(size_of(f, "tile/0/000.p"), -1);
    assert_int_equal(size_of(f, "tile/entries/000.p"), -1);
    assert_int_equal(size_of(f, "tile/1/000.p/1"), 32);
    add(f, 600);
    publish(f);
    assert_int_equal(size_of(f, "tile/0/002"), 256 * 32);
    assert_int_equal(size_of(f, "tile/0/003.p/88"), 88 * 32);
    assert_int_equal(size_of(f, "tile/1/000.p/3"), 3 * 32);
    publish(f); /* nothing new */
}

/* Entries give leaf hashes, leaf hashes the tile, the tile's fold the hash above. */
static void tiles_agree(void **state)
{
    hub_fixture *f = *state;
    add(f, 300);
    publish(f);
    kv_auto_buf entries = read_file(f, "tile/entries/000"), tile = read_file(f, "tile/0/000");
    kv_auto_buf above = read_file(f, "tile/1/000.p/1"), note = read_file(f, "checkpoint");
    kv_hash32 level[256];
    kv_rd rd = {.p = entries.p, .left = entries.n};
    for (size_t i = 0; i < 256; i++) {
        level[i] = kv_merkle_leaf(kv_rd_take(&rd, kv_rd_u16be(&rd)));
        assert_memory_equal(level[i].b, tile.p + 32 * i, 32);
    }
    assert_false(rd.bad);
    assert_int_equal(rd.left, 0);
    for (size_t n = 256; n > 1; n /= 2)
        for (size_t i = 0; i < n / 2; i++)
            level[i] = kv_merkle_node(&level[2 * i], &level[2 * i + 1]);
    assert_memory_equal(level[0].b, above.p, 32);

    kv_hash32 root;
    kv_auto_buf wanted = KV_BUF(200);
    kv_tx *tx = begin(f->db, KV_TX_READ);
    assert_int_equal(kv_q_audit_root(tx, 300, &root, NULL), KV_OK);
    kv_tx_rollback(tx);
    kv_buf_adds(&wanted, "example\n300\n");
    kv_base64_add(&wanted, (kv_sv){(const char *)root.b, 32});
    kv_buf_addc(&wanted, '\n');
    assert_string_equal(note.p, wanted.p);
}

static void made_again_when_lost(void **state)
{
    hub_fixture *f = *state;
    add(f, 300);
    publish(f);
    kv_auto_str dir = kv_path_join(f->dir, "tlog");
    assert_int_equal(kv_remove_tree(dir, NULL), KV_OK);
    publish(f);
    assert_int_equal(size_of(f, "tile/0/000"), 256 * 32);
    assert_int_equal(size_of(f, "tile/0/001.p/44"), 44 * 32);
    assert_true(size_of(f, "checkpoint") > 0);
}

static void refuses_another_log(void **state)
{
    hub_fixture *f = *state;
    static const struct {
        const char *name, *note;
    } CASES[] = {
        {"longer than the database", "example\n9\nAAAA\n"},
        {"another root", "example\n3\nAAAA\n"},
        {"not a checkpoint", "hello"},
        {"empty", ""},
    };
    add(f, 3);
    publish(f);
    add(f, 1);
    kv_auto_str dir = kv_path_join(f->dir, "tlog"), path = kv_path_join(dir, "checkpoint");
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_error err = {0};
        assert_int_equal(kv_file_write(path, kv_sv_of(CASES[i].note), 0600, NULL), KV_OK);
        kv_code got = kv_tlog_publish(f->db, dir, "example", &err);
        if (got != KV_E_CORRUPT) fail_msg("%s: %d '%s'", CASES[i].name, (int)got, err.msg);
    }
    assert_int_equal(size_of(f, "tile/0/000.p/4"), -1);
}

static void notes_checkpoints(void **state)
{
    hub_fixture *f = *state;
    kv_error err = {0};
    int64_t size;
    add(f, 5);
    for (int i = 0; i < 2; i++) want(kv_tlog_checkpoint(f->db, "example", &err), KV_OK, &err);
    kv_tx *tx = begin(f->db, KV_TX_READ);
    want(kv_q_checkpoint_last(tx, &size, &err), KV_OK, &err);
    kv_tx_rollback(tx);
    assert_int_equal(size, 5);
}

KV_TEST_MAIN(WITH_HUB(grows), WITH_HUB(tiles_agree), WITH_HUB(made_again_when_lost),
             WITH_HUB(refuses_another_log), WITH_HUB(notes_checkpoints))

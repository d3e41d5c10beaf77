#pragma once
/* A fresh database and audit log in a folder of their own, for tests of the hub's inside. */
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "hub/db/db.h"
#include "hub/service/audit.h"
#include "test/test.h"

typedef struct hub_fixture {
    char dir[64];
    char *path;
    kv_db *db;
    kv_audit *audit;
} hub_fixture;

static inline int hub_setup(void **state)
{
    hub_fixture *f = calloc(1, sizeof *f);
    if (!f) return 1;
    snprintf(f->dir, sizeof(f->dir), "/tmp/kv-test-hub-XXXXXX");
    if (!mkdtemp(f->dir)) return 1;
    f->path = kv_path_join(f->dir, "hub.db");
    kv_error err = {0};
    if (kv_db_open(&(kv_db_options){.path = f->path}, &f->db, &err) != KV_OK ||
        kv_audit_open(f->db, &f->audit, &err) != KV_OK) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    *state = f;
    return 0;
}

static inline int hub_teardown(void **state)
{
    hub_fixture *f = *state;
    kv_audit_close(f->audit);
    kv_db_close(f->db);
    kv_code rc = kv_remove_tree(f->dir, NULL);
    free(f->path);
    free(f);
    return rc != KV_OK;
}
#define WITH_HUB(fn) cmocka_unit_test_setup_teardown(fn, hub_setup, hub_teardown)

static inline kv_tx *begin(kv_db *db, kv_tx_kind kind)
{
    kv_error err = {0};
    kv_tx *tx = NULL;
    if (kv_tx_begin(db, kind, &tx, &err) != KV_OK) fail_msg("%s", err.msg);
    return tx;
}

static inline void want(kv_code got, kv_code wanted, const kv_error *err)
{
    if (got != wanted) fail_msg("code %d instead of %d: %s", (int)got, (int)wanted, err->msg);
}

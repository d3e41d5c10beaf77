#include "hub/hub.h"

#include <errno.h>
#include <stdlib.h>

#include "base/file.h"
#include "blob/blob.h"
#include "hub/config.h"
#include "hub/db/db.h"
#include "hub/job/chores.h"
#include "hub/service/audit.h"
#include "hub/service/registry.h"
#include "hub/service/upload.h"

enum { SWEEP_MS = 60 * 1000 };

static kv_code sweep_uploads(void *ctx, kv_error *err)
{
    const kv_hub *hub = ctx;
    return kv_upload_sweep(hub->registry, SWEEP_MS * UINT64_C(1000), err);
}

static const kv_chore CHORES[] = {
    {.name = "sweeping uploads", .period_ms = SWEEP_MS, .run = sweep_uploads},
};

static kv_code open_parts(kv_hub *hub, kv_error *err)
{
    const char *data = hub->config->data;
    KV_TRY(kv_mkdirs(data, 0700, err));
    kv_auto_str lock = kv_path_join(data, "lock"), db = kv_path_join(data, "hub.db");
    if (!lock || !db) return kv_fail(err, KV_E_NOMEM, "out of memory");
    /* Two processes on one directory would each believe what the other changes. */
    kv_code rc = kv_lock_file(lock, true, 0, &hub->lock_fd, err);
    if (rc == KV_E_BUSY) return kv_fail(err, rc, "another hub is using '%s'", data);
    KV_TRY(rc);
    KV_TRY(kv_blobs_open_fs(data, &hub->blobs, err));
    KV_TRY(kv_db_open(&(kv_db_options){.path = db}, &hub->db, err));
    KV_TRY(kv_audit_open(hub->db, &hub->audit, err));
    KV_TRY(kv_registry_open(hub->db, hub->blobs, hub->audit, &hub->registry, err));
    return kv_chores_start(CHORES, KV_COUNT(CHORES), hub, &hub->chores, err);
}

kv_code kv_hub_open(kv_hub *hub, const kv_config *config, kv_error *err)
{
    hub->config = config;
    hub->lock_fd = -1;
    kv_code rc = open_parts(hub, err);
    if (rc != KV_OK) kv_hub_close(hub);
    return rc;
}

kv_code kv_hub_check(kv_hub *hub, kv_error *err)
{
    kv_tx *tx;
    KV_TRY(kv_tx_begin(hub->db, KV_TX_READ, &tx, err));
    kv_tx_rollback(tx);
    return KV_OK;
}

void kv_hub_close(kv_hub *hub)
{
    kv_chores_stop(hub->chores);
    kv_registry_close(hub->registry);
    kv_audit_close(hub->audit);
    kv_db_close(hub->db);
    kv_blobs_free(hub->blobs);
    kv_close_fd(&hub->lock_fd);
    hub->chores = NULL;
    hub->registry = NULL;
    hub->audit = NULL;
    hub->db = NULL;
    hub->blobs = NULL;
}

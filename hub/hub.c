#include "hub/hub.h"

#include <stdlib.h>

#include "base/file.h"
#include "blob/blob.h"
#include "hub/config.h"
#include "hub/db/db.h"
#include "hub/job/chores.h"
#include "hub/job/tlog.h"
#include "hub/log.h"
#include "hub/metrics.h"
#include "hub/service/audit.h"
#include "hub/service/first_admin.h"
#include "hub/service/history.h"
#include "hub/service/registry.h"
#include "hub/service/upload.h"
#include "kitvault/version.h"
#include "json/json.h"

enum {
    SWEEP_MS = 60 * 1000,
    COUNTED_MS = 1000,         /* counted events are in the log within this */
    PUBLISH_MS = 5 * 1000,     /* and its files this much behind: each round costs some fsyncs */
    CHECKPOINT_MS = 60 * 1000, /* trust.md 5.4 */
};

static kv_code sweep_uploads(void *ctx, kv_error *err)
{
    const kv_hub *hub = ctx;
    return kv_upload_sweep(hub->registry, SWEEP_MS * UINT64_C(1000), err);
}

static kv_code write_counted(void *ctx, kv_error *err)
{
    const kv_hub *hub = ctx;
    return kv_audit_flush(hub->audit, false, err);
}

static kv_code publish_log(void *ctx, kv_error *err)
{
    const kv_hub *hub = ctx;
    return kv_tlog_publish(hub->db, hub->tlog_dir, hub->log_origin, err);
}

static kv_code note_checkpoint(void *ctx, kv_error *err)
{
    const kv_hub *hub = ctx;
    return kv_tlog_checkpoint(hub->db, hub->log_origin, err);
}

static const kv_chore CHORES[] = {
    {.name = "writing counted events", .period_ms = COUNTED_MS, .run = write_counted},
    {.name = "publishing the audit log", .period_ms = PUBLISH_MS, .run = publish_log},
    {.name = "noting a checkpoint", .period_ms = CHECKPOINT_MS, .run = note_checkpoint},
    {.name = "sweeping uploads", .period_ms = SWEEP_MS, .run = sweep_uploads},
};

static kv_code open_identity(kv_hub *hub, kv_error *err)
{
    const kv_config *config = hub->config;
    kv_auto_buf origin = KV_BUF(128);
    KV_TRY(kv_identity_open(hub->db, hub->audit, !config->no_auth, &hub->identity, err));
    /* The log keeps its name whatever address the hub moves to. */
    kv_buf_addf(&origin, "kitvault/%s", kv_identity_hub(hub->identity));
    hub->log_origin = kv_buf_take(&origin);
    hub->tlog_dir = kv_path_join(config->data, "tlog");
    if (!hub->log_origin || !hub->tlog_dir) return kv_fail(err, KV_E_NOMEM, "out of memory");
    if (config->no_auth) return KV_OK;
    bool made;
    KV_TRY(kv_first_admin(hub->identity, config->data, config->admin_password_file, &made, err));
    if (made)
        kv_log(KV_INFO, "the password of the user 'admin' is in '%s/initial-admin-password'",
               config->data);
    return KV_OK;
}

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
    KV_TRY(open_identity(hub, err));
    KV_TRY(kv_registry_open(hub->db, hub->blobs, hub->audit, &hub->registry, err));
    return kv_chores_start(CHORES, KV_COUNT(CHORES), hub, &hub->chores, err);
}

static void add_metrics(void *ctx, kv_buf *out)
{
    const kv_hub *hub = ctx;
    kv_sign_ins n = kv_identity_sign_ins(hub->identity);
    kv_metric_head(out, "kv_auth_total", "counter", "Sign-ins by method and outcome.");
    kv_metric_value(out, "kv_auth_total", "method=\"password\",outcome=\"ok\"", n.password_ok);
    kv_metric_value(out, "kv_auth_total", "method=\"password\",outcome=\"failed\"",
                    n.password_failed);
    kv_metric_value(out, "kv_auth_total", "method=\"token\",outcome=\"ok\"", n.token_ok);
    kv_metric_value(out, "kv_auth_total", "method=\"token\",outcome=\"failed\"", n.token_failed);
    int64_t n_events;
    if (kv_events_count(hub->db, &n_events, NULL) != KV_OK) return;
    kv_metric_head(out, "kv_audit_events_total", "counter", "Events of the audit log, ever.");
    kv_metric_value(out, "kv_audit_events_total", "", (uint64_t)n_events);
}

kv_code kv_hub_open(kv_hub *hub, const kv_config *config, kv_error *err)
{
    hub->config = config;
    hub->lock_fd = -1;
    kv_code rc = open_parts(hub, err);
    if (rc == KV_OK && hub->metrics && !kv_metrics_add_source(hub->metrics, add_metrics, hub))
        rc = kv_fail(err, KV_E_INTERNAL, "too many sources of metrics");
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

/* The last words of the log; whatever fails is done at the next start, but for counted events. */
static void end_log(kv_hub *hub)
{
    kv_error err = {0};
    if (!hub->chores) return; /* never served */
    if (kv_audit_flush(hub->audit, true, &err) != KV_OK ||
        kv_audit_stopped(hub->audit, &err) != KV_OK || publish_log(hub, &err) != KV_OK ||
        note_checkpoint(hub, &err) != KV_OK)
        kv_log(KV_ERROR, "ending the audit log: %s", err.msg);
}

void kv_hub_close(kv_hub *hub)
{
    kv_chores_stop(hub->chores);
    kv_registry_close(hub->registry);
    end_log(hub);
    kv_identity_close(hub->identity);
    kv_audit_close(hub->audit);
    kv_db_close(hub->db);
    kv_blobs_free(hub->blobs);
    kv_close_fd(&hub->lock_fd);
    hub->chores = NULL;
    hub->registry = NULL;
    free(hub->tlog_dir);
    free(hub->log_origin);
    hub->tlog_dir = hub->log_origin = NULL;
    hub->identity = NULL;
    hub->audit = NULL;
    hub->db = NULL;
    hub->blobs = NULL;
}

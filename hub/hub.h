#pragma once
/*
 * The hub: what its parts share. main.c opens it, handlers get it, services take members of it.
 * Everything here is made before the first request and freed after the last; the pointers do not
 * change in between, so reading them needs no lock.
 */
#include "base/str.h"

/** What a route demands of its caller; the object is the repository in the path, where there is
 * one. Rights of one repository include the ones before: push allows pull. */
typedef enum kv_right {
    KV_RIGHT_NONE,   /* anybody: health, the token service, which check for themselves */
    KV_RIGHT_PING,   /* "/v2/": anybody signed in; a challenge otherwise */
    KV_RIGHT_USER,   /* anybody signed in */
    KV_RIGHT_PULL,   /* read the repository */
    KV_RIGHT_PUSH,   /* write it */
    KV_RIGHT_DELETE, /* remove from it */
    KV_RIGHT_ADMIN,  /* administrators */
} kv_right;

struct kv_config;
struct kv_metrics;
struct kv_db;
struct kv_blobs;
struct kv_audit;
struct kv_identity;
struct kv_registry;
struct kv_chores;

typedef struct kv_hub {
    const struct kv_config *config;
    struct kv_metrics *metrics;
    struct kv_blobs *blobs;
    struct kv_db *db;
    struct kv_audit *audit;
    struct kv_identity *identity;
    char *tlog_dir, *log_origin; /* where the audit log lies as files, and what it is called */
    struct kv_registry *registry;
    struct kv_chores *chores; /* what is done from time to time */
    int lock_fd;              /* held as long as this hub runs on its data directory */
} kv_hub;

/** Opens database, blobs and services below config->data. On failure nothing is left open.
 * Errors: KV_E_BUSY (another hub runs on that directory), and what database and blobs have. */
KV_MUST_CHECK kv_code kv_hub_open(kv_hub *hub, const struct kv_config *config, kv_error *err);
/** KV_OK when the hub can serve; else why not. For /readyz. */
KV_MUST_CHECK kv_code kv_hub_check(kv_hub *hub, kv_error *err);
void kv_hub_close(kv_hub *hub);

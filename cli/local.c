#include "cli/local.h"

#include <stdlib.h>
#include <string.h>

static kv_code set_sync(kv_store *store, kv_error *err)
{
    const char *sync = getenv("KITVAULT_SYNC");
    if (!sync || !*sync || strcmp(sync, "off") == 0) return KV_OK;
    if (strcmp(sync, "on") != 0)
        return kv_fail(err, KV_E_ARG, "KITVAULT_SYNC is '%s', neither on nor off", sync);
    kv_store_wait(store);
    return KV_OK;
}

kv_code kv_cli_store(const kv_cli *cli, kv_store **out, kv_error *err)
{
    kv_auto(kv_store) store = NULL;
    KV_TRY(kv_store_open(kv_cli_home(cli), &store, err));
    KV_TRY(set_sync(store, err));
    KV_TRY(kv_store_migrate(store, kv_cli_report(cli), err));
    *out = KV_TAKE(store);
    return KV_OK;
}

#include "cli/local.h"

kv_code kv_cli_store(const kv_cli *cli, kv_store **out, kv_error *err)
{
    kv_auto(kv_store) store = NULL;
    KV_TRY(kv_store_open(kv_cli_home(cli), &store, err));
    KV_TRY(kv_store_migrate(store, kv_cli_report(cli), err));
    *out = KV_TAKE(store);
    return KV_OK;
}

#include "cli/local.h"

kv_code kv_cli_store(const kv_cli *cli, kv_store **out, kv_error *err)
{
    return kv_store_open(kv_cli_home(cli), out, err);
}

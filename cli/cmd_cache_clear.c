#include <sys/stat.h>

#include "base/file.h"
#include "cli/context.h"

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    (void)args;
    (void)operand;
    kv_auto_str path = kv_cli_home_path(cli, "cache");
    if (!path) return kv_fail(err, KV_E_NOMEM, "out of memory");
    struct stat st;
    if (lstat(path, &st) < 0) return KV_OK;
    KV_TRY(kv_remove_tree(path, err));
    return kv_mkdirs(path, 0700, err);
}

const kv_cmd kv_cmd_cache_clear = {
    .name = "cache clear",
    .summary = "remove temporary files",
    .about =
        "Removes everything in the cache directory. ModelKits of the local store are not touched.\n"
        "What was kept there to save work, of transfers that broke off for instance, is done again\n"
        "when it is needed. Do not clear the cache while another command packs or imports.",
    .examples = "$ cache clear\n",
    .run = run,
};

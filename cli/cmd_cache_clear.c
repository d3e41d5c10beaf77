#include <sys/stat.h>

#include "base/file.h"
#include "cli/document.h"

typedef struct clear_args {
    const char *format;
} clear_args;

static const kv_opt OPTS[] = {KV_OPT_FORMAT(clear_args)};

static kv_code clear(const char *path, kv_error *err)
{
    struct stat st;
    if (lstat(path, &st) < 0) return KV_OK;
    KV_TRY(kv_remove_tree(path, err));
    return kv_mkdirs(path, 0700, err);
}

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    const clear_args *a = args;
    (void)operand;
    kv_auto_str path = kv_cli_home_path(cli, "cache");
    if (!path) return kv_fail(err, KV_E_NOMEM, "out of memory");
    KV_TRY(clear(path, err));
    if (!kv_is_json(a->format)) return KV_OK;
    kv_document d;
    kv_document_begin(&d, cli);
    kv_jout_kstr(&d.out, "path", kv_sv_of(path));
    return kv_document_end(&d, KV_OK, NULL);
}

const kv_cmd kv_cmd_cache_clear = {
    .name = "cache clear",
    .summary = "remove what is in the cache",
    .about =
        "Removes everything in the cache directory. ModelKits of the local store are not touched.\n"
        "What was kept there to save work, of transfers that broke off for instance, is done again\n"
        "when it is needed. Do not clear the cache while another command packs or imports.",
    .examples = "$ cache clear\n",
    .opts = OPTS,
    .n_opts = KV_COUNT(OPTS),
    .args_size = sizeof(clear_args),
    .run = run,
};

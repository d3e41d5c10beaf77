#include "cli/dev_server.h"

typedef struct logs_args {
    bool follow;
} logs_args;

static const kv_opt OPTS[] = {
    KV_OPT(logs_args, follow, "follow", 'f', "go on printing until the server ends"),
};

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    (void)operand;
    const logs_args *a = args;
    kv_code code = kv_dev_logs(cli, a->follow, err);
    if (code != KV_E_NOTFOUND) return code;
    kv_cli_line(cli, KV_ERROR, KV_SV("No log file found")); /* no failure in kit, either */
    return KV_OK;
}

const kv_cmd kv_cmd_dev_logs = {
    .name = "dev logs",
    .summary = "print what the server of dev start has printed",
    .examples = "$ dev logs\n",
    .opts = OPTS,
    .n_opts = KV_COUNT(OPTS),
    .args_size = sizeof(logs_args),
    .run = run,
};

#include "cli/context.h"
#include "cli/help.h"

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    (void)args;
    kv_auto_buf path = KV_BUF(256), text = KV_BUF(65536);
    for (; *operand; operand++) kv_buf_addf(&path, "%s%s", path.n ? " " : "", *operand);
    KV_TRY(kv_buf_check(&path, err));
    const kv_cmd *cmd = kv_cmd_find(kv_buf_sv(&path));
    if (cmd)
        kv_help_command(&text, kv_cli_program(cli), cmd);
    else if (!path.n || kv_cmd_group_find(kv_buf_sv(&path)))
        kv_help_group(&text, kv_cli_program(cli), kv_buf_sv(&path));
    else
        return kv_fail(err, KV_E_ARG, "unknown help topic '%s'", path.p);
    KV_TRY(kv_buf_check(&text, err));
    kv_cli_put(cli, kv_buf_sv(&text));
    return KV_OK;
}

const kv_cmd kv_cmd_help = {
    .name = "help",
    .operands = "[COMMAND...]",
    .summary = "explain a command",
    .examples = "$ help pack\n",
    .run = run,
};

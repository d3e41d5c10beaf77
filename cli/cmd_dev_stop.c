#include "cli/dev_server.h"

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    (void)args;
    (void)operand;
    kv_cli_say(cli, "Stopping development server...");
    kv_code code = kv_dev_stop(cli, err);
    if (code != KV_OK) return kv_wrap(err, code, "failed to stop dev server");
    kv_cli_say(cli, "Development server stopped");
    return KV_OK;
}

const kv_cmd kv_cmd_dev_stop = {
    .name = "dev stop",
    .summary = "end the server that dev start has started",
    .about = "Asks the server to end, and after ten seconds ends it.",
    .examples = "$ dev start .\n"
                "$ dev stop\n",
    .run = run,
};

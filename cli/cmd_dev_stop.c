#include "cli/dev_server.h"
#include "cli/document.h"

typedef struct stop_args {
    const char *format;
} stop_args;

static const kv_opt OPTS[] = {KV_OPT_FORMAT(stop_args)};

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    const stop_args *a = args;
    (void)operand;
    kv_cli_say(cli, "Stopping development server...");
    kv_code code = kv_dev_stop(cli, err);
    if (code != KV_OK) return kv_wrap(err, code, "failed to stop dev server");
    kv_cli_say(cli, "Development server stopped");
    if (!kv_is_json(a->format)) return KV_OK;
    kv_document d;
    kv_document_begin(&d, cli);
    kv_jout_kbool(&d.out, "stopped", true);
    return kv_document_end(&d, KV_OK, NULL);
}

const kv_cmd kv_cmd_dev_stop = {
    .name = "dev stop",
    .summary = "end the server that dev start has started",
    .about = "Asks the server to end, and after ten seconds ends it.",
    .examples = "$ dev start .\n"
                "$ dev stop\n",
    .opts = OPTS,
    .n_opts = KV_COUNT(OPTS),
    .args_size = sizeof(stop_args),
    .run = run,
};

#include "cli/document.h"
#include "cli/lookup.h"

typedef struct inspect_args {
    kv_net_args net;
    bool remote;
    const char *format;
} inspect_args;

static const kv_opt OPTS[] = {
    KV_OPT(inspect_args, remote, "remote", 'r', "look in the registry, not in the local store"),
    KV_OPT_FORMAT(inspect_args),
};

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    const inspect_args *a = args;
    kv_auto_lookup kit = {0};
    KV_TRY(kv_lookup(cli, operand[0], a->remote, &a->net, &kit, err));
    kv_auto_str kitfile = NULL, text = NULL;
    size_t n_kitfile = 0, n_text = 0;
    kv_code code = kv_kit_kitfile_json(&kit.source, &kit.reference, kit.manifest, &kitfile,
                                       &n_kitfile, err);
    /* A ModelPack may come without a Kitfile, and is shown without one. */
    if (code != KV_OK && code != KV_E_NOTFOUND)
        return kv_wrap(err, code, "error resolving modelkit");
    kv_sv json = {kitfile, n_kitfile};
    KV_TRY(kv_kit_inspect_json(kit.manifest, json, &text, &n_text, err));
    if (!kv_is_json(a->format)) {
        kv_cli_block(cli, KV_INFO, (kv_sv){text, n_text});
        return KV_OK;
    }
    kv_cli_put(cli, (kv_sv){text, n_text});
    kv_cli_put(cli, KV_SV("\n"));
    return KV_OK;
}

const kv_cmd kv_cmd_inspect = {
    .name = "inspect",
    .operands = "MODELKIT",
    .summary = "show a ModelKit's manifest and Kitfile as JSON",
    .about =
        "Prints one JSON object: digest (of the manifest), cliVersion (of the program that packed\n"
        "it), kitfile (with the digest of every layer) and manifest. With --format json a failure is an object, too, and nothing else is printed.",
    .examples = "$ inspect demo:v1\n"
                "# A ModelKit that was not pulled\n"
                "$ inspect --remote hub.example.com/team/demo:v1\n",
    .opts = OPTS,
    .n_opts = KV_COUNT(OPTS),
    .args_size = sizeof(inspect_args),
    .group = &kv_net_group,
    .group_off = offsetof(inspect_args, net),
    .kits = true,
    .run = run,
};

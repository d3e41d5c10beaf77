#include <stdio.h>

#include "cli/lookup.h"
#include "kitvault/files.h"

typedef struct cat_args {
    kv_net_args net;
    bool remote, verify;
} cat_args;

static const kv_opt OPTS[] = {
    KV_OPT(cat_args, remote, "remote", 'r', "look in the registry, not in the local store"),
    KV_OPT(cat_args, verify, "verify", 0,
           "read the whole layer from the registry and check its digest"),
};

static kv_code put(void *ctx, const void *p, size_t n, kv_error *err)
{
    const kv_cli *cli = ctx;
    kv_cli_put(cli, (kv_sv){p, n});
    if (ferror(stdout)) return kv_fail(err, KV_E_IO, "cannot write to standard output");
    return KV_OK;
}

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    const cat_args *a = args;
    kv_auto_lookup kit = {0};
    KV_TRY(kv_lookup_anywhere(cli, operand[0], a->remote, &a->net, &kit, err));
    kv_report quiet = *kv_cli_report(cli); /* a bar would stand in the file's text */
    quiet.progress = NULL;
    const kv_file_sink sink = {.write = put, .ctx = cli};
    kv_code code = kv_file_cat(&kit.source, &kit.reference, kit.manifest, kv_sv_of(operand[1]),
                               a->verify, &quiet, &sink, err);
    /* main tells what is wrong with standard output, or that its reader had enough. */
    return ferror(stdout) ? KV_OK : code;
}

const kv_cmd kv_cmd_cat = {
    .name = "cat",
    .operands = "MODELKIT PATH",
    .summary = "write one file of a ModelKit to standard output",
    .about =
        "The ModelKit is looked for in the local store, then in its registry. Of a layer in a\n"
        "registry that is not compressed only the parts that are needed are fetched; these\n"
        "cannot be checked against the layer's digest, which --verify does by reading all of\n"
        "it. From the local store, and of compressed layers, everything is checked: when the\n"
        "layer proves damaged, the exit status is 5 after the bytes were written.",
    .examples = "$ cat demo:v1 README.md\n"
                "# A part of a ModelKit that was not pulled\n"
                "$ cat hub.example.com/team/demo:v1 README.md\n",
    .opts = OPTS,
    .n_opts = KV_COUNT(OPTS),
    .args_size = sizeof(cat_args),
    .group = &kv_net_group,
    .group_off = offsetof(cat_args, net),
    .own = true,
    .kits = true,
    .run = run,
};

#include "cli/document.h"
#include "cli/lookup.h"
#include "kitvault/kitfile.h"

typedef struct info_args {
    kv_net_args net;
    bool remote;
    const char *filter, *format;
} info_args;

static const kv_opt OPTS[] = {
    KV_OPT(info_args, remote, "remote", 'r', "look in the registry, not in the local store"),
    KV_OPT(info_args, filter, "filter", 'f',
           "print one `FIELD` of the Kitfile, named by its path: package.name, model.parts"),
    KV_OPT_FORMAT(info_args),
};

static kv_code read_kitfile(const kv_lookup_result *kit, kv_kitfile **out, kv_error *err)
{
    kv_auto_str json = NULL;
    size_t n = 0;
    kv_code code = kv_kit_kitfile_json(&kit->source, &kit->reference, kit->manifest, &json, &n,
                                       err);
    if (code == KV_OK) code = kv_kitfile_parse_json((kv_sv){json, n}, out, err);
    return code == KV_OK ? KV_OK : kv_wrap(err, code, "error resolving modelkit");
}

/* value: what the filter found, as text; NULL: none was asked for. */
static kv_code print_json(kv_cli *cli, const kv_lookup_result *kit, const kv_kitfile *kitfile,
                          const char *filter, kv_sv value, kv_error *err)
{
    kv_document d;
    kv_auto_str shown = kv_reference_display(&kit->reference), json = NULL;
    size_t n = 0;
    if (!filter) KV_TRY(kv_kitfile_format_json(kitfile, &json, &n, err));
    kv_document_begin(&d, cli);
    kv_jout_kstr(&d.out, "reference", kv_sv_of(shown));
    kv_jout_kstr(&d.out, "digest", kv_sv_of(kv_digest_str(&kit->manifest->digest).s));
    if (filter) {
        kv_jout_kstr(&d.out, "field", kv_sv_of(filter));
        kv_jout_kstr(&d.out, "value", value);
    } else {
        kv_jout_key(&d.out, KV_SV("kitfile"));
        kv_jout_raw(&d.out, (kv_sv){json, n});
    }
    return kv_document_end(&d, KV_OK, NULL);
}

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    const info_args *a = args;
    kv_auto_lookup kit = {0};
    kv_auto(kv_kitfile) kitfile = NULL;
    kv_auto_str text = NULL;
    size_t n = 0;
    KV_TRY(kv_lookup(cli, operand[0], a->remote, &a->net, &kit, err));
    KV_TRY(read_kitfile(&kit, &kitfile, err));
    const char *filter = a->filter && a->filter[0] ? a->filter : NULL;
    if (filter)
        KV_TRY(kv_kitfile_select(kitfile, kv_sv_of(filter), &text, &n, err));
    else
        KV_TRY(kv_kitfile_format_yaml(kitfile, &text, &n, err));
    if (kv_is_json(a->format))
        return print_json(cli, &kit, kitfile, filter, kv_sv_trim((kv_sv){text, n}), err);
    kv_cli_put(cli, (kv_sv){text, n});
    return KV_OK;
}

const kv_cmd kv_cmd_info = {
    .name = "info",
    .operands = "MODELKIT",
    .summary = "show a ModelKit's Kitfile",
    .about =
        "Prints the Kitfile as YAML, or one field of it. A field is named by its path with dots;\n"
        "there is no way into lists and parameters.",
    .examples = "$ info demo:v1\n"
                "$ info demo:v1 --filter package.name\n",
    .opts = OPTS,
    .n_opts = KV_COUNT(OPTS),
    .args_size = sizeof(info_args),
    .group = &kv_net_group,
    .group_off = offsetof(info_args, net),
    .kits = true,
    .run = run,
};

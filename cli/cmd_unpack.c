#include "cli/document.h"
#include "cli/local.h"
#include "cli/names.h"
#include "cli/net.h"

typedef struct unpack_args {
    kv_net_args net;
    const char *dir, *format;
    bool overwrite, ignore_existing, include_remote;
    kv_strs filters;
    bool kitfile, model, code, datasets, docs;
} unpack_args;

static const kv_opt OPTS[] = {
    KV_OPT(unpack_args, dir, "dir", 'd', "unpack into `DIR`, which is made when missing"),
    KV_OPT(unpack_args, overwrite, "overwrite", 'o', "replace files that exist"),
    KV_OPT(unpack_args, ignore_existing, "ignore-existing", 'i',
           "leave files that exist as they are"),
    KV_OPT(unpack_args, filters, "filter", 'f',
           "unpack only these: `TYPES[:NAMES]`, both with commas (repeatable)"),
    KV_OPT(unpack_args, include_remote, "include-remote", 0,
           "fail when a dataset lies elsewhere (s3://...) instead of leaving it out"),
    KV_OPT(unpack_args, kitfile, "kitfile", 0, "old form of --filter kitfile"),
    KV_OPT(unpack_args, model, "model", 0, "old form of --filter model"),
    KV_OPT(unpack_args, code, "code", 0, "old form of --filter code"),
    KV_OPT(unpack_args, datasets, "datasets", 0, "old form of --filter datasets"),
    KV_OPT(unpack_args, docs, "docs", 0, "old form of --filter docs"),
    KV_OPT_FORMAT(unpack_args),
};
static const unpack_args DEFAULTS = {.dir = "."};

/* The old switches are one filter, and win. Source: kit-compat.md 9.1. */
static void add_old_filter(kv_buf *out, const unpack_args *a)
{
    const struct {
        bool on;
        const char *type;
    } OLD[] = {
        {a->kitfile, "kitfile"},   {a->model, "model"}, {a->code, "code"},
        {a->datasets, "datasets"}, {a->docs, "docs"},
    };
    for (size_t i = 0; i < KV_COUNT(OLD); i++)
        if (OLD[i].on) kv_buf_addf(out, "%s%s", out->n ? "," : "", OLD[i].type);
}

static kv_code collect_filters(const unpack_args *a, kv_buf *old, kv_arena *arena,
                               kv_unpack_options *opts, kv_error *err)
{
    add_old_filter(old, a);
    KV_TRY(kv_buf_check(old, err));
    size_t n = old->n ? 1 : a->filters.n;
    kv_sv *filters = KV_NEW(arena, kv_sv, n ? n : 1);
    if (!filters) return kv_fail(err, KV_E_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++)
        filters[i] = old->n ? kv_buf_sv(old) : kv_sv_of(a->filters.items[i]);
    opts->filters = filters;
    opts->n_filters = n;
    return KV_OK;
}

static kv_code print_json(kv_cli *cli, const kv_reference *ref, const char *dir)
{
    kv_document d;
    kv_auto_str shown = kv_reference_display(ref);
    kv_document_begin(&d, cli);
    kv_jout_kstr(&d.out, "reference", kv_sv_of(shown));
    kv_jout_kstr(&d.out, "dir", kv_sv_of(dir));
    return kv_document_end(&d, KV_OK, NULL);
}

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    const unpack_args *a = args;
    kv_auto_reference ref = {0};
    KV_TRY(kv_cli_reference_or_latest(cli, operand[0], "No tag specified for unpack", &ref, err));
    KV_TRY(kv_cli_reference_single(&ref, err));

    enum { FILTERS_MAX = 1 << 20 };
    kv_unpack_options opts = KV_UNPACK_OPTIONS_INIT;
    kv_auto_buf old = KV_BUF(256);
    kv_auto(kv_arena) arena = kv_arena_new(FILTERS_MAX);
    if (!arena) return kv_fail(err, KV_E_NOMEM, "out of memory");
    KV_TRY(collect_filters(a, &old, arena, &opts, err));
    opts.dir = a->dir;
    opts.overwrite = a->overwrite;
    opts.ignore_existing = a->ignore_existing;
    opts.include_remote = a->include_remote;
    opts.report = kv_cli_report(cli);

    kv_auto(kv_store) store = NULL;
    kv_auto_net net = {0};
    KV_TRY(kv_cli_store(cli, &store, err));
    KV_TRY(kv_net_open(cli, &a->net, &net, err));
    kv_kit_source remote = kv_net_source(&net);
    opts.remote = &remote;
    KV_TRY(kv_unpack(store, &ref, &opts, err));
    return kv_is_json(a->format) ? print_json(cli, &ref, a->dir) : KV_OK;
}

const kv_cmd kv_cmd_unpack = {
    .name = "unpack",
    .operands = "MODELKIT",
    .summary = "write a ModelKit's files into a directory",
    .about =
        "Takes the ModelKit from the local store, or straight from its registry when it is not\n"
        "there, and writes its Kitfile and files. Every layer is verified before its files get\n"
        "their names, and nothing is ever written outside the directory.\n"
        "\n"
        "A filter names types (kitfile, model, datasets, code, docs, prompts) and, behind a colon,\n"
        "names or paths of entries. Several filters add up.",
    .examples = "$ unpack demo:v1 -d demo\n"
                "# The weights alone\n"
                "$ unpack demo:v1 -d weights --filter model\n",
    .opts = OPTS,
    .n_opts = KV_COUNT(OPTS),
    .args_size = sizeof(unpack_args),
    .defaults = &DEFAULTS,
    .group = &kv_net_group,
    .group_off = offsetof(unpack_args, net),
    .kits = true,
    .run = run,
};

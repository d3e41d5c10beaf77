#include "cli/document.h"
#include "cli/local.h"
#include "cli/names.h"
#include "cli/net.h"

typedef struct pull_args {
    kv_net_args net;
    const char *unpack, *format;
} pull_args;

static const kv_opt OPTS[] = {
    KV_OPT(pull_args, unpack, "unpack", 0,
           "write the files into `DIR` in place of the local store, each byte once"),
    KV_OPT_FORMAT(pull_args),
};

static kv_code parse_name(const kv_cli *cli, const char *text, kv_reference *out, kv_error *err)
{
    kv_auto_reference plain = {0};
    KV_TRY(kv_cli_reference(text, &plain, err));
    if (!kv_reference_is_remote(&plain))
        return kv_fail(err, KV_E_ARG, "invalid arguments: registry is required when pulling");
    if (plain.n_extra)
        return kv_fail(err, KV_E_ARG, "invalid arguments: reference cannot include multiple tags");
    return kv_cli_reference_or_latest(cli, text, "No tag specified for pull", out, err);
}

static kv_code print_json(kv_cli *cli, const kv_reference *ref, const kv_digest *digest,
                          const char *dir)
{
    kv_document d;
    kv_auto_str shown = kv_reference_display(ref);
    kv_document_begin(&d, cli);
    kv_jout_kstr(&d.out, "reference", kv_sv_of(shown));
    kv_jout_kstr(&d.out, "digest", kv_sv_of(kv_digest_str(digest).s));
    if (dir) kv_jout_kstr(&d.out, "dir", kv_sv_of(dir));
    return kv_document_end(&d, KV_OK, NULL);
}

/* The tag is looked up once: what is unpacked is what is told. */
static kv_code pin(kv_net *net, const kv_reference *ref, kv_reference *out, kv_digest *out_digest,
                   kv_error *err)
{
    kv_remote *remote = NULL;
    kv_auto_str last = kv_reference_last(ref);
    if (!last) return kv_fail(err, KV_E_NOMEM, "out of memory");
    KV_TRY(kv_net_remote(net, ref, &remote, err));
    KV_TRY(kv_remote_resolve(remote, kv_sv_of(last), out_digest, err));
    kv_auto_buf text = KV_BUF(8192);
    kv_buf_addf(&text, "%.*s/%.*s@%s", KV_ARG(ref->registry), KV_ARG(ref->repository),
                kv_digest_str(out_digest).s);
    KV_TRY(kv_buf_check(&text, err));
    return kv_reference_parse(kv_buf_sv(&text), out, err);
}

static kv_code unpack(kv_cli *cli, kv_store *store, kv_net *net, const kv_reference *ref,
                      const char *dir, kv_digest *out_digest, kv_error *err)
{
    kv_auto_reference pinned = {0};
    kv_code rc = pin(net, ref, &pinned, out_digest, err);
    if (rc != KV_OK) return kv_wrap(err, rc, "failed to pull");
    kv_kit_source remote = kv_net_source(net);
    kv_unpack_options opts = KV_UNPACK_OPTIONS_INIT;
    opts.dir = dir;
    opts.remote = &remote;
    opts.skip_store = true;
    opts.report = kv_cli_report(cli);
    return kv_unpack(store, &pinned, &opts, err);
}

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    const pull_args *a = args;
    kv_auto_reference ref = {0};
    KV_TRY(parse_name(cli, operand[0], &ref, err));
    kv_auto_net net = {0};
    KV_TRY(kv_net_open(cli, &a->net, &net, err));
    kv_auto_str full = kv_reference_full(&ref);
    if (!full) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_cli_say(cli, "Pulling %s", full);
    kv_auto(kv_store) store = NULL;
    KV_TRY(kv_cli_store(cli, &store, err));
    kv_digest digest;
    const char *dir = a->unpack && a->unpack[0] ? a->unpack : NULL;
    if (dir)
        KV_TRY(unpack(cli, store, &net, &ref, dir, &digest, err));
    else
        KV_TRY(kv_pull(store, &ref, &net.options, &digest, err));
    kv_cli_end_progress(cli);
    kv_cli_say(cli, "Pulled %s", kv_digest_str(&digest).s);
    return kv_is_json(a->format) ? print_json(cli, &ref, &digest, dir) : KV_OK;
}

const kv_cmd kv_cmd_pull = {
    .name = "pull",
    .operands = "REGISTRY/REPOSITORY[:TAG|@DIGEST]",
    .summary = "copy a ModelKit from a registry to the local store",
    .about =
        "Copies the ModelKit, and those its Kitfile builds on, into the local store under the same\n"
        "name. Every byte is checked against its digest before anything is listed; a pull that\n"
        "broke off goes on where it stopped. Without tag and digest, the tag is `latest`.\n"
        "\n"
        "With --unpack the files go into a directory at once and the local store is left as it is.\n"
        "Files of a layer get their names when all of it was checked; those that exist are an error.",
    .examples = "$ pull hub.example.com/team/demo:v1\n"
                "# From a registry on this machine that speaks plain HTTP\n"
                "$ pull --plain-http localhost:5000/demo:v1\n"
                "# Only the files\n"
                "$ pull hub.example.com/team/demo:v1 --unpack demo\n",
    .opts = OPTS,
    .n_opts = KV_COUNT(OPTS),
    .args_size = sizeof(pull_args),
    .group = &kv_net_group,
    .group_off = offsetof(pull_args, net),
    .run = run,
};

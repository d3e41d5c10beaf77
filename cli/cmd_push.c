#include "cli/document.h"
#include "cli/local.h"
#include "cli/names.h"
#include "cli/net.h"

typedef struct push_args {
    kv_net_args net;
    const char *format;
} push_args;

static const kv_opt OPTS[] = {KV_OPT_FORMAT(push_args)};

static kv_code no_extra_tags(const kv_reference *r, const char *what, kv_error *err)
{
    if (!r->n_extra) return KV_OK;
    return kv_fail(err, KV_E_ARG, "invalid arguments: %s cannot include multiple tags", what);
}

static kv_code parse_names(const kv_cli *cli, char **operand, kv_reference *src, kv_reference *dst,
                           kv_error *err)
{
    KV_TRY(kv_cli_reference_or_latest(cli, operand[0], "No tag specified for push", src, err));
    KV_TRY(no_extra_tags(src, "reference", err));
    const char *target = operand[1] ? operand[1] : operand[0];
    if (operand[1]) {
        KV_TRY(
            kv_cli_reference_or_latest(cli, target, "No tag specified for push target", dst, err));
        KV_TRY(no_extra_tags(dst, "target reference", err));
    } else {
        kv_auto_str text = kv_reference_full(src);
        if (!text) return kv_fail(err, KV_E_NOMEM, "out of memory");
        KV_TRY(kv_cli_reference(text, dst, err));
    }
    if (kv_reference_is_remote(dst)) return KV_OK;
    return kv_fail(err, KV_E_ARG, "invalid arguments: registry is required when pushing");
}

static kv_code say_what(const kv_cli *cli, const kv_reference *src, const kv_reference *dst,
                        kv_error *err)
{
    kv_auto_str from = kv_reference_full(src), to = kv_reference_full(dst);
    if (!from || !to) return kv_fail(err, KV_E_NOMEM, "out of memory");
    if (kv_sv_eq(kv_sv_of(from), kv_sv_of(to)))
        kv_cli_say(cli, "Pushing %s", from);
    else
        kv_cli_say(cli, "Pushing %s to %s", from, to);
    return KV_OK;
}

/* The sentences of kit around what went wrong. Source: kit-compat.md 7.1. */
static kv_code explain(kv_code code, bool local, kv_error *err)
{
    if (code == KV_E_CANCELLED) return code;
    if (local && code == KV_E_NOTFOUND)
        (void)kv_wrap(err, code,
                      "failed to copy to remote: failed to perform \"Resolve\" on source");
    kv_auto_str text = kv_sv_dup(kv_sv_of(err->msg));
    if (!text) return code;
    const char *hint = code == KV_E_AUTH
                           ? " Ensure the repository exists and you have push access to it."
                           : "";
    return kv_fail(err, code, "failed to push: %s.%s", text, hint);
}

static kv_code print_json(kv_cli *cli, const kv_reference *src, const kv_reference *dst,
                          const kv_digest *digest)
{
    kv_document d;
    kv_auto_str from = kv_reference_display(src), to = kv_reference_display(dst);
    kv_document_begin(&d, cli);
    kv_jout_kstr(&d.out, "source", kv_sv_of(from));
    kv_jout_kstr(&d.out, "destination", kv_sv_of(to));
    kv_jout_kstr(&d.out, "digest", kv_sv_of(kv_digest_str(digest).s));
    return kv_document_end(&d, KV_OK, NULL);
}

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    const push_args *a = args;
    kv_auto_reference src = {0};
    kv_auto_reference dst = {0};
    KV_TRY(parse_names(cli, operand, &src, &dst, err));
    kv_auto_net net = {0};
    KV_TRY(kv_net_open(cli, &a->net, &net, err));
    KV_TRY(say_what(cli, &src, &dst, err));
    kv_auto(kv_store) store = NULL;
    KV_TRY(kv_cli_store(cli, &store, err));
    kv_digest digest;
    kv_code code = kv_store_resolve(store, &src, &digest, err);
    if (code != KV_OK) return explain(code, true, err);
    code = kv_push(store, &src, &dst, &net.options, &digest, err);
    if (code != KV_OK) return explain(code, false, err);
    kv_cli_end_progress(cli);
    kv_cli_say(cli, "Pushed %s", kv_digest_str(&digest).s);
    return kv_is_json(a->format) ? print_json(cli, &src, &dst, &digest) : KV_OK;
}

const kv_cmd kv_cmd_push = {
    .name = "push",
    .operands = "SOURCE [DESTINATION]",
    .summary = "copy a ModelKit from the local store to a registry",
    .about =
        "Copies the ModelKit SOURCE to the registry its name begins with, or to DESTINATION. Layers\n"
        "that the registry has already are not sent again.",
    .examples = "$ push hub.example.com/team/demo:v1\n"
                "# Without a tag of that name in the local store\n"
                "$ push demo:v1 hub.example.com/team/demo:v1\n"
                "# To a registry on this machine that speaks plain HTTP\n"
                "$ push --plain-http demo:v1 localhost:5000/demo:v1\n",
    .opts = OPTS,
    .n_opts = KV_COUNT(OPTS),
    .args_size = sizeof(push_args),
    .group = &kv_net_group,
    .group_off = offsetof(push_args, net),
    .kits = true,
    .run = run,
};

#include "cli/document.h"
#include "cli/local.h"
#include "cli/net.h"
#include "cli/output.h"
#include "kitvault/copy.h"

typedef struct copy_args {
    kv_net_args net;
    const char *format;
    bool referrers;
} copy_args;

static const kv_opt OPTS[] = {
    KV_OPT_FORMAT(copy_args),
    KV_OPT(copy_args, referrers, "referrers", 0,
           "also copy what refers to it: signatures, attestations, and theirs"),
};
static kv_code parse(const char *text, kv_place *out, kv_error *err)
{
    kv_code rc = kv_place_parse(kv_sv_of(text), out, err);
    return rc == KV_OK ? KV_OK : kv_wrap(err, KV_E_ARG, "invalid arguments");
}

static void print_text(const kv_cli *cli, const kv_place *dst, const kv_copy_result *r)
{
    char moved[KV_SIZE_TEXT_MAX], kept[KV_SIZE_TEXT_MAX];
    kv_size_format(r->n_bytes, moved);
    kv_size_format(r->n_kept_bytes, kept);
    kv_cli_say(cli, "Copied %s to %s", kv_digest_str(&r->digest).s, dst->text);
    kv_cli_say(cli, "%llu blobs moved (%s), %llu were there (%s), %llu referrers",
               (unsigned long long)r->n_blobs, moved, (unsigned long long)r->n_kept, kept,
               (unsigned long long)r->n_referrers);
}

static kv_code print_json(kv_cli *cli, const kv_place *src, const kv_place *dst,
                          const kv_copy_result *r, kv_error *err)
{
    kv_document d;
    kv_document_begin(&d, cli);
    kv_jout_kstr(&d.out, "source", kv_sv_of(src->text));
    kv_jout_kstr(&d.out, "destination", kv_sv_of(dst->text));
    kv_jout_kstr(&d.out, "digest", kv_sv_of(kv_digest_str(&r->digest).s));
    kv_jout_key(&d.out, KV_SV("moved"));
    kv_jout_obj(&d.out);
    kv_jout_ku64(&d.out, "blobs", r->n_blobs);
    kv_jout_ku64(&d.out, "bytes", r->n_bytes);
    kv_jout_end_obj(&d.out);
    kv_jout_key(&d.out, KV_SV("kept"));
    kv_jout_obj(&d.out);
    kv_jout_ku64(&d.out, "blobs", r->n_kept);
    kv_jout_ku64(&d.out, "bytes", r->n_kept_bytes);
    kv_jout_end_obj(&d.out);
    kv_jout_ku64(&d.out, "referrers", r->n_referrers);
    return kv_document_end(&d, KV_OK, err);
}

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    const copy_args *a = args;
    kv_auto_place src = {0};
    kv_auto_place dst = {0};
    KV_TRY(parse(operand[0], &src, err));
    KV_TRY(parse(operand[1], &dst, err));
    kv_auto_net net = {0};
    KV_TRY(kv_net_open(cli, &a->net, &net, err));
    kv_auto(kv_store) store = NULL;
    KV_TRY(kv_cli_store(cli, &store, err));
    kv_copy_options options = KV_COPY_OPTIONS_INIT;
    options.referrers = a->referrers;
    options.network = &net.options;
    options.report = kv_cli_report(cli);
    kv_copy_result result;
    KV_TRY(kv_copy(store, &src, &dst, &options, &result, err));
    kv_cli_end_progress(cli);
    if (kv_is_json(a->format)) return print_json(cli, &src, &dst, &result, err);
    print_text(cli, &dst, &result);
    return KV_OK;
}

const kv_cmd kv_cmd_copy = {
    .name = "copy",
    .operands = "SOURCE DESTINATION",
    .summary = "copy a ModelKit from any place to any other",
    .about =
        "A place is a name in the local store (demo:v1, or store:NAME where NAME begins with a\n"
        "registry), a name in a registry (hub.example.com/team/demo:v1), or an OCI image layout:\n"
        "dir:PATH[:TAG], archive:FILE.tar[:TAG], s3://BUCKET/PREFIX[:TAG], also with @DIGEST. What\n"
        "the destination has is not sent again, every byte is checked before it can be seen, and\n"
        "digests stay what they are. Without a tag of its own the destination takes that of SOURCE.\n"
        "An archive is written once. S3 takes keys, region and endpoint from AWS_ACCESS_KEY_ID,\n"
        "AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL and ~/.aws.",
    .examples = "$ copy demo:v1 dir:backup\n"
                "# One file to carry away, with its signatures\n"
                "$ copy --referrers demo:v1 archive:demo.tar\n"
                "# And back into the local store\n"
                "$ copy archive:demo.tar:v1 restored:v1\n",
    .opts = OPTS,
    .n_opts = KV_COUNT(OPTS),
    .args_size = sizeof(copy_args),
    .group = &kv_net_group,
    .group_off = offsetof(copy_args, net),
    .own = true,
    .kits = true,
    .run = run,
};

#include "cli/document.h"
#include "cli/local.h"
#include "cli/names.h"
#include "cli/net.h"
#include "cli/output.h"
#include "kitvault/care.h"

typedef struct fsck_args {
    kv_net_args net;
    const char *format, *from;
    bool repair;
} fsck_args;

static const kv_opt OPTS[] = {
    KV_OPT(fsck_args, repair, "repair", 0,
           "fetch what is damaged or missing again, each ModelKit from the registry in its name"),
    KV_OPT(fsck_args, from, "from", 0,
           "repair, and fetch from this `REPOSITORY`: registry/repository"),
    KV_OPT_FORMAT(fsck_args),
};

/* --- text --- */

static kv_code put_problem(void *ctx, const kv_problem *p, kv_error *err)
{
    enum { LINE_MAX_BYTES = 64 * 1024 };
    const kv_cli *cli = ctx;
    kv_auto_buf line = KV_BUF(LINE_MAX_BYTES);
    kv_buf_addf(&line, "%-8s  ", p->repaired ? "repaired" : kv_problem_kind_name(p->kind));
    if (p->digest.alg)
        kv_buf_adds(&line, kv_digest_str(&p->digest).s);
    else
        kv_plain_add(&line, p->path);
    if (p->kit.n) {
        kv_buf_adds(&line, "  ");
        kv_plain_add(&line, p->kit);
    }
    if (p->n_kits > 1) kv_buf_addf(&line, " and %zu more", p->n_kits - 1);
    if (p->why.n) {
        kv_buf_adds(&line, "  ");
        kv_plain_add(&line, p->why);
    }
    kv_buf_addc(&line, '\n');
    KV_TRY(kv_buf_check(&line, err));
    kv_cli_end_progress(cli);
    kv_cli_put(cli, kv_buf_sv(&line));
    return KV_OK;
}

static void put_sum(const kv_cli *cli, const kv_check_result *r)
{
    char size[KV_SIZE_TEXT_MAX];
    kv_auto_buf text = KV_BUF(512);
    kv_size_format(r->bytes, size);
    kv_buf_addf(&text, "Checked %llu ModelKits, %llu blobs, %s: ", (unsigned long long)r->n_kits,
                (unsigned long long)r->n_blobs, size);
    if (r->n_broken)
        kv_buf_addf(&text, "%llu broken, %llu of them repaired", (unsigned long long)r->n_broken,
                    (unsigned long long)r->n_repaired);
    else
        kv_buf_adds(&text, "nothing is broken");
    if (r->n_harmless)
        kv_buf_addf(&text, "; %llu files are of no use, '%s gc' removes them",
                    (unsigned long long)r->n_harmless, kv_cli_program(cli));
    kv_buf_addc(&text, '\n');
    kv_cli_put(cli, kv_buf_sv(&text));
}

/* --- json --- */

static kv_code add_problem(void *ctx, const kv_problem *p, kv_error *err)
{
    kv_document *d = ctx;
    kv_jout *j = &d->out;
    (void)err;
    kv_jout_obj(j);
    kv_jout_kstr(j, "kind", kv_sv_of(kv_problem_kind_name(p->kind)));
    if (p->path.n) kv_jout_kstr(j, "path", p->path);
    if (p->digest.alg) kv_jout_kstr(j, "digest", kv_sv_of(kv_digest_str(&p->digest).s));
    if (p->digest.alg || p->size) kv_jout_ku64(j, "size", p->size);
    if (p->kit.n) kv_jout_kstr(j, "modelkit", p->kit);
    if (p->n_kits) kv_jout_ku64(j, "modelkits", p->n_kits);
    if (p->why.n) kv_jout_kstr(j, "message", p->why);
    kv_jout_kbool(j, "repaired", p->repaired);
    kv_jout_end_obj(j);
    kv_document_flow(d);
    return KV_OK;
}

static void add_sum(kv_jout *j, const kv_check_result *r)
{
    kv_jout_ku64(j, "modelkits", r->n_kits);
    kv_jout_ku64(j, "blobs", r->n_blobs);
    kv_jout_ku64(j, "bytes", r->bytes);
    kv_jout_ku64(j, "broken", r->n_broken);
    kv_jout_ku64(j, "repaired", r->n_repaired);
    kv_jout_ku64(j, "harmless", r->n_harmless);
}

/* --- the whole --- */

static kv_code judge(const kv_check_result *r, kv_error *err)
{
    uint64_t left = r->n_broken - r->n_repaired;
    if (!left) return KV_OK;
    return kv_fail(err, KV_E_CORRUPT, "local storage is damaged: %llu problem%s",
                   (unsigned long long)left, left == 1 ? "" : "s");
}

static kv_code check_text(kv_cli *cli, kv_store *store, kv_check_options *opts, kv_error *err)
{
    kv_check_result r;
    opts->found = put_problem;
    opts->ctx = cli;
    KV_TRY(kv_store_check(store, opts, &r, err));
    kv_cli_end_progress(cli);
    put_sum(cli, &r);
    return judge(&r, err);
}

static kv_code check_json(kv_cli *cli, kv_store *store, kv_check_options *opts, kv_error *err)
{
    kv_check_result r;
    kv_document d;
    kv_document_begin(&d, cli);
    opts->found = add_problem;
    opts->ctx = &d;
    kv_jout_key(&d.out, KV_SV("problems"));
    kv_jout_arr(&d.out);
    kv_code code = kv_store_check(store, opts, &r, err);
    kv_jout_end_arr(&d.out);
    add_sum(&d.out, &r);
    if (code == KV_OK) code = judge(&r, err);
    return kv_document_end(&d, code, err);
}

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    (void)operand;
    const fsck_args *a = args;
    kv_auto(kv_store) store = NULL;
    kv_auto_net net = {0};
    kv_auto_reference from = {0};
    kv_check_options opts = KV_CHECK_OPTIONS_INIT;
    opts.report = kv_cli_report(cli);
    kv_kit_source remote;
    if (a->from) {
        KV_TRY(kv_cli_reference(a->from, &from, err));
        KV_TRY(kv_cli_reference_needs_registry(&from, err));
        opts.repair_from = &from;
    }
    KV_TRY(kv_cli_store(cli, &store, err));
    if (a->from || a->repair) {
        KV_TRY(kv_net_open(cli, &a->net, &net, err));
        remote = kv_net_source(&net);
        opts.repair = &remote;
    }
    return kv_is_json(a->format) ? check_json(cli, store, &opts, err)
                                 : check_text(cli, store, &opts, err);
}

const kv_cmd kv_cmd_fsck = {
    .name = "fsck",
    .summary = "check everything in the local store, and repair it from a registry",
    .about =
        "Reads every blob that a ModelKit of the local store uses and compares it with its digest;\n"
        "looks whether lists, tags and manifests fit together; tells what is damaged or missing and\n"
        "which ModelKit it hits. Blobs that no ModelKit uses and files that killed processes left\n"
        "are told, too, but are no fault: gc removes them.\n"
        "\n"
        "With --repair or --from what is damaged or missing is fetched again. It is verified before\n"
        "it replaces anything. The exit status is 5 when something broken remains.",
    .examples = "$ fsck\n"
                "$ fsck --format json\n"
                "# From where it was pulled\n"
                "$ fsck --repair\n"
                "# A ModelKit that was packed here and pushed there\n"
                "$ fsck --from hub.example.com/team/demo\n",
    .opts = OPTS,
    .n_opts = KV_COUNT(OPTS),
    .args_size = sizeof(fsck_args),
    .group = &kv_net_group,
    .group_off = offsetof(fsck_args, net),
    .own = true,
    .run = run,
};

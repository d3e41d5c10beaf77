#include "cli/document.h"
#include "cli/local.h"
#include "kitvault/usage.h"

typedef struct du_args {
    const char *format;
} du_args;

static const kv_opt OPTS[] = {
    KV_OPT_FORMAT(du_args),
};

static void put_row(const kv_cli *cli, const kv_kit_usage *u, kv_sv name)
{
    kv_auto_buf line = KV_BUF(8192);
    kv_buf_addf(&line, "%15llu  %15llu  %15llu  ", (unsigned long long)u->logical,
                (unsigned long long)u->stored, (unsigned long long)u->shared);
    kv_plain_add(&line, name);
    kv_buf_addc(&line, '\n');
    kv_cli_put(cli, kv_buf_sv(&line));
}

static void print_text(const kv_cli *cli, const kv_usage *u)
{
    kv_auto_buf head = KV_BUF(256);
    kv_buf_addf(&head, "%15s  %15s  %15s  %s\n", "LOGICAL", "STORED", "SHARED", "MODELKIT");
    kv_cli_put(cli, kv_buf_sv(&head));
    for (size_t i = 0; i < u->n; i++) put_row(cli, &u->kits[i], u->kits[i].name);
    put_row(cli, &u->total, KV_SV("total"));
}

static void add_bytes(kv_jout *j, const kv_kit_usage *u)
{
    kv_jout_ku64(j, "logical", u->logical);
    kv_jout_ku64(j, "stored", u->stored);
    kv_jout_ku64(j, "shared", u->shared);
}

static kv_code print_json(kv_cli *cli, const kv_usage *u)
{
    kv_document d;
    kv_document_begin(&d, cli);
    kv_jout_key(&d.out, KV_SV("kits"));
    kv_jout_arr(&d.out);
    for (size_t i = 0; i < u->n; i++) {
        kv_jout_obj(&d.out);
        kv_jout_kstr(&d.out, "name", u->kits[i].name);
        kv_jout_kstr(&d.out, "digest", kv_sv_of(kv_digest_str(&u->kits[i].digest).s));
        add_bytes(&d.out, &u->kits[i]);
        kv_jout_end_obj(&d.out);
        kv_document_flow(&d);
    }
    kv_jout_end_arr(&d.out);
    kv_jout_key(&d.out, KV_SV("total"));
    kv_jout_obj(&d.out);
    add_bytes(&d.out, &u->total);
    kv_jout_end_obj(&d.out);
    return kv_document_end(&d, KV_OK, NULL);
}

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    (void)operand;
    const du_args *a = args;
    kv_auto(kv_store) store = NULL;
    kv_auto(kv_usage) usage = NULL;
    KV_TRY(kv_cli_store(cli, &store, err));
    KV_TRY(kv_store_usage(store, kv_cli_report(cli), &usage, err));
    if (kv_is_json(a->format)) return print_json(cli, usage);
    print_text(cli, usage);
    return KV_OK;
}

const kv_cmd kv_cmd_du = {
    .name = "du",
    .summary = "show what the ModelKits of the local store take on the disk",
    .about = "In bytes: LOGICAL counts manifest, configuration and layers as often as a ModelKit\n"
             "names them, STORED their files once, SHARED the part of these that other ModelKits\n"
             "use too, which removing this one would not free. In the total a shared file counts\n"
             "once.",
    .examples = "$ du\n"
                "$ du --format json\n",
    .opts = OPTS,
    .n_opts = KV_COUNT(OPTS),
    .args_size = sizeof(du_args),
    .own = true,
    .run = run,
};

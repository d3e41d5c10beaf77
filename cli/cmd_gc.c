#include "cli/document.h"
#include "cli/local.h"
#include "cli/output.h"
#include "kitvault/care.h"

typedef struct gc_args {
    const char *format;
    bool dry_run;
} gc_args;

static const kv_opt OPTS[] = {
    KV_OPT(gc_args, dry_run, "dry-run", 0, "tell what would be removed, and remove nothing"),
    KV_OPT_FORMAT(gc_args),
};

static kv_code put_garbage(void *ctx, const kv_garbage *g, kv_error *err)
{
    const kv_cli *cli = ctx;
    kv_auto_buf line = KV_BUF(16384);
    kv_buf_addf(&line, "%-8s  %14llu  ", kv_garbage_kind_name(g->kind),
                (unsigned long long)g->size);
    kv_plain_add(&line, g->path);
    kv_buf_addc(&line, '\n');
    KV_TRY(kv_buf_check(&line, err));
    kv_cli_put(cli, kv_buf_sv(&line));
    return KV_OK;
}

static void put_sum(const kv_cli *cli, const kv_gc_result *r, bool dry_run)
{
    char size[KV_SIZE_TEXT_MAX];
    kv_auto_buf text = KV_BUF(256);
    kv_size_format(r->blob_bytes + r->leftover_bytes, size);
    kv_buf_addf(&text, "%s %llu blobs and %llu leftovers, %s\n",
                dry_run ? "Would remove" : "Removed", (unsigned long long)r->n_blobs,
                (unsigned long long)r->n_leftovers, size);
    kv_cli_put(cli, kv_buf_sv(&text));
}

static kv_code collect_text(kv_cli *cli, kv_store *store, kv_gc_options *opts, kv_error *err)
{
    kv_gc_result r;
    opts->found = put_garbage;
    opts->ctx = cli;
    kv_code code = kv_store_gc(store, opts, &r, err);
    if (code == KV_OK || r.n_blobs || r.n_leftovers) put_sum(cli, &r, opts->dry_run);
    return code;
}

static kv_code add_garbage(void *ctx, const kv_garbage *g, kv_error *err)
{
    kv_document *d = ctx;
    (void)err;
    kv_jout_obj(&d->out);
    kv_jout_kstr(&d->out, "kind", kv_sv_of(kv_garbage_kind_name(g->kind)));
    kv_jout_kstr(&d->out, "path", g->path);
    if (g->digest.alg) kv_jout_kstr(&d->out, "digest", kv_sv_of(kv_digest_str(&g->digest).s));
    kv_jout_ku64(&d->out, "size", g->size);
    kv_jout_end_obj(&d->out);
    kv_document_flow(d);
    return KV_OK;
}

static void add_count(kv_jout *j, const char *key, uint64_t n, uint64_t bytes)
{
    kv_jout_key(j, kv_sv_of(key));
    kv_jout_obj(j);
    kv_jout_ku64(j, "files", n);
    kv_jout_ku64(j, "bytes", bytes);
    kv_jout_end_obj(j);
}

static kv_code collect_json(kv_cli *cli, kv_store *store, kv_gc_options *opts, kv_error *err)
{
    kv_gc_result r;
    kv_document d;
    kv_document_begin(&d, cli);
    opts->found = add_garbage;
    opts->ctx = &d;
    kv_jout_kbool(&d.out, "dryRun", opts->dry_run);
    kv_jout_key(&d.out, KV_SV("removed"));
    kv_jout_arr(&d.out);
    kv_code code = kv_store_gc(store, opts, &r, err);
    kv_jout_end_arr(&d.out);
    add_count(&d.out, "blobs", r.n_blobs, r.blob_bytes);
    add_count(&d.out, "leftovers", r.n_leftovers, r.leftover_bytes);
    return kv_document_end(&d, code, err);
}

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    (void)operand;
    const gc_args *a = args;
    kv_auto(kv_store) store = NULL;
    kv_gc_options opts = KV_GC_OPTIONS_INIT;
    KV_TRY(kv_cli_store(cli, &store, err));
    opts.dry_run = a->dry_run;
    opts.report = kv_cli_report(cli);
    return kv_is_json(a->format) ? collect_json(cli, store, &opts, err)
                                 : collect_text(cli, store, &opts, err);
}

const kv_cmd kv_cmd_gc = {
    .name = "gc",
    .summary = "remove from the local store what no ModelKit uses",
    .about =
        "Removes blobs that no ModelKit of the local store names, and files that killed processes\n"
        "left behind: temporary ones and partial downloads, whose next pull starts over. What a\n"
        "running process stores or reads is safe; while one does, gc waits, and gives up after half\n"
        "a minute. kit itself takes no locks: do not run it at the same time. Nothing is removed\n"
        "when a list or manifest cannot be read, since nobody knows then what it uses: see fsck.",
    .examples = "$ gc --dry-run\n"
                "$ gc --format json\n",
    .opts = OPTS,
    .n_opts = KV_COUNT(OPTS),
    .args_size = sizeof(gc_args),
    .own = true,
    .run = run,
};

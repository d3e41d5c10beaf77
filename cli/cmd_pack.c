#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/document.h"
#include "cli/local.h"
#include "cli/names.h"
#include "cli/net.h"
#include "cli/output.h"
#include "kitvault/kitfile.h"

typedef struct pack_args {
    kv_net_args net;
    const char *file, *tag, *compression, *layer_format, *format;
    bool use_model_pack, normalize_modes, dry_run, no_cache, push;
} pack_args;

static const kv_opt OPTS[] = {
    KV_OPT(pack_args, file, "file", 'f', "take this Kitfile; - reads standard input (`FILE`)"),
    KV_OPT(pack_args, tag, "tag", 't',
           "call the ModelKit `NAME`: repository:tag, more tags behind commas"),
    KV_OPT(pack_args, compression, "compression", 0,
           "compress layers with `METHOD`: none, gzip, gzip-fastest or zstd"),
    KV_OPT_WORDS(pack_args, layer_format, "layer-format", 0, "tar raw",
                 "make layers of `FORM`: tar, or raw, where each entry is one file"),
    KV_OPT(pack_args, use_model_pack, "use-model-pack", 0,
           "make a CNCF ModelPack in place of a ModelKit"),
    KV_OPT(pack_args, normalize_modes, "normalize-modes", 0,
           "pack modes as 0755 and 0644, whatever the umask was"),
    KV_OPT(pack_args, push, "push", 0,
           "send the ModelKit to the registry of --tag while it is packed, and keep no copy"),
    KV_OPT(pack_args, dry_run, "dry-run", 0, "tell what would be stored, and store nothing"),
    KV_OPT(pack_args, no_cache, "no-cache", 0, "read all files, also those that did not change"),
    KV_OPT_FORMAT(pack_args),
};
static const pack_args DEFAULTS = {.compression = "none", .layer_format = "tar"};

/* A person at a terminal would wait for the end of a file that was never begun. */
static kv_code read_kitfile(kv_buf *out, kv_error *err)
{
    struct stat st;
    if (fstat(STDIN_FILENO, &st) < 0 || S_ISCHR(st.st_mode))
        return kv_fail(err, KV_E_ARG,
                       "invalid arguments: No input file specified and no data piped");
    return kv_cli_read_stdin(out, err);
}

static kv_code parse_tag(const kv_cli *cli, const char *text, kv_reference *out, kv_error *err)
{
    KV_TRY(kv_cli_reference_or_latest(cli, text, "No tag or digest specified with --tag flag", out,
                                      err));
    if (out->digest.alg)
        return kv_fail(err, KV_E_ARG,
                       "invalid arguments: '%s' is a digest, which cannot be given to a ModelKit",
                       text);
    return KV_OK;
}

/* --- what was packed, or would be --- */

static void put_packed(void *ctx, const kv_packed *p)
{
    const kv_cli *cli = ctx;
    char size[KV_SIZE_TEXT_MAX];
    kv_auto_buf line = KV_BUF(16384);
    kv_size_format(p->size, size);
    kv_buf_addf(&line, "%-5s  %-13s  %10s  %s  ", p->existed ? "there" : "new", p->kind, size,
                kv_digest_str(&p->digest).s);
    kv_plain_add(&line, p->path.n ? p->path : KV_SV("-"));
    kv_buf_addc(&line, '\n');
    kv_cli_put(cli, kv_buf_sv(&line));
}

typedef struct listing {
    kv_document doc;
    bool after_layers;
} listing;

static void add_packed(void *ctx, const kv_packed *p)
{
    listing *l = ctx;
    kv_jout *j = &l->doc.out;
    bool layer = p->diff_id.alg != 0;
    if (!layer && !l->after_layers) kv_jout_end_arr(j);
    if (!layer) {
        l->after_layers = true;
        kv_jout_key(j, kv_sv_of(p->kind));
    }
    kv_jout_obj(j);
    if (layer) kv_jout_kstr(j, "kind", kv_sv_of(p->kind));
    if (layer) kv_jout_kstr(j, "path", p->path);
    kv_jout_kstr(j, "mediaType", p->media_type);
    kv_jout_kstr(j, "digest", kv_sv_of(kv_digest_str(&p->digest).s));
    if (layer) kv_jout_kstr(j, "diffId", kv_sv_of(kv_digest_str(&p->diff_id).s));
    kv_jout_ku64(j, "size", p->size);
    kv_jout_kbool(j, "existed", p->existed);
    kv_jout_end_obj(j);
    kv_document_flow(&l->doc);
}

static void add_names(kv_jout *j, const kv_reference *tag)
{
    kv_auto_str shown = kv_reference_display(tag);
    kv_jout_kstr(j, "reference", kv_sv_of(shown));
    kv_jout_key(j, KV_SV("extraTags"));
    kv_jout_arr(j);
    for (size_t i = 0; i < tag->n_extra; i++) kv_jout_str(j, tag->extra[i]);
    kv_jout_end_arr(j);
}

static kv_code pack_json(kv_cli *cli, kv_store *store, kv_pack_options *opts, kv_error *err)
{
    listing l = {0};
    kv_digest digest;
    opts->packed = add_packed;
    opts->packed_ctx = &l;
    kv_document_begin(&l.doc, cli);
    kv_jout_kbool(&l.doc.out, "dryRun", opts->dry_run);
    if (opts->tag) add_names(&l.doc.out, opts->tag);
    kv_jout_key(&l.doc.out, KV_SV("layers"));
    kv_jout_arr(&l.doc.out);
    kv_code code = kv_pack(store, opts, &digest, err);
    if (!l.after_layers) kv_jout_end_arr(&l.doc.out);
    if (code == KV_OK) kv_jout_kstr(&l.doc.out, "digest", kv_sv_of(kv_digest_str(&digest).s));
    return kv_document_end(&l.doc, code, err);
}

static kv_code pack_text(kv_cli *cli, kv_store *store, kv_pack_options *opts, kv_error *err)
{
    if (opts->dry_run) {
        opts->packed = put_packed;
        opts->packed_ctx = cli;
    }
    return kv_pack(store, opts, NULL, err);
}

/* --- arguments --- */

/* Seconds since 1970, as reproducible builds give them; unset: no time is written. */
static kv_code read_epoch(kv_pack_options *opts, kv_error *err)
{
    static const char NAME[] = "SOURCE_DATE_EPOCH";
    const char *text = getenv(NAME);
    uint64_t seconds;
    enum { DIGITS_MAX = 11 }; /* beyond the year 5000 */
    if (!text || !text[0]) return KV_OK;
    if (strlen(text) > DIGITS_MAX || !kv_sv_to_u64(kv_sv_of(text), &seconds))
        return kv_fail(err, KV_E_ARG, "invalid arguments: %s is '%s', not seconds since 1970", NAME,
                       text);
    opts->created = (int64_t)seconds;
    opts->has_created = true;
    return KV_OK;
}

static kv_code read_forms(const pack_args *a, kv_pack_options *opts, kv_error *err)
{
    kv_code code = kv_compression_parse(kv_sv_of(a->compression), &opts->compression, err);
    if (code != KV_OK) return kv_wrap(err, code, "invalid arguments");
    opts->raw = strcmp(a->layer_format, "raw") == 0;
    opts->model_pack = a->use_model_pack;
    opts->normalize_modes = a->normalize_modes;
    opts->dry_run = a->dry_run;
    return read_epoch(opts, err);
}

static kv_code run_pack(kv_cli *cli, const pack_args *a, kv_store *store, kv_pack_options *opts,
                        kv_error *err)
{
    return kv_is_json(a->format) ? pack_json(cli, store, opts, err)
                                 : pack_text(cli, store, opts, err);
}

static kv_code pack_and_push(kv_cli *cli, const pack_args *a, kv_store *store, kv_net *net,
                             kv_pack_options *opts, kv_error *err)
{
    if (!opts->tag || !kv_reference_is_remote(opts->tag))
        return kv_fail(err, KV_E_ARG,
                       "invalid arguments: --push needs a --tag that begins with a registry");
    kv_remote *remote = NULL;
    kv_kit_sink sink = {0};
    kv_auto_str full = kv_reference_full(opts->tag);
    if (!full) return kv_fail(err, KV_E_NOMEM, "out of memory");
    KV_TRY(kv_net_remote(net, opts->tag, &remote, err));
    KV_TRY(kv_remote_sink(remote, opts->tag, &sink, err));
    opts->sink = &sink;
    kv_code rc = run_pack(cli, a, store, opts, err);
    kv_remote_sink_free(&sink);
    if (rc != KV_OK) return rc;
    kv_cli_end_progress(cli);
    kv_cli_say(cli, "Pushed %s", full);
    return KV_OK;
}

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    const pack_args *a = args;
    kv_pack_options opts = KV_PACK_OPTIONS_INIT;
    opts.context = operand[0];
    opts.report = kv_cli_report(cli);
    opts.cli_version = getenv("KITVAULT_CLI_VERSION");
    opts.no_cache = a->no_cache;
    KV_TRY(read_forms(a, &opts, err));
    kv_auto_reference tag = {0};
    if (a->tag && a->tag[0]) {
        KV_TRY(parse_tag(cli, a->tag, &tag, err));
        opts.tag = &tag;
    }
    kv_auto_buf text = KV_BUF(KV_KITFILE_BYTES_MAX);
    if (a->file && strcmp(a->file, "-") == 0) {
        KV_TRY(read_kitfile(&text, err));
        opts.kitfile_text = kv_buf_sv(&text);
    } else if (a->file && a->file[0]) {
        opts.kitfile = a->file;
    }

    kv_auto(kv_store) store = NULL;
    kv_auto_net net = {0};
    KV_TRY(kv_cli_store(cli, &store, err));
    KV_TRY(kv_net_open(cli, &a->net, &net, err));
    kv_kit_source remote = kv_net_source(&net);
    opts.remote = &remote;
    return a->push ? pack_and_push(cli, a, store, &net, &opts, err)
                   : run_pack(cli, a, store, &opts, err);
}

const kv_cmd kv_cmd_pack = {
    .name = "pack",
    .operands = "DIRECTORY",
    .summary = "make a ModelKit of a directory",
    .about =
        "Reads the Kitfile in DIRECTORY (Kitfile, kitfile or .kitfile), packs each entry of it into\n"
        "a layer and stores the ModelKit in the local store. The same files give the same bytes,\n"
        "whenever and wherever they are packed. What .kitignore lists is left out. With\n"
        "--normalize-modes not even the umask matters. Layers whose files have not changed since\n"
        "they were packed are not read again; --no-cache reads them.\n"
        "\n"
        "Without --tag the ModelKit has no name but its digest. --dry-run reads everything and\n"
        "stores nothing; its lines say what is new and what is there already. --use-model-pack\n"
        "makes a CNCF ModelPack, whose config has a time only if SOURCE_DATE_EPOCH gives one.\n"
        "\n"
        "--push sends everything to the registry that --tag names, while it is read; the local store\n"
        "stays as it is.",
    .examples = "$ pack . -t demo:v1\n"
                "# Kitfile from elsewhere, and two names\n"
                "$ pack . --file other/Kitfile -t demo:v2,latest\n"
                "# What would be stored, on a machine with another umask\n"
                "$ pack . --dry-run --normalize-modes\n"
                "# Straight to a registry\n"
                "$ pack . -t hub.example.com/team/demo:v1 --push\n",
    .opts = OPTS,
    .n_opts = KV_COUNT(OPTS),
    .args_size = sizeof(pack_args),
    .defaults = &DEFAULTS,
    .group = &kv_net_group,
    .group_off = offsetof(pack_args, net),
    .run = run,
};

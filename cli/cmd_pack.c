#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/document.h"
#include "cli/local.h"
#include "cli/names.h"
#include "cli/net.h"
#include "kitvault/kitfile.h"

typedef struct pack_args {
    const char *file, *tag, *compression, *format;
} pack_args;

static const kv_opt OPTS[] = {
    KV_OPT(pack_args, file, "file", 'f', "take this Kitfile; - reads standard input (`FILE`)"),
    KV_OPT(pack_args, tag, "tag", 't',
           "call the ModelKit `NAME`: repository:tag, more tags behind commas"),
    KV_OPT(pack_args, compression, "compression", 0,
           "compress layers with `METHOD`: none, gzip, gzip-fastest or zstd"),
    KV_OPT_FORMAT(pack_args),
};
static const pack_args DEFAULTS = {.compression = "none"};

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

static kv_code add_layers(kv_document *d, kv_store *store, const kv_digest *digest, kv_error *err)
{
    kv_auto(kv_manifest) m = NULL;
    KV_TRY(kv_store_manifest(store, digest, &m, err));
    kv_jout_key(&d->out, KV_SV("layers"));
    kv_jout_arr(&d->out);
    for (size_t i = 0; i < m->n_layers; i++) {
        const kv_descriptor *l = &m->layers[i];
        kv_jout_obj(&d->out);
        kv_jout_kstr(&d->out, "kind", kv_sv_of(kv_layer_kind_name(kv_layer_type_of(l).kind)));
        kv_jout_kstr(&d->out, "mediaType", l->media_type);
        kv_jout_kstr(&d->out, "digest", kv_sv_of(kv_digest_str(&l->digest).s));
        kv_jout_ku64(&d->out, "size", l->size);
        kv_jout_end_obj(&d->out);
    }
    kv_jout_end_arr(&d->out);
    return KV_OK;
}

static kv_code print_json(kv_cli *cli, kv_store *store, const kv_reference *tag,
                          const kv_digest *digest, kv_error *err)
{
    kv_document d;
    kv_document_begin(&d, cli);
    if (tag) {
        kv_auto_str shown = kv_reference_display(tag);
        kv_jout_kstr(&d.out, "reference", kv_sv_of(shown));
        kv_jout_key(&d.out, KV_SV("extraTags"));
        kv_jout_arr(&d.out);
        for (size_t i = 0; i < tag->n_extra; i++) kv_jout_str(&d.out, tag->extra[i]);
        kv_jout_end_arr(&d.out);
    }
    kv_jout_kstr(&d.out, "digest", kv_sv_of(kv_digest_str(digest).s));
    kv_code code = add_layers(&d, store, digest, err);
    return kv_document_end(&d, code, err);
}

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    const pack_args *a = args;
    kv_pack_options opts = KV_PACK_OPTIONS_INIT;
    opts.context = operand[0];
    opts.report = kv_cli_report(cli);
    opts.cli_version = getenv("KITVAULT_CLI_VERSION");
    kv_code code = kv_compression_parse(kv_sv_of(a->compression), &opts.compression, err);
    if (code != KV_OK) return kv_wrap(err, code, "invalid arguments");
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
    const kv_net_args usual = *(const kv_net_args *)kv_net_group.defaults;
    KV_TRY(kv_cli_store(cli, &store, err));
    KV_TRY(kv_net_open(cli, &usual, &net, err));
    kv_kit_source remote = kv_net_source(&net);
    opts.remote = &remote;
    kv_digest digest;
    KV_TRY(kv_pack(store, &opts, &digest, err));
    return kv_is_json(a->format) ? print_json(cli, store, opts.tag, &digest, err) : KV_OK;
}

const kv_cmd kv_cmd_pack = {
    .name = "pack",
    .operands = "DIRECTORY",
    .summary = "make a ModelKit of a directory",
    .about =
        "Reads the Kitfile in DIRECTORY (Kitfile, kitfile or .kitfile), packs each entry of it into\n"
        "a layer and stores the ModelKit in the local store. The same files give the same bytes,\n"
        "whenever and wherever they are packed. What .kitignore lists is left out.\n"
        "\n"
        "Without --tag the ModelKit has no name but its digest.",
    .examples = "$ pack . -t demo:v1\n"
                "# Kitfile from elsewhere, and two names\n"
                "$ pack . --file other/Kitfile -t demo:v2,latest\n",
    .opts = OPTS,
    .n_opts = KV_COUNT(OPTS),
    .args_size = sizeof(pack_args),
    .defaults = &DEFAULTS,
    .run = run,
};

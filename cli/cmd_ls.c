#include <string.h>

#include "cli/document.h"
#include "cli/lookup.h"
#include "kitvault/files.h"

typedef struct ls_args {
    kv_net_args net;
    const char *format;
    bool remote;
} ls_args;

static const kv_opt OPTS[] = {
    KV_OPT_FORMAT(ls_args),
    KV_OPT(ls_args, remote, "remote", 'r', "look in the registry, not in the local store"),
};

/* --- text --- */

static void put_row(const kv_cli *cli, const kv_file_iter *f)
{
    kv_auto_buf line = KV_BUF(512 * 1024); /* a path of 64 KiB, each byte escaped */
    kv_digest_text digest = kv_digest_str(&f->digest);
    bool regular = f->kind == KV_FILE_REGULAR;
    kv_buf_addf(&line, "%5zu  %-5s  %04o  %14llu  %-64s  ", f->layer, kv_file_kind_name(f->kind),
                f->mode, (unsigned long long)f->size, regular ? digest.s + strlen("sha256:") : "-");
    kv_plain_add(&line, f->path);
    kv_buf_addc(&line, '\n');
    kv_cli_put(cli, kv_buf_sv(&line));
}

static kv_code print_text(const kv_cli *cli, kv_file_iter *it, kv_error *err)
{
    kv_auto_buf head = KV_BUF(256);
    kv_buf_addf(&head, "%5s  %-5s  %-4s  %14s  %-64s  %s\n", "LAYER", "TYPE", "MODE", "SIZE",
                "SHA-256", "PATH");
    kv_cli_put(cli, kv_buf_sv(&head));
    while (kv_files_next(it)) put_row(cli, it);
    return kv_files_end(it, err);
}

/* --- json --- */

static void add_kit(kv_jout *j, const kv_lookup_result *kit)
{
    static const char *const FORMS[] = {[KV_FORM_TAR] = "tar",
                                        [KV_FORM_TAR_GZIP] = "tar+gzip",
                                        [KV_FORM_TAR_ZSTD] = "tar+zstd",
                                        [KV_FORM_RAW] = "raw"};
    kv_auto_str shown = kv_reference_display(&kit->reference);
    kv_jout_kstr(j, "reference", kv_sv_of(shown));
    kv_jout_kstr(j, "digest", kv_sv_of(kv_digest_str(&kit->manifest->digest).s));
    kv_jout_key(j, KV_SV("layers"));
    kv_jout_arr(j);
    for (size_t i = 0; i < kit->manifest->n_layers; i++) {
        const kv_descriptor *d = &kit->manifest->layers[i];
        kv_layer_type type = kv_layer_type_of(d);
        kv_jout_obj(j);
        kv_jout_kstr(j, "digest", kv_sv_of(kv_digest_str(&d->digest).s));
        kv_jout_kstr(j, "mediaType", d->media_type);
        kv_jout_kstr(j, "kind", kv_sv_of(kv_layer_kind_name(type.kind)));
        kv_jout_kstr(j, "form", kv_sv_of(FORMS[type.form]));
        kv_jout_ku64(j, "size", d->size);
        kv_jout_end_obj(j);
    }
    kv_jout_end_arr(j);
}

static void add_file(kv_jout *j, const kv_file_iter *f)
{
    char mode[8];
    snprintf(mode, sizeof(mode), "%04o", f->mode & 07777);
    kv_jout_obj(j);
    kv_jout_kstr(j, "path", f->path);
    kv_jout_kstr(j, "type", kv_sv_of(kv_file_kind_name(f->kind)));
    kv_jout_kstr(j, "mode", kv_sv_of(mode));
    kv_jout_ku64(j, "size", f->size);
    if (f->digest.alg) kv_jout_kstr(j, "digest", kv_sv_of(kv_digest_str(&f->digest).s));
    kv_jout_ku64(j, "layer", f->layer);
    kv_jout_end_obj(j);
}

static kv_code print_json(kv_cli *cli, const kv_lookup_result *kit, kv_file_iter *it, kv_error *err)
{
    kv_document d;
    kv_document_begin(&d, cli);
    add_kit(&d.out, kit);
    kv_jout_key(&d.out, KV_SV("files"));
    kv_jout_arr(&d.out);
    while (kv_files_next(it)) {
        add_file(&d.out, it);
        kv_document_flow(&d);
    }
    kv_jout_end_arr(&d.out);
    kv_code code = kv_files_end(it, err);
    return kv_document_end(&d, code, err);
}

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    const ls_args *a = args;
    kv_auto_lookup kit = {0};
    KV_TRY(kv_lookup_anywhere(cli, operand[0], a->remote, &a->net, &kit, err));
    kv_report quiet = *kv_cli_report(cli); /* bars would stand between the rows */
    quiet.progress = NULL;
    kv_auto_file_iter it = kv_files_begin(&kit.source, &kit.reference, kit.manifest, NULL, &quiet);
    if (kv_is_json(a->format)) return print_json(cli, &kit, &it, err);
    return print_text(cli, &it, err);
}

const kv_cmd kv_cmd_ls = {
    .name = "ls",
    .operands = "MODELKIT",
    .summary = "list the files in a ModelKit without unpacking it",
    .about =
        "Each file with its layer, type (file, dir or other), mode, size in bytes, SHA-256 and\n"
        "path. The ModelKit is looked for in the local store, then in its registry; its layers\n"
        "are read as a stream, verified, and not kept.",
    .examples = "$ ls demo:v1\n"
                "$ ls demo:v1 --format json\n"
                "# A ModelKit that was not pulled\n"
                "$ ls hub.example.com/team/demo:v1\n",
    .opts = OPTS,
    .n_opts = KV_COUNT(OPTS),
    .args_size = sizeof(ls_args),
    .group = &kv_net_group,
    .group_off = offsetof(ls_args, net),
    .own = true,
    .kits = true,
    .run = run,
};

#include "base/file.h"
#include "build_info.h"
#include "cli/document.h"
#include "kitvault/version.h"

#ifdef __clang__
#define COMPILER "" /* clang names itself in __VERSION__ */
#else
#define COMPILER "gcc "
#endif

typedef struct version_args {
    kv_tri update_notices;
    const char *format;
} version_args;

static const kv_opt OPTS[] = {
    KV_OPT(version_args, update_notices, "show-update-notifications", 0,
           "=true or =false: remember whether kit may tell about updates, and print nothing"),
    KV_OPT_FORMAT(version_args),
};

/* An empty file in the home means: no notices. Source: kit-compat.md 4.1. */
static kv_code set_notices(const kv_cli *cli, bool wanted, kv_error *err)
{
    kv_auto_str flag = kv_cli_home_path(cli, "disable-update-notifications");
    if (!flag) return kv_fail(err, KV_E_NOMEM, "out of memory");
    if (wanted) return kv_remove_tree(flag, err);
    KV_TRY(kv_mkdirs(kv_cli_home(cli), 0755, err));
    return kv_file_write(flag, KV_SV(""), 0644, err);
}

static kv_code print_json(kv_cli *cli, kv_sv commit, kv_sv built)
{
    kv_document d;
    kv_document_begin(&d, cli);
    kv_jout_kstr(&d.out, "version", kv_sv_of(kv_version()));
    kv_jout_kstr(&d.out, "commit", commit);
    kv_jout_kstr(&d.out, "built", built);
    kv_jout_kstr(&d.out, "compiler", KV_SV(COMPILER __VERSION__));
    return kv_document_end(&d, KV_OK, NULL);
}

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    const version_args *a = args;
    (void)operand;
    if (a->update_notices != KV_TRI_UNSET)
        return set_notices(cli, a->update_notices == KV_TRI_TRUE, err);
    kv_sv commit, built = kv_sv_cut(kv_sv_of(KV_BUILD_INFO), ' ', &commit, NULL);
    if (kv_is_json(a->format)) return print_json(cli, commit, built);
    kv_auto_buf text = KV_BUF(1024);
    kv_buf_addf(&text, "Version: %s\nCommit: %.*s\nBuilt: %.*s\nCompiler: %s%s\n", kv_version(),
                KV_ARG(commit), KV_ARG(built), COMPILER, __VERSION__);
    KV_TRY(kv_buf_check(&text, err));
    kv_cli_put(cli, kv_buf_sv(&text));
    return KV_OK;
}

const kv_cmd kv_cmd_version = {
    .name = "version",
    .summary = "print which version of the program this is",
    .about =
        "Prints the version, the commit it was built from, the time of that commit and the\n"
        "compiler. KitVault never asks anybody for updates; kit does, and the flag sets its mind.",
    .examples = "$ version\n",
    .opts = OPTS,
    .n_opts = KV_COUNT(OPTS),
    .args_size = sizeof(version_args),
    .run = run,
};

#include "base/file.h"
#include "build_info.h"
#include "cli/context.h"
#include "kitvault/version.h"

#ifdef __clang__
#define COMPILER "" /* clang names itself in __VERSION__ */
#else
#define COMPILER "gcc "
#endif

typedef struct version_args {
    kv_tri update_notices;
} version_args;

static const kv_opt OPTS[] = {
    KV_OPT(version_args, update_notices, "show-update-notifications", 0,
           "=true or =false: remember whether kit may tell about updates, and print nothing"),
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

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    const version_args *a = args;
    (void)operand;
    if (a->update_notices != KV_TRI_UNSET)
        return set_notices(cli, a->update_notices == KV_TRI_TRUE, err);
    kv_sv commit, built = kv_sv_cut(kv_sv_of(KV_BUILD_INFO), ' ', &commit, NULL);
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

#include "cli/document.h"
#include "kitvault/credentials.h"

typedef struct logout_args {
    const char *format;
} logout_args;

static const kv_opt OPTS[] = {KV_OPT_FORMAT(logout_args)};

static kv_code print_json(kv_cli *cli, kv_sv registry)
{
    kv_document d;
    kv_document_begin(&d, cli);
    kv_jout_kstr(&d.out, "registry", registry);
    return kv_document_end(&d, KV_OK, NULL);
}

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    const logout_args *a = args;
    kv_auto_str path = kv_cli_home_path(cli, "credentials.json");
    if (!path) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_auto(kv_credentials) credentials = NULL;
    KV_TRY(kv_credentials_open(path, &credentials, err));
    kv_code code = kv_credentials_drop(credentials, kv_sv_of(operand[0]), err);
    if (code != KV_OK) return kv_wrap(err, code, "failed to log out from %s", operand[0]);
    kv_cli_say(cli, "Successfully logged out from %s", operand[0]);
    return kv_is_json(a->format) ? print_json(cli, kv_sv_of(operand[0])) : KV_OK;
}

const kv_cmd kv_cmd_logout = {
    .name = "logout",
    .operands = "REGISTRY",
    .summary = "forget the login to a registry",
    .about =
        "Forgets what `login` keeps for the registry. Not being logged in is fine. Logins that\n"
        "Docker keeps are left alone, and still used.",
    .examples = "$ logout hub.example.com\n",
    .opts = OPTS,
    .n_opts = KV_COUNT(OPTS),
    .args_size = sizeof(logout_args),
    .run = run,
};

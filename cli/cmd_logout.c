#include "cli/context.h"
#include "kitvault/credentials.h"

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    (void)args;
    kv_auto_str path = kv_cli_home_path(cli, "credentials.json");
    if (!path) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_auto(kv_credentials) credentials = NULL;
    KV_TRY(kv_credentials_open(path, &credentials, err));
    kv_code code = kv_credentials_drop(credentials, kv_sv_of(operand[0]), err);
    if (code != KV_OK) return kv_wrap(err, code, "failed to log out from %s", operand[0]);
    kv_cli_say(cli, "Successfully logged out from %s", operand[0]);
    return KV_OK;
}

const kv_cmd kv_cmd_logout = {
    .name = "logout",
    .operands = "REGISTRY",
    .summary = "forget the login to a registry",
    .about =
        "Forgets what `login` keeps for the registry. Not being logged in is fine. Logins that\n"
        "Docker keeps are left alone, and still used.",
    .examples = "$ logout hub.example.com\n",
    .run = run,
};

#include "cli/hub_users.h"

typedef struct add_args {
    kv_net_args net;
    bool admin, from_stdin;
    const char *email;
} add_args;

static const kv_opt OPTS[] = {
    KV_OPT(add_args, admin, "admin", 0, "make the user an administrator of the hub"),
    KV_OPT(add_args, email, "email", 0, "`ADDRESS` of the user"),
    KV_OPT(add_args, from_stdin, "password-stdin", 0, "read the password from standard input"),
};

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    const add_args *a = args;
    kv_auto_hub_session session = {0};
    KV_TRY(kv_hub_session_open(cli, &a->net, operand[0], &session, err));
    kv_auto_secret password = KV_BUF(KV_SECRET_MAX), body = KV_BUF(4 * KV_SECRET_MAX);
    KV_TRY(kv_hub_new_password(cli, a->from_stdin, &password, err));
    kv_jout j = kv_jout_make(&body, KV_JSON_GO, 0);
    kv_jout_obj(&j);
    kv_jout_kstr(&j, "name", kv_sv_of(operand[1]));
    kv_jout_kstr(&j, "password", kv_buf_sv(&password));
    if (a->admin) kv_jout_kbool(&j, "admin", true);
    if (a->email) kv_jout_kstr(&j, "email", kv_sv_of(a->email));
    kv_jout_end_obj(&j);
    KV_TRY(kv_buf_check(&body, err));
    kv_code code = kv_hub_call(&session.hub, "POST", "/users", kv_buf_sv(&body), NULL, err);
    if (code != KV_OK) return kv_wrap(err, code, "failed to add user '%s'", operand[1]);
    kv_cli_say(cli, "Added user %s", operand[1]);
    return KV_OK;
}

const kv_cmd kv_cmd_hub_user_add = {
    .name = "hub user add",
    .operands = "HUB NAME",
    .summary = "add a user to a hub",
    .about =
        "HUB is the host (and port) of a KitVault hub that you are logged in to as an\n"
        "administrator. The new user may do nothing until rights are granted. The password is\n"
        "asked for on a terminal; it needs at least 12 characters.",
    .examples = "$ hub user add hub.example.com anna --password-stdin < password.txt\n"
                "$ hub user grant hub.example.com anna team write\n",
    .opts = OPTS,
    .n_opts = KV_COUNT(OPTS),
    .args_size = sizeof(add_args),
    .group = &kv_net_group,
    .group_off = offsetof(add_args, net),
    .own = true,
    .run = run,
};

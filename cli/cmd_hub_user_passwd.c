#include "cli/hub_users.h"
#include "codec/text.h"

typedef struct passwd_args {
    kv_net_args net;
    bool from_stdin;
} passwd_args;

static const kv_opt OPTS[] = {
    KV_OPT(passwd_args, from_stdin, "password-stdin", 0, "read the password from standard input"),
};

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    const passwd_args *a = args;
    kv_auto_hub_session session = {0};
    KV_TRY(kv_hub_session_open(cli, &a->net, operand[0], &session, err));
    kv_auto_secret password = KV_BUF(KV_SECRET_MAX), body = KV_BUF(4 * KV_SECRET_MAX);
    KV_TRY(kv_hub_new_password(cli, a->from_stdin, &password, err));
    kv_jout j = kv_jout_make(&body, KV_JSON_GO, 0);
    kv_jout_obj(&j);
    kv_jout_kstr(&j, "password", kv_buf_sv(&password));
    kv_jout_end_obj(&j);
    KV_TRY(kv_buf_check(&body, err));
    kv_auto_buf path = KV_BUF(1024);
    kv_buf_adds(&path, "/users/");
    kv_percent_add(&path, kv_sv_of(operand[1]), "");
    kv_buf_adds(&path, "/password");
    KV_TRY(kv_buf_check(&path, err));
    kv_code code = kv_hub_call(&session.hub, "PUT", path.p, kv_buf_sv(&body), NULL, err);
    if (code != KV_OK)
        return kv_wrap(err, code, "failed to change the password of '%s'", operand[1]);
    kv_cli_say(cli, "Changed the password of %s", operand[1]);
    return KV_OK;
}

const kv_cmd kv_cmd_hub_user_passwd = {
    .name = "hub user passwd",
    .operands = "HUB NAME",
    .summary = "change the password of a hub's user",
    .about =
        "Administrators change anybody's, others their own. What NAME was logged in with before\n"
        "is no longer valid; log in again after changing your own.",
    .examples = "$ hub user passwd hub.example.com anna --password-stdin < password.txt\n",
    .opts = OPTS,
    .n_opts = KV_COUNT(OPTS),
    .args_size = sizeof(passwd_args),
    .group = &kv_net_group,
    .group_off = offsetof(passwd_args, net),
    .own = true,
    .run = run,
};

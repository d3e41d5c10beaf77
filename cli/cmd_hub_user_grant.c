#include <string.h>

#include "cli/hub_users.h"
#include "codec/text.h"

typedef struct grant_args {
    kv_net_args net;
} grant_args;

static const struct {
    const char *right, *text;
} RIGHTS[] = {
    {"read", "may pull from"},
    {"write", "may pull from, push to and delete in"},
    {"none", "has no rights in"},
};

static kv_code check(const void *args, char **operand, kv_error *err)
{
    (void)args;
    for (size_t i = 0; i < KV_COUNT(RIGHTS); i++)
        if (strcmp(operand[3], RIGHTS[i].right) == 0) return KV_OK;
    return kv_fail(err, KV_E_ARG, "invalid right \"%s\": must be read, write or none", operand[3]);
}

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    const grant_args *a = args;
    const char *name = operand[1], *namespace = operand[2], *right = operand[3];
    kv_auto_hub_session session = {0};
    KV_TRY(kv_hub_session_open(cli, &a->net, operand[0], &session, err));
    kv_auto_buf path = KV_BUF(4096), body = KV_BUF(256);
    kv_buf_adds(&path, "/users/");
    kv_percent_add(&path, kv_sv_of(name), "");
    kv_buf_adds(&path, "/grants/");
    kv_percent_add(&path, kv_sv_of(namespace), "");
    KV_TRY(kv_buf_check(&path, err));
    kv_buf_addf(&body, "{\"role\":\"%s\"}", right); /* a word of RIGHTS: check saw to that */
    KV_TRY(kv_buf_check(&body, err));
    kv_code code = kv_hub_call(&session.hub, "PUT", path.p, kv_buf_sv(&body), NULL, err);
    if (code != KV_OK) return kv_wrap(err, code, "failed to grant");
    for (size_t i = 0; i < KV_COUNT(RIGHTS); i++)
        if (strcmp(right, RIGHTS[i].right) == 0)
            kv_cli_say(cli, "User %s %s %s", name, RIGHTS[i].text, namespace);
    return KV_OK;
}

const kv_cmd kv_cmd_hub_user_grant = {
    .name = "hub user grant",
    .operands = "HUB NAME NAMESPACE RIGHT",
    .summary = "say what a user may do in a namespace",
    .about =
        "The namespace of team/demo is team; names of one word are in the namespace _. RIGHT is\n"
        "read (pull), write (pull, push, delete) or none. It takes the place of what was\n"
        "granted before.",
    .examples = "$ hub user grant hub.example.com anna team write\n",
    .args_size = sizeof(grant_args),
    .group = &kv_net_group,
    .group_off = offsetof(grant_args, net),
    .own = true,
    .check = check,
    .run = run,
};

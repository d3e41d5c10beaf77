#include "cli/hub_users.h"

#include <string.h>

kv_code kv_hub_session_open(const kv_cli *cli, const kv_net_args *net, const char *host,
                            kv_hub_session *out, kv_error *err)
{
    KV_TRY(kv_net_open(cli, net, &out->net, err));
    return kv_hub_client_open(&out->net, kv_sv_of(host), &out->hub, err);
}

void kv_hub_session_close(kv_hub_session *s)
{
    kv_hub_client_close(&s->hub);
    kv_net_close(&s->net);
}

void kv_secret_clear(kv_buf *secret)
{
    if (secret->p) explicit_bzero(secret->p, secret->cap);
    kv_buf_clear(secret);
}

static kv_code ask_twice(const kv_cli *cli, kv_buf *out, kv_error *err)
{
    kv_auto_secret again = KV_BUF(KV_SECRET_MAX);
    KV_TRY(kv_cli_ask(cli, "New password: ", false, out, err));
    KV_TRY(kv_cli_ask(cli, "The same again: ", false, &again, err));
    if (kv_sv_eq(kv_buf_sv(out), kv_buf_sv(&again))) return KV_OK;
    return kv_fail(err, KV_E_ARG, "invalid arguments: the two passwords differ");
}

kv_code kv_hub_new_password(const kv_cli *cli, bool from_stdin, kv_buf *out, kv_error *err)
{
    if (from_stdin) {
        KV_TRY(kv_cli_read_stdin(out, err));
        if (out->n && out->p[out->n - 1] == '\n') kv_buf_truncate(out, out->n - 1);
    } else if (kv_cli_is_interactive()) {
        KV_TRY(ask_twice(cli, out, err));
    } else {
        return kv_fail(
            err, KV_E_ARG,
            "invalid arguments: no terminal to ask for a password; use --password-stdin");
    }
    return out->n ? KV_OK : kv_fail(err, KV_E_ARG, "invalid arguments: the password is empty");
}

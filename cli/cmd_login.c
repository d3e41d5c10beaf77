#include <string.h>

#include "cli/document.h"
#include "cli/net.h"

enum { SECRET_MAX = 64 * 1024 };

typedef struct login_args {
    kv_net_args net;
    const char *user, *password, *format;
    bool from_stdin;
} login_args;

static const kv_opt OPTS[] = {
    KV_OPT(login_args, user, "username", 'u', "`NAME` to log in with"),
    KV_OPT(login_args, password, "password", 'p',
           "`PASSWORD`, or a token when no --username is given; other users can see it"),
    KV_OPT(login_args, from_stdin, "password-stdin", 0,
           "read the password from standard input, to its end"),
    KV_OPT_FORMAT(login_args),
};

static bool given(const char *s)
{
    return s && *s;
}

/* Takes a copy and wipes the buffer it came in. */
static kv_code take_text(kv_buf *b, char **out, kv_error *err)
{
    *out = kv_sv_dup(kv_sv_trim(kv_buf_sv(b)));
    if (b->p) explicit_bzero(b->p, b->n);
    return *out ? KV_OK : kv_fail(err, KV_E_NOMEM, "out of memory");
}

static kv_code ask(const kv_cli *cli, const char *prompt, bool echo, char **out, kv_error *err)
{
    kv_auto_buf answer = KV_BUF(SECRET_MAX);
    KV_TRY(kv_cli_ask(cli, prompt, echo, &answer, err));
    return take_text(&answer, out, err);
}

static kv_code read_secret(char **out, kv_error *err)
{
    kv_auto_buf text = KV_BUF(SECRET_MAX);
    KV_TRY(kv_cli_read_stdin(&text, err));
    KV_TRY(take_text(&text, out, err));
    if (**out) return KV_OK;
    return kv_fail(err, KV_E_ARG, "failed to read password from stdin: got empty string");
}

/* A secret without a user name is a refresh token. Source: kit-compat.md 8. */
static kv_code get_login(const kv_cli *cli, const login_args *a, kv_login *out, kv_error *err)
{
    if (given(a->password) && (given(a->user) || a->from_stdin))
        kv_cli_say(cli, "Warning: Using --password via CLI is insecure. "
                        "Consider using --password-stdin instead");
    if (given(a->password) && a->from_stdin)
        return kv_fail(err, KV_E_ARG, "cannot use both --password and --password-stdin");
    if (given(a->user)) out->user = strdup(a->user);
    if (a->from_stdin) return read_secret(&out->secret, err);
    if (given(a->password)) {
        out->secret = strdup(a->password);
        return out->secret ? KV_OK : kv_fail(err, KV_E_NOMEM, "out of memory");
    }
    if (!out->user) KV_TRY(ask(cli, "Username: ", true, &out->user, err));
    return ask(cli, "Password: ", false, &out->secret, err);
}

static kv_code print_json(kv_cli *cli, kv_sv registry)
{
    kv_document d;
    kv_document_begin(&d, cli);
    kv_jout_kstr(&d.out, "registry", registry);
    return kv_document_end(&d, KV_OK, NULL);
}

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    const login_args *a = args;
    kv_auto_login login = {0};
    kv_code code = get_login(cli, a, &login, err);
    if (code == KV_E_CANCELLED) return code;
    if (code != KV_OK) return kv_wrap(err, code, "invalid arguments");
    kv_auto_net net = {0};
    KV_TRY(kv_net_open(cli, &a->net, &net, err));
    kv_sv host = kv_sv_of(operand[0]);
    code = kv_remote_check_login(host, &login, &net.options, err);
    if (code != KV_OK)
        return kv_wrap(err, code, "failed to validate the credentials for %s", operand[0]);
    code = kv_credentials_put(net.credentials, host, &login, err);
    if (code != KV_OK)
        return kv_wrap(err, code, "failed to keep the credentials for %s", operand[0]);
    kv_cli_say(cli, "Log in successful");
    return kv_is_json(a->format) ? print_json(cli, host) : KV_OK;
}

const kv_cmd kv_cmd_login = {
    .name = "login",
    .operands = "REGISTRY",
    .summary = "log in to a registry",
    .about =
        "Tries the name and password against the registry and keeps them for later commands, in\n"
        "credentials.json in the home directory (or in the credential helper that file names).\n"
        "What is not given is asked for on the terminal. A password without a name is taken for a\n"
        "refresh token.",
    .examples = "$ login hub.example.com --username ann\n"
                "# Without a terminal\n"
                "$ login hub.example.com --username ann --password-stdin < password.txt\n",
    .opts = OPTS,
    .n_opts = KV_COUNT(OPTS),
    .args_size = sizeof(login_args),
    .group = &kv_net_group,
    .group_off = offsetof(login_args, net),
    .run = run,
};

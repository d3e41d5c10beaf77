#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <unistd.h>

#include "cli/context.h"
#include "cli/document.h"
#include "cli/help.h"

enum { HELP_MAX = 65536 };

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    atomic_store(&kv_cli_interrupted, true);
}

/* The first interrupt asks the work to stop in order, the second one ends the process. Writing to
 * a peer that is gone is an error of that write, not the end of the process. */
static void arm_signals(void)
{
    struct sigaction stop = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* A file opened later must not get the number of a standard stream that was closed for us. The
 * stand-ins fail when they are used. */
static void hold_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

/* Results count only when they reached their file: a full disk shows here at the latest. */
static int close_stdout(int status)
{
    bool pending = __fpending(stdout) != 0, failed = ferror(stdout) != 0;
    errno = 0;
    bool unclosed = fclose(stdout) != 0 && (pending || errno != EBADF);
    if (!failed && !unclosed) return status;
    /* A reader that had enough (`| head`) knows why it went away. */
    if (errno != EPIPE) {
        const char *why = errno && errno != EBADF ? strerror(errno) : "write failed";
        fprintf(stderr, "[ERROR] Cannot write to standard output: %s\n", why);
    }
    return status ? status : 1;
}

static int usage_error(const char *program, const kv_args *args, const kv_error *err)
{
    kv_auto_buf text = KV_BUF(HELP_MAX);
    if (args->unknown) {
        kv_buf_addf(&text, "Run '%s%s%s --help' for usage.\n", program, args->path[0] ? " " : "",
                    args->path);
    } else {
        kv_buf_addc(&text, '\n');
        if (args->cmd)
            kv_usage_command(&text, program, args->cmd);
        else
            kv_usage_group(&text, program, kv_sv_of(args->path));
        kv_buf_adds(&text, "\n\n");
    }
    if (args->cmd && kv_wants_json(args->cmd, args->values)) kv_document_fail(KV_E_ARG, err);
    fflush(stdout);
    fprintf(stderr, "Error: %s\n%s", err->msg, text.p ? text.p : "");
    return kv_cli_exit_status(args->cmd, KV_E_ARG);
}

static void print_help(const char *program, const kv_args *args)
{
    kv_auto_buf text = KV_BUF(HELP_MAX);
    if (args->cmd)
        kv_help_command(&text, program, args->cmd);
    else
        kv_help_group(&text, program, kv_sv_of(args->path));
    fputs(text.p ? text.p : "", stdout);
}

static kv_code run_command(kv_cli *cli, const kv_args *args, kv_error *err)
{
    const kv_opt_group *group = args->cmd->group;
    if (group && group->check)
        KV_TRY(group->check((const char *)args->values + args->cmd->group_off, err));
    return args->cmd->run(cli, args->values, args->operand, err);
}

static int run(const char *program, int argc, char **argv)
{
    kv_auto_args args = {0};
    kv_error err = {0};
    if (kv_args_parse(program, argc, argv, &args, &err) != KV_OK)
        return usage_error(program, &args, &err);
    if (!args.cmd || args.global.help) {
        print_help(program, &args);
        return 0;
    }
    kv_auto(kv_cli) cli = NULL;
    if (kv_cli_new(program, &args.global, kv_prints_object(args.cmd, args.values), &cli, &err) !=
        KV_OK)
        return usage_error(program, &args, &err);
    kv_code code = run_command(cli, &args, &err);
    kv_cli_end_progress(cli);
    if (code != KV_OK) kv_cli_line(cli, KV_ERROR, kv_sv_of(err.msg));
    if (code != KV_OK && !kv_cli_has_told(cli) && kv_wants_json(args.cmd, args.values))
        kv_document_fail(code, &err);
    return kv_cli_exit_status(args.cmd, code);
}

int main(int argc, char **argv)
{
    hold_standard_streams();
    arm_signals();
    const char *program = argc > 0 ? argv[0] : "kitvault";
    const char *slash = strrchr(program, '/');
    if (slash) program = slash + 1;
    return close_stdout(run(program, argc > 0 ? argc - 1 : 0, argv + (argc > 0)));
}

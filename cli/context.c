#include "cli/context.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/file.h"

atomic_bool kv_cli_interrupted;

struct kv_cli {
    const char *program;
    char *home;
    kv_console *console;
    kv_report report;
    bool told; /* a failure is in the result */
};

static void report_line(void *ctx, kv_level level, kv_sv text)
{
    kv_console_line(ctx, level, text);
}

static void report_progress(void *ctx, uint64_t id, kv_sv what, uint64_t done, uint64_t total)
{
    kv_console_progress(ctx, id, what, done, total);
}

/* --- global options --- */

static bool parse_level(const char *text, kv_level *out)
{
    static const char *const NAMES[] = {
        [KV_TRACE] = "trace", [KV_DEBUG] = "debug", [KV_INFO] = "info",
        [KV_WARN] = "warn",   [KV_ERROR] = "error",
    };
    for (size_t i = 0; i < KV_COUNT(NAMES); i++) {
        if (strcmp(text, NAMES[i]) != 0) continue;
        *out = (kv_level)i;
        return true;
    }
    return false;
}

static kv_level level_of(const kv_global_args *g, bool *valid)
{
    kv_level level = KV_INFO;
    *valid = parse_level(g->log_level, &level);
    if (g->verbose.n == 1) level = KV_DEBUG;
    if (g->verbose.n > 1) level = KV_TRACE;
    return level;
}

/* A word kit does not know is taken silently there, too. */
static kv_bar_style style_of(const kv_global_args *g)
{
    static const struct {
        const char *name;
        kv_bar_style style;
    } STYLES[] = {
        {"none", KV_BARS_NONE},
        {"false", KV_BARS_NONE},
        {"fancy", KV_BARS_FANCY},
        {"cherry", KV_BARS_FANCY},
    };
    if (g->verbose.n > 2) return KV_BARS_NONE;
    for (size_t i = 0; i < KV_COUNT(STYLES); i++)
        if (strcmp(g->progress, STYLES[i].name) == 0) return STYLES[i].style;
    return KV_BARS_PLAIN;
}

/* Source: kit-compat.md 4.1. *out_from says where the answer came from; *out "": nowhere. */
static void find_home(const char *flag, kv_buf *out, const char **out_from)
{
    const char *kitops = getenv("KITOPS_HOME"), *xdg = getenv("XDG_DATA_HOME"),
               *home = getenv("HOME");
    *out_from = "defaults";
    if (flag && flag[0]) {
        kv_buf_adds(out, flag);
        *out_from = "flag";
    } else if (kitops && kitops[0]) {
        kv_buf_adds(out, kitops);
        *out_from = "environment variable";
    } else if (xdg && xdg[0]) {
        kv_buf_addf(out, "%s/kitops", xdg);
    } else if (home && home[0]) {
        kv_buf_addf(out, "%s/.local/share/kitops", home);
    }
}

static kv_code set_home(kv_cli *cli, const char *flag, kv_error *err)
{
    enum { PATH_LIMIT = 4096 };
    kv_auto_buf found = KV_BUF(PATH_LIMIT), absolute = KV_BUF(PATH_LIMIT);
    const char *from;
    find_home(flag, &found, &from);
    KV_TRY(kv_buf_check(&found, err));
    if (!found.n) {
        kv_say(&cli->report, KV_ERROR, "failed to read base config directory");
        kv_say(&cli->report, KV_INFO,
               "Use the --config flag or set the $KITOPS_HOME environment variable to provide a "
               "default");
        return kv_fail(err, KV_E_ARG, "exit");
    }
    KV_TRY(kv_path_absolute(found.p, &absolute, err));
    kv_say(&cli->report, KV_DEBUG, "Using config directory from %s: %s", from, absolute.p);
    cli->home = kv_buf_take(&absolute);
    return cli->home ? KV_OK : kv_fail(err, KV_E_NOMEM, "out of memory");
}

kv_code kv_cli_new(const char *program, const kv_global_args *global, bool object, kv_cli **out,
                   kv_error *err)
{
    kv_auto(kv_cli) cli = calloc(1, sizeof(*cli));
    bool level_valid;
    kv_level level = level_of(global, &level_valid);
    if (cli) cli->console = kv_console_new(level, object ? KV_BARS_NONE : style_of(global), object);
    if (!cli || !cli->console) return kv_fail(err, KV_E_NOMEM, "out of memory");
    cli->program = program;
    cli->report = (kv_report){
        .line = report_line,
        .progress = report_progress,
        .ctx = cli->console,
        .cancel = &kv_cli_interrupted,
    };
    if (!level_valid) {
        kv_say(&cli->report, KV_ERROR,
               "invalid log level '%s'. Options are 'trace', 'debug', 'info', 'warn', 'error'",
               global->log_level);
        return kv_fail(err, KV_E_ARG, "failed to run");
    }
    KV_TRY(set_home(cli, global->config, err));
    *out = KV_TAKE(cli);
    return KV_OK;
}

void kv_cli_free(kv_cli *cli)
{
    if (!cli) return;
    kv_console_free(cli->console);
    free(cli->home);
    free(cli);
}

/* --- what commands ask for --- */

const char *kv_cli_program(const kv_cli *cli)
{
    return cli->program;
}

const char *kv_cli_home(const kv_cli *cli)
{
    return cli->home;
}

char *kv_cli_home_path(const kv_cli *cli, const char *name)
{
    return kv_path_join(cli->home, name);
}

const kv_report *kv_cli_report(const kv_cli *cli)
{
    return &cli->report;
}

void kv_cli_say(const kv_cli *cli, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0) return;
    kv_cli_line(cli, KV_INFO, (kv_sv){text, (size_t)n});
    free(text);
}

void kv_cli_line(const kv_cli *cli, kv_level level, kv_sv text)
{
    kv_console_line(cli->console, level, text);
}

void kv_cli_block(const kv_cli *cli, kv_level level, kv_sv text)
{
    kv_console_block(cli->console, level, text);
}

void kv_cli_put(const kv_cli *cli, kv_sv bytes)
{
    kv_console_put(cli->console, bytes);
}

kv_code kv_cli_read_stdin(kv_buf *out, kv_error *err)
{
    return kv_fd_read_all(STDIN_FILENO, "standard input", out, err);
}

bool kv_cli_is_interactive(void)
{
    return isatty(STDIN_FILENO) == 1;
}

/* Byte by byte, so that nothing behind the newline is taken from the next question. */
static kv_code read_line(kv_buf *out, kv_error *err)
{
    for (;;) {
        char c;
        ssize_t n = read(STDIN_FILENO, &c, 1);
        if (atomic_load(&kv_cli_interrupted)) return kv_fail(err, KV_E_CANCELLED, "interrupted");
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return kv_fail_sys(err, "cannot read the terminal");
        if (n == 0 || c == '\n') return kv_buf_check(out, err);
        kv_buf_addc(out, c);
    }
}

kv_code kv_cli_ask(const kv_cli *cli, const char *prompt, bool echo, kv_buf *out, kv_error *err)
{
    if (!kv_cli_is_interactive())
        return kv_fail(err, KV_E_ARG, "attempting to read input from non-terminal");
    struct termios shown, hidden;
    bool hide = !echo && tcgetattr(STDIN_FILENO, &shown) == 0;
    if (hide) { /* before the question: who answers at once is neither shown nor thrown away */
        hidden = shown;
        hidden.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
    }
    kv_cli_put(cli, kv_sv_of(prompt));
    fflush(stdout);
    kv_code code = read_line(out, err);
    if (hide) {
        tcsetattr(STDIN_FILENO, TCSADRAIN, &shown);
        kv_cli_put(cli, KV_SV("\n")); /* the user's own newline was not shown */
    }
    return code;
}

void kv_cli_set_told(kv_cli *cli)
{
    cli->told = true;
}

bool kv_cli_has_told(const kv_cli *cli)
{
    return cli->told;
}

int kv_cli_exit_status(const kv_cmd *cmd, kv_code code)
{
    kv_error_class c = kv_error_class_of(code);
    if (c == KV_CLASS_NONE || c == KV_CLASS_INTERRUPTED || (cmd && cmd->own)) return (int)c;
    return 1;
}

void kv_cli_end_progress(const kv_cli *cli)
{
    kv_console_end_progress(cli->console);
}

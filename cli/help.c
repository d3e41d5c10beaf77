#include "cli/help.h"

#include <string.h>

#include "kitvault/version.h"

#define PROGRAM_SUMMARY "archive machine-learning models as ModelKits"
#define PROGRAM_ABOUT                                                                              \
    "A ModelKit is one immutable unit: weights, data, code and documents of a model, with a\n"     \
    "Kitfile that describes them. This program packs a directory into a ModelKit, keeps it in a\n" \
    "local store, moves it to and from a hub or any OCI registry, and unpacks it again with\n"     \
    "every byte verified.\n"                                                                       \
    "\n"                                                                                           \
    "It reads and writes the files of kit (KitOps) and takes the same commands; installed under\n" \
    "the name kit, it stands in for it."

static const char PROGRAM_EXAMPLES[] =
    "# Describe the model in this directory, pack it, look at it\n"
    "$ init .\n"
    "$ pack . -t demo:v1\n"
    "$ list\n";

/* --- pieces --- */

/* The text with "$ " at the start of a line replaced by the program's name. */
static void add_lines(kv_buf *out, const char *text, const char *indent, const char *program)
{
    kv_sv rest = kv_sv_of(text);
    while (rest.n) {
        kv_sv line;
        rest = kv_sv_cut(rest, '\n', &line, NULL);
        if (line.n) kv_buf_adds(out, indent);
        if (program && kv_sv_starts(line, KV_SV("$ ")))
            kv_buf_addf(out, "%s %.*s\n", program, KV_ARG(kv_sv_from(line, 2)));
        else
            kv_buf_addf(out, "%.*s\n", KV_ARG(line));
    }
}

/* The name of an option's value: the word in backquotes of its help, else by its type. */
static kv_sv value_name(const kv_opt *opt)
{
    kv_sv before, name, help = kv_sv_of(opt->help);
    bool found;
    kv_sv rest = kv_sv_cut(help, '`', &before, &found);
    if (found) {
        kv_sv_cut(rest, '`', &name, NULL);
        return name;
    }
    switch (opt->kind) {
    case 'i': return KV_SV("N");
    case 's':
    case 'S': return KV_SV("TEXT");
    default: return KV_SV("");
    }
}

/* The help text without its backquotes; a value's name that only stands in brackets is left out. */
static void add_help_text(kv_buf *out, const kv_opt *opt)
{
    for (const char *p = opt->help; *p; p++)
        if (*p != '`') kv_buf_addc(out, *p);
}

/* " (default ...)" from the struct of defaults, when there is something to tell. */
static void add_default(kv_buf *out, const kv_opt *opt, const void *defaults)
{
    if (!defaults) return;
    const void *member = (const char *)defaults + opt->off;
    const char *text;
    switch (opt->kind) {
    case 's':
        text = *(const char *const *)member;
        if (text && text[0]) kv_buf_addf(out, " (default \"%s\")", text);
        return;
    case 'i':
        if (*(const int *)member) kv_buf_addf(out, " (default %d)", *(const int *)member);
        return;
    case 'b':
        if (*(const bool *)member) kv_buf_adds(out, " (default true)");
        return;
    default: return;
    }
}

static void add_option_name(kv_buf *out, const kv_opt *opt)
{
    if (opt->letter)
        kv_buf_addf(out, "  -%c, --%s", opt->letter, opt->name);
    else
        kv_buf_addf(out, "      --%s", opt->name);
    kv_sv value = value_name(opt);
    if (value.n) kv_buf_addf(out, " %.*s", KV_ARG(value));
}

static size_t widest_option(const kv_opt *opts, size_t n)
{
    size_t widest = 0;
    for (size_t i = 0; i < n; i++) {
        if (opts[i].hidden) continue;
        kv_auto_buf name = KV_BUF(256);
        add_option_name(&name, &opts[i]);
        if (name.n > widest) widest = name.n;
    }
    return widest;
}

static void add_options(kv_buf *out, const kv_opt *opts, size_t n, const void *defaults,
                        size_t width)
{
    for (size_t i = 0; i < n; i++) {
        if (opts[i].hidden) continue;
        size_t before = out->n;
        add_option_name(out, &opts[i]);
        while (out->n - before < width + 3 && !out->failed) kv_buf_addc(out, ' ');
        add_help_text(out, &opts[i]);
        add_default(out, &opts[i], defaults);
        kv_buf_addc(out, '\n');
    }
}

static void add_global_options(kv_buf *out)
{
    const kv_opt_group *g = &kv_global_group;
    kv_buf_adds(out, "\nGlobal Flags:\n");
    add_options(out, g->opts, g->n_opts, g->defaults, widest_option(g->opts, g->n_opts));
}

/* --- help of one command --- */

static void add_synopsis(kv_buf *out, const char *program, const kv_cmd *cmd)
{
    bool options = cmd->n_opts || cmd->group;
    kv_buf_addf(out, "%s %s%s%s%s", program, cmd->name, options ? " [flags]" : "",
                cmd->operands ? " " : "", cmd->operands ? cmd->operands : "");
}

void kv_usage_command(kv_buf *out, const char *program, const kv_cmd *cmd)
{
    kv_buf_adds(out, "Usage:\n  ");
    add_synopsis(out, program, cmd);
    kv_buf_adds(out, "\n");
    if (cmd->examples) {
        kv_buf_adds(out, "\nExamples:\n");
        add_lines(out, cmd->examples, "  ", program);
    }
    if (cmd->n_opts || cmd->group) {
        const kv_opt_group *g = cmd->group;
        size_t width = widest_option(cmd->opts, cmd->n_opts);
        size_t width_g = g ? widest_option(g->opts, g->n_opts) : 0;
        if (width_g > width) width = width_g;
        kv_buf_adds(out, "\nFlags:\n");
        add_options(out, cmd->opts, cmd->n_opts, cmd->defaults, width);
        if (g) add_options(out, g->opts, g->n_opts, g->defaults, width);
    }
    add_global_options(out);
}

static void add_title(kv_buf *out, const char *summary, const char *about)
{
    char first = summary[0];
    if (first >= 'a' && first <= 'z') first = (char)(first - ('a' - 'A'));
    kv_buf_addf(out, "%c%s\n\n", first, summary + 1);
    if (!about) return;
    kv_buf_adds(out, "Description:\n");
    add_lines(out, about, "  ", NULL);
    kv_buf_addc(out, '\n');
}

void kv_help_command(kv_buf *out, const char *program, const kv_cmd *cmd)
{
    add_title(out, cmd->summary, cmd->about);
    kv_usage_command(out, program, cmd);
}

/* --- help of a group, and of the program --- */

/* The next word of a name that stands below path, or empty. */
static kv_sv word_below(const char *name, kv_sv path)
{
    kv_sv rest = kv_sv_of(name), word;
    if (path.n) {
        if (!kv_sv_starts(rest, path) || rest.n <= path.n || rest.p[path.n] != ' ')
            return KV_SV("");
        rest = kv_sv_from(rest, path.n + 1);
    }
    bool more;
    kv_sv_cut(rest, ' ', &word, &more);
    return more ? KV_SV("") : word;
}

size_t kv_help_list(kv_sv path, kv_help_entry *out, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < kv_n_commands && n < max; i++) {
        kv_sv word = kv_commands[i]->hidden ? KV_SV("") : word_below(kv_commands[i]->name, path);
        if (word.n) out[n++] = (kv_help_entry){word, kv_commands[i]->summary};
    }
    for (size_t i = 0; i < kv_n_command_groups && n < max; i++) {
        kv_sv word = word_below(kv_command_groups[i].name, path);
        if (word.n) out[n++] = (kv_help_entry){word, kv_command_groups[i].summary};
    }
    return n;
}

void kv_usage_group(kv_buf *out, const char *program, kv_sv path)
{
    kv_help_entry commands[64];
    size_t n = kv_help_list(path, commands, KV_COUNT(commands)), width = 0;
    for (size_t i = 0; i < n; i++)
        if (commands[i].word.n > width) width = commands[i].word.n;
    kv_buf_addf(out, "Usage:\n  %s%s%.*s [command]\n", program, path.n ? " " : "", KV_ARG(path));
    if (!path.n) {
        kv_buf_adds(out, "\nExamples:\n");
        add_lines(out, PROGRAM_EXAMPLES, "  ", program);
    }
    kv_buf_adds(out, "\nAvailable Commands:\n");
    for (size_t i = 0; i < n; i++)
        kv_buf_addf(out, "  %-*.*s   %s\n", (int)width, KV_ARG(commands[i].word),
                    commands[i].summary);
    add_global_options(out);
    kv_buf_addf(out, "\nUse \"%s%s%.*s [command] --help\" for more about a command.\n", program,
                path.n ? " " : "", KV_ARG(path));
}

void kv_help_group(kv_buf *out, const char *program, kv_sv path)
{
    const kv_cmd_group *group = path.n ? kv_cmd_group_find(path) : NULL;
    add_title(out, group ? group->summary : PROGRAM_SUMMARY, group ? NULL : PROGRAM_ABOUT);
    kv_usage_group(out, program, path);
}

/* --- man pages --- */

/* Text for troff: backslashes and hyphens are escaped, and no line begins with a request. */
static void add_roff(kv_buf *out, kv_sv text)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        bool line_start = i == 0 || text.p[i - 1] == '\n';
        if (line_start && (c == '.' || c == '\'')) kv_buf_adds(out, "\\&");
        if (c == '\\')
            kv_buf_adds(out, "\\e");
        else if (c == '-')
            kv_buf_adds(out, "\\-");
        else if (c != '`')
            kv_buf_addc(out, c);
    }
}

static void add_man_name(kv_buf *out, const char *name)
{
    kv_buf_adds(out, "kitvault");
    for (const char *p = name; *p; p++) {
        if (p == name) kv_buf_addc(out, '-');
        kv_buf_addc(out, *p == ' ' ? '-' : *p);
    }
}

static void add_man_head(kv_buf *out, const char *name, const char *summary)
{
    kv_auto_buf title = KV_BUF(128);
    add_man_name(&title, name);
    kv_buf_adds(out, ".TH ");
    for (size_t i = 0; i < title.n; i++) {
        char c = title.p[i];
        kv_buf_addc(out, c >= 'a' && c <= 'z' ? (char)(c - ('a' - 'A')) : c);
    }
    kv_buf_addf(out, " 1 \"\" \"kitvault %s\" \"KitVault\"\n.SH NAME\n", kv_version());
    add_roff(out, kv_buf_sv(&title));
    kv_buf_adds(out, " \\- ");
    add_roff(out, kv_sv_of(summary));
    kv_buf_addc(out, '\n');
}

static void add_man_options(kv_buf *out, const kv_opt *opts, size_t n, const void *defaults)
{
    for (size_t i = 0; i < n; i++) {
        if (opts[i].hidden) continue;
        kv_auto_buf name = KV_BUF(256), text = KV_BUF(2048);
        add_option_name(&name, &opts[i]);
        kv_buf_adds(out, ".TP\n.B ");
        add_roff(out, kv_sv_trim(kv_buf_sv(&name)));
        kv_buf_addc(out, '\n');
        add_help_text(&text, &opts[i]);
        add_default(&text, &opts[i], defaults);
        add_roff(out, kv_buf_sv(&text));
        kv_buf_addc(out, '\n');
    }
}

static void add_man_block(kv_buf *out, const char *heading, const char *text, const char *program)
{
    kv_auto_buf lines = KV_BUF(16384);
    add_lines(&lines, text, "", program);
    kv_buf_addf(out, ".SH %s\n.nf\n", heading);
    add_roff(out, kv_buf_sv(&lines));
    kv_buf_adds(out, ".fi\n");
}

/* Paragraphs are filled, lines that begin with blanks (lists, tables) are kept. */
static void add_man_about(kv_buf *out, const char *text)
{
    kv_buf_adds(out, ".SH DESCRIPTION\n");
    kv_sv rest = kv_sv_of(text);
    bool kept = false;
    while (rest.n) {
        kv_sv line;
        rest = kv_sv_cut(rest, '\n', &line, NULL);
        bool keep = line.n && line.p[0] == ' ';
        if (keep != kept) kv_buf_adds(out, keep ? ".nf\n" : ".fi\n");
        kept = keep;
        if (line.n) {
            add_roff(out, line);
            kv_buf_addc(out, '\n');
        } else {
            kv_buf_adds(out, ".PP\n");
        }
    }
    if (kept) kv_buf_adds(out, ".fi\n");
}

static void add_man_tail(kv_buf *out)
{
    const kv_opt_group *g = &kv_global_group;
    kv_buf_adds(out, ".SH GLOBAL OPTIONS\n");
    add_man_options(out, g->opts, g->n_opts, g->defaults);
    kv_buf_adds(out, ".SH EXIT STATUS\n0 on success, 1 on failure, 130 after an interrupt.\n");
}

void kv_man_command(kv_buf *out, const kv_cmd *cmd)
{
    add_man_head(out, cmd->name, cmd->summary);
    kv_auto_buf synopsis = KV_BUF(1024);
    add_synopsis(&synopsis, "kitvault", cmd);
    kv_buf_adds(out, ".SH SYNOPSIS\n.B ");
    add_roff(out, kv_buf_sv(&synopsis));
    kv_buf_addc(out, '\n');
    add_man_about(out, cmd->about ? cmd->about : cmd->summary);
    if (cmd->n_opts || cmd->group) {
        const kv_opt_group *g = cmd->group;
        kv_buf_adds(out, ".SH OPTIONS\n");
        add_man_options(out, cmd->opts, cmd->n_opts, cmd->defaults);
        if (g) add_man_options(out, g->opts, g->n_opts, g->defaults);
    }
    add_man_tail(out);
    if (cmd->examples) add_man_block(out, "EXAMPLES", cmd->examples, "kitvault");
    kv_buf_adds(out, ".SH SEE ALSO\n.BR kitvault (1)\n");
}

void kv_man_program(kv_buf *out)
{
    add_man_head(out, "", PROGRAM_SUMMARY);
    kv_buf_adds(out, ".SH SYNOPSIS\n.B kitvault COMMAND [flags] [operands]\n");
    add_man_about(out, PROGRAM_ABOUT);
    kv_buf_adds(out, ".SH COMMANDS\n");
    for (size_t i = 0; i < kv_n_commands; i++) {
        if (kv_commands[i]->hidden) continue;
        kv_buf_adds(out, ".TP\n.BR ");
        kv_auto_buf name = KV_BUF(128);
        add_man_name(&name, kv_commands[i]->name);
        add_roff(out, kv_buf_sv(&name));
        kv_buf_adds(out, " (1)\n");
        add_roff(out, kv_sv_of(kv_commands[i]->summary));
        kv_buf_addc(out, '\n');
    }
    add_man_tail(out);
    kv_buf_adds(
        out, ".SH ENVIRONMENT\n"
             ".TP\n.B KITOPS_HOME\nthe home directory, where --config names none\n"
             ".TP\n.B KITOPS_CLIENT_CERT, KITOPS_CLIENT_KEY\nwin over --cert and --key\n"
             ".TP\n.B http_proxy, https_proxy, no_proxy\nwhere --proxy is not given\n"
             ".TP\n.B DOCKER_CONFIG\nwhere Docker's logins are, which are read, too\n"
             ".TP\n.B HF_TOKEN, HF_ENDPOINT\ntoken and address of Hugging Face for init --remote\n"
             ".TP\n.B KITVAULT_DEV_SERVER\nthe program that dev start runs\n"
             ".TP\n.B KITVAULT_CLI_VERSION\nthe version written into packed ModelKits\n"
             ".TP\n.B KITVAULT_SYNC\non: pack and pull end when the local store is on the disk. "
             "Without it they do not wait, as kit; what a power cut leaves damaged is found and "
             "removed by the next command that stores something\n"
             ".TP\n.B NO_COLOR\nno colours on a terminal\n"
             ".SH FILES\n"
             "The home holds storage/ (the local store), cache/ (what can be made again) and "
             "credentials.json (logins, readable by its owner alone).\n");
    add_man_block(out, "EXAMPLES", PROGRAM_EXAMPLES, "kitvault");
}

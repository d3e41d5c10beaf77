/* Build tool: man pages and lists out of the command tables.
 *
 *   kitvault-tables man                the page of the program
 *   kitvault-tables man hub user add   the page of a command
 *   kitvault-tables commands           the names, one a line
 *   kitvault-tables options            COMMAND<tab>OPTION<tab>HELP, one option a line; global ones
 *                                      stand behind an empty command
 */
#include <stdio.h>
#include <string.h>

#include "cli/help.h"

enum { PAGE_MAX = 1 << 16 };

static int print_page(char **words, int n)
{
    kv_auto_buf name = KV_BUF(256), page = KV_BUF(PAGE_MAX);
    for (int i = 0; i < n; i++) kv_buf_addf(&name, "%s%s", i ? " " : "", words[i]);
    const kv_cmd *cmd = n ? kv_cmd_find(kv_buf_sv(&name)) : NULL;
    if (n && !cmd) {
        fprintf(stderr, "no command '%s'\n", name.p ? name.p : "");
        return 1;
    }
    if (cmd)
        kv_man_command(&page, cmd);
    else
        kv_man_program(&page);
    if (kv_buf_check(&page, NULL) != KV_OK) return 1;
    fputs(page.p, stdout);
    return 0;
}

static void print_options(const char *command, const kv_opt *opts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!opts[i].hidden) printf("%s\t--%s\t%s\n", command, opts[i].name, opts[i].help);
}

static void print_all_options(void)
{
    print_options("", kv_global_group.opts, kv_global_group.n_opts);
    for (size_t i = 0; i < kv_n_commands; i++) {
        const kv_cmd *c = kv_commands[i];
        if (c->hidden) continue;
        print_options(c->name, c->opts, c->n_opts);
        if (c->group) print_options(c->name, c->group->opts, c->group->n_opts);
    }
}

static void print_commands(void)
{
    for (size_t i = 0; i < kv_n_commands; i++)
        if (!kv_commands[i]->hidden) puts(kv_commands[i]->name);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    int status = 0;
    if (strcmp(what, "man") == 0)
        status = print_page(argv + 2, argc - 2);
    else if (strcmp(what, "options") == 0)
        print_all_options();
    else if (strcmp(what, "commands") == 0)
        print_commands();
    else
        status = 2;
    return fflush(stdout) == 0 ? status : 1;
}

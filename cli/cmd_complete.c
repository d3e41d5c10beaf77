/* What completion scripts ask (cli/cmd_completion.c): a line for each thing the last word may become,
 * VALUE<tab>HELP, and at the end ":words" or, where files would do as well, ":files". */
#include <stdlib.h>
#include <string.h>

#include "cli/help.h"
#include "cli/local.h"

typedef struct complete_args {
    bool next;
} complete_args;

static const kv_opt OPTS[] = {
    KV_OPT(complete_args, next, "next", 0, "the word to complete is a new one, behind those given"),
};

typedef struct completion {
    const kv_cli *cli;
    const kv_cmd *cmd; /* NULL: path leads only to commands */
    kv_buf path;       /* "hub user" */
    bool value;        /* the word to complete is an option's value */
    bool raw;          /* behind "--": no options */
    bool lost;         /* a word that is no command */
    kv_sv word;
    kv_buf out;
} completion;

static void clear_completion(completion *c)
{
    kv_buf_clear(&c->path);
    kv_buf_clear(&c->out);
}

static void offer(completion *c, kv_sv value, const char *help)
{
    if (!kv_sv_starts(value, c->word)) return;
    kv_buf_addf(&c->out, "%.*s%s", KV_ARG(value), help ? "\t" : "");
    for (const char *p = help ? help : ""; *p; p++)
        if (*p != '`') kv_buf_addc(&c->out, *p);
    kv_buf_addc(&c->out, '\n');
}

/* Follows the words in front of the one to complete. */
static void read_words(completion *c, char **words, size_t n)
{
    for (size_t i = 0; i < n && !c->lost; i++) {
        const char *word = words[i];
        if (c->raw || word[0] != '-' || !word[1]) {
            if (c->cmd) continue;
            kv_buf_addf(&c->path, "%s%s", c->path.n ? " " : "", word);
            c->cmd = kv_cmd_find(kv_buf_sv(&c->path));
            c->lost = !c->cmd && !kv_cmd_group_find(kv_buf_sv(&c->path));
        } else if (strcmp(word, "--") == 0) {
            c->raw = true;
        } else if (kv_opt_eats_next(c->cmd, word)) {
            c->value = ++i == n;
        }
    }
}

static void offer_options(completion *c, const kv_opt *opts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (opts[i].hidden) continue;
        kv_auto_buf name = KV_BUF(256);
        kv_buf_addf(&name, "--%s", opts[i].name);
        offer(c, kv_buf_sv(&name), opts[i].help);
    }
}

static void offer_all_options(completion *c)
{
    if (c->cmd) {
        offer_options(c, c->cmd->opts, c->cmd->n_opts);
        if (c->cmd->group) offer_options(c, c->cmd->group->opts, c->cmd->group->n_opts);
    }
    offer_options(c, kv_global_group.opts, kv_global_group.n_opts);
}

static void offer_commands(completion *c)
{
    kv_help_entry words[64];
    size_t n = kv_help_list(kv_buf_sv(&c->path), words, KV_COUNT(words));
    for (size_t i = 0; i < n; i++) offer(c, words[i].word, words[i].summary);
}

static void offer_kit(completion *c, const kv_store_iter *it, kv_sv tag)
{
    kv_reference ref = {.registry = it->registry, .repository = it->repository, .tag = tag};
    if (!tag.n) ref.digest = it->digest;
    kv_auto_str shown = kv_reference_display(&ref);
    if (shown) offer(c, kv_sv_of(shown), NULL);
}

/* A store that cannot be read offers nothing: this is no moment for errors. */
static void offer_kits(completion *c)
{
    kv_auto(kv_store) store = NULL;
    if (kv_cli_store(c->cli, &store, NULL) != KV_OK) return;
    kv_store_iter it = kv_store_begin(store);
    while (kv_store_next(&it)) {
        for (size_t i = 0; i < it.n_tags; i++) offer_kit(c, &it, it.tags[i]);
        if (!it.n_tags) offer_kit(c, &it, (kv_sv){0});
    }
    if (kv_store_end(&it, NULL) != KV_OK) kv_buf_clear(&c->out);
}

/* True: only what is offered can stand here, no file. */
static bool offer_what_fits(completion *c)
{
    if (c->lost || c->value) return false;
    if (!c->raw && kv_sv_starts(c->word, KV_SV("-"))) {
        offer_all_options(c);
        return kv_sv_find(c->word, '=') == SIZE_MAX;
    }
    if (!c->cmd) {
        offer_commands(c);
        return true;
    }
    if (!c->cmd->kits) return false;
    offer_kits(c);
    return true;
}

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    enum { PATH_MAX_BYTES = 4096, OUT_MAX = 16 << 20 };
    const complete_args *a = args;
    size_t n = 0;
    while (operand[n]) n++;
    KV_CLEANUP(clear_completion)
    completion c = {.cli = cli, .path = KV_BUF(PATH_MAX_BYTES), .out = KV_BUF(OUT_MAX)};
    if (n && !a->next) c.word = kv_sv_of(operand[--n]);
    read_words(&c, operand, n);
    bool words = offer_what_fits(&c);
    kv_buf_adds(&c.out, words ? ":words\n" : ":files\n");
    KV_TRY(kv_buf_check(&c.out, err));
    kv_cli_put(cli, kv_buf_sv(&c.out));
    return KV_OK;
}

const kv_cmd kv_cmd_complete = {
    .name = "__complete",
    .operands = "[WORD...]",
    .summary = "answer a completion script",
    .opts = OPTS,
    .n_opts = KV_COUNT(OPTS),
    .args_size = sizeof(complete_args),
    .hidden = true,
    .run = run,
};

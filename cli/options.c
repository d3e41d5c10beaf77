#include "cli/options.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* --- the tables --- */

#define KV_COMMAND(id) extern const kv_cmd kv_cmd_##id;
#define KV_COMMAND_GROUP(name, summary)
#include "cli/commands.def"
#undef KV_COMMAND
#undef KV_COMMAND_GROUP

/* clang-format off */
#define KV_COMMAND(id) &kv_cmd_##id,
#define KV_COMMAND_GROUP(name, summary)
const kv_cmd *const kv_commands[] = {
#include "cli/commands.def"
};
#undef KV_COMMAND
#undef KV_COMMAND_GROUP
const size_t kv_n_commands = KV_COUNT(kv_commands);

#define KV_COMMAND(id)
#define KV_COMMAND_GROUP(name, summary) {name, summary},
const kv_cmd_group kv_command_groups[] = {
#include "cli/commands.def"
    {0}, /* not counted */
};
#undef KV_COMMAND
#undef KV_COMMAND_GROUP
const size_t kv_n_command_groups = KV_COUNT(kv_command_groups) - 1;
/* clang-format on */

static const kv_opt GLOBAL_OPTS[] = {
    KV_OPT(kv_global_args, config, "config", 0,
           "keep everything under `DIR` (instead of $KITOPS_HOME or the user's data directory)"),
    KV_OPT(kv_global_args, log_level, "log-level", 0,
           "show messages of this `LEVEL` and above: trace, debug, info, warn or error"),
    KV_OPT(kv_global_args, progress, "progress", 0,
           "draw progress on a terminal in this `STYLE`: none, plain or fancy"),
    KV_OPT(kv_global_args, verbose, "verbose", 'v',
           "say more: -v is debug, -vv trace, -vvv trace without progress bars"),
    KV_OPT(kv_global_args, help, "help", 'h', "print help and exit"),
};
static const kv_global_args GLOBAL_DEFAULTS = {.log_level = "info", .progress = "plain"};
const kv_opt_group kv_global_group = {
    .opts = GLOBAL_OPTS,
    .n_opts = KV_COUNT(GLOBAL_OPTS),
    .size = sizeof(kv_global_args),
    .defaults = &GLOBAL_DEFAULTS,
};

const kv_cmd *kv_cmd_find(kv_sv name)
{
    for (size_t i = 0; i < kv_n_commands; i++)
        if (kv_sv_is(name, kv_commands[i]->name)) return kv_commands[i];
    return NULL;
}

const kv_cmd_group *kv_cmd_group_find(kv_sv name)
{
    for (size_t i = 0; i < kv_n_command_groups; i++)
        if (kv_sv_is(name, kv_command_groups[i].name)) return &kv_command_groups[i];
    return NULL;
}

void kv_cmd_operand_range(const kv_cmd *cmd, size_t *min, size_t *max)
{
    *min = *max = 0;
    kv_sv rest = kv_sv_of(cmd->operands);
    while (rest.n) {
        kv_sv word;
        rest = kv_sv_cut(rest, ' ', &word, NULL);
        if (!word.n) continue;
        if (kv_sv_ends(word, KV_SV("...")) || kv_sv_ends(word, KV_SV("...]"))) *max = SIZE_MAX;
        if (word.p[0] != '[') ++*min;
        if (*max != SIZE_MAX) ++*max;
    }
}

/* --- finding an option --- */

/* An option and the struct it is bound into. */
typedef struct target {
    const kv_opt *opt;
    char *base;
} target;

static bool takes_value(const kv_opt *opt)
{
    return opt->kind == 's' || opt->kind == 'S' || opt->kind == 'i';
}

static const kv_opt *find_in(const kv_opt *opts, size_t n, kv_sv name, char letter)
{
    for (size_t i = 0; i < n; i++)
        if (letter ? opts[i].letter == letter : kv_sv_is(name, opts[i].name)) return &opts[i];
    return NULL;
}

static target find_opt(kv_args *a, kv_sv name, char letter)
{
    const kv_cmd *cmd = a->cmd;
    if (cmd) {
        const kv_opt *opt = find_in(cmd->opts, cmd->n_opts, name, letter);
        if (opt) return (target){opt, a->values};
        if (cmd->group) {
            opt = find_in(cmd->group->opts, cmd->group->n_opts, name, letter);
            if (opt) return (target){opt, (char *)a->values + cmd->group_off};
        }
    }
    const kv_opt *opt = find_in(GLOBAL_OPTS, KV_COUNT(GLOBAL_OPTS), name, letter);
    return (target){opt, (char *)&a->global};
}

/* --- setting it --- */

/* The words Go's strconv.ParseBool takes. */
static bool parse_bool(const char *s, bool *out)
{
    static const char *const YES[] = {"1", "t", "T", "true", "TRUE", "True"};
    static const char *const NO[] = {"0", "f", "F", "false", "FALSE", "False"};
    for (size_t i = 0; i < KV_COUNT(YES); i++) {
        bool yes = strcmp(s, YES[i]) == 0;
        if (!yes && strcmp(s, NO[i]) != 0) continue;
        *out = yes;
        return true;
    }
    return false;
}

static kv_code invalid(const kv_opt *opt, const char *value, const char *call, const char *why,
                       kv_error *err)
{
    char shown[80];
    if (opt->letter)
        snprintf(shown, sizeof(shown), "-%c, --%s", opt->letter, opt->name);
    else
        snprintf(shown, sizeof(shown), "--%s", opt->name);
    return kv_fail(err, KV_E_ARG,
                   "invalid argument \"%s\" for \"%s\" flag: strconv.%s: parsing \"%s\": %s", value,
                   shown, call, value, why);
}

/* "text or json" */
static void list_words(const char *words, char *out, size_t max)
{
    kv_sv rest = kv_sv_of(words);
    for (size_t n = 0; rest.n;) {
        kv_sv word;
        rest = kv_sv_cut(rest, ' ', &word, NULL);
        int more = snprintf(out + n, max - n, "%s%.*s",
                            !n       ? ""
                            : rest.n ? ", "
                                     : " or ",
                            KV_ARG(word));
        if (more < 0 || (size_t)more >= max - n) return;
        n += (size_t)more;
    }
}

static kv_code check_word(const kv_opt *opt, const char *value, kv_error *err)
{
    char listed[80] = "";
    kv_sv rest = kv_sv_of(opt->words);
    while (rest.n) {
        kv_sv word;
        rest = kv_sv_cut(rest, ' ', &word, NULL);
        if (kv_sv_is(word, value)) return KV_OK;
    }
    list_words(opt->words, listed, sizeof(listed));
    return kv_fail(err, KV_E_ARG, "invalid argument \"%s\" for \"--%s\" flag: must be %s", value,
                   opt->name, listed);
}

static kv_code parse_int(const kv_opt *opt, const char *value, int *out, kv_error *err)
{
    char *end = NULL;
    errno = 0;
    long v = strtol(value, &end, 0);
    bool blank_first = value[0] == ' ' || (value[0] >= '\t' && value[0] <= '\r');
    if (!value[0] || *end || blank_first)
        return invalid(opt, value, "ParseInt", "invalid syntax", err);
    if (errno == ERANGE || v > INT_MAX || v < INT_MIN)
        return invalid(opt, value, "ParseInt", "value out of range", err);
    *out = (int)v;
    return KV_OK;
}

static kv_code add_text(kv_strs *list, const char *value, kv_error *err)
{
    const char **items = realloc(list->items, (list->n + 1) * sizeof(*items));
    if (!items) return kv_fail(err, KV_E_NOMEM, "out of memory");
    list->items = items;
    items[list->n++] = value;
    return KV_OK;
}

/* value NULL: the option stood alone. Members are reached through void *, whose types KV_OPT took
 * from the struct itself. */
static kv_code set(target t, const char *value, kv_error *err)
{
    void *member = t.base + t.opt->off;
    bool on = true;
    switch (t.opt->kind) {
    case 'b':
    case 't':
        if (value && !parse_bool(value, &on))
            return invalid(t.opt, value, "ParseBool", "invalid syntax", err);
        if (t.opt->kind == 'b')
            *(bool *)member = on;
        else
            *(kv_tri *)member = on ? KV_TRI_TRUE : KV_TRI_FALSE;
        return KV_OK;
    case 'c': {
        kv_count *count = member;
        if (value) return parse_int(t.opt, value, &count->n, err);
        count->n++;
        return KV_OK;
    }
    case 'i': return parse_int(t.opt, value, member, err);
    case 'S': return add_text(member, value, err);
    default:
        if (t.opt->words) KV_TRY(check_word(t.opt, value, err));
        *(const char **)member = value;
        return KV_OK;
    }
}

/* --- the parser --- */

typedef struct words { /* what is left of the command line */
    char **next;
    size_t left;
} words;

static char *take_word(words *w)
{
    w->left--;
    return *w->next++;
}

static kv_code parse_long(kv_args *a, const char *word, words *w, kv_error *err)
{
    bool has_value;
    kv_sv name;
    kv_sv value = kv_sv_cut(kv_sv_of(word + 2), '=', &name, &has_value);
    if (!name.n || name.p[0] == '-') return kv_fail(err, KV_E_ARG, "bad flag syntax: %s", word);
    target t = find_opt(a, name, 0);
    if (!t.opt) return kv_fail(err, KV_E_ARG, "unknown flag: --%.*s", KV_ARG(name));
    if (has_value) return set(t, value.p, err);
    if (!takes_value(t.opt)) return set(t, NULL, err);
    if (!w->left) return kv_fail(err, KV_E_ARG, "flag needs an argument: --%s", t.opt->name);
    return set(t, take_word(w), err);
}

/* "-abc", "-fFILE", "-f=FILE", "-f FILE" */
static kv_code parse_letters(kv_args *a, const char *word, words *w, kv_error *err)
{
    for (const char *p = word + 1; *p; p++) {
        target t = find_opt(a, (kv_sv){0}, *p);
        if (!t.opt)
            return kv_fail(err, KV_E_ARG, "unknown shorthand flag: '%c' in -%s", *p, word + 1);
        if (p[1] == '=') return set(t, p + 2, err);
        if (!takes_value(t.opt)) {
            KV_TRY(set(t, NULL, err));
            continue;
        }
        if (p[1]) return set(t, p + 1, err);
        if (!w->left)
            return kv_fail(err, KV_E_ARG, "flag needs an argument: '%c' in -%s", *p, word + 1);
        return set(t, take_word(w), err);
    }
    return KV_OK;
}

static bool is_option(const char *word)
{
    return word[0] == '-' && word[1];
}

static kv_code parse_words(kv_args *a, words w, kv_error *err)
{
    bool options = true;
    while (w.left) {
        char *word = take_word(&w);
        if (options && strcmp(word, "--") == 0)
            options = false;
        else if (!options || !is_option(word))
            a->operand[a->n_operands++] = word;
        else
            KV_TRY(word[1] == '-' ? parse_long(a, word, &w, err) : parse_letters(a, word, &w, err));
    }
    return KV_OK;
}

const kv_opt *kv_opt_find(const kv_cmd *cmd, const char *word)
{
    kv_sv name = {0};
    char letter = 0;
    if (word[0] != '-' || !word[1]) return NULL;
    if (word[1] == '-')
        kv_sv_cut(kv_sv_of(word + 2), '=', &name, NULL);
    else
        letter = word[1];
    const kv_opt *opt = cmd ? find_in(cmd->opts, cmd->n_opts, name, letter) : NULL;
    if (!opt && cmd && cmd->group)
        opt = find_in(cmd->group->opts, cmd->group->n_opts, name, letter);
    return opt ? opt : find_in(GLOBAL_OPTS, KV_COUNT(GLOBAL_OPTS), name, letter);
}

bool kv_opt_eats_next(const kv_cmd *cmd, const char *word)
{
    const kv_opt *opt = kv_opt_find(cmd, word);
    bool alone = word[1] == '-' ? !strchr(word, '=') : !word[2];
    return opt && alone && takes_value(opt);
}

static unsigned distance(const char *a, const char *b)
{
    enum { MAX = 32 };
    size_t n = strlen(b);
    if (n >= MAX || strlen(a) >= MAX) return UINT_MAX;
    unsigned row[MAX + 1];
    for (unsigned j = 0; j <= n; j++) row[j] = j;
    for (unsigned i = 1; a[i - 1]; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            unsigned change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            unsigned least = row[j - 1] < row[j] ? row[j - 1] : row[j];
            row[j] = least + 1 < change ? least + 1 : change;
        }
    }
    return row[n];
}

/* Commands below path whose next word is near to the unknown one, as cobra suggests them. */
static void add_suggestions(kv_buf *out, const char *path, const char *word)
{
    size_t n_path = strlen(path), n = 0;
    for (size_t i = 0; i < kv_n_commands; i++) {
        const char *name = kv_commands[i]->name;
        if (kv_commands[i]->hidden) continue;
        if (n_path) {
            if (strncmp(name, path, n_path) != 0 || name[n_path] != ' ') continue;
            name += n_path + 1;
        }
        if (strchr(name, ' ')) continue;
        bool near = distance(word, name) <= 2 || strncmp(name, word, strlen(word)) == 0;
        if (near) kv_buf_addf(out, "%s\t%s\n", n++ ? "" : "\n\nDid you mean this?\n", name);
    }
}

static kv_code unknown_command(const char *program, kv_args *a, const char *word, kv_error *err)
{
    kv_auto_buf more = KV_BUF(2048);
    add_suggestions(&more, a->path, word);
    kv_sv text = kv_buf_sv(&more);
    a->unknown = true;
    return kv_fail(err, KV_E_ARG, "unknown command \"%s\" for \"%s%s%s\"%.*s", word, program,
                   a->path[0] ? " " : "", a->path, KV_ARG(text));
}

/*
 * Takes the words that name the command out of argv and closes the gap, so that what stands before
 * the name ("--config DIR pack") is parsed together with what follows it.
 */
static kv_code find_command(const char *program, int *argc, char **argv, kv_args *a, kv_error *err)
{
    kv_auto_buf path = KV_BUF(256);
    int kept = 0, i = 0;
    kv_code code = KV_OK;
    for (; i < *argc && !a->cmd; i++) {
        char *word = argv[i];
        if (strcmp(word, "--") == 0) break;
        if (is_option(word)) {
            argv[kept++] = word;
            if (kv_opt_eats_next(NULL, word) && i + 1 < *argc) argv[kept++] = argv[++i];
            continue;
        }
        size_t before = path.n;
        kv_buf_addf(&path, "%s%s", before ? " " : "", word);
        a->cmd = kv_cmd_find(kv_buf_sv(&path));
        if (a->cmd || kv_cmd_group_find(kv_buf_sv(&path))) continue;
        kv_buf_truncate(&path, before);
        a->path = kv_buf_take(&path);
        if (!a->path) return kv_fail(err, KV_E_NOMEM, "out of memory");
        return unknown_command(program, a, word, err);
    }
    while (i < *argc) argv[kept++] = argv[i++];
    *argc = kept;
    code = kv_buf_check(&path, err);
    if (code == KV_OK && !(a->path = kv_buf_take(&path)))
        code = kv_fail(err, KV_E_NOMEM, "out of memory");
    return code;
}

static kv_code check_operands(const kv_args *a, kv_error *err)
{
    size_t min, max;
    kv_cmd_operand_range(a->cmd, &min, &max);
    size_t n = a->n_operands;
    if (n >= min && n <= max) return KV_OK;
    if (min == max) return kv_fail(err, KV_E_ARG, "accepts %zu arg(s), received %zu", min, n);
    if (max == SIZE_MAX)
        return kv_fail(err, KV_E_ARG, "requires at least %zu arg(s), only received %zu", min, n);
    if (min == 0) return kv_fail(err, KV_E_ARG, "accepts at most %zu arg(s), received %zu", max, n);
    return kv_fail(err, KV_E_ARG, "accepts between %zu and %zu arg(s), received %zu", min, max, n);
}

static kv_code make_values(kv_args *a, kv_error *err)
{
    const kv_cmd *cmd = a->cmd;
    if (!cmd) return KV_OK;
    a->values = calloc(1, cmd->args_size ? cmd->args_size : 1);
    if (!a->values) return kv_fail(err, KV_E_NOMEM, "out of memory");
    if (cmd->defaults) memcpy(a->values, cmd->defaults, cmd->args_size);
    if (cmd->group && cmd->group->defaults)
        memcpy((char *)a->values + cmd->group_off, cmd->group->defaults, cmd->group->size);
    return KV_OK;
}

kv_code kv_args_parse(const char *program, int argc, char **argv, kv_args *out, kv_error *err)
{
    *out = (kv_args){.global = GLOBAL_DEFAULTS};
    out->operand = calloc((size_t)argc + 1, sizeof(char *));
    /* A private list of the words, since find_command closes gaps in it. */
    char **list = calloc((size_t)argc + 1, sizeof(char *));
    kv_code code = KV_OK;
    if (!out->operand || !list) {
        code = kv_fail(err, KV_E_NOMEM, "out of memory");
    } else {
        if (argc) memcpy(list, argv, (size_t)argc * sizeof(char *));
        code = find_command(program, &argc, list, out, err);
    }
    if (code == KV_OK) code = make_values(out, err);
    if (code == KV_OK) code = parse_words(out, (words){list, (size_t)argc}, err);
    free(list);
    if (code != KV_OK || !out->cmd || out->global.help) return code;
    KV_TRY(check_operands(out, err));
    return out->cmd->check ? out->cmd->check(out->values, out->operand, err) : KV_OK;
}

static void free_lists(const kv_opt *opts, size_t n, char *base)
{
    for (size_t i = 0; i < n; i++) {
        if (opts[i].kind != 'S') continue;
        void *member = base + opts[i].off;
        free(((kv_strs *)member)->items);
    }
}

void kv_args_clear(kv_args *a)
{
    if (a->values) {
        free_lists(a->cmd->opts, a->cmd->n_opts, a->values);
        if (a->cmd->group)
            free_lists(a->cmd->group->opts, a->cmd->group->n_opts,
                       (char *)a->values + a->cmd->group_off);
    }
    free(a->values);
    free(a->operand);
    free(a->path);
    *a = (kv_args){0};
}

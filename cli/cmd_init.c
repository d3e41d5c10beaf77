#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/document.h"
#include "kitvault/import.h"

typedef struct init_args {
    const char *name, *description, *author, *output, *format;
    const char *ref, *token;
    bool force, remote;
    int depth;
} init_args;

static const kv_opt OPTS[] = {
    KV_OPT(init_args, name, "name", 0, "name of the package"),
    KV_OPT(init_args, description, "desc", 0, "description of the package"),
    KV_OPT(init_args, author, "author", 0, "author of the package"),
    KV_OPT(init_args, force, "force", 'f', "replace a Kitfile that exists"),
    KV_OPT(init_args, output, "output", 'o',
           "write to `FILE` instead of the directory's Kitfile; - prints it"),
    KV_OPT(init_args, depth, "depth", 0,
           "look at every file of `N` levels of directories, not at the directory as a whole; -1 "
           "for all"),
    KV_OPT(init_args, remote, "remote", 0,
           "PATH is a repository of Hugging Face: OWNER/NAME, or its URL; the Kitfile is printed"),
    KV_OPT(init_args, ref, "ref", 0, "branch, tag or commit `REF` of the repository (main)"),
    KV_OPT(init_args, token, "token", 0,
           "`TOKEN` for the repository; other users can see it, so rather set HF_TOKEN"),
    KV_OPT_FORMAT(init_args),
};

static kv_code check(const void *args, char **operand, kv_error *err)
{
    const init_args *a = args;
    (void)operand;
    if (a->remote || (!a->ref && !a->token)) return KV_OK;
    return kv_fail(err, KV_E_ARG, "--ref and --token can only be used with --remote");
}

enum { ANSWER_MAX = 4096 };

/* Asks for what no option gave, when there is somebody to ask. */
static kv_code ask(const kv_cli *cli, const char *given, const char *prompt, kv_buf *out,
                   kv_error *err)
{
    if (given) {
        kv_buf_adds(out, given);
        return kv_buf_check(out, err);
    }
    return kv_cli_is_interactive() ? kv_cli_ask(cli, prompt, true, out, err) : KV_OK;
}

/* Where the Kitfile goes: the one that is there, or a new one. Errors: KV_E_EXISTS. */
static kv_code choose_path(const char *dir, const init_args *a, char **out, kv_error *err)
{
    if (a->output && a->output[0]) {
        *out = kv_sv_dup(kv_sv_of(a->output));
        return *out ? KV_OK : kv_fail(err, KV_E_NOMEM, "out of memory");
    }
    kv_auto_buf path = KV_BUF(ANSWER_MAX);
    kv_auto_str joined = kv_path_join(dir, "Kitfile");
    if (!joined) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_code code = kv_kitfile_find(dir, out, err);
    if (code == KV_OK) {
        if (a->force) return KV_OK;
        kv_path_clean(kv_sv_of(*out), &path);
        return kv_fail(err, KV_E_EXISTS, "Kitfile already exists at %s. Use '--force' to overwrite",
                       path.p);
    }
    if (code != KV_E_NOTFOUND) return kv_wrap(err, code, "error checking for existing Kitfile");
    kv_path_clean(kv_sv_of(joined), &path);
    KV_TRY(kv_buf_check(&path, err));
    *out = kv_buf_take(&path);
    return *out ? KV_OK : kv_fail(err, KV_E_NOMEM, "out of memory");
}

static kv_code generate(const kv_cli *cli, const char *dir, const init_args *a, kv_kitfile **out,
                        kv_error *err)
{
    kv_auto_buf name = KV_BUF(ANSWER_MAX), description = KV_BUF(ANSWER_MAX),
                author = KV_BUF(ANSWER_MAX);
    KV_TRY(ask(cli, a->name, "Enter a name for the ModelKit: ", &name, err));
    KV_TRY(ask(cli, a->description, "Enter a short description for the ModelKit: ", &description,
               err));
    KV_TRY(ask(cli, a->author, "Enter an author for the ModelKit: ", &author, err));
    kv_generate_options opts = KV_GENERATE_OPTIONS_INIT;
    opts.name = kv_buf_sv(&name);
    opts.description = kv_buf_sv(&description);
    opts.author = kv_buf_sv(&author);
    opts.report = kv_cli_report(cli);
    opts.depth = a->depth;
    kv_code code = kv_kitfile_generate(dir, &opts, out, err);
    return code == KV_OK ? code : kv_wrap(err, code, "error processing directory");
}

/* The name and the author are those of the repository when none are given; nothing is asked. */
static kv_code generate_remote(const kv_cli *cli, const char *text, const init_args *a,
                               kv_kitfile **out, kv_error *err)
{
    kv_hf_options o = KV_HF_OPTIONS_INIT;
    kv_auto(kv_hf_repo) repo = NULL;
    o.endpoint = getenv("HF_ENDPOINT");
    if (o.endpoint && !o.endpoint[0]) o.endpoint = NULL;
    o.revision = a->ref;
    o.token = a->token ? a->token : getenv("HF_TOKEN");
    o.report = kv_cli_report(cli);
    kv_code code = kv_hf_open(kv_sv_of(text), &o, &repo, err);
    if (code != KV_OK) return kv_wrap(err, code, "invalid arguments");
    kv_generate_source src = kv_hf_source(repo);
    kv_generate_options opts = KV_GENERATE_OPTIONS_INIT;
    opts.name = kv_sv_of(a->name ? a->name : kv_hf_name(repo));
    opts.description = kv_sv_of(a->description);
    opts.author = kv_sv_of(a->author ? a->author : kv_hf_owner(repo));
    opts.report = kv_cli_report(cli);
    opts.depth = a->depth;
    code = kv_kitfile_generate_from(&src, &opts, out, err);
    return code == KV_OK ? code : kv_wrap(err, code, "error processing repository %s", text);
}

/* path NULL: it was not written. */
static kv_code print_json(kv_cli *cli, const kv_kitfile *kitfile, const char *path, kv_error *err)
{
    kv_document d;
    kv_auto_str json = NULL;
    size_t n;
    KV_TRY(kv_kitfile_format_json(kitfile, &json, &n, err));
    kv_document_begin(&d, cli);
    if (path) kv_jout_kstr(&d.out, "path", kv_sv_of(path));
    kv_jout_key(&d.out, KV_SV("kitfile"));
    kv_jout_raw(&d.out, (kv_sv){json, n});
    return kv_document_end(&d, KV_OK, NULL);
}

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    const init_args *a = args;
    kv_auto_str path = NULL, text = NULL;
    size_t n = 0;
    bool print = a->output ? strcmp(a->output, "-") == 0 : a->remote;
    kv_auto(kv_kitfile) kitfile = NULL;
    if (!print) KV_TRY(choose_path(operand[0], a, &path, err));
    KV_TRY(a->remote ? generate_remote(cli, operand[0], a, &kitfile, err)
                     : generate(cli, operand[0], a, &kitfile, err));
    KV_TRY(kv_kitfile_format_yaml(kitfile, &text, &n, err));
    kv_sv yaml = {text, n};
    if (print) {
        if (kv_is_json(a->format)) return print_json(cli, kitfile, NULL, err);
        kv_cli_put(cli, yaml);
        return KV_OK;
    }
    KV_TRY(kv_file_write(path, yaml, 0644, err));
    kv_auto_buf told = KV_BUF(n + 64);
    kv_buf_addf(&told, "Generated Kitfile:\n\n%.*s", KV_ARG(yaml));
    kv_cli_block(cli, KV_INFO, kv_buf_sv(&told));
    kv_cli_say(cli, "Saved to path '%s'", path);
    return kv_is_json(a->format) ? print_json(cli, kitfile, path, err) : KV_OK;
}

const kv_cmd kv_cmd_init = {
    .name = "init",
    .operands = "PATH",
    .summary = "write a Kitfile for a directory",
    .about =
        "Looks at the names and sizes of the files below PATH and writes a Kitfile that says which\n"
        "of them are model, data, code and documents, for you to correct. On a terminal it asks for\n"
        "name, description and author where no option gives them.\n"
        "\n"
        "With --remote PATH is a repository of Hugging Face. Its files are listed, licences and\n"
        "skills are read, nothing else is fetched; name and author are those of the repository.",
    .examples = "$ init . --name demo --desc \"A demo model\" --author \"Ada Lovelace\"\n"
                "# An entry for each file, whatever directory it is in\n"
                "$ init . --name demo --desc \"\" --author \"\" --depth -1 --force\n",
    .opts = OPTS,
    .n_opts = KV_COUNT(OPTS),
    .args_size = sizeof(init_args),
    .check = check,
    .run = run,
};

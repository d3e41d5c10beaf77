#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "cli/dev_server.h"
#include "cli/document.h"
#include "cli/local.h"
#include "cli/names.h"
#include "cli/net.h"
#include "kitvault/kitfile.h"

typedef struct start_args {
    kv_net_args net;
    const char *file, *host, *format;
    int port;
} start_args;

static const kv_opt OPTS[] = {
    KV_OPT(start_args, file, "file", 'f', "take the model from this Kitfile (`FILE`)"),
    KV_OPT(start_args, host, "host", 0, "listen on this `HOST`"),
    KV_OPT(start_args, port, "port", 0, "listen on this port `N`; 0 takes a free one"),
    KV_OPT_FORMAT(start_args),
};
static const start_args DEFAULTS = {.host = "127.0.0.1"};

enum { PATH_LIMIT = 16384 };

static bool is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* --- from a ModelKit --- */

static kv_code unpack(const kv_cli *cli, const start_args *a, const kv_reference *ref,
                      const char *dir, kv_error *err)
{
    static const kv_sv WANTED[] = {KV_SV_INIT("model,kitfile")};
    kv_unpack_options opts = KV_UNPACK_OPTIONS_INIT;
    kv_auto(kv_store) store = NULL;
    kv_auto_net net = {0};
    KV_TRY(kv_cli_store(cli, &store, err));
    KV_TRY(kv_net_open(cli, &a->net, &net, err));
    kv_kit_source remote = kv_net_source(&net);
    opts.dir = dir;
    opts.filters = WANTED;
    opts.n_filters = KV_COUNT(WANTED);
    opts.remote = &remote;
    opts.report = kv_cli_report(cli);
    KV_TRY(kv_remove_tree(dir, err));
    return kv_unpack(store, ref, &opts, err);
}

/* The directory with the model: the operand, or where the ModelKit it names was unpacked. */
static kv_code find_dir(const kv_cli *cli, const start_args *a, const char *operand, char **out,
                        kv_error *err)
{
    const char *text = operand ? operand : ".";
    kv_auto_reference ref = {0};
    bool named = !is_dir(text) && kv_reference_parse(kv_sv_of(text), &ref, NULL) == KV_OK &&
                 (ref.tag.n || ref.digest.alg);
    *out = named ? kv_cli_home_path(cli, "dev-models/current") : kv_sv_dup(kv_sv_of(text));
    if (!*out) return kv_fail(err, KV_E_NOMEM, "out of memory");
    if (!named) return KV_OK;
    KV_TRY(kv_cli_reference_single(&ref, err));
    return unpack(cli, a, &ref, *out, err);
}

/* --- the model's file --- */

typedef struct search {
    char *found;
} search;

static void clear_search(search *s)
{
    free(s->found);
}

static kv_code take_gguf(void *ctx, const char *path, const struct stat *st, kv_error *err)
{
    search *s = ctx;
    if (!S_ISREG(st->st_mode) || !kv_sv_ends(kv_sv_of(path), KV_SV(".gguf"))) return KV_OK;
    if (s->found)
        return kv_fail(err, KV_E_INVALID, "multiple model files found: %s and %s", s->found, path);
    s->found = kv_sv_dup(kv_sv_of(path));
    return s->found ? KV_OK : kv_fail(err, KV_E_NOMEM, "out of memory");
}

/* The file itself, or the single .gguf below the directory. */
static kv_code find_model(const char *path, char **out, kv_error *err)
{
    struct stat st;
    if (lstat(path, &st) < 0) return kv_fail_sys(err, "could not find model file in %s", path);
    if (S_ISREG(st.st_mode)) {
        *out = kv_sv_dup(kv_sv_of(path));
        return *out ? KV_OK : kv_fail(err, KV_E_NOMEM, "out of memory");
    }
    if (!S_ISDIR(st.st_mode))
        return kv_fail(err, KV_E_INVALID,
                       "could not find model file in %s: path is not regular file or directory",
                       path);
    KV_CLEANUP(clear_search) search s = {0};
    KV_TRY(kv_tree_each(path, take_gguf, &s, err));
    if (!s.found) return kv_fail(err, KV_E_NOTFOUND, "could not find model file in %s", path);
    *out = KV_TAKE(s.found);
    return KV_OK;
}

/* A model given by reference was unpacked beside its Kitfile, so it is looked for there. */
static kv_code model_of(const char *dir, const kv_kitfile *kf, char **out, kv_error *err)
{
    if (!kf->model) return kv_fail(err, KV_E_INVALID, "the Kitfile has no model");
    kv_sv path = kf->model->entry.path;
    if (!path.n || kv_kitfile_is_reference(path)) return find_model(dir, out, err);
    if (!kv_path_is_local(path))
        return kv_fail(err, KV_E_INVALID, "model path %.*s leaves the directory of the Kitfile",
                       KV_ARG(path));
    kv_auto_str text = kv_sv_dup(path);
    kv_auto_str full = text ? kv_path_join(dir, text) : NULL;
    return full ? find_model(full, out, err) : kv_fail(err, KV_E_NOMEM, "out of memory");
}

static kv_code choose_model(const kv_cli *cli, const start_args *a, const char *operand,
                            kv_buf *out, kv_error *err)
{
    kv_auto_str dir = NULL, path = NULL, model = NULL;
    kv_auto(kv_kitfile) kf = NULL;
    KV_TRY(find_dir(cli, a, operand, &dir, err));
    if (a->file && a->file[0])
        path = kv_sv_dup(kv_sv_of(a->file));
    else
        KV_TRY(kv_kitfile_find(dir, &path, err));
    if (!path) return kv_fail(err, KV_E_NOMEM, "out of memory");
    KV_TRY(kv_kitfile_load(path, &kf, err));
    kv_cli_say(cli, "Loaded Kitfile: %s", path);
    KV_TRY(model_of(dir, kf, &model, err));
    return kv_path_absolute(model, out, err);
}

static kv_code start(const kv_cli *cli, const start_args *a, const char *operand, int *out_port,
                     kv_error *err)
{
    kv_auto_buf model = KV_BUF(PATH_LIMIT);
    kv_dev_server s = {.program = getenv(KV_DEV_SERVER_ENV), .host = a->host, .port = a->port};
    if (!s.program || !s.program[0])
        return kv_fail(err, KV_E_ARG,
                       "no server is configured: set " KV_DEV_SERVER_ENV
                       " to a program that takes --model, --host and --port, such as llama.cpp's "
                       "llama-server");
    if (s.port < 0 || s.port > 65535) return kv_fail(err, KV_E_ARG, "there is no port %d", s.port);
    KV_TRY(choose_model(cli, a, operand, &model, err));
    if (!s.port) KV_TRY(kv_dev_free_port(s.host, &s.port, err));
    s.model = model.p;
    *out_port = s.port;
    return kv_dev_start(cli, &s, err);
}

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    const start_args *a = args;
    int port = 0;
    kv_code code = start(cli, a, operand[0], &port, err);
    if (code != KV_OK) return kv_wrap(err, code, "failed to start dev server");
    kv_cli_say(cli, "Development server started at http://%s:%d", a->host, port);
    kv_cli_say(cli, "Use \"%s dev stop\" to stop the development server", kv_cli_program(cli));
    if (!kv_is_json(a->format)) return KV_OK;
    kv_document d;
    kv_auto_buf url = KV_BUF(1024);
    kv_buf_addf(&url, "http://%s:%d", a->host, port);
    kv_document_begin(&d, cli);
    kv_jout_kstr(&d.out, "url", kv_buf_sv(&url));
    return kv_document_end(&d, url.failed, NULL);
}

const kv_cmd kv_cmd_dev_start = {
    .name = "dev start",
    .operands = "[DIRECTORY|MODELKIT]",
    .summary = "serve a model with a server of yours",
    .about =
        "Starts the program that " KV_DEV_SERVER_ENV
        " names, such as llama.cpp's llama-server, with\n"
        "--model FILE --host HOST --port N, and leaves it running. The model is the one of the\n"
        "Kitfile in DIRECTORY (the current one when none is given), or of MODELKIT, which is unpacked\n"
        "below the home first. When its path is a directory, the only .gguf file in it is taken.\n"
        "\n"
        "No server comes with this program, and none is downloaded.",
    .examples = "$ dev start .\n"
                "$ dev stop\n",
    .opts = OPTS,
    .n_opts = KV_COUNT(OPTS),
    .args_size = sizeof(start_args),
    .defaults = &DEFAULTS,
    .group = &kv_net_group,
    .group_off = offsetof(start_args, net),
    .run = run,
};

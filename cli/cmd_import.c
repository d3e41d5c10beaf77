#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/document.h"
#include "cli/local.h"
#include "cli/names.h"
#include "kitvault/import.h"
#include "kitvault/kitfile.h"
#include "kitvault/model.h"
#include "kitvault/version.h"

typedef struct import_args {
    const char *ref, *token, *tag, *file, *tool, *quant, *attestation, *format;
    kv_strs include, exclude;
    int depth, concurrency;
} import_args;

static const kv_opt OPTS[] = {
    KV_OPT(import_args, ref, "ref", 0, "take this branch, tag or commit (`REF`)"),
    KV_OPT(import_args, token, "token", 0,
           "sign in with `TOKEN`; better in HF_TOKEN, since others can see command lines"),
    KV_OPT(import_args, tag, "tag", 't', "call the ModelKit `NAME`"),
    KV_OPT(import_args, file, "file", 'f', "take this Kitfile; - reads standard input (`FILE`)"),
    KV_OPT_WORDS(import_args, tool, "tool", 0, "hf", "download with `TOOL`: hf"),
    KV_OPT(import_args, include, "include", 0,
           "only files whose path matches `GLOB`, where * crosses '/' (repeatable)"),
    KV_OPT(import_args, exclude, "exclude", 0, "no files whose path matches `GLOB` (repeatable)"),
    KV_OPT(import_args, quant, "quant", 0,
           "of .gguf files only those with `WORD` in their name, as Q4_K_M"),
    KV_OPT(import_args, depth, "depth", 0,
           "look at every file of `N` levels of directories for the Kitfile; -1 for all"),
    KV_OPT(import_args, attestation, "attestation-output", 0,
           "write where it came from to `FILE`: a SLSA provenance predicate"),
    KV_OPT(import_args, concurrency, "concurrency", 0, "move at most `N` files at once"),
    KV_OPT_FORMAT(import_args),
};
static const import_args DEFAULTS = {.ref = "main", .tool = "hf", .concurrency = 5};

enum { TEXT_MAX = 64 * 1024 };

static const char *first(const char *a, const char *b)
{
    if (a && *a) return a;
    return b && *b ? b : NULL;
}

/* --- names --- */

static kv_code choose_tag(const kv_cli *cli, const import_args *a, const kv_hf_repo *repo,
                          kv_reference *out, kv_error *err)
{
    if (a->tag && *a->tag)
        return kv_cli_reference_or_latest(cli, a->tag, "No tag or digest provided with --tag flag",
                                          out, err);
    kv_auto_buf text = KV_BUF(1024);
    kv_buf_addf(&text, "%s/%s:latest", kv_hf_owner(repo), kv_hf_name(repo));
    KV_TRY(kv_buf_check(&text, err));
    for (size_t i = 0; i < text.n; i++) text.p[i] = (char)tolower((unsigned char)text.p[i]);
    kv_cli_say(cli, "Using tag %s. Use flag --tag to override", text.p);
    return kv_cli_reference(text.p, out, err);
}

/* HOME/cache/import/OWNER--REPO: where a download that broke off goes on. */
static char *work_dir(const kv_cli *cli, const kv_hf_repo *repo)
{
    kv_auto_buf text = KV_BUF(1024);
    kv_buf_addf(&text, "cache/import/%s--%s--%s", kv_hf_is_dataset(repo) ? "datasets" : "models",
                kv_hf_owner(repo), kv_hf_name(repo));
    return text.failed ? NULL : kv_cli_home_path(cli, text.p);
}

/* Held until the files are packed. */
static kv_code take_work_dir(const char *base, int *out_lock, kv_error *err)
{
    kv_auto_buf lock = KV_BUF(TEXT_MAX);
    kv_buf_addf(&lock, "%s.lock", base); /* stays when base is removed */
    KV_TRY(kv_buf_check(&lock, err));
    KV_TRY(kv_mkdirs(base, 0700, err));
    return kv_lock_file(lock.p, true, 0, out_lock, err);
}

/* --- the Kitfile --- */

static kv_code make_kitfile(const kv_cli *cli, const import_args *a, const kv_hf_repo *repo,
                            const char *dir, kv_buf *out, kv_error *err)
{
    if (a->file && strcmp(a->file, "-") == 0) return kv_cli_read_stdin(out, err);
    if (a->file && *a->file) return kv_file_read(a->file, out, err);
    kv_generate_options opts = KV_GENERATE_OPTIONS_INIT;
    kv_auto(kv_kitfile) kitfile = NULL;
    opts.name = kv_sv_of(kv_hf_name(repo));
    opts.author = kv_sv_of(kv_hf_owner(repo));
    opts.report = kv_cli_report(cli);
    opts.depth = a->depth;
    KV_TRY(kv_kitfile_generate(dir, &opts, &kitfile, err));
    kv_auto_str text = NULL;
    size_t n = 0;
    KV_TRY(kv_kitfile_format_yaml(kitfile, &text, &n, err));
    kv_buf_add(out, (kv_sv){text, n});
    KV_TRY(kv_buf_check(out, err));
    kv_auto_buf told = KV_BUF(n + 64);
    kv_buf_addf(&told, "Generated Kitfile:\n\n%.*s", KV_ARG(kv_buf_sv(out)));
    kv_cli_block(cli, KV_INFO, kv_buf_sv(&told));
    return KV_OK;
}

/* --- where it came from --- */

typedef struct origin {
    const char *uri, *ref, *commit;
    kv_digest config;
} origin;

/* Source: SLSA provenance v1; kit-compat.md 11. */
static void format_provenance(const origin *o, kv_buf *out)
{
    kv_jout j = kv_jout_make(out, KV_JSON_GO, 2);
    kv_jout_obj(&j);
    kv_jout_key(&j, KV_SV("buildDefinition"));
    kv_jout_obj(&j);
    kv_jout_kstr(&j, "buildType", KV_SV("https://kitops.org/import/v1"));
    kv_jout_key(&j, KV_SV("externalParameters"));
    kv_jout_obj(&j);
    kv_jout_kstr(&j, "source", kv_sv_of(o->uri));
    kv_jout_kstr(&j, "ref", kv_sv_of(o->ref));
    kv_jout_end_obj(&j);
    kv_jout_key(&j, KV_SV("resolvedDependencies"));
    kv_jout_arr(&j);
    kv_jout_obj(&j);
    kv_jout_kstr(&j, "uri", kv_sv_of(o->uri));
    kv_jout_key(&j, KV_SV("digest"));
    kv_jout_obj(&j);
    kv_jout_kstr(&j, "gitCommit", kv_sv_of(o->commit));
    kv_jout_end_obj(&j);
    kv_jout_end_obj(&j);
    kv_jout_obj(&j);
    kv_jout_kstr(&j, "name", KV_SV("Kitfile"));
    kv_jout_key(&j, KV_SV("digest"));
    kv_jout_obj(&j);
    kv_jout_kstr(&j, "sha256", kv_sv_of(kv_digest_str(&o->config).s + strlen("sha256:")));
    kv_jout_end_obj(&j);
    kv_jout_end_obj(&j);
    kv_jout_end_arr(&j);
    kv_jout_end_obj(&j);
    kv_jout_key(&j, KV_SV("runDetails"));
    kv_jout_obj(&j);
    kv_jout_key(&j, KV_SV("builder"));
    kv_jout_obj(&j);
    kv_jout_kstr(&j, "id", KV_SV("https://kitops.org/kit"));
    kv_jout_end_obj(&j);
    kv_jout_end_obj(&j);
    kv_jout_end_obj(&j);
    kv_buf_addc(out, '\n');
}

static kv_code write_provenance(kv_store *store, const import_args *a, const origin *known,
                                const kv_digest *digest, kv_error *err)
{
    if (!a->attestation || !*a->attestation) return KV_OK;
    kv_auto(kv_manifest) m = NULL;
    KV_TRY(kv_store_manifest(store, digest, &m, err));
    origin o = *known;
    o.config = m->config.digest;
    kv_auto_buf text = KV_BUF(TEXT_MAX);
    format_provenance(&o, &text);
    KV_TRY(kv_buf_check(&text, err));
    return kv_file_write(a->attestation, kv_buf_sv(&text), KV_MODE_UMASK, err);
}

/* --- all of it --- */

static kv_code open_repository(const kv_cli *cli, const import_args *a, const char *text,
                               kv_hf_repo **out, kv_error *err)
{
    kv_hf_options o = KV_HF_OPTIONS_INIT;
    o.endpoint = first(getenv("HF_ENDPOINT"), NULL);
    o.revision = a->ref;
    o.token = first(a->token, getenv("HF_TOKEN"));
    o.report = kv_cli_report(cli);
    kv_code code = kv_hf_open(kv_sv_of(text), &o, out, err);
    return code == KV_OK ? KV_OK : kv_wrap(err, code, "invalid arguments");
}

static kv_code fetch(const kv_cli *cli, const import_args *a, kv_hf_repo *repo, const char *dir,
                     kv_hf_fetched *out, kv_error *err)
{
    kv_hf_fetch_options opts = KV_HF_FETCH_OPTIONS_INIT;
    kv_auto(kv_arena) arena = kv_arena_new(1 << 20);
    size_t n = a->include.n + a->exclude.n;
    kv_sv *globs = arena ? KV_NEW(arena, kv_sv, n ? n : 1) : NULL;
    if (!globs) return kv_fail(err, KV_E_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++)
        globs[i] = kv_sv_of(i < a->include.n ? a->include.items[i]
                                             : a->exclude.items[i - a->include.n]);
    opts.include = globs;
    opts.n_include = a->include.n;
    opts.exclude = globs + a->include.n;
    opts.n_exclude = a->exclude.n;
    opts.quant = kv_sv_of(a->quant);
    opts.concurrency = (unsigned)a->concurrency;
    opts.report = kv_cli_report(cli);
    return kv_hf_fetch(repo, dir, &opts, out, err);
}

static kv_code pack(const kv_cli *cli, kv_store *store, const import_args *a,
                    const kv_hf_repo *repo, const char *dir, const kv_reference *tag,
                    kv_digest *digest, kv_error *err)
{
    kv_auto_buf kitfile = KV_BUF(KV_KITFILE_BYTES_MAX);
    KV_TRY(make_kitfile(cli, a, repo, dir, &kitfile, err));
    kv_auto_str shown = kv_reference_display(tag);
    kv_cli_say(cli, "Packing model to %s", shown ? shown : "");
    kv_pack_options opts = KV_PACK_OPTIONS_INIT;
    opts.context = dir;
    opts.kitfile_text = kv_buf_sv(&kitfile);
    opts.tag = tag;
    opts.report = kv_cli_report(cli);
    opts.cli_version = getenv("KITVAULT_CLI_VERSION");
    KV_TRY(kv_pack(store, &opts, digest, err));
    kv_cli_end_progress(cli);
    kv_cli_say(cli, "Model is packed as %s", shown ? shown : "");
    return KV_OK;
}

static kv_code print_json(kv_cli *cli, const kv_reference *tag, const kv_digest *digest,
                          const origin *o, const kv_hf_fetched *r)
{
    kv_document d;
    kv_auto_str shown = kv_reference_display(tag);
    kv_document_begin(&d, cli);
    kv_jout_kstr(&d.out, "reference", kv_sv_of(shown));
    kv_jout_kstr(&d.out, "digest", kv_sv_of(kv_digest_str(digest).s));
    kv_jout_kstr(&d.out, "source", kv_sv_of(o->uri));
    kv_jout_kstr(&d.out, "commit", kv_sv_of(r->commit));
    kv_jout_ku64(&d.out, "files", r->n_files);
    kv_jout_ku64(&d.out, "bytes", r->n_bytes);
    return kv_document_end(&d, KV_OK, NULL);
}

static kv_code source_uri(const kv_hf_repo *repo, kv_buf *out, kv_error *err)
{
    const char *endpoint = first(getenv("HF_ENDPOINT"), "https://huggingface.co");
    kv_buf_addf(out, "%s/%s%s/%s", endpoint, kv_hf_is_dataset(repo) ? "datasets/" : "",
                kv_hf_owner(repo), kv_hf_name(repo));
    return kv_buf_check(out, err);
}

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    const import_args *a = args;
    kv_auto(kv_hf_repo) repo = NULL;
    if (a->concurrency < 1)
        return kv_fail(
            err, KV_E_ARG,
            "invalid arguments: invalid argument for concurrency (%d): must be at least 1",
            a->concurrency);
    KV_TRY(open_repository(cli, a, operand[0], &repo, err));
    kv_auto_reference tag = {0};
    KV_TRY(choose_tag(cli, a, repo, &tag, err));
    kv_auto(kv_store) store = NULL;
    KV_TRY(kv_cli_store(cli, &store, err));
    kv_auto_str base = work_dir(cli, repo);
    if (!base) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_hf_fetched found;
    kv_auto_fd lock = -1;
    KV_TRY(take_work_dir(base, &lock, err));
    KV_TRY(fetch(cli, a, repo, base, &found, err));
    kv_cli_end_progress(cli);
    kv_auto_str dir = kv_path_join(base, found.commit);
    if (!dir) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_digest digest;
    KV_TRY(pack(cli, store, a, repo, dir, &tag, &digest, err));
    kv_auto_buf uri = KV_BUF(TEXT_MAX);
    KV_TRY(source_uri(repo, &uri, err));
    origin o = {.uri = uri.p, .ref = a->ref, .commit = found.commit};
    KV_TRY(write_provenance(store, a, &o, &digest, err));
    KV_TRY(kv_remove_tree(base, err));
    return kv_is_json(a->format) ? print_json(cli, &tag, &digest, &o, &found) : KV_OK;
}

const kv_cmd kv_cmd_import = {
    .name = "import",
    .operands = "REPOSITORY",
    .summary = "pack a model of Hugging Face",
    .about =
        "Downloads the files of a repository at one commit, checks their hashes, writes a Kitfile\n"
        "for them (or takes the one of --file), and packs them. A download that broke off goes on\n"
        "where it stopped; until the ModelKit is packed the files lie in the cache directory.\n"
        "HF_ENDPOINT names another server than https://huggingface.co. Private repositories need\n"
        "a token. This was tried with a server that speaks the documented API, not with the site.",
    .examples = "$ import sentence-transformers/all-MiniLM-L6-v2\n"
                "# One quantisation, under another name\n"
                "$ import bartowski/gemma-2-2b-it-GGUF --quant Q4_K_M -t gemma:q4\n"
                "$ import datasets/squad/plain --include '*.parquet' --ref main\n",
    .opts = OPTS,
    .n_opts = KV_COUNT(OPTS),
    .args_size = sizeof(import_args),
    .defaults = &DEFAULTS,
    .run = run,
};

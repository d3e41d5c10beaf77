#include "cli/document.h"
#include "cli/local.h"
#include "cli/names.h"

typedef struct tag_args {
    const char *format;
} tag_args;

static const kv_opt OPTS[] = {KV_OPT_FORMAT(tag_args)};

static kv_code print_json(kv_cli *cli, const kv_reference *from, const kv_reference *to)
{
    kv_document d;
    kv_auto_str source = kv_reference_display(from), target = kv_reference_display(to);
    kv_document_begin(&d, cli);
    kv_jout_kstr(&d.out, "source", kv_sv_of(source));
    kv_jout_kstr(&d.out, "target", kv_sv_of(target));
    return kv_document_end(&d, KV_OK, NULL);
}

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    const tag_args *a = args;
    kv_auto_reference from = {0}, to = {0};
    KV_TRY(kv_cli_reference_exact(operand[0], &from, err));
    KV_TRY(kv_cli_reference_exact(operand[1], &to, err));
    KV_TRY(kv_cli_reference_single(&from, err));
    kv_auto(kv_store) store = NULL;
    KV_TRY(kv_cli_store(cli, &store, err));
    kv_code code = kv_store_tag(store, &from, &to, err);
    if (code != KV_OK) return kv_wrap(err, code, "failed to tag modelkit");
    kv_auto_str from_text = kv_reference_full(&from), to_text = kv_reference_full(&to);
    if (!from_text || !to_text) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_cli_say(cli, "Modelkit %s tagged as %s", from_text, to_text);
    return kv_is_json(a->format) ? print_json(cli, &from, &to) : KV_OK;
}

const kv_cmd kv_cmd_tag = {
    .name = "tag",
    .operands = "SOURCE TARGET",
    .summary = "give a ModelKit another name",
    .about =
        "Gives the ModelKit SOURCE of the local store the further name TARGET. The new name may\n"
        "be a tag of the same repository, of another one, or name a registry to push to.\n"
        "Nothing is copied: both names mean the same bytes. A tag that exists moves.",
    .examples = "# Say where the ModelKit will be pushed to\n"
                "$ tag demo:v1 hub.example.com/team/demo:v1\n",
    .opts = OPTS,
    .n_opts = KV_COUNT(OPTS),
    .args_size = sizeof(tag_args),
    .kits = true,
    .run = run,
};

#include "cli/local.h"
#include "cli/names.h"

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    (void)args;
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
    return KV_OK;
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
    .kits = true,
    .run = run,
};

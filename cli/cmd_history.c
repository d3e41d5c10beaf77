#include <string.h>

#include "cli/hub_event.h"
#include "cli/hub_users.h"
#include "cli/names.h"

typedef struct history_args {
    kv_net_args net;
    const char *format;
    int limit;
} history_args;

static const kv_opt OPTS[] = {
    KV_OPT(history_args, format, "format", 0, "print as `FORMAT`: table or json"),
    KV_OPT(history_args, limit, "limit", 'n', "print the newest `N` events alone"),
};
static const history_args DEFAULTS = {.format = "table"};

static kv_code check(const void *args, char **operand, kv_error *err)
{
    const history_args *a = args;
    (void)operand;
    if (a->limit < 0) return kv_fail(err, KV_E_ARG, "invalid limit %d: must be positive", a->limit);
    return kv_check_format(a->format, err);
}

/* /repos/R/-/history, /repos/R/-/tags/T/history or /repos/R/-/versions/D/history. The grammar of
 * references leaves nothing to escape. */
static kv_code make_path(const kv_reference *ref, kv_buf *out, kv_error *err)
{
    kv_buf_addf(out, "/repos/%.*s/-/", KV_ARG(ref->repository));
    if (ref->digest.alg)
        kv_buf_addf(out, "versions/%s/", kv_digest_str(&ref->digest).s);
    else if (ref->tag.n)
        kv_buf_addf(out, "tags/%.*s/", KV_ARG(ref->tag));
    kv_buf_adds(out, "history");
    return kv_buf_check(out, err);
}

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    const history_args *a = args;
    kv_auto_reference ref = {0};
    KV_TRY(kv_cli_reference(operand[0], &ref, err));
    KV_TRY(kv_cli_reference_single(&ref, err));
    KV_TRY(kv_cli_reference_needs_registry(&ref, err));
    kv_auto_net net = {0};
    kv_auto_hub_client hub = {0};
    kv_auto_buf path = KV_BUF(4096);
    KV_TRY(make_path(&ref, &path, err));
    KV_TRY(kv_net_open(cli, &a->net, &net, err));
    KV_TRY(kv_hub_client_open(&net, ref.registry, &hub, err));

    bool json = strcmp(a->format, "json") == 0;
    kv_auto_table table = kv_table_make(KV_EVENT_COLUMNS, json);
    kv_auto_hub_pages pages = kv_hub_pages_begin(&hub, path.p);
    const kv_json *event;
    KV_TRY(kv_table_add(&table, kv_event_head, err));
    for (int n = 0; (!a->limit || n < a->limit) && kv_hub_pages_next(&pages, &event); n++)
        KV_TRY(json ? kv_table_add_json(&table, event, err) : kv_event_row(&table, event, err));
    kv_code code = kv_hub_pages_end(&pages, err);
    if (code != KV_OK) return kv_wrap(err, code, "failed to get the history of %s", operand[0]);
    return kv_table_print(cli, &table, err);
}

const kv_cmd kv_cmd_history = {
    .name = "history",
    .operands = "REPOSITORY[:TAG|@DIGEST]",
    .summary = "show what happened to a repository, a tag or a version on a hub",
    .about =
        "Prints every push, every move and every removal of a tag: when, by whom, from what to\n"
        "what, newest first. With a tag only that tag's, removed ones too; with a digest only\n"
        "that version's, under whatever tags.",
    .examples = "$ history hub.example.com/team/demo\n"
                "# Who moved this tag?\n"
                "$ history hub.example.com/team/demo:v1\n",
    .opts = OPTS,
    .n_opts = KV_COUNT(OPTS),
    .args_size = sizeof(history_args),
    .defaults = &DEFAULTS,
    .group = &kv_net_group,
    .group_off = offsetof(history_args, net),
    .own = true,
    .check = check,
    .run = run,
};

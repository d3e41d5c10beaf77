#include <string.h>

#include "cli/hub_users.h"
#include "cli/table.h"

typedef struct list_args {
    kv_net_args net;
    const char *format;
} list_args;

static const kv_opt OPTS[] = {
    KV_OPT(list_args, format, "format", 0, "print as `FORMAT`: table or json"),
};
static const list_args DEFAULTS = {.format = "table"};

static kv_code check(const void *args, char **operand, kv_error *err)
{
    (void)operand;
    return kv_check_format(((const list_args *)args)->format, err);
}

/* "team:write, _:read" */
static void add_grants(kv_buf *out, const kv_json *grants)
{
    kv_jiter it = kv_json_iter(grants);
    size_t n = 0;
    for (const kv_json *g; (g = kv_json_next(&it, NULL)); n++)
        kv_buf_addf(out, "%s%.*s:%.*s", n ? ", " : "",
                    KV_ARG(kv_json_str(kv_json_get(g, "namespace"))),
                    KV_ARG(kv_json_str(kv_json_get(g, "role"))));
    if (!n) kv_buf_adds(out, "-");
}

static kv_code add_row(kv_table *table, const kv_json *user, kv_error *err)
{
    kv_auto_buf grants = KV_BUF(1 << 16);
    add_grants(&grants, kv_json_get(user, "grants"));
    KV_TRY(kv_buf_check(&grants, err));
    bool admin = kv_json_bool(kv_json_get(user, "admin"));
    const kv_sv row[] = {
        kv_json_str(kv_json_get(user, "name")),
        admin ? KV_SV("administrator") : KV_SV("user"),
        kv_json_str(kv_json_get(user, "created_at")),
        kv_buf_sv(&grants),
    };
    return kv_table_add(table, row, err);
}

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    const list_args *a = args;
    kv_auto_hub_session session = {0};
    KV_TRY(kv_hub_session_open(cli, &a->net, operand[0], &session, err));
    bool json = strcmp(a->format, "json") == 0;
    kv_auto_table table = kv_table_make(4, json);
    static const kv_sv HEAD[] = {KV_SV_INIT("NAME"), KV_SV_INIT("KIND"), KV_SV_INIT("CREATED"),
                                 KV_SV_INIT("RIGHTS")};
    KV_TRY(kv_table_add(&table, HEAD, err));
    kv_auto_hub_pages pages = kv_hub_pages_begin(&session.hub, "/users");
    const kv_json *user;
    while (kv_hub_pages_next(&pages, &user))
        KV_TRY(json ? kv_table_add_json(&table, user, err) : add_row(&table, user, err));
    kv_code code = kv_hub_pages_end(&pages, err);
    if (code != KV_OK) return kv_wrap(err, code, "failed to list users");
    return kv_table_print(cli, &table, err);
}

const kv_cmd kv_cmd_hub_user_list = {
    .name = "hub user list",
    .operands = "HUB",
    .summary = "list the users of a hub and their rights",
    .examples = "$ hub user list hub.example.com\n",
    .opts = OPTS,
    .n_opts = KV_COUNT(OPTS),
    .args_size = sizeof(list_args),
    .defaults = &DEFAULTS,
    .group = &kv_net_group,
    .group_off = offsetof(list_args, net),
    .own = true,
    .check = check,
    .run = run,
};

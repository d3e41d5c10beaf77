#include <string.h>
#include <time.h>

#include "cli/hub_event.h"
#include "cli/hub_users.h"

typedef struct tail_args {
    kv_net_args net;
    const char *format;
    int lines;
    bool follow;
} tail_args;

static const kv_opt OPTS[] = {
    KV_OPT(tail_args, lines, "lines", 'n', "begin with the last `N` events"),
    KV_OPT(tail_args, follow, "follow", 'f', "go on with new events until interrupted"),
    KV_OPT(tail_args, format, "format", 0,
           "print as `FORMAT`: table, or json with one event a line, exactly as it was hashed"),
};
static const tail_args DEFAULTS = {.format = "table", .lines = 10};

enum { LINES_MAX = 500, WAIT_MS = 1000 };

static kv_code check(const void *args, char **operand, kv_error *err)
{
    const tail_args *a = args;
    (void)operand;
    if (a->lines < 0 || a->lines > LINES_MAX)
        return kv_fail(err, KV_E_ARG, "invalid number of lines %d: must be 0 to %d", a->lines,
                       LINES_MAX);
    return kv_check_format(a->format, err);
}

typedef struct tail {
    const kv_cli *cli;
    const tail_args *args;
    kv_hub_client *hub;
    uint64_t seq; /* the last one seen */
    bool headed;
    bool skip; /* only learn where the log ends */
} tail;

static kv_code print_json(const tail *t, const kv_json *event, kv_error *err)
{
    kv_auto_buf line = KV_BUF(1 << 20);
    kv_jout j = kv_jout_make(&line, KV_JSON_JCS, 0);
    kv_jout_value(&j, kv_json_get(event, "leaf"));
    kv_buf_addc(&line, '\n');
    KV_TRY(kv_buf_check(&line, err));
    kv_cli_put(t->cli, kv_buf_sv(&line));
    return KV_OK;
}

/* In the order given, which is oldest first. */
static kv_code print_events(tail *t, const kv_json **events, size_t n, kv_error *err)
{
    bool json = strcmp(t->args->format, "json") == 0;
    kv_auto_table table = kv_table_make(KV_EVENT_COLUMNS, false);
    if (!t->headed) KV_TRY(kv_table_add(&table, kv_event_head, err));
    t->headed = true;
    for (size_t i = 0; i < n; i++) {
        uint64_t seq = 0;
        if (!kv_json_u64(kv_json_get(kv_json_get(events[i], "leaf"), "seq"), &seq))
            return kv_fail(err, KV_E_PROTOCOL, "an event of %s has no number", t->hub->host);
        if (seq > t->seq) t->seq = seq;
        if (t->skip) continue;
        KV_TRY(json ? print_json(t, events[i], err) : kv_event_row(&table, events[i], err));
    }
    t->skip = false;
    return json ? KV_OK : kv_table_print(t->cli, &table, err);
}

/* One call; *out_n events were printed. Answers are newest first, but those of since=. */
static kv_code print_call(tail *t, const char *path, bool newest_first, size_t *out_n,
                          kv_error *err)
{
    kv_auto(kv_jdoc) answer = NULL;
    KV_TRY(kv_hub_call(t->hub, "GET", path, KV_SV(""), &answer, err));
    const kv_json *items = kv_json_get(answer ? kv_jdoc_root(answer) : NULL, "items");
    const kv_json *events[LINES_MAX];
    size_t n = kv_json_len(items), i = 0;
    if (n > KV_COUNT(events))
        return kv_fail(err, KV_E_PROTOCOL, "%s sent more events than it was asked for",
                       t->hub->host);
    kv_jiter it = kv_json_iter(items);
    for (const kv_json *e; (e = kv_json_next(&it, NULL)); i++)
        events[newest_first ? n - 1 - i : i] = e;
    *out_n = n;
    return n || !t->headed ? print_events(t, events, n, err) : KV_OK;
}

static kv_code print_new(tail *t, kv_error *err)
{
    size_t n = 0;
    do {
        char path[96];
        snprintf(path, sizeof(path), "/audit/events?since=%llu&limit=%d",
                 (unsigned long long)t->seq, LINES_MAX);
        KV_TRY(print_call(t, path, false, &n, err));
    } while (n == LINES_MAX);
    fflush(stdout);
    return KV_OK;
}

/* Until an interrupt, which is the way to end this and no failure. */
static kv_code follow(tail *t, kv_error *err)
{
    static const struct timespec WAIT = {.tv_sec = WAIT_MS / 1000};
    for (;;) {
        kv_code code = print_new(t, err);
        if (atomic_load(&kv_cli_interrupted)) return KV_OK;
        KV_TRY(code);
        nanosleep(&WAIT, NULL);
        if (atomic_load(&kv_cli_interrupted)) return KV_OK;
    }
}

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    const tail_args *a = args;
    kv_auto_hub_session session = {0};
    KV_TRY(kv_hub_session_open(cli, &a->net, operand[0], &session, err));
    tail t = {.cli = cli, .args = a, .hub = &session.hub};
    char path[64];
    size_t n = 0;
    /* One event is asked for even when none is to be printed: it says where to go on. */
    snprintf(path, sizeof(path), "/audit/events?limit=%d", a->lines ? a->lines : 1);
    t.skip = !a->lines;
    kv_code code = print_call(&t, path, true, &n, err);
    if (code == KV_OK && a->follow) code = follow(&t, err);
    return code == KV_OK ? KV_OK : kv_wrap(err, code, "failed to read the audit log");
}

const kv_cmd kv_cmd_audit_tail = {
    .name = "audit tail",
    .operands = "HUB",
    .summary = "print the last events of a hub's audit log",
    .about = "HUB is the host (and port) of a KitVault hub that you are logged in to as an\n"
             "administrator. Events come oldest first; their numbers have no gaps.",
    .examples = "$ audit tail hub.example.com\n"
                "$ audit tail hub.example.com -n 2 --format json\n",
    .opts = OPTS,
    .n_opts = KV_COUNT(OPTS),
    .args_size = sizeof(tail_args),
    .defaults = &DEFAULTS,
    .group = &kv_net_group,
    .group_off = offsetof(tail_args, net),
    .own = true,
    .check = check,
    .run = run,
};

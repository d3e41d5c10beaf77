#include "cli/options.h"

#include <string.h>

#include "cli/help.h"
#include "test/test.h"

enum { WORDS_MAX = 8 };

/* What a row of the tables below gives kv_args_parse. */
static kv_code parse(const char *const *words, kv_args *out, kv_error *err)
{
    char *argv[WORDS_MAX + 1] = {0};
    int n = 0;
    while (n < WORDS_MAX && words[n]) {
        argv[n] = kv_sv_dup(kv_sv_of(words[n]));
        assert_non_null(argv[n++]);
    }
    static char *kept[256]; /* operands point into argv; freed at the end of the program */
    static size_t n_kept;
    for (int i = 0; i < n; i++) kept[n_kept++ % KV_COUNT(kept)] = argv[i];
    return kv_args_parse("kit", n, argv, out, err);
}

static void names_errors(void **state)
{
    static const struct {
        const char *words[WORDS_MAX];
        const char *want; /* "": parses */
        bool unknown;
    } CASES[] = {
        {{0}, "", false},
        {{"help"}, "", false},
        {{"--help"}, "", false},
        {{"version", "-h", "too", "many"}, "", false},
        {{"bogus"}, "unknown command \"bogus\" for \"kit\"", true},
        {{"versio"},
         "unknown command \"versio\" for \"kit\"\n\nDid you mean this?\n\tversion\n",
         true},
        {{"ver"}, "unknown command \"ver\" for \"kit\"\n\nDid you mean this?\n\tversion\n", true},
        {{"--bogus", "version"}, "unknown flag: --bogus", false},
        {{"version", "--bogus=1"}, "unknown flag: --bogus", false},
        {{"version", "--=x"}, "bad flag syntax: --=x", false},
        {{"version", "---x"}, "bad flag syntax: ---x", false},
        {{"version", "-x"}, "unknown shorthand flag: 'x' in -x", false},
        {{"version", "-vx"}, "unknown shorthand flag: 'x' in -vx", false},
        {{"version", "--config"}, "flag needs an argument: --config", false},
        {{"version", "a"}, "accepts 0 arg(s), received 1", false},
        {{"version", "--", "-v"}, "accepts 0 arg(s), received 1", false},
        {{"version", "--show-update-notifications=maybe"},
         "invalid argument \"maybe\" for \"--show-update-notifications\" flag: "
         "strconv.ParseBool: parsing \"maybe\": invalid syntax",
         false},
        {{"version", "--verbose=x"},
         "invalid argument \"x\" for \"-v, --verbose\" flag: strconv.ParseInt: parsing \"x\": "
         "invalid syntax",
         false},
        {{"version", "-v=99999999999999999999"},
         "invalid argument \"99999999999999999999\" for \"-v, --verbose\" flag: "
         "strconv.ParseInt: parsing \"99999999999999999999\": value out of range",
         false},
        {{"version", "-v= 1"},
         "invalid argument \" 1\" for \"-v, --verbose\" flag: strconv.ParseInt: parsing \" 1\": "
         "invalid syntax",
         false},
        {{"pack"}, "accepts 1 arg(s), received 0", false},
        {{"pack", "a", "b"}, "accepts 1 arg(s), received 2", false},
        {{"pack", "a", "-f"}, "flag needs an argument: 'f' in -f", false},
        {{"list", "a", "b"}, "accepts at most 1 arg(s), received 2", false},
        {{"remove"}, "modelkit is required for remove unless --all is specified", false},
        {{"remove", "-a", "x:y"},
         "modelkit should not be specified when --all flag is used",
         false},
        {{"list", "--concurrency", "many"},
         "invalid argument \"many\" for \"--concurrency\" flag: strconv.ParseInt: parsing "
         "\"many\": invalid syntax",
         false},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_error err = {0};
        kv_auto_args args = {0};
        kv_code code = parse(CASES[i].words, &args, &err);
        bool good = code == (CASES[i].want[0] ? KV_E_ARG : KV_OK);
        if (!good || strcmp(err.msg, CASES[i].want) != 0 || args.unknown != CASES[i].unknown)
            fail_msg("row %zu: code %d, '%s'", i, (int)code, err.msg);
    }
}

/* The struct of a command, read by its table, so that this test needs no private type. */
static const void *member(const kv_args *args, const char *option)
{
    for (size_t i = 0; i < args->cmd->n_opts; i++)
        if (strcmp(args->cmd->opts[i].name, option) == 0)
            return (const char *)args->values + args->cmd->opts[i].off;
    const kv_opt_group *g = args->cmd->group;
    for (size_t i = 0; g && i < g->n_opts; i++)
        if (strcmp(g->opts[i].name, option) == 0)
            return (const char *)args->values + args->cmd->group_off + g->opts[i].off;
    fail_msg("%s has no option %s", args->cmd->name, option);
    return NULL;
}

#define TEXT(args, option) (*(const char *const *)member((args), (option)))
#define FLAG(args, option) (*(const bool *)member((args), (option)))

static void binds_values(void **state)
{
    (void)state;
    static const struct {
        const char *words[WORDS_MAX];
        const char *tag, *file, *operand;
    } CASES[] = {
        {{"pack", ".", "-t", "a:b", "--file", "K"}, "a:b", "K", "."},
        {{"pack", "-ta:b", "-f=K", "."}, "a:b", "K", "."},
        {{"pack", "--tag=a:b", ".", "--file="}, "a:b", "", "."},
        {{"--config", "pack", "pack", "-t=", "--", "-dir"}, "", NULL, "-dir"},
        {{"-v", "pack", "-", "-t", "-x"}, "-x", NULL, "-"},
        {{"pack", "-vft", "x", "."}, NULL, "t", "x"},
    };
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_error err = {0};
        kv_auto_args args = {0};
        /* The last row is a usage error on purpose: -f takes the rest of its word. */
        kv_code code = parse(CASES[i].words, &args, &err);
        if (i + 1 == KV_COUNT(CASES)) {
            assert_string_equal(err.msg, "accepts 1 arg(s), received 2");
        } else if (code != KV_OK) {
            fail_msg("row %zu: %s", i, err.msg);
        }
        const char *got[] = {TEXT(&args, "tag"), TEXT(&args, "file"), args.operand[0]};
        const char *want[] = {CASES[i].tag, CASES[i].file, CASES[i].operand};
        for (size_t k = 0; k < KV_COUNT(got); k++)
            if (!got[k] != !want[k] || (got[k] && strcmp(got[k], want[k]) != 0))
                fail_msg("row %zu, value %zu: '%s'", i, k, got[k] ? got[k] : "(none)");
    }
}

static void groups_letters(void **state)
{
    (void)state;
    static const char *const WORDS[] = {"unpack",      "-oidx", "a:b", "--filter=model",
                                        "-f=code:x,y", "-vvv",  NULL};
    kv_error err = {0};
    kv_auto_args args = {0};
    assert_int_equal(parse(WORDS, &args, &err), KV_OK);
    assert_true(FLAG(&args, "overwrite"));
    assert_true(FLAG(&args, "ignore-existing"));
    assert_string_equal(TEXT(&args, "dir"), "x");
    const kv_strs *filters = member(&args, "filter");
    assert_int_equal(filters->n, 2);
    assert_string_equal(filters->items[0], "model");
    assert_string_equal(filters->items[1], "code:x,y");
    assert_int_equal(args.global.verbose.n, 3);
    assert_string_equal(args.operand[0], "a:b");
    assert_null(args.operand[1]);
}

static void keeps_defaults(void **state)
{
    (void)state;
    static const char *const WORDS[] = {"unpack", "a:b", "--tls-verify=false", "--plain-http",
                                        NULL};
    kv_error err = {0};
    kv_auto_args args = {0};
    assert_int_equal(parse(WORDS, &args, &err), KV_OK);
    assert_string_equal(TEXT(&args, "dir"), ".");
    assert_false(FLAG(&args, "tls-verify"));
    assert_true(FLAG(&args, "plain-http"));
    assert_int_equal(*(const int *)member(&args, "concurrency"), 5);
    assert_string_equal(args.global.log_level, "info");
}

static void counts_operands(void **state)
{
    static const struct {
        const char *operands;
        size_t min, max;
    } CASES[] = {
        {NULL, 0, 0},
        {"A", 1, 1},
        {"A B", 2, 2},
        {"A [B]", 1, 2},
        {"[A]", 0, 1},
        {"[A...]", 0, SIZE_MAX},
        {"A B...", 2, SIZE_MAX},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_cmd cmd = {.operands = CASES[i].operands};
        size_t min, max;
        kv_cmd_operand_range(&cmd, &min, &max);
        if (min != CASES[i].min || max != CASES[i].max) fail_msg("row %zu: %zu, %zu", i, min, max);
    }
}

/* What every table owes its readers. */
static void tables_are_complete(void **state)
{
    (void)state;
    for (size_t i = 0; i < kv_n_commands; i++) {
        const kv_cmd *c = kv_commands[i];
        if (!c->summary || !c->run || (!c->hidden && !c->examples))
            fail_msg("%s lacks something", c->name);
        if (kv_cmd_group_find(kv_sv_of(c->name))) fail_msg("%s is a group, too", c->name);
        if (kv_cmd_find(kv_sv_of(c->name)) != c) fail_msg("%s stands twice", c->name);
        for (size_t k = 0; k < c->n_opts; k++) {
            kv_sv help = kv_sv_of(c->opts[k].help);
            if (!help.n || kv_sv_ends(help, KV_SV(".")))
                fail_msg("%s --%s: '%s'", c->name, c->opts[k].name, c->opts[k].help);
        }
        kv_auto_buf text = KV_BUF(1 << 16), page = KV_BUF(1 << 16);
        kv_help_command(&text, "kit", c);
        kv_man_command(&page, c);
        assert_int_equal(kv_buf_check(&text, NULL), KV_OK);
        assert_int_equal(kv_buf_check(&page, NULL), KV_OK);
    }
}

KV_TEST_MAIN(cmocka_unit_test(names_errors), cmocka_unit_test(binds_values),
             cmocka_unit_test(groups_letters), cmocka_unit_test(keeps_defaults),
             cmocka_unit_test(counts_operands), cmocka_unit_test(tables_are_complete))

#pragma once
/* Commands and their options as tables, and the parser of a command line over them.
 *
 * The rules are those of the Go libraries kit is built with (cobra and pflag): options and operands
 * may be mixed, `--` ends options, `-abc` groups letters, `--name=value` and `--name value` are the
 * same, a boolean takes a value only behind `=`. So are the first lines of usage errors, which
 * scripts read. Source: kit-compat.md 6.
 */
#include <stdio.h>

#include "base/str.h"

typedef struct kv_cli kv_cli; /* cli/context.h */

/* Types an option's member may have, beside bool, int and const char *. */
typedef struct kv_strs { /* repeatable text, in the order given; the array belongs to the frame */
    const char **items;
    size_t n;
} kv_strs;
typedef enum kv_tri {
    KV_TRI_UNSET,
    KV_TRI_FALSE,
    KV_TRI_TRUE
} kv_tri;                 /* bool that may be absent */
typedef struct kv_count { /* a letter that may be repeated: -vv */
    int n;
} kv_count;

/** One option: a row of a command's table. */
typedef struct kv_opt {
    const char *name; /* without the dashes */
    char letter;      /* 0: no short form */
    char kind;        /* from the member's type; a type not listed does not compile */
    bool hidden;      /* accepted, not shown */
    size_t off;
    const char *help;  /* a word in backquotes names the value: "read `FILE` instead" */
    const char *words; /* text: what it may be, "text json"; NULL: anything */
} kv_opt;
/* clang-format off */
#define KV_OPT_KIND(T, m) _Generic(((T *)0)->m, bool: 'b', int: 'i', const char *: 's', \
    kv_strs: 'S', kv_tri: 't', kv_count: 'c')
#define KV_OPT(T, m, long_name, short_letter, text) {.name = (long_name), .letter = (short_letter), \
    .off = offsetof(T, m), .kind = KV_OPT_KIND(T, m), .help = (text)}
#define KV_OPT_HIDDEN(T, m, long_name, short_letter, text) {.name = (long_name), .letter = (short_letter), \
    .off = offsetof(T, m), .kind = KV_OPT_KIND(T, m), .help = (text), .hidden = true}
#define KV_OPT_WORDS(T, m, long_name, short_letter, what, text) {.name = (long_name), .letter = (short_letter), \
    .off = offsetof(T, m), .kind = KV_OPT_KIND(T, m), .help = (text), .words = (what)}
/* Of every command whose result is one JSON object then; T has a member `const char *format`, NULL or
 * "text" otherwise. docs/format/command-json.md says what the object holds. */
#define KV_OPT_FORMAT(T) KV_OPT_WORDS(T, format, "format", 0, "text json", "print as `FORMAT`: text or json")
/* clang-format on */

/** Options that several commands share, bound into a member of each command's struct. */
typedef struct kv_opt_group {
    const kv_opt *opts;
    size_t n_opts;
    size_t size;          /* sizeof the shared struct */
    const void *defaults; /* such a struct, or NULL: zero */
    /* Optional: rules over the options. Its error is one of the command, not of its usage. */
    kv_code (*check)(const void *args, kv_error *err);
} kv_opt_group;

/** One command. cli/commands.def lists them; everything about a command stands in its table. */
typedef struct kv_cmd {
    const char *name;     /* "tag", or words of a group: "hub user add" */
    const char *operands; /* "SOURCE TARGET", "SOURCE [TARGET]"; NULL: none */
    const char *summary;  /* one line, lower case, no full stop */
    const char *about;    /* description, lines broken by hand at about 90 columns; NULL: summary */
    const char *examples; /* lines; "$ tag a b" is a command line, without the program's name */
    const kv_opt *opts;
    size_t n_opts;
    size_t args_size;          /* sizeof the struct the options are bound into */
    const void *defaults;      /* such a struct, or NULL: zero; help prints its values */
    const kv_opt_group *group; /* NULL: none */
    size_t group_off;          /* of the group's struct in the command's */
    bool hidden;
    bool own;  /* kit has no such command: the exit status tells the class of a failure */
    bool kits; /* operands are ModelKits of the local store: shells complete their names */
    /* Optional: rules over options and operands together. Its error is a usage error. */
    kv_code (*check)(const void *args, char **operand, kv_error *err);
    /* operand: NULL-terminated, their number already checked. */
    kv_code (*run)(kv_cli *cli, const void *args, char **operand, kv_error *err);
} kv_cmd;

/** A word under which commands stand ("hub", "hub user"). */
typedef struct kv_cmd_group {
    const char *name;
    const char *summary;
} kv_cmd_group;

/* The tables made of commands.def; in its order. */
extern const kv_cmd *const kv_commands[];
extern const size_t kv_n_commands;
extern const kv_cmd_group kv_command_groups[];
extern const size_t kv_n_command_groups;

/* Options every command has. */
typedef struct kv_global_args {
    const char *config;
    const char *log_level;
    const char *progress;
    kv_count verbose;
    bool help;
} kv_global_args;
extern const kv_opt_group kv_global_group;

/** A parsed command line. Ownership: clear with kv_args_clear; strings belong to argv. */
typedef struct kv_args {
    const kv_cmd *cmd; /* NULL: a group or the program itself was named */
    char *path;        /* words before the operands: "hub user add", "hub", "" */
    bool unknown;      /* the error is about a word that names no command below path */
    void *values;      /* of cmd->args_size bytes */
    char **operand;    /* NULL-terminated */
    size_t n_operands;
    kv_global_args global;
} kv_args;
/**
 * Finds the command and binds its options. program is the name for error texts.
 * Errors: KV_E_ARG, a usage error in the words of cobra; *out then says how far it came. When
 * help was asked for, or no command was named, operands are not checked.
 */
KV_MUST_CHECK kv_code kv_args_parse(const char *program, int argc, char **argv, kv_args *out,
                                    kv_error *err);
void kv_args_clear(kv_args *a);
#define kv_auto_args KV_CLEANUP(kv_args_clear) kv_args

/** The command with this full name, or NULL. */
const kv_cmd *kv_cmd_find(kv_sv name);
const kv_cmd_group *kv_cmd_group_find(kv_sv name);
/** The option that a word of a command line begins with ("--name", "--name=value", "-n"), of cmd (may
 * be NULL) or of every command; NULL when there is none. */
const kv_opt *kv_opt_find(const kv_cmd *cmd, const char *word);
/** True when the word behind this one is the option's value. */
bool kv_opt_eats_next(const kv_cmd *cmd, const char *word);
/** How many operands a command takes; *max SIZE_MAX when the last one ends in "...". */
void kv_cmd_operand_range(const kv_cmd *cmd, size_t *min, size_t *max);

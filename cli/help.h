#pragma once
/* Help, usage and man pages, made from the tables. Pure. */
#include "cli/options.h"

/** The whole help of a command, of a group ("hub user"), or of the program (path ""). */
void kv_help_command(kv_buf *out, const char *program, const kv_cmd *cmd);
void kv_help_group(kv_buf *out, const char *program, kv_sv path);
/** The words that may follow path ("hub", ""), in the order help lists them; returns how many. */
typedef struct kv_help_entry {
    kv_sv word;
    const char *summary;
} kv_help_entry;
size_t kv_help_list(kv_sv path, kv_help_entry *out, size_t max);
/** What follows a usage error: usage, examples, options. */
void kv_usage_command(kv_buf *out, const char *program, const kv_cmd *cmd);
void kv_usage_group(kv_buf *out, const char *program, kv_sv path);

/** The man page of a command (kitvault-hub-user-add.1), or of the program. Section 1, man(7). */
void kv_man_command(kv_buf *out, const kv_cmd *cmd);
void kv_man_program(kv_buf *out);

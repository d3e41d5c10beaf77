#pragma once
/* Results that are rows, printed as a table or as a JSON array of what they were made of. */
#include "cli/context.h"
#include "json/json.h"

/** Rows collected until they are printed. Copies what it is given. Clear it. */
typedef struct kv_table {
    bool json;
    size_t n_columns;
    kv_sv *cells;
    size_t n, cap;
    kv_arena *arena;
    kv_buf text; /* the JSON so far */
    kv_jout out;
} kv_table;
/** At most 16 columns. json: rows come by kv_table_add_json, and headings are not printed. */
kv_table kv_table_make(size_t n_columns, bool json);
void kv_table_clear(kv_table *t);
#define kv_auto_table KV_CLEANUP(kv_table_clear) kv_table
/** One row of n_columns texts, the headings first. Empty ones print as "-". */
KV_MUST_CHECK kv_code kv_table_add(kv_table *t, const kv_sv *row, kv_error *err);
KV_MUST_CHECK kv_code kv_table_add_json(kv_table *t, const kv_json *item, kv_error *err);
KV_MUST_CHECK kv_code kv_table_print(const kv_cli *cli, kv_table *t, kv_error *err);

/** For a --format option. Errors: KV_E_ARG 'invalid format "x": must be table or json'. */
KV_MUST_CHECK kv_code kv_check_format(const char *format, kv_error *err);

#include "cli/table.h"

#include <stdlib.h>
#include <string.h>

#include "cli/output.h"

enum { TEXT_MAX = 32 << 20 };

kv_table kv_table_make(size_t n_columns, bool json)
{
    return (kv_table){.json = json, .n_columns = n_columns, .text = KV_BUF(TEXT_MAX)};
}

void kv_table_clear(kv_table *t)
{
    free(t->cells);
    kv_arena_free(t->arena);
    kv_buf_clear(&t->text);
}

kv_code kv_table_add(kv_table *t, const kv_sv *row, kv_error *err)
{
    if (!t->arena) t->arena = kv_arena_new(TEXT_MAX);
    if (!t->arena) return kv_fail(err, KV_E_NOMEM, "out of memory");
    for (size_t i = 0; i < t->n_columns; i++) {
        kv_sv text = kv_arena_dup(t->arena, row[i].n ? row[i] : KV_SV("-"));
        if (!text.p) return kv_fail(err, KV_E_LIMIT, "too many rows to print at once");
        if (!KV_GROW(t->cells, t->n, &t->cap)) return kv_fail(err, KV_E_NOMEM, "out of memory");
        t->cells[t->n++] = text;
    }
    return KV_OK;
}

static void begin_json(kv_table *t)
{
    /* The writer points at the buffer, so it is made where the table lives now. */
    if (t->out.buf) return;
    t->out = kv_jout_make(&t->text, KV_JSON_GO, 2);
    kv_jout_arr(&t->out);
}

kv_code kv_table_add_json(kv_table *t, const kv_json *item, kv_error *err)
{
    begin_json(t);
    kv_jout_value(&t->out, item);
    return kv_buf_check(&t->text, err);
}

kv_code kv_table_print(const kv_cli *cli, kv_table *t, kv_error *err)
{
    if (t->json) {
        begin_json(t);
        kv_jout_end_arr(&t->out);
        kv_buf_addc(&t->text, '\n');
    } else {
        kv_table_format(&t->text, t->cells, t->n / t->n_columns, t->n_columns);
    }
    KV_TRY(kv_buf_check(&t->text, err));
    kv_cli_put(cli, kv_buf_sv(&t->text));
    return KV_OK;
}

kv_code kv_check_format(const char *format, kv_error *err)
{
    if (strcmp(format, "table") == 0 || strcmp(format, "json") == 0) return KV_OK;
    return kv_fail(err, KV_E_ARG, "invalid format \"%s\": must be table or json", format);
}

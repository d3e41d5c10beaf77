#include "cli/document.h"

#include <string.h>

enum { FLOW_BYTES = 64 * 1024, TEXT_MAX = 16 << 20 };

void kv_document_begin(kv_document *d, kv_cli *cli)
{
    d->cli = cli;
    d->text = KV_BUF(TEXT_MAX);
    d->out = kv_jout_make(&d->text, KV_JSON_GO, 0);
    kv_jout_obj(&d->out);
}

void kv_document_flow(kv_document *d)
{
    if (d->text.n < FLOW_BYTES) return;
    kv_cli_put(d->cli, kv_buf_sv(&d->text));
    kv_buf_truncate(&d->text, 0);
}

static void add_error(kv_jout *j, kv_code code, const kv_error *err)
{
    kv_jout_key(j, KV_SV("error"));
    kv_jout_obj(j);
    kv_jout_kstr(j, "class", kv_sv_of(kv_error_class_name(kv_error_class_of(code))));
    kv_jout_kstr(j, "message", kv_sv_of(err ? err->msg : ""));
    kv_jout_end_obj(j);
}

kv_code kv_document_end(kv_document *d, kv_code code, const kv_error *err)
{
    if (code != KV_OK) add_error(&d->out, code, err);
    kv_jout_end_obj(&d->out);
    kv_buf_addc(&d->text, '\n');
    if (!d->text.failed) {
        kv_cli_put(d->cli, kv_buf_sv(&d->text));
        kv_cli_set_told(d->cli);
    }
    if (code == KV_OK) code = d->text.failed;
    kv_buf_clear(&d->text);
    return code;
}

void kv_document_fail(kv_code code, const kv_error *err)
{
    kv_auto_buf text = KV_BUF(8 * KV_ERROR_TEXT_MAX);
    kv_jout j = kv_jout_make(&text, KV_JSON_GO, 0);
    kv_jout_obj(&j);
    add_error(&j, code, err);
    kv_jout_end_obj(&j);
    if (!text.failed) printf("%s\n", text.p);
}

bool kv_is_json(const char *format)
{
    return format && strcmp(format, "json") == 0;
}

/* The command's option "format", when it was given as json; else NULL. */
static const kv_opt *find_format(const kv_cmd *cmd, const void *args)
{
    for (size_t i = 0; args && i < cmd->n_opts; i++) {
        const kv_opt *o = &cmd->opts[i];
        if (o->kind != 's' || strcmp(o->name, "format") != 0) continue;
        const char *value;
        memcpy(&value, (const char *)args + o->off, sizeof(value));
        return kv_is_json(value) ? o : NULL;
    }
    return NULL;
}

bool kv_wants_json(const kv_cmd *cmd, const void *args)
{
    return find_format(cmd, args) != NULL;
}

bool kv_prints_object(const kv_cmd *cmd, const void *args)
{
    const kv_opt *o = find_format(cmd, args);
    return o && o->words; /* the others are older: a table, or kit's own */
}

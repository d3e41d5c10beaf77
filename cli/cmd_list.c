#include <stdlib.h>
#include <string.h>

#include "cli/listing.h"
#include "cli/output.h"
#include "cli/template.h"
#include "json/json.h"

typedef struct list_args {
    kv_net_args net;
    const char *format;
    kv_strs filters;
} list_args;

static const kv_opt OPTS[] = {
    KV_OPT(list_args, format, "format", 0,
           "print as `FORMAT`: table, json, or a Go template over .Repo .Digest .Tags .ModelName "
           ".Size .Author"),
    KV_OPT(list_args, filters, "filter", 'f',
           "only ModelKits with a layer like this: `TYPES[:NAMES]`, both with commas (repeatable)"),
};
static const list_args DEFAULTS = {.format = "table"};

enum { OUTPUT_MAX = 32 << 20 };

/* --- forms --- */

static const kv_sv NONE = KV_SV_INIT("<none>");

static kv_code add_table(kv_buf *out, const kv_listing *list, kv_error *err)
{
    static const kv_sv HEAD[] = {
        KV_SV_INIT("REPOSITORY"), KV_SV_INIT("TAG"),  KV_SV_INIT("MAINTAINER"),
        KV_SV_INIT("NAME"),       KV_SV_INIT("SIZE"), KV_SV_INIT("DIGEST"),
    };
    size_t rows = 1;
    for (size_t i = 0; i < list->n; i++) rows += list->kits[i].n_tags ? list->kits[i].n_tags : 1;
    kv_sv *cells = calloc(rows, sizeof(HEAD));
    if (!cells) return kv_fail(err, KV_E_NOMEM, "out of memory");
    memcpy(cells, HEAD, sizeof(HEAD));
    kv_sv *cell = cells + KV_COUNT(HEAD);
    for (size_t i = 0; i < list->n; i++) {
        const kv_listed_kit *k = &list->kits[i];
        for (size_t t = 0; t < (k->n_tags ? k->n_tags : 1); t++) {
            *cell++ = k->repository;
            *cell++ = k->n_tags ? k->tags[t] : NONE;
            *cell++ = k->author;
            *cell++ = k->model_name;
            *cell++ = k->size;
            *cell++ = k->digest;
        }
    }
    kv_table_format(out, cells, rows, KV_COUNT(HEAD));
    free(cells);
    return KV_OK;
}

static void add_json(kv_buf *out, const kv_listing *list)
{
    kv_jout j = kv_jout_make(out, KV_JSON_GO, 2);
    kv_jout_arr(&j);
    for (size_t i = 0; i < list->n; i++) {
        const kv_listed_kit *k = &list->kits[i];
        kv_jout_obj(&j);
        kv_jout_kstr(&j, "repo", k->repository);
        kv_jout_kstr(&j, "digest", k->digest);
        kv_jout_key(&j, KV_SV("tags"));
        if (k->n_tags) {
            kv_jout_arr(&j);
            for (size_t t = 0; t < k->n_tags; t++) kv_jout_str(&j, k->tags[t]);
            kv_jout_end_arr(&j);
        } else {
            kv_jout_null(&j);
        }
        kv_jout_kstr(&j, "modelName", k->model_name);
        kv_jout_kstr(&j, "size", k->size);
        kv_jout_kstr(&j, "author", k->author);
        kv_jout_end_obj(&j);
    }
    kv_jout_end_arr(&j);
    kv_buf_addc(out, '\n');
}

static kv_code bad_template(kv_error *err)
{
    return kv_wrap(err, KV_E_ARG, "invalid arguments: bad template");
}

/* Before anything is listed, so that a typing error shows where there is nothing to list, too. */
static kv_code check_form(const char *form, kv_error *err)
{
    if (strcmp(form, "table") == 0 || strcmp(form, "json") == 0) return KV_OK;
    return kv_template_check(kv_sv_of(form), err) == KV_OK ? KV_OK : bad_template(err);
}

static kv_code add_templated(kv_buf *out, const kv_listing *list, kv_sv text, kv_error *err)
{
    for (size_t i = 0; i < list->n; i++) {
        const kv_listed_kit *k = &list->kits[i];
        const kv_template_field FIELDS[] = {
            {.name = "Repo", .text = k->repository},
            {.name = "Digest", .text = k->digest},
            {.name = "Tags", .items = k->tags, .n_items = k->n_tags},
            {.name = "ModelName", .text = k->model_name},
            {.name = "Size", .text = k->size},
            {.name = "Author", .text = k->author},
        };
        kv_code code = kv_template_format(out, text, FIELDS, KV_COUNT(FIELDS), err);
        if (code != KV_OK) return bad_template(err);
        if (!kv_sv_ends(text, KV_SV("\n"))) kv_buf_addc(out, '\n');
    }
    return KV_OK;
}

static kv_code format(kv_buf *out, const kv_listing *list, const char *form, kv_error *err)
{
    if (strcmp(form, "table") == 0)
        KV_TRY(add_table(out, list, err));
    else if (strcmp(form, "json") == 0)
        add_json(out, list);
    else
        KV_TRY(add_templated(out, list, kv_sv_of(form), err));
    return kv_buf_check(out, err);
}

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    const list_args *a = args;
    KV_TRY(check_form(a->format, err));
    kv_auto_filters filters = {0};
    for (size_t i = 0; i < a->filters.n; i++) {
        kv_code code = kv_filters_add(&filters, kv_sv_of(a->filters.items[i]), err);
        if (code != KV_OK) return kv_wrap(err, code, "invalid arguments");
    }
    kv_auto_listing list = {0};
    if (operand[0])
        KV_TRY(kv_list_remote(cli, operand[0], &a->net, &filters, &list, err));
    else
        KV_TRY(kv_list_local(cli, &filters, &list, err));
    kv_auto_buf text = KV_BUF(OUTPUT_MAX);
    KV_TRY(format(&text, &list, a->format, err));
    kv_cli_put(cli, kv_buf_sv(&text));
    return KV_OK;
}

const kv_cmd kv_cmd_list = {
    .name = "list",
    .operands = "[REPOSITORY]",
    .summary = "list ModelKits of the local store, or of a repository in a registry",
    .about = "Without an operand lists the local store. With one, REPOSITORY is asked for in its\n"
             "registry; with a tag only that one is listed.\n"
             "\n"
             "A template is written out once for each ModelKit, with a newline added where it has\n"
             "none: '{{ .Repo }}:{{ index .Tags 0 }} {{ .Size }}'.",
    .examples = "$ list\n"
                "$ list --format json\n"
                "$ list hub.example.com/team/demo\n",
    .opts = OPTS,
    .n_opts = KV_COUNT(OPTS),
    .args_size = sizeof(list_args),
    .defaults = &DEFAULTS,
    .group = &kv_net_group,
    .group_off = offsetof(list_args, net),
    .run = run,
};

/* Filters of unpack and list. Source: kit-compat 9.1. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "kitvault/kitfile.h"

#define FILTER_NAMES_MAX 10000u /* in one filter; own */

typedef enum filter_type {
    F_KITFILE = 1,
    F_MODEL = 2,
    F_DATASETS = 4,
    F_CODE = 8,
    F_PROMPTS = 16,
    F_DOCS = 32,
    F_MCP_SERVERS = 64,
} filter_type;

static const struct {
    const char *name;
    filter_type type;
} TYPES[] = {{"kitfile", F_KITFILE},       {"model", F_MODEL},
             {"datasets", F_DATASETS},     {"code", F_CODE},
             {"prompts", F_PROMPTS},       {"docs", F_DOCS},
             {"mcpservers", F_MCP_SERVERS}}; /* not in kit's sentence below, which scripts know */

struct kv_filter {
    unsigned types;
    kv_sv *names; /* in text; none: every name */
    size_t n;
    char *text;
};

static void clear_filter(struct kv_filter *f)
{
    free(f->names);
    free(f->text);
}

static kv_code no_memory(kv_error *err)
{
    return kv_fail(err, KV_E_NOMEM, "out of memory");
}

static kv_code parse_types(kv_sv text, unsigned *out, kv_error *err)
{
    for (bool more = true; more;) {
        kv_sv name;
        unsigned type = 0;
        text = kv_sv_cut(text, ',', &name, &more);
        for (size_t i = 0; i < KV_COUNT(TYPES); i++)
            if (kv_sv_is(name, TYPES[i].name)) type = TYPES[i].type;
        if (!type)
            return kv_fail(err, KV_E_ARG,
                           "invalid filter type %.*s (must be one of kitfile, model, datasets, "
                           "code, prompts, docs)",
                           KV_ARG(name));
        *out |= type;
    }
    return KV_OK;
}

static kv_code parse_names(struct kv_filter *f, kv_sv text, kv_error *err)
{
    size_t cap = 0;
    for (bool more = true; more;) {
        if (f->n == FILTER_NAMES_MAX)
            return kv_fail(err, KV_E_LIMIT, "filter has more than %u names", FILTER_NAMES_MAX);
        if (!KV_GROW(f->names, f->n, &cap)) return no_memory(err);
        text = kv_sv_cut(text, ',', &f->names[f->n], &more);
        f->n++; /* an empty name is one, too: that of what has none */
    }
    return KV_OK;
}

static kv_code parse(struct kv_filter *f, kv_sv text, kv_error *err)
{
    kv_sv types;
    bool named;
    kv_sv names = kv_sv_cut(text, ':', &types, &named);
    if (kv_sv_find(names, ':') != SIZE_MAX)
        return kv_fail(err, KV_E_ARG,
                       "invalid filter: should be in format <type1>,<type2>[:<filter1>,<filter2>]");
    KV_TRY(parse_types(types, &f->types, err));
    return named ? parse_names(f, names, err) : KV_OK;
}

static kv_code push(kv_filters *f, struct kv_filter *one, kv_error *err)
{
    if (!KV_GROW(f->items, f->n, &f->cap)) return no_memory(err);
    f->items[f->n++] = *one;
    return KV_OK;
}

kv_code kv_filters_add(kv_filters *f, kv_sv text, kv_error *err)
{
    struct kv_filter one = {.text = kv_sv_dup(text)};
    kv_code rc = one.text ? parse(&one, (kv_sv){one.text, text.n}, err) : no_memory(err);
    if (rc == KV_OK) rc = push(f, &one, err);
    if (rc != KV_OK) clear_filter(&one);
    return rc;
}

void kv_filters_clear(kv_filters *f)
{
    for (size_t i = 0; i < f->n; i++) clear_filter(&f->items[i]);
    free(f->items);
    *f = (kv_filters){0};
}

static unsigned type_of(kv_layer_kind kind)
{
    switch (kind) {
    case KV_LAYER_MODEL:
    case KV_LAYER_PART: return F_MODEL;
    case KV_LAYER_CODE: return F_CODE;
    case KV_LAYER_DATASET: return F_DATASETS;
    case KV_LAYER_DOCS: return F_DOCS;
    case KV_LAYER_PROMPT: return F_PROMPTS;
    case KV_LAYER_MCPB: return F_MCP_SERVERS;
    case KV_LAYER_UNKNOWN: break;
    }
    return 0;
}

static bool has_name(const struct kv_filter *f, kv_sv name)
{
    for (size_t i = 0; i < f->n; i++)
        if (kv_sv_eq(f->names[i], name)) return true;
    return f->n == 0;
}

bool kv_filters_match(const kv_filters *f, kv_layer_kind kind, const kv_kitfile_entry *e)
{
    unsigned type = type_of(kind);
    bool named = type != F_CODE && type != F_DOCS;
    for (size_t i = 0; i < f->n; i++) {
        const struct kv_filter *one = &f->items[i];
        if (!(one->types & type)) continue;
        if (has_name(one, e->path) || (named && has_name(one, e->name))) return true;
    }
    return f->n == 0;
}

bool kv_filters_match_kitfile(const kv_filters *f)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->items[i].types & F_KITFILE) return true;
    return f->n == 0;
}

/* A copy with its own text, whose names point into it. */
static kv_code dup_for_model(const struct kv_filter *from, kv_filters *out, kv_error *err)
{
    kv_auto_buf text = KV_BUF(SIZE_MAX / 2);
    kv_buf_adds(&text, "model");
    for (size_t i = 0; i < from->n; i++) {
        kv_buf_addc(&text, i ? ',' : ':');
        kv_buf_add(&text, from->names[i]);
    }
    KV_TRY(kv_buf_check(&text, err));
    return kv_filters_add(out, kv_buf_sv(&text), err);
}

kv_code kv_filters_for_parent(const kv_filters *f, kv_filters *out, bool *out_any, kv_error *err)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->items[i].types & F_MODEL) KV_TRY(dup_for_model(&f->items[i], out, err));
    if (f->n == 0) KV_TRY(kv_filters_add(out, KV_SV("model"), err));
    *out_any = out->n > 0;
    return KV_OK;
}

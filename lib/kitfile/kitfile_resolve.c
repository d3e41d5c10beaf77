/* ModelKits a Kitfile builds upon. Source: kit-compat 1.6. */
#include <stdlib.h>
#include <string.h>

#include "kitfile/schema.h"

typedef struct chain { /* references met, as they were written */
    kv_sv name[KV_KITFILE_PARENTS_MAX + 2];
    size_t n;
} chain;

static kv_code no_memory(kv_error *err)
{
    return kv_fail(err, KV_E_NOMEM, "out of memory");
}

static void join(kv_buf *out, const chain *c, size_t from)
{
    for (size_t i = from; i < c->n; i++)
        kv_buf_addf(out, "%s%.*s", i > from ? "=>" : "", KV_ARG(c->name[i]));
}

static kv_code add_name(chain *c, kv_sv name, kv_error *err)
{
    kv_auto_buf text = KV_BUF(KV_ERROR_TEXT_MAX);
    for (size_t i = 0; i < c->n; i++) {
        if (!kv_sv_eq(c->name[i], name)) continue;
        join(&text, c, i);
        return kv_fail(err, KV_E_INVALID, "Found cycle in modelkit references: [%s=>%.*s]",
                       text.p ? text.p : "", KV_ARG(name));
    }
    c->name[c->n++] = name;
    return KV_OK;
}

/* --- merging: the nearest one's word counts, lists are appended --- */

static void take_text(kv_sv *into, kv_sv from)
{
    if (!into->n) *into = from;
}

static bool append(kv_arena *arena, kv_kitfile_entries *into, const kv_kitfile_entries *from)
{
    size_t n;
    if (!from->n) return true;
    if (kv_ckd_add(&n, into->n, from->n)) return false;
    kv_kitfile_entry *items = KV_NEW(arena, kv_kitfile_entry, n);
    if (!items) return false;
    if (into->n) memcpy(items, into->items, into->n * sizeof(*items));
    memcpy(items + into->n, from->items, from->n * sizeof(*items));
    *into = (kv_kitfile_entries){items, n};
    return true;
}

static bool append_strings(kv_arena *arena, kv_kitfile_strings *into,
                           const kv_kitfile_strings *from)
{
    size_t n;
    if (!from->n) return true;
    if (kv_ckd_add(&n, into->n, from->n)) return false;
    kv_sv *items = KV_NEW(arena, kv_sv, n);
    if (!items) return false;
    if (into->n) memcpy(items, into->items, into->n * sizeof(*items));
    memcpy(items + into->n, from->items, from->n * sizeof(*items));
    *into = (kv_kitfile_strings){items, n};
    return true;
}

static bool merge_model(kv_kitfile *into, const kv_kitfile_model *from)
{
    if (!into->model) into->model = KV_NEW(into->arena, kv_kitfile_model, 1);
    kv_kitfile_model *m = into->model;
    if (!m) return false;
    take_text(&m->entry.name, from->entry.name);
    take_text(&m->entry.description, from->entry.description);
    take_text(&m->framework, from->framework);
    take_text(&m->version, from->version);
    m->entry.path = from->entry.path; /* the last one's: where the chain goes on, or ends */
    return append(into->arena, &m->parts, &from->parts);
}

/* Takes over from, whose texts the merged one borrows. */
static kv_code merge(kv_kitfile *into, kv_kitfile *from, kv_error *err)
{
    from->kept = into->kept;
    into->kept = from;
    take_text(&into->manifest_version, from->manifest_version);
    take_text(&into->package.name, from->package.name);
    take_text(&into->package.version, from->package.version);
    take_text(&into->package.description, from->package.description);
    take_text(&into->package.license, from->package.license);
    bool ok = append_strings(into->arena, &into->package.authors, &from->package.authors) &&
              append(into->arena, &into->code, &from->code) &&
              append(into->arena, &into->datasets, &from->datasets) &&
              append(into->arena, &into->docs, &from->docs);
    if (ok && from->model)
        ok = merge_model(into, from->model);
    else if (into->model)
        into->model->entry.path = KV_SV("");
    return ok ? KV_OK : no_memory(err);
}

static kv_code fetch(const kv_kitfile_fetcher *fetcher, kv_sv name, kv_kitfile *into, kv_error *err)
{
    kv_auto_reference ref = {0};
    KV_TRY(kv_reference_parse(name, &ref, err));
    kv_kitfile *kf = NULL;
    KV_TRY(fetcher->fetch(fetcher->ctx, &ref, &kf, err));
    return merge(into, kf, err);
}

static kv_code follow(kv_kitfile *merged, chain *c, const kv_kitfile_fetcher *fetcher,
                      kv_error *err)
{
    kv_sv next = c->name[1];
    for (unsigned i = 0; i < KV_KITFILE_PARENTS_MAX; i++) {
        KV_TRY(fetch(fetcher, next, merged, err));
        if (!merged->model || !kv_kitfile_is_reference(merged->model->entry.path))
            return kv_kitfile_validate(merged, NULL, err);
        next = merged->model->entry.path;
        KV_TRY(add_name(c, next, err));
    }
    kv_auto_buf text = KV_BUF(KV_ERROR_TEXT_MAX);
    join(&text, c, 0);
    return kv_fail(err, KV_E_INVALID, "reached maximum number of model references: [%s]",
                   text.p ? text.p : "");
}

kv_code kv_kitfile_resolve(const kv_kitfile *kf, kv_sv own_name, const kv_kitfile_fetcher *fetcher,
                           kv_kitfile **out, kv_error *err)
{
    *out = NULL;
    if (!kf->model || !kv_kitfile_is_reference(kf->model->entry.path)) return KV_OK;
    kv_sv parent = kf->model->entry.path;
    kv_auto(kv_kitfile) merged = kv_kitfile_new();
    if (!merged) return no_memory(err);
    /* As kit: a kit may build on one of its own name, which it then replaces. */
    chain c = {.name = {own_name, parent}, .n = 2};
    kv_code rc = follow(merged, &c, fetcher, err);
    if (rc != KV_OK)
        return kv_wrap(err, rc, "Failed to resolve referenced modelkit %.*s", KV_ARG(parent));
    *out = KV_TAKE(merged);
    return KV_OK;
}

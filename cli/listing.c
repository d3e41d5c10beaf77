#include "cli/listing.h"

#include <stdlib.h>
#include <string.h>

#include "cli/local.h"
#include "cli/names.h"
#include "cli/output.h"

enum { ARENA_MAX = 32 << 20 }; /* some 100,000 ModelKits */

void kv_listing_clear(kv_listing *l)
{
    free(l->kits);
    kv_arena_free(l->arena);
    *l = (kv_listing){0};
}

/* A copy that lives as long as the listing; "<none>" for nothing. */
static kv_code keep(kv_listing *l, kv_sv text, kv_sv *out, kv_error *err)
{
    *out = text.n ? kv_arena_dup(l->arena, text) : KV_SV("<none>");
    return out->p ? KV_OK : kv_fail(err, KV_E_LIMIT, "too many ModelKits to list at once");
}

static kv_code keep_tags(kv_listing *l, const kv_sv *tags, size_t n, kv_listed_kit *kit,
                         kv_error *err)
{
    /* Never NULL, so that a template sees a list that is empty. */
    kv_sv *copy = KV_NEW(l->arena, kv_sv, n ? n : 1);
    if (!copy) return kv_fail(err, KV_E_LIMIT, "too many ModelKits to list at once");
    for (size_t i = 0; i < n; i++) KV_TRY(keep(l, tags[i], &copy[i], err));
    kit->tags = copy;
    kit->n_tags = n;
    return KV_OK;
}

static bool wanted(const kv_filters *filters, kv_kitfile *kitfile)
{
    if (!filters->n) return true;
    if (!kitfile) return false;
    kv_kitfile_iter it = kv_kitfile_begin(kitfile);
    while (kv_kitfile_next(&it))
        if (kv_filters_match(filters, it.kind, it.entry)) return true;
    return false;
}

/* The Kitfile, or NULL where the ModelKit has none. */
static kv_code read_kitfile(const kv_kit_source *src, const kv_reference *ref, const kv_manifest *m,
                            kv_kitfile **out, kv_error *err)
{
    kv_auto_str json = NULL;
    size_t n = 0;
    kv_error why = {0};
    kv_code code = kv_kit_kitfile_json(src, ref, m, &json, &n, &why);
    if (code == KV_E_NOTFOUND) return KV_OK;
    if (code == KV_OK) code = kv_kitfile_parse_json((kv_sv){json, n}, out, &why);
    if (code != KV_OK && err) *err = why;
    return code;
}

static kv_code add_kit(kv_listing *l, const kv_filters *filters, const kv_kit_source *src,
                       const kv_reference *ref, const kv_manifest *m, kv_sv repository,
                       const kv_sv *tags, size_t n_tags, kv_error *err)
{
    kv_auto(kv_kitfile) kitfile = NULL;
    kv_listed_kit kit = {0};
    if (kv_manifest_kit_kind(m) == KV_KIT_NOT) return KV_OK;
    KV_TRY(read_kitfile(src, ref, m, &kitfile, err));
    if (!wanted(filters, kitfile)) return KV_OK;
    char size[KV_SIZE_TEXT_MAX];
    kv_size_format(kv_manifest_layers_size(m), size);
    bool has_author = kitfile && kitfile->package.authors.n;
    KV_TRY(keep(l, repository, &kit.repository, err));
    KV_TRY(keep(l, kv_sv_of(kv_digest_str(&m->digest).s), &kit.digest, err));
    KV_TRY(keep(l, kv_sv_of(size), &kit.size, err));
    KV_TRY(keep(l, kitfile ? kitfile->package.name : KV_SV(""), &kit.model_name, err));
    KV_TRY(keep(l, has_author ? kitfile->package.authors.items[0] : KV_SV(""), &kit.author, err));
    KV_TRY(keep_tags(l, tags, n_tags, &kit, err));
    if (!KV_GROW(l->kits, l->n, &l->cap)) return kv_fail(err, KV_E_NOMEM, "out of memory");
    l->kits[l->n++] = kit;
    return KV_OK;
}

static kv_code open_listing(kv_listing *l, kv_error *err)
{
    l->arena = kv_arena_new(ARENA_MAX);
    return l->arena ? KV_OK : kv_fail(err, KV_E_NOMEM, "out of memory");
}

/* --- local --- */

static kv_code add_local(kv_store *store, const kv_store_iter *it, const kv_filters *filters,
                         kv_listing *out, kv_error *err)
{
    kv_auto(kv_manifest) m = NULL;
    kv_reference ref = {.registry = it->registry, .repository = it->repository};
    kv_auto_str shown = kv_reference_display(&ref);
    kv_kit_source source = kv_store_source(store);
    if (!shown) return kv_fail(err, KV_E_NOMEM, "out of memory");
    KV_TRY(kv_store_manifest(store, &it->digest, &m, err));
    return add_kit(out, filters, &source, &ref, m, kv_sv_of(shown), it->tags, it->n_tags, err);
}

/* One damaged kit does not hide the others: it is said, and left out. */
static kv_code pass_over(const kv_cli *cli, const kv_store_iter *it, kv_code code, kv_error *err)
{
    if (code != KV_E_NOTFOUND && code != KV_E_DIGEST && code != KV_E_CORRUPT &&
        code != KV_E_SYNTAX && code != KV_E_INVALID)
        return code;
    kv_say(kv_cli_report(cli), KV_ERROR, "cannot read %.*s@%s: %s", KV_ARG(it->repository),
           kv_digest_str(&it->digest).s, err->msg);
    *err = (kv_error){0};
    return KV_OK;
}

kv_code kv_list_local(const kv_cli *cli, const kv_filters *filters, kv_listing *out, kv_error *err)
{
    kv_auto(kv_store) store = NULL;
    KV_TRY(open_listing(out, err));
    KV_TRY(kv_cli_store(cli, &store, err));
    kv_store_iter it = kv_store_begin(store);
    kv_code code = KV_OK;
    while (code == KV_OK && kv_store_next(&it)) {
        code = add_local(store, &it, filters, out, err);
        if (code != KV_OK) code = pass_over(cli, &it, code, err);
    }
    kv_error why = {0};
    kv_code end = kv_store_end(&it, code == KV_OK ? err : &why);
    return code == KV_OK ? end : code;
}

/* --- remote --- */

typedef struct remote_list {
    kv_remote *remote;
    kv_kit_source source;
    const kv_filters *filters;
    kv_listing *out;
} remote_list;

static kv_code add_remote(const remote_list *r, const kv_reference *ref, kv_error *err)
{
    kv_auto(kv_manifest) m = NULL;
    kv_auto_str last = kv_reference_last(ref);
    if (!last) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_code code = kv_remote_manifest(r->remote, kv_sv_of(last), &m, err);
    if (code != KV_OK) return kv_wrap(err, code, "failed to resolve reference %s", last);
    return add_kit(r->out, r->filters, &r->source, ref, m, ref->repository, &ref->tag,
                   ref->tag.n ? 1 : 0, err);
}

static kv_code add_all_tags(const remote_list *r, const kv_reference *ref, kv_error *err)
{
    kv_auto_remote_tags it = kv_remote_tags_begin(r->remote);
    while (kv_remote_tags_next(&it)) {
        kv_auto_reference tagged = {0};
        KV_TRY(kv_reference_with_tag(ref, it.tag, &tagged, err));
        KV_TRY(add_remote(r, &tagged, err));
    }
    kv_code code = kv_remote_tags_end(&it, err);
    return code == KV_OK ? KV_OK : kv_wrap(err, code, "failed to list tags on remote registry");
}

kv_code kv_list_remote(const kv_cli *cli, const char *text, const kv_net_args *net_args,
                       const kv_filters *filters, kv_listing *out, kv_error *err)
{
    kv_auto_reference ref = {0};
    kv_auto_net net = {0};
    remote_list r = {.filters = filters, .out = out};
    KV_TRY(open_listing(out, err));
    KV_TRY(kv_cli_reference(text, &ref, err));
    KV_TRY(kv_cli_reference_single(&ref, err));
    KV_TRY(kv_net_open(cli, net_args, &net, err));
    KV_TRY(kv_net_remote(&net, &ref, &r.remote, err));
    r.source = kv_net_source(&net);
    return ref.tag.n || ref.digest.alg ? add_remote(&r, &ref, err) : add_all_tags(&r, &ref, err);
}

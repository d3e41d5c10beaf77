#include "cli/document.h"
#include "cli/local.h"
#include "cli/names.h"
#include "cli/net.h"

typedef struct remove_args {
    kv_net_args net;
    bool force, all, remote;
    const char *format;
} remove_args;

static const kv_opt OPTS[] = {
    KV_OPT(remove_args, force, "force", 'f', "remove the ModelKit and all tags it has"),
    KV_OPT(remove_args, all, "all", 'a',
           "remove every ModelKit without a tag; with --force every ModelKit"),
    KV_OPT(remove_args, remote, "remote", 'r', "remove from the registry, not the local store"),
    KV_OPT_FORMAT(remove_args),
};

/* Where what was removed is told: as lines, or as items of a list. */
typedef struct teller {
    kv_cli *cli;
    kv_document *document; /* NULL: lines */
} teller;

/* digest NULL: not known. tag_only: the ModelKit itself stays. */
static void add_item(const teller *t, const char *shown, const kv_digest *digest, bool tag_only)
{
    if (!t->document) return;
    kv_jout *j = &t->document->out;
    kv_jout_obj(j);
    kv_jout_kstr(j, "reference", kv_sv_of(shown));
    if (digest) kv_jout_kstr(j, "digest", kv_sv_of(kv_digest_str(digest).s));
    kv_jout_kbool(j, "tagOnly", tag_only);
    kv_jout_end_obj(j);
    kv_document_flow(t->document);
}

static kv_code check(const void *args, char **operand, kv_error *err)
{
    const remove_args *a = args;
    if (a->all && operand[0])
        return kv_fail(err, KV_E_ARG, "modelkit should not be specified when --all flag is used");
    if (!a->all && !operand[0])
        return kv_fail(err, KV_E_ARG, "modelkit is required for remove unless --all is specified");
    return KV_OK;
}

/* --- the local store --- */

static kv_code remove_one(const teller *t, kv_store *store, const kv_reference *ref, bool force,
                          kv_error *err)
{
    kv_removed removed;
    kv_auto_str shown = kv_reference_display(ref);
    if (!shown) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_code code = kv_store_remove(store, ref, force, &removed, err);
    if (code == KV_E_NOTFOUND) return kv_fail(err, code, "model %s not found", shown);
    KV_TRY(code);
    kv_cli_say(t->cli, "Removed %s (digest %s)", shown, kv_digest_str(&removed.digest).s);
    add_item(t, shown, &removed.digest, removed.untagged_only);
    return KV_OK;
}

/* The tags behind commas, one by one; a missing one is told and does not fail the command. */
static kv_code remove_extra(const teller *t, kv_store *store, const kv_reference *ref, bool force,
                            kv_error *err)
{
    for (size_t i = 0; i < ref->n_extra; i++) {
        kv_auto_reference one = {0};
        kv_error why = {0};
        KV_TRY(kv_reference_with_tag(ref, ref->extra[i], &one, err));
        if (remove_one(t, store, &one, force, &why) == KV_OK) continue;
        kv_wrap(&why, why.code, "failed to remove tag %.*s", KV_ARG(ref->extra[i]));
        kv_cli_line(t->cli, KV_ERROR, kv_sv_of(why.msg));
    }
    return KV_OK;
}

static kv_code remove_local(const teller *t, const kv_reference *ref, bool force, kv_error *err)
{
    kv_auto(kv_store) store = NULL;
    KV_TRY(kv_cli_store(t->cli, &store, err));
    kv_code code = remove_one(t, store, ref, force, err);
    if (code != KV_OK) return kv_wrap(err, code, "failed to remove");
    return remove_extra(t, store, ref, force, err);
}

/* --- all of it --- */

static kv_code say_untagged(const teller *t, const kv_reference *ref, const kv_store_iter *kit,
                            kv_error *err)
{
    for (size_t i = 0; i < kit->n_tags; i++) {
        kv_auto_reference tagged = {0};
        KV_TRY(kv_reference_with_tag(ref, kit->tags[i], &tagged, err));
        kv_auto_str shown = kv_reference_display(&tagged);
        if (!shown) return kv_fail(err, KV_E_NOMEM, "out of memory");
        kv_cli_say(t->cli, "Untagged %s", shown);
    }
    return KV_OK;
}

static kv_code remove_listed(const teller *t, kv_store *store, const kv_store_iter *kit,
                             kv_error *err)
{
    kv_reference ref = {
        .registry = kit->registry,
        .repository = kit->repository,
        .digest = kit->digest,
    };
    kv_code code = kv_store_remove(store, &ref, true, NULL, err);
    /* Somebody else may have been faster, which is fine. */
    if (code == KV_E_NOTFOUND) return KV_OK;
    KV_TRY(code);
    KV_TRY(say_untagged(t, &ref, kit, err));
    kv_auto_str shown = kv_reference_display(&ref);
    if (!shown) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_cli_say(t->cli, "Removed %s", shown);
    add_item(t, shown, &kit->digest, false);
    return KV_OK;
}

static kv_code remove_all(const teller *t, bool tagged_too, kv_error *err)
{
    kv_auto(kv_store) store = NULL;
    KV_TRY(kv_cli_store(t->cli, &store, err));
    kv_store_iter it = kv_store_begin(store);
    kv_code code = KV_OK;
    while (code == KV_OK && kv_store_next(&it))
        if (tagged_too || !it.n_tags) code = remove_listed(t, store, &it, err);
    kv_error why = {0};
    kv_code end = kv_store_end(&it, code == KV_OK ? err : &why);
    if (code == KV_OK) code = end;
    return code == KV_OK ? KV_OK : kv_wrap(err, code, "failed to remove");
}

/* --- a registry --- */

static kv_code delete_manifest(const teller *t, kv_remote *remote, const kv_reference *ref,
                               const char *last, const char *shown, kv_error *err)
{
    kv_digest digest;
    kv_code code = kv_remote_resolve(remote, kv_sv_of(last), &digest, err);
    if (code == KV_E_NOTFOUND) return kv_fail(err, code, "model %s not found", shown);
    if (code != KV_OK) return kv_wrap(err, code, "error resolving modelkit");
    kv_cli_say(t->cli, "Deleting remote ModelKit %s", shown);
    code = kv_remote_delete(remote, kv_sv_of(kv_digest_str(&digest).s), err);
    if (code == KV_E_UNSUPPORTED)
        kv_fail(err, code, "removing models is unsupported by registry %.*s",
                KV_ARG(ref->registry));
    if (code != KV_OK) return kv_wrap(err, code, "failed to remove");
    add_item(t, shown, &digest, false);
    return KV_OK;
}

static kv_code delete_tag(const teller *t, kv_remote *remote, const char *tag, const char *shown,
                          kv_error *err)
{
    kv_cli_say(t->cli, "Untagging remote ModelKit %s", shown);
    kv_code code = kv_remote_delete(remote, kv_sv_of(tag), err);
    if (code == KV_E_UNSUPPORTED)
        kv_fail(err, code, "remote registry does not support untagging");
    else if (code == KV_E_NOTFOUND)
        kv_fail(err, code, "reference %s not found in remote registry", tag);
    if (code != KV_OK) return kv_wrap(err, code, "failed to remove");
    add_item(t, shown, NULL, true);
    return KV_OK;
}

static kv_code remove_remote(const teller *t, const kv_reference *ref, const remove_args *a,
                             kv_error *err)
{
    KV_TRY(kv_cli_reference_single(ref, err));
    KV_TRY(kv_cli_reference_needs_registry(ref, err));
    kv_auto_net net = {0};
    kv_remote *remote;
    KV_TRY(kv_net_open(t->cli, &a->net, &net, err));
    KV_TRY(kv_net_remote(&net, ref, &remote, err));
    kv_auto_str last = kv_reference_last(ref), shown = kv_reference_display(ref);
    if (!last || !shown) return kv_fail(err, KV_E_NOMEM, "out of memory");
    if (a->force || ref->digest.alg) return delete_manifest(t, remote, ref, last, shown, err);
    return delete_tag(t, remote, last, shown, err);
}

static kv_code remove_named(const teller *t, const remove_args *a, char **operand, kv_error *err)
{
    if (a->all && a->remote)
        return kv_fail(err, KV_E_ARG, "invalid arguments: cannot use --all with --remote");
    if (a->all) return remove_all(t, a->force, err);
    kv_auto_reference ref = {0};
    KV_TRY(kv_cli_reference_exact(operand[0], &ref, err));
    return a->remote ? remove_remote(t, &ref, a, err) : remove_local(t, &ref, a->force, err);
}

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    const remove_args *a = args;
    teller t = {.cli = cli};
    if (!kv_is_json(a->format)) return remove_named(&t, a, operand, err);
    kv_document d;
    t.document = &d;
    kv_document_begin(&d, cli);
    kv_jout_key(&d.out, KV_SV("removed"));
    kv_jout_arr(&d.out);
    kv_code code = remove_named(&t, a, operand, err);
    kv_jout_end_arr(&d.out);
    return kv_document_end(&d, code, err);
}

const kv_cmd kv_cmd_remove = {
    .name = "remove",
    .operands = "[MODELKIT]",
    .summary = "remove a ModelKit, or one of its tags",
    .about =
        "With a tag, that tag is removed, and with its last tag the ModelKit. With a digest, or\n"
        "with --force, the ModelKit goes with all its tags. Layers that no other ModelKit of\n"
        "the local store uses are deleted with it. Several tags may be given with commas.",
    .examples = "$ remove demo:v1\n"
                "# Whatever no tag leads to\n"
                "$ remove --all\n",
    .opts = OPTS,
    .n_opts = KV_COUNT(OPTS),
    .args_size = sizeof(remove_args),
    .group = &kv_net_group,
    .group_off = offsetof(remove_args, net),
    .check = check,
    .kits = true,
    .run = run,
};

#include <stdlib.h>
#include <string.h>

#include "cli/local.h"
#include "cli/names.h"
#include "cli/net.h"
#include "cli/output.h"

typedef struct diff_args {
    kv_net_args net;
} diff_args;

/* Where a reference is looked for. */
typedef enum place { ANYWHERE, LOCAL_ONLY, REMOTE_ONLY } place;

typedef struct side { /* one of the two ModelKits */
    const char *text; /* as it was typed, without local:// or remote:// */
    place place;
    kv_reference reference;
    kv_manifest *manifest;
} side;

static void clear_side(side *s)
{
    kv_manifest_free(s->manifest);
    kv_reference_clear(&s->reference);
}

/* --- finding both --- */

static kv_code parse_side(const char *operand, side *out, kv_error *err)
{
    static const struct {
        const char *prefix;
        place place;
    } PREFIXES[] = {{"local://", LOCAL_ONLY}, {"remote://", REMOTE_ONLY}};
    out->text = operand;
    for (size_t i = 0; i < KV_COUNT(PREFIXES); i++) {
        size_t n = strlen(PREFIXES[i].prefix);
        if (strncmp(operand, PREFIXES[i].prefix, n) != 0) continue;
        out->text = operand + n;
        out->place = PREFIXES[i].place;
    }
    KV_TRY(kv_cli_reference_exact(out->text, &out->reference, err));
    KV_TRY(kv_cli_reference_single(&out->reference, err));
    if (out->place == REMOTE_ONLY) return kv_cli_reference_needs_registry(&out->reference, err);
    return KV_OK;
}

static kv_code find_side(side *s, const kv_kit_source *local, const kv_kit_source *remote,
                         const char *name, kv_error *err)
{
    kv_code code = KV_E_NOTFOUND;
    if (s->place != REMOTE_ONLY)
        code = local->manifest(local->ctx, &s->reference, &s->manifest, err);
    bool go_on = code == KV_E_NOTFOUND && s->place != LOCAL_ONLY;
    if (go_on && kv_reference_is_remote(&s->reference))
        code = remote->manifest(remote->ctx, &s->reference, &s->manifest, err);
    if (code == KV_OK) return KV_OK;
    if (code == KV_E_NOTFOUND) {
        kv_auto_str last = kv_reference_last(&s->reference);
        kv_fail(err, code, "reference %s not found in repository", last ? last : s->text);
    }
    return kv_wrap(err, code, "failed to get manifest for %s", name);
}

/* --- comparing --- */

static void rule(const kv_cli *cli)
{
    kv_cli_say(cli, "---------------------------------------");
}

static kv_sv cut_digest(const kv_digest_text *d)
{
    enum { SHOWN = 17 }; /* "sha256:" and ten digits */
    return kv_sv_sub(kv_sv_of(d->s), 0, SHOWN);
}

static void say_configs(const kv_cli *cli, const kv_manifest *a, const kv_manifest *b)
{
    kv_digest_text da = kv_digest_str(&a->config.digest), db = kv_digest_str(&b->config.digest);
    kv_cli_say(cli, "Configurations:");
    rule(cli);
    if (kv_digest_eq(&a->config.digest, &b->config.digest)) {
        kv_cli_say(cli, "  Configs are identical (Digest: %.*s)", KV_ARG(cut_digest(&da)));
    } else {
        kv_cli_say(cli, "  Configs differ:");
        kv_cli_say(cli, "  ModelKit1 Config Digest: %.*s", KV_ARG(cut_digest(&da)));
        kv_cli_say(cli, "  ModelKit2 Config Digest: %.*s", KV_ARG(cut_digest(&db)));
    }
    kv_cli_say(cli, "%s", "");
}

static bool same_annotations(const kv_annotations *a, const kv_annotations *b)
{
    if (a->n != b->n) return false;
    for (size_t i = 0; i < a->n; i++) {
        bool found = false;
        for (size_t j = 0; j < b->n && !found; j++)
            found = kv_sv_eq(a->items[i].key, b->items[j].key) &&
                    kv_sv_eq(a->items[i].value, b->items[j].value);
        if (!found) return false;
    }
    return true;
}

static bool has_layer(const kv_manifest *m, size_t n, const kv_digest *d)
{
    for (size_t i = 0; i < n; i++)
        if (kv_digest_eq(&m->layers[i].digest, d)) return true;
    return false;
}

static int by_media_type(const void *x, const void *y)
{
    const kv_descriptor *const *a = x, *const *b = y;
    int c = kv_sv_cmp((*a)->media_type, (*b)->media_type);
    if (c) return c;
    return *a < *b ? -1 : *a > *b; /* in the manifest's order within a type: the sort is stable */
}

static void say_layer(const kv_cli *cli, const kv_descriptor *layer)
{
    char kind[16], size[KV_SIZE_TEXT_MAX];
    kv_digest_text digest = kv_digest_str(&layer->digest);
    snprintf(kind, sizeof(kind), "%s", kv_layer_kind_name(kv_layer_type_of(layer).kind));
    if (kind[0] >= 'a' && kind[0] <= 'z') kind[0] = (char)(kind[0] - ('a' - 'A'));
    kv_size_format(layer->size, size);
    kv_cli_say(cli, "%-7s | %-18.*s | %s", kind, KV_ARG(cut_digest(&digest)), size);
}

/* The layers of m that are (or are not) in other, each once. */
static kv_code say_layers(const kv_cli *cli, const char *title, const kv_manifest *m,
                          const kv_manifest *other, bool shared, kv_error *err)
{
    const kv_descriptor **list = calloc(m->n_layers ? m->n_layers : 1, sizeof(*list));
    if (!list) return kv_fail(err, KV_E_NOMEM, "out of memory");
    size_t n = 0;
    for (size_t i = 0; i < m->n_layers; i++) {
        const kv_digest *d = &m->layers[i].digest;
        if (has_layer(m, i, d)) continue;
        if (has_layer(other, other->n_layers, d) == shared) list[n++] = &m->layers[i];
    }
    qsort(list, n, sizeof(*list), by_media_type);
    kv_cli_say(cli, "%s", title);
    rule(cli);
    kv_cli_say(cli, "Type    | Digest             | Size");
    for (size_t i = 0; i < n; i++) say_layer(cli, list[i]);
    if (!n) kv_cli_say(cli, "<none>");
    kv_cli_say(cli, "%s", "");
    free(list);
    return KV_OK;
}

static kv_code say_unique(const kv_cli *cli, const char *name, const side *of, const side *other,
                          kv_error *err)
{
    kv_auto_buf title = KV_BUF(4096);
    kv_auto_str shown = kv_reference_display(&of->reference);
    kv_buf_addf(&title, "Unique Layers to %s (%s)", name, shown ? shown : of->text);
    KV_TRY(kv_buf_check(&title, err));
    return say_layers(cli, title.p, of->manifest, other->manifest, false, err);
}

static kv_code compare(const kv_cli *cli, const side *a, const side *b, kv_error *err)
{
    if (kv_digest_eq(&a->manifest->digest, &b->manifest->digest)) {
        kv_cli_say(cli, "ModelKits are identical");
        return KV_OK;
    }
    kv_auto_str name_a = kv_reference_display(&a->reference);
    kv_auto_str name_b = kv_reference_display(&b->reference);
    kv_cli_say(cli, "Comparing:");
    kv_cli_say(cli, "  ModelKit1: %s", name_a ? name_a : a->text);
    kv_cli_say(cli, "  ModelKit2: %s", name_b ? name_b : b->text);
    kv_cli_say(cli, "%s", "");
    say_configs(cli, a->manifest, b->manifest);
    kv_cli_say(cli, "Annotations:");
    rule(cli);
    kv_cli_say(cli, same_annotations(&a->manifest->annotations, &b->manifest->annotations)
                        ? "  Annotations are identical "
                        : "  Annotations does not match");
    kv_cli_say(cli, "%s", "");
    KV_TRY(say_layers(cli, "Shared Layers", a->manifest, b->manifest, true, err));
    KV_TRY(say_unique(cli, "ModelKit1", a, b, err));
    return say_unique(cli, "ModelKit2", b, a, err);
}

static kv_code find_and_compare(const kv_cli *cli, const kv_net_args *net_args, side *a, side *b,
                                kv_error *err)
{
    kv_auto(kv_store) store = NULL;
    kv_auto_net net = {0};
    KV_TRY(kv_cli_store(cli, &store, err));
    KV_TRY(kv_net_open(cli, net_args, &net, err));
    kv_kit_source local = kv_store_source(store), remote = kv_net_source(&net);
    KV_TRY(find_side(a, &local, &remote, "ModelKit1", err));
    KV_TRY(find_side(b, &local, &remote, "ModelKit2", err));
    return compare(cli, a, b, err);
}

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    const diff_args *diff = args;
    side a = {0}, b = {0};
    kv_code code = parse_side(operand[0], &a, err);
    if (code == KV_OK) code = parse_side(operand[1], &b, err);
    if (code == KV_OK) code = find_and_compare(cli, &diff->net, &a, &b, err);
    clear_side(&a);
    clear_side(&b);
    return code;
}

const kv_cmd kv_cmd_diff = {
    .name = "diff",
    .operands = "MODELKIT1 MODELKIT2",
    .summary = "compare two ModelKits by their configuration, annotations and layers",
    .about = "Each ModelKit is looked for in the local store, then in its registry; in front of a\n"
             "name local:// or remote:// says where. The exit status is 0 whether they differ or\n"
             "not.",
    .examples = "$ diff demo:v1 demo:v2\n"
                "$ diff local://demo:v1 remote://hub.example.com/team/demo:v1\n",
    .args_size = sizeof(diff_args),
    .group = &kv_net_group,
    .group_off = offsetof(diff_args, net),
    .kits = true,
    .run = run,
};

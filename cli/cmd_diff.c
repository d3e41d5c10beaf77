#include <stdlib.h>
#include <string.h>

#include "cli/document.h"
#include "cli/local.h"
#include "cli/names.h"
#include "cli/net.h"
#include "cli/output.h"
#include "kitvault/diff.h"

typedef struct diff_args {
    kv_net_args net;
    const char *format;
    bool files, kitfile;
} diff_args;

static const kv_opt OPTS[] = {
    KV_OPT(diff_args, files, "files", 0, "compare the files, by their content"),
    KV_OPT(diff_args, kitfile, "kitfile", 0, "compare the Kitfiles field by field"),
    KV_OPT_FORMAT(diff_args),
};

/* Where a reference is looked for. */
typedef enum place { ANYWHERE, LOCAL_ONLY, REMOTE_ONLY } place;

typedef struct side { /* one of the two ModelKits */
    const char *text; /* as it was typed, without local:// or remote:// */
    place place;
    kv_reference reference;
    kv_manifest *manifest;
    kv_kit_source source; /* where it was found */
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
    s->source = *local;
    if (s->place != REMOTE_ONLY)
        code = local->manifest(local->ctx, &s->reference, &s->manifest, err);
    bool go_on = code == KV_E_NOTFOUND && s->place != LOCAL_ONLY;
    if (go_on && kv_reference_is_remote(&s->reference)) {
        s->source = *remote;
        code = remote->manifest(remote->ctx, &s->reference, &s->manifest, err);
    }
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

/* The layers of m that are (or are not) in other, each once, in the order they are shown; *out is
 * malloc'ed. */
static kv_code pick_layers(const kv_manifest *m, const kv_manifest *other, bool shared,
                           const kv_descriptor ***out, size_t *out_n, kv_error *err)
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
    *out = list;
    *out_n = n;
    return KV_OK;
}

static kv_code say_layers(const kv_cli *cli, const char *title, const kv_manifest *m,
                          const kv_manifest *other, bool shared, kv_error *err)
{
    const kv_descriptor **list;
    size_t n;
    KV_TRY(pick_layers(m, other, shared, &list, &n, err));
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

/* --- files --- */

static kv_diff_side diff_side(const side *s)
{
    return (kv_diff_side){.src = &s->source, .ref = &s->reference, .m = s->manifest};
}

static char sign_of(kv_change_kind kind)
{
    return kind == KV_CHANGE_ADDED ? '+' : kind == KV_CHANGE_REMOVED ? '-' : '~';
}

static kv_code put_file(void *ctx, const kv_file_change *c, kv_error *err)
{
    enum { LINE_BYTES_MAX = 1 << 20 };
    const kv_cli *cli = ctx;
    const kv_file_state *b = &c->before, *a = &c->after;
    kv_auto_buf line = KV_BUF(LINE_BYTES_MAX); /* two paths of 64 KiB, each byte escaped */
    kv_buf_addf(&line, "  %c %-8s  ", sign_of(c->kind), kv_change_kind_name(c->kind));
    kv_plain_add(&line, b->path.n ? b->path : a->path);
    if (c->kind == KV_CHANGE_RENAMED) {
        kv_buf_adds(&line, " -> ");
        kv_plain_add(&line, a->path);
    } else if (c->kind == KV_CHANGE_CHANGED) {
        if (b->size != a->size)
            kv_buf_addf(&line, "  %llu -> %llu bytes", (unsigned long long)b->size,
                        (unsigned long long)a->size);
        else if (!kv_digest_eq(&b->digest, &a->digest))
            kv_buf_adds(&line, "  other content");
        if (b->kind != a->kind)
            kv_buf_addf(&line, "  %s -> %s", kv_file_kind_name(b->kind),
                        kv_file_kind_name(a->kind));
    }
    if (c->kind != KV_CHANGE_ADDED && c->kind != KV_CHANGE_REMOVED && b->mode != a->mode)
        kv_buf_addf(&line, "  mode %04o -> %04o", b->mode, a->mode);
    kv_buf_addc(&line, '\n');
    KV_TRY(kv_buf_check(&line, err));
    kv_cli_put(cli, kv_buf_sv(&line));
    return KV_OK;
}

/* Bars would stand between the rows. */
static kv_report without_bars(const kv_cli *cli)
{
    kv_report quiet = *kv_cli_report(cli);
    quiet.progress = NULL;
    return quiet;
}

static kv_code print_files(kv_cli *cli, const side *a, const side *b, kv_error *err)
{
    kv_diff_side x = diff_side(a), y = diff_side(b);
    kv_report report = without_bars(cli);
    kv_diff_sum sum;
    kv_cli_put(cli, KV_SV("Files:\n"));
    KV_TRY(kv_diff_files(&x, &y, &report, put_file, cli, &sum, err));
    kv_auto_buf line = KV_BUF(512);
    kv_buf_addf(&line, "  %llu added, %llu removed, %llu changed, %llu renamed\n",
                (unsigned long long)sum.n_added, (unsigned long long)sum.n_removed,
                (unsigned long long)sum.n_changed, (unsigned long long)sum.n_renamed);
    kv_cli_put(cli, kv_buf_sv(&line));
    return KV_OK;
}

static void add_state(kv_jout *j, const char *key, const kv_file_state *s)
{
    char mode[8];
    if (!s->path.n) return;
    snprintf(mode, sizeof(mode), "%04o", s->mode & 07777);
    kv_jout_key(j, kv_sv_of(key));
    kv_jout_obj(j);
    kv_jout_kstr(j, "path", s->path);
    kv_jout_kstr(j, "type", kv_sv_of(kv_file_kind_name(s->kind)));
    kv_jout_kstr(j, "mode", kv_sv_of(mode));
    kv_jout_ku64(j, "size", s->size);
    if (s->digest.alg) kv_jout_kstr(j, "digest", kv_sv_of(kv_digest_str(&s->digest).s));
    kv_jout_end_obj(j);
}

static kv_code add_file(void *ctx, const kv_file_change *c, kv_error *err)
{
    kv_document *d = ctx;
    (void)err;
    kv_jout_obj(&d->out);
    kv_jout_kstr(&d->out, "change", kv_sv_of(kv_change_kind_name(c->kind)));
    add_state(&d->out, "before", &c->before);
    add_state(&d->out, "after", &c->after);
    kv_jout_end_obj(&d->out);
    kv_document_flow(d);
    return KV_OK;
}

static kv_code add_files(kv_document *d, const side *a, const side *b, kv_error *err)
{
    kv_diff_side x = diff_side(a), y = diff_side(b);
    kv_report report = without_bars(d->cli);
    kv_diff_sum sum;
    kv_jout_key(&d->out, KV_SV("files"));
    kv_jout_arr(&d->out);
    kv_code code = kv_diff_files(&x, &y, &report, add_file, d, &sum, err);
    kv_jout_end_arr(&d->out);
    return code;
}

/* --- Kitfiles --- */

static kv_code diff_kitfiles(const side *a, const side *b, kv_field_change_fn *fn, void *ctx,
                             kv_error *err)
{
    kv_auto_str x = NULL, y = NULL;
    size_t nx, ny;
    KV_TRY(kv_kit_kitfile_json(&a->source, &a->reference, a->manifest, &x, &nx, err));
    KV_TRY(kv_kit_kitfile_json(&b->source, &b->reference, b->manifest, &y, &ny, err));
    return kv_diff_kitfiles((kv_sv){x, nx}, (kv_sv){y, ny}, fn, ctx, err);
}

static kv_code put_field(void *ctx, const kv_field_change *c, kv_error *err)
{
    enum { LINE_BYTES_MAX = 32 << 20 };
    const kv_cli *cli = ctx;
    kv_auto_buf line = KV_BUF(LINE_BYTES_MAX);
    kv_buf_addf(&line, "  %c ", sign_of(c->kind));
    kv_plain_add(&line, c->field);
    kv_buf_adds(&line, ": ");
    kv_buf_add(&line, c->before); /* JSON has no control bytes */
    if (c->before.n && c->after.n) kv_buf_adds(&line, " -> ");
    kv_buf_add(&line, c->after);
    kv_buf_addc(&line, '\n');
    KV_TRY(kv_buf_check(&line, err));
    kv_cli_put(cli, kv_buf_sv(&line));
    return KV_OK;
}

static kv_code count_field(void *ctx, const kv_field_change *c, kv_error *err)
{
    size_t *n = ctx;
    (void)c;
    (void)err;
    ++*n;
    return KV_OK;
}

static kv_code print_kitfile(kv_cli *cli, const side *a, const side *b, kv_error *err)
{
    size_t n = 0;
    kv_cli_put(cli, KV_SV("Kitfile:\n"));
    KV_TRY(diff_kitfiles(a, b, count_field, &n, err));
    if (!n) kv_cli_put(cli, KV_SV("  identical\n"));
    return n ? diff_kitfiles(a, b, put_field, cli, err) : KV_OK;
}

static kv_code add_field(void *ctx, const kv_field_change *c, kv_error *err)
{
    kv_document *d = ctx;
    (void)err;
    kv_jout_obj(&d->out);
    kv_jout_kstr(&d->out, "change", kv_sv_of(kv_change_kind_name(c->kind)));
    kv_jout_kstr(&d->out, "field", c->field);
    if (c->before.n) {
        kv_jout_key(&d->out, KV_SV("before"));
        kv_jout_raw(&d->out, c->before);
    }
    if (c->after.n) {
        kv_jout_key(&d->out, KV_SV("after"));
        kv_jout_raw(&d->out, c->after);
    }
    kv_jout_end_obj(&d->out);
    kv_document_flow(d);
    return KV_OK;
}

static kv_code add_kitfile(kv_document *d, const side *a, const side *b, kv_error *err)
{
    kv_jout_key(&d->out, KV_SV("kitfile"));
    kv_jout_arr(&d->out);
    kv_code code = diff_kitfiles(a, b, add_field, d, err);
    kv_jout_end_arr(&d->out);
    return code;
}

/* --- json --- */

static void add_side(kv_jout *j, const char *key, const side *s)
{
    kv_auto_str shown = kv_reference_display(&s->reference);
    kv_jout_key(j, kv_sv_of(key));
    kv_jout_obj(j);
    kv_jout_kstr(j, "reference", kv_sv_of(shown));
    kv_jout_kstr(j, "digest", kv_sv_of(kv_digest_str(&s->manifest->digest).s));
    if (s->manifest->config.digest.alg)
        kv_jout_kstr(j, "config", kv_sv_of(kv_digest_str(&s->manifest->config.digest).s));
    kv_jout_end_obj(j);
}

static kv_code add_layers(kv_jout *j, const char *key, const kv_manifest *m,
                          const kv_manifest *other, bool shared, kv_error *err)
{
    const kv_descriptor **list;
    size_t n;
    KV_TRY(pick_layers(m, other, shared, &list, &n, err));
    kv_jout_key(j, kv_sv_of(key));
    kv_jout_arr(j);
    for (size_t i = 0; i < n; i++) {
        kv_jout_obj(j);
        kv_jout_kstr(j, "kind", kv_sv_of(kv_layer_kind_name(kv_layer_type_of(list[i]).kind)));
        kv_jout_kstr(j, "digest", kv_sv_of(kv_digest_str(&list[i]->digest).s));
        kv_jout_ku64(j, "size", list[i]->size);
        kv_jout_end_obj(j);
    }
    kv_jout_end_arr(j);
    free(list);
    return KV_OK;
}

static kv_code add_all(kv_document *d, const diff_args *args, const side *a, const side *b,
                       kv_error *err)
{
    const kv_manifest *x = a->manifest, *y = b->manifest;
    kv_jout *j = &d->out;
    add_side(j, "modelkit1", a);
    add_side(j, "modelkit2", b);
    kv_jout_kbool(j, "identical", kv_digest_eq(&x->digest, &y->digest));
    kv_jout_kbool(j, "sameConfig", kv_digest_eq(&x->config.digest, &y->config.digest));
    kv_jout_kbool(j, "sameAnnotations", same_annotations(&x->annotations, &y->annotations));
    kv_jout_key(j, KV_SV("layers"));
    kv_jout_obj(j);
    kv_code code = add_layers(j, "shared", x, y, true, err);
    if (code == KV_OK) code = add_layers(j, "only1", x, y, false, err);
    if (code == KV_OK) code = add_layers(j, "only2", y, x, false, err);
    kv_jout_end_obj(j);
    if (code == KV_OK && args->kitfile) code = add_kitfile(d, a, b, err);
    if (code == KV_OK && args->files) code = add_files(d, a, b, err);
    return code;
}

static kv_code print_json(kv_cli *cli, const diff_args *args, const side *a, const side *b,
                          kv_error *err)
{
    kv_document d;
    kv_document_begin(&d, cli);
    kv_code code = add_all(&d, args, a, b, err);
    return kv_document_end(&d, code, err);
}

static kv_code print(kv_cli *cli, const diff_args *args, const side *a, const side *b,
                     kv_error *err)
{
    if (kv_is_json(args->format)) return print_json(cli, args, a, b, err);
    if (!args->files && !args->kitfile) return compare(cli, a, b, err);
    if (args->kitfile) KV_TRY(print_kitfile(cli, a, b, err));
    return args->files ? print_files(cli, a, b, err) : KV_OK;
}

static kv_code find_and_print(kv_cli *cli, const diff_args *args, side *a, side *b, kv_error *err)
{
    kv_auto(kv_store) store = NULL;
    kv_auto_net net = {0};
    kv_auto_fd hold = -1;
    KV_TRY(kv_cli_store(cli, &store, err));
    KV_TRY(kv_net_open(cli, &args->net, &net, err));
    if (args->files) KV_TRY(kv_store_hold(store, &hold, err));
    kv_kit_source local = kv_store_source(store), remote = kv_net_source(&net);
    KV_TRY(find_side(a, &local, &remote, "ModelKit1", err));
    KV_TRY(find_side(b, &local, &remote, "ModelKit2", err));
    return print(cli, args, a, b, err);
}

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    side a = {0}, b = {0};
    kv_code code = parse_side(operand[0], &a, err);
    if (code == KV_OK) code = parse_side(operand[1], &b, err);
    if (code == KV_OK) code = find_and_print(cli, args, &a, &b, err);
    clear_side(&a);
    clear_side(&b);
    return code;
}

const kv_cmd kv_cmd_diff = {
    .name = "diff",
    .operands = "MODELKIT1 MODELKIT2",
    .summary = "compare two ModelKits by their configuration, annotations and layers",
    .about =
        "Each ModelKit is looked for in the local store, then in its registry; in front of a\n"
        "name local:// or remote:// says where. The exit status is 0 whether they differ or\n"
        "not.\n"
        "\n"
        "With --files their files are compared by content: added, removed, changed, renamed. Layers\n"
        "that both have are not read; the others are streamed, verified, and not kept. With\n"
        "--kitfile the fields of their Kitfiles are compared.",
    .examples = "$ diff demo:v1 demo:v2\n"
                "$ diff demo:v1 demo:v2 --files --kitfile\n"
                "$ diff local://demo:v1 remote://hub.example.com/team/demo:v1\n",
    .opts = OPTS,
    .n_opts = KV_COUNT(OPTS),
    .args_size = sizeof(diff_args),
    .group = &kv_net_group,
    .group_off = offsetof(diff_args, net),
    .kits = true,
    .run = run,
};

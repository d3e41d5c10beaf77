#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "cli/document.h"
#include "cli/output.h"

/* Sizes of what lies directly in the cache directory; a directory has that of all below it, itself
 * included, as kit counts. */
typedef struct cache_item {
    char *name;
    uint64_t bytes;
} cache_item;
typedef struct cache_sizes {
    size_t n_prefix; /* bytes of "HOME/cache/" */
    cache_item *items;
    size_t n, cap;
    uint64_t bytes;
    const kv_report *report;
} cache_sizes;

static void clear_sizes(cache_sizes *c)
{
    for (size_t i = 0; i < c->n; i++) free(c->items[i].name);
    free(c->items);
}

/* A directory comes before its content, so that a path further down belongs to the last item. */
static kv_code add_size(void *ctx, const char *path, const struct stat *st, kv_error *err)
{
    cache_sizes *c = ctx;
    uint64_t bytes = st->st_size > 0 ? (uint64_t)st->st_size : 0;
    KV_TRY(kv_check_cancel(c->report, err));
    const char *name = path + c->n_prefix;
    if (!strchr(name, '/')) {
        char *copy = kv_sv_dup(kv_sv_of(name));
        if (!copy || !KV_GROW(c->items, c->n, &c->cap)) {
            free(copy);
            return kv_fail(err, KV_E_NOMEM, "out of memory");
        }
        c->items[c->n++] = (cache_item){.name = copy};
    }
    c->items[c->n - 1].bytes += bytes;
    c->bytes += bytes;
    return KV_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const cache_item *)a)->name, ((const cache_item *)b)->name);
}

typedef struct info_args {
    const char *format;
} info_args;

static const kv_opt OPTS[] = {KV_OPT_FORMAT(info_args)};

static kv_code print_json(kv_cli *cli, const cache_sizes *c)
{
    kv_document d;
    kv_document_begin(&d, cli);
    kv_jout_ku64(&d.out, "bytes", c->bytes);
    kv_jout_key(&d.out, KV_SV("entries"));
    kv_jout_arr(&d.out);
    for (size_t i = 0; i < c->n; i++) {
        kv_jout_obj(&d.out);
        kv_jout_kstr(&d.out, "name", kv_sv_of(c->items[i].name));
        kv_jout_ku64(&d.out, "bytes", c->items[i].bytes);
        kv_jout_end_obj(&d.out);
        kv_document_flow(&d);
    }
    kv_jout_end_arr(&d.out);
    return kv_document_end(&d, KV_OK, NULL);
}

static kv_code print(const kv_cli *cli, const cache_sizes *c, kv_error *err)
{
    enum { TEXT_MAX = 64 << 20 };
    kv_auto_buf out = KV_BUF(TEXT_MAX);
    char size[KV_SIZE_TEXT_MAX];
    size_t width = 0;
    for (size_t i = 0; i < c->n; i++)
        if (strlen(c->items[i].name) > width) width = strlen(c->items[i].name);
    kv_size_format(c->bytes, size);
    kv_buf_addf(&out, "Total size of cache directory: %s\nCache contents:\n", size);
    for (size_t i = 0; i < c->n; i++) {
        kv_size_format(c->items[i].bytes, size);
        kv_buf_addf(&out, "  ./%-*s    %s\n", (int)width, c->items[i].name, size);
    }
    KV_TRY(kv_buf_check(&out, err));
    kv_cli_put(cli, kv_buf_sv(&out));
    return KV_OK;
}

static kv_code run(kv_cli *cli, const void *args, char **operand, kv_error *err)
{
    const info_args *a = args;
    (void)operand;
    KV_CLEANUP(clear_sizes) cache_sizes sizes = {.report = kv_cli_report(cli)};
    kv_auto_str path = kv_cli_home_path(cli, "cache");
    if (!path) return kv_fail(err, KV_E_NOMEM, "out of memory");
    sizes.n_prefix = strlen(path) + 1;
    kv_code code = kv_tree_each(path, add_size, &sizes, err);
    if (code != KV_OK && code != KV_E_NOTFOUND) return code;
    if (sizes.n) qsort(sizes.items, sizes.n, sizeof(*sizes.items), by_name);
    if (kv_is_json(a->format)) return print_json(cli, &sizes);
    if (!sizes.bytes) {
        kv_cli_say(cli, "Cache is currently empty");
        return KV_OK;
    }
    return print(cli, &sizes, err);
}

const kv_cmd kv_cmd_cache_info = {
    .name = "cache info",
    .summary = "tell how much room the cache takes",
    .about =
        "Sums up the files of the cache directory, cache/ in the home: notes on layers that were\n"
        "packed, uploads to go on with, and what commands that were stopped left there.",
    .examples = "$ cache info\n",
    .opts = OPTS,
    .n_opts = KV_COUNT(OPTS),
    .args_size = sizeof(info_args),
    .run = run,
};

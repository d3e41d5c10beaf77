/* The Kitfile as an object: memory, finding its file, its entries. */
#include "kitvault/kitfile.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"
#include "kitfile/schema.h"

kv_kitfile *kv_kitfile_new(void)
{
    kv_kitfile *kf = calloc(1, sizeof(*kf));
    if (!kf) return NULL;
    kf->arena = kv_arena_new(KF_ARENA_MAX);
    if (!kf->arena) {
        free(kf);
        return NULL;
    }
    return kf;
}

void kv_kitfile_free(kv_kitfile *kf)
{
    while (kf) {
        kv_kitfile *kept = kf->kept;
        kv_arena_free(kf->arena);
        free(kf);
        kf = kept;
    }
}

/* --- its file --- */

static const char *const NAMES[] = {"Kitfile", "kitfile", ".kitfile"};

bool kv_kitfile_is_name(kv_sv name)
{
    for (size_t i = 0; i < KV_COUNT(NAMES); i++)
        if (kv_sv_is(name, NAMES[i])) return true;
    return false;
}

kv_code kv_kitfile_find(const char *dir, char **out_path, kv_error *err)
{
    for (size_t i = 0; i < KV_COUNT(NAMES); i++) {
        kv_auto_str path = kv_path_join(dir, NAMES[i]);
        struct stat st;
        if (!path) return kv_fail(err, KV_E_NOMEM, "out of memory");
        /* As kit: whatever is wrong with a file that exists is said when it is opened. */
        if (stat(path, &st) < 0 && (errno == ENOENT || errno == ENOTDIR)) continue;
        *out_path = KV_TAKE(path);
        return KV_OK;
    }
    return kv_fail(err, KV_E_NOTFOUND,
                   "No Kitfile found in %s. Consider using the -f flag to specify its path", dir);
}

kv_code kv_kitfile_load(const char *path, kv_kitfile **out, kv_error *err)
{
    kv_auto_buf text = KV_BUF(KV_KITFILE_BYTES_MAX);
    KV_TRY(kv_file_read(path, &text, err));
    return kv_kitfile_parse_yaml(kv_buf_sv(&text), out, err);
}

/* --- its entries --- */

bool kv_kitfile_is_reference(kv_sv path)
{
    if (kv_sv_find(path, ':') == SIZE_MAX && kv_sv_find(path, '@') == SIZE_MAX) return false;
    kv_auto_reference ref = {0};
    return kv_reference_parse(path, &ref, NULL) == KV_OK;
}

kv_kitfile_iter kv_kitfile_begin(kv_kitfile *kf)
{
    return (kv_kitfile_iter){.kf = kf};
}

enum { N_SECTIONS = 7 };

/* The entries of the section with that number, in the order of layers. */
static kv_kitfile_entries section(kv_kitfile *kf, unsigned number, kv_layer_kind *out_kind)
{
    static const kv_layer_kind KINDS[N_SECTIONS] = {
        KV_LAYER_MODEL, KV_LAYER_PART,   KV_LAYER_CODE, KV_LAYER_DATASET,
        KV_LAYER_DOCS,  KV_LAYER_PROMPT, KV_LAYER_MCPB};
    *out_kind = KINDS[number];
    kv_kitfile_entries none = {0};
    switch (number) {
    case 0: return kf->model ? (kv_kitfile_entries){&kf->model->entry, 1} : none;
    case 1: return kf->model ? kf->model->parts : none;
    case 2: return kf->code;
    case 3: return kf->datasets;
    case 4: return kf->docs;
    case 5: return kf->prompts;
    default: return kf->mcp_servers;
    }
}

static bool has_layer(const kv_kitfile_iter *it)
{
    const kv_kitfile_entry *e = it->entry;
    if (it->kind == KV_LAYER_MODEL) return e->path.n && !kv_kitfile_is_reference(e->path);
    return it->kind != KV_LAYER_DATASET || e->remote_path.n == 0;
}

bool kv_kitfile_next(kv_kitfile_iter *it)
{
    for (; it->section < N_SECTIONS; it->section++, it->next = 0) {
        kv_kitfile_entries e = section(it->kf, it->section, &it->kind);
        if (it->next >= e.n) continue;
        it->index = it->next++;
        it->entry = &e.items[it->index];
        it->has_layer = has_layer(it);
        return true;
    }
    return false;
}

/* A Kitfile for a directory. Source: kit-compat 10. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "kitfile/ignore.h"
#include "kitfile/license.h"
#include "kitfile/schema.h"
#include "kitfile/skill.h"

#define LISTING_BYTES_MAX (32u << 20) /* names of one run; own */
#define CODE_MAX 5u                   /* more directories of code become one layer; kit's number */
#define UNKNOWN_MAX 5u                /* the same of files, with a depth; the newest kit's number */
#define LEVELS_MAX 100 /* a tree that is deeper is taken by directories from there; own */

/* --- what kind of file a name says --- */

typedef enum file_kind { PROMPT, MODEL, METADATA, DOCS, DATASET, UNKNOWN, N_KINDS } file_kind;

static bool ends_in_any(kv_sv name, const char *const *suffixes)
{
    for (; *suffixes; suffixes++)
        if (kv_sv_ends(name, kv_sv_of(*suffixes))) return true;
    return false;
}

static bool is_skill_name(kv_sv name)
{
    return kv_sv_eq_nocase(name, KV_SV("skill.md"));
}

static bool is_prompt(kv_sv name)
{
    return is_skill_name(name) || kv_sv_eq_nocase(name, KV_SV("agents.md")) ||
           kv_sv_eq_nocase(name, KV_SV("claude.md")) ||
           kv_sv_find_sub(name, KV_SV(".prompt")) != SIZE_MAX;
}

static file_kind kind_of(kv_sv name)
{
    static const char *const MODELS[] = {
        ".safetensors", ".pkl",  ".joblib",    ".pth",        ".pt",   ".mar",  ".pt2",
        ".ptl",         ".pb",   ".ckpt",      ".tflite",     ".npy",  ".npz",  ".tfrecords",
        ".keras",       ".h5",   ".pmml",      ".caffemodel", ".gguf", ".ggml", ".coreml",
        ".ggmf",        ".onnx", ".llamafile", NULL};
    static const char *const METADATAS[] = {".json", ".yaml", ".xml", ".txt", NULL};
    static const char *const DOCSES[] = {".md", ".adoc", ".html", ".pdf", NULL};
    static const char *const DATASETS[] = {".tar", ".zip", ".parquet", ".csv", NULL};
    if (is_prompt(name)) return PROMPT;
    if (ends_in_any(name, MODELS)) return MODEL;
    /* Other .bin files are as often no weights at all (training_args.bin). */
    if (kv_sv_ends(name, KV_SV(".bin")) && kv_sv_find_sub(name, KV_SV("pytorch_model")) != SIZE_MAX)
        return MODEL;
    if (ends_in_any(name, METADATAS)) return METADATA;
    if (ends_in_any(name, DOCSES)) return DOCS;
    if (ends_in_any(name, DATASETS)) return DATASET;
    return UNKNOWN;
}

/* --- listing --- */

typedef struct found {
    kv_sv name, path; /* path is relative to the directory */
    uint64_t size;    /* bytes */
} found;

typedef struct founds {
    found *items;
    size_t n, cap;
} founds;

typedef struct listing {
    founds files, dirs; /* sorted by name */
} listing;

typedef struct maker {
    const kv_generate_source *src;
    kv_arena *names; /* of the listings */
    kv_kitfile *kf;
    const kv_report *report;
    founds models, metadata, code;                       /* code: directories of no other kind */
    kv_kitfile_entries docs, datasets, sources, prompts; /* malloc'ed until they are done */
    size_t cap_docs, cap_datasets, cap_sources, cap_prompts;
    founds unknown; /* files of no kind, outside of directories that are one entry */
    int depth;      /* of the options */
    kv_sv license;  /* of the licence file */
    kf_skill skill; /* the first one */
    size_t n_skills;
    kv_error *err;
} maker;

static kv_code no_memory(const maker *m)
{
    return kv_fail(m->err, KV_E_LIMIT, "directory %s has too many files", m->src->name);
}

static kv_code add_found(const maker *m, founds *to, found f)
{
    if (!KV_GROW(to->items, to->n, &to->cap)) return no_memory(m);
    to->items[to->n++] = f;
    return KV_OK;
}

static int by_name(const void *a, const void *b)
{
    return kv_sv_cmp(((const found *)a)->name, ((const found *)b)->name);
}

static void clear_listing(listing *l)
{
    free(l->files.items);
    free(l->dirs.items);
}

/* What a source hands over while it lists a directory. */
typedef struct listed {
    const maker *m;
    kv_sv within;
    listing *out;
} listed;

static kv_code take_listed(void *to, kv_sv name, uint64_t size, bool is_dir, kv_error *err)
{
    const listed *l = to;
    kv_auto_buf path = KV_BUF(1u << 20);
    (void)err; /* is m's */
    if (l->within.n) kv_buf_addf(&path, "%.*s/", KV_ARG(l->within));
    kv_buf_add(&path, name);
    found f = {.size = size, .path = kv_arena_dup(l->m->names, kv_buf_sv(&path))};
    if (path.failed || !f.path.p) return no_memory(l->m);
    f.name = kv_sv_from(f.path, l->within.n ? l->within.n + 1 : 0);
    return add_found(l->m, is_dir ? &l->out->dirs : &l->out->files, f);
}

/* within: the directory, empty for the whole. */
static kv_code list_dir(const maker *m, kv_sv within, listing *out)
{
    listed to = {.m = m, .within = within, .out = out};
    KV_TRY(kv_check_cancel(m->report, m->err));
    KV_TRY(m->src->list(m->src->ctx, within, take_listed, &to, m->err));
    if (out->files.n) qsort(out->files.items, out->files.n, sizeof(found), by_name);
    if (out->dirs.n) qsort(out->dirs.items, out->dirs.n, sizeof(found), by_name);
    return KV_OK;
}

/* --- entries --- */

static kv_code add_entry(maker *m, kv_kitfile_entries *to, size_t *cap, kv_sv path,
                         kv_kitfile_entry e)
{
    e.path = kv_arena_dup(m->kf->arena, path);
    if (!e.path.p || !KV_GROW(to->items, to->n, cap)) return no_memory(m);
    to->items[to->n++] = e;
    return KV_OK;
}

#define ADD(m, list, path, ...)                                                                    \
    add_entry((m), &(m)->list, &(m)->cap_##list, (path), (kv_kitfile_entry){__VA_ARGS__})

static kv_code keep(const maker *m, const kv_kitfile_entries *from, kv_kitfile_entries *to)
{
    if (!from->n) return KV_OK;
    to->items = KV_NEW(m->kf->arena, kv_kitfile_entry, from->n);
    if (!to->items) return no_memory(m);
    memcpy(to->items, from->items, from->n * sizeof(*to->items));
    to->n = from->n;
    return KV_OK;
}

/* A small file's text, which lies in *out_held; one that cannot be read is as one without content. */
static kv_sv read_text(const maker *m, kv_sv path, size_t max, char **out_held)
{
    size_t n = 0;
    kv_code rc = m->src->read(m->src->ctx, path, max, out_held, &n, NULL);
    return rc == KV_OK ? (kv_sv){*out_held, n} : (kv_sv){"", 0};
}

static kf_skill read_skill(maker *m, kv_sv path)
{
    kf_skill skill;
    kv_auto_str held = NULL;
    kv_sv text = read_text(m, path, KF_SKILL_BYTES_MAX, &held);
    kf_skill_of(text, m->kf->arena, &skill);
    if (m->n_skills++ == 0) m->skill = skill;
    return skill;
}

static const found *find_skill(const listing *l)
{
    for (size_t i = 0; i < l->files.n; i++)
        if (is_skill_name(l->files.items[i].name)) return &l->files.items[i];
    return NULL;
}

static kv_code add_skill(maker *m, const found *file, kv_sv path)
{
    kf_skill skill = read_skill(m, file->path);
    return ADD(m, prompts, path, .name = skill.name, .description = skill.description);
}

/* --- the rules --- */

static bool starts_nocase(kv_sv s, const char *prefix)
{
    kv_sv p = kv_sv_of(prefix);
    return kv_sv_eq_nocase(kv_sv_sub(s, 0, p.n), p);
}

static kv_code take_license(maker *m, const found *f)
{
    kv_auto_str held = NULL;
    kv_sv text = read_text(m, f->path, KF_LICENSE_BYTES_MAX, &held);
    m->license = kf_license_of(text);
    if (!m->license.n) kv_say(m->report, KV_WARN, "Unable to determine license type");
    return ADD(m, docs, f->path, .description = KV_SV("License file"));
}

static kv_code take_file(maker *m, const found *f)
{
    /* kit packs none of these: they need no layer. */
    if (kv_kitfile_is_name(f->name) || kv_sv_is(f->name, KV_IGNORE_NAME)) return KV_OK;
    if (starts_nocase(f->name, "readme"))
        return ADD(m, docs, f->path, .description = KV_SV("Readme file"));
    if (starts_nocase(f->name, "license")) return take_license(m, f);
    switch (kind_of(f->name)) {
    case PROMPT: return ADD(m, prompts, f->path, .name = {0});
    case MODEL: return add_found(m, &m->models, *f);
    case METADATA: return add_found(m, &m->metadata, *f);
    case DOCS: return ADD(m, docs, f->path, .name = {0});
    case DATASET: return ADD(m, datasets, f->path, .name = {0});
    case UNKNOWN:
    case N_KINDS: break;
    }
    return add_found(m, &m->unknown, *f);
}

static kv_code take_all(maker *m, const founds *files, file_kind kind)
{
    for (size_t i = 0; i < files->n; i++)
        if (kind_of(files->items[i].name) == kind)
            KV_TRY(add_found(m, &m->models, files->items[i]));
    return KV_OK;
}

/* The one kind of what is in a directory, metadata aside; UNKNOWN when there are several. */
static file_kind vote(const listing *l)
{
    bool has[N_KINDS] = {0};
    has[UNKNOWN] = l->dirs.n > 0;
    for (size_t i = 0; i < l->files.n; i++) has[kind_of(l->files.items[i].name)] = true;
    has[METADATA] = false;
    file_kind kind = UNKNOWN;
    for (unsigned k = 0; k < N_KINDS; k++) {
        if (!has[k]) continue;
        if (kind != UNKNOWN) return UNKNOWN;
        kind = (file_kind)k;
    }
    return kind;
}

static kv_code take_listed_dir(maker *m, const found *dir, const listing *l)
{
    const found *skill = find_skill(l);
    if (skill) return add_skill(m, skill, dir->path);
    if (kv_sv_is(dir->name, "docs")) return ADD(m, docs, dir->path, .name = {0});
    file_kind kind = vote(l);
    KV_TRY(take_all(m, &l->files, MODEL));
    switch (kind) {
    case MODEL: return take_all(m, &l->files, METADATA);
    case DATASET: return ADD(m, datasets, dir->path, .name = {0});
    case DOCS: return ADD(m, docs, dir->path, .name = {0});
    case PROMPT: return ADD(m, prompts, dir->path, .name = {0});
    case METADATA:
    case UNKNOWN:
    case N_KINDS: break;
    }
    return add_found(m, &m->code, *dir);
}

static bool is_source_dir(kv_sv name)
{
    return kv_sv_is(name, "src") || kv_sv_is(name, "pkg") || kv_sv_is(name, "lib") ||
           kv_sv_is(name, "build");
}

static kv_code take_dir(maker *m, const found *dir)
{
    KV_CLEANUP(clear_listing) listing l = {0};
    KV_TRY(list_dir(m, dir->path, &l));
    if (!find_skill(&l) && is_source_dir(dir->name)) return ADD(m, sources, dir->path, .name = {0});
    return take_listed_dir(m, dir, &l);
}

/* One level file by file, and `depth` more below it (negative: all). */
static kv_code take_level(maker *m, const listing *l, int depth, int level)
{
    for (size_t i = 0; i < l->files.n; i++) KV_TRY(take_file(m, &l->files.items[i]));
    for (size_t i = 0; i < l->dirs.n; i++) {
        const found *dir = &l->dirs.items[i];
        if (depth == 0 || level == LEVELS_MAX) {
            KV_TRY(take_dir(m, dir));
            continue;
        }
        KV_CLEANUP(clear_listing) listing below = {0};
        KV_TRY(list_dir(m, dir->path, &below));
        const found *skill = find_skill(&below);
        if (skill)
            KV_TRY(add_skill(m, skill, dir->path));
        else
            KV_TRY(take_level(m, &below, depth - (depth > 0), level + 1));
    }
    return KV_OK;
}

/* --- model, code, license, package --- */

static kv_sv without_extension(const found *f)
{
    size_t dot = kv_sv_rfind(f->name, '.');
    return dot == SIZE_MAX ? f->path : kv_sv_sub(f->path, 0, f->path.n - (f->name.n - dot));
}

/* The file that is the model; *out_named: it is by far the largest, or the only one. */
static size_t main_model(const founds *models, bool *out_named)
{
    size_t largest = 0;
    uint64_t sum = 0;
    for (size_t i = 0; i < models->n; i++) {
        if (models->items[i].size > models->items[largest].size) largest = i;
        if (kv_ckd_add(&sum, sum, models->items[i].size)) sum = UINT64_MAX;
    }
    uint64_t average = models->n ? sum / models->n : 0;
    *out_named = models->n == 1 || models->items[largest].size > average + average / 2;
    return *out_named ? largest : 0;
}

static kv_code add_part(maker *m, const found *f)
{
    kv_kitfile_entry *part = &m->kf->model->parts.items[m->kf->model->parts.n++];
    part->path = kv_arena_dup(m->kf->arena, f->path);
    return part->path.p ? KV_OK : no_memory(m);
}

static kv_code make_model(maker *m)
{
    bool named;
    size_t first = main_model(&m->models, &named);
    kv_kitfile_model *model = m->kf->model = KV_NEW(m->kf->arena, kv_kitfile_model, 1);
    if (!model) return no_memory(m);
    const found *f = &m->models.items[first];
    model->entry.path = kv_arena_dup(m->kf->arena, f->path);
    if (named) model->entry.name = kv_arena_dup(m->kf->arena, without_extension(f));
    model->parts.items = KV_NEW(m->kf->arena, kv_kitfile_entry, m->models.n + m->metadata.n);
    if (!model->entry.path.p || (named && !model->entry.name.p) || !model->parts.items)
        return no_memory(m);
    for (size_t i = 0; i < m->models.n; i++)
        if (i != first) KV_TRY(add_part(m, &m->models.items[i]));
    for (size_t i = 0; i < m->metadata.n; i++) KV_TRY(add_part(m, &m->metadata.items[i]));
    return KV_OK;
}

/* Whether one entry takes everything that has none. */
static bool needs_catch_all(const maker *m)
{
    return m->code.n > CODE_MAX || m->unknown.n > (m->depth ? UNKNOWN_MAX : 0);
}

static kv_code make_code(maker *m)
{
    if (needs_catch_all(m)) {
        m->sources.n = 0; /* "." holds them */
        return ADD(m, sources, KV_SV("."), .name = {0});
    }
    for (size_t i = 0; i < m->code.n; i++)
        KV_TRY(ADD(m, sources, m->code.items[i].path, .name = {0}));
    for (size_t i = 0; i < m->unknown.n; i++)
        KV_TRY(ADD(m, sources, m->unknown.items[i].path, .name = {0}));
    return KV_OK;
}

static void place_license(maker *m)
{
    kv_kitfile *kf = m->kf;
    if (!m->license.n) return;
    if (kf->model)
        kf->model->entry.license = m->license;
    else if (kf->datasets.n == 1)
        kf->datasets.items[0].license = m->license;
    else if (kf->code.n == 1)
        kf->code.items[0].license = m->license;
    else
        kf->package.license = m->license;
}

static void fill(kv_sv *field, kv_sv text)
{
    if (!field->n) *field = text;
}

static void describe_by_skill(maker *m)
{
    const kv_kitfile *kf = m->kf;
    bool only_prompts = kf->prompts.n && !kf->model && !kf->code.n && !kf->datasets.n &&
                        !kf->docs.n;
    if (!m->n_skills) return;
    if (only_prompts && m->n_skills == 1) {
        fill(&m->kf->package.name, m->skill.name);
        fill(&m->kf->package.description, m->skill.description);
    }
    fill(&m->kf->package.license, m->skill.license);
}

static kv_code make_sections(maker *m)
{
    if (m->models.n) {
        KV_TRY(make_model(m));
    } else {
        for (size_t i = 0; i < m->metadata.n; i++)
            KV_TRY(ADD(m, datasets, m->metadata.items[i].path, .name = {0}));
    }
    KV_TRY(make_code(m));
    KV_TRY(keep(m, &m->sources, &m->kf->code));
    KV_TRY(keep(m, &m->datasets, &m->kf->datasets));
    KV_TRY(keep(m, &m->docs, &m->kf->docs));
    KV_TRY(keep(m, &m->prompts, &m->kf->prompts));
    place_license(m);
    describe_by_skill(m);
    return KV_OK;
}

static kv_code make(maker *m)
{
    KV_CLEANUP(clear_listing) listing root = {0};
    KV_TRY(list_dir(m, KV_SV(""), &root));
    const found *skill = find_skill(&root);
    if (skill) { /* the whole directory is one skill */
        KV_TRY(add_skill(m, skill, KV_SV(".")));
        KV_TRY(keep(m, &m->prompts, &m->kf->prompts));
        describe_by_skill(m);
        return KV_OK;
    }
    KV_TRY(take_level(m, &root, m->depth, 0));
    return make_sections(m);
}

static kv_code describe(maker *m, const kv_generate_options *opts)
{
    kv_kitfile *kf = m->kf;
    kf->manifest_version = KV_SV("1.0.0");
    if (!opts) return KV_OK;
    kf->package.name = kv_arena_dup(kf->arena, opts->name);
    kf->package.description = kv_arena_dup(kf->arena, opts->description);
    if (!kf->package.name.p || !kf->package.description.p) return no_memory(m);
    if (!opts->author.n) return KV_OK;
    kf->package.authors.items = KV_NEW(kf->arena, kv_sv, 1);
    if (!kf->package.authors.items) return no_memory(m);
    kf->package.authors.items[0] = kv_arena_dup(kf->arena, opts->author);
    kf->package.authors.n = 1;
    return kf->package.authors.items[0].p ? KV_OK : no_memory(m);
}

static void clear_maker(maker *m)
{
    kv_arena_free(m->names);
    free(m->models.items);
    free(m->metadata.items);
    free(m->code.items);
    free(m->unknown.items);
    free(m->docs.items);
    free(m->datasets.items);
    free(m->sources.items);
    free(m->prompts.items);
}

kv_code kv_kitfile_generate_from(const kv_generate_source *src, const kv_generate_options *opts,
                                 kv_kitfile **out, kv_error *err)
{
    kv_auto(kv_kitfile) kf = kv_kitfile_new();
    KV_CLEANUP(clear_maker)
    maker m = {.src = src,
               .names = kv_arena_new(LISTING_BYTES_MAX),
               .kf = kf,
               .report = opts ? opts->report : NULL,
               .depth = opts ? opts->depth : 0,
               .err = err};
    if (!kf || !m.names) return kv_fail(err, KV_E_NOMEM, "out of memory");
    KV_TRY(describe(&m, opts));
    KV_TRY(make(&m));
    *out = KV_TAKE(kf);
    return KV_OK;
}

/* --- a directory of this machine as source --- */

static void close_dir(DIR **d)
{
    if (*d) closedir(*d);
}

/* "failed to read directory D: open D: no such file or directory", as Go words it. */
static kv_code dir_error(const char *path, const char *verb, kv_error *err)
{
    kv_error sys;
    kv_code code = kv_fail_sys(&sys, "%s", verb);
    kv_auto_buf why = KV_BUF(256);
    kv_buf_adds(&why, strerror(sys.sys));
    if (why.n && why.p[0] >= 'A' && why.p[0] <= 'Z') why.p[0] = (char)(why.p[0] | 0x20);
    code = kv_fail(err, code, "failed to read directory %s: %s %s: %s", path, verb, path,
                   why.p ? why.p : "");
    if (err) err->sys = sys.sys;
    return code;
}

static kv_code list_entry(int dir_fd, const char *name, kv_generate_add_fn *add, void *to,
                          kv_error *err)
{
    struct stat st;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        if (errno == ENOENT) return KV_OK; /* gone since it was listed */
        return kv_fail_sys(err, "failed to stat file %s", name);
    }
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) return KV_OK;
    return add(to, kv_sv_of(name), (uint64_t)st.st_size, S_ISDIR(st.st_mode), err);
}

/* dir and a path below it; malloc'ed, NULL when memory is gone. */
static char *full_path(const char *dir, kv_sv within)
{
    kv_auto_str rel = kv_sv_dup(within);
    if (!rel) return NULL;
    return within.n ? kv_path_join(dir, rel) : kv_sv_dup(kv_sv_of(dir));
}

static kv_code local_list(void *ctx, kv_sv within, kv_generate_add_fn *add, void *to, kv_error *err)
{
    kv_auto_str path = full_path(ctx, within);
    if (!path) return kv_fail(err, KV_E_NOMEM, "out of memory");
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return dir_error(path, "open", err);
    KV_CLEANUP(close_dir) DIR *d = fdopendir(fd);
    if (!d) {
        kv_code rc = dir_error(path, "readdirent", err);
        kv_close_fd(&fd);
        return rc;
    }
    for (;;) {
        errno = 0;
        const struct dirent *e = readdir(d);
        if (!e && errno) return dir_error(path, "readdirent", err);
        if (!e) return KV_OK;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        KV_TRY(list_entry(dirfd(d), e->d_name, add, to, err));
    }
}

static kv_code local_read(void *ctx, kv_sv path, size_t max, char **out, size_t *out_n,
                          kv_error *err)
{
    kv_auto_str full = full_path(ctx, path);
    kv_auto_buf text = KV_BUF(max);
    if (!full) return kv_fail(err, KV_E_NOMEM, "out of memory");
    KV_TRY(kv_file_read(full, &text, err));
    *out_n = text.n;
    *out = kv_buf_take(&text);
    return *out ? KV_OK : kv_fail(err, KV_E_NOMEM, "out of memory");
}

kv_code kv_kitfile_generate(const char *dir, const kv_generate_options *opts, kv_kitfile **out,
                            kv_error *err)
{
    kv_auto_buf clean = KV_BUF(1u << 20);
    kv_path_clean(kv_sv_of(dir), &clean);
    KV_TRY(kv_buf_check(&clean, err));
    const kv_generate_source src = {
        .list = local_list, .read = local_read, .name = clean.p, .ctx = clean.p};
    return kv_kitfile_generate_from(&src, opts, out, err);
}

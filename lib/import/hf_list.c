/* What a repository has at a commit: the revision, then the pages of its tree. */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "codec/text.h"
#include "import/hf_fetch.h"
#include "json/json.h"

enum {
    URL_MAX = 16 * 1024,
    PAGE_MAX = 16 << 20,
    FILES_MAX = 1000000,
    PATH_BYTES_MAX = 4096,
    PAGES_MAX = 10000
};

typedef struct lfs_entry {
    kv_sv oid;
    uint64_t size;
} lfs_entry;
static const kv_jfield LFS_FIELDS[] = {
    KV_JFIELD(lfs_entry, oid, "oid", false),
    KV_JFIELD(lfs_entry, size, "size", false),
};
static const kv_jtable LFS = KV_JTABLE(lfs_entry, LFS_FIELDS);
typedef struct tree_entry {
    kv_sv type, oid, path;
    uint64_t size;
    lfs_entry lfs;
} tree_entry;
static const kv_jfield TREE_FIELDS[] = {
    KV_JFIELD(tree_entry, type, "type", true),       KV_JFIELD(tree_entry, oid, "oid", false),
    KV_JFIELD(tree_entry, path, "path", true),       KV_JFIELD(tree_entry, size, "size", false),
    KV_JOBJECT(tree_entry, lfs, "lfs", false, &LFS),
};
static const kv_jtable TREE = KV_JTABLE(tree_entry, TREE_FIELDS);

/* --- which files --- */

static bool matches(const kv_sv *globs, size_t n, const char *path)
{
    for (size_t i = 0; i < n; i++) {
        kv_auto_str glob = kv_sv_dup(globs[i]);
        if (glob && fnmatch(glob, path, 0) == 0) return true;
    }
    return false;
}

static kv_sv base_name(const char *path)
{
    kv_sv all = kv_sv_of(path);
    size_t slash = kv_sv_rfind(all, '/');
    return slash == SIZE_MAX ? all : kv_sv_from(all, slash + 1);
}

static bool has_word(kv_sv text, kv_sv word)
{
    for (size_t i = 0; i + word.n <= text.n; i++)
        if (kv_sv_eq_nocase(kv_sv_sub(text, i, i + word.n), word)) return true;
    return false;
}

static bool is_selected(const kv_hf_fetch_options *o, const char *path)
{
    kv_sv name = base_name(path);
    if (kv_sv_is(name, ".gitignore") || kv_sv_is(name, ".gitattributes")) return false;
    if (o->n_include && !matches(o->include, o->n_include, path)) return false;
    if (matches(o->exclude, o->n_exclude, path)) return false;
    bool gguf = kv_sv_ends(name, KV_SV(".gguf"));
    return !o->quant.n || !gguf || has_word(name, o->quant);
}

/* --- pages --- */

static bool is_hex(kv_sv s, size_t n)
{
    uint8_t bytes[32];
    return s.n == n && kv_hex_parse(s, bytes, n / 2);
}

/* A path that would leave the directory is no name of a file. */
static kv_code check_path(kv_sv path, kv_error *err)
{
    kv_auto_buf clean = KV_BUF(PATH_BYTES_MAX);
    if (path.n && path.n < PATH_BYTES_MAX && !memchr(path.p, '\0', path.n)) {
        kv_path_clean(path, &clean);
        if (kv_path_is_local(path) && kv_sv_eq(kv_buf_sv(&clean), path)) return KV_OK;
    }
    return kv_fail(err, KV_E_PROTOCOL, "the listing has a file '%.*s', which is no path",
                   KV_ARG(kv_sv_sub(path, 0, 256)));
}

static kv_code add_file(kv_hf_job *job, const tree_entry *e, kv_error *err)
{
    bool large = e->lfs.oid.n > 0;
    KV_TRY(check_path(e->path, err));
    if (large ? !is_hex(e->lfs.oid, 64) : !is_hex(e->oid, 40))
        return kv_fail(err, KV_E_PROTOCOL, "the listing has no hash of '%.*s'", KV_ARG(e->path));
    if (job->n == FILES_MAX) return kv_fail(err, KV_E_LIMIT, "more than %d files", FILES_MAX);
    kv_auto_str path = kv_sv_dup(e->path);
    if (!path || !KV_GROW(job->files, job->n, &job->cap))
        return kv_fail(err, KV_E_NOMEM, "out of memory");
    if (!is_selected(job->options, path)) return KV_OK;
    kv_hf_file f = {.size = large ? e->lfs.size : e->size};
    f.path = KV_TAKE(path);
    f.sha256 = large ? kv_sv_dup(e->lfs.oid) : NULL;
    f.git = large ? NULL : kv_sv_dup(e->oid);
    job->files[job->n++] = f;
    return f.sha256 || f.git ? KV_OK : kv_fail(err, KV_E_NOMEM, "out of memory");
}

kv_code kv_hf_add_page(kv_hf_job *job, kv_sv json, kv_error *err)
{
    kv_auto(kv_jdoc) doc = NULL;
    kv_code rc = kv_jdoc_parse(json, &doc, err);
    if (rc == KV_OK && kv_json_kind(kv_jdoc_root(doc)) != KV_JARR)
        rc = kv_fail(err, KV_E_PROTOCOL, "expected a list");
    kv_jiter it = kv_json_iter(doc ? kv_jdoc_root(doc) : NULL);
    for (const kv_json *v; rc == KV_OK && (v = kv_json_next(&it, NULL));) {
        tree_entry e;
        rc = kv_json_bind(v, &TREE, NULL, "", &e, err);
        if (rc == KV_OK && kv_sv_is(e.type, "file")) rc = add_file(job, &e, err);
    }
    if (rc == KV_OK || rc == KV_E_NOMEM || rc == KV_E_LIMIT) return rc;
    return kv_wrap(err, KV_E_PROTOCOL, "listing of %s", job->repo->name);
}

static const char *kind(const kv_hf_repo *r)
{
    return r->dataset ? "datasets" : "models";
}

/* A branch may move while files are fetched: all of them are those of one commit. */
static kv_code find_commit(kv_hf_job *job, kv_error *err)
{
    kv_auto_buf url = KV_BUF(URL_MAX);
    const kv_hf_repo *r = job->repo;
    kv_buf_addf(&url, "%s/api/%s/%s/%s/revision/", r->endpoint, kind(r), r->owner, r->name);
    kv_percent_add(&url, kv_sv_of(r->revision), "");
    KV_TRY(kv_buf_check(&url, err));
    kv_auto_http_response resp = {.body = KV_BUF(PAGE_MAX)};
    KV_TRY(kv_hf_get(job->repo, url.p, NULL, false, &resp, err));
    kv_auto(kv_jdoc) doc = NULL;
    kv_code rc = kv_jdoc_parse(kv_buf_sv(&resp.body), &doc, err);
    if (rc != KV_OK) return kv_wrap(err, KV_E_PROTOCOL, "revision of %s", r->name);
    kv_sv sha = kv_json_str(kv_json_get(kv_jdoc_root(doc), "sha"));
    if (!is_hex(sha, 40) && !is_hex(sha, 64))
        return kv_fail(err, KV_E_PROTOCOL, "%s has no commit for '%s'", job->repo->name,
                       r->revision);
    memcpy(job->commit, sha.p, sha.n);
    job->commit[sha.n] = '\0';
    return KV_OK;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const kv_hf_file *)a)->path, ((const kv_hf_file *)b)->path);
}

static kv_code check_files(kv_hf_job *job, kv_error *err)
{
    if (!job->n) return kv_fail(err, KV_E_NOTFOUND, "no file of %s is selected", job->repo->name);
    qsort(job->files, job->n, sizeof(*job->files), by_path);
    for (size_t i = 1; i < job->n; i++)
        if (strcmp(job->files[i - 1].path, job->files[i].path) == 0)
            return kv_fail(err, KV_E_PROTOCOL, "the listing has '%s' twice", job->files[i].path);
    bool wanted = false;
    for (size_t i = 0; i < job->n; i++)
        wanted |= kv_sv_ends(kv_sv_of(job->files[i].path), KV_SV(".gguf"));
    if (!job->options->quant.n || wanted) return KV_OK;
    return kv_fail(err, KV_E_NOTFOUND, "%s has no .gguf file with '%.*s' in its name",
                   job->repo->name, KV_ARG(job->options->quant));
}

kv_code kv_hf_list(kv_hf_job *job, kv_error *err)
{
    KV_TRY(find_commit(job, err));
    kv_auto_buf first = KV_BUF(URL_MAX);
    kv_buf_addf(&first, "%s/api/%s/%s/%s/tree/%s?recursive=true", job->repo->endpoint,
                kind(job->repo), job->repo->owner, job->repo->name, job->commit);
    KV_TRY(kv_buf_check(&first, err));
    kv_auto_str url = kv_buf_take(&first);
    for (unsigned pages = 0; url; pages++) {
        if (pages == PAGES_MAX)
            return kv_fail(err, KV_E_LIMIT, "the API lists more than %d pages", PAGES_MAX);
        kv_auto_http_response resp = {.body = KV_BUF(PAGE_MAX)};
        KV_TRY(kv_check_cancel(job->options->report, err));
        KV_TRY(kv_hf_get(job->repo, url, NULL, false, &resp, err));
        KV_TRY(kv_hf_add_page(job, kv_buf_sv(&resp.body), err));
        kv_auto_str next = NULL;
        KV_TRY(kv_hf_next_page(job->repo, &resp, &next, err));
        free(url);
        url = KV_TAKE(next);
    }
    return check_files(job, err);
}

#include "import/hf_fetch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/pool.h"

enum { CONCURRENCY_MAX = 16 };

void kv_hf_job_clear(kv_hf_job *job)
{
    for (size_t i = 0; i < job->n; i++) {
        free(job->files[i].path);
        free(job->files[i].sha256);
        free(job->files[i].git);
    }
    free(job->files);
    free(job->dir);
}
#define auto_job KV_CLEANUP(kv_hf_job_clear) kv_hf_job

static int by_path(const void *key, const void *file)
{
    return strcmp(key, ((const kv_hf_file *)file)->path);
}

/* A file of a former try that selected others. */
static kv_code drop_foreign(void *ctx, const char *path, const struct stat *st, kv_error *err)
{
    const kv_hf_job *job = ctx;
    const char *name = path + strlen(job->dir) + 1;
    if (!S_ISREG(st->st_mode) || bsearch(name, job->files, job->n, sizeof(*job->files), by_path))
        return KV_OK;
    return kv_remove_tree(path, err);
}

static kv_code download_one(void *ctx, size_t i, kv_error *err)
{
    const kv_hf_job *job = ctx;
    KV_TRY(kv_check_cancel(job->options->report, err));
    kv_code rc = kv_hf_download(job, &job->files[i], err);
    if (rc == KV_OK || rc == KV_E_CANCELLED) return rc;
    return kv_wrap(err, rc, "failed to download '%s'", job->files[i].path);
}

static kv_code download_all(kv_hf_job *job, kv_error *err)
{
    unsigned concurrency = job->options->concurrency;
    if (concurrency > CONCURRENCY_MAX) concurrency = CONCURRENCY_MAX;
    kv_auto(kv_pool) pool = concurrency > 1 ? kv_pool_new(concurrency) : NULL;
    return kv_pool_each(pool, job->n, concurrency, download_one, job, err);
}

kv_code kv_hf_fetch(kv_hf_repo *r, const char *dir, const kv_hf_fetch_options *options,
                    kv_hf_fetched *out, kv_error *err)
{
    static const kv_hf_fetch_options DEFAULTS = KV_HF_FETCH_OPTIONS_INIT;
    auto_job job = {.repo = r, .options = options ? options : &DEFAULTS};
    KV_TRY(kv_hf_list(&job, err));
    if (asprintf(&job.dir, "%s/%s", dir, job.commit) < 0) {
        job.dir = NULL;
        return kv_fail(err, KV_E_NOMEM, "out of memory");
    }
    KV_TRY(kv_mkdirs(job.dir, 0700, err));
    KV_TRY(kv_tree_each(job.dir, drop_foreign, &job, err));
    KV_TRY(download_all(&job, err));
    *out = (kv_hf_fetched){.n_files = job.n};
    memcpy(out->commit, job.commit, sizeof(out->commit));
    for (size_t i = 0; i < job.n; i++) out->n_bytes += job.files[i].size;
    return KV_OK;
}

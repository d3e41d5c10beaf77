#pragma once
/* The parts of a download of a repository: what there is, and how one file gets here. */
#include "import/hf.h"

typedef struct kv_hf_file {
    char *path;    /* relative, clean, below the repository */
    uint64_t size; /* bytes */
    char *sha256;  /* hex, of large files; else NULL */
    char *git;     /* hex SHA-1 that git has for the file */
} kv_hf_file;

typedef struct kv_hf_job { /* one download */
    const kv_hf_repo *repo;
    const kv_hf_fetch_options *options;
    char *dir; /* DIR/COMMIT */
    char commit[KV_HF_COMMIT_MAX];
    kv_hf_file *files; /* sorted by path */
    size_t n, cap;
} kv_hf_job;
void kv_hf_job_clear(kv_hf_job *job);

/** Finds the commit and its files, selected by the options. */
KV_MUST_CHECK kv_code kv_hf_list(kv_hf_job *job, kv_error *err);
/** Adds the files of one page of a listing. Pure but for job->files. */
KV_MUST_CHECK kv_code kv_hf_add_page(kv_hf_job *job, kv_sv json, kv_error *err);
KV_MUST_CHECK kv_code kv_hf_download(const kv_hf_job *job, const kv_hf_file *f, kv_error *err);

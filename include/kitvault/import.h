#pragma once
/* Models that live elsewhere than in registries: as trees of files, read over the network. */
#include "kitvault/kitfile.h"

#define KV_HF_ENDPOINT "https://huggingface.co"

typedef struct kv_hf_options { /* strings are borrowed for the call */
    size_t size;               /* KV_HF_OPTIONS_INIT */
    const char *endpoint;      /* URL of the hub; NULL: KV_HF_ENDPOINT */
    const char *revision;      /* branch, tag or commit; NULL: "main" */
    const char *token;         /* sent to the endpoint alone; NULL: anonymous */
    const kv_report *report;
} kv_hf_options;
#define KV_HF_OPTIONS_INIT                                                                         \
    {                                                                                              \
        .size = sizeof(kv_hf_options)                                                              \
    }

/** A repository of Hugging Face, or of a hub that speaks its API. One thread at a time. */
typedef struct kv_hf_repo kv_hf_repo;
/**
 * text: "OWNER/NAME", "datasets/OWNER/NAME", or the URL of either at the endpoint, at huggingface.co or
 * below it. Nothing is sent yet.
 * Errors: KV_E_ARG (no such name; an endpoint or token that cannot be used).
 * Source: kit-compat 11; huggingface.co/docs/hub/api.
 */
KV_API KV_MUST_CHECK kv_code kv_hf_open(kv_sv text, const kv_hf_options *opts, kv_hf_repo **out,
                                        kv_error *err);
KV_API void kv_hf_close(kv_hf_repo *r);
KV_DEFINE_AUTO(kv_hf_repo, kv_hf_close)
/** Borrowed. */
KV_API const char *kv_hf_owner(const kv_hf_repo *r);
KV_API const char *kv_hf_name(const kv_hf_repo *r);
KV_API bool kv_hf_is_dataset(const kv_hf_repo *r);
/**
 * Its files, a request for each directory that is listed (and page of it); .gitattributes and
 * .gitignore are left out. r must outlive it.
 * Errors: KV_E_NOTFOUND "reference 'R' not found", KV_E_AUTH, KV_E_DENIED, KV_E_PROTOCOL ("got
 * error code N from API: MESSAGE"; an answer that names files elsewhere), KV_E_LIMIT, those of the
 * connection.
 */
KV_API kv_generate_source kv_hf_source(kv_hf_repo *r);

/* --- its files --- */

typedef struct kv_hf_fetch_options {
    size_t size;          /* KV_HF_FETCH_OPTIONS_INIT */
    const kv_sv *include; /* globs over whole paths, where * also crosses '/'; none: every file */
    size_t n_include;
    const kv_sv *exclude;
    size_t n_exclude;
    kv_sv
        quant; /* of files *.gguf only those with this word in their name, in any case; empty: all */
    unsigned concurrency; /* files on their way at once; more than 16 are not used */
    const kv_report *report;
} kv_hf_fetch_options;
#define KV_HF_FETCH_OPTIONS_INIT                                                                   \
    {                                                                                              \
        .size = sizeof(kv_hf_fetch_options), .concurrency = 5                                      \
    }
#define KV_HF_COMMIT_MAX 72
typedef struct kv_hf_fetched {
    char commit[KV_HF_COMMIT_MAX]; /* that the revision named */
    uint64_t n_files, n_bytes;     /* in DIR/COMMIT */
} kv_hf_fetched;
/**
 * Downloads the files of a repository, as one commit has them, into DIR/COMMIT, which is made. A file has
 * its name only when size and hash are right: SHA-256 of large files (LFS), else git's. What broke off
 * goes on in the next call with that dir, where files that are there are not fetched again. Other files in
 * DIR/COMMIT are removed. One process at a time works in a dir. `.gitignore` and `.gitattributes` are left
 * out.
 * Errors: KV_E_NOTFOUND ("reference 'R' not found"; nothing selected), KV_E_DIGEST, KV_E_PROTOCOL
 * (paths that would leave dir among them), those of kv_hf_source.
 * Source: kit-compat.md 11; clients.md 1.3.
 */
KV_API KV_MUST_CHECK kv_code kv_hf_fetch(kv_hf_repo *r, const char *dir,
                                         const kv_hf_fetch_options *options, kv_hf_fetched *out,
                                         kv_error *err);

#pragma once
/* The answers of Hugging Face's API. */
#include "http/http.h"
#include "kitvault/import.h"

struct kv_hf_repo {
    kv_http *http;
    char *endpoint, *owner, *name, *revision;
    char *authorization; /* a whole header line; NULL: none */
    bool dataset;
};
/** Sends a GET, the token to the endpoint alone. What is neither 200 nor, with a range ("Range: ..."),
 * 206 is an error in kit's words. open: as kv_http_open. */
KV_MUST_CHECK kv_code kv_hf_get(const kv_hf_repo *r, const char *url, const char *range, bool open,
                                kv_http_response *resp, kv_error *err);
/** The URL of the next page of a listing at the endpoint, malloc'ed, or NULL at the end. */
KV_MUST_CHECK kv_code kv_hf_next_page(const kv_hf_repo *r, const kv_http_response *resp, char **out,
                                      kv_error *err);

/**
 * One page of a directory's listing: hands its files and directories to add. dir: as it was asked
 * for, "" the whole. Things of another type are passed over.
 * Errors: those of JSON, KV_E_PROTOCOL (a path that is not directly in dir), those of add.
 * Threads: pure. Source: huggingface_hub, hf_api.py, list_repo_tree.
 */
KV_MUST_CHECK kv_code kv_hf_tree_parse(kv_sv body, kv_sv dir, kv_generate_add_fn *add, void *to,
                                       kv_error *err);
/** Where a text says a repository is. Borrows from text. Errors: KV_E_ARG. */
typedef struct kv_hf_place {
    bool dataset;
    kv_sv owner, name;
} kv_hf_place;
KV_MUST_CHECK kv_code kv_hf_place_parse(kv_sv text, kv_sv endpoint_host, kv_hf_place *out,
                                        kv_error *err);

#pragma once
/* The answers of Hugging Face's API. */
#include "kitvault/import.h"

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

#include <stdlib.h>

#include "base/file.h"
#include "fuzz/fuzz.h"
#include "import/hf_fetch.h"

/* A page of a listing: what is taken from it stays below a directory, and has a hash. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char owner[] = "a", name[] = "b";
    kv_hf_repo repo = {.owner = owner, .name = name};
    kv_hf_fetch_options options = KV_HF_FETCH_OPTIONS_INIT;
    kv_hf_job job = {.repo = &repo, .options = &options};
    kv_code rc = kv_hf_add_page(&job, (kv_sv){(const char *)data, size}, NULL);
    (void)rc;
    for (size_t i = 0; i < job.n; i++) {
        if (!kv_path_is_local(kv_sv_of(job.files[i].path))) abort();
        if (!job.files[i].sha256 && !job.files[i].git) abort();
    }
    kv_hf_job_clear(&job);
    return 0;
}

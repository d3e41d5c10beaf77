/* One file: DIR.partial/PATH until size and hash are right, then DIR/PATH. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "codec/hasher.h"
#include "codec/sha1.h"
#include "codec/text.h"
#include "http/range.h"
#include "import/hf_fetch.h"

enum { STEP_BYTES = 256 * 1024, URL_MAX = 16 * 1024, BREAKS_MAX = 4 };

typedef struct download {
    const kv_hf_job *job;
    const kv_hf_file *file;
    kv_buf path, partial;
    int fd;
    uint64_t at;
    char *block;
} download;

static void download_clear(download *d)
{
    kv_buf_clear(&d->path);
    kv_buf_clear(&d->partial);
    kv_close_fd(&d->fd);
    free(d->block);
}
#define auto_download KV_CLEANUP(download_clear) download

/* --- hashes --- */

static kv_code hash_pieces(const download *d, kv_hasher *sha256, kv_sha1 *sha1, kv_error *err)
{
    for (uint64_t off = 0; off < d->file->size;) {
        uint64_t left = d->file->size - off;
        size_t n = left < STEP_BYTES ? (size_t)left : STEP_BYTES;
        KV_TRY(kv_check_cancel(d->job->options->report, err));
        KV_TRY(kv_pread_all(d->fd, d->partial.p, d->block, n, off, err));
        if (sha1)
            kv_sha1_add(sha1, d->block, n);
        else
            kv_hasher_add(sha256, d->block, n);
        off += n;
    }
    return KV_OK;
}

/* Of the whole file, as it was listed. Git's is over "blob SIZE", a NUL, and the content. */
static kv_code check_hash(const download *d, kv_error *err)
{
    kv_auto_buf got = KV_BUF(256);
    const char *want = d->file->sha256 ? d->file->sha256 : d->file->git;
    if (d->file->sha256) {
        kv_hasher h;
        kv_digest digest;
        kv_hasher_init(&h, KV_SHA256);
        KV_TRY(hash_pieces(d, &h, NULL, err));
        kv_hasher_end(&h, &digest);
        kv_hex_add(&got, digest.bytes, kv_digest_size(KV_SHA256));
    } else {
        uint8_t bytes[KV_SHA1_BYTES];
        char head[64];
        kv_auto(kv_sha1) h = kv_sha1_new();
        if (!h) return kv_fail(err, KV_E_NOMEM, "out of memory");
        int n = snprintf(head, sizeof(head), "blob %llu", (unsigned long long)d->file->size);
        kv_sha1_add(h, head, (size_t)n + 1);
        KV_TRY(hash_pieces(d, NULL, h, err));
        kv_sha1_end(h, bytes);
        kv_hex_add(&got, bytes, sizeof(bytes));
    }
    KV_TRY(kv_buf_check(&got, err));
    if (strcmp(got.p, want) == 0) return KV_OK;
    return kv_fail(err, KV_E_DIGEST, "'%s' has hash %s, not %s as it was listed", d->file->path,
                   got.p, want);
}

/* --- bytes --- */

static kv_code make_url(const download *d, kv_buf *out, kv_error *err)
{
    const kv_hf_repo *r = d->job->repo;
    kv_buf_addf(out, "%s/%s%s/%s/resolve/%s/", r->endpoint, r->dataset ? "datasets/" : "", r->owner,
                r->name, d->job->commit);
    kv_percent_add(out, kv_sv_of(d->file->path), "/");
    return kv_buf_check(out, err);
}

/* A server without ranges sends all of it again. */
static kv_code take_start(download *d, const kv_http_response *resp, kv_error *err)
{
    if (resp->status == 200) d->at = 0;
    if (resp->status == 206) {
        kv_content_range got;
        KV_TRY(kv_content_range_parse(kv_http_header(resp, "Content-Range"), &got, err));
        if (got.first != d->at)
            return kv_fail(err, KV_E_PROTOCOL, "the server answered with another range");
    }
    if (ftruncate(d->fd, (off_t)d->at) < 0)
        return kv_fail_sys(err, "cannot truncate '%s'", d->partial.p);
    return KV_OK;
}

static kv_code receive(download *d, kv_http_response *resp, uint64_t id, kv_error *err)
{
    kv_auto_buf what = KV_BUF(URL_MAX);
    kv_buf_addf(&what, "Downloading %s", d->file->path);
    for (;;) {
        size_t n;
        KV_TRY(kv_check_cancel(d->job->options->report, err));
        kv_progress(d->job->options->report, id, kv_buf_sv(&what), d->at, d->file->size);
        KV_TRY(kv_http_read(resp, d->block, STEP_BYTES, &n, err));
        if (n == 0) return KV_OK;
        if (n > d->file->size - d->at)
            return kv_fail(err, KV_E_DIGEST, "'%s' has more than %llu bytes", d->file->path,
                           (unsigned long long)d->file->size);
        KV_TRY(kv_pwrite_all(d->fd, d->partial.p, d->block, n, d->at, err));
        d->at += n;
    }
}

static kv_code request(download *d, uint64_t id, kv_error *err)
{
    kv_auto_buf url = KV_BUF(URL_MAX);
    char range[64];
    KV_TRY(make_url(d, &url, err));
    snprintf(range, sizeof(range), "Range: bytes=%llu-", (unsigned long long)d->at);
    kv_auto_http_response resp = {0};
    KV_TRY(kv_hf_get(d->job->repo, url.p, d->at ? range : NULL, true, &resp, err));
    KV_TRY(take_start(d, &resp, err));
    return receive(d, &resp, id, err);
}

static kv_code fetch(download *d, uint64_t id, kv_error *err)
{
    for (unsigned breaks = 0; d->at < d->file->size;) {
        uint64_t before = d->at;
        kv_error e = {0};
        kv_code rc = request(d, id, &e);
        bool broke = rc == KV_E_NETWORK || rc == KV_E_TIMEOUT || rc == KV_OK;
        if (d->at > before) breaks = 0;
        if (d->at == d->file->size || (broke && ++breaks <= BREAKS_MAX)) continue;
        if (rc == KV_OK) return kv_fail(err, KV_E_NETWORK, "'%s' ends early", d->file->path);
        if (err) *err = e;
        return rc;
    }
    return KV_OK;
}

/* --- names --- */

static kv_code make_parent(const kv_buf *path, kv_error *err)
{
    kv_auto_str parent = kv_sv_dup(kv_buf_sv(path));
    if (!parent) return kv_fail(err, KV_E_NOMEM, "out of memory");
    *strrchr(parent, '/') = '\0';
    return kv_mkdirs(parent, 0700, err);
}

static kv_code open_partial(download *d, kv_error *err)
{
    KV_TRY(make_parent(&d->path, err));
    KV_TRY(make_parent(&d->partial, err));
    d->fd = open(d->partial.p, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    struct stat st;
    if (d->fd < 0 || fstat(d->fd, &st) < 0)
        return kv_fail_sys(err, "cannot open '%s'", d->partial.p);
    d->at = (uint64_t)st.st_size <= d->file->size ? (uint64_t)st.st_size : 0;
    return KV_OK;
}

static kv_code run(download *d, uint64_t id, bool *out_continued, kv_error *err)
{
    *out_continued = d->at > 0;
    KV_TRY(fetch(d, id, err));
    if (ftruncate(d->fd, (off_t)d->at) < 0)
        return kv_fail_sys(err, "cannot truncate '%s'", d->partial.p);
    return check_hash(d, err);
}

kv_code kv_hf_download(const kv_hf_job *job, const kv_hf_file *f, kv_error *err)
{
    auto_download d = {.job = job, .file = f, .fd = -1, .block = malloc(STEP_BYTES)};
    d.path = d.partial = KV_BUF(URL_MAX);
    kv_buf_addf(&d.path, "%s/%s", job->dir, f->path);
    kv_buf_addf(&d.partial, "%s.partial/%s", job->dir, f->path);
    if (!d.block) return kv_fail(err, KV_E_NOMEM, "out of memory");
    KV_TRY(kv_buf_check(&d.path, err));
    KV_TRY(kv_buf_check(&d.partial, err));
    struct stat st;
    /* It got its name when it was verified, and this directory is of one commit. */
    if (stat(d.path.p, &st) == 0 && (uint64_t)st.st_size == f->size) return KV_OK;
    kv_say(job->options->report, KV_INFO, "Downloading file %s", f->path);
    KV_TRY(open_partial(&d, err));
    bool continued;
    uint64_t id = (uint64_t)(f - job->files);
    kv_code rc = run(&d, id, &continued, err);
    if (rc == KV_E_DIGEST) {
        d.at = 0;
        if (ftruncate(d.fd, 0) < 0) return kv_fail_sys(err, "cannot truncate '%s'", d.partial.p);
        /* The fault may lie in what a former try left here. */
        if (continued) rc = run(&d, id, &continued, err);
    }
    if (rc != KV_OK) return rc;
    if (rename(d.partial.p, d.path.p) < 0)
        return kv_fail_sys(err, "cannot rename '%s'", d.partial.p);
    return KV_OK;
}

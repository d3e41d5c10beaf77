#include "hub/service/repo_blob.h"

#include "base/crash.h"
#include "hub/db/q_blob.h"
#include "hub/db/q_upload.h"
#include "hub/service/rights.h"

kv_code kv_repo_blob_open(kv_registry *reg, kv_sv repository, const kv_digest *d,
                          kv_blob_reader **out, kv_error *err)
{
    *out = NULL;
    uint64_t size;
    {
        kv_auto(kv_tx) tx = NULL;
        KV_TRY(kv_tx_begin(reg->db, KV_TX_READ, &tx, err));
        KV_TRY(kv_q_blob_in(tx, repository, kv_digest_str(d).s, &size, err));
    }
    return kv_blobs_open(reg->blobs, d, out, err);
}

static kv_code link_in(kv_tx *tx, const char *repository_id, const kv_digest *d, uint64_t size,
                       const char *upload_id, kv_error *err)
{
    kv_digest_text digest = kv_digest_str(d);
    int64_t now = kv_now_us();
    KV_TRY(kv_q_blob_add(tx, digest.s, size, now, err));
    KV_TRY(kv_q_blob_link(tx, repository_id, digest.s, now, err));
    return upload_id ? kv_q_upload_delete(tx, upload_id, err) : KV_OK;
}

kv_code kv_repo_blob_link(kv_registry *reg, const kv_principal *who, kv_sv repository,
                          const kv_digest *d, uint64_t size, const char *upload_id, kv_error *err)
{
    kv_crash_point("hub.blob-before-link");
    /* Nearly always the repository is there, and a link alone takes no leaf. */
    kv_repository r;
    kv_auto(kv_tx) tx = NULL;
    KV_TRY(kv_tx_begin(reg->db, KV_TX_WORK, &tx, err));
    kv_error missing;
    kv_code rc = kv_repository_find(tx, repository, &r, &missing);
    if (rc == KV_E_NOTFOUND) {
        kv_tx_rollback(KV_TAKE(tx));
        KV_TRY(kv_tx_begin(reg->db, KV_TX_STATE, &tx, err));
        rc = kv_repository_ensure(reg, tx, who, repository, &r, &missing);
    }
    if (rc != KV_OK) return kv_fail(err, rc, "%s", missing.msg);
    KV_TRY(link_in(tx, r.id, d, size, upload_id, err));
    kv_crash_point("hub.blob-before-commit");
    KV_TRY(kv_tx_commit(KV_TAKE(tx), err));
    kv_crash_point("hub.blob-after-commit");
    return KV_OK;
}

/* --- mount --- */

enum { HOLDERS_TRIED = 1000 /* a blob that everybody has is found in the first few */ };

typedef struct source {
    const kv_principal *who;
    size_t tried;
    bool found;
} source;

static bool try_source(void *ctx, kv_sv name)
{
    source *s = ctx;
    s->found = kv_rights_check(s->who, KV_RIGHT_PULL, name, NULL) == KV_OK;
    return !s->found && ++s->tried < HOLDERS_TRIED;
}

/* Whether who may pull the blob from `from`, or from anywhere. Rights come first: of what may not
 * be read not even the time of a lookup tells. */
static kv_code find_source(kv_registry *reg, const kv_principal *who, const kv_digest *d,
                           kv_sv from, bool *out_found, uint64_t *out_size, kv_error *err)
{
    *out_found = false;
    if (from.n && kv_rights_check(who, KV_RIGHT_PULL, from, NULL) != KV_OK) return KV_OK;
    kv_digest_text digest = kv_digest_str(d);
    kv_auto(kv_tx) tx = NULL;
    KV_TRY(kv_tx_begin(reg->db, KV_TX_READ, &tx, err));
    if (from.n) {
        kv_error missing;
        kv_code rc = kv_q_blob_in(tx, from, digest.s, out_size, &missing);
        if (rc != KV_OK && rc != KV_E_NOTFOUND) return kv_fail(err, rc, "%s", missing.msg);
        *out_found = rc == KV_OK;
        return KV_OK;
    }
    source s = {.who = who};
    KV_TRY(kv_q_blob_holders(tx, digest.s, try_source, &s, err));
    *out_found = s.found;
    return KV_OK;
}

kv_code kv_repo_blob_mount(kv_registry *reg, const kv_principal *who, kv_sv repository,
                           const kv_digest *d, kv_sv from, bool *out_done, kv_error *err)
{
    *out_done = false;
    bool found;
    uint64_t size;
    KV_TRY(find_source(reg, who, d, from, &found, &size, err));
    if (!found) return KV_OK;
    /* The store is asked too: a link to bytes that are gone would keep them from being pushed. */
    kv_error missing;
    kv_code rc = kv_blobs_stat(reg->blobs, d, &size, &missing);
    if (rc == KV_E_NOTFOUND) return KV_OK;
    if (rc != KV_OK) return kv_fail(err, rc, "%s", missing.msg);
    KV_TRY(kv_repo_blob_link(reg, who, repository, d, size, NULL, err));
    kv_event ev = {.action = "blob.mounted",
                   .object = {.type = "blob",
                              .ns = kv_rights_namespace(repository),
                              .repo = repository,
                              .digest = kv_sv_of(kv_digest_str(d).s)}};
    kv_audit_count(reg->audit, who, &ev);
    *out_done = true;
    return KV_OK;
}

/* --- delete --- */

kv_code kv_repo_blob_drop(kv_registry *reg, const kv_principal *who, kv_sv repository,
                          const kv_digest *d, kv_error *err)
{
    kv_digest_text digest = kv_digest_str(d);
    kv_auto(kv_tx) tx = NULL;
    KV_TRY(kv_tx_begin(reg->db, KV_TX_STATE, &tx, err));
    kv_repository r;
    uint64_t size;
    bool in_use;
    KV_TRY(kv_repository_find(tx, repository, &r, err));
    KV_TRY(kv_q_blob_linked(tx, r.id, digest.s, &size, err));
    KV_TRY(kv_q_blob_in_use(tx, r.id, digest.s, &in_use, err));
    if (in_use)
        return kv_fail(err, KV_E_UNSUPPORTED, "blob %s belongs to a manifest of '%.*s'", digest.s,
                       KV_ARG(repository));
    kv_event ev = {.action = "blob.deleted",
                   .object = {.type = "blob",
                              .id = kv_sv_of(r.id),
                              .ns = r.ns,
                              .repo = r.name,
                              .digest = kv_sv_of(digest.s),
                              .repo_id = kv_sv_of(r.id)},
                   .size = size};
    KV_TRY(kv_audit_add(reg->audit, tx, who, &ev, NULL, err));
    KV_TRY(kv_q_blob_unlink(tx, r.id, digest.s, err));
    return kv_tx_commit(KV_TAKE(tx), err);
}

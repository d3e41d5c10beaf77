#include "hub/service/referrer.h"

#include <string.h>

#include "hub/db/q_referrer.h"
#include "json/json.h"

void kv_referrer_entry(const kv_manifest *m, const kv_digest *digest, kv_buf *out)
{
    /* The profile without Go's HTML escapes: an entry is never longer than its manifest. */
    kv_jout j = kv_jout_make(out, KV_JSON_JCS, 0);
    kv_jout_obj(&j);
    kv_jout_kstr(&j, "mediaType", m->media_type);
    kv_jout_kstr(&j, "digest", kv_sv_of(kv_digest_str(digest).s));
    kv_jout_ku64(&j, "size", m->bytes.n);
    if (m->annotations.n) {
        kv_jout_key(&j, KV_SV("annotations"));
        kv_jout_obj(&j);
        for (size_t i = 0; i < m->annotations.n; i++) {
            kv_jout_key(&j, m->annotations.items[i].key);
            kv_jout_str(&j, m->annotations.items[i].value);
        }
        kv_jout_end_obj(&j);
    }
    kv_sv type = kv_manifest_artifact_type(m);
    if (type.n) kv_jout_kstr(&j, "artifactType", type);
    kv_jout_end_obj(&j);
}

typedef struct page {
    kv_buf *out;
    size_t n, at_most;
    char *last;
    bool more;
} page;

static bool add_entry(void *ctx, kv_sv digest, kv_sv descriptor)
{
    page *p = ctx;
    if (p->n == p->at_most || (p->n && p->out->n + 1 + descriptor.n > KV_REFERRERS_PAGE_MAX)) {
        p->more = true;
        return false;
    }
    if (p->n++) kv_buf_addc(p->out, ',');
    kv_buf_add(p->out, descriptor);
    memcpy(p->last, digest.p, digest.n);
    p->last[digest.n] = '\0';
    return true;
}

kv_code kv_referrer_weight(kv_registry *reg, const kv_referrer_query *q, size_t *out, kv_error *err)
{
    uint64_t n;
    kv_auto(kv_tx) tx = NULL;
    KV_TRY(kv_tx_begin(reg->db, KV_TX_READ, &tx, err));
    KV_TRY(kv_q_referrer_bytes(tx, q->repository, kv_digest_str(&q->subject).s, q->artifact_type,
                               q->last, &n, err));
    *out = n > KV_MANIFEST_BYTES_MAX ? KV_MANIFEST_BYTES_MAX : (size_t)n;
    return KV_OK;
}

kv_code kv_referrer_list(kv_registry *reg, const kv_referrer_query *q, kv_buf *out,
                         char out_last[KV_DIGEST_TEXT_MAX], kv_error *err)
{
    out_last[0] = '\0';
    page p = {.out = out, .at_most = q->at_most, .last = out_last};
    kv_digest_text subject = kv_digest_str(&q->subject);
    {
        kv_auto(kv_tx) tx = NULL;
        KV_TRY(kv_tx_begin(reg->db, KV_TX_READ, &tx, err));
        KV_TRY(kv_q_referrer_each(tx, q->repository, subject.s, q->artifact_type, q->last,
                                  add_entry, &p, err));
    }
    if (!p.more) out_last[0] = '\0';
    return kv_buf_check(out, err);
}

#include <stdio.h>

#include "hub/handler/api.h"
#include "hub/handler/handlers.h"
#include "hub/service/history.h"
#include "kitvault/digest.h"
#include "kitvault/reference.h"

enum { ANSWER_MAX = 36 << 20 }; /* 500 leaves of the largest size, and some */

typedef struct writer {
    kv_jout *j;
    int64_t n, last_seq;
} writer;

static kv_code write_event(void *ctx, const kv_leaf_view *leaf, kv_error *err)
{
    writer *w = ctx;
    kv_jout_obj(w->j);
    kv_jout_key(w->j, KV_SV("leaf"));
    kv_jout_raw(w->j, leaf->leaf); /* as it was hashed */
    if (leaf->actor_name.n) kv_jout_kstr(w->j, "actor_name", leaf->actor_name);
    kv_jout_end_obj(w->j);
    w->n++;
    w->last_seq = leaf->seq;
    return kv_buf_check(w->j->buf, err);
}

typedef struct query {
    kv_sv repository; /* "": the whole log */
    kv_sv tag, digest;
    kv_event_page page;
} query;

static kv_code answer_events(kv_hub *hub, kv_request *req, const query *q, kv_error *err)
{
    kv_auto_buf body = KV_BUF(ANSWER_MAX);
    kv_jout j = kv_jout_make(&body, KV_JSON_GO, 0);
    writer w = {.j = &j};
    kv_jout_obj(&j);
    kv_jout_key(&j, KV_SV("items"));
    kv_jout_arr(&j);
    if (q->repository.n)
        KV_TRY(kv_events_of_repository(hub->db, q->repository, q->tag, q->digest, &q->page,
                                       write_event, &w, err));
    else
        KV_TRY(kv_events_all(hub->db, &q->page, write_event, &w, err));
    kv_jout_end_arr(&j);
    if (!q->page.upwards && w.n == q->page.at_most && w.last_seq > 1) {
        char cursor[24];
        int n = snprintf(cursor, sizeof(cursor), "%lld", (long long)w.last_seq);
        kv_jout_kstr(&j, "next_cursor", (kv_sv){cursor, (size_t)n});
    }
    kv_jout_end_obj(&j);
    return kv_api_answer(req, 200, &body, err);
}

static kv_code read_page(kv_request *req, kv_event_page *out, kv_error *err)
{
    size_t limit;
    KV_TRY(kv_api_page_number(req, &limit, &out->before, err));
    out->at_most = (int64_t)limit;
    return KV_OK;
}

kv_code kv_handle_api_audit_events(kv_hub *hub, kv_request *req, kv_error *err)
{
    query q = {0};
    kv_sv since;
    uint64_t n;
    KV_TRY(read_page(req, &q.page, err));
    q.page.upwards = kv_req_query(req, "since", 0, &since);
    if (q.page.upwards && (!kv_sv_to_u64(since, &n) || n >= INT64_MAX))
        return kv_fail(err, KV_E_ARG, "since is the number of an event");
    if (q.page.upwards) q.page.since = (int64_t)n;
    return answer_events(hub, req, &q, err);
}

kv_code kv_handle_api_history(kv_hub *hub, kv_request *req, kv_error *err)
{
    query q = {.repository = kv_req_part(req, "name"),
               .tag = kv_req_part(req, "tag"),
               .digest = kv_req_part(req, "digest")};
    kv_digest d;
    KV_TRY(read_page(req, &q.page, err));
    if (!kv_repository_name_valid(q.repository))
        return kv_fail(err, KV_E_INVALID, "this is not the name of a repository");
    if (q.tag.n && !kv_tag_name_valid(q.tag))
        return kv_fail(err, KV_E_INVALID, "this is not the name of a tag");
    if (q.digest.n) KV_TRY(kv_digest_parse(q.digest, &d, err));
    return answer_events(hub, req, &q, err);
}

#include "hub/service/registry.h"

#include <stdlib.h>
#include <string.h>

#include "hub/db/q_repository.h"
#include "hub/db/q_tag.h"
#include "hub/service/namespace.h"
#include "hub/service/repo_manifest.h"
#include "hub/service/rights.h"
#include "hub/service/upload.h"

/* Bytes of manifests kept at hand: a few thousand of the usual size. */
enum { MANIFESTS_KEPT = 4 << 20 };

kv_code kv_registry_open(kv_db *db, kv_blobs *blobs, kv_audit *audit, kv_registry **out,
                         kv_error *err)
{
    *out = NULL;
    kv_auto(kv_registry) reg = calloc(1, sizeof(*reg));
    if (!reg) return kv_fail(err, KV_E_NOMEM, "out of memory");
    *reg = (kv_registry){.db = db, .blobs = blobs, .audit = audit};
    reg->manifests = kv_byte_cache_new(MANIFESTS_KEPT, KV_MANIFEST_KEPT_MAX);
    reg->memory = kv_gate_new(KV_REGISTRY_MEMORY);
    reg->sessions = kv_sessions_new();
    if (!reg->manifests || !reg->memory || !reg->sessions)
        return kv_fail(err, KV_E_NOMEM, "out of memory");
    *out = KV_TAKE(reg);
    return KV_OK;
}

void kv_registry_close(kv_registry *reg)
{
    if (!reg) return;
    kv_sessions_free(reg);
    kv_gate_free(reg->memory);
    kv_byte_cache_free(reg->manifests);
    free(reg);
}

/* --- repositories --- */

kv_code kv_repository_find(kv_tx *tx, kv_sv name, kv_repository *out, kv_error *err)
{
    kv_repository_row row;
    KV_TRY(kv_q_repository_find(tx, name, &row, err));
    *out = (kv_repository){
        .name = name, .ns = kv_rights_namespace(name), .last_number = row.last_number};
    memcpy(out->id, row.id, sizeof(out->id));
    return KV_OK;
}

static kv_code add_repository(kv_registry *reg, kv_tx *tx, const kv_principal *who,
                              kv_repository *r, kv_error *err)
{
    char ns_id[KV_UUID_MAX];
    KV_TRY(kv_namespace_ensure(reg->audit, tx, who, r->ns, ns_id, err));
    int64_t seq;
    kv_event ev = {.action = "repo.created",
                   .object = {.type = "repository",
                              .id = kv_sv_of(r->id),
                              .ns = r->ns,
                              .repo = r->name,
                              .repo_id = kv_sv_of(r->id)}};
    KV_TRY(kv_audit_add(reg->audit, tx, who, &ev, &seq, err));
    return kv_q_repository_insert(tx, r->id, ns_id, r->name, kv_now_us(), seq, err);
}

kv_code kv_repository_ensure(kv_registry *reg, kv_tx *tx, const kv_principal *who, kv_sv name,
                             kv_repository *out, kv_error *err)
{
    kv_error missing;
    kv_code rc = kv_repository_find(tx, name, out, &missing);
    if (rc == KV_OK) return KV_OK;
    if (rc != KV_E_NOTFOUND) return kv_fail(err, rc, "%s", missing.msg);
    *out = (kv_repository){.name = name, .ns = kv_rights_namespace(name)};
    kv_uuid7(out->id);
    return add_repository(reg, tx, who, out, err);
}

/* --- lists --- */

typedef struct page {
    const kv_principal *who; /* NULL: no name is left out */
    kv_arena *arena;
    kv_names *names;
    size_t cap, at_most;
    kv_sv *grown; /* malloc'ed while the page grows */
    bool no_memory;
} page;

static bool add_name(void *ctx, kv_sv name)
{
    page *p = ctx;
    /* A token's scope does not matter: a list of names is asked for without naming them. */
    if (p->who && kv_rights_role(p->who, kv_rights_namespace(name)) == KV_ROLE_NONE) return true;
    if (p->names->n == p->at_most) {
        p->names->more = true;
        return false;
    }
    kv_sv kept = kv_arena_dup(p->arena, name);
    if (!kept.p || !KV_GROW(p->grown, p->names->n, &p->cap)) {
        p->no_memory = true;
        return false;
    }
    p->grown[p->names->n++] = kept;
    return true;
}

/* Moves the list into the arena and reports what went wrong on the way. */
static kv_code end_page(page *p, kv_code rc, kv_error *err)
{
    if (rc == KV_OK && p->names->n) {
        p->names->items = KV_NEW(p->arena, kv_sv, p->names->n);
        if (p->names->items)
            memcpy(p->names->items, p->grown, p->names->n * sizeof(kv_sv));
        else
            p->no_memory = true;
    }
    free(p->grown);
    return rc == KV_OK && p->no_memory ? kv_fail(err, KV_E_NOMEM, "out of memory") : rc;
}

kv_code kv_repository_list(kv_registry *reg, const kv_principal *who, kv_sv last, size_t at_most,
                           kv_arena *arena, kv_names *out, kv_error *err)
{
    *out = (kv_names){0};
    page p = {.who = who, .arena = arena, .names = out, .at_most = at_most};
    kv_auto(kv_tx) tx = NULL;
    KV_TRY(kv_tx_begin(reg->db, KV_TX_READ, &tx, err));
    return end_page(&p, kv_q_repository_each(tx, last, add_name, &p, err), err);
}

kv_code kv_tag_list(kv_registry *reg, kv_sv repository, kv_sv last, size_t at_most, kv_arena *arena,
                    kv_names *out, kv_error *err)
{
    *out = (kv_names){0};
    page p = {.arena = arena, .names = out, .at_most = at_most};
    kv_auto(kv_tx) tx = NULL;
    KV_TRY(kv_tx_begin(reg->db, KV_TX_READ, &tx, err));
    kv_repository r;
    KV_TRY(kv_repository_find(tx, repository, &r, err));
    return end_page(&p, kv_q_tag_each(tx, r.id, last, add_name, &p, err), err);
}

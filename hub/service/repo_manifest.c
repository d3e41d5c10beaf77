#include "hub/service/repo_manifest.h"

#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "hub/db/q_blob.h"
#include "hub/db/q_referrer.h"
#include "hub/db/q_tag.h"
#include "hub/service/referrer.h"
#include "hub/service/rights.h"
#include "kitvault/reference.h"
#include "json/json.h"

kv_code kv_ref_parse(kv_sv text, kv_ref *out, kv_error *err)
{
    *out = (kv_ref){0};
    if (kv_sv_find(text, ':') != SIZE_MAX) return kv_digest_parse(text, &out->digest, err);
    if (!kv_tag_name_valid(text))
        return kv_fail(err, KV_E_INVALID, "'%.*s' is not a tag", KV_ARG(kv_sv_sub(text, 0, 160)));
    out->tag = text;
    return KV_OK;
}

static bool is_hex(kv_sv s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f'))) return false;
    return true;
}

bool kv_tag_is_system(kv_sv tag)
{
    static const char *const SUFFIXES[] = {"", ".sig", ".att", ".sbom"};
    const size_t prefix = sizeof("sha256-") - 1, hex = 64; /* sha512 is cut to 64 digits */
    if (!kv_sv_starts(tag, KV_SV("sha256-")) && !kv_sv_starts(tag, KV_SV("sha512-"))) return false;
    if (tag.n < prefix + hex || !is_hex(kv_sv_sub(tag, prefix, prefix + hex))) return false;
    for (size_t i = 0; i < KV_COUNT(SUFFIXES); i++)
        if (kv_sv_is(kv_sv_from(tag, prefix + hex), SUFFIXES[i])) return true;
    return false;
}

/* --- reading --- */

kv_code kv_manifest_find(kv_registry *reg, kv_sv repository, const kv_ref *ref,
                         kv_version_found *out, kv_error *err)
{
    kv_auto(kv_tx) tx = NULL;
    KV_TRY(kv_tx_begin(reg->db, KV_TX_READ, &tx, err));
    if (ref->digest.alg)
        return kv_q_version_by_digest(tx, repository, kv_digest_str(&ref->digest).s, out, err);
    return kv_q_version_by_tag(tx, repository, ref->tag, out, err);
}

static kv_code load_small(kv_registry *reg, const kv_version_found *v, kv_bytes **out,
                          kv_error *err)
{
    kv_auto_buf bytes = KV_BUF(KV_MANIFEST_KEPT_MAX);
    kv_auto(kv_tx) tx = NULL;
    KV_TRY(kv_tx_begin(reg->db, KV_TX_READ, &tx, err));
    KV_TRY(kv_q_manifest_bytes(tx, v->digest, &bytes, err));
    *out = kv_byte_cache_put(reg->manifests, kv_sv_of(v->digest), kv_buf_sv(&bytes));
    return *out ? KV_OK : kv_fail(err, KV_E_NOMEM, "out of memory");
}

kv_code kv_manifest_open(kv_registry *reg, const kv_version_found *v, kv_bytes **out_bytes,
                         kv_blob_reader **out_reader, kv_error *err)
{
    *out_bytes = NULL;
    *out_reader = NULL;
    if (v->size > KV_MANIFEST_KEPT_MAX) {
        kv_digest d;
        KV_TRY(kv_digest_parse(kv_sv_of(v->digest), &d, err));
        return kv_blobs_open(reg->blobs, &d, out_reader, err);
    }
    *out_bytes = kv_byte_cache_get(reg->manifests, kv_sv_of(v->digest));
    return *out_bytes ? KV_OK : load_small(reg, v, out_bytes, err);
}

void kv_manifest_pulled(kv_registry *reg, const kv_principal *who, kv_sv repository,
                        const kv_version_found *v)
{
    kv_event ev = {.action = "version.pulled",
                   .object = {.type = "version",
                              .id = kv_sv_of(v->version_id),
                              .ns = kv_rights_namespace(repository),
                              .repo = repository,
                              .digest = kv_sv_of(v->digest),
                              .repo_id = kv_sv_of(v->repository_id)}};
    kv_audit_count(reg->audit, who, &ev);
}

/* --- push --- */

/* Everything one push works with. */
typedef struct job {
    kv_registry *reg;
    const kv_principal *who;
    const kv_push *push;
    kv_pushed *out;
    kv_manifest *m;
    kv_digest_text digest;
    kv_arena *arena;
    kv_repository repo;     /* id "": not made yet */
    kv_version_row version; /* id "": not made yet */
} job;

/* A query's "not there" is an answer here, not a failure. */
static kv_code there(kv_code rc, const kv_error *why, bool *out, kv_error *err)
{
    *out = rc == KV_OK;
    if (rc == KV_OK || rc == KV_E_NOTFOUND) return KV_OK;
    if (err) *err = *why;
    return rc;
}

static bool may_be_elsewhere(const kv_descriptor *d)
{
    static const kv_sv FOREIGN[] = {
        KV_SV_INIT("application/vnd.oci.image.layer.nondistributable.v1."),
        KV_SV_INIT("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
    };
    for (size_t i = 0; i < KV_COUNT(FOREIGN); i++)
        if (kv_sv_starts(d->media_type, FOREIGN[i])) return true;
    return d->has_urls;
}

static kv_code note_missing(job *j, const kv_digest *d, kv_error *err)
{
    if (!j->out->missing) {
        size_t most = 1 + j->m->n_layers + j->m->n_manifests;
        j->out->missing = KV_NEW(j->arena, kv_digest, most);
        if (!j->out->missing) return kv_fail(err, KV_E_NOMEM, "out of memory");
    }
    j->out->missing[j->out->n_missing++] = *d;
    return KV_OK;
}

/* A descriptor's content must be in the repository, as a blob or as a manifest, and of its size. */
static kv_code check_one(job *j, kv_tx *tx, const kv_descriptor *d, const char *what, kv_error *err)
{
    kv_digest_text digest = kv_digest_str(&d->digest);
    uint64_t size = 0;
    bool found = false;
    kv_error why;
    if (j->repo.id[0])
        KV_TRY(there(kv_q_blob_linked(tx, j->repo.id, digest.s, &size, &why), &why, &found, err));
    if (j->repo.id[0] && !found)
        KV_TRY(there(kv_q_version_size(tx, j->repo.id, digest.s, &size, &why), &why, &found, err));
    if (!found) return may_be_elsewhere(d) ? KV_OK : note_missing(j, &d->digest, err);
    if (size != d->size)
        return kv_fail(err, KV_E_INVALID, "%s %s has %llu bytes, the manifest says %llu", what,
                       digest.s, (unsigned long long)size, (unsigned long long)d->size);
    return KV_OK;
}

static kv_code check_references(job *j, kv_tx *tx, kv_error *err)
{
    const kv_manifest *m = j->m;
    j->out->n_missing = 0;
    if (m->config.digest.alg) KV_TRY(check_one(j, tx, &m->config, "config", err));
    for (size_t i = 0; i < m->n_layers; i++) KV_TRY(check_one(j, tx, &m->layers[i], "layer", err));
    for (size_t i = 0; i < m->n_manifests; i++)
        KV_TRY(check_one(j, tx, &m->manifests[i], "manifest", err));
    if (!j->out->n_missing) return KV_OK;
    return kv_fail(err, KV_E_NOTFOUND, "%zu of the blobs or manifests it names are not in '%.*s'",
                   j->out->n_missing, KV_ARG(j->push->repository));
}

/* current: the tag's digest, "" when there is none. */
static kv_code check_condition(const kv_condition *c, kv_sv tag, const char *current, kv_error *err)
{
    bool holds = !(c->absent && current[0]) && !(c->present && !current[0]);
    if (c->n_is) {
        bool one = false;
        for (size_t i = 0; i < c->n_is; i++) one = one || kv_sv_is(c->is[i], current);
        holds = holds && one;
    }
    if (holds) return KV_OK;
    return kv_fail(err, KV_E_EXISTS, "tag '%.*s' is %s%s", KV_ARG(tag),
                   current[0] ? "at " : "not there", current);
}

static kv_code current_tag(kv_tx *tx, const char *repository_id, kv_sv tag,
                           char out[KV_DIGEST_TEXT_MAX], kv_error *err)
{
    bool found = false;
    out[0] = '\0';
    kv_error why;
    if (!repository_id[0]) return KV_OK;
    KV_TRY(there(kv_q_tag_find(tx, repository_id, tag, out, &why), &why, &found, err));
    if (!found) out[0] = '\0';
    return KV_OK;
}

static bool gives_number(const kv_push *p)
{
    for (size_t i = 0; i < p->n_tags; i++)
        if (!kv_tag_is_system(p->tags[i])) return true;
    return false;
}

/* Looks at everything the push needs and says whether anything would change. */
static kv_code look(job *j, kv_tx *tx, bool *out_change, kv_error *err)
{
    const kv_push *p = j->push;
    bool found;
    kv_error why;
    KV_TRY(there(kv_repository_find(tx, p->repository, &j->repo, &why), &why, &found, err));
    if (!found) j->repo.id[0] = '\0';
    KV_TRY(check_references(j, tx, err));

    bool known = false;
    if (found)
        KV_TRY(there(kv_q_version_find(tx, j->repo.id, j->digest.s, &j->version, &why), &why,
                     &known, err));
    if (!known) j->version = (kv_version_row){0};
    *out_change = !known || !j->version.live || (!j->version.number && gives_number(p));
    for (size_t i = 0; i < p->n_tags; i++) {
        char current[KV_DIGEST_TEXT_MAX];
        KV_TRY(current_tag(tx, j->repo.id, p->tags[i], current, err));
        if (i == 0) KV_TRY(check_condition(&p->if_tag, p->tags[i], current, err));
        if (strcmp(current, j->digest.s) != 0) *out_change = true;
    }
    return KV_OK;
}

static kv_object object_of(const job *j, const char *type)
{
    return (kv_object){.type = type,
                       .id = kv_sv_of(j->repo.id),
                       .ns = j->repo.ns,
                       .repo = j->repo.name,
                       .digest = kv_sv_of(j->digest.s),
                       .repo_id = kv_sv_of(j->repo.id)};
}

/* What an auditor, and a rebuild from the log, want of a manifest. */
static void describe(const job *j, int64_t number, kv_buf *out)
{
    kv_jout w = kv_jout_make(out, KV_JSON_JCS, 0);
    kv_jout_obj(&w);
    if (j->m->artifact_type.n && j->m->artifact_type.n < KV_MEDIA_TYPE_MAX)
        kv_jout_kstr(&w, "artifactType", j->m->artifact_type);
    kv_jout_kstr(&w, "mediaType", j->m->media_type);
    if (number) kv_jout_ku64(&w, "number", (uint64_t)number);
    kv_jout_ku64(&w, "size", j->m->bytes.n);
    if (j->m->subject.digest.alg)
        kv_jout_kstr(&w, "subject", kv_sv_of(kv_digest_str(&j->m->subject.digest).s));
    kv_jout_end_obj(&w);
}

static uint64_t total_size(const kv_manifest *m)
{
    uint64_t sum = kv_manifest_layers_size(m);
    if (kv_ckd_add(&sum, sum, m->config.size) || kv_ckd_add(&sum, sum, m->bytes.n) ||
        sum > INT64_MAX)
        return INT64_MAX;
    return sum;
}

static kv_code write_pointers(job *j, kv_tx *tx, kv_error *err)
{
    const kv_manifest *m = j->m;
    const char *self = j->digest.s;
    if (m->config.digest.alg)
        KV_TRY(kv_q_manifest_points_to(tx, self, kv_digest_str(&m->config.digest).s, "config",
                                       m->config.size, err));
    for (size_t i = 0; i < m->n_layers; i++)
        KV_TRY(kv_q_manifest_points_to(tx, self, kv_digest_str(&m->layers[i].digest).s, "layer",
                                       m->layers[i].size, err));
    for (size_t i = 0; i < m->n_manifests; i++)
        KV_TRY(kv_q_manifest_points_to(tx, self, kv_digest_str(&m->manifests[i].digest).s,
                                       "manifest", m->manifests[i].size, err));
    return KV_OK;
}

static kv_code write_manifest(job *j, kv_tx *tx, kv_error *err)
{
    const kv_manifest *m = j->m;
    kv_digest_text subject = {.s = ""};
    if (m->subject.digest.alg) subject = kv_digest_str(&m->subject.digest);
    kv_manifest_row row = {.digest = j->digest.s,
                           .media_type = m->media_type,
                           .artifact_type = m->artifact_type,
                           .subject = kv_sv_of(subject.s),
                           .bytes = m->bytes};
    bool fresh;
    KV_TRY(kv_q_blob_add(tx, j->digest.s, m->bytes.n, kv_now_us(), err));
    KV_TRY(kv_q_manifest_add(tx, &row, &fresh, err));
    return fresh ? write_pointers(j, tx, err) : KV_OK;
}

static kv_code write_referrer(job *j, kv_tx *tx, kv_error *err)
{
    if (!j->m->subject.digest.alg) return KV_OK;
    kv_digest_text subject = kv_digest_str(&j->m->subject.digest);
    kv_auto_buf entry = KV_BUF(KV_MANIFEST_BYTES_MAX + KV_MEDIA_TYPE_MAX * 8);
    kv_referrer_entry(j->m, &j->out->digest, &entry);
    KV_TRY(kv_buf_check(&entry, err));
    kv_referrer_row row = {.subject = subject.s,
                           .digest = j->digest.s,
                           .artifact_type = kv_manifest_artifact_type(j->m),
                           .descriptor = kv_buf_sv(&entry)};
    return kv_q_referrer_add(tx, j->repo.id, &row, err);
}

/* The version row and its leaf; number 0: none is due. */
static kv_code write_version(job *j, kv_tx *tx, int64_t number, kv_error *err)
{
    kv_version_row *v = &j->version;
    bool known = v->id[0] != '\0';
    if (!known) kv_uuid7(v->id);
    kv_auto_buf value = KV_BUF(KV_EVENT_VALUE_MAX);
    describe(j, number ? number : v->number, &value);
    KV_TRY(kv_buf_check(&value, err));
    kv_event ev = {.action = "version.pushed",
                   .object = object_of(j, "version"),
                   .new_value = kv_buf_sv(&value),
                   .size = total_size(j->m)};
    ev.object.id = kv_sv_of(v->id);
    int64_t seq, now = kv_now_us();
    KV_TRY(kv_audit_add(j->reg->audit, tx, j->who, &ev, &seq, err));
    KV_TRY(write_manifest(j, tx, err));
    j->out->new_version = true;
    if (known)
        KV_TRY(kv_q_version_revive(tx, v->id, j->who->id, now, seq, err));
    else
        KV_TRY(kv_q_version_insert(tx, v, j->repo.id, j->digest.s, j->who->id, now, seq, err));
    return write_referrer(j, tx, err);
}

static kv_code write_number(job *j, kv_tx *tx, int64_t number, kv_error *err)
{
    KV_TRY(kv_q_version_set_number(tx, j->version.id, number, err));
    return kv_q_repository_set_last_number(tx, j->repo.id, number, err);
}

/* {"digest":D}, and the number of the version, if it has one. */
static void tag_value(const char *digest, int64_t number, kv_buf *out)
{
    kv_jout w = kv_jout_make(out, KV_JSON_JCS, 0);
    kv_jout_obj(&w);
    kv_jout_kstr(&w, "digest", kv_sv_of(digest));
    if (number) kv_jout_ku64(&w, "number", (uint64_t)number);
    kv_jout_end_obj(&w);
}

static kv_code write_tag(job *j, kv_tx *tx, kv_sv tag, int64_t number, kv_error *err)
{
    char current[KV_DIGEST_TEXT_MAX];
    KV_TRY(current_tag(tx, j->repo.id, tag, current, err));
    if (strcmp(current, j->digest.s) == 0) return KV_OK;
    kv_auto_buf old = KV_BUF(KV_EVENT_VALUE_MAX), new = KV_BUF(KV_EVENT_VALUE_MAX);
    if (current[0]) tag_value(current, 0, &old);
    tag_value(j->digest.s, number, &new);
    kv_event ev = {.action = current[0] ? "tag.moved" : "tag.created",
                   .object = object_of(j, "tag"),
                   .old_value = kv_buf_sv(&old),
                   .new_value = kv_buf_sv(&new)};
    ev.object.ref = tag;
    int64_t seq;
    KV_TRY(kv_audit_add(j->reg->audit, tx, j->who, &ev, &seq, err));
    if (current[0]) KV_TRY(kv_q_tag_end(tx, j->repo.id, tag, seq, err));
    return kv_q_tag_begin(tx, j->repo.id, tag, j->digest.s, seq, err);
}

/* The transaction. What was looked at before it may have changed meanwhile, so it looks again. */
static kv_code write_all(job *j, kv_tx *tx, kv_error *err)
{
    const kv_push *p = j->push;
    bool change;
    KV_TRY(look(j, tx, &change, err));
    if (!change) return KV_OK;
    KV_TRY(kv_repository_ensure(j->reg, tx, j->who, p->repository, &j->repo, err));
    int64_t number = !j->version.number && gives_number(p) ? j->repo.last_number + 1
                                                           : 0; /* 0: not due */
    if (!j->version.live) KV_TRY(write_version(j, tx, number, err));
    if (number) KV_TRY(write_number(j, tx, number, err));
    int64_t has = number ? number : j->version.number;
    for (size_t i = 0; i < p->n_tags; i++) KV_TRY(write_tag(j, tx, p->tags[i], has, err));
    return KV_OK;
}

static kv_code store_bytes(job *j, kv_error *err)
{
    uint64_t size;
    kv_error why;
    bool found;
    KV_TRY(there(kv_blobs_stat(j->reg->blobs, &j->out->digest, &size, &why), &why, &found, err));
    if (found && size == j->m->bytes.n) return KV_OK;
    return kv_blobs_put(j->reg->blobs, &j->out->digest, j->m->bytes, err);
}

static kv_code run_push(job *j, kv_error *err)
{
    bool change;
    {
        kv_auto(kv_tx) tx = NULL;
        KV_TRY(kv_tx_begin(j->reg->db, KV_TX_READ, &tx, err));
        KV_TRY(look(j, tx, &change, err));
    }
    if (!change) return KV_OK;
    KV_TRY(store_bytes(j, err));
    kv_crash_point("hub.manifest-before-tx");
    kv_auto(kv_tx) tx = NULL;
    KV_TRY(kv_tx_begin(j->reg->db, KV_TX_STATE, &tx, err));
    KV_TRY(write_all(j, tx, err));
    kv_crash_point("hub.manifest-before-commit");
    KV_TRY(kv_tx_commit(KV_TAKE(tx), err));
    kv_crash_point("hub.manifest-after-commit");
    return KV_OK;
}

kv_code kv_manifest_push(kv_registry *reg, const kv_principal *who, const kv_push *push,
                         kv_arena *arena, kv_pushed *out, kv_error *err)
{
    *out = (kv_pushed){0};
    kv_auto(kv_manifest) m = NULL;
    KV_TRY(kv_manifest_parse(kv_buf_sv(push->bytes), push->content_type, &m, err));
    kv_buf_clear(push->bytes);
    out->digest = m->digest;
    if (push->digest.alg == KV_SHA512) out->digest = kv_digest_of(KV_SHA512, m->bytes);
    if (push->digest.alg && !kv_digest_eq(&push->digest, &out->digest))
        return kv_fail(err, KV_E_DIGEST, "the manifest has digest %s, not %s",
                       kv_digest_str(&out->digest).s, kv_digest_str(&push->digest).s);
    out->subject = m->subject.digest;
    job j = {.reg = reg, .who = who, .push = push, .out = out, .m = m, .arena = arena};
    j.digest = kv_digest_str(&out->digest);
    return run_push(&j, err);
}

/* --- delete --- */

static kv_code delete_tag(job *j, kv_tx *tx, kv_sv tag, kv_error *err)
{
    kv_auto_buf old = KV_BUF(KV_EVENT_VALUE_MAX);
    tag_value(j->digest.s, 0, &old);
    kv_event ev = {
        .action = "tag.deleted", .object = object_of(j, "tag"), .old_value = kv_buf_sv(&old)};
    ev.object.ref = tag;
    int64_t seq;
    KV_TRY(kv_audit_add(j->reg->audit, tx, j->who, &ev, &seq, err));
    return kv_q_tag_end(tx, j->repo.id, tag, seq, err);
}

typedef struct tag_list {
    kv_arena *arena;
    kv_sv *items; /* malloc'ed */
    size_t n, cap;
    bool no_memory;
} tag_list;

static bool collect_tag(void *ctx, kv_sv name)
{
    tag_list *l = ctx;
    kv_sv kept = kv_arena_dup(l->arena, name);
    l->no_memory = !kept.p || !KV_GROW(l->items, l->n, &l->cap);
    if (l->no_memory) return false;
    l->items[l->n++] = kept;
    return true;
}

static kv_code delete_tags_of(job *j, kv_tx *tx, kv_error *err)
{
    tag_list l = {.arena = j->arena};
    kv_code rc = kv_q_tag_each_of(tx, j->repo.id, j->digest.s, collect_tag, &l, err);
    if (rc == KV_OK && l.no_memory) rc = kv_fail(err, KV_E_NOMEM, "out of memory");
    for (size_t i = 0; i < l.n && rc == KV_OK; i++) rc = delete_tag(j, tx, l.items[i], err);
    free(l.items);
    return rc;
}

static kv_code delete_version(job *j, kv_tx *tx, kv_error *err)
{
    KV_TRY(kv_q_version_find(tx, j->repo.id, j->digest.s, &j->version, err));
    if (!j->version.live)
        return kv_fail(err, KV_E_NOTFOUND, "no manifest %s in this repository", j->digest.s);
    KV_TRY(delete_tags_of(j, tx, err));
    kv_event ev = {.action = "version.trashed", .object = object_of(j, "version")};
    ev.object.id = kv_sv_of(j->version.id);
    int64_t seq;
    KV_TRY(kv_audit_add(j->reg->audit, tx, j->who, &ev, &seq, err));
    KV_TRY(kv_q_referrer_drop(tx, j->repo.id, j->digest.s, err));
    return kv_q_version_end(tx, j->version.id, seq, err);
}

kv_code kv_manifest_delete(kv_registry *reg, const kv_principal *who, kv_sv repository,
                           const kv_ref *ref, const kv_condition *if_tag, kv_error *err)
{
    kv_auto(kv_arena) arena = kv_arena_new(64u << 20);
    if (!arena) return kv_fail(err, KV_E_NOMEM, "out of memory");
    job j = {.reg = reg, .who = who, .arena = arena};
    kv_auto(kv_tx) tx = NULL;
    KV_TRY(kv_tx_begin(reg->db, KV_TX_STATE, &tx, err));
    KV_TRY(kv_repository_find(tx, repository, &j.repo, err));
    if (ref->digest.alg) {
        j.digest = kv_digest_str(&ref->digest);
        KV_TRY(delete_version(&j, tx, err));
    } else {
        KV_TRY(kv_q_tag_find(tx, j.repo.id, ref->tag, j.digest.s, err));
        KV_TRY(check_condition(if_tag, ref->tag, j.digest.s, err));
        KV_TRY(delete_tag(&j, tx, ref->tag, err));
    }
    kv_crash_point("hub.delete-before-commit");
    return kv_tx_commit(KV_TAKE(tx), err);
}

/* Changes of repositories: manifests listed, tags moved, what nobody lists removed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crash.h"
#include "kitvault/store.h"
#include "store/layout.h"
#include "store/survey.h"

/* The two lists of one repository, in memory while the lock is held. */
typedef struct repo {
    kv_buf stem;
    kv_store_list index, tags;
} repo;
static void repo_clear(repo *r)
{
    kv_buf_clear(&r->stem);
    kv_store_list_clear(&r->index);
    kv_store_list_clear(&r->tags);
}
#define auto_repo KV_CLEANUP(repo_clear) repo
#define REPO ((repo){.stem = KV_BUF(KV_STORE_PATH_MAX)})

static kv_code repo_read(kv_store *s, const kv_reference *ref, repo *r, kv_error *err)
{
    KV_TRY(kv_store_stem(ref, &r->stem, err));
    KV_TRY(kv_store_read_index(s, r->stem.p, &r->index, err));
    return kv_store_read_tags(s, r->stem.p, &r->tags, err);
}

/* --- add, tag --- */

static kv_code need_blob(kv_store *s, const kv_descriptor *d, kv_error *err)
{
    if (!d->digest.alg || d->has_urls || kv_store_has(s, &d->digest, d->size)) return KV_OK;
    return kv_fail(err, KV_E_NOTFOUND, "blob %s is not in local storage (any more)",
                   kv_digest_str(&d->digest).s);
}

static kv_code need_blobs(kv_store *s, const kv_manifest *m, kv_error *err)
{
    kv_descriptor self = {.digest = m->digest, .size = m->bytes.n};
    KV_TRY(need_blob(s, &self, err));
    KV_TRY(need_blob(s, &m->config, err));
    for (size_t i = 0; i < m->n_layers; i++) KV_TRY(need_blob(s, &m->layers[i], err));
    for (size_t i = 0; i < m->n_manifests; i++) KV_TRY(need_blob(s, &m->manifests[i], err));
    return KV_OK;
}

static kv_code put_tags(repo *r, const kv_reference *where, const kv_store_entry *e, kv_error *err)
{
    kv_store_entry tagged = {.media_type = e->media_type, .digest = e->digest, .size = e->size};
    if (where->tag.n) {
        tagged.tag = where->tag;
        KV_TRY(kv_store_list_put(&r->tags, &tagged, err));
    }
    for (size_t i = 0; i < where->n_extra; i++) {
        tagged.tag = where->extra[i];
        KV_TRY(kv_store_list_put(&r->tags, &tagged, err));
    }
    return KV_OK;
}

/* Lists e in where's repository and in the shared index, and tags it. The lock is held. */
static kv_code list_entry(kv_store *s, const kv_reference *where, const kv_store_entry *e,
                          kv_error *err)
{
    auto_repo r = REPO;
    kv_auto_store_list shared = {0};
    KV_TRY(repo_read(s, where, &r, err));
    KV_TRY(kv_store_read_index(s, NULL, &shared, err));
    if (!kv_store_find_digest(&shared, &e->digest)) {
        KV_TRY(kv_store_list_put(&shared, e, err));
        KV_TRY(kv_store_write_index(s, NULL, &shared, err));
    }
    kv_crash_point("store.after-shared-index");
    if (!kv_store_find_digest(&r.index, &e->digest)) {
        KV_TRY(kv_store_list_put(&r.index, e, err));
        KV_TRY(kv_store_write_index(s, r.stem.p, &r.index, err));
    }
    kv_crash_point("store.after-index");
    if (!where->tag.n && !where->n_extra) return KV_OK;
    KV_TRY(put_tags(&r, where, e, err));
    return kv_store_write_tags(s, r.stem.p, &r.tags, err);
}

kv_code kv_store_add(kv_store *s, const kv_reference *where, const kv_manifest *m, kv_error *err)
{
    KV_TRY(kv_store_prepare(s, err));
    kv_auto_fd lock = -1;
    KV_TRY(kv_store_lock(s, &lock, err));
    KV_TRY(need_blobs(s, m, err));
    kv_store_entry e = {.media_type = m->media_type, .digest = m->digest, .size = m->bytes.n};
    return list_entry(s, where, &e, err);
}

kv_code kv_store_tag(kv_store *s, const kv_reference *from, const kv_reference *to, kv_error *err)
{
    if (!to->tag.n) return kv_fail(err, KV_E_ARG, "the new name needs a tag");
    kv_digest found; /* before anything is made */
    KV_TRY(kv_store_resolve(s, from, &found, err));
    KV_TRY(kv_store_prepare(s, err));
    kv_auto_fd lock = -1;
    KV_TRY(kv_store_lock(s, &lock, err));
    auto_repo r = REPO;
    KV_TRY(repo_read(s, from, &r, err));
    const kv_store_entry *e = kv_store_lookup(from, &r.index, &r.tags);
    if (!e) return kv_store_not_found(from, err);
    kv_store_entry copy = {.media_type = e->media_type, .digest = e->digest, .size = e->size};
    return list_entry(s, to, &copy, err);
}

/* --- untag, remove --- */

kv_code kv_store_untag(kv_store *s, const kv_reference *ref, kv_error *err)
{
    kv_digest found;
    KV_TRY(kv_store_resolve(s, ref, &found, err));
    kv_auto_fd lock = -1;
    KV_TRY(kv_store_lock(s, &lock, err));
    auto_repo r = REPO;
    KV_TRY(repo_read(s, ref, &r, err));
    const kv_store_entry *e = kv_store_find_tag(&r.tags, ref->tag);
    if (!e) return kv_store_not_found(ref, err);
    kv_store_list_drop(&r.tags, (size_t)(e - r.tags.items));
    return kv_store_write_tags(s, r.stem.p, &r.tags, err);
}

static kv_code drop_blob(kv_store *s, const kv_survey *v, const kv_digest *d, kv_error *err)
{
    if (!d->alg || kv_digests_has(&v->used, d)) return KV_OK;
    kv_auto_buf path = KV_BUF(KV_STORE_PATH_MAX);
    KV_TRY(kv_store_blob_path(s, d, &path, err));
    if (unlink(path.p) < 0 && errno != ENOENT)
        return kv_fail_sys(err, "cannot remove '%s'", path.p);
    return KV_OK;
}

static kv_code drop_shared_entry(kv_store *s, const kv_digest *d, kv_error *err)
{
    kv_auto_store_list shared = {0};
    KV_TRY(kv_store_read_index(s, NULL, &shared, err));
    const kv_store_entry *e = kv_store_find_digest(&shared, d);
    if (!e) return KV_OK;
    kv_store_list_drop(&shared, (size_t)(e - shared.items));
    return kv_store_write_index(s, NULL, &shared, err);
}

/* Removes manifest d, which its repository does not list any more, unless another one does. */
static kv_code collect(kv_store *s, const kv_digest *d, kv_error *err)
{
    kv_auto_survey v = {0};
    KV_TRY(kv_survey_make(s, NULL, &v, err));
    if (kv_digests_has(&v.listed, d)) return KV_OK;
    KV_TRY(drop_shared_entry(s, d, err));
    kv_crash_point("store.after-remove-index");

    /* Whoever holds the store may be about to list blobs of this kit, or reads them: they stay. */
    kv_auto_fd alone = -1;
    kv_code rc = kv_store_hold_alone(s, 0, &alone, err);
    if (rc == KV_E_BUSY) return KV_OK;
    KV_TRY(rc);
    kv_auto(kv_manifest) m = NULL;
    rc = kv_store_manifest(s, d, &m, NULL);
    KV_TRY(drop_blob(s, &v, d, err));
    /* Without knowing what others use, or what this one used, blobs stay as garbage. */
    if (rc != KV_OK || v.unreadable.alg) return KV_OK;
    KV_TRY(drop_blob(s, &v, &m->config.digest, err));
    for (size_t i = 0; i < m->n_layers; i++) KV_TRY(drop_blob(s, &v, &m->layers[i].digest, err));
    return KV_OK;
}

static kv_code drop_tags_of(kv_store *s, repo *r, const kv_digest *d, kv_error *err)
{
    size_t before = r->tags.n;
    for (size_t i = r->tags.n; i-- > 0;)
        if (kv_digest_eq(&r->tags.items[i].digest, d)) kv_store_list_drop(&r->tags, i);
    return r->tags.n == before ? KV_OK : kv_store_write_tags(s, r->stem.p, &r->tags, err);
}

static size_t count_tags(const repo *r, const kv_digest *d)
{
    size_t n = 0;
    for (size_t i = 0; i < r->tags.n; i++) n += kv_digest_eq(&r->tags.items[i].digest, d);
    return n;
}

static kv_code remove_locked(kv_store *s, const kv_reference *ref, bool all_tags, kv_removed *out,
                             kv_error *err)
{
    auto_repo r = REPO;
    KV_TRY(repo_read(s, ref, &r, err));
    const kv_store_entry *e = kv_store_lookup(ref, &r.index, &r.tags);
    if (!e) return kv_store_not_found(ref, err);
    kv_digest d = e->digest;
    *out = (kv_removed){.digest = d};
    if (!ref->digest.alg && !all_tags && count_tags(&r, &d) > 1) {
        out->untagged_only = true;
        const kv_store_entry *t = kv_store_find_tag(&r.tags, ref->tag);
        kv_store_list_drop(&r.tags, (size_t)(t - r.tags.items));
        return kv_store_write_tags(s, r.stem.p, &r.tags, err);
    }
    KV_TRY(drop_tags_of(s, &r, &d, err));
    kv_crash_point("store.after-untag");
    kv_store_list_drop(&r.index, (size_t)(e - r.index.items));
    KV_TRY(kv_store_write_index(s, r.stem.p, &r.index, err));
    return collect(s, &d, err);
}

kv_code kv_store_remove(kv_store *s, const kv_reference *ref, bool all_tags, kv_removed *out,
                        kv_error *err)
{
    kv_removed done;
    kv_digest found; /* a store without it is not touched, not even by the lock */
    KV_TRY(kv_store_resolve(s, ref, &found, err));
    kv_auto_fd lock = -1;
    KV_TRY(kv_store_lock(s, &lock, err));
    KV_TRY(remove_locked(s, ref, all_tags, &done, err));
    if (out) *out = done;
    return KV_OK;
}

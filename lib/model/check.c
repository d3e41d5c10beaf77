/*
 * The local store as a whole: lists first, then the manifests they name, then the blobs these name,
 * then what nobody names.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/pool.h"
#include "codec/hasher.h"
#include "kitvault/care.h"
#include "store/layout.h"
#include "store/survey.h"
#include "store/waste.h"

enum { BLOCK_BYTES = 256 * 1024, THREADS_MAX = 8, NAMES_BYTES_MAX = 32 << 20 };

const char *kv_problem_kind_name(kv_problem_kind kind)
{
    static const char *const NAMES[] = {
        [KV_PROBLEM_DAMAGED] = "damaged",   [KV_PROBLEM_MISSING] = "missing",
        [KV_PROBLEM_LIST] = "list",         [KV_PROBLEM_TAG] = "tag",
        [KV_PROBLEM_UNLISTED] = "unlisted", [KV_PROBLEM_ORPHANED] = "orphaned",
        [KV_PROBLEM_LEFTOVER] = "leftover",
    };
    return NAMES[kind];
}

typedef struct listed { /* a manifest in a repository's list */
    kv_sv registry, repository, tag;
    kv_digest digest;
    uint64_t size;
} listed;

typedef struct use { /* a blob or manifest that the manifest of a ModelKit names */
    kv_digest digest;
    uint64_t size;
    size_t kit;
} use;
typedef struct uses {
    use *items;
    size_t n, cap;
} uses;

typedef struct blob { /* uses [from, to) are of it */
    size_t from, to;
    kv_code code;
    char *why; /* malloc'ed; NULL: it is fine */
} blob;

typedef struct check {
    kv_store *store;
    const kv_check_options *opts;
    kv_check_result result;
    kv_arena *names;
    listed *kits;
    size_t n_kits, cap_kits;
    uses manifests, children, blobs; /* children: found while manifests are read */
    kv_digests used, shared;         /* shared: what index.json lists */
    bool blind;                      /* a list or manifest cannot be read */
    bool no_shared;                  /* index.json cannot be */
    blob *found;
    size_t n_found;
    uint64_t total;
    atomic_uint_fast64_t done;
} check;

static void check_clear(check *c)
{
    for (size_t i = 0; i < c->n_found; i++) free(c->found[i].why);
    free(c->found);
    free(c->kits);
    free(c->manifests.items);
    free(c->children.items);
    free(c->blobs.items);
    kv_digests_clear(&c->used);
    kv_digests_clear(&c->shared);
    kv_arena_free(c->names);
}

/* --- telling --- */

static kv_code tell(check *c, const kv_problem *p, kv_error *err)
{
    bool harmless = p->kind == KV_PROBLEM_ORPHANED || p->kind == KV_PROBLEM_LEFTOVER;
    if (harmless)
        c->result.n_harmless++;
    else
        c->result.n_broken++;
    if (p->repaired) c->result.n_repaired++;
    return c->opts->found ? c->opts->found(c->opts->ctx, p, err) : KV_OK;
}

/* As the user names it: by a tag where there is one. */
static char *name_of(const listed *k)
{
    kv_reference ref = {.registry = k->registry, .repository = k->repository, .tag = k->tag};
    if (!k->tag.n) ref.digest = k->digest;
    return kv_reference_display(&ref);
}

static kv_code tell_blob(check *c, kv_problem *p, const use *first, size_t n, kv_error *err)
{
    kv_auto_buf path = KV_BUF(KV_STORE_PATH_MAX);
    kv_auto_str name = name_of(&c->kits[first->kit]);
    if (!name) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_buf_addf(&path, "storage/blobs/%s/%s", kv_digest_alg_name(first->digest.alg),
                strchr(kv_digest_str(&first->digest).s, ':') + 1);
    KV_TRY(kv_buf_check(&path, err));
    p->digest = first->digest;
    p->size = first->size;
    p->path = kv_buf_sv(&path);
    p->kit = kv_sv_of(name);
    p->n_kits = n;
    return tell(c, p, err);
}

/* --- lists --- */

static kv_code tell_list(check *c, const char *stem, const char *what, const kv_error *why,
                         kv_error *err)
{
    kv_auto_buf path = KV_BUF(KV_STORE_PATH_MAX);
    kv_buf_addf(&path, "storage/%s%s%s.json", stem ? stem : "", stem ? "-" : "", what);
    KV_TRY(kv_buf_check(&path, err));
    kv_problem p = {.kind = KV_PROBLEM_LIST, .path = kv_buf_sv(&path), .why = kv_sv_of(why->msg)};
    return tell(c, &p, err);
}

/* Whether the check goes on behind a failure: it is about what is checked, not about us. */
static bool is_finding(kv_code rc)
{
    return rc != KV_E_NOMEM && rc != KV_E_CANCELLED && rc != KV_E_NOSPACE;
}

static kv_code tell_tags(check *c, const kv_store_list *index, const kv_store_list *tags,
                         kv_sv registry, kv_sv repository, kv_error *err)
{
    for (size_t i = 0; i < tags->n; i++) {
        const kv_store_entry *t = &tags->items[i];
        if (t->digest.alg && kv_store_find_digest(index, &t->digest)) continue;
        const listed k = {.registry = registry, .repository = repository, .tag = t->tag};
        kv_auto_str name = name_of(&k);
        if (!name) return kv_fail(err, KV_E_NOMEM, "out of memory");
        kv_problem p = {.kind = KV_PROBLEM_TAG,
                        .digest = t->digest,
                        .size = t->size,
                        .kit = kv_sv_of(name),
                        .n_kits = 1,
                        .why = KV_SV("the tag's manifest is not in the repository's list")};
        KV_TRY(tell(c, &p, err));
    }
    return KV_OK;
}

static kv_code take_kit(check *c, const kv_store_entry *e, const kv_store_list *tags,
                        kv_sv registry, kv_sv repository, kv_error *err)
{
    listed k = {
        .registry = registry, .repository = repository, .digest = e->digest, .size = e->size};
    for (size_t i = 0; i < tags->n && !k.tag.n; i++)
        if (kv_digest_eq(&tags->items[i].digest, &e->digest)) {
            k.tag = kv_arena_dup(c->names, tags->items[i].tag);
            if (!k.tag.p) return kv_fail(err, KV_E_LIMIT, "too many ModelKits");
        }
    use u = {.digest = e->digest, .size = e->size, .kit = c->n_kits};
    if (!KV_GROW(c->kits, c->n_kits, &c->cap_kits) ||
        !KV_GROW(c->manifests.items, c->manifests.n, &c->manifests.cap))
        return kv_fail(err, KV_E_NOMEM, "out of memory");
    c->kits[c->n_kits++] = k;
    c->manifests.items[c->manifests.n++] = u;
    if (c->no_shared || kv_digests_has(&c->shared, &e->digest)) return KV_OK;
    kv_problem p = {.kind = KV_PROBLEM_UNLISTED,
                    .why = KV_SV("the manifest is not in the store's index.json")};
    return tell_blob(c, &p, &u, 1, err);
}

static kv_code take_repo(void *ctx, const char *stem, kv_sv name, kv_error *err)
{
    check *c = ctx;
    kv_auto_store_list index = {0}, tags = {0};
    kv_error why = {0};
    kv_code rc = kv_store_read_index(c->store, stem, &index, &why);
    if (rc != KV_OK) {
        if (!is_finding(rc)) return kv_fail(err, rc, "%s", why.msg);
        c->blind = true;
        KV_TRY(tell_list(c, stem, "index", &why, err));
    }
    kv_code tags_rc = kv_store_read_tags(c->store, stem, &tags, &why);
    if (tags_rc != KV_OK) {
        if (!is_finding(tags_rc)) return kv_fail(err, tags_rc, "%s", why.msg);
        KV_TRY(tell_list(c, stem, "tags", &why, err));
    }
    kv_sv registry, copy = kv_arena_dup(c->names, name);
    if (!copy.p) return kv_fail(err, KV_E_LIMIT, "too many ModelKits");
    kv_sv repository = kv_sv_cut(copy, '/', &registry, NULL);
    if (rc == KV_OK) KV_TRY(tell_tags(c, &index, &tags, registry, repository, err));
    for (size_t i = 0; i < index.n; i++)
        if (index.items[i].digest.alg)
            KV_TRY(take_kit(c, &index.items[i], &tags, registry, repository, err));
    return KV_OK;
}

static kv_code read_shared(check *c, kv_error *err)
{
    kv_auto_store_list shared = {0};
    kv_error why = {0};
    kv_code rc = kv_store_read_index(c->store, NULL, &shared, &why);
    if (rc != KV_OK) {
        if (!is_finding(rc)) return kv_fail(err, rc, "%s", why.msg);
        c->no_shared = true;
        return tell_list(c, NULL, "index", &why, err);
    }
    for (size_t i = 0; i < shared.n; i++)
        KV_TRY(kv_digests_add(&c->shared, &shared.items[i].digest, err));
    kv_digests_sort(&c->shared);
    return KV_OK;
}

static bool is_read_only(kv_code rc, const kv_error *err)
{
    return rc != KV_OK && (err->sys == EROFS || err->sys == EACCES || err->sys == EPERM);
}

/* Under the lock, so that lists fit together; where nobody can write it is not needed. */
static kv_code read_lists(check *c, kv_error *err)
{
    kv_auto_fd lock = -1;
    kv_error local = {0};
    kv_code rc = kv_store_lock(c->store, &lock, &local);
    if (rc != KV_OK && !is_read_only(rc, &local)) {
        if (err) *err = local;
        return rc;
    }
    KV_TRY(read_shared(c, err));
    KV_TRY(kv_store_each_repo(c->store, take_repo, c, err));
    c->result.n_kits = c->n_kits;
    return KV_OK;
}

/* --- fetching again --- */

static kv_reference asked_of(const check *c, const listed *k, const kv_digest *d)
{
    const kv_reference *from = c->opts->repair_from;
    return (kv_reference){.registry = from ? from->registry : k->registry,
                          .repository = from ? from->repository : k->repository,
                          .digest = *d};
}

static kv_code ingest_stream(check *c, kv_kit_stream *in, kv_ingest *to, kv_error *err)
{
    kv_auto_str block = malloc(BLOCK_BYTES);
    if (!block) return kv_fail(err, KV_E_NOMEM, "out of memory");
    for (;;) {
        size_t n;
        KV_TRY(kv_check_cancel(c->opts->report, err));
        KV_TRY(in->read(in->ctx, block, BLOCK_BYTES, &n, err));
        if (!n) return KV_OK;
        KV_TRY(kv_ingest_write(to, block, n, err));
    }
}

static kv_code fetch_blob(check *c, const kv_reference *ref, const use *u, kv_error *err)
{
    const kv_descriptor d = {.digest = u->digest, .size = u->size};
    kv_kit_stream stream = {0};
    kv_auto(kv_ingest) in = NULL;
    KV_TRY(kv_ingest_begin(c->store, &u->digest, u->size, &in, err));
    /* A source need not have ranges, and a damaged blob is rare: from the start. */
    KV_TRY(kv_ingest_restart(in, err));
    KV_TRY(c->opts->repair->open(c->opts->repair->ctx, ref, &d, &stream, err));
    kv_code rc = ingest_stream(c, &stream, in, err);
    if (stream.close) stream.close(stream.ctx);
    KV_TRY(rc);
    return kv_ingest_replace(KV_TAKE(in), err);
}

static kv_code fetch_manifest(check *c, const kv_reference *ref, const use *u, kv_error *err)
{
    kv_auto(kv_manifest) m = NULL;
    kv_auto(kv_ingest) in = NULL;
    KV_TRY(c->opts->repair->manifest(c->opts->repair->ctx, ref, &m, err));
    if (!kv_digest_eq(&m->digest, &u->digest))
        return kv_fail(err, KV_E_DIGEST, "the answer is another manifest");
    KV_TRY(kv_ingest_begin(c->store, &u->digest, m->bytes.n, &in, err));
    KV_TRY(kv_ingest_restart(in, err));
    KV_TRY(kv_ingest_write(in, m->bytes.p, m->bytes.n, err));
    return kv_ingest_replace(KV_TAKE(in), err);
}

/* Asks for it in the place of each ModelKit that uses it, until one has it. why gets the reason
 * when none has. */
static kv_code repair(check *c, const use *u, size_t n, bool manifest, bool *out_done, kv_buf *why,
                      kv_error *err)
{
    *out_done = false;
    if (!c->opts->repair) return KV_OK;
    kv_error last = {.msg = "it is of no registry; name one to fetch it from"};
    for (size_t i = 0; i < n && !*out_done; i++) {
        const kv_reference ref = asked_of(c, &c->kits[u[i].kit], &u->digest);
        if (!c->opts->repair_from && !kv_reference_is_remote(&ref)) continue;
        kv_code rc = manifest ? fetch_manifest(c, &ref, u, &last) : fetch_blob(c, &ref, u, &last);
        *out_done = rc == KV_OK;
        if (rc == KV_OK || is_finding(rc)) {
            if (c->opts->repair_from) break; /* the same place for all */
            continue;
        }
        if (err) *err = last;
        return rc;
    }
    if (!*out_done) kv_buf_addf(why, "; not repaired: %s", last.msg);
    return KV_OK;
}

/* --- manifests --- */

static int by_digest_and_kit(const void *a, const void *b)
{
    const use *x = a, *y = b;
    int order = memcmp(&x->digest, &y->digest, sizeof(x->digest));
    if (order) return order;
    return x->kit < y->kit ? -1 : x->kit > y->kit;
}

static size_t run_end(const uses *u, size_t from)
{
    size_t to = from + 1;
    while (to < u->n && kv_digest_eq(&u->items[to].digest, &u->items[from].digest)) to++;
    return to;
}

static void sort_uses(uses *u)
{
    if (u->n) qsort(u->items, u->n, sizeof(u->items[0]), by_digest_and_kit);
}

static kv_code add_use(uses *to, const kv_descriptor *d, size_t kit, kv_error *err)
{
    if (!d->digest.alg || d->has_urls) return KV_OK;
    if (!KV_GROW(to->items, to->n, &to->cap)) return kv_fail(err, KV_E_NOMEM, "out of memory");
    to->items[to->n++] = (use){.digest = d->digest, .size = d->size, .kit = kit};
    return KV_OK;
}

static kv_code add_uses(check *c, const kv_manifest *m, size_t kit, kv_error *err)
{
    KV_TRY(add_use(&c->blobs, &m->config, kit, err));
    for (size_t i = 0; i < m->n_layers; i++) KV_TRY(add_use(&c->blobs, &m->layers[i], kit, err));
    for (size_t i = 0; i < m->n_manifests; i++)
        KV_TRY(add_use(&c->children, &m->manifests[i], kit, err));
    return KV_OK;
}

/* A manifest that could not be read: tells it, and reads it again when it was fetched. */
static kv_code mend_manifest(check *c, const use *u, size_t n, kv_code rc, const kv_error *reason,
                             kv_manifest **out, kv_error *err)
{
    kv_problem p = {.kind = rc == KV_E_NOTFOUND ? KV_PROBLEM_MISSING : KV_PROBLEM_DAMAGED};
    kv_auto_buf why = KV_BUF(KV_ERROR_TEXT_MAX * 2);
    kv_buf_adds(&why, rc == KV_E_NOTFOUND ? "the manifest is not there" : reason->msg);
    if (rc == KV_E_NOTFOUND || rc == KV_E_DIGEST || rc == KV_E_LIMIT)
        KV_TRY(repair(c, u, n, true, &p.repaired, &why, err));
    KV_TRY(kv_buf_check(&why, err));
    p.why = kv_buf_sv(&why);
    KV_TRY(tell_blob(c, &p, u, n, err));
    if (p.repaired) return kv_store_manifest(c->store, &u->digest, out, err);
    c->blind = true;
    return KV_OK;
}

static kv_code read_manifest(check *c, const use *u, size_t n, kv_error *err)
{
    kv_auto(kv_manifest) m = NULL;
    kv_error why = {0};
    KV_TRY(kv_check_cancel(c->opts->report, err));
    KV_TRY(kv_digests_add(&c->used, &u->digest, err));
    kv_code rc = kv_store_manifest(c->store, &u->digest, &m, &why);
    if (rc != KV_OK && !is_finding(rc)) return kv_fail(err, rc, "%s", why.msg);
    if (rc != KV_OK) KV_TRY(mend_manifest(c, u, n, rc, &why, &m, err));
    if (!m) return KV_OK;
    c->result.n_blobs++;
    c->result.bytes += m->bytes.n;
    for (size_t i = 0; i < n; i++) KV_TRY(add_uses(c, m, u[i].kit, err));
    return KV_OK;
}

/* Those that lists name, then those that these name, and so on: all of one depth together. */
static kv_code read_manifests(check *c, kv_error *err)
{
    for (unsigned depth = 0; c->manifests.n && depth <= KV_INDEX_DEPTH_MAX; depth++) {
        sort_uses(&c->manifests);
        for (size_t from = 0, to; from < c->manifests.n; from = to) {
            to = run_end(&c->manifests, from);
            KV_TRY(read_manifest(c, &c->manifests.items[from], to - from, err));
        }
        uses done = c->manifests;
        c->manifests = c->children;
        c->children = (uses){.items = done.items, .cap = done.cap};
    }
    return KV_OK;
}

/* --- blobs --- */

static kv_code group_blobs(check *c, kv_error *err)
{
    sort_uses(&c->blobs);
    size_t n = 0, at = 0;
    for (size_t from = 0; from < c->blobs.n; from = run_end(&c->blobs, from)) n++;
    c->found = calloc(n + 1, sizeof(*c->found));
    if (!c->found) return kv_fail(err, KV_E_NOMEM, "out of memory");
    c->n_found = n;
    for (size_t from = 0, to; from < c->blobs.n; from = to) {
        to = run_end(&c->blobs, from);
        c->found[at++] = (blob){.from = from, .to = to};
        c->total += c->blobs.items[from].size;
        KV_TRY(kv_digests_add(&c->used, &c->blobs.items[from].digest, err));
    }
    kv_digests_sort(&c->used);
    return KV_OK;
}

static kv_code heard(void *ctx, size_t n, kv_error *err)
{
    check *c = ctx;
    uint64_t done = atomic_fetch_add(&c->done, n) + n;
    kv_progress(c->opts->report, 0, KV_SV("Checking"), done < c->total ? done : c->total, c->total);
    return kv_check_cancel(c->opts->report, err);
}

static kv_code hash_file(check *c, int fd, const use *u, kv_error *err)
{
    kv_digest got;
    KV_TRY(kv_hash_fd(fd, u->digest.alg, heard, c, &got, err));
    if (kv_digest_eq(&got, &u->digest)) return KV_OK;
    return kv_fail(err, KV_E_DIGEST, "its content has digest %s", kv_digest_str(&got).s);
}

static kv_code check_file(check *c, const use *u, kv_error *err)
{
    kv_auto_fd fd = -1;
    uint64_t size = 0;
    kv_code rc = kv_store_open_blob(c->store, &u->digest, &fd, &size, err);
    if (rc == KV_E_NOTFOUND) return kv_fail(err, rc, "it is not there");
    KV_TRY(rc);
    if (size != u->size)
        return kv_fail(err, KV_E_DIGEST, "it has %llu bytes instead of %llu",
                       (unsigned long long)size, (unsigned long long)u->size);
    return hash_file(c, fd, u, err);
}

static kv_code check_blob(void *ctx, size_t i, kv_error *err)
{
    check *c = ctx;
    blob *b = &c->found[i];
    kv_error why = {0};
    b->code = check_file(c, &c->blobs.items[b->from], &why);
    if (b->code == KV_OK) return KV_OK;
    if (!is_finding(b->code)) return kv_fail(err, b->code, "%s", why.msg);
    b->why = kv_sv_dup(kv_sv_of(why.msg));
    return b->why ? KV_OK : kv_fail(err, KV_E_NOMEM, "out of memory");
}

static kv_code check_blobs(check *c, kv_error *err)
{
    unsigned n = c->opts->n_threads;
    if (n > THREADS_MAX) n = THREADS_MAX;
    kv_auto(kv_pool) pool = n == 1 ? NULL : kv_pool_new(n);
    KV_TRY(kv_pool_each(pool, c->n_found, THREADS_MAX, check_blob, c, err));
    kv_progress(c->opts->report, 0, KV_SV("Checking"), c->total, c->total);
    return KV_OK;
}

static size_t count_kits(const use *u, size_t n)
{
    size_t kits = 1;
    for (size_t i = 1; i < n; i++) kits += u[i].kit != u[i - 1].kit;
    return kits;
}

static kv_code tell_blobs(check *c, kv_error *err)
{
    for (size_t i = 0; i < c->n_found; i++) {
        const blob *b = &c->found[i];
        const use *u = &c->blobs.items[b->from];
        if (b->code != KV_E_NOTFOUND) {
            c->result.n_blobs++;
            c->result.bytes += u->size;
        }
        if (!b->why) continue;
        kv_problem p = {.kind = b->code == KV_E_NOTFOUND ? KV_PROBLEM_MISSING : KV_PROBLEM_DAMAGED};
        kv_auto_buf why = KV_BUF(KV_ERROR_TEXT_MAX * 2);
        kv_buf_adds(&why, b->why);
        KV_TRY(repair(c, u, b->to - b->from, false, &p.repaired, &why, err));
        KV_TRY(kv_buf_check(&why, err));
        p.why = kv_buf_sv(&why);
        KV_TRY(tell_blob(c, &p, u, count_kits(u, b->to - b->from), err));
    }
    return KV_OK;
}

/* --- what nobody names --- */

static kv_code tell_file(check *c, kv_problem_kind kind, const kv_store_file *f, kv_error *err)
{
    KV_TRY(kv_check_cancel(c->opts->report, err));
    kv_problem p = {.kind = kind, .digest = f->digest, .path = f->path, .size = f->size};
    return tell(c, &p, err);
}

static kv_code take_leftover(void *ctx, const kv_store_file *f, kv_error *err)
{
    return tell_file(ctx, KV_PROBLEM_LEFTOVER, f, err);
}

static kv_code take_file(void *ctx, const kv_store_file *f, kv_error *err)
{
    check *c = ctx;
    return kv_digests_has(&c->used, &f->digest) ? KV_OK : tell_file(c, KV_PROBLEM_ORPHANED, f, err);
}

static kv_code check_all(check *c, kv_error *err)
{
    KV_TRY(read_lists(c, err));
    KV_TRY(read_manifests(c, err));
    KV_TRY(group_blobs(c, err));
    KV_TRY(check_blobs(c, err));
    KV_TRY(tell_blobs(c, err));
    if (!c->blind) KV_TRY(kv_store_each_blob(c->store, take_file, c, err));
    return kv_store_each_leftover(c->store, take_leftover, c, err);
}

kv_code kv_store_check(kv_store *s, const kv_check_options *opts, kv_check_result *out,
                       kv_error *err)
{
    static const kv_check_options DEFAULTS = KV_CHECK_OPTIONS_INIT;
    KV_CLEANUP(check_clear) check c = {.store = s, .opts = opts ? opts : &DEFAULTS};
    atomic_init(&c.done, 0);
    *out = c.result;
    if (!kv_store_exists(s)) return KV_OK;
    kv_auto_fd hold = -1;
    KV_TRY(kv_store_hold(s, &hold, err));
    c.names = kv_arena_new(NAMES_BYTES_MAX);
    if (!c.names) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_code rc = check_all(&c, err);
    *out = c.result;
    return rc;
}

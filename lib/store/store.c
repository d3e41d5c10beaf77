#include "kitvault/store.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "codec/hasher.h"
#include "oci/image_layout.h"
#include "store/layout.h"
#include "store/store_priv.h"

/* What a later version of the layout means nobody knows, so nothing is read by the rules of ours. */
static kv_code check_layout(const kv_store *s, kv_error *err)
{
    kv_auto_buf path = KV_BUF(KV_STORE_PATH_MAX);
    KV_TRY(kv_store_path(s, &path, err, "storage/" KV_IMAGE_LAYOUT_FILE));
    return kv_image_layout_check(path.p, err);
}

kv_code kv_store_open(const char *home, kv_store **out, kv_error *err)
{
    kv_store *s = calloc(1, sizeof(*s));
    if (s) s->home = strdup(home);
    if (!s || !s->home) {
        kv_store_close(s);
        return kv_fail(err, KV_E_NOMEM, "out of memory");
    }
    kv_code rc = check_layout(s, err);
    if (rc == KV_OK)
        *out = s;
    else
        kv_store_close(s);
    return rc;
}

void kv_store_close(kv_store *s)
{
    if (!s) return;
    free(s->home);
    free(s);
}

void kv_store_wait(kv_store *s)
{
    s->waits = true;
}

bool kv_store_waits(const kv_store *s)
{
    return s->waits;
}

const char *kv_store_home(const kv_store *s)
{
    return s->home;
}

/* --- blobs --- */

bool kv_store_has(kv_store *s, const kv_digest *d, uint64_t size)
{
    kv_auto_buf path = KV_BUF(KV_STORE_PATH_MAX);
    struct stat st;
    return kv_store_blob_path(s, d, &path, NULL) == KV_OK && stat(path.p, &st) == 0 &&
           S_ISREG(st.st_mode) && (uint64_t)st.st_size == size;
}

kv_code kv_store_open_blob(kv_store *s, const kv_digest *d, int *out_fd, uint64_t *out_size,
                           kv_error *err)
{
    kv_auto_buf path = KV_BUF(KV_STORE_PATH_MAX);
    KV_TRY(kv_store_blob_path(s, d, &path, err));
    kv_auto_fd fd = open(path.p, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return kv_fail_sys(err, "cannot open blob %s", kv_digest_str(d).s);
    struct stat st;
    if (fstat(fd, &st) < 0) return kv_fail_sys(err, "cannot stat blob %s", kv_digest_str(d).s);
    if (out_size) *out_size = (uint64_t)st.st_size;
    *out_fd = fd;
    fd = -1;
    return KV_OK;
}

kv_code kv_store_read(kv_store *s, const kv_digest *d, size_t max, char **out, size_t *out_n,
                      kv_error *err)
{
    kv_auto_fd fd = -1;
    KV_TRY(kv_store_open_blob(s, d, &fd, NULL, err));
    kv_digest_text name = kv_digest_str(d);
    kv_auto_buf text = KV_BUF(max);
    KV_TRY(kv_fd_read_all(fd, name.s, &text, err));
    kv_digest got = kv_digest_of(d->alg, kv_buf_sv(&text));
    if (!kv_digest_eq(&got, d))
        return kv_fail(err, KV_E_DIGEST, "blob %s in local storage is damaged", name.s);
    *out_n = text.n;
    *out = kv_buf_take(&text);
    return *out ? KV_OK : kv_fail(err, KV_E_NOMEM, "out of memory");
}

kv_code kv_store_manifest(kv_store *s, const kv_digest *d, kv_manifest **out, kv_error *err)
{
    kv_auto_str bytes = NULL;
    size_t n;
    KV_TRY(kv_store_read(s, d, KV_MANIFEST_BYTES_MAX, &bytes, &n, err));
    kv_code rc = kv_manifest_parse((kv_sv){bytes, n}, (kv_sv){"", 0}, out, err);
    return rc == KV_OK ? rc : kv_wrap(err, rc, "manifest %s", kv_digest_str(d).s);
}

kv_code kv_store_put(kv_store *s, kv_sv bytes, unsigned mode, kv_digest *out, bool *out_existed,
                     kv_error *err)
{
    kv_digest d = kv_digest_of(KV_SHA256, bytes);
    KV_TRY(kv_store_prepare(s, err));
    bool existed = kv_store_has(s, &d, bytes.n);
    if (!existed) {
        kv_auto_store_temp temp = KV_STORE_TEMP_NONE;
        KV_TRY(kv_store_temp_make(s, "storage/ingest", "blob", &temp, err));
        KV_TRY(kv_write_all(temp.fd, temp.path, bytes.p, bytes.n, err));
        KV_TRY(kv_store_adopt(s, &temp, &d, bytes.n, mode, &existed, err));
        KV_TRY(kv_store_sync_blobs(s, d.alg, err));
    }
    if (out) *out = d;
    if (out_existed) *out_existed = existed;
    return KV_OK;
}

/* --- names --- */

kv_code kv_store_resolve(kv_store *s, const kv_reference *ref, kv_digest *out, kv_error *err)
{
    kv_auto_buf stem = KV_BUF(KV_STORE_PATH_MAX);
    kv_auto_store_list index = {0}, tags = {0};
    if (!ref->digest.alg && !ref->tag.n)
        return kv_fail(err, KV_E_ARG, "reference has neither tag nor digest");
    KV_TRY(kv_store_stem(ref, &stem, err));
    /* Tags first: whoever adds writes the index before the tags, so a tag seen has its entry. */
    KV_TRY(kv_store_read_tags(s, stem.p, &tags, err));
    KV_TRY(kv_store_read_index(s, stem.p, &index, err));
    const kv_store_entry *e = kv_store_lookup(ref, &index, &tags);
    if (!e) return kv_store_not_found(ref, err);
    *out = e->digest;
    return KV_OK;
}

/* --- listing --- */

typedef struct listed {
    kv_sv registry, repository;
    kv_digest digest;
    uint64_t size;
    kv_sv *tags;
    size_t n_tags;
} listed;

typedef struct kv_store_listing {
    kv_store *store;
    kv_arena *arena;
    listed *items;
    size_t n, cap;
    kv_code code;
    kv_error err;
} kv_store_listing;

static int by_text(const void *a, const void *b)
{
    return kv_sv_cmp(*(const kv_sv *)a, *(const kv_sv *)b);
}

static kv_code take_tags(kv_store_listing *l, const kv_store_list *tags, listed *to, kv_error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < tags->n; i++)
        if (kv_digest_eq(&tags->items[i].digest, &to->digest)) n++;
    if (n == 0) return KV_OK;
    to->tags = KV_NEW(l->arena, kv_sv, n);
    if (!to->tags) return kv_fail(err, KV_E_NOMEM, "out of memory");
    for (size_t i = 0; i < tags->n; i++) {
        if (!kv_digest_eq(&tags->items[i].digest, &to->digest)) continue;
        kv_sv tag = kv_arena_dup(l->arena, tags->items[i].tag);
        if (!tag.p) return kv_fail(err, KV_E_NOMEM, "out of memory");
        to->tags[to->n_tags++] = tag;
    }
    qsort(to->tags, to->n_tags, sizeof(to->tags[0]), by_text);
    return KV_OK;
}

static kv_code take_repo(void *ctx, const char *stem, kv_sv name, kv_error *err)
{
    kv_store_listing *l = ctx;
    kv_auto_store_list index = {0}, tags = {0};
    KV_TRY(kv_store_read_tags(l->store, stem, &tags, err));
    KV_TRY(kv_store_read_index(l->store, stem, &index, err));
    kv_sv registry, copy = kv_arena_dup(l->arena, name);
    if (!copy.p) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_sv repository = kv_sv_cut(copy, '/', &registry, NULL);
    for (size_t i = 0; i < index.n; i++) {
        const kv_store_entry *e = &index.items[i];
        if (!e->digest.alg) continue;
        listed item = {
            .registry = registry, .repository = repository, .digest = e->digest, .size = e->size};
        KV_TRY(take_tags(l, &tags, &item, err));
        if (!KV_GROW(l->items, l->n, &l->cap)) return kv_fail(err, KV_E_NOMEM, "out of memory");
        l->items[l->n++] = item;
    }
    return KV_OK;
}

/* The local registry is not shown, so it does not count in the order either. */
static kv_sv shown_registry(const listed *l)
{
    return kv_sv_is(l->registry, KV_REGISTRY_LOCAL) ? (kv_sv){"", 0} : l->registry;
}

/* As if compared as "REGISTRY/REPOSITORY". */
static int by_name(const listed *x, const listed *y)
{
    kv_sv xr = shown_registry(x), yr = shown_registry(y);
    char a[1024], b[1024]; /* longer names are not references and sort by their first KiB */
    int an = snprintf(a, sizeof(a), "%.*s%s%.*s", KV_ARG(xr), xr.n ? "/" : "",
                      KV_ARG(x->repository));
    int bn = snprintf(b, sizeof(b), "%.*s%s%.*s", KV_ARG(yr), yr.n ? "/" : "",
                      KV_ARG(y->repository));
    return an < 0 || bn < 0 ? 0 : strcmp(a, b);
}

static int by_name_and_digest(const void *a, const void *b)
{
    const listed *x = a, *y = b;
    int c = by_name(x, y);
    if (c) return c;
    return strcmp(kv_digest_str(&x->digest).s, kv_digest_str(&y->digest).s);
}

enum { LISTING_BYTES_MAX = 48 << 20 }; /* names and tags of one listing; own */

kv_store_iter kv_store_begin(kv_store *s)
{
    kv_store_listing *l = calloc(1, sizeof(*l));
    if (!l) return (kv_store_iter){0};
    l->store = s;
    l->arena = kv_arena_new(LISTING_BYTES_MAX);
    if (l->arena)
        l->code = kv_store_each_repo(s, take_repo, l, &l->err);
    else
        l->code = kv_fail(&l->err, KV_E_NOMEM, "out of memory");
    if (l->code == KV_OK && l->n) qsort(l->items, l->n, sizeof(l->items[0]), by_name_and_digest);
    return (kv_store_iter){.mem = l};
}

bool kv_store_next(kv_store_iter *it)
{
    kv_store_listing *l = it->mem;
    if (!l || l->code != KV_OK || it->next >= l->n) return false;
    const listed *i = &l->items[it->next++];
    it->registry = i->registry;
    it->repository = i->repository;
    it->digest = i->digest;
    it->size = i->size;
    it->tags = i->tags;
    it->n_tags = i->n_tags;
    return true;
}

kv_code kv_store_end(kv_store_iter *it, kv_error *err)
{
    kv_store_listing *l = it->mem;
    if (!l && !it->ended) return kv_fail(err, KV_E_NOMEM, "out of memory");
    it->ended = true;
    it->mem = NULL;
    if (!l) return KV_OK;
    kv_code rc = l->code;
    if (rc != KV_OK && err) *err = l->err;
    kv_arena_free(l->arena);
    free(l->items);
    free(l);
    return rc;
}

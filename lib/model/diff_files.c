/* Files of two ModelKits side by side: two sorted lists, merged; then equal content is paired. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "kitvault/diff.h"

enum { LIST_BYTES_MAX = 40 << 20 };

const char *kv_change_kind_name(kv_change_kind kind)
{
    static const char *const NAMES[] = {
        [KV_CHANGE_ADDED] = "added",
        [KV_CHANGE_REMOVED] = "removed",
        [KV_CHANGE_CHANGED] = "changed",
        [KV_CHANGE_RENAMED] = "renamed",
    };
    return NAMES[kind];
}

/* --- one side --- */

typedef struct item {
    kv_file_state state;
    const struct item *other; /* the same path, or the content's old name, on the other side */
    size_t layer;
    bool paired; /* a removed file that was only renamed */
} item;
typedef struct side {
    item *items;
    size_t n, cap;
} side;

typedef struct diff {
    const kv_report *report;
    kv_arena *paths;
    size_t bytes; /* of both lists */
    side a, b;
    item **lost; /* of a, without the same path in b; sorted by content */
    size_t n_lost;
    kv_diff_sum sum;
} diff;

static void diff_clear(diff *d)
{
    free(d->lost);
    free(d->a.items);
    free(d->b.items);
    kv_arena_free(d->paths);
}

static kv_code add_file(diff *d, side *to, const kv_file_iter *it, kv_error *err)
{
    if (it->kind == KV_FILE_DIR) return KV_OK;
    kv_sv path = kv_arena_dup(d->paths, it->path);
    d->bytes += sizeof(item) + sizeof(item *) + path.n;
    if (!path.p || d->bytes > LIST_BYTES_MAX)
        return kv_fail(err, KV_E_LIMIT, "too many files to compare: more than %d MiB of names",
                       LIST_BYTES_MAX >> 20);
    if (!KV_GROW(to->items, to->n, &to->cap)) return kv_fail(err, KV_E_NOMEM, "out of memory");
    to->items[to->n++] = (item){.state = {.path = path,
                                          .kind = it->kind,
                                          .mode = it->mode,
                                          .size = it->size,
                                          .digest = it->digest},
                                .layer = it->layer};
    return KV_OK;
}

static int by_path_and_layer(const void *x, const void *y)
{
    const item *a = x, *b = y;
    int order = kv_sv_cmp(a->state.path, b->state.path);
    if (order) return order;
    return a->layer < b->layer ? -1 : a->layer > b->layer;
}

/* Of a path that several layers have the last one counts, as for unpack --overwrite. */
static void sort_side(side *s)
{
    size_t kept = 0;
    if (s->n) qsort(s->items, s->n, sizeof(s->items[0]), by_path_and_layer);
    for (size_t i = 0; i < s->n; i++) {
        if (kept && kv_sv_eq(s->items[kept - 1].state.path, s->items[i].state.path)) kept--;
        s->items[kept++] = s->items[i];
    }
    s->n = kept;
}

/* The path of a raw layer is not in its bytes, so equal bytes may be two files. */
static bool is_same_layer(const kv_descriptor *x, const kv_descriptor *y)
{
    if (!kv_digest_eq(&x->digest, &y->digest)) return false;
    if (kv_layer_type_of(x).form != KV_FORM_RAW) return true;
    return kv_sv_eq(kv_annotation_get(&x->annotations, KV_ANN_FILEPATH),
                    kv_annotation_get(&y->annotations, KV_ANN_FILEPATH));
}

static int by_digest(const void *x, const void *y)
{
    const kv_descriptor *const *a = x, *const *b = y;
    return memcmp(&(*a)->digest, &(*b)->digest, sizeof((*a)->digest));
}

/* sorted: n layers by digest. */
static bool has_layer(const kv_descriptor *const *sorted, size_t n, const kv_descriptor *layer)
{
    const kv_descriptor *const *hit = bsearch(&layer, sorted, n, sizeof(*sorted), by_digest);
    if (!hit) return false;
    size_t at = (size_t)(hit - sorted);
    while (at > 0 && by_digest(&sorted[at - 1], &layer) == 0) at--;
    for (; at < n && by_digest(&sorted[at], &layer) == 0; at++)
        if (is_same_layer(sorted[at], layer)) return true;
    return false;
}

/* Flags the layers of m that the other ModelKit has, too; malloc'ed, NULL when memory is gone. */
static bool *find_same(const kv_manifest *m, const kv_manifest *other, uint64_t *out_n)
{
    size_t n = other->n_layers;
    bool *same = calloc(m->n_layers + 1, sizeof(*same));
    const kv_descriptor **sorted = calloc(n + 1, sizeof(*sorted));
    *out_n = 0;
    if (!same || !sorted) {
        free(same);
        free(sorted);
        return NULL;
    }
    for (size_t i = 0; i < n; i++) sorted[i] = &other->layers[i];
    qsort(sorted, n, sizeof(*sorted), by_digest);
    for (size_t i = 0; i < m->n_layers; i++) {
        same[i] = has_layer(sorted, n, &m->layers[i]);
        *out_n += same[i];
    }
    free(sorted);
    return same;
}

static kv_code list_side(diff *d, const kv_diff_side *of, const kv_diff_side *other, side *out,
                         uint64_t *out_same, kv_error *err)
{
    bool *skip = find_same(of->m, other->m, out_same);
    if (!skip) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_auto_file_iter it = kv_files_begin(of->src, of->ref, of->m, skip, d->report);
    kv_code rc = KV_OK;
    while (rc == KV_OK && kv_files_next(&it)) rc = add_file(d, out, &it, err);
    if (rc == KV_OK) rc = kv_files_end(&it, err);
    free(skip);
    sort_side(out);
    return rc;
}

/* --- both --- */

static void match_paths(diff *d)
{
    size_t i = 0, j = 0;
    while (i < d->a.n && j < d->b.n) {
        item *x = &d->a.items[i], *y = &d->b.items[j];
        int order = kv_sv_cmp(x->state.path, y->state.path);
        if (order == 0) {
            x->other = y;
            y->other = x;
        }
        i += order <= 0;
        j += order >= 0;
    }
}

static bool has_content(const item *x)
{
    return x->state.kind == KV_FILE_REGULAR && x->state.size > 0;
}

static int by_content(const void *x, const void *y)
{
    const item *const *a = x, *const *b = y;
    int order = memcmp(&(*a)->state.digest, &(*b)->state.digest, sizeof((*a)->state.digest));
    return order ? order : kv_sv_cmp((*a)->state.path, (*b)->state.path);
}

/* The first lost file with that content that no other name has taken, or NULL. */
static item *take_lost(const diff *d, const kv_digest *digest)
{
    size_t low = 0, high = d->n_lost;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (memcmp(&d->lost[mid]->state.digest, digest, sizeof(*digest)) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    for (; low < d->n_lost && kv_digest_eq(&d->lost[low]->state.digest, digest); low++)
        if (!d->lost[low]->paired) return d->lost[low];
    return NULL;
}

static kv_code match_contents(diff *d, kv_error *err)
{
    d->lost = calloc(d->a.n + 1, sizeof(*d->lost));
    if (!d->lost) return kv_fail(err, KV_E_NOMEM, "out of memory");
    for (size_t i = 0; i < d->a.n; i++)
        if (!d->a.items[i].other && has_content(&d->a.items[i]))
            d->lost[d->n_lost++] = &d->a.items[i];
    if (d->n_lost) qsort(d->lost, d->n_lost, sizeof(d->lost[0]), by_content);
    for (size_t j = 0; j < d->b.n; j++) {
        item *y = &d->b.items[j];
        item *x = y->other || !has_content(y) ? NULL : take_lost(d, &y->state.digest);
        if (!x) continue;
        x->paired = true;
        y->other = x;
    }
    return KV_OK;
}

static bool is_same_file(const kv_file_state *x, const kv_file_state *y)
{
    return x->kind == y->kind && x->mode == y->mode && x->size == y->size &&
           kv_digest_eq(&x->digest, &y->digest);
}

static bool tell_of(diff *d, const item *x, const item *y, kv_file_change *out)
{
    static const kv_file_state NONE = {.path = KV_SV_INIT("")};
    *out = (kv_file_change){.before = x ? x->state : NONE, .after = y ? y->state : NONE};
    if (!x) {
        out->kind = KV_CHANGE_ADDED;
        d->sum.n_added++;
    } else if (!y) {
        out->kind = KV_CHANGE_REMOVED;
        d->sum.n_removed++;
    } else if (!kv_sv_eq(x->state.path, y->state.path)) {
        out->kind = KV_CHANGE_RENAMED;
        d->sum.n_renamed++;
    } else if (!is_same_file(&x->state, &y->state)) {
        out->kind = KV_CHANGE_CHANGED;
        d->sum.n_changed++;
    } else {
        d->sum.n_same++;
        return false;
    }
    return true;
}

static kv_code tell(diff *d, const item *x, const item *y, kv_file_change_fn *fn, void *ctx,
                    kv_error *err)
{
    kv_file_change c;
    KV_TRY(kv_check_cancel(d->report, err));
    return tell_of(d, x, y, &c) ? fn(ctx, &c, err) : KV_OK;
}

/* Files of b in their order, and those that only a has where they would stand. */
static kv_code tell_all(diff *d, kv_file_change_fn *fn, void *ctx, kv_error *err)
{
    size_t i = 0;
    for (size_t j = 0; j <= d->b.n; j++) {
        const item *y = j < d->b.n ? &d->b.items[j] : NULL;
        for (; i < d->a.n; i++) {
            const item *x = &d->a.items[i];
            if (y && kv_sv_cmp(x->state.path, y->state.path) > 0) break;
            if (!x->other && !x->paired) KV_TRY(tell(d, x, NULL, fn, ctx, err));
        }
        if (y) KV_TRY(tell(d, y->other, y, fn, ctx, err));
    }
    return KV_OK;
}

kv_code kv_diff_files(const kv_diff_side *a, const kv_diff_side *b, const kv_report *report,
                      kv_file_change_fn *fn, void *ctx, kv_diff_sum *out, kv_error *err)
{
    KV_CLEANUP(diff_clear) diff d = {.report = report, .paths = kv_arena_new(LIST_BYTES_MAX)};
    uint64_t same;
    *out = d.sum;
    if (!d.paths) return kv_fail(err, KV_E_NOMEM, "out of memory");
    KV_TRY(list_side(&d, a, b, &d.a, &same, err));
    KV_TRY(list_side(&d, b, a, &d.b, &d.sum.n_same_layers, err));
    match_paths(&d);
    KV_TRY(match_contents(&d, err));
    kv_code rc = tell_all(&d, fn, ctx, err);
    *out = d.sum;
    return rc;
}

/* Files of a ModelKit as a list, and the content of one of them. */
#include "kitvault/files.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "codec/hasher.h"
#include "model/layer_feed.h"
#include "model/layer_plan.h"

enum {
    BLOCK_BYTES = 256 * 1024,
    PATH_BYTES_MAX = 64 * 1024,
    /* Fewer bytes are read over: a request for what lies behind them costs more. Own. */
    SKIP_BYTES_MIN = 1 << 20,
    NEAR_MAX = 5,      /* similar paths that an error names */
    NEAR_NAME_MAX = 64 /* longer names are not compared letter by letter */
};

const char *kv_file_kind_name(kv_file_kind kind)
{
    return kind == KV_FILE_REGULAR ? "file" : kind == KV_FILE_DIR ? "dir" : "other";
}

/* --- a ModelKit that is being read --- */

typedef struct kit {
    const kv_kit_source *src;
    const kv_reference *ref;
    const kv_manifest *m;
    const kv_report *report;
    kv_kitfile *kitfile; /* NULL: a ModelPack without one */
    kv_layer_plan plan;
} kit;

static void kit_clear(kit *k)
{
    kv_layer_plan_clear(&k->plan);
    kv_kitfile_free(k->kitfile);
}

static kv_code kit_open(kit *k, kv_error *err)
{
    kv_auto_str text = NULL;
    size_t n;
    kv_code rc = kv_kit_kitfile_json(k->src, k->ref, k->m, &text, &n, err);
    bool bare = rc == KV_E_NOTFOUND && kv_manifest_kit_kind(k->m) == KV_KIT_MODELPACK;
    if (rc == KV_E_NOTFOUND && !bare) return kv_wrap(err, KV_E_CORRUPT, "the Kitfile is missing");
    if (!bare) {
        KV_TRY(rc);
        KV_TRY(kv_kitfile_parse_json((kv_sv){text, n}, &k->kitfile, err));
    }
    return kv_layer_plan_make(k->m, k->kitfile, k->report, &k->plan, err);
}

/* A layer that the manifest names and the source lacks is damage, not absence. */
static kv_code layer_error(const kv_descriptor *d, kv_code rc, kv_error *err)
{
    if (rc == KV_E_CANCELLED || rc == KV_OK) return rc;
    if (rc == KV_E_NOTFOUND)
        return kv_wrap(err, KV_E_CORRUPT, "layer %s is missing", kv_digest_str(&d->digest).s);
    return rc;
}

/* --- one layer --- */

/* Bytes of a layer by ranges. */
typedef struct ranges {
    const kit *k;
    const kv_descriptor *d;
    kv_kit_stream stream;
    uint64_t at;
} ranges;

static void ranges_stop(ranges *r)
{
    if (r->stream.close) r->stream.close(r->stream.ctx);
    r->stream = (kv_kit_stream){0};
}

static kv_code ranges_pull(void *ctx, void *dst, size_t n, size_t *out_n, kv_error *err)
{
    ranges *r = ctx;
    KV_TRY(kv_check_cancel(r->k->report, err));
    *out_n = 0;
    if (r->at >= r->d->size) return KV_OK;
    if (!r->stream.read)
        KV_TRY(r->k->src->open_at(r->k->src->ctx, r->k->ref, r->d, r->at, &r->stream, err));
    KV_TRY(r->stream.read(r->stream.ctx, dst, n, out_n, err));
    r->at += *out_n;
    return KV_OK;
}

static kv_code ranges_skip(void *ctx, uint64_t n, uint64_t *out_n, kv_error *err)
{
    ranges *r = ctx;
    (void)err;
    uint64_t left = r->d->size - r->at;
    *out_n = n < SKIP_BYTES_MIN ? 0 : n < left ? n : left;
    if (*out_n) ranges_stop(r);
    r->at += *out_n;
    return KV_OK;
}

/* An open layer: the next file, then its content in pieces. */
typedef struct layer {
    const kv_layer_step *step;
    kv_layer_feed feed;
    ranges ranges;
    bool ranged, taken; /* taken: the one file of a raw layer was handed out */
    kv_tar_reader *tar; /* NULL: a raw layer */
    kv_buf prefix, path;
    kv_file_kind kind;
    unsigned mode;
    uint64_t size;
    char *block; /* of a raw layer */
} layer;

static void layer_clear(layer *l)
{
    kv_tar_close(l->tar);
    kv_layer_feed_close(&l->feed);
    ranges_stop(&l->ranges);
    kv_buf_clear(&l->prefix);
    kv_buf_clear(&l->path);
    free(l->block);
    *l = (layer){0};
}

static kv_code layer_start(const kit *k, const kv_layer_step *s, bool ranged, layer *l,
                           kv_error *err)
{
    *l = (layer){.step = s,
                 .feed = {.report = k->report, .what = KV_SV("Reading")},
                 .ranges = {.k = k, .d = s->layer},
                 .ranged = ranged && s->type.form == KV_FORM_TAR && k->src->open_at,
                 .prefix = KV_BUF(PATH_BYTES_MAX),
                 .path = KV_BUF(PATH_BYTES_MAX)};
    l->feed.id = (uint64_t)(s->layer - k->m->layers);
    KV_TRY(kv_layer_prefix(s, &l->prefix, err));
    if (l->ranged)
        return kv_tar_open_skipping(KV_TAR_PLAIN, ranges_pull, ranges_skip, &l->ranges, &l->tar,
                                    err);
    KV_TRY(kv_layer_feed_open(&l->feed, k->src, k->ref, s->layer, err));
    if (s->type.form != KV_FORM_RAW)
        return kv_tar_open(kv_layer_filter(s->type.form), kv_layer_feed_pull, &l->feed, &l->tar,
                           err);
    l->block = malloc(BLOCK_BYTES);
    return l->block ? KV_OK : kv_fail(err, KV_E_NOMEM, "out of memory");
}

static kv_code layer_open(const kit *k, const kv_layer_step *s, bool ranged, layer *l,
                          kv_error *err)
{
    return layer_error(s->layer, layer_start(k, s, ranged, l, err), err);
}

static kv_code set_path(layer *l, kv_sv path, kv_error *err)
{
    kv_auto_buf joined = KV_BUF(PATH_BYTES_MAX);
    kv_buf_add(&joined, kv_buf_sv(&l->prefix));
    if (joined.n) kv_buf_addc(&joined, '/');
    kv_buf_add(&joined, path);
    KV_TRY(kv_buf_check(&joined, err));
    kv_buf_truncate(&l->path, 0);
    kv_path_clean(kv_buf_sv(&joined), &l->path);
    return kv_buf_check(&l->path, err);
}

static kv_code raw_next(layer *l, bool *out_more, kv_error *err)
{
    *out_more = !l->taken;
    l->taken = true;
    l->kind = KV_FILE_REGULAR;
    l->mode = kv_layer_raw_mode(l->step->layer);
    l->size = l->step->layer->size;
    return set_path(l, kv_layer_path(l->step->layer), err);
}

static kv_code layer_next(layer *l, bool *out_more, kv_error *err)
{
    if (!l->tar) return raw_next(l, out_more, err);
    kv_tar_entry e;
    KV_TRY(layer_error(l->step->layer, kv_tar_next(l->tar, &e, out_more, err), err));
    if (!*out_more) return KV_OK;
    l->kind = e.kind == KV_TAR_FILE  ? KV_FILE_REGULAR
              : e.kind == KV_TAR_DIR ? KV_FILE_DIR
                                     : KV_FILE_OTHER;
    l->mode = e.mode;
    l->size = l->kind == KV_FILE_REGULAR ? e.size : 0;
    return set_path(l, e.path, err);
}

static kv_code write_zeros(const layer *l, uint64_t n, const kv_file_sink *sink, kv_error *err)
{
    static const char ZEROS[64 * 1024];
    while (n) {
        size_t step = n < sizeof(ZEROS) ? (size_t)n : sizeof(ZEROS);
        KV_TRY(kv_check_cancel(l->feed.report, err));
        KV_TRY(sink->write(sink->ctx, ZEROS, step, err));
        n -= step;
    }
    return KV_OK;
}

static kv_code copy_entry(layer *l, const kv_file_sink *sink, kv_error *err)
{
    for (uint64_t at = 0;;) {
        const void *p;
        size_t n;
        uint64_t off = 0;
        KV_TRY(kv_tar_read(l->tar, &p, &n, &off, err));
        if (n == 0) return write_zeros(l, l->size > at ? l->size - at : 0, sink, err);
        if (off < at) return kv_fail(err, KV_E_CORRUPT, "archive with overlapping pieces");
        KV_TRY(write_zeros(l, off - at, sink, err));
        KV_TRY(sink->write(sink->ctx, p, n, err));
        at = off + n;
    }
}

static kv_code copy_raw(layer *l, const kv_file_sink *sink, kv_error *err)
{
    for (;;) {
        size_t n;
        KV_TRY(kv_layer_feed_pull(&l->feed, l->block, BLOCK_BYTES, &n, err));
        if (n == 0) return KV_OK;
        KV_TRY(sink->write(sink->ctx, l->block, n, err));
    }
}

static kv_code layer_copy(layer *l, const kv_file_sink *sink, kv_error *err)
{
    return l->tar ? copy_entry(l, sink, err) : copy_raw(l, sink, err);
}

static kv_code layer_verify(layer *l, kv_error *err)
{
    return l->ranged ? KV_OK : kv_layer_feed_verify(&l->feed, err);
}

/* --- the list --- */

typedef struct kv_file_walk {
    kit kit;
    const bool *skip;
    layer layer;
    bool open; /* layer is */
    size_t next;
    kv_code code;
    kv_error err;
} kv_file_walk;

kv_file_iter kv_files_begin(const kv_kit_source *src, const kv_reference *ref, const kv_manifest *m,
                            const bool *skip, const kv_report *report)
{
    kv_file_walk *w = calloc(1, sizeof(*w));
    if (!w) return (kv_file_iter){0};
    w->kit = (kit){.src = src, .ref = ref, .m = m, .report = report};
    w->skip = skip;
    w->code = kit_open(&w->kit, &w->err);
    return (kv_file_iter){.mem = w};
}

static kv_code hash_piece(void *ctx, const void *p, size_t n, kv_error *err)
{
    (void)err;
    kv_hasher_add(ctx, p, n);
    return KV_OK;
}

static kv_code take_file(kv_file_walk *w, kv_file_iter *it, kv_error *err)
{
    layer *l = &w->layer;
    it->path = kv_buf_sv(&l->path);
    it->kind = l->kind;
    it->mode = l->mode;
    it->size = l->size;
    it->digest = (kv_digest){0};
    it->layer = (size_t)(l->step->layer - w->kit.m->layers);
    if (l->kind != KV_FILE_REGULAR) return KV_OK;
    kv_hasher hasher;
    kv_hasher_init(&hasher, KV_SHA256);
    const kv_file_sink sink = {.write = hash_piece, .ctx = &hasher};
    KV_TRY(layer_copy(l, &sink, err));
    kv_hasher_end(&hasher, &it->digest);
    return KV_OK;
}

static bool skipped(const kv_file_walk *w, const kv_layer_step *s)
{
    return w->skip && w->skip[s->layer - w->kit.m->layers];
}

static kv_code next_file(kv_file_walk *w, kv_file_iter *it, bool *out_more, kv_error *err)
{
    *out_more = false;
    for (;;) {
        if (w->open) {
            KV_TRY(layer_next(&w->layer, out_more, err));
            if (*out_more) return take_file(w, it, err);
            KV_TRY(layer_verify(&w->layer, err));
            layer_clear(&w->layer);
            w->open = false;
        }
        while (w->next < w->kit.plan.n && skipped(w, &w->kit.plan.steps[w->next])) w->next++;
        if (w->next == w->kit.plan.n) return KV_OK;
        w->open = true;
        KV_TRY(layer_open(&w->kit, &w->kit.plan.steps[w->next++], false, &w->layer, err));
    }
}

bool kv_files_next(kv_file_iter *it)
{
    kv_file_walk *w = it->mem;
    bool more = false;
    if (!w || w->code != KV_OK) return false;
    w->code = next_file(w, it, &more, &w->err);
    return w->code == KV_OK && more;
}

kv_code kv_files_end(kv_file_iter *it, kv_error *err)
{
    kv_file_walk *w = it->mem;
    if (!w && !it->ended) return kv_fail(err, KV_E_NOMEM, "out of memory");
    it->ended = true;
    it->mem = NULL;
    if (!w) return KV_OK;
    kv_code rc = w->code;
    if (rc != KV_OK && err) *err = w->err;
    layer_clear(&w->layer);
    kit_clear(&w->kit);
    free(w);
    return rc;
}

void kv_files_clear(kv_file_iter *it)
{
    (void)!kv_files_end(it, NULL);
}

/* --- one file --- */

typedef struct search {
    kv_buf wanted; /* cleaned */
    bool is_dir;   /* a file below it was seen */
    kv_buf near;   /* similar paths, quoted, with commas */
    unsigned n_near;
    bool done;
} search;

static void search_clear(search *s)
{
    kv_buf_clear(&s->wanted);
    kv_buf_clear(&s->near);
}

static kv_sv base_name(kv_sv path)
{
    size_t slash = kv_sv_rfind(path, '/');
    return slash == SIZE_MAX ? path : kv_sv_from(path, slash + 1);
}

static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

/* Letters to insert, drop or replace between two short names, case aside. */
static size_t distance(kv_sv a, kv_sv b)
{
    size_t row[NEAR_NAME_MAX + 1];
    if (a.n > NEAR_NAME_MAX || b.n > NEAR_NAME_MAX) return SIZE_MAX;
    for (size_t j = 0; j <= b.n; j++) row[j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            size_t best = diagonal + (lower(a.p[i - 1]) != lower(b.p[j - 1]));
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[b.n];
}

static bool is_near(kv_sv wanted, kv_sv path)
{
    enum { TYPING_ERRORS = 2 };
    kv_sv a = base_name(wanted), b = base_name(path);
    if (kv_sv_eq_nocase(a, b)) return true;
    return a.n > 2 * TYPING_ERRORS && distance(a, b) <= TYPING_ERRORS;
}

static void note_near(search *s, kv_sv path)
{
    kv_sv wanted = kv_buf_sv(&s->wanted);
    if (path.n > wanted.n && path.p[wanted.n] == '/' && kv_sv_starts(path, wanted))
        s->is_dir = true;
    if (s->n_near == NEAR_MAX || !is_near(wanted, path)) return;
    kv_buf_addf(&s->near, "%s'%.*s'", s->n_near++ ? ", " : "", KV_ARG(kv_sv_sub(path, 0, 300)));
}

static kv_code check_kind(const layer *l, kv_error *err)
{
    kv_sv path = kv_sv_sub(kv_buf_sv(&l->path), 0, 1000);
    if (l->kind == KV_FILE_DIR)
        return kv_fail(err, KV_E_ARG, "'%.*s' is a directory", KV_ARG(path));
    if (l->kind == KV_FILE_OTHER)
        return kv_fail(err, KV_E_ARG, "'%.*s' is not a regular file", KV_ARG(path));
    return KV_OK;
}

static kv_code search_layer(const kit *k, const kv_layer_step *step, bool ranged, search *s,
                            const kv_file_sink *sink, kv_error *err)
{
    KV_CLEANUP(layer_clear) layer l = {0};
    KV_TRY(layer_open(k, step, ranged, &l, err));
    for (;;) {
        bool more = false;
        KV_TRY(layer_next(&l, &more, err));
        if (!more) break;
        if (!kv_sv_eq(kv_buf_sv(&l.path), kv_buf_sv(&s->wanted))) {
            if (l.kind == KV_FILE_REGULAR) note_near(s, kv_buf_sv(&l.path));
            continue;
        }
        KV_TRY(check_kind(&l, err));
        KV_TRY(layer_copy(&l, sink, err));
        s->done = true;
        break;
    }
    return layer_verify(&l, err);
}

/* Whether the layer's entry says that the wanted file lies in it. */
static bool is_likely(const kv_layer_step *step, kv_sv wanted)
{
    kv_auto_buf root = KV_BUF(PATH_BYTES_MAX);
    kv_path_clean(step->entry.path, &root);
    kv_sv r = kv_buf_sv(&root);
    if (root.failed || kv_sv_is(r, ".")) return true;
    return kv_sv_starts(wanted, r) && (wanted.n == r.n || wanted.p[r.n] == '/');
}

static kv_code search_kit(const kit *k, bool ranged, search *s, const kv_file_sink *sink,
                          kv_error *err)
{
    for (int likely = 1; likely >= 0; likely--)
        for (size_t i = 0; i < k->plan.n && !s->done; i++)
            if (is_likely(&k->plan.steps[i], kv_buf_sv(&s->wanted)) == likely)
                KV_TRY(search_layer(k, &k->plan.steps[i], ranged, s, sink, err));
    if (s->done) return KV_OK;
    kv_sv shown = kv_sv_sub(kv_buf_sv(&s->wanted), 0, 1000);
    if (s->is_dir) return kv_fail(err, KV_E_ARG, "'%.*s' is a directory", KV_ARG(shown));
    return kv_fail(err, KV_E_NOTFOUND, "no file '%.*s' in the ModelKit%s%s", KV_ARG(shown),
                   s->n_near ? "; similar: " : "", s->n_near && s->near.p ? s->near.p : "");
}

kv_code kv_file_cat(const kv_kit_source *src, const kv_reference *ref, const kv_manifest *m,
                    kv_sv path, bool verify, const kv_report *report, const kv_file_sink *sink,
                    kv_error *err)
{
    KV_CLEANUP(kit_clear) kit k = {.src = src, .ref = ref, .m = m, .report = report};
    KV_CLEANUP(search_clear)
    search s = {.wanted = KV_BUF(PATH_BYTES_MAX), .near = KV_BUF(KV_ERROR_TEXT_MAX)};
    kv_path_clean(path, &s.wanted);
    KV_TRY(kv_buf_check(&s.wanted, err));
    KV_TRY(kit_open(&k, err));
    return search_kit(&k, !verify, &s, sink, err);
}

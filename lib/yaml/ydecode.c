/* Nodes to values, and what is wrong with them in the words of yaml.v3. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/text.h"
#include "yaml/yaml.h"

kv_ydec kv_ydec_make(kv_arena *arena, unsigned max_depth, kv_error *err)
{
    /* Longer lists of problems are cut by kv_error anyway. */
    return (kv_ydec){
        .arena = arena, .max_depth = max_depth, .problems = KV_BUF(KV_ERROR_TEXT_MAX), .err = err};
}

kv_code kv_ydec_end(kv_ydec *d)
{
    kv_code rc = d->fatal;
    if (rc == KV_OK && (d->problems.n || d->problems.failed)) {
        kv_sv text = kv_buf_sv(&d->problems);
        rc = kv_fail(d->err, KV_E_INVALID, "yaml: unmarshal errors:%.*s", KV_ARG(text));
    }
    kv_buf_clear(&d->problems);
    return rc;
}

void kv_ydec_problem(kv_ydec *d, size_t line, const char *fmt, ...)
{
    if (d->fatal) return;
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    kv_buf_addf(&d->problems, "\n  line %zu: %s", line, text);
}

void kv_ydec_fail(kv_ydec *d, kv_code code, const char *fmt, ...)
{
    if (d->fatal) return;
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    d->fatal = kv_fail(d->err, code, "%s", text);
}

static void no_memory(kv_ydec *d)
{
    kv_ydec_fail(d, KV_E_LIMIT, "yaml: document needs too much memory");
}

void kv_ydec_mismatch(kv_ydec *d, const kv_ynode *n, const char *type)
{
    kv_sv v = n->value;
    bool cut = v.n > 10; /* yaml.v3 cuts bytes, also within a character */
    if (kv_sv_is(n->tag, "!!seq") || kv_sv_is(n->tag, "!!map"))
        kv_ydec_problem(d, n->line, "cannot unmarshal %.*s into %s", KV_ARG(n->tag), type);
    else
        kv_ydec_problem(d, n->line, "cannot unmarshal %.*s `%.*s%s` into %s", KV_ARG(n->tag),
                        cut ? 7 : (int)v.n, v.p, cut ? "..." : "", type);
}

/* --- visiting --- */

/* yaml.v3 refuses documents that consist of aliases for more than a share that falls with size. */
static bool is_bomb(const kv_ydec *d)
{
    const double low = 400000, high = 4000000;
    if (d->n_aliased <= 100 || d->n_nodes <= 1000) return false;
    double n = (double)d->n_nodes, share = 0.99;
    if (n >= high)
        share = 0.10;
    else if (n > low)
        share = 0.99 - 0.89 * (n - low) / (high - low);
    return (double)d->n_aliased / n > share;
}

static bool count(kv_ydec *d)
{
    d->n_nodes++;
    if (d->alias_depth) d->n_aliased++;
    if (is_bomb(d)) kv_ydec_fail(d, KV_E_LIMIT, "yaml: document contains excessive aliasing");
    return d->fatal == KV_OK;
}

bool kv_ydec_enter(kv_ydec *d, kv_ynode **n, kv_yvisit *visit)
{
    kv_ynode *node = *n;
    visit->alias = NULL;
    d->depth++;
    if (d->depth > d->max_depth + 1)
        kv_ydec_fail(d, KV_E_LIMIT, "yaml: line %zu: nested deeper than %u levels", node->line,
                     d->max_depth);
    if (!count(d) || node->kind != KV_YALIAS) return d->fatal == KV_OK;

    if (node->open) {
        kv_ydec_fail(d, KV_E_INVALID, "yaml: anchor '%.*s' value contains itself",
                     KV_ARG(node->value));
        return false;
    }
    visit->alias = node;
    node->open = true;
    d->alias_depth++;
    *n = node->target;
    return count(d);
}

void kv_ydec_leave(kv_ydec *d, kv_yvisit *visit)
{
    d->depth--;
    if (!visit->alias) return;
    visit->alias->open = false;
    d->alias_depth--;
}

static const kv_ynode *behind_alias(const kv_ynode *n)
{
    return n->kind == KV_YALIAS ? n->target : n; /* an anchor never names an alias */
}

bool kv_yaml_is_null(const kv_ynode *n)
{
    return kv_sv_is(behind_alias(n)->tag, "!!null");
}

bool kv_yaml_is_merge(const kv_ynode *key)
{
    return key->kind == KV_YSCALAR && kv_sv_is(key->value, "<<") && kv_sv_is(key->tag, "!!merge");
}

/* --- keys --- */

typedef struct key_at {
    const kv_ynode *node;
    size_t i;
} key_at;

static int by_key(const void *a, const void *b)
{
    const key_at *x = a, *y = b;
    if (x->node->kind != y->node->kind) return x->node->kind < y->node->kind ? -1 : 1;
    int c = kv_sv_cmp(x->node->value, y->node->value);
    return c ? c : x->i < y->i ? -1 : x->i > y->i;
}

static bool same_key(const kv_ynode *a, const kv_ynode *b)
{
    return a->kind == b->kind && kv_sv_eq(a->value, b->value);
}

/* A string as Go's %q has it. */
static void add_quoted(kv_buf *b, kv_sv s)
{
    static const char SHORT[] = "\aa\bb\ff\nn\rr\tt\vv\\\\\"\"";
    kv_buf_addc(b, '"');
    for (size_t i = 0; i < s.n;) {
        size_t n = kv_utf8_next(kv_sv_from(s, i));
        const char *e = NULL;
        for (size_t k = 0; k + 1 < sizeof(SHORT) && !e; k += 2)
            if (SHORT[k] == s.p[i]) e = &SHORT[k + 1];
        if (e)
            kv_buf_addf(b, "\\%c", *e);
        else if (n == 0 || (n == 1 && ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)))
            kv_buf_addf(b, "\\x%02x", (unsigned char)s.p[i]);
        else
            kv_buf_add(b, kv_sv_sub(s, i, i + n));
        i += n ? n : 1;
    }
    kv_buf_addc(b, '"');
}

static void say_twice(kv_ydec *d, const kv_ynode *first, const kv_ynode *again)
{
    kv_auto_buf name = KV_BUF(256);
    add_quoted(&name, again->value);
    kv_sv text = kv_buf_sv(&name);
    kv_ydec_problem(d, again->line, "mapping key %.*s already defined at line %zu", KV_ARG(text),
                    first->line);
}

/* Makes next[i] the index of the next key like key i, 0 when there is none. Returns whether there
 * is any. */
static bool link_twins(key_at *keys, size_t n, size_t *next)
{
    bool any = false;
    qsort(keys, n, sizeof(*keys), by_key);
    for (size_t i = 1; i < n; i++) {
        if (!same_key(keys[i - 1].node, keys[i].node)) continue;
        next[keys[i - 1].i] = keys[i].i;
        any = true;
    }
    return any;
}

bool kv_ydec_unique_keys(kv_ydec *d, const kv_ynode *map)
{
    size_t n = map->n / 2;
    if (n < 2) return true;
    key_at *keys = calloc(n, sizeof(*keys));
    size_t *next = calloc(n, sizeof(*next));
    if (!keys || !next) kv_ydec_fail(d, KV_E_NOMEM, "out of memory");
    for (size_t i = 0; i < n && !d->fatal; i++) keys[i] = (key_at){map->items[2 * i], i};
    bool unique = !d->fatal && !link_twins(keys, n, next);
    /* In the order of yaml.v3, by the first key and then the other one, while there is room. */
    for (size_t i = 0; i < n && !unique && !d->fatal; i++)
        for (size_t j = next[i]; j && !d->problems.failed; j = next[j])
            say_twice(d, map->items[2 * i], map->items[2 * j]);
    free(keys);
    free(next);
    return unique;
}

/* --- scalars --- */

static kv_sv decode_binary(kv_ydec *d, kv_sv text)
{
    kv_auto_buf packed = KV_BUF(text.n), bytes = KV_BUF(text.n);
    for (size_t i = 0; i < text.n; i++) /* Go skips line ends only */
        if (text.p[i] != '\n' && text.p[i] != '\r') kv_buf_addc(&packed, text.p[i]);
    kv_sv in = kv_buf_sv(&packed);
    if (in.n % 4 != 0 || kv_base64_parse(in, &bytes, NULL) != KV_OK) {
        kv_ydec_fail(d, KV_E_INVALID, "yaml: !!binary value contains invalid base64 data");
        return (kv_sv){NULL, 0};
    }
    kv_sv out = kv_arena_dup(d->arena, kv_buf_sv(&bytes));
    if (!out.p) no_memory(d);
    return out;
}

/* A scalar's value; texts but those of !!binary and of timestamps borrow the document. */
static bool typed(kv_ydec *d, const kv_ynode *n, kv_arena *arena, kv_value *out)
{
    kv_sv tag = n->tag;
    if (kv_sv_is(tag, "!!binary")) {
        *out = (kv_value){.kind = KV_VSTRING, .s = decode_binary(d, n->value)};
    } else if (!kv_yaml_resolve(tag, n->value, arena, &tag, out)) {
        kv_ydec_fail(d, KV_E_INVALID, "yaml: cannot decode %.*s `%.*s` as a %.*s", KV_ARG(tag),
                     (int)(n->value.n < 200 ? n->value.n : 200), n->value.p, KV_ARG(n->tag));
    }
    return d->fatal == KV_OK;
}

static void keep_text(kv_ydec *d, const kv_ynode *n, kv_sv *s)
{
    if (s->p == n->value.p) *s = kv_arena_dup(d->arena, *s);
    if (!s->p) no_memory(d);
}

static void scalar(kv_ydec *d, const kv_ynode *n, kv_value *out)
{
    if (typed(d, n, d->arena, out) && out->kind == KV_VSTRING) keep_text(d, n, &out->s);
}

bool kv_ydec_text(kv_ydec *d, const kv_ynode *n, kv_sv *out)
{
    kv_value v;
    if (!typed(d, n, NULL, &v) || v.kind == KV_VNULL) return false;
    *out = kv_sv_is(n->tag, "!!binary") ? v.s : n->value;
    keep_text(d, n, out);
    return d->fatal == KV_OK;
}

/* --- merges --- */

void kv_ydec_merges(kv_ydec *d, kv_ynode *value, void (*fn)(void *ctx, kv_ydec *d, kv_ynode *map),
                    void *ctx)
{
    kv_ynode **maps = &value;
    size_t n = 1;
    if (value->kind == KV_YSEQ) {
        maps = value->items;
        n = value->n;
    }
    for (size_t i = 0; i < n && !d->fatal; i++) {
        if (behind_alias(maps[i])->kind != KV_YMAP)
            kv_ydec_fail(d, KV_E_INVALID,
                         "yaml: map merge requires map or sequence of maps as the value");
        else
            fn(ctx, d, maps[i]);
    }
}

/* --- values of any kind --- */

typedef struct building { /* a map that grows by its own pairs and by merged ones */
    kv_member *items;
    size_t n, cap;
    bool mixed, may_repeat;
} building;

static void add_pairs(building *b, kv_ydec *d, const kv_ynode *map);

static void add_merged(void *ctx, kv_ydec *d, kv_ynode *map)
{
    building *b = ctx;
    kv_yvisit visit;
    b->may_repeat = true;
    if (kv_ydec_enter(d, &map, &visit) && kv_ydec_unique_keys(d, map)) add_pairs(b, d, map);
    kv_ydec_leave(d, &visit);
}

static bool key_text(building *b, kv_ydec *d, kv_ynode *key, kv_sv *out)
{
    kv_yvisit visit;
    bool ok = kv_ydec_enter(d, &key, &visit);
    if (ok && visit.alias) b->may_repeat = true;
    if (ok && key->kind != KV_YSCALAR) {
        kv_ydec_fail(d, KV_E_INVALID, "yaml: invalid map key at line %zu", key->line);
        ok = false;
    }
    if (ok && !kv_ydec_text(d, key, out)) {
        *out = KV_SV("null"); /* a null key makes the map one JSON cannot say */
        b->may_repeat = true; /* "~" and "" are the same key */
        ok = d->fatal == KV_OK;
    }
    kv_ydec_leave(d, &visit);
    return ok;
}

static void add_pairs(building *b, kv_ydec *d, const kv_ynode *map)
{
    kv_ynode *merge = NULL;
    for (size_t i = 0; i < map->n && !d->fatal; i += 2) {
        if (kv_yaml_is_merge(map->items[i])) {
            merge = map->items[i + 1];
            continue;
        }
        kv_sv key;
        if (!key_text(b, d, map->items[i], &key)) return;
        const kv_value *v = kv_ydec_value(d, map->items[i + 1]);
        if (!v) return;
        if (!KV_GROW(b->items, b->n, &b->cap)) {
            no_memory(d);
            return;
        }
        b->items[b->n++] = (kv_member){key, v};
    }
    if (merge) kv_ydec_merges(d, merge, add_merged, b);
}

typedef struct member_at {
    kv_sv key;
    size_t i;
} member_at;

static int by_member(const void *a, const void *b)
{
    const member_at *x = a, *y = b;
    int c = kv_sv_cmp(x->key, y->key);
    return c ? c : x->i < y->i ? -1 : x->i > y->i;
}

/* Of members with the same key the first one stays. */
static bool drop_repeats(building *b)
{
    member_at *at = calloc(b->n ? b->n : 1, sizeof(*at));
    if (!at) return false;
    for (size_t i = 0; i < b->n; i++) at[i] = (member_at){b->items[i].key, i};
    qsort(at, b->n, sizeof(*at), by_member);
    for (size_t i = 1; i < b->n; i++)
        if (kv_sv_eq(at[i - 1].key, at[i].key)) b->items[at[i].i].value = NULL;
    free(at);
    size_t n = 0;
    for (size_t i = 0; i < b->n; i++)
        if (b->items[i].value) b->items[n++] = b->items[i];
    b->n = n;
    return true;
}

static bool has_mixed_keys(const kv_ynode *map)
{
    for (size_t i = 0; i < map->n; i += 2) {
        kv_sv tag = behind_alias(map->items[i])->tag;
        if (!kv_sv_is(tag, "!!str") && !kv_sv_is(tag, "!!merge")) return true;
    }
    return false;
}

static void map_value(kv_ydec *d, const kv_ynode *n, kv_value *out)
{
    building b = {0};
    *out = (kv_value){.kind = KV_VMAP, .mixed_keys = has_mixed_keys(n)};
    if (!kv_ydec_unique_keys(d, n)) return;
    add_pairs(&b, d, n);
    if (b.may_repeat && !drop_repeats(&b)) no_memory(d);
    kv_member *items = d->fatal || !b.n ? NULL : KV_NEW(d->arena, kv_member, b.n);
    if (b.n && !items) no_memory(d);
    if (items) {
        memcpy(items, b.items, b.n * sizeof(*items));
        out->members = items;
        out->n = b.n;
    }
    free(b.items);
}

static void list_value(kv_ydec *d, const kv_ynode *n, kv_value *out)
{
    *out = (kv_value){.kind = KV_VLIST};
    if (!n->n) return;
    const kv_value **items = KV_NEW(d->arena, const kv_value *, n->n);
    if (!items) {
        no_memory(d);
        return;
    }
    for (size_t i = 0; i < n->n; i++)
        if (!(items[i] = kv_ydec_value(d, n->items[i]))) return;
    out->items = items;
    out->n = n->n;
}

const kv_value *kv_ydec_value(kv_ydec *d, kv_ynode *n)
{
    kv_yvisit visit;
    kv_value v = {0};
    if (kv_ydec_enter(d, &n, &visit)) {
        if (n->kind == KV_YMAP)
            map_value(d, n, &v);
        else if (n->kind == KV_YSEQ)
            list_value(d, n, &v);
        else
            scalar(d, n, &v);
    }
    kv_ydec_leave(d, &visit);
    if (d->fatal) return NULL;
    kv_value *out = KV_NEW(d->arena, kv_value, 1);
    if (!out) {
        no_memory(d);
        return NULL;
    }
    *out = v;
    return out;
}

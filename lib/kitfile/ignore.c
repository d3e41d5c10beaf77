/*
 * What is left out of a layer. Patterns have the grammar of Docker's ignore files: one of them is
 * a text, a prefix, a suffix, or a glob, which is run as a set of states over the path, so that no
 * pattern costs more than its length times that of the path.
 */
#include "kitfile/ignore.h"

#include <stdlib.h>

#include "base/file.h"

#define LINE_MAX_BYTES 4096u /* of a .kitignore; own */
#define IGNORE_ARENA_MAX                                                                           \
    (32u << 20) /* own: a token of 24 bytes for each byte of the file, and layers */

typedef enum token_kind {
    T_CHAR,
    T_ONE,   /* ? : one character but '/' */
    T_STAR,  /* * : a run of them */
    T_DEEP,  /* ** : nothing, or anything up to a '/' */
    T_ALL,   /* ** at the end: anything */
    T_CLASS, /* [...] */
} token_kind;

typedef struct token {
    token_kind kind;
    uint32_t c;
    kv_sv class; /* between the brackets */
} token;

typedef enum pattern_kind { P_EXACT, P_PREFIX, P_SUFFIX, P_GLOB } pattern_kind;

typedef struct pattern {
    pattern_kind kind;
    bool negated;
    kv_sv text; /* what is compared: without its "**" for prefix and suffix */
    token *tokens;
    size_t n_tokens;
} pattern;

struct kv_ignore {
    kv_arena *arena;
    pattern *patterns;
    size_t n_patterns, cap_patterns;
    kv_sv *layers; /* sorted, clean, without "." */
    size_t n_layers, cap_layers;
    bool negation;
};

void kv_ignore_free(kv_ignore *ig)
{
    if (!ig) return;
    kv_arena_free(ig->arena);
    free(ig->patterns);
    free(ig->layers);
    free(ig);
}

bool kv_ignore_has_negation(const kv_ignore *ig)
{
    return ig->negation;
}

static kv_code no_memory(kv_error *err)
{
    return kv_fail(err, KV_E_LIMIT, "invalid " KV_IGNORE_NAME " file: too many patterns or layers");
}

static kv_code bad_pattern(kv_error *err)
{
    return kv_fail(err, KV_E_SYNTAX, "invalid " KV_IGNORE_NAME " file: syntax error in pattern");
}

/* The character at s and its length; bytes that are no UTF-8 are all the same, as in Go. */
static uint32_t char_at(kv_sv s, size_t *out_n)
{
    size_t n = kv_utf8_next(s);
    const unsigned char *p = (const unsigned char *)s.p;
    *out_n = n ? n : 1;
    switch (n) {
    case 1: return p[0];
    case 2: return (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
    case 3: return (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
    case 4:
        return (p[0] & 0x07u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
    default: return 0xfffd;
    }
}

/* --- classes --- */

/* One end of a range: a character, or an escaped one. False: the class is malformed. */
static bool class_char(kv_sv *s, uint32_t *out)
{
    size_t n;
    if (!s->n || s->p[0] == '-' || s->p[0] == ']') return false;
    if (s->p[0] == '\\') *s = kv_sv_from(*s, 1);
    if (!s->n) return false;
    *out = char_at(*s, &n);
    if (*out == 0xfffd && n == 1) return false;
    *s = kv_sv_from(*s, n);
    return true;
}

typedef struct range {
    uint32_t from, to;
} range;

static bool next_range(kv_sv *s, range *out)
{
    if (!class_char(s, &out->from)) return false;
    out->to = out->from;
    if (s->n && s->p[0] == '-') {
        *s = kv_sv_from(*s, 1);
        if (!class_char(s, &out->to)) return false;
    }
    return out->from <= out->to;
}

/* The class at s, which begins behind its '['; *s moves behind its ']'. */
static bool take_class(kv_sv *s, kv_sv *out)
{
    kv_sv start = *s;
    range r;
    if (s->n && s->p[0] == '^') *s = kv_sv_from(*s, 1);
    do {
        if (!next_range(s, &r)) return false;
    } while (s->n && s->p[0] != ']');
    if (!s->n) return false;
    *out = kv_sv_sub(start, 0, start.n - s->n);
    *s = kv_sv_from(*s, 1);
    return true;
}

static bool in_class(kv_sv class, uint32_t c)
{
    bool negated = class.p[0] == '^', hit = false;
    if (negated) class = kv_sv_from(class, 1);
    range r;
    while (class.n && next_range(&class, &r)) hit = hit || (c >= r.from && c <= r.to);
    return hit != negated;
}

/* --- compiling --- */

/* What is known of a pattern's kind while it is read. */
static void add_token(pattern *p, token_kind kind, uint32_t c)
{
    p->tokens[p->n_tokens++] = (token){.kind = kind, .c = c};
    if (kind != T_CHAR) p->kind = P_GLOB;
}

static void take_stars(pattern *p, kv_sv *rest, bool first)
{
    *rest = kv_sv_from(*rest, 1);
    if (rest->n && rest->p[0] == '/') *rest = kv_sv_from(*rest, 1);
    bool exact = p->kind == P_EXACT;
    add_token(p, rest->n ? T_DEEP : T_ALL, 0);
    if (first)
        p->kind = P_SUFFIX;
    else if (!rest->n && exact)
        p->kind = P_PREFIX;
}

static bool compile(pattern *p)
{
    kv_sv rest = p->text;
    for (bool first = true; rest.n; first = false) {
        size_t n;
        uint32_t c = char_at(rest, &n);
        rest = kv_sv_from(rest, n);
        if (c == '*' && rest.n && rest.p[0] == '*') {
            take_stars(p, &rest, first);
        } else if (c == '*') {
            add_token(p, T_STAR, 0);
        } else if (c == '?') {
            add_token(p, T_ONE, 0);
        } else if (c == '[') {
            add_token(p, T_CLASS, 0);
            if (!take_class(&rest, &p->tokens[p->n_tokens - 1].class)) return false;
        } else if (c == '\\') {
            if (!rest.n) return false;
            add_token(p, T_CHAR, char_at(rest, &n));
            rest = kv_sv_from(rest, n);
            p->kind = P_GLOB;
        } else {
            add_token(p, T_CHAR, c);
            if (c == ']') p->kind = P_GLOB; /* kit: a "]" makes no plain suffix */
        }
    }
    if (p->kind == P_PREFIX) p->text.n -= 2;
    if (p->kind == P_SUFFIX) p->text = kv_sv_from(p->text, 2);
    return true;
}

static kv_code add_pattern(kv_ignore *ig, kv_sv text, bool negated, kv_error *err)
{
    if (!KV_GROW(ig->patterns, ig->n_patterns, &ig->cap_patterns)) return no_memory(err);
    pattern *p = &ig->patterns[ig->n_patterns];
    *p = (pattern){.negated = negated, .text = kv_arena_dup(ig->arena, text)};
    p->tokens = KV_NEW(ig->arena, token, text.n);
    if (!p->text.p || !p->tokens) return no_memory(err);
    if (!compile(p)) return bad_pattern(err);
    ig->negation = ig->negation || negated;
    ig->n_patterns++;
    return KV_OK;
}

/* The text of a line as it is matched: trimmed, clean, without a leading '/'. */
static kv_code clean_line(kv_sv line, kv_buf *out, kv_error *err)
{
    kv_auto_buf once = KV_BUF(LINE_MAX_BYTES);
    kv_path_clean(line, &once);
    KV_TRY(kv_buf_check(&once, err));
    kv_sv text = kv_buf_sv(&once);
    if (text.n > 1 && text.p[0] == '/') text = kv_sv_from(text, 1);
    kv_path_clean(kv_sv_trim(text), out);
    return kv_buf_check(out, err);
}

static kv_code add_line(kv_ignore *ig, kv_sv line, kv_error *err)
{
    if (line.n && line.p[0] == '#') return KV_OK;
    line = kv_sv_trim(line);
    if (!line.n) return KV_OK;
    if (line.n > LINE_MAX_BYTES)
        return kv_fail(err, KV_E_LIMIT,
                       "invalid " KV_IGNORE_NAME " file: line is longer than %u bytes",
                       LINE_MAX_BYTES);
    bool negated = line.p[0] == '!';
    if (negated) line = kv_sv_trim(kv_sv_from(line, 1));
    kv_auto_buf clean = KV_BUF(LINE_MAX_BYTES);
    if (line.n) KV_TRY(clean_line(line, &clean, err));
    kv_sv text = kv_buf_sv(&clean);
    if (!negated && text.p[0] == '!') { /* "/!x" is "!x" to kit */
        negated = true;
        text = kv_sv_from(text, 1);
    }
    if (!text.n)
        return kv_fail(err, KV_E_SYNTAX,
                       "invalid " KV_IGNORE_NAME " file: illegal exclusion pattern: \"!\"");
    return add_pattern(ig, text, negated, err);
}

static kv_code add_lines(kv_ignore *ig, kv_sv text, kv_error *err)
{
    static const char *const ALWAYS[] = {"Kitfile", "kitfile", ".kitfile", KV_IGNORE_NAME};
    if (text.n > KV_IGNORE_BYTES_MAX)
        return kv_fail(err, KV_E_LIMIT, "invalid " KV_IGNORE_NAME " file: larger than %u bytes",
                       KV_IGNORE_BYTES_MAX);
    if (kv_sv_starts(text, KV_SV("\xef\xbb\xbf"))) text = kv_sv_from(text, 3);
    while (text.n) {
        kv_sv line;
        text = kv_sv_cut(text, '\n', &line, NULL);
        KV_TRY(add_line(ig, line, err));
    }
    /* Last, so that no '!' line brings them back. */
    for (size_t i = 0; i < KV_COUNT(ALWAYS); i++)
        KV_TRY(add_pattern(ig, kv_sv_of(ALWAYS[i]), false, err));
    return KV_OK;
}

/* --- layers --- */

static kv_code add_layers(kv_ignore *ig, const kv_kitfile *kf, kv_error *err)
{
    kv_kitfile copy = *kf; /* only read here */
    kv_kitfile_iter it = kv_kitfile_begin(&copy);
    while (kv_kitfile_next(&it)) {
        kv_sv path = it.entry->path;
        if (it.kind == KV_LAYER_MODEL && !it.has_layer) continue;
        kv_auto_buf clean = KV_BUF(KV_KITFILE_BYTES_MAX);
        kv_path_clean(path, &clean);
        KV_TRY(kv_buf_check(&clean, err));
        if (kv_sv_is(kv_buf_sv(&clean), ".")) continue; /* holds every other layer */
        if (!KV_GROW(ig->layers, ig->n_layers, &ig->cap_layers)) return no_memory(err);
        kv_sv text = kv_arena_dup(ig->arena, kv_buf_sv(&clean));
        if (!text.p) return no_memory(err);
        ig->layers[ig->n_layers++] = text;
    }
    return KV_OK;
}

static int by_text(const void *a, const void *b)
{
    return kv_sv_cmp(*(const kv_sv *)a, *(const kv_sv *)b);
}

kv_code kv_ignore_new(kv_sv text, const kv_kitfile *kf, const kv_kitfile *parents, kv_ignore **out,
                      kv_error *err)
{
    kv_auto(kv_ignore) ig = calloc(1, sizeof(*ig));
    if (ig) ig->arena = kv_arena_new(IGNORE_ARENA_MAX);
    if (!ig || !ig->arena) return kv_fail(err, KV_E_NOMEM, "out of memory");
    KV_TRY(add_lines(ig, text, err));
    KV_TRY(add_layers(ig, kf, err));
    if (parents) KV_TRY(add_layers(ig, parents, err));
    if (ig->n_layers) qsort(ig->layers, ig->n_layers, sizeof(*ig->layers), by_text);
    *out = KV_TAKE(ig);
    return KV_OK;
}

/* --- matching --- */

/* Before which tokens a path so far may stand. */
typedef struct states {
    uint64_t bits[LINE_MAX_BYTES / 64 + 1];
} states;

static bool has(const states *s, size_t i)
{
    return s->bits[i / 64] >> (i % 64) & 1;
}

/* Adds i, and what is behind tokens that need nothing. */
static void add(states *s, const pattern *p, size_t i)
{
    for (;; i++) {
        s->bits[i / 64] |= UINT64_C(1) << (i % 64);
        if (i == p->n_tokens) return;
        token_kind k = p->tokens[i].kind;
        if (k != T_STAR && k != T_DEEP && k != T_ALL) return;
    }
}

/* From token i over the character c. */
static void step(const pattern *p, size_t i, uint32_t c, states *to)
{
    const token *t = &p->tokens[i];
    switch (t->kind) {
    case T_CHAR:
        if (t->c == c) add(to, p, i + 1);
        return;
    case T_ONE:
        if (c != '/') add(to, p, i + 1);
        return;
    case T_CLASS:
        if (in_class(t->class, c)) add(to, p, i + 1);
        return;
    case T_STAR:
        if (c != '/') add(to, p, i);
        return;
    case T_ALL: add(to, p, i); return;
    case T_DEEP: /* once begun it ends at a '/' only */
        to->bits[i / 64] |= UINT64_C(1) << (i % 64);
        if (c == '/') add(to, p, i + 1);
        return;
    }
}

static bool glob(const pattern *p, kv_sv path)
{
    states now = {0}, next;
    size_t words = p->n_tokens / 64 + 1;
    add(&now, p, 0);
    for (size_t n; path.n; path = kv_sv_from(path, n)) {
        uint32_t c = char_at(path, &n);
        bool any = false;
        for (size_t w = 0; w < words; w++) next.bits[w] = 0;
        for (size_t i = 0; i < p->n_tokens; i++) {
            if (!has(&now, i)) continue;
            step(p, i, c, &next);
            any = true;
        }
        if (!any) return false;
        now = next;
    }
    return has(&now, p->n_tokens);
}

static bool matches(const pattern *p, kv_sv path)
{
    switch (p->kind) {
    case P_EXACT: return kv_sv_eq(path, p->text);
    case P_PREFIX: return kv_sv_starts(path, p->text);
    case P_SUFFIX:
        return kv_sv_ends(path, p->text) ||
               (p->text.n && p->text.p[0] == '/' && kv_sv_eq(path, kv_sv_from(p->text, 1)));
    case P_GLOB: return glob(p, path);
    }
    return false;
}

/* The next ancestor of path from the top, behind the one of *n bytes; path itself is the last. */
static bool next_ancestor(kv_sv path, size_t *n)
{
    if (*n >= path.n) return false;
    size_t slash = kv_sv_find(kv_sv_from(path, *n + 1), '/');
    *n = slash == SIZE_MAX ? path.n : *n + 1 + slash;
    return true;
}

static bool matches_or_parent(const pattern *p, kv_sv path)
{
    for (size_t n = 0; next_ancestor(path, &n);)
        if (matches(p, kv_sv_sub(path, 0, n))) return true;
    return false;
}

static bool by_patterns(const kv_ignore *ig, kv_sv path)
{
    bool matched = false;
    for (size_t i = 0; i < ig->n_patterns; i++) {
        const pattern *p = &ig->patterns[i];
        if (p->negated == matched && matches_or_parent(p, path)) matched = !matched;
    }
    return matched;
}

static bool is_layer(const kv_ignore *ig, kv_sv path)
{
    return ig->n_layers &&
           bsearch(&path, ig->layers, ig->n_layers, sizeof(*ig->layers), by_text) != NULL;
}

/* Equal to dir, or below it. */
static bool is_within(kv_sv path, kv_sv dir)
{
    return kv_sv_starts(path, dir) && (path.n == dir.n || path.p[dir.n] == '/');
}

static bool in_other_layer(const kv_ignore *ig, kv_sv path, kv_sv layer_path)
{
    for (size_t n = 0; next_ancestor(path, &n);) {
        kv_sv above = kv_sv_sub(path, 0, n);
        if (is_layer(ig, above) && !is_within(layer_path, above)) return true;
    }
    return false;
}

bool kv_ignore_match(const kv_ignore *ig, kv_sv path, kv_sv layer_path)
{
    return by_patterns(ig, path) || in_other_layer(ig, path, layer_path);
}

bool kv_ignore_is_prefix_quirk(const kv_ignore *ig, kv_sv path, kv_sv layer_path)
{
    if (kv_ignore_match(ig, path, layer_path)) return false;
    for (size_t n = 1; n <= path.n; n++) {
        kv_sv start = kv_sv_sub(path, 0, n);
        if (is_layer(ig, start) && !kv_sv_starts(layer_path, start)) return true;
    }
    return false;
}

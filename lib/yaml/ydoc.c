/* libyaml's events as nodes; the only file that knows libyaml. */
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "yaml/yaml.h"

#define LONG_TAG "tag:yaml.org,2002:"
#define ANCHORS_MAX 1000u /* own; they are looked up one after the other */

struct kv_ydoc {
    kv_arena *arena;
    kv_ynode *root;
};

typedef struct anchor {
    kv_sv name;
    kv_ynode *node;
} anchor;

typedef struct reader {
    yaml_parser_t parser;
    kv_arena *arena;
    unsigned max_depth;
    anchor *anchors; /* the last one of a name counts */
    size_t n_anchors, cap_anchors;
    kv_ynode **open; /* children of all open collections, innermost last */
    size_t n_open, cap_open;
    kv_error *err;
} reader;

void kv_ydoc_free(kv_ydoc *doc)
{
    if (!doc) return;
    kv_arena_free(doc->arena);
    free(doc);
}

kv_ynode *kv_ydoc_root(const kv_ydoc *doc)
{
    return doc->root;
}

static kv_code no_memory(reader *r)
{
    return kv_fail(r->err, KV_E_LIMIT, "yaml: document needs too much memory");
}

/* The line yaml.v3 names: that of the context, unless it is the first, else that of the problem;
 * those of the scanner are one less than people count. */
static kv_code syntax_error(reader *r)
{
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR) return kv_fail(r->err, KV_E_NOMEM, "out of memory");
    size_t line = p->context_mark.line ? p->context_mark.line : p->problem_mark.line;
    if (line && p->error == YAML_SCANNER_ERROR) line++;
    const char *problem = p->problem ? p->problem : "unknown problem parsing YAML content";
    if (line) return kv_fail(r->err, KV_E_SYNTAX, "yaml: line %zu: %s", line, problem);
    return kv_fail(r->err, KV_E_SYNTAX, "yaml: %s", problem);
}

static kv_code next_event(reader *r, yaml_event_t *ev)
{
    return yaml_parser_parse(&r->parser, ev) ? KV_OK : syntax_error(r);
}

static kv_sv short_tag(kv_arena *arena, const yaml_char_t *tag)
{
    kv_sv t = kv_sv_of((const char *)tag);
    if (!kv_sv_starts(t, KV_SV(LONG_TAG))) return kv_arena_dup(arena, t);
    size_t cut = sizeof(LONG_TAG) - 1;
    char *p = KV_NEW(arena, char, t.n - cut + 3);
    if (!p) return (kv_sv){NULL, 0};
    p[0] = p[1] = '!';
    memcpy(p + 2, t.p + cut, t.n - cut);
    return (kv_sv){p, t.n - cut + 2};
}

static kv_code new_node(reader *r, kv_ykind kind, const yaml_event_t *ev, kv_ynode **out)
{
    kv_ynode *n = KV_NEW(r->arena, kv_ynode, 1);
    if (!n) return no_memory(r);
    n->kind = kind;
    n->line = ev->start_mark.line + 1;
    n->value = KV_SV("");
    n->tag = KV_SV("");
    *out = n;
    return KV_OK;
}

static kv_code remember(reader *r, const yaml_char_t *name, kv_ynode *n)
{
    if (!name) return KV_OK;
    if (r->n_anchors == ANCHORS_MAX)
        return kv_fail(r->err, KV_E_LIMIT, "yaml: line %zu: more than %u anchors", n->line,
                       ANCHORS_MAX);
    if (!KV_GROW(r->anchors, r->n_anchors, &r->cap_anchors)) return no_memory(r);
    kv_sv copy = kv_arena_dup(r->arena, kv_sv_of((const char *)name));
    if (!copy.p) return no_memory(r);
    r->anchors[r->n_anchors++] = (anchor){copy, n};
    return KV_OK;
}

/* An explicit tag, "!" being none. */
static bool has_tag(const yaml_char_t *tag)
{
    return tag && tag[0] && !(tag[0] == '!' && !tag[1]);
}

static kv_code set_tag(reader *r, kv_ynode *n, const yaml_char_t *tag, kv_sv otherwise)
{
    n->tag = has_tag(tag) ? short_tag(r->arena, tag) : otherwise;
    return n->tag.p ? KV_OK : no_memory(r);
}

static kv_code scalar(reader *r, const yaml_event_t *ev, kv_ynode **out)
{
    KV_TRY(new_node(r, KV_YSCALAR, ev, out));
    kv_ynode *n = *out;
    n->quoted = ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    n->value = kv_arena_dup(r->arena,
                            (kv_sv){(const char *)ev->data.scalar.value, ev->data.scalar.length});
    if (!n->value.p) return no_memory(r);

    kv_sv tag = KV_SV("!!str");
    if (!n->quoted && kv_sv_is(n->value, "<<"))
        tag = KV_SV("!!merge");
    else if (!n->quoted && !has_tag(ev->data.scalar.tag))
        (void)kv_yaml_resolve(KV_SV(""), n->value, NULL, &tag, &(kv_value){0});
    KV_TRY(set_tag(r, n, ev->data.scalar.tag, tag));
    return remember(r, ev->data.scalar.anchor, n);
}

static kv_code alias(reader *r, const yaml_event_t *ev, kv_ynode **out)
{
    KV_TRY(new_node(r, KV_YALIAS, ev, out));
    kv_ynode *n = *out;
    n->value = kv_arena_dup(r->arena, kv_sv_of((const char *)ev->data.alias.anchor));
    if (!n->value.p) return no_memory(r);
    for (size_t i = r->n_anchors; i > 0 && !n->target; i--)
        if (kv_sv_eq(r->anchors[i - 1].name, n->value)) n->target = r->anchors[i - 1].node;
    if (!n->target)
        return kv_fail(r->err, KV_E_SYNTAX, "yaml: unknown anchor '%.*s' referenced",
                       KV_ARG(n->value));
    return KV_OK;
}

/* A collection as long as it is open. */
typedef struct level {
    kv_ynode *node;
    size_t first; /* of its children in reader.open */
} level;

static kv_code collection(reader *r, const yaml_event_t *ev, kv_ynode **out)
{
    bool map = ev->type == YAML_MAPPING_START_EVENT;
    KV_TRY(new_node(r, map ? KV_YMAP : KV_YSEQ, ev, out));
    const yaml_char_t *tag = map ? ev->data.mapping_start.tag : ev->data.sequence_start.tag;
    KV_TRY(set_tag(r, *out, tag, map ? KV_SV("!!map") : KV_SV("!!seq")));
    return remember(r, map ? ev->data.mapping_start.anchor : ev->data.sequence_start.anchor, *out);
}

static kv_code push(reader *r, kv_ynode *n)
{
    if (!KV_GROW(r->open, r->n_open, &r->cap_open)) return no_memory(r);
    r->open[r->n_open++] = n;
    return KV_OK;
}

static kv_code close_level(reader *r, const level *l)
{
    kv_ynode *n = l->node;
    n->n = r->n_open - l->first;
    if (n->n) {
        n->items = KV_NEW(r->arena, kv_ynode *, n->n);
        if (!n->items) return no_memory(r);
        memcpy(n->items, r->open + l->first, n->n * sizeof(*n->items));
    }
    r->n_open = l->first;
    return KV_OK;
}

static kv_code one_event(reader *r, const yaml_event_t *ev, kv_ynode **out)
{
    switch (ev->type) {
    case YAML_SCALAR_EVENT: return scalar(r, ev, out);
    case YAML_ALIAS_EVENT: return alias(r, ev, out);
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT: return collection(r, ev, out);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_START_EVENT:
    case YAML_DOCUMENT_END_EVENT: return kv_fail(r->err, KV_E_INTERNAL, "yaml: unexpected event");
    }
    return kv_fail(r->err, KV_E_INTERNAL, "yaml: unknown event");
}

static kv_code read_nodes(reader *r, level *levels, kv_ynode **out)
{
    unsigned depth = 0;
    *out = NULL;
    do {
        yaml_event_t ev;
        KV_TRY(next_event(r, &ev));
        kv_ynode *n = NULL;
        kv_code rc = KV_OK;
        bool end = ev.type == YAML_SEQUENCE_END_EVENT || ev.type == YAML_MAPPING_END_EVENT;
        if (end)
            rc = close_level(r, &levels[--depth]);
        else if ((rc = one_event(r, &ev, &n)) == KV_OK)
            rc = depth ? push(r, n) : KV_OK;
        bool start = ev.type == YAML_SEQUENCE_START_EVENT || ev.type == YAML_MAPPING_START_EVENT;
        size_t line = ev.start_mark.line + 1;
        yaml_event_delete(&ev);
        if (rc != KV_OK) return rc;

        if (!*out) *out = n;
        if (start && depth == r->max_depth)
            return kv_fail(r->err, KV_E_LIMIT, "yaml: line %zu: nested deeper than %u levels", line,
                           r->max_depth);
        if (start) levels[depth++] = (level){n, r->n_open};
    } while (depth);
    return KV_OK;
}

/* Further documents are not looked at. What follows without a "---" would be lost by the same
 * rule, and kit does lose it: a key that is indented one blank less ends the document. */
static kv_code check_end(reader *r)
{
    yaml_event_t ev;
    const yaml_parser_t *p = &r->parser;
    if (yaml_parser_parse(&r->parser, &ev)) {
        yaml_event_delete(&ev);
        return KV_OK;
    }
    if (p->error != YAML_PARSER_ERROR || !p->problem ||
        !strstr(p->problem, "expected <document start>"))
        return KV_OK;
    return kv_fail(r->err, KV_E_SYNTAX, "yaml: line %zu: text behind the end of the document",
                   p->problem_mark.line + 1);
}

/* The nodes of the first document, if there is one. */
static kv_code read_document(reader *r, kv_ynode **out)
{
    yaml_event_t ev;
    bool start = false;
    while (!start) {
        KV_TRY(next_event(r, &ev));
        bool end = ev.type == YAML_STREAM_END_EVENT;
        start = ev.type == YAML_DOCUMENT_START_EVENT;
        yaml_event_delete(&ev);
        if (end) return KV_OK;
    }
    level *levels = calloc(r->max_depth, sizeof(*levels));
    if (!levels) return kv_fail(r->err, KV_E_NOMEM, "out of memory");
    kv_code rc = read_nodes(r, levels, out);
    free(levels);
    if (rc != KV_OK) return rc;
    KV_TRY(next_event(r, &ev)); /* the document's end, or what is wrong there */
    yaml_event_delete(&ev);
    return check_end(r);
}

kv_code kv_ydoc_parse(kv_sv text, unsigned max_depth, size_t max_bytes, kv_ydoc **out,
                      kv_error *err)
{
    kv_auto(kv_ydoc) doc = calloc(1, sizeof(*doc));
    if (doc) doc->arena = kv_arena_new(max_bytes);
    reader r = {.arena = doc ? doc->arena : NULL, .max_depth = max_depth, .err = err};
    if (!r.arena || !yaml_parser_initialize(&r.parser))
        return kv_fail(err, KV_E_NOMEM, "out of memory");
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)(text.p ? text.p : ""), text.n);

    kv_code rc = read_document(&r, &doc->root);
    yaml_parser_delete(&r.parser);
    free(r.anchors);
    free(r.open);
    if (rc == KV_OK) *out = KV_TAKE(doc);
    return rc;
}

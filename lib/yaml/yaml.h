#pragma once
/*
 * YAML as kit's library (yaml.v3 of Go) understands it: nodes with lines, plain scalars typed by
 * the mix of YAML 1.1 and 1.2 it uses, problems collected in its words. libyaml does the syntax,
 * behind ydoc.c alone.
 */
#include "base/str.h"
#include "kitvault/value.h"

typedef enum kv_ykind { KV_YSCALAR, KV_YSEQ, KV_YMAP, KV_YALIAS } kv_ykind;

typedef struct kv_ynode kv_ynode;
struct kv_ynode {
    kv_ykind kind;
    bool quoted; /* a scalar in quotes or a block scalar: text, unless it has a tag */
    kv_sv tag;   /* short form; given, or what the node resolves to; never empty but for aliases */
    kv_sv value; /* text of a scalar, name of an alias; else empty */
    size_t line; /* from 1 */
    size_t n;    /* items of a sequence; keys and values of a map, so twice its pairs */
    kv_ynode **items;
    kv_ynode *target; /* of an alias: never itself an alias; may contain it */
    bool open;        /* private: an alias that is being followed */
};

typedef struct kv_ydoc kv_ydoc;
/**
 * Parses the first document of text; further ones are not looked at.
 * max_depth: of sequences and maps within each other. max_bytes: bound on the memory of the nodes.
 * Errors: KV_E_SYNTAX "yaml: line 3: did not find expected key" and the like, KV_E_LIMIT,
 * KV_E_NOMEM. Ownership: kv_ydoc_free; keeps its own copy of text. Threads: pure.
 * Source: YAML 1.1 as libyaml reads it; texts of kit-compat 1.1.
 */
KV_MUST_CHECK kv_code kv_ydoc_parse(kv_sv text, unsigned max_depth, size_t max_bytes, kv_ydoc **out,
                                    kv_error *err);
void kv_ydoc_free(kv_ydoc *doc);
KV_DEFINE_AUTO(kv_ydoc, kv_ydoc_free)
kv_ynode *kv_ydoc_root(const kv_ydoc *doc); /* NULL: the stream has no document */

/* --- scalars --- */

/**
 * Types a scalar. tag: an explicit short tag ("!!int"), or empty. A timestamp becomes its RFC 3339
 * text, which arena (may be NULL when *out is not used) holds. Strings borrow text.
 * Returns the tag it has, static or borrowed from tag; false when it cannot be what tag says.
 * Source: kit-compat 1.3; resolve.go of yaml.v3 for the order of the tries.
 */
bool kv_yaml_resolve(kv_sv tag, kv_sv text, kv_arena *arena, kv_sv *out_tag, kv_value *out);
/** Whether text written without quotes would be read as something else than a string, by this or
 * older versions of YAML. */
bool kv_yaml_needs_quotes(kv_sv text);

/* --- decoding --- */

/**
 * One run over the nodes of a document: what is wrong is collected and reported at the end.
 * Caller's storage; make, decode, end.
 */
typedef struct kv_ydec {
    kv_arena *arena;    /* borrowed: values are made here */
    unsigned max_depth; /* aliases may add to the document's own depth */
    kv_buf problems;    /* lines */
    kv_code fatal;      /* nothing more is decoded */
    kv_error *err;      /* may be NULL; filled with fatal */
    unsigned depth, alias_depth;
    size_t n_nodes, n_aliased;
} kv_ydec;
kv_ydec kv_ydec_make(kv_arena *arena, unsigned max_depth, kv_error *err);
/** Releases; KV_E_INVALID "yaml: unmarshal errors:" and a line each, or the fatal error. */
KV_MUST_CHECK kv_code kv_ydec_end(kv_ydec *d);
/** Adds "  line N: ..." */
void kv_ydec_problem(kv_ydec *d, size_t line, const char *fmt, ...) KV_PRINTF(3, 4);
/** Adds "cannot unmarshal TAG `value` into TYPE". */
void kv_ydec_mismatch(kv_ydec *d, const kv_ynode *n, const char *type);
/** Stops decoding with an error of its own. */
void kv_ydec_fail(kv_ydec *d, kv_code code, const char *fmt, ...) KV_PRINTF(3, 4);

/**
 * Every node is decoded between enter and leave. enter counts and follows an alias: *n becomes the
 * node meant. False: fatal, decode nothing; leave it all the same.
 */
typedef struct kv_yvisit {
    kv_ynode *alias; /* NULL: none */
} kv_yvisit;
bool kv_ydec_enter(kv_ydec *d, kv_ynode **n, kv_yvisit *visit);
void kv_ydec_leave(kv_ydec *d, kv_yvisit *visit);

/** Names keys that a map has twice; false when there are any. */
bool kv_ydec_unique_keys(kv_ydec *d, const kv_ynode *map);
/** A "<<" that is not quoted. */
bool kv_yaml_is_merge(const kv_ynode *key);
bool kv_yaml_is_null(const kv_ynode *n); /* follows aliases */
/** A scalar as text: source text, decoded for !!binary. False: null, or fatal. */
bool kv_ydec_text(kv_ydec *d, const kv_ynode *scalar, kv_sv *out);
/** A node of any kind as a value; NULL: fatal. */
const kv_value *kv_ydec_value(kv_ydec *d, kv_ynode *n);
/** Calls fn for each map that a "<<" names, nearest first. fn enters it itself. */
void kv_ydec_merges(kv_ydec *d, kv_ynode *value, void (*fn)(void *ctx, kv_ydec *d, kv_ynode *map),
                    void *ctx);

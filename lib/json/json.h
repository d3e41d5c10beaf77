#pragma once
/* JSON: a strict parser, tables that bind objects to structs both ways, one writer.
 * The parser is yyjson's, behind json.c alone. */
#include "base/str.h"

typedef struct yyjson_val kv_json; /* a parsed value, borrowed from its document */
typedef struct kv_jdoc kv_jdoc;

#define KV_JSON_DEPTH_MAX 64 /* own; the deepest honest document seen has 9 levels */
/* Own; keys count too. A manifest of KV_MANIFEST_ENTRIES_MAX descriptors has about a million. */
#define KV_JSON_VALUES_MAX (2u << 20)

typedef enum kv_jkind { KV_JNONE, KV_JNULL, KV_JBOOL, KV_JNUM, KV_JSTR, KV_JARR, KV_JOBJ } kv_jkind;

/**
 * Parses one strict RFC 8259 document (UTF-8, no comments, no trailing bytes but white space).
 * Ownership: *out is freed with kv_jdoc_free and keeps its own copy of text.
 * Errors: KV_E_SYNTAX (with line and column), KV_E_INVALID (a key twice in one object, named by
 * path), KV_E_LIMIT (deeper than KV_JSON_DEPTH_MAX, more than KV_JSON_VALUES_MAX), KV_E_NOMEM.
 * Threads: the result is read-only, shared. Source: RFC 8259.
 */
KV_MUST_CHECK kv_code kv_jdoc_parse(kv_sv text, kv_jdoc **out, kv_error *err);
void kv_jdoc_free(kv_jdoc *doc);
const kv_json *kv_jdoc_root(const kv_jdoc *doc);
KV_DEFINE_AUTO(kv_jdoc, kv_jdoc_free)

/* Reading. Every function takes NULL for "absent". Pure. */
kv_jkind kv_json_kind(const kv_json *v); /* NULL: KV_JNONE */
const kv_json *kv_json_get(const kv_json *obj, const char *key);
kv_sv kv_json_str(const kv_json *v);      /* not a string: {NULL, 0}; may hold NUL bytes */
kv_sv kv_json_num_text(const kv_json *v); /* the number as it was written; not a number: "" */
bool kv_json_bool(const kv_json *v);      /* anything but true: false */
bool kv_json_i64(const kv_json *v, int64_t *out); /* false: not an integer in range */
bool kv_json_u64(const kv_json *v, uint64_t *out);
size_t kv_json_len(const kv_json *v); /* elements of an array, members of an object, else 0 */
typedef struct kv_jiter {
    const kv_json *next;
    size_t left;
    bool object;
} kv_jiter;
kv_jiter kv_json_iter(const kv_json *v); /* of an array or object; others: empty */
/** Next element, NULL at the end; out_key (may be NULL) is set for objects. */
const kv_json *kv_json_next(kv_jiter *it, kv_sv *out_key);

/* --- tables --- */
typedef struct kv_jtable kv_jtable;
typedef struct kv_jfield {
    const char *key;
    size_t off;
    char kind; /* from the member's type; a type not listed does not compile */
    bool required;
    bool keep_empty;      /* writer: emit even when empty or zero */
    const kv_jtable *sub; /* kinds o and l */
} kv_jfield;
struct kv_jtable {
    const kv_jfield *fields;
    size_t n;
    size_t size; /* sizeof the struct */
    bool strict; /* unknown keys are errors; else they are skipped */
};
/* A list member: declare as KV_JLIST(elem) name; elem is a struct with a table, or kv_sv. */
#define KV_JLIST(T)                                                                                \
    struct {                                                                                       \
        T *items;                                                                                  \
        size_t n;                                                                                  \
    }
/* clang-format off */
#define KV_JFIELD(T, m, k, req) {.key = (k), .off = offsetof(T, m), .required = (req), \
    .kind = _Generic(((T *)0)->m, kv_sv: 's', int64_t: 'i', uint64_t: 'u', bool: 'b', const kv_json *: 'v')}
/* the same, written even when empty */
#define KV_JFIELD_KEEP(T, m, k, req) {.key = (k), .off = offsetof(T, m), .required = (req), .keep_empty = true, \
    .kind = _Generic(((T *)0)->m, kv_sv: 's', int64_t: 'i', uint64_t: 'u', bool: 'b', const kv_json *: 'v')}
/* an object bound in place; absent leaves the member zero */
#define KV_JOBJECT(T, m, k, req, table) {.key = (k), .off = offsetof(T, m), .required = (req), .kind = 'o', .sub = (table)}
/* a list of objects, of strings */
#define KV_JOBJECTS(T, m, k, req, table) {.key = (k), .off = offsetof(T, m), .required = (req), .kind = 'l', .sub = (table)}
#define KV_JSTRINGS(T, m, k, req) {.key = (k), .off = offsetof(T, m), .required = (req), .kind = 'S'}
#define KV_JTABLE(T, f) {.fields = (f), .n = KV_COUNT(f), .size = sizeof(T)}
/* clang-format on */
/**
 * Reads an object into the struct at out (zeroed first). null counts as absent. Strings borrow
 * from the document; lists are made in arena. where is the path printed in errors ("" at the top).
 * Errors: KV_E_INVALID "layers[2].size: expected integer"; KV_E_NOMEM.
 */
KV_MUST_CHECK kv_code kv_json_bind(const kv_json *obj, const kv_jtable *t, kv_arena *arena,
                                   const char *where, void *out, kv_error *err);

/* --- writing --- */
typedef enum kv_jprofile {
    KV_JSON_GO,  /* bytes of Go's encoding/json: <, >, & and U+2028/9 escaped; keys as given */
    KV_JSON_JCS, /* RFC 8785; keys sorted, numbers as ECMAScript prints them */
} kv_jprofile;
#define KV_JOUT_DEPTH_MAX 64
typedef struct kv_jout { /* caller's storage, nothing to free; failures stick in buf */
    kv_buf *buf;
    kv_jprofile profile;
    unsigned indent; /* blanks per level; 0: compact */
    unsigned depth;
    bool first, after_key;
} kv_jout;
kv_jout kv_jout_make(kv_buf *buf, kv_jprofile profile, unsigned indent);
void kv_jout_obj(kv_jout *j);
void kv_jout_end_obj(kv_jout *j);
void kv_jout_arr(kv_jout *j);
void kv_jout_end_arr(kv_jout *j);
void kv_jout_key(kv_jout *j, kv_sv key);
void kv_jout_str(kv_jout *j, kv_sv s);
void kv_jout_i64(kv_jout *j, int64_t v);
void kv_jout_u64(kv_jout *j, uint64_t v);
void kv_jout_double(kv_jout *j, double v); /* finite; shortest digits that read back equal */
void kv_jout_bool(kv_jout *j, bool v);
void kv_jout_null(kv_jout *j);
void kv_jout_raw(kv_jout *j, kv_sv json); /* one value already in the right form */
/** A parsed tree. In the JCS profile keys are sorted; in the Go profile they keep their order and
 * numbers their text. */
void kv_jout_value(kv_jout *j, const kv_json *v);
/** A struct by its table; empty and zero members without keep_empty are left out. */
void kv_jout_struct(kv_jout *j, const kv_jtable *t, const void *value);
/* key + value in one line */
void kv_jout_kstr(kv_jout *j, const char *key, kv_sv s);
void kv_jout_ku64(kv_jout *j, const char *key, uint64_t v);
void kv_jout_kbool(kv_jout *j, const char *key, bool v);
/** Shortest decimal that reads back as v, in the form both profiles share (1e-7, 1e+21, 0.1). */
void kv_json_double_add(kv_buf *out, double v);
/** Rewrites one document in canonical form. Errors: as kv_jdoc_parse. Source: RFC 8785. */
KV_MUST_CHECK kv_code kv_json_canonical(kv_sv text, kv_buf *out, kv_error *err);

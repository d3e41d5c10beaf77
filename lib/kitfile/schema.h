#pragma once
/* The fields of a Kitfile, once: reading and writing YAML and JSON and selecting follow them. */
#include "base/str.h"
#include "kitvault/kitfile.h"

typedef enum kf_kind {
    KF_STRING,  /* kv_sv */
    KF_STRINGS, /* kv_kitfile_strings */
    KF_VALUE,   /* const kv_value * */
    KF_DIGEST,  /* kv_digest; not in YAML */
    KF_STRUCT,  /* in place */
    KF_POINTER, /* kv_kitfile_model *, NULL when absent */
    KF_LIST,    /* kv_kitfile_entries */
} kf_kind;

typedef struct kf_type kf_type;
typedef struct kf_field {
    const char *key;
    size_t off;
    kf_kind kind;
    bool keep_json, keep_yaml; /* written even when empty */
    const kf_type *sub;
} kf_field;
struct kf_type {
    const char *name;      /* as errors of kit call it */
    const char *list_name; /* the same for a list of it */
    const kf_field *fields;
    size_t n;
};

extern const kf_type kf_kitfile; /* of kv_kitfile */

/** The member f of the struct at p. */
#define KF_AT(T, p, f) ((__typeof__(T) *)(void *)((char *)(p) + (f)->off))
#define KF_GET(T, p, f) ((const __typeof__(T) *)(const void *)((const char *)(p) + (f)->off))
/** What omitempty leaves out. */
bool kf_is_empty(const kf_field *f, const void *p);
/** The field of t that key names, case aside when nocase; NULL: none. */
const kf_field *kf_find(const kf_type *t, kv_sv key, bool nocase);

/* Own bounds: the nodes of a YAML document, and what is made of them, for one Kitfile. */
#define KF_NODES_MAX (16u << 20)
#define KF_ARENA_MAX (16u << 20)

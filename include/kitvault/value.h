#pragma once
/* Values of any shape: what stands under `parameters` in a Kitfile. */
#include "kitvault/error.h"
#include "kitvault/sv.h"

typedef enum kv_value_kind {
    KV_VNULL,
    KV_VBOOL,
    KV_VINT,    /* fits int64_t */
    KV_VUINT,   /* above INT64_MAX */
    KV_VDOUBLE, /* may be NaN or infinite, which JSON cannot say */
    KV_VSTRING,
    KV_VLIST,
    KV_VMAP,
} kv_value_kind;

/** A tree of values, read-only once made; strings and children belong to whoever made the tree. */
typedef struct kv_value kv_value;
typedef struct kv_member { /* one entry of a map, in the order of the document */
    kv_sv key;
    const kv_value *value; /* never NULL */
} kv_member;
struct kv_value {
    kv_value_kind kind;
    bool mixed_keys; /* a map of YAML with a key that is no string: JSON has no such thing */
    size_t n;        /* elements of a list, members of a map */
    union {
        bool b;
        int64_t i;
        uint64_t u;
        double d;
        kv_sv s;
        const kv_value **items;
        const kv_member *members; /* keys are unique */
    };
};

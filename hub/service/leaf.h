#pragma once
/* The bytes of an audit leaf: docs/format/audit-leaf.md. Pure; the form can never change, only
 * members can be added. */
#include "hub/service/audit.h"

#define KV_LEAF_PII_MAX 8

typedef struct kv_named_hash { /* "email": hex */
    kv_sv kind, hash;
} kv_named_hash;

typedef struct kv_leaf {                   /* borrows everything */
    int64_t seq, time_us, prev_object_seq; /* 0: none before */
    kv_sv node;
    const kv_principal *who;
    const kv_event *ev;                 /* old_value, new_value and detail canonical already */
    kv_sv ip_hash;                      /* hex, or "" */
    kv_named_hash pii[KV_LEAF_PII_MAX]; /* sorted by kind */
    size_t n_pii;
} kv_leaf;

/** Appends the canonical JSON of the leaf. Errors: KV_E_LIMIT over KV_LEAF_MAX bytes. */
KV_MUST_CHECK kv_code kv_leaf_format(const kv_leaf *leaf, kv_buf *out, kv_error *err);
/** What a leaf is about, as prev_object_seq follows it: "tag:REPOSITORY-ID:v1"; "" when the object
 * has no stable id. */
void kv_object_key_add(const kv_object *o, kv_buf *out);
/** A word for the client program that tells nothing of the person: "oras", "browser", "other"; ""
 * for an empty User-Agent. Static. */
const char *kv_user_agent_class(kv_sv user_agent);

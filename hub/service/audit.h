#pragma once
/*
 * The audit log: one leaf per event, written in the transaction of the change it tells of.
 *
 * A leaf is RFC 8785 JSON, docs/format/audit-leaf.md; its bytes are hashed into an RFC 6962 tree
 * (leaf hash SHA-256(0x00 || leaf)). seq counts from 1 without gaps and time never goes back, in
 * the order of commits. Each leaf names the one before it of the same object.
 *
 * The order inside a state transaction: look and check first, then kv_audit_add, then write the
 * rows whose from_seq and to_seq it gave. From kv_audit_add to the end of the transaction the log
 * is held against other writers, so keep that part short.
 */
#include "hub/db/db.h"
#include "hub/service/principal.h"

typedef struct kv_audit kv_audit; /* shared */

/** Draws the id of this node's run; db is borrowed. */
KV_MUST_CHECK kv_code kv_audit_open(kv_db *db, kv_audit **out, kv_error *err);
/** Forgets what was counted and not flushed. NULL is fine. */
void kv_audit_close(kv_audit *audit);
KV_DEFINE_AUTO(kv_audit, kv_audit_close)
/** Appends the last leaf of this run, node.stopped. */
KV_MUST_CHECK kv_code kv_audit_stopped(kv_audit *audit, kv_error *err);
/** The id every leaf of this run carries as its node. */
const char *kv_audit_node(const kv_audit *audit);

typedef enum kv_outcome { KV_OUTCOME_OK, KV_OUTCOME_DENIED, KV_OUTCOME_FAILED } kv_outcome;

/**
 * What an event is about. Empty members are left out of the leaf.
 * type        "repository" "version" "tag" "blob" "namespace" "user" "token" "node"
 * id          its stable id; a tag and a blob have none of their own: their repository's
 * ns, repo    names as they are now; repo is the whole path
 * ref         the tag
 * repo_id     not in the leaf: finds the leaves of a repository
 * The object a leaf's prev_object_seq follows is type and id, and for a tag ref, for a blob digest.
 */
typedef struct kv_object {
    const char *type;
    kv_sv id, ns, repo, ref, digest, name;
    kv_sv repo_id;
} kv_object;

/** Personal data: the leaf gets a salted hash, the value goes into the erasable table. */
typedef struct kv_pii {
    const char *kind; /* "email", "name" */
    kv_sv value;
    kv_sv principal_id; /* whose; erasing that person deletes it */
} kv_pii;

#define KV_EVENT_VALUE_MAX 2048 /* bytes of old, new, detail: hub-features.md 8.2 */
#define KV_LEAF_MAX 65535       /* bytes: a tile's entry has a 16-bit length */

typedef struct kv_event {
    const char *action; /* "tag.moved": a row of the table in audit.c */
    kv_outcome outcome;
    kv_sv code; /* why it was denied or failed, snake_case */
    kv_object object;
    kv_sv old_value, new_value; /* one JSON value each, or empty */
    kv_sv detail;               /* a JSON object, or empty */
    uint64_t size;              /* bytes the event is about */
    const kv_pii *pii;
    size_t n_pii;
} kv_event;

/**
 * Appends one leaf inside a state transaction.
 * out_seq (may be NULL) is its number, for from_seq and to_seq.
 * Errors: KV_E_LIMIT (a value over KV_EVENT_VALUE_MAX), KV_E_SYNTAX (a value that is not JSON),
 * KV_E_ARG (an action that is not in the table), those of the database.
 */
KV_MUST_CHECK kv_code kv_audit_add(kv_audit *audit, kv_tx *tx, const kv_principal *who,
                                   const kv_event *ev, int64_t *out_seq, kv_error *err);

/**
 * Counts an event that happens often and changes nothing (a pull, a refused login): leaves are
 * written by kv_audit_flush, normally two per actor (anonymous: address), action, outcome, object
 * and hour: one soon after the first, one with the others when the hour is over. Each has
 * detail.count and detail.hour; detail, pii, old and new values are not taken. Cheap; what was not
 * flushed is lost in a crash.
 */
void kv_audit_count(kv_audit *audit, const kv_principal *who, const kv_event *ev);
/** Writes the counted events that are due; with `all`, every one (before the hub stops). Called
 * every second by the log keeper. */
KV_MUST_CHECK kv_code kv_audit_flush(kv_audit *audit, bool all, kv_error *err);

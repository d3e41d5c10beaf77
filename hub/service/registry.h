#pragma once
/*
 * The registry: repositories with their blobs, uploads, manifests, tags and referrers. What the
 * handlers call; no HTTP and no SQL here.
 *
 * Every function takes who asks. Whether they may was decided before (rights.h), except where a
 * second repository comes into play; that one is decided here.
 * Write order, always: bytes durable, then the transaction, then the answer.
 */
#include "base/clock.h"
#include "blob/blob.h"
#include "hub/db/db.h"
#include "hub/service/audit.h"
#include "hub/service/byte_cache.h"
#include "hub/service/gate.h"

struct kv_sessions;

typedef struct kv_registry {
    kv_db *db; /* borrowed, like the next two */
    kv_blobs *blobs;
    kv_audit *audit;
    kv_byte_cache *manifests;     /* bytes of manifests by digest */
    kv_gate *memory;              /* for what may be large: see KV_REGISTRY_MEMORY */
    struct kv_sessions *sessions; /* uploads held open between requests: upload.c */
} kv_registry;

/* Bytes that request bodies and answers of more than KV_REGISTRY_SMALL may take in all, so that
 * the process stays within its 64 MiB whatever arrives at once; own. A manifest counts as long as
 * it is read, parsed and stored, three copies. */
#define KV_REGISTRY_MEMORY (24u << 20)
#define KV_REGISTRY_SMALL (256u << 10)

KV_MUST_CHECK kv_code kv_registry_open(kv_db *db, kv_blobs *blobs, kv_audit *audit,
                                       kv_registry **out, kv_error *err);
/** Saves the open uploads, so that they go on after the next start. NULL is fine. */
void kv_registry_close(kv_registry *reg);
KV_DEFINE_AUTO(kv_registry, kv_registry_close)

/* --- repositories --- */

typedef struct kv_repository {
    char id[KV_UUID_MAX];
    kv_sv name, ns; /* borrowed from the caller's name */
    int64_t last_number;
} kv_repository;

/** Errors: KV_E_NOTFOUND. */
KV_MUST_CHECK kv_code kv_repository_find(kv_tx *tx, kv_sv name, kv_repository *out, kv_error *err);
/** Finds it or makes it, and its namespace, with the leaf of its making; tx is a state
 * transaction. */
KV_MUST_CHECK kv_code kv_repository_ensure(kv_registry *reg, kv_tx *tx, const kv_principal *who,
                                           kv_sv name, kv_repository *out, kv_error *err);

/** A page of names in byte order, in an arena of the caller. */
typedef struct kv_names {
    kv_sv *items;
    size_t n;
    bool more; /* there are names behind the last one */
} kv_names;
/** Repositories behind `last` that who may read, at most `at_most`. */
KV_MUST_CHECK kv_code kv_repository_list(kv_registry *reg, const kv_principal *who, kv_sv last,
                                         size_t at_most, kv_arena *arena, kv_names *out,
                                         kv_error *err);
/** Live tags behind `last`, at most `at_most`. Errors: KV_E_NOTFOUND (no such repository). */
KV_MUST_CHECK kv_code kv_tag_list(kv_registry *reg, kv_sv repository, kv_sv last, size_t at_most,
                                  kv_arena *arena, kv_names *out, kv_error *err);

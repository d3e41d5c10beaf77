#pragma once
/* Manifests of a repository: read, push, delete. A manifest's digest is the one it was pushed
 * under; without one, its sha256. */
#include "hub/db/q_manifest.h"
#include "hub/service/registry.h"
#include "kitvault/manifest.h"

/* Manifests up to this size are kept in memory and sent from there; larger ones from the store. */
#define KV_MANIFEST_KEPT_MAX (64u << 10)

/** A tag or a digest, borrowed. */
typedef struct kv_ref {
    kv_sv tag;
    kv_digest digest; /* alg 0: it is a tag */
} kv_ref;
/** Errors: KV_E_SYNTAX or KV_E_UNSUPPORTED (it has a colon and is no digest of ours), KV_E_INVALID
 * (not a tag). */
KV_MUST_CHECK kv_code kv_ref_parse(kv_sv text, kv_ref *out, kv_error *err);

/** Errors: KV_E_NOTFOUND. */
KV_MUST_CHECK kv_code kv_manifest_find(kv_registry *reg, kv_sv repository, const kv_ref *ref,
                                       kv_version_found *out, kv_error *err);
/** The bytes of what was found, in one of two forms: *out_bytes, or *out_reader when they are
 * large. */
KV_MUST_CHECK kv_code kv_manifest_open(kv_registry *reg, const kv_version_found *v,
                                       kv_bytes **out_bytes, kv_blob_reader **out_reader,
                                       kv_error *err);
/** Counts a pull for the audit log. */
void kv_manifest_pulled(kv_registry *reg, const kv_principal *who, kv_sv repository,
                        const kv_version_found *v);

/** What a tag must be for a change of it to take place. Nothing set: anything. */
typedef struct kv_condition {
    bool absent;     /* no such tag */
    bool present;    /* any digest */
    const kv_sv *is; /* one of these digests, as text */
    size_t n_is;
} kv_condition;

typedef struct kv_push {
    kv_sv repository;
    const kv_sv *tags; /* may be none when digest is given */
    size_t n_tags;
    kv_digest digest;    /* bytes must have it; alg 0: sha256 of bytes */
    kv_sv content_type;  /* as the client said; may be empty */
    kv_condition if_tag; /* about the first tag */
    kv_buf *bytes;       /* cleared as soon as it is parsed: one copy in memory is enough */
} kv_push;

typedef struct kv_pushed {
    kv_digest digest;
    kv_digest subject;  /* alg 0: none */
    kv_digest *missing; /* descriptors that are not in the repository; in the arena */
    size_t n_missing;
    bool new_version; /* a manifest the repository did not have */
} kv_pushed;

/**
 * Stores a manifest and points tags at it: one transaction, with a leaf for each thing it changed.
 * Nothing is stored when anything is wrong; nothing is written when nothing changes.
 * Errors: KV_E_SYNTAX, KV_E_INVALID, KV_E_UNSUPPORTED (no manifest we take), KV_E_LIMIT, KV_E_DIGEST
 * (bytes do not have push->digest), KV_E_NOTFOUND (out->missing says what), KV_E_EXISTS (if_tag).
 */
KV_MUST_CHECK kv_code kv_manifest_push(kv_registry *reg, const kv_principal *who,
                                       const kv_push *push, kv_arena *arena, kv_pushed *out,
                                       kv_error *err);

/** By tag: removes the tag. By digest: the manifest, its tags, and what it says of a subject.
 * Errors: KV_E_NOTFOUND, KV_E_EXISTS (if_tag). */
KV_MUST_CHECK kv_code kv_manifest_delete(kv_registry *reg, const kv_principal *who,
                                         kv_sv repository, const kv_ref *ref,
                                         const kv_condition *if_tag, kv_error *err);

/** True for tags that tools make for signatures and referrers: "sha256-HEX", "sha256-HEX.sig".
 * They get no version number. Pure. Source: OCI distribution-spec 1.1, "Referrers Tag Schema";
 * cosign. */
bool kv_tag_is_system(kv_sv tag);

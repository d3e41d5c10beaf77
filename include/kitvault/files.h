#pragma once
/*
 * What is inside of a ModelKit, without unpacking it: its files one after the other, and the
 * content of one. Layers are streamed and never kept; memory does not grow with their size.
 */
#include "kitvault/model.h"

typedef enum kv_file_kind { KV_FILE_REGULAR, KV_FILE_DIR, KV_FILE_OTHER } kv_file_kind;
/** "file", "dir", "other". Static storage. */
KV_API const char *kv_file_kind_name(kv_file_kind kind);

/**
 * All files of a ModelKit, in the order of its layers and of their archives:
 *     kv_auto_file_iter it = kv_files_begin(&src, &ref, manifest, NULL, report);
 *     while (kv_files_next(&it)) use(it.path, it.size);
 *     KV_TRY(kv_files_end(&it, err));
 * Every byte of the layers is read and verified: a file that was handed out belongs to a damaged
 * layer if a later call fails with KV_E_DIGEST. ModelKits it refers to are not looked into.
 * Threads: one at a time. Memory: about 2 MiB; for a zstd layer also its window, at most 32 MiB.
 */
typedef struct kv_file_iter {
    kv_sv path; /* where unpack puts it, cleaned; borrowed until the next call */
    kv_file_kind kind;
    unsigned mode;            /* bits of 07777 */
    uint64_t size;            /* bytes; 0 unless regular */
    kv_digest digest;         /* SHA-256 of the content; alg 0 unless regular */
    size_t layer;             /* index in the manifest */
    struct kv_file_walk *mem; /* private, as what follows */
    bool ended;
} kv_file_iter;
/**
 * src, ref and m are borrowed until the end. skip: NULL, or m->n_layers flags of layers that are
 * passed over.
 */
KV_API kv_file_iter kv_files_begin(const kv_kit_source *src, const kv_reference *ref,
                                   const kv_manifest *m, const bool *skip, const kv_report *report);
KV_API bool kv_files_next(kv_file_iter *it);
/**
 * Releases, is idempotent, and reports what stopped next(). Errors: KV_E_DIGEST, KV_E_CORRUPT (a
 * damaged archive, a layer that is missing), KV_E_INVALID (Kitfile and manifest do not match),
 * KV_E_UNSUPPORTED (not a ModelKit), KV_E_CANCELLED, those of the source.
 */
KV_API KV_MUST_CHECK kv_code kv_files_end(kv_file_iter *it, kv_error *err);
KV_API void kv_files_clear(kv_file_iter *it); /* end, for cleanup variables */
#define kv_auto_file_iter KV_CLEANUP(kv_files_clear) kv_file_iter

/** Takes the bytes of a file in order; non-KV_OK stops and is returned. */
typedef struct kv_file_sink {
    kv_code (*write)(void *ctx, const void *p, size_t n, kv_error *err);
    void *ctx;
} kv_file_sink;
/**
 * Writes the content of one regular file to sink; path is compared cleaned.
 * verify: the whole layer is read and its digest checked, at the end: what sink had before is
 * damaged when KV_E_DIGEST comes. Without it an uncompressed layer of a source that can (open_at)
 * is read by ranges, and nothing is verified; other layers are read whole and verified anyway.
 * Errors: KV_E_NOTFOUND (names similar paths), KV_E_ARG (a directory, a link), those of
 * kv_files_end and of sink.
 */
KV_API KV_MUST_CHECK kv_code kv_file_cat(const kv_kit_source *src, const kv_reference *ref,
                                         const kv_manifest *m, kv_sv path, bool verify,
                                         const kv_report *report, const kv_file_sink *sink,
                                         kv_error *err);

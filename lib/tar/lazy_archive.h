#pragma once
/*
 * libarchive, loaded when the first archive is read: it brings ICU and a dozen more, 2 ms of the 5
 * that `kitvault version` may take. Used as http/lazy_curl.h is.
 */
#include <archive.h>
#include <archive_entry.h>

#include "kitvault/error.h"

/* clang-format off */
#define KV_ARCHIVE_FUNCTIONS(X) \
    X(entry_filetype) X(entry_hardlink) X(entry_pathname) X(entry_perm) X(entry_size) \
    X(entry_size_is_set) X(error_string) X(read_data_block) X(read_data_skip) X(read_free) \
    X(read_new) X(read_next_header) X(read_open2) X(read_support_format_empty) \
    X(read_support_format_tar) X(set_error)
/* clang-format on */

typedef struct kv_archive_functions {
/* NOLINTNEXTLINE(bugprone-macro-parentheses): declares a member */
#define X(name) __typeof__(&archive_##name) name;
    KV_ARCHIVE_FUNCTIONS(X)
#undef X
} kv_archive_functions;
extern kv_archive_functions kv_archive; /* usable after kv_archive_load */

/** Loads libarchive, once. Errors: KV_E_UNSUPPORTED with the loader's words. Threads: any. */
KV_MUST_CHECK kv_code kv_archive_load(kv_error *err);

#define archive_entry_filetype kv_archive.entry_filetype
#define archive_entry_hardlink kv_archive.entry_hardlink
#define archive_entry_pathname kv_archive.entry_pathname
#define archive_entry_perm kv_archive.entry_perm
#define archive_entry_size kv_archive.entry_size
#define archive_entry_size_is_set kv_archive.entry_size_is_set
#define archive_error_string kv_archive.error_string
#define archive_read_data_block kv_archive.read_data_block
#define archive_read_data_skip kv_archive.read_data_skip
#define archive_read_free kv_archive.read_free
#define archive_read_new kv_archive.read_new
#define archive_read_next_header kv_archive.read_next_header
#define archive_read_open2 kv_archive.read_open2
#define archive_read_support_format_empty kv_archive.read_support_format_empty
#define archive_read_support_format_tar kv_archive.read_support_format_tar
#define archive_set_error kv_archive.set_error

#pragma once
/*
 * What a push remembers of an upload on its way: where the registry goes on with it. A later process
 * takes it up there when this one was killed. The place may carry a secret of the registry, so the
 * file is its owner's alone (0600) and the place is never shown.
 *
 * File: DIR/HEX, HEX the sha256 of "ORIGIN/REPOSITORY@DIGEST"; its lines are "kitvault upload 1", that
 * name, and the place. Whoever uses it holds it under flock. One that is torn or cannot be written
 * costs the work it would have saved, and is no error.
 */
#include "base/str.h"

typedef struct kv_upload_note {
    int fd; /* -1: nothing is kept */
    kv_buf path, name;
} kv_upload_note;
#define KV_UPLOAD_NOTE_NONE ((kv_upload_note){.fd = -1})

/** dir NULL, or a note that another process holds: nothing is kept. Threads: any. */
kv_upload_note kv_upload_note_open(const char *dir, kv_sv origin, kv_sv repository, kv_sv digest);
/** The place kept, malloc'ed; NULL when there is none. */
char *kv_upload_note_get(const kv_upload_note *n);
void kv_upload_note_put(kv_upload_note *n, const char *place);
/** Forgets the place. */
void kv_upload_note_clear(kv_upload_note *n);
void kv_upload_note_close(
    kv_upload_note *n); /* a note that has a place stays for another process */
#define kv_auto_upload_note KV_CLEANUP(kv_upload_note_close) kv_upload_note

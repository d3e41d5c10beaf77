/*
 * One blob into an OCI registry. The way is a small machine: start a session (which a mount may
 * make needless), send the bytes, close it. Bytes go in one PUT when they are few or the host takes
 * nothing else; in one streamed PATCH; or in chunks, when the registry asks for them or a proxy on
 * the way refuses large bodies. A broken PATCH goes on from where the registry says it stands; what
 * cannot go on starts over in a new session. A note of the session lets a later process go on.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/text.h"
#include "http/field.h"
#include "http/url.h"
#include "remote/registry.h"
#include "remote/upload_note.h"

enum {
    URL_MAX = 64 * 1024,
    TRIES = 5,            /* failures in a row without a byte between them */
    PATIENCE_S = 900,     /* some registries hash or copy the whole blob before they answer */
    CHUNK_SHRINKS_BY = 8, /* 64 MiB, 8 MiB, 1 MiB: what proxies are set to */
};
static const uint64_t SINGLE_PUT_BELOW = 8u << 20; /* oci-registry.md 7.1 */
static const uint64_t CHUNK_FIRST = 64u << 20;
static const uint64_t CHUNK_LEAST = 1u << 20;

typedef struct upload {
    kv_oci_remote *r;
    const kv_digest *digest; /* NULL: not known yet */
    const kv_http_source *source;
    const char *mount_from;
    char *location;
    uint64_t at;        /* bytes the registry has */
    uint64_t floor;     /* the source has no bytes before this any more: no way back */
    uint64_t chunk;     /* of one PATCH; 0: all that is left */
    uint64_t min_chunk; /* what the registry asked for */
    bool single;        /* one PUT */
    bool done;
    bool taken_up;   /* bytes of a former process are in the session */
    unsigned failed; /* tries in a row */
    kv_upload_note note;
} upload;

/* What to do after an answer. */
typedef enum verdict {
    GO_ON,   /* the state has moved */
    RESUME,  /* ask the registry how far it came */
    RESTART, /* a new session, after a pause */
    ANEW,    /* a new session at once, to send in another way */
    FAIL,    /* err says why */
} verdict;

typedef struct window { /* a part of the source as a body */
    const kv_http_source *whole;
    uint64_t base;
} window;

static kv_code read_window(void *ctx, uint64_t off, void *dst, size_t n, size_t *out_n,
                           kv_error *err)
{
    const window *w = ctx;
    return w->whole->read(w->whole->ctx, w->base + off, dst, n, out_n, err);
}

static bool is_break(kv_code rc)
{
    return rc == KV_E_NETWORK || rc == KV_E_TIMEOUT;
}

static kv_code take_location(upload *u, const kv_http_response *resp, kv_error *err)
{
    kv_sv text = kv_http_header(resp, "Location");
    if (!text.n) return kv_fail(err, KV_E_PROTOCOL, "the registry names no place for an upload");
    char *next = NULL;
    kv_code rc = kv_url_resolve(resp->url, text, &next, err);
    if (rc != KV_OK) return kv_wrap(err, KV_E_PROTOCOL, "place of an upload");
    bool moved = !u->location || strcmp(u->location, next) != 0;
    free(u->location);
    u->location = next;
    if (moved && !u->single) kv_upload_note_put(&u->note, next);
    return KV_OK;
}

/* The registry's word that the bytes are not what their digest says. */
static bool says_damaged(kv_http_response *resp)
{
    return resp->status == 400 && kv_http_read_all(resp, NULL) == KV_OK &&
           kv_sv_find_sub(kv_buf_sv(&resp->body), KV_SV("DIGEST_INVALID")) != SIZE_MAX;
}

static kv_code fail_answer(const upload *u, kv_http_response *resp, kv_error *err)
{
    bool damaged = says_damaged(resp);
    kv_code rc = kv_http_fail_status(resp, err);
    if (!damaged || !u->digest) return rc;
    return kv_wrap(err, KV_E_DIGEST, "the registry finds blob %s damaged",
                   kv_digest_str(u->digest).s);
}

/* --- starting --- */

static kv_code start_url(const upload *u, kv_buf *url, kv_error *err)
{
    kv_buf_addf(url, "%s/v2/%s/blobs/uploads/", u->r->origin, u->r->repository);
    if (u->mount_from) {
        kv_buf_adds(url, "?mount=");
        kv_percent_add(url, kv_sv_of(kv_digest_str(u->digest).s), "");
        kv_buf_adds(url, "&from=");
        kv_percent_add(url, kv_sv_of(u->mount_from), "");
    }
    return kv_buf_check(url, err);
}

static void take_chunk_wish(upload *u, const kv_http_response *resp)
{
    uint64_t n;
    if (!kv_sv_to_u64(kv_http_header(resp, "OCI-Chunk-Min-Length"), &n) || n == 0) return;
    u->min_chunk = n;
    if (!u->chunk) u->chunk = CHUNK_FIRST;
    if (u->chunk < n) u->chunk = n;
}

static kv_code start(upload *u, kv_error *err)
{
    kv_auto_buf url = KV_BUF(URL_MAX);
    kv_auto_buf scope = KV_BUF(URL_MAX);
    KV_TRY(start_url(u, &url, err));
    kv_buf_adds(&scope, u->r->push_scope);
    if (u->mount_from) kv_buf_addf(&scope, " repository:%s:pull", u->mount_from);
    KV_TRY(kv_buf_check(&scope, err));
    kv_http_request req = {.method = "POST", .url = url.p, .scope = scope.p};
    kv_auto_http_response resp = {0};
    KV_TRY(kv_http_send(u->r->http, &req, &resp, err));
    if (resp.status == 201 && u->mount_from) {
        u->done = true;
        return KV_OK;
    }
    if (resp.status != 202 && u->mount_from) {
        /* Some registries fail on a mount they cannot make instead of answering 202. */
        u->mount_from = NULL;
        return start(u, err);
    }
    u->mount_from = NULL;
    if (resp.status != 202) return fail_answer(u, &resp, err);
    take_chunk_wish(u, &resp);
    u->at = 0;
    return take_location(u, &resp, err);
}

/* --- sending --- */

static kv_code send_part(upload *u, const char *method, const char *url, uint64_t n, bool ranged,
                         kv_http_response *resp, kv_error *err)
{
    window w = {.whole = u->source, .base = u->at};
    kv_http_source body = {.read = read_window, .ctx = &w, .size = n};
    char range[80];
    snprintf(range, sizeof(range), "Content-Range: %llu-%llu", (unsigned long long)u->at,
             (unsigned long long)(u->at + n - 1));
    const char *const headers[] = {"Content-Type: application/octet-stream", ranged ? range : NULL,
                                   NULL};
    kv_http_request req = {.method = method,
                           .url = url,
                           .headers = headers,
                           .source = n ? &body : NULL,
                           .scope = u->r->push_scope,
                           .once = true,
                           .patience_s = PATIENCE_S};
    return kv_oci_send_at(u->r, &req, resp, err);
}

/* 413, from the registry or a proxy before it: the largest piece it may take is found by trying. */
static verdict shrink(upload *u, uint64_t sent, kv_http_response *resp, kv_error *err)
{
    uint64_t next = u->chunk && !u->single ? u->chunk / CHUNK_SHRINKS_BY : CHUNK_FIRST;
    while (next >= sent) next /= CHUNK_SHRINKS_BY;
    if (next < CHUNK_LEAST || next < u->min_chunk) {
        (void)fail_answer(u, resp, err);
        return FAIL;
    }
    u->single = false;
    u->chunk = next;
    return ANEW;
}

/* Bytes the registry has after a PATCH of n: its Range, or all of them when it says nothing. */
static verdict take_progress(upload *u, uint64_t n, const kv_http_response *resp, kv_error *err)
{
    if (take_location(u, resp, err) != KV_OK) return FAIL;
    const uint64_t sent = u->at + n;
    uint64_t has = sent;
    kv_sv range = kv_http_header(resp, "Range");
    uint64_t said;
    /* "0-0" cannot tell one byte from none; after a PATCH it is one. */
    if (range.n && kv_upload_range_parse(range, &said) && !(said == 0 && has == 1)) has = said;
    if (has > sent || has <= u->at) {
        (void)kv_fail(err, KV_E_PROTOCOL, "the registry has %llu bytes of an upload after %llu",
                      (unsigned long long)has, (unsigned long long)sent);
        return FAIL;
    }
    u->at = has;
    u->failed = 0;
    return GO_ON;
}

static verdict patch(upload *u, kv_error *err)
{
    uint64_t n = u->source->size - u->at;
    if (u->chunk && n > u->chunk) n = u->chunk;
    kv_auto_http_response resp = {0};
    bool ranged = u->chunk || u->at;
    kv_code rc = send_part(u, "PATCH", u->location, n, ranged, &resp, err);
    if (rc != KV_OK) return is_break(rc) ? RESUME : FAIL;
    switch (resp.status) {
    case 201:
    case 202:
    case 204: return take_progress(u, n, &resp, err);
    case 401:
    case 403:
    case 507: (void)fail_answer(u, &resp, err); return FAIL;
    case 404: (void)kv_http_fail_status(&resp, err); return RESTART;
    case 413: return shrink(u, n, &resp, err);
    case 409: /* the broken one still runs, */
    case 416: /* or what it had sent has come in since */
        (void)kv_http_fail_status(&resp, err);
        return RESUME;
    default: break;
    }
    (void)kv_http_fail_status(&resp, err);
    if (kv_http_status_passes(resp.status)) return RESUME;
    if (u->chunk) return FAIL;
    u->single = true; /* it does not know how to take a PATCH */
    return ANEW;
}

/* The end of a session: the rest of the bytes (none after PATCHes) and the digest. */
static verdict close_session(upload *u, kv_error *err)
{
    kv_auto_buf url = KV_BUF(URL_MAX);
    kv_buf_adds(&url, u->location);
    kv_buf_addf(&url, "%cdigest=", strchr(u->location, '?') ? '&' : '?');
    kv_percent_add(&url, kv_sv_of(kv_digest_str(u->digest).s), "");
    if (kv_buf_check(&url, err) != KV_OK) return FAIL;
    uint64_t n = u->source->size - u->at;
    kv_auto_http_response resp = {0};
    kv_code rc = send_part(u, "PUT", url.p, n, false, &resp, err);
    if (rc != KV_OK) return is_break(rc) ? RESTART : FAIL;
    if (resp.status >= 200 && resp.status <= 204) {
        u->done = true;
        return GO_ON;
    }
    if (resp.status == 413 && n) return shrink(u, n, &resp, err);
    (void)fail_answer(u, &resp, err);
    bool lost = resp.status == 404 || resp.status == 416;
    return lost || kv_http_status_passes(resp.status) ? RESTART : FAIL;
}

/* --- going on --- */

/* Where does the session stand? Any doubt means a new one, and so does "0-0", which is none or one. */
static verdict ask(upload *u, kv_error *err)
{
    kv_http_request req = {.method = "GET", .url = u->location, .scope = u->r->push_scope};
    kv_auto_http_response resp = {0};
    kv_code rc = kv_oci_send_at(u->r, &req, &resp, err);
    if (rc != KV_OK) return is_break(rc) ? RESTART : FAIL;
    uint64_t has;
    if (resp.status != 204 || !kv_upload_range_parse(kv_http_header(&resp, "Range"), &has) ||
        has == 0 || has < u->floor || has > u->source->size ||
        take_location(u, &resp, NULL) != KV_OK)
        return RESTART;
    if (has > u->at) u->failed = 0;
    u->at = has;
    kv_say(u->r->base.report, KV_DEBUG, "upload goes on at byte %llu", (unsigned long long)has);
    return GO_ON;
}

/* An answer that was lost on its way back may have been a success. */
static bool is_there(const upload *u)
{
    uint64_t size;
    if (!u->digest) return false;
    return u->r->base.ops->stat_blob(&u->r->base, u->digest, &size, NULL) == KV_OK;
}

static verdict step(upload *u, kv_error *err)
{
    /* The client has tried to start five times by itself. */
    if (!u->location) return start(u, err) == KV_OK ? GO_ON : FAIL;
    if (u->single || u->at == u->source->size) return close_session(u, err);
    return patch(u, err);
}

static void forget_session(upload *u)
{
    free(u->location);
    u->location = NULL;
    u->taken_up = false;
    kv_upload_note_clear(&u->note);
}

/* The session of a process that was killed, if the registry still has it. */
static void take_up(upload *u)
{
    if (u->single) return;
    kv_digest_text digest = kv_digest_str(u->digest);
    u->note = kv_upload_note_open(u->r->session_dir, kv_sv_of(u->r->origin),
                                  kv_sv_of(u->r->repository), kv_sv_of(digest.s));
    u->location = kv_upload_note_get(&u->note);
    if (!u->location) return;
    u->taken_up = ask(u, NULL) == GO_ON;
    if (!u->taken_up) forget_session(u);
}

/* Until the registry has all bytes of the source, and, to_end, the blob. */
static kv_code run(upload *u, bool to_end, kv_error *err)
{
    kv_error e = {0};
    while (!u->done && (to_end || u->at < u->source->size)) {
        verdict v = step(u, &e);
        if (v == RESUME || v == RESTART) {
            if (++u->failed == TRIES)
                v = FAIL;
            else
                KV_TRY(kv_http_wait(u->r->http, u->failed - 1, NULL, err));
        }
        if (v == RESUME) v = ask(u, &e);
        if (v == RESTART && is_there(u)) return KV_OK;
        if (u->floor && (v == RESTART || v == ANEW)) v = FAIL;
        if (v == RESTART || v == ANEW) forget_session(u);
        if (v != FAIL) continue;
        if (err) *err = e;
        return e.code;
    }
    return KV_OK;
}

kv_code kv_oci_upload(kv_oci_remote *r, const kv_digest *d, const kv_http_source *source,
                      const char *mount_from, kv_error *err)
{
    upload u = {.r = r,
                .digest = d,
                .source = source,
                .mount_from = mount_from,
                .note = KV_UPLOAD_NOTE_NONE,
                .single = r->single_put || source->size < SINGLE_PUT_BELOW};
    take_up(&u);
    kv_code rc = run(&u, true, err);
    if (rc == KV_E_DIGEST && u.taken_up) {
        /* The fault may lie in what the dead process sent. */
        forget_session(&u);
        rc = run(&u, true, err);
    }
    if (rc != KV_E_CANCELLED && rc != KV_E_AUTH && !is_break(rc)) kv_upload_note_clear(&u.note);
    kv_upload_note_close(&u.note);
    free(u.location);
    return rc;
}

/* --- a blob whose digest is known at its end --- */

enum { STREAM_BYTES = 8 << 20 }; /* no registry known asks for larger chunks than 5 MiB */

typedef struct stream {
    kv_remote_writer base;
    upload u;
    kv_http_source source; /* all bytes so far, of which those in the buffer can be read */
    size_t n;              /* bytes in the buffer, which begins at u.floor */
    char *bytes;
} stream;

static kv_code read_buffer(void *ctx, uint64_t off, void *dst, size_t n, size_t *out_n,
                           kv_error *err)
{
    const stream *s = ctx;
    (void)err;
    memcpy(dst, s->bytes + (off - s->u.floor), n);
    *out_n = n;
    return KV_OK;
}

static kv_code send_buffer(stream *s, kv_error *err)
{
    upload *u = &s->u;
    if (u->r->single_put)
        return kv_fail(err, KV_E_UNSUPPORTED,
                       "the registry takes a blob of more than %d bytes only as a whole; pack it "
                       "first and then push it",
                       STREAM_BYTES);
    u->single = false;
    if (!u->chunk) u->chunk = STREAM_BYTES;
    KV_TRY(run(u, false, err));
    if (u->min_chunk > STREAM_BYTES)
        return kv_fail(err, KV_E_UNSUPPORTED,
                       "the registry wants chunks of at least %llu bytes; pack first and then push",
                       (unsigned long long)u->min_chunk);
    u->floor = u->at;
    s->n = 0;
    return KV_OK;
}

static kv_code stream_write(kv_remote_writer *w, const void *p, size_t n, kv_error *err)
{
    stream *s = (stream *)(void *)w;
    for (const char *at = p; n;) {
        if (s->n == STREAM_BYTES) KV_TRY(send_buffer(s, err));
        size_t part = STREAM_BYTES - s->n < n ? STREAM_BYTES - s->n : n;
        memcpy(s->bytes + s->n, at, part);
        s->n += part;
        s->source.size += part;
        at += part;
        n -= part;
    }
    return KV_OK;
}

static kv_code stream_commit(kv_remote_writer *w, const kv_digest *d, bool *out_existed,
                             kv_error *err)
{
    stream *s = (stream *)(void *)w;
    upload *u = &s->u;
    u->digest = d;
    /* What fits into the buffer has not been sent: it is asked for first. */
    *out_existed = !u->location && is_there(u);
    if (*out_existed) return KV_OK;
    u->single = !u->location;
    return run(u, true, err);
}

static void stream_close(kv_remote_writer *w)
{
    stream *s = (stream *)(void *)w;
    free(s->u.location);
    free(s->bytes);
    free(s);
}

kv_code kv_oci_stream(kv_oci_remote *r, kv_remote_writer **out, kv_error *err)
{
    static const kv_remote_writer_ops OPS = {
        .write = stream_write, .commit = stream_commit, .close = stream_close};
    stream *s = calloc(1, sizeof(*s));
    char *bytes = malloc(STREAM_BYTES);
    if (!s || !bytes) {
        free(s);
        free(bytes);
        return kv_fail(err, KV_E_NOMEM, "out of memory");
    }
    s->base.ops = &OPS;
    s->bytes = bytes;
    s->source = (kv_http_source){.read = read_buffer, .ctx = s};
    s->u = (upload){.r = r, .source = &s->source, .note = KV_UPLOAD_NOTE_NONE};
    *out = &s->base;
    return KV_OK;
}

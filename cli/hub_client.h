#pragma once
/* The hub's JSON API, for the commands that manage a hub. docs/api.md describes it. */
#include "cli/net.h"
#include "json/json.h"

typedef struct kv_http kv_http;

/** One hub, with the login that `login` kept for it. Zero it first. */
typedef struct kv_hub_client {
    kv_http *http;
    char *host; /* "host:port" */
    char *base; /* "https://host:port/api/v1" */
} kv_hub_client;
/** net must outlive it. Nothing is sent yet. */
KV_MUST_CHECK kv_code kv_hub_client_open(kv_net *net, kv_sv host, kv_hub_client *out,
                                         kv_error *err);
void kv_hub_client_close(kv_hub_client *h);
#define kv_auto_hub_client KV_CLEANUP(kv_hub_client_close) kv_hub_client

/**
 * One call. path begins with '/', parts of it already percent-encoded; body is JSON or empty. *out
 * is the answer, NULL when it has no content; out may be NULL.
 * Errors: the message of the hub with the code of its status (KV_E_AUTH, KV_E_DENIED,
 * KV_E_NOTFOUND, KV_E_EXISTS, KV_E_ARG), KV_E_PROTOCOL when nothing there speaks the API, those of
 * the network.
 */
KV_MUST_CHECK kv_code kv_hub_call(kv_hub_client *h, const char *method, const char *path,
                                  kv_sv body, kv_jdoc **out, kv_error *err);

/**
 * Walks the items of a list, page by page:
 *     kv_hub_pages p = kv_hub_pages_begin(h, "/users");
 *     while (kv_hub_pages_next(&p, &item)) use(item);
 *     KV_TRY(kv_hub_pages_end(&p, err));
 * item lives until the next call. end is idempotent and is the cleanup function.
 */
typedef struct kv_hub_pages {
    kv_hub_client *hub;
    const char *path; /* borrowed */
    char *cursor;
    kv_jdoc *page;
    kv_jiter items;
    bool last;
    kv_code failed;
    kv_error err;
} kv_hub_pages;
kv_hub_pages kv_hub_pages_begin(kv_hub_client *h, const char *path);
bool kv_hub_pages_next(kv_hub_pages *p, const kv_json **item);
KV_MUST_CHECK kv_code kv_hub_pages_end(kv_hub_pages *p, kv_error *err);
void kv_hub_pages_clear(kv_hub_pages *p);
#define kv_auto_hub_pages KV_CLEANUP(kv_hub_pages_clear) kv_hub_pages

#pragma once
/* What the client decides by a URL: where it goes, and whether that is far away. Pure. */
#include "base/str.h"

typedef struct kv_url_origin { /* owned; clear it */
    bool tls;                  /* https */
    bool loopback;             /* "localhost", 127.0.0.0/8, ::1: the wire is this machine */
    char *text; /* "https://host:port", lower case, port always there: compare these */
    char *host; /* "host" or "host:port" as a registry is named in references */
} kv_url_origin;
void kv_url_origin_clear(kv_url_origin *o);
#define kv_auto_url_origin KV_CLEANUP(kv_url_origin_clear) kv_url_origin

/** Errors: KV_E_INVALID (not an absolute http or https URL, or one with a user name in it). */
KV_MUST_CHECK kv_code kv_url_origin_of(const char *url, kv_url_origin *out, kv_error *err);
/** ref (absolute, relative, or only a path) against base; malloc'ed. Errors: KV_E_INVALID. */
KV_MUST_CHECK kv_code kv_url_resolve(const char *base, kv_sv ref, char **out, kv_error *err);
/** A "host[:port]" without its port is loopback. */
bool kv_host_is_loopback(kv_sv host);

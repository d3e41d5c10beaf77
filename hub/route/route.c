#include "hub/route/route.h"

#include <stdlib.h>
#include <string.h>

#include "codec/text.h"
#include "hub/http/server.h"
#include "hub/log.h"

enum { PATTERN_SEGMENTS = 10, PATH_SEGMENTS = 128, NO_STAR = PATTERN_SEGMENTS };

typedef struct segment {
    kv_sv text; /* a literal, or the name of a capture */
    bool capture;
} segment;

typedef struct pattern {
    segment seg[PATTERN_SEGMENTS];
    size_t n;
    size_t star; /* index of {x*}, or NO_STAR */
} pattern;

struct kv_router {
    kv_hub *hub;
    const kv_route *routes;
    size_t n;
    kv_auth_fn *authorize;
    pattern patterns[];
};

static kv_code compile(const char *text, pattern *out, kv_error *err)
{
    *out = (pattern){.star = NO_STAR};
    kv_sv rest = kv_sv_of(text);
    bool more = kv_sv_starts(rest, KV_SV("/")), ok = more;
    rest = kv_sv_from(rest, 1);
    while (ok && more) {
        kv_sv part;
        rest = kv_sv_cut(rest, '/', &part, &more);
        segment s = {.text = part};
        if (part.n > 2 && part.p[0] == '{' && part.p[part.n - 1] == '}') {
            s.capture = true;
            s.text = kv_sv_sub(part, 1, part.n - 1);
            if (kv_sv_ends(s.text, KV_SV("*"))) {
                s.text.n--;
                ok = out->star == NO_STAR;
                out->star = out->n;
            }
        }
        ok = ok && out->n < PATTERN_SEGMENTS;
        if (ok) out->seg[out->n++] = s;
    }
    return ok ? KV_OK : kv_fail(err, KV_E_INVALID, "'%s' is not a route pattern", text);
}

kv_code kv_router_new(kv_hub *hub, const kv_route *routes, size_t n, kv_auth_fn *authorize,
                      kv_router **out, kv_error *err)
{
    kv_auto(kv_router) r = calloc(1, sizeof(*r) + n * sizeof(r->patterns[0]));
    if (!r) return kv_fail(err, KV_E_NOMEM, "out of memory");
    *r = (kv_router){.hub = hub, .routes = routes, .n = n, .authorize = authorize};
    for (size_t i = 0; i < n; i++) KV_TRY(compile(routes[i].pattern, &r->patterns[i], err));
    *out = KV_TAKE(r);
    return KV_OK;
}

void kv_router_free(kv_router *r)
{
    free(r);
}

/* --- matching --- */

typedef struct parts {
    kv_sv seg[PATH_SEGMENTS];
    size_t n;
} parts;

/* False: more segments than any route could want. */
static bool split(kv_sv text, parts *out)
{
    bool more = true;
    kv_sv rest = kv_sv_from(text, 1);
    for (out->n = 0; more; out->n++) {
        if (out->n == PATH_SEGMENTS) return false;
        rest = kv_sv_cut(rest, '/', &out->seg[out->n], &more);
    }
    return true;
}

static bool fits(const segment *s, kv_sv text)
{
    return s->capture ? text.n > 0 : kv_sv_eq(s->text, text);
}

static bool match(const pattern *p, const parts *path)
{
    size_t head = p->star == NO_STAR ? p->n : p->star;
    size_t tail = p->star == NO_STAR ? 0 : p->n - p->star - 1;
    if (p->star == NO_STAR ? path->n != p->n : path->n < p->n) return false;
    if (p->star != NO_STAR && path->n == p->n && !path->seg[p->star].n) return false;
    for (size_t i = 0; i < tail; i++)
        if (!fits(&p->seg[p->n - 1 - i], path->seg[path->n - 1 - i])) return false;
    for (size_t i = 0; i < head; i++)
        if (!fits(&p->seg[i], path->seg[i])) return false;
    return true;
}

/* first..last of the path decoded. They lie side by side in it, slashes between. */
static kv_code decode(kv_request *req, kv_sv first, kv_sv last, kv_sv *out, kv_error *err)
{
    kv_sv raw = {first.p, (size_t)(last.p - first.p) + last.n};
    *out = raw;
    if (kv_sv_find(raw, '%') == SIZE_MAX) return KV_OK;
    kv_auto_buf text = KV_BUF(raw.n);
    KV_TRY(kv_percent_parse(raw, false, &text, err));
    kv_arena *arena = kv_req_arena(req);
    *out = arena ? kv_arena_dup(arena, kv_buf_sv(&text)) : (kv_sv){0};
    return out->p ? KV_OK : kv_fail(err, KV_E_NOMEM, "out of memory");
}

static bool has_encoded_slash(kv_sv s)
{
    for (; s.n >= 3; s = kv_sv_from(s, 1))
        if (s.p[0] == '%' && s.p[1] == '2' && (s.p[2] == 'f' || s.p[2] == 'F')) return true;
    return false;
}

static kv_code capture(const pattern *p, const parts *path, kv_request *req, kv_error *err)
{
    size_t at = 0;
    for (size_t i = 0; i < p->n; i++) {
        size_t n = i == p->star ? path->n - p->n + 1 : 1;
        kv_sv first = path->seg[at], last = path->seg[at + n - 1], value;
        at += n;
        if (!p->seg[i].capture) continue;
        KV_TRY(decode(req, first, last, &value, err));
        if (i == p->star &&
            has_encoded_slash((kv_sv){first.p, (size_t)(last.p - first.p) + last.n}))
            return kv_fail(err, KV_E_SYNTAX, "the path holds an encoded slash");
        if (!kv_req_add_part(req, p->seg[i].text, value))
            return kv_fail(err, KV_E_INTERNAL, "a route captures too much");
    }
    return KV_OK;
}

static bool method_fits(kv_method route, kv_method asked)
{
    return route == asked || (route == KV_GET && asked == KV_HEAD);
}

static kv_code no_such_method(const kv_router *r, const parts *path, kv_request *req, kv_error *err)
{
    kv_auto_buf allow = KV_BUF(256);
    for (size_t i = 0; i < r->n; i++) {
        if (!match(&r->patterns[i], path)) continue;
        const char *name = kv_method_name(r->routes[i].method);
        if (kv_sv_find_sub(kv_buf_sv(&allow), kv_sv_of(name)) != SIZE_MAX) continue;
        kv_buf_addf(&allow, "%s%s%s", allow.n ? ", " : "", name,
                    r->routes[i].method == KV_GET ? ", HEAD" : "");
    }
    kv_respond_add(req, "Allow", kv_buf_sv(&allow));
    return kv_fail(err, KV_E_UNSUPPORTED, "this resource does not take %s",
                   kv_method_name(kv_req_method(req)));
}

kv_code kv_router_find(const kv_router *r, kv_request *req, size_t *out_index, kv_error *err)
{
    parts path;
    bool other_method = false;
    kv_sv text = kv_req_path(req);
    if (!kv_sv_starts(text, KV_SV("/")) || !split(text, &path))
        return kv_fail(err, KV_E_NOTFOUND, "there is nothing at this path");
    for (size_t i = 0; i < r->n; i++) {
        if (!match(&r->patterns[i], &path)) continue;
        if (!method_fits(r->routes[i].method, kv_req_method(req))) {
            other_method = true;
            continue;
        }
        *out_index = i;
        return capture(&r->patterns[i], &path, req, err);
    }
    if (other_method) return no_such_method(r, &path, req, err);
    return kv_fail(err, KV_E_NOTFOUND, "there is nothing at this path");
}

/* --- dispatch --- */

static kv_code dispatch(const kv_router *r, kv_request *req, kv_error *err)
{
    size_t i = 0;
    KV_TRY(kv_router_find(r, req, &i, err));
    kv_req_set_route(req, i);
    const kv_route *route = &r->routes[i];
    KV_TRY(r->authorize(r->hub, req, route, err));
    KV_TRY(route->handler(r->hub, req, err));
    if (kv_req_responded(req)) return KV_OK;
    return kv_fail(err, KV_E_INTERNAL, "the handler of %s did not answer", route->pattern);
}

void kv_router_serve(const kv_router *r, kv_request *req)
{
    /* Old clients look for this on the ping (oci-registry, section 2). */
    if (kv_sv_starts(kv_req_path(req), KV_SV("/v2")))
        kv_respond_add(req, "Docker-Distribution-API-Version", KV_SV("registry/2.0"));
    kv_respond_add(req, "X-Content-Type-Options", KV_SV("nosniff"));
    kv_error err;
    err.msg[0] = '\0';
    kv_code rc = dispatch(r, req, &err);
    if (rc != KV_OK) kv_route_fail(req, rc, &err);
}

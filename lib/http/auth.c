#include "http/auth.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "codec/text.h"
#include "http/field.h"
#include "json/json.h"

enum {
    HEADER_MAX = 64 * 1024, /* tokens of some registries hold whole certificate chains */
    SCOPES_MAX = 8,
    SCOPE_TEXT_MAX = 16 * 1024,
    EXPIRES_MIN_S = 60,   /* the token protocol's default, and its floor among clients */
    EXPIRES_EARLY_S = 10, /* a token about to expire is as good as expired */
};
static const char CLIENT_ID[] = "kitvault";

typedef struct header { /* what to send to one origin for one scope */
    char *origin, *scope, *line;
    bool any_scope;    /* Basic: the scope does not matter */
    uint64_t until_us; /* monotonic */
} header;
typedef struct site { /* where an origin sends its callers for tokens */
    char *origin, *realm, *service;
} site;

struct kv_http_auth {
    kv_http *http;
    const kv_http_options *options;
    pthread_mutex_t lock; /* guards everything below; held over a request to a token server */
    header *headers;
    size_t n_headers, cap_headers;
    site *sites;
    size_t n_sites, cap_sites;
};

kv_http_auth *kv_http_auth_new(kv_http *http, const kv_http_options *options)
{
    kv_http_auth *a = calloc(1, sizeof(*a));
    if (!a) return NULL;
    a->http = http;
    a->options = options;
    pthread_mutex_init(&a->lock, NULL);
    return a;
}

static void header_clear(header *h)
{
    free(h->origin);
    free(h->scope);
    if (h->line) explicit_bzero(h->line, strlen(h->line));
    free(h->line);
}

static void site_clear(site *s)
{
    free(s->origin);
    free(s->realm);
    free(s->service);
}

void kv_http_auth_free(kv_http_auth *a)
{
    if (!a) return;
    for (size_t i = 0; i < a->n_headers; i++) header_clear(&a->headers[i]);
    for (size_t i = 0; i < a->n_sites; i++) site_clear(&a->sites[i]);
    free(a->headers);
    free(a->sites);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

/* --- memory of headers and sites; the lock is held --- */

static header *find_header(kv_http_auth *a, const char *origin, const char *scope)
{
    for (size_t i = 0; i < a->n_headers; i++) {
        header *h = &a->headers[i];
        if (strcmp(h->origin, origin) == 0 && (h->any_scope || strcmp(h->scope, scope) == 0))
            return h;
    }
    return NULL;
}

static void drop_header(kv_http_auth *a, header *h)
{
    header_clear(h);
    *h = a->headers[--a->n_headers];
}

static const site *find_site(const kv_http_auth *a, const char *origin)
{
    for (size_t i = 0; i < a->n_sites; i++)
        if (strcmp(a->sites[i].origin, origin) == 0) return &a->sites[i];
    return NULL;
}

static kv_code keep_header(kv_http_auth *a, const char *origin, const char *scope, bool any_scope,
                           kv_sv line, uint64_t until_us, kv_error *err)
{
    header *old = find_header(a, origin, scope);
    if (old) drop_header(a, old);
    if (!KV_GROW(a->headers, a->n_headers, &a->cap_headers))
        return kv_fail(err, KV_E_NOMEM, "out of memory");
    header h = {.origin = strdup(origin),
                .scope = strdup(scope),
                .line = kv_sv_dup(line),
                .any_scope = any_scope,
                .until_us = until_us};
    if (!h.origin || !h.scope || !h.line) {
        header_clear(&h);
        return kv_fail(err, KV_E_NOMEM, "out of memory");
    }
    a->headers[a->n_headers++] = h;
    return KV_OK;
}

static kv_code keep_site(kv_http_auth *a, const char *origin, const kv_challenge *c, kv_error *err)
{
    for (size_t i = 0; i < a->n_sites; i++)
        if (strcmp(a->sites[i].origin, origin) == 0) {
            site_clear(&a->sites[i]);
            a->sites[i] = a->sites[--a->n_sites];
            break;
        }
    if (!KV_GROW(a->sites, a->n_sites, &a->cap_sites))
        return kv_fail(err, KV_E_NOMEM, "out of memory");
    site s = {
        .origin = strdup(origin), .realm = kv_sv_dup(c->realm), .service = kv_sv_dup(c->service)};
    if (!s.origin || !s.realm || !s.service) {
        site_clear(&s);
        return kv_fail(err, KV_E_NOMEM, "out of memory");
    }
    a->sites[a->n_sites++] = s;
    return KV_OK;
}

/* --- logins --- */

static kv_code find_login(const kv_http_auth *a, const kv_url_origin *origin, kv_login *out,
                          kv_error *err)
{
    *out = (kv_login){0};
    if (!a->options->find_login) return KV_OK;
    kv_error e = {0};
    kv_code rc = a->options->find_login(a->options->login_ctx, kv_sv_of(origin->host), out, &e);
    if (rc == KV_E_NOTFOUND) return KV_OK;
    if (rc != KV_OK && err) *err = e;
    return rc;
}

static kv_code may_send_login(const kv_http_auth *a, const kv_url_origin *to, kv_error *err)
{
    if (to->tls || to->loopback || a->options->plain_http) return KV_OK;
    return kv_fail(err, KV_E_DENIED, "refusing to send credentials to '%s' over plain HTTP",
                   to->host);
}

static kv_code add_basic(const kv_login *login, kv_buf *out, kv_error *err)
{
    kv_auto_buf pair = KV_BUF(HEADER_MAX);
    kv_buf_addf(&pair, "%s:%s", login->user, login->secret);
    KV_TRY(kv_buf_check(&pair, err));
    kv_buf_adds(out, "Authorization: Basic ");
    kv_base64_add(out, kv_buf_sv(&pair));
    explicit_bzero(pair.p, pair.n);
    return kv_buf_check(out, err);
}

/* --- scopes --- */

typedef struct scope_list {
    kv_sv items[SCOPES_MAX];
    size_t n;
} scope_list;

static kv_sv scope_resource(kv_sv scope)
{
    size_t colon = kv_sv_rfind(scope, ':');
    return colon == SIZE_MAX ? scope : kv_sv_sub(scope, 0, colon);
}

/* True when every action of `part` is among those of `whole`, for the same resource. */
static bool scope_covers(kv_sv whole, kv_sv part)
{
    kv_sv resource = scope_resource(whole);
    if (!kv_sv_eq(resource, scope_resource(part))) return false;
    kv_sv wanted = kv_sv_from(part, resource.n + 1);
    while (wanted.n) {
        kv_sv one, rest = kv_sv_from(whole, resource.n + 1), have;
        wanted = kv_sv_cut(wanted, ',', &one, NULL);
        bool found = false;
        while (rest.n && !found) {
            rest = kv_sv_cut(rest, ',', &have, NULL);
            found = kv_sv_eq(have, one) || kv_sv_is(have, "*");
        }
        if (!found) return false;
    }
    return true;
}

/*
 * What a request needs (wanted), and what the server says it needs on top: a challenge to a HEAD
 * may ask for "pull" alone while the push goes on to need more, and some registries name their
 * repositories differently in scopes.
 */
static scope_list merge_scopes(kv_sv wanted, kv_sv challenged)
{
    scope_list l = {0};
    for (int which = 0; which < 2; which++) {
        kv_sv rest = which ? challenged : wanted;
        while (rest.n) {
            kv_sv one;
            rest = kv_sv_cut(rest, ' ', &one, NULL);
            bool known = one.n == 0;
            for (size_t i = 0; i < l.n; i++) known |= scope_covers(l.items[i], one);
            if (!known && l.n < SCOPES_MAX) l.items[l.n++] = one;
        }
    }
    return l;
}

/* --- tokens --- */

static void add_query(kv_buf *url, const char *name, kv_sv value)
{
    kv_buf_addc(url, memchr(url->p, '?', url->n) ? '&' : '?');
    kv_buf_addf(url, "%s=", name);
    kv_percent_add(url, value, "");
}

static void add_field(kv_buf *form, const char *name, kv_sv value)
{
    kv_buf_addf(form, "%s%s=", form->n ? "&" : "", name);
    kv_percent_add(form, value, "");
}

static kv_code parse_token(kv_sv json, kv_buf *line, uint64_t *out_until, kv_error *err)
{
    kv_auto(kv_jdoc) doc = NULL;
    KV_TRY(kv_jdoc_parse(json, &doc, err));
    const kv_json *root = kv_jdoc_root(doc);
    kv_sv token = kv_json_str(kv_json_get(root, "token"));
    if (!token.n) token = kv_json_str(kv_json_get(root, "access_token"));
    if (!token.n) return kv_fail(err, KV_E_PROTOCOL, "no token in the answer");
    for (size_t i = 0; i < token.n; i++) /* it becomes a header line */
        if ((unsigned char)token.p[i] <= ' ' || token.p[i] == 0x7f)
            return kv_fail(err, KV_E_PROTOCOL, "a token with blanks or control characters");
    uint64_t expires_s = 0;
    (void)kv_json_u64(kv_json_get(root, "expires_in"), &expires_s);
    if (expires_s < EXPIRES_MIN_S) expires_s = EXPIRES_MIN_S;
    if (expires_s > UINT32_MAX) expires_s = UINT32_MAX;
    *out_until = kv_mono_us() + (expires_s - EXPIRES_EARLY_S) * 1000000;
    kv_buf_adds(line, "Authorization: Bearer ");
    kv_buf_add(line, token);
    return kv_buf_check(line, err);
}

/* An identity token is exchanged by POST (OAuth 2), a password by GET, as registries expect. */
static kv_code ask_token(kv_http_auth *a, const site *s, const scope_list *scopes,
                         const kv_login *login, kv_http_response *resp, kv_error *err)
{
    kv_auto_buf url = KV_BUF(HEADER_MAX);
    kv_auto_buf form = KV_BUF(HEADER_MAX);
    kv_auto_buf basic = KV_BUF(HEADER_MAX);
    const char *headers[3] = {"Accept: application/json", NULL, NULL};
    kv_http_request req = {.method = "GET", .headers = headers, .anonymous = true, .stay = true};
    kv_buf_adds(&url, s->realm);
    if (login->secret && !login->user) {
        req.method = "POST";
        headers[1] = "Content-Type: application/x-www-form-urlencoded";
        add_field(&form, "grant_type", KV_SV("refresh_token"));
        add_field(&form, "service", kv_sv_of(s->service));
        add_field(&form, "client_id", kv_sv_of(CLIENT_ID));
        kv_auto_buf all = KV_BUF(SCOPE_TEXT_MAX);
        for (size_t i = 0; i < scopes->n; i++) {
            if (i) kv_buf_addc(&all, ' ');
            kv_buf_add(&all, scopes->items[i]);
        }
        add_field(&form, "scope", kv_buf_sv(&all));
        add_field(&form, "refresh_token", kv_sv_of(login->secret));
        KV_TRY(kv_buf_check(&form, err));
        req.body = kv_buf_sv(&form);
    } else {
        if (s->service[0]) add_query(&url, "service", kv_sv_of(s->service));
        for (size_t i = 0; i < scopes->n; i++) add_query(&url, "scope", scopes->items[i]);
        if (login->secret) {
            add_query(&url, "account", kv_sv_of(login->user));
            KV_TRY(add_basic(login, &basic, err));
            headers[1] = basic.p;
        }
    }
    KV_TRY(kv_buf_check(&url, err));
    req.url = url.p;
    return kv_http_send(a->http, &req, resp, err);
}

static kv_code check_realm(const kv_http_auth *a, const kv_url_origin *origin, const site *s,
                           const kv_login *login, kv_error *err)
{
    kv_auto_url_origin realm = {0};
    kv_code rc = kv_url_origin_of(s->realm, &realm, err);
    if (rc != KV_OK) return kv_wrap(err, KV_E_PROTOCOL, "token server of '%s'", origin->host);
    if (origin->tls && !realm.tls && !realm.loopback)
        return kv_fail(err, KV_E_DENIED,
                       "'%s' wants tokens to be fetched over plain HTTP from '%s'", origin->host,
                       realm.host);
    return login->secret ? may_send_login(a, &realm, err) : KV_OK;
}

static kv_code fetch_token(kv_http_auth *a, const kv_url_origin *origin, const site *s,
                           const char *scope, const scope_list *scopes, kv_buf *out, kv_error *err)
{
    kv_auto_login login = {0};
    KV_TRY(find_login(a, origin, &login, err));
    if (login.secret && login.bearer) {
        KV_TRY(may_send_login(a, origin, err));
        kv_buf_addf(out, "Authorization: Bearer %s", login.secret);
        KV_TRY(kv_buf_check(out, err));
        return keep_header(a, origin->text, scope, true, kv_buf_sv(out), UINT64_MAX, err);
    }
    KV_TRY(check_realm(a, origin, s, &login, err));
    kv_auto_http_response resp = {0};
    kv_code rc = ask_token(a, s, scopes, &login, &resp, err);
    if (rc != KV_OK) return kv_wrap(err, rc, "token server of '%s'", origin->host);
    if (resp.status == 400 || resp.status == 401 || resp.status == 403) {
        (void)kv_http_fail_status(&resp, err);
        return kv_wrap(err, KV_E_AUTH, "login to '%s' refused", origin->host);
    }
    uint64_t until = 0;
    rc = resp.status == 200 ? parse_token(kv_buf_sv(&resp.body), out, &until, err)
                            : kv_http_fail_status(&resp, err);
    if (rc != KV_OK) {
        kv_buf_truncate(out, 0);
        return kv_wrap(err, rc, "token server of '%s'", origin->host);
    }
    return keep_header(a, origin->text, scope, false, kv_buf_sv(out), until, err);
}

/* --- the two entries --- */

static kv_code attach_locked(kv_http_auth *a, const kv_url_origin *origin, const char *scope,
                             kv_buf *out, kv_error *err)
{
    header *h = find_header(a, origin->text, scope);
    if (h && h->until_us > kv_mono_us()) {
        kv_buf_adds(out, h->line);
        return kv_buf_check(out, err);
    }
    const site *s = find_site(a, origin->text);
    if (!s) return KV_OK;
    scope_list scopes = merge_scopes(kv_sv_of(scope), (kv_sv){0});
    return fetch_token(a, origin, s, scope, &scopes, out, err);
}

kv_code kv_http_auth_attach(kv_http_auth *a, const kv_url_origin *origin, const char *scope,
                            kv_buf *out, kv_error *err)
{
    pthread_mutex_lock(&a->lock);
    kv_code rc = attach_locked(a, origin, scope ? scope : "", out, err);
    pthread_mutex_unlock(&a->lock);
    return rc;
}

static kv_code answer_basic(kv_http_auth *a, const kv_url_origin *origin, kv_sv used, kv_buf *out,
                            kv_error *err)
{
    kv_auto_login login = {0};
    KV_TRY(find_login(a, origin, &login, err));
    if (!login.secret || !login.user) return KV_OK;
    KV_TRY(may_send_login(a, origin, err));
    KV_TRY(add_basic(&login, out, err));
    if (kv_sv_eq(kv_buf_sv(out), used)) { /* it was sent, and it was wrong */
        kv_buf_truncate(out, 0);
        return KV_OK;
    }
    return keep_header(a, origin->text, "", true, kv_buf_sv(out), UINT64_MAX, err);
}

static kv_code answer_locked(kv_http_auth *a, const kv_url_origin *origin, const char *scope,
                             const kv_challenge *list, size_t n, kv_sv used, kv_buf *out,
                             kv_error *err)
{
    header *h = find_header(a, origin->text, scope);
    if (h && !kv_sv_is(used, h->line) && h->until_us > kv_mono_us()) {
        kv_buf_adds(out, h->line); /* another transfer was here first */
        return kv_buf_check(out, err);
    }
    if (h) drop_header(a, h);
    for (size_t i = 0; i < n; i++) {
        if (!kv_sv_eq_nocase(list[i].scheme, KV_SV("Bearer")) || !list[i].realm.n) continue;
        KV_TRY(keep_site(a, origin->text, &list[i], err));
        scope_list scopes = merge_scopes(kv_sv_of(scope), list[i].scope);
        KV_TRY(fetch_token(a, origin, find_site(a, origin->text), scope, &scopes, out, err));
        if (kv_sv_eq(kv_buf_sv(out), used)) kv_buf_truncate(out, 0);
        return KV_OK;
    }
    for (size_t i = 0; i < n; i++)
        if (kv_sv_eq_nocase(list[i].scheme, KV_SV("Basic")))
            return answer_basic(a, origin, used, out, err);
    return KV_OK;
}

kv_code kv_http_auth_answer(kv_http_auth *a, const kv_url_origin *origin, const char *scope,
                            const kv_http_response *resp, kv_sv used, kv_buf *out, kv_error *err)
{
    kv_auto(kv_arena) arena = kv_arena_new(4 * KV_HTTP_HEAD_MAX);
    if (!arena) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_challenge list[KV_CHALLENGES_MAX];
    size_t n = 0, at = 0;
    kv_sv value;
    while (kv_http_header_next(resp, "WWW-Authenticate", &at, &value))
        KV_TRY(kv_challenge_parse(value, arena, list, &n, err));
    pthread_mutex_lock(&a->lock);
    kv_code rc = answer_locked(a, origin, scope ? scope : "", list, n, used, out, err);
    pthread_mutex_unlock(&a->lock);
    return rc;
}

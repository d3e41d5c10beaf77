#include "hub/handler/auth.h"

#include "codec/secret.h"
#include "codec/text.h"
#include "hub/config.h"
#include "hub/service/identity.h"
#include "hub/service/rights.h"

enum { AUTHORIZATION_MAX = 16384 };

/* --- challenges --- */

void kv_auth_challenge_basic(kv_request *req)
{
    kv_respond_add(req, "WWW-Authenticate", KV_SV("Basic realm=\"kitvault\", charset=\"UTF-8\""));
}

/* A host as it may stand inside a quoted string of a header. */
static bool host_ok(kv_sv host)
{
    for (size_t i = 0; i < host.n; i++) {
        char c = host.p[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '-' || c == ':' || c == '[' || c == ']' || c == '_';
        if (!ok) return false;
    }
    return host.n > 0;
}

/* Where tokens are had: as the hub is called from outside, else as this client called it. */
static bool add_realm(kv_hub *hub, kv_request *req, kv_buf *out)
{
    kv_sv url = kv_sv_of(hub->config->public_url);
    while (kv_sv_ends(url, KV_SV("/"))) url.n--;
    if (url.n) {
        kv_buf_addf(out, "%.*s/token", KV_ARG(url));
        return true;
    }
    kv_sv host = kv_req_host(req);
    if (!host_ok(host)) return false;
    kv_buf_addf(out, "%s://%.*s/token", kv_req_is_tls(req) ? "https" : "http", KV_ARG(host));
    return true;
}

static const char *actions_of(kv_right right)
{
    switch (right) {
    case KV_RIGHT_NONE:
    case KV_RIGHT_PING:
    case KV_RIGHT_USER:
    case KV_RIGHT_ADMIN: return NULL;
    case KV_RIGHT_PULL: return "pull";
    case KV_RIGHT_PUSH: return "pull,push";
    case KV_RIGHT_DELETE: return "pull,push,delete"; /* clients look and retag around a delete */
    }
    return NULL;
}

static void add_scope(kv_buf *out, kv_sv name, const char *actions)
{
    kv_buf_adds(out, "repository:");
    kv_percent_add(out, name, "/_.-"); /* a name that needs it is none, and harmless so */
    kv_buf_addf(out, ":%s", actions);
}

/* The second repository of a mount. */
static kv_sv mount_from(const kv_request *req, kv_right right)
{
    kv_sv mount, from;
    bool both = right == KV_RIGHT_PUSH && kv_req_query(req, "mount", 0, &mount) &&
                kv_req_query(req, "from", 0, &from);
    return both ? from : KV_SV("");
}

/* Bearer first: the clients that know both take the first they know. */
static void challenge(kv_hub *hub, kv_request *req, kv_right right, const char *error)
{
    kv_auto_buf b = KV_BUF(8192);
    kv_sv name = kv_req_part(req, "name");
    const char *actions = actions_of(right);
    bool oci = kv_sv_starts(kv_req_path(req), KV_SV("/v2"));
    kv_buf_adds(&b, "Bearer realm=\"");
    if (oci && add_realm(hub, req, &b)) {
        kv_buf_adds(&b, "\",service=\"kitvault\"");
        if (actions && name.n) {
            kv_sv from = mount_from(req, right);
            kv_buf_adds(&b, ",scope=\"");
            add_scope(&b, name, actions);
            if (from.n) kv_buf_addc(&b, ' ');
            if (from.n) add_scope(&b, from, "pull");
            kv_buf_addc(&b, '"');
        }
        if (error) kv_buf_addf(&b, ",error=\"%s\"", error);
        if (!b.failed) kv_respond_add(req, "WWW-Authenticate", kv_buf_sv(&b));
    }
    kv_auth_challenge_basic(req);
}

/* --- who --- */

kv_code kv_auth_password(kv_hub *hub, kv_request *req, kv_sv name, kv_sv password, kv_principal *io,
                         kv_error *err)
{
    unsigned wait_s = 0;
    kv_arena *arena = kv_req_arena(req);
    if (!arena) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_code rc = kv_identity_password(hub->identity, name, password, arena, io, &wait_s, err);
    bool api = kv_sv_starts(kv_req_path(req), KV_SV("/api/"));
    if (rc == KV_E_BUSY)
        return kv_req_fail_as(req, rc, 503, api ? "overloaded" : "UNAVAILABLE", KV_SV(""));
    if (!wait_s) return rc;
    kv_respond_addf(req, "Retry-After", "%u", wait_s);
    return kv_req_fail_as(req, rc, 429, api ? "too_many_attempts" : "TOOMANYREQUESTS", KV_SV(""));
}

static kv_code sign_in_basic(kv_hub *hub, kv_request *req, kv_sv encoded, kv_principal *io,
                             kv_error *err)
{
    kv_auto_secret_buf text = KV_BUF(AUTHORIZATION_MAX);
    kv_sv name;
    bool has_password;
    if (kv_base64_parse(encoded, &text, NULL) != KV_OK)
        return kv_fail(err, KV_E_AUTH, "the Authorization header is not valid");
    kv_sv password = kv_sv_cut(kv_buf_sv(&text), ':', &name, &has_password);
    return kv_auth_password(hub, req, name, password, io, err);
}

/* What follows the scheme; false when the header has another scheme. */
static bool scheme_is(kv_sv header, kv_sv scheme, kv_sv *out_rest)
{
    if (header.n <= scheme.n || header.p[scheme.n] != ' ' ||
        !kv_sv_eq_nocase(kv_sv_sub(header, 0, scheme.n), scheme))
        return false;
    *out_rest = kv_sv_trim(kv_sv_from(header, scheme.n));
    return true;
}

kv_code kv_auth_basic(kv_hub *hub, kv_request *req, kv_principal *io, bool *out_given,
                      kv_error *err)
{
    kv_sv rest;
    *out_given = scheme_is(kv_req_header(req, "Authorization"), KV_SV("Basic"), &rest);
    return *out_given ? sign_in_basic(hub, req, rest, io, err) : KV_OK;
}

/* Fills in *io from the Authorization header; out_error: what the challenge shall say. */
static kv_code sign_in(kv_hub *hub, kv_request *req, kv_principal *io, const char **out_error,
                       kv_error *err)
{
    kv_sv rest, header = kv_req_header(req, "Authorization");
    kv_arena *arena = kv_req_arena(req);
    if (!header.n) return KV_OK;
    if (!arena) return kv_fail(err, KV_E_NOMEM, "out of memory");
    bool api = kv_sv_starts(kv_req_path(req), KV_SV("/api/")); /* tokens are for the registry */
    if (!api && scheme_is(header, KV_SV("Bearer"), &rest)) {
        kv_code rc = kv_identity_token(hub->identity, rest, arena, io, err);
        if (rc == KV_E_AUTH) *out_error = "invalid_token";
        return rc;
    }
    if (scheme_is(header, KV_SV("Basic"), &rest)) return sign_in_basic(hub, req, rest, io, err);
    return kv_fail(err, KV_E_AUTH, "the Authorization header is not valid");
}

static kv_principal *new_principal(kv_hub *hub, kv_request *req)
{
    kv_arena *arena = kv_req_arena(req);
    kv_principal *who = arena ? KV_NEW(arena, kv_principal, 1) : NULL;
    if (!who) return NULL;
    *who = (kv_principal){.type = "anonymous",
                          .authn = "none",
                          .everything = hub->config->no_auth,
                          .address = kv_sv_of(kv_req_peer(req)),
                          .user_agent = kv_req_header(req, "User-Agent"),
                          .request_id = kv_sv_of(kv_req_id(req)),
                          .adapter = kv_sv_starts(kv_req_path(req), KV_SV("/api/")) ? "api"
                                                                                    : "oci"};
    kv_req_set_principal(req, who, KV_SV("anonymous"));
    return who;
}

/* Somebody known was refused: that belongs into the log. */
static void note_denied(kv_hub *hub, kv_request *req, const kv_principal *who, kv_right right)
{
    kv_sv repository = kv_req_part(req, "name");
    const char *action = right == KV_RIGHT_PULL     ? "version.pulled"
                         : right == KV_RIGHT_PUSH   ? "version.pushed"
                         : right == KV_RIGHT_DELETE ? "version.trashed"
                                                    : NULL;
    if (!action) return;
    kv_event ev = {.action = action,
                   .outcome = KV_OUTCOME_DENIED,
                   .code = KV_SV("forbidden"),
                   .object = {.type = "repository",
                              .ns = kv_rights_namespace(repository),
                              .repo = repository}};
    if (kv_utf8_valid(repository)) kv_audit_count(hub->audit, who, &ev);
}

kv_code kv_authorize(kv_hub *hub, kv_request *req, const kv_route *route, kv_error *err)
{
    const char *error = NULL;
    kv_principal *who = new_principal(hub, req);
    if (!who) return kv_fail(err, KV_E_NOMEM, "out of memory");
    if (route->right == KV_RIGHT_NONE || who->everything) return KV_OK;
    kv_code rc = sign_in(hub, req, who, &error, err);
    if (rc == KV_OK) {
        if (who->id.n) kv_req_set_principal(req, who, who->name);
        rc = kv_rights_check(who, route->right, kv_req_part(req, "name"), err);
        /* A token that was got for one repository alone: its owner may be able to get another. What
         * the owner may not pull either is for the mount to refuse, like what is not there. */
        kv_sv from = mount_from(req, route->right);
        if (rc == KV_OK && who->limited && from.n &&
            kv_rights_check(who, KV_RIGHT_PULL, from, NULL) == KV_E_AUTH)
            rc = kv_fail(err, KV_E_AUTH, "the token does not reach the repository to mount from");
        if (rc == KV_E_AUTH && who->limited) error = "insufficient_scope";
        if (rc == KV_E_DENIED || rc == KV_E_NOTFOUND) note_denied(hub, req, who, route->right);
    }
    if (rc == KV_E_AUTH) challenge(hub, req, route->right, error);
    if (rc == KV_E_NOTFOUND && kv_sv_starts(kv_req_path(req), KV_SV("/v2")))
        return kv_req_fail_as(req, rc, 404, "NAME_UNKNOWN", KV_SV(""));
    return rc;
}

/* The token service of the registry. Source: distribution, docs/spec/auth/token and oauth;
 * oci-registry.md 6.2. */
#include "base/clock.h"
#include "codec/secret.h"
#include "codec/text.h"
#include "hub/handler/auth.h"
#include "hub/handler/handlers.h"
#include "hub/service/identity.h"
#include "hub/service/scope.h"
#include "json/json.h"

enum { FORM_MAX = 64 << 10, SCOPES_MAX = 64, TEXT_MAX = 8192 };

typedef struct asked {
    kv_scope list[SCOPES_MAX];
    size_t n;
} asked;

/* A parameter may hold several scopes with blanks between. */
static kv_code add_scopes(asked *a, kv_sv text, kv_error *err)
{
    for (bool more = true; more;) {
        kv_sv one;
        kv_scope s;
        bool known;
        text = kv_sv_cut(text, ' ', &one, &more);
        if (!one.n) continue;
        KV_TRY(kv_scope_parse(one, &s, &known, err));
        if (!known) continue;
        if (a->n == SCOPES_MAX)
            return kv_fail(err, KV_E_LIMIT, "more than %d scopes in one request", SCOPES_MAX);
        a->list[a->n++] = s;
    }
    return KV_OK;
}

static kv_code answer(kv_hub *hub, kv_request *req, const kv_principal *who, const asked *a,
                      kv_error *err)
{
    kv_issued t;
    kv_arena *arena = kv_req_arena(req);
    if (!arena) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_code rc = kv_identity_issue(hub->identity, who, a->list, a->n, arena, &t, err);
    if (rc == KV_E_LIMIT) return kv_req_fail_as(req, rc, 400, "BAD_REQUEST", KV_SV(""));
    KV_TRY(rc);
    char issued_at[KV_TIME_TEXT_MAX];
    kv_time_format(t.issued_us, 0, issued_at);
    kv_auto_secret_buf body = KV_BUF(64 << 10);
    kv_auto_buf scope = KV_BUF(32 << 10);
    for (size_t i = 0; i < t.n_scopes; i++) {
        kv_buf_addf(&scope, "%srepository:%.*s:", i ? " " : "", KV_ARG(t.scopes[i].repository));
        kv_scope_actions_add(t.scopes[i].allow, &scope);
    }
    KV_TRY(kv_buf_check(&scope, err));
    kv_jout j = kv_jout_make(&body, KV_JSON_GO, 0);
    kv_jout_obj(&j);
    kv_jout_kstr(&j, "token", t.token);
    kv_jout_kstr(&j, "access_token", t.token);
    kv_jout_kstr(&j, "token_type", KV_SV("Bearer"));
    kv_jout_ku64(&j, "expires_in", t.expires_in_s);
    kv_jout_kstr(&j, "issued_at", kv_sv_of(issued_at));
    kv_jout_kstr(&j, "scope", kv_buf_sv(&scope));
    kv_jout_end_obj(&j);
    KV_TRY(kv_buf_check(&body, err));
    kv_respond_add(req, "Cache-Control", KV_SV("no-store"));
    return kv_respond_json(req, 200, kv_buf_sv(&body), err);
}

/* What the hook made of the request, to be filled in here. */
static kv_principal caller(const kv_request *req)
{
    return *kv_req_principal(req);
}

kv_code kv_handle_token_get(kv_hub *hub, kv_request *req, kv_error *err)
{
    asked a = {.n = 0};
    kv_sv text;
    bool given = false;
    kv_principal who = caller(req);
    for (size_t i = 0; kv_req_query(req, "scope", i, &text); i++) KV_TRY(add_scopes(&a, text, err));
    kv_code rc = who.everything ? KV_OK : kv_auth_basic(hub, req, &who, &given, err);
    if (rc == KV_E_AUTH) kv_auth_challenge_basic(req);
    KV_TRY(rc);
    return answer(hub, req, &who, &a, err);
}

/* --- POST --- */

typedef struct form {
    kv_buf body;                 /* as it was sent */
    kv_buf text;                 /* the decoded values, one behind the other */
    kv_sv grant, name, password; /* borrow from text, like the scopes */
    asked scopes;
} form;

static void form_clear(form *f)
{
    kv_wipe_buf(&f->body);
    kv_wipe_buf(&f->text);
}

static kv_code form_field(form *f, kv_sv key, kv_sv raw, kv_error *err)
{
    size_t from = f->text.n;
    KV_TRY(kv_percent_parse(raw, true, &f->text, err));
    kv_sv value = kv_sv_from(kv_buf_sv(&f->text), from);
    if (kv_sv_is(key, "grant_type")) f->grant = value;
    if (kv_sv_is(key, "username")) f->name = value;
    if (kv_sv_is(key, "password")) f->password = value;
    if (kv_sv_is(key, "scope")) return add_scopes(&f->scopes, value, err);
    return KV_OK;
}

static kv_code form_read(form *f, kv_request *req, kv_error *err)
{
    KV_TRY(kv_body_read_all(req, &f->body, err));
    /* Decoding never makes text longer, so with this much room it does not move while values
     * borrow from it. */
    if (!kv_buf_extend(&f->text, f->body.n + 1)) return kv_buf_check(&f->text, err);
    kv_buf_truncate(&f->text, 0);
    kv_sv rest = kv_buf_sv(&f->body);
    for (bool more = true; more;) {
        kv_sv pair, key;
        rest = kv_sv_cut(rest, '&', &pair, &more);
        kv_sv raw = kv_sv_cut(pair, '=', &key, NULL);
        KV_TRY(form_field(f, key, raw, err));
    }
    return KV_OK;
}

static kv_code token_post(kv_hub *hub, kv_request *req, form *f, kv_error *err)
{
    bool given = false;
    kv_principal who = caller(req);
    KV_TRY(form_read(f, req, err));
    if (f->grant.n && !kv_sv_is(f->grant, "password"))
        return kv_fail(err, KV_E_ARG, "this hub issues no refresh tokens: use grant_type=password");
    kv_code rc = KV_OK;
    if (!who.everything && f->grant.n)
        rc = kv_auth_password(hub, req, f->name, f->password, &who, err);
    else if (!who.everything)
        rc = kv_auth_basic(hub, req, &who, &given, err);
    if (rc == KV_E_AUTH) kv_auth_challenge_basic(req);
    KV_TRY(rc);
    return answer(hub, req, &who, &f->scopes, err);
}

kv_code kv_handle_token_post(kv_hub *hub, kv_request *req, kv_error *err)
{
    form f = {.body = KV_BUF(FORM_MAX), .text = KV_BUF(FORM_MAX + 1)};
    kv_code rc = token_post(hub, req, &f, err);
    form_clear(&f);
    return rc;
}

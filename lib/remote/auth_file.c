#include "remote/auth_file.h"

#include <ctype.h>
#include <string.h>

#include "codec/text.h"

enum { NAME_MAX_BYTES = 4096 };
/* Docker Hub's address of old, which its tools still use as the key. */
static const char HUB_HOST[] = "index.docker.io";
static const char HUB_KEY[] = "https://index.docker.io/v1/";

void kv_auth_file_clear(kv_auth_file *f)
{
    kv_jdoc_free(f->doc);
    f->doc = NULL;
}

static const kv_json *member(const kv_auth_file *f, const char *key)
{
    return f->doc ? kv_json_get(kv_jdoc_root(f->doc), key) : NULL;
}

static kv_code expect(const kv_json *v, kv_jkind kind, const char *what, kv_error *err)
{
    kv_jkind got = kv_json_kind(v);
    if (got == kind || got == KV_JNONE || got == KV_JNULL) return KV_OK;
    return kv_fail(err, KV_E_INVALID, "%s: expected %s", what,
                   kind == KV_JOBJ ? "an object" : "a string");
}

kv_code kv_auth_file_parse(kv_sv text, kv_auth_file *out, kv_error *err)
{
    kv_auto_auth_file f = {0};
    if (kv_sv_trim(text).n == 0) {
        *out = f;
        return KV_OK;
    }
    KV_TRY(kv_jdoc_parse(text, &f.doc, err));
    if (kv_json_kind(kv_jdoc_root(f.doc)) != KV_JOBJ)
        return kv_fail(err, KV_E_INVALID, "expected an object");
    KV_TRY(expect(member(&f, "auths"), KV_JOBJ, "auths", err));
    KV_TRY(expect(member(&f, "credHelpers"), KV_JOBJ, "credHelpers", err));
    KV_TRY(expect(member(&f, "credsStore"), KV_JSTR, "credsStore", err));
    kv_jiter it = kv_json_iter(member(&f, "auths"));
    kv_sv key;
    for (const kv_json *e; (e = kv_json_next(&it, &key));) {
        if (expect(e, KV_JOBJ, "", NULL) != KV_OK)
            return kv_fail(err, KV_E_INVALID, "auths.%.*s: expected an object", KV_ARG(key));
    }
    *out = f;
    f.doc = NULL;
    return KV_OK;
}

kv_code kv_auth_host(kv_sv name, kv_buf *out, kv_error *err)
{
    size_t scheme = kv_sv_find_sub(name, KV_SV("://"));
    if (scheme != SIZE_MAX) name = kv_sv_from(name, scheme + 3);
    kv_sv host;
    kv_sv_cut(name, '/', &host, NULL);
    static const char *const HUB[] = {"docker.io", "index.docker.io", "registry-1.docker.io"};
    for (size_t i = 0; i < KV_COUNT(HUB); i++)
        if (kv_sv_eq_nocase(host, kv_sv_of(HUB[i]))) host = kv_sv_of(HUB_HOST);
    for (size_t i = 0; i < host.n; i++) kv_buf_addc(out, (char)tolower((unsigned char)host.p[i]));
    return kv_buf_check(out, err);
}

static bool names_host(kv_sv key, kv_sv host)
{
    kv_auto_buf canonical = KV_BUF(NAME_MAX_BYTES);
    return kv_auth_host(key, &canonical, NULL) == KV_OK && kv_sv_eq(kv_buf_sv(&canonical), host);
}

static const kv_json *find_host(const kv_json *object, kv_sv host)
{
    kv_jiter it = kv_json_iter(object);
    kv_sv key;
    for (const kv_json *e; (e = kv_json_next(&it, &key));)
        if (names_host(key, host)) return e;
    return NULL;
}

kv_sv kv_auth_file_helper(const kv_auth_file *f, kv_sv host)
{
    kv_sv own = kv_json_str(find_host(member(f, "credHelpers"), host));
    return own.n ? own : kv_json_str(member(f, "credsStore"));
}

static kv_code take_text(kv_sv s, char **out, kv_error *err)
{
    if (memchr(s.p, '\0', s.n)) return kv_fail(err, KV_E_INVALID, "a NUL byte in a login");
    *out = kv_sv_dup(s);
    return *out ? KV_OK : kv_fail(err, KV_E_NOMEM, "out of memory");
}

/* "auth" is base64 of user:password, cut at the first colon; some tools pad it with NUL bytes. */
static kv_code take_auth(kv_sv auth, kv_login *login, kv_error *err)
{
    kv_auto_buf pair = KV_BUF(KV_AUTH_FILE_MAX);
    kv_code rc = kv_base64_parse(auth, &pair, err);
    kv_sv text = kv_buf_sv(&pair), user;
    while (text.n && text.p[text.n - 1] == '\0') text.n--;
    bool found = false;
    kv_sv password = kv_sv_cut(text, ':', &user, &found);
    if (rc == KV_OK && !found) rc = KV_E_INVALID;
    if (rc == KV_OK) rc = take_text(user, &login->user, err);
    if (rc == KV_OK) rc = take_text(password, &login->secret, err);
    if (pair.p) explicit_bzero(pair.p, pair.n);
    /* No detail in the text: it could quote a secret. */
    return rc == KV_OK ? KV_OK : kv_fail(err, KV_E_INVALID, "auth is not base64 of user:password");
}

kv_code kv_auth_file_get(const kv_auth_file *f, kv_sv host, kv_login *out, kv_error *err)
{
    const kv_json *e = find_host(member(f, "auths"), host);
    kv_auto_login login = {0};
    kv_sv identity = kv_json_str(kv_json_get(e, "identitytoken"));
    kv_sv bearer = kv_json_str(kv_json_get(e, "registrytoken"));
    kv_sv auth = kv_json_str(kv_json_get(e, "auth"));
    kv_sv user = kv_json_str(kv_json_get(e, "username"));
    if (identity.n) {
        KV_TRY(take_text(identity, &login.secret, err));
    } else if (bearer.n) {
        KV_TRY(take_text(bearer, &login.secret, err));
        login.bearer = true;
    } else if (auth.n) {
        kv_code rc = take_auth(auth, &login, err);
        if (rc != KV_OK) return kv_wrap(err, rc, "auths of '%.*s'", KV_ARG(host));
    } else if (user.n) {
        KV_TRY(take_text(user, &login.user, err));
        KV_TRY(take_text(kv_json_str(kv_json_get(e, "password")), &login.secret, err));
    } else {
        return kv_fail(err, KV_E_NOTFOUND, "no login for '%.*s'", KV_ARG(host));
    }
    *out = login;
    login = (kv_login){0};
    return KV_OK;
}

/* --- writing --- */

static kv_code add_entry(kv_jout *j, kv_sv host, const kv_login *login, kv_error *err)
{
    kv_auto_buf pair = KV_BUF(KV_AUTH_FILE_MAX);
    kv_auto_buf auth = KV_BUF(KV_AUTH_FILE_MAX);
    kv_jout_key(j, kv_sv_is(host, HUB_HOST) ? kv_sv_of(HUB_KEY) : host);
    kv_jout_obj(j);
    if (login->bearer) {
        kv_jout_kstr(j, "registrytoken", kv_sv_of(login->secret));
    } else if (!login->user) {
        kv_jout_kstr(j, "identitytoken", kv_sv_of(login->secret));
    } else {
        kv_buf_addf(&pair, "%s:%s", login->user, login->secret);
        KV_TRY(kv_buf_check(&pair, err));
        kv_base64_add(&auth, kv_buf_sv(&pair));
        explicit_bzero(pair.p, pair.n);
        KV_TRY(kv_buf_check(&auth, err));
        kv_jout_kstr(j, "auth", kv_buf_sv(&auth));
        explicit_bzero(auth.p, auth.n);
    }
    kv_jout_end_obj(j);
    return KV_OK;
}

static kv_code add_auths(kv_jout *j, const kv_json *auths, kv_sv host, const kv_login *login,
                         kv_error *err)
{
    kv_jout_key(j, KV_SV("auths"));
    kv_jout_obj(j);
    kv_jiter it = kv_json_iter(auths);
    kv_sv key;
    for (const kv_json *e; (e = kv_json_next(&it, &key));) {
        if (names_host(key, host)) continue;
        kv_jout_key(j, key);
        kv_jout_value(j, e);
    }
    if (login) KV_TRY(add_entry(j, host, login, err));
    kv_jout_end_obj(j);
    return KV_OK;
}

/* One blank of indent is one tab. Strings hold no raw newline, so only indents begin a line. */
static void indent_by_tabs(kv_buf *b)
{
    bool start = false;
    for (size_t i = 0; i < b->n; i++) {
        if (b->p[i] == '\n')
            start = true;
        else if (start && b->p[i] == ' ')
            b->p[i] = '\t';
        else
            start = false;
    }
}

kv_code kv_auth_file_format(const kv_auth_file *f, kv_sv host, const kv_login *login, kv_buf *out,
                            kv_error *err)
{
    kv_jout j = kv_jout_make(out, KV_JSON_GO, 1);
    kv_jout_obj(&j);
    kv_jiter it = kv_json_iter(f->doc ? kv_jdoc_root(f->doc) : NULL);
    bool had_auths = false;
    kv_sv key;
    for (const kv_json *v; (v = kv_json_next(&it, &key));) {
        if (kv_sv_is(key, "auths")) {
            had_auths = true;
            KV_TRY(add_auths(&j, v, host, login, err));
            continue;
        }
        kv_jout_key(&j, key);
        kv_jout_value(&j, v);
    }
    if (!had_auths) KV_TRY(add_auths(&j, NULL, host, login, err));
    kv_jout_end_obj(&j);
    KV_TRY(kv_buf_check(out, err));
    indent_by_tabs(out);
    return KV_OK;
}

#include "remote/auth_helper.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/proc.h"
#include "json/json.h"

enum { TIMEOUT_MS = 30000, ANSWER_MAX = 256 * 1024, NAME_BYTES = 128 };
static const char NONE_TEXT[] = "credentials not found in native keychain";
static const char TOKEN_USER[] = "<token>";

static kv_code program_name(kv_sv name, char out[NAME_BYTES], kv_error *err)
{
    bool ok = name.n > 0 && name.n < 64;
    for (size_t i = 0; ok && i < name.n; i++)
        ok = isalnum((unsigned char)name.p[i]) || strchr("-_.", name.p[i]);
    if (!ok)
        return kv_fail(err, KV_E_INVALID, "bad name of a credential helper: '%.*s'", KV_ARG(name));
    snprintf(out, NAME_BYTES, "docker-credential-%.*s", KV_ARG(name));
    return KV_OK;
}

/* Secrets go by standard input only. A failure is a status and a text on standard output. */
static kv_code run(kv_sv name, const char *verb, kv_sv input, kv_buf *out, kv_error *err)
{
    char program[NAME_BYTES];
    KV_TRY(program_name(name, program, err));
    const char *argv[] = {program, verb, NULL};
    int status = 0;
    kv_code rc = kv_proc_run(argv, input, TIMEOUT_MS, out, &status, err);
    if (rc == KV_E_NOTFOUND) return kv_wrap(err, KV_E_UNSUPPORTED, "credential helper");
    if (rc != KV_OK) return rc;
    if (status == 0) return KV_OK;
    kv_sv text = kv_sv_trim(kv_buf_sv(out));
    if (kv_sv_is(text, NONE_TEXT)) return kv_fail(err, KV_E_NOTFOUND, "%s", NONE_TEXT);
    return kv_fail(err, KV_E_IO, "'%s %s' failed with status %d: %.*s", program, verb, status,
                   KV_ARG(kv_sv_sub(text, 0, 500)));
}

kv_code kv_auth_helper_parse(kv_sv json, kv_login *out, kv_error *err)
{
    kv_auto(kv_jdoc) doc = NULL;
    KV_TRY(kv_jdoc_parse(json, &doc, err));
    kv_sv user = kv_json_str(kv_json_get(kv_jdoc_root(doc), "Username"));
    kv_sv secret = kv_json_str(kv_json_get(kv_jdoc_root(doc), "Secret"));
    if (!secret.n || memchr(secret.p, '\0', secret.n) || (user.n && memchr(user.p, '\0', user.n)))
        return kv_fail(err, KV_E_INVALID, "the answer of the credential helper is no login");
    kv_auto_login login = {.secret = kv_sv_dup(secret)};
    bool token = user.n == 0 || kv_sv_is(user, TOKEN_USER);
    if (!token) login.user = kv_sv_dup(user);
    if (!login.secret || (!token && !login.user)) return kv_fail(err, KV_E_NOMEM, "out of memory");
    *out = login;
    login = (kv_login){0};
    return KV_OK;
}

kv_code kv_auth_helper_get(kv_sv name, const char *server, kv_login *out, kv_error *err)
{
    kv_auto_buf answer = KV_BUF(ANSWER_MAX);
    KV_TRY(run(name, "get", kv_sv_of(server), &answer, err));
    kv_code rc = kv_auth_helper_parse(kv_buf_sv(&answer), out, err);
    if (answer.p) explicit_bzero(answer.p, answer.n);
    return rc;
}

kv_code kv_auth_helper_store(kv_sv name, const char *server, const kv_login *login, kv_error *err)
{
    kv_auto_buf json = KV_BUF(ANSWER_MAX);
    kv_auto_buf answer = KV_BUF(ANSWER_MAX);
    kv_jout j = kv_jout_make(&json, KV_JSON_GO, 0);
    kv_jout_obj(&j);
    kv_jout_kstr(&j, "ServerURL", kv_sv_of(server));
    kv_jout_kstr(&j, "Username", kv_sv_of(login->user ? login->user : TOKEN_USER));
    kv_jout_kstr(&j, "Secret", kv_sv_of(login->secret));
    kv_jout_end_obj(&j);
    KV_TRY(kv_buf_check(&json, err));
    kv_code rc = run(name, "store", kv_buf_sv(&json), &answer, err);
    explicit_bzero(json.p, json.n);
    return rc;
}

kv_code kv_auth_helper_erase(kv_sv name, const char *server, kv_error *err)
{
    kv_auto_buf answer = KV_BUF(ANSWER_MAX);
    kv_error e = {0};
    kv_code rc = run(name, "erase", kv_sv_of(server), &answer, &e);
    if (rc == KV_OK || (rc == KV_E_NOTFOUND && strcmp(e.msg, NONE_TEXT) == 0)) return KV_OK;
    if (err) *err = e;
    return rc;
}

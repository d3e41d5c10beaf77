#include "http/http.h"

#include <stdlib.h>
#include <string.h>

#include "http/transport.h"
#include "test/test.h"

#define H "https://hub.example"
#define SCOPE "repository:a/b:pull"
#define CHALLENGE                                                                                  \
    "WWW-Authenticate: Bearer realm=\"https://auth.example/t\",service=\"hub\",scope=\"" SCOPE     \
    "\"\n"
#define TOKEN_URL "https://auth.example/t?service=hub&scope=repository%3Aa%2Fb%3Apull"
#define TOKEN "{\"token\":\"T1\",\"expires_in\":300}"
#define GET .method = "GET"

static kv_code login_of(void *ctx, kv_sv host, kv_login *out, kv_error *err)
{
    const kv_login *login = ctx;
    (void)err;
    if (!login || !kv_sv_starts(host, KV_SV("hub."))) return KV_E_NOTFOUND;
    out->user = login->user ? strdup(login->user) : NULL;
    out->secret = strdup(login->secret);
    out->bearer = login->bearer;
    return KV_OK;
}

typedef struct test_case {
    const char *name;
    const char *url, *body, *method; /* defaults: H "/x", none, GET */
    const kv_login *login;
    bool plain_http, once;
    unsigned times; /* the same request again on the same client; 0: once */
    kv_code want;
    int status;
    const char *text; /* the last body, or the error */
    kv_http_fake_step steps[12];
} test_case;

static kv_code send_case(kv_http *http, const test_case *c, kv_http_response *resp, kv_error *err)
{
    kv_http_request req = {.method = c->method ? c->method : "GET",
                           .url = c->url ? c->url : H "/x",
                           .body = kv_sv_of(c->body),
                           .scope = SCOPE,
                           .once = c->once};
    kv_code rc = KV_OK;
    for (unsigned i = 0; rc == KV_OK && i < (c->times ? c->times : 1); i++) {
        kv_http_response_clear(resp);
        rc = kv_http_send(http, &req, resp, err);
    }
    return rc;
}

static void check(const test_case *c)
{
    size_t n = 0;
    while (n < KV_COUNT(c->steps) && c->steps[n].method) n++;
    kv_http_options o = KV_HTTP_OPTIONS_INIT;
    kv_login login = c->login ? *c->login : (kv_login){0};
    o.transport = kv_http_transport_fake(c->steps, n);
    o.plain_http = c->plain_http;
    o.find_login = login_of;
    o.login_ctx = c->login ? &login : NULL;
    kv_error err = {0};
    kv_auto(kv_http) http = NULL;
    assert_int_equal(kv_http_new(&o, &http, &err), KV_OK);
    kv_auto_http_response resp = {0};
    kv_code rc = send_case(http, c, &resp, &err);
    const char *problem = kv_http_fake_problem(o.transport);
    if (problem) fail_msg("%s: %s", c->name, problem);
    if (rc != c->want) fail_msg("%s: code %d, '%s'", c->name, (int)rc, err.msg);
    if (rc == KV_OK && resp.status != c->status) fail_msg("%s: status %d", c->name, resp.status);
    const char *text = rc == KV_OK ? resp.body.p : err.msg;
    if (c->text && strcmp(text ? text : "", c->text) != 0) fail_msg("%s: '%s'", c->name, text);
}

static char user[] = "ann", secret[] = "s3cret";
static const kv_login PASSWORD = {.user = user, .secret = secret};
static const kv_login IDENTITY = {.secret = secret};
static const kv_login BEARER = {.secret = secret, .bearer = true};
#define BASIC "Authorization: Basic YW5uOnMzY3JldA=="
#define BASIC_CHALLENGE "WWW-Authenticate: Basic realm=\"hub\"\n"

static const test_case PLAIN[] = {
    {.name = "an answer is an answer, whatever its status",
     .status = 404,
     .text = "no",
     .steps = {{GET, .url = H "/x", .status = 404, .body = "no", .want = "User-Agent: kitvault/"}}},
    {.name = "body is sent",
     .method = "POST",
     .body = "0123456789",
     .status = 201,
     .steps = {{.method = "POST", .url = H "/x", .sent = "0123456789", .status = 201}}},
    {.name = "not a URL", .url = "hub/x", .want = KV_E_INVALID},
    {.name = "user name in a URL", .url = "https://a:b@hub.example/", .want = KV_E_INVALID},
};

static const test_case RETRIES[] = {
    {.name = "a passing failure is tried again",
     .status = 200,
     .text = "ok",
     .steps = {{GET, .url = H "/x", .status = 503, .head = "Retry-After: 0\n"},
               {GET, .url = H "/x", .status = 429, .head = "Retry-After: 0\n"},
               {GET, .url = H "/x", .status = 408, .head = "Retry-After: 0\n"},
               {GET, .url = H "/x", .status = 200, .body = "ok"}}},
    {.name = "five tries are all",
     .status = 500,
     .text = "e",
     .steps = {{GET, .url = H "/x", .status = 500, .head = "Retry-After: 0\n"},
               {GET, .url = H "/x", .status = 500, .head = "Retry-After: 0\n"},
               {GET, .url = H "/x", .status = 500, .head = "Retry-After: 0\n"},
               {GET, .url = H "/x", .status = 500, .head = "Retry-After: 0\n"},
               {GET, .url = H "/x", .status = 500, .body = "e"}}},
    {.name = "a broken body is read again",
     .status = 200,
     .text = "whole",
     .steps = {{GET, .url = H "/x", .status = 200, .body = "whole", .cut = 2},
               {GET, .url = H "/x", .status = 200, .body = "whole"}}},
    {.name = "once is once",
     .once = true,
     .status = 503,
     .steps = {{GET, .url = H "/x", .status = 503}}},
    {.name = "no server there: no need to wait",
     .want = KV_E_NETWORK,
     .text = "GET 'hub.example': scripted failure",
     .steps = {{GET, .url = H "/x", .fail = KV_E_NETWORK, .unreachable = true}}},
    {.name = "a server that was there may come back",
     .times = 2,
     .status = 200,
     .steps = {{GET, .url = H "/x", .status = 200},
               {GET, .url = H "/x", .fail = KV_E_NETWORK, .unreachable = true},
               {GET, .url = H "/x", .status = 200}}},
    {.name = "a body is sent again from its start",
     .method = "PUT",
     .body = "abcdefghij",
     .status = 201,
     .steps = {{.method = "PUT", .url = H "/x", .sent = "abcdefghij", .fail = KV_E_NETWORK},
               {.method = "PUT", .url = H "/x", .sent = "abcdefghij", .status = 201}}},
    {.name = "other failures are final",
     .want = KV_E_PROTOCOL,
     .steps = {{GET, .url = H "/x", .fail = KV_E_PROTOCOL}}},
};

static const test_case REDIRECTS[] = {
    {.name = "login stays with its origin",
     .login = &PASSWORD,
     .status = 200,
     .text = "blob",
     .steps = {{GET, .url = H "/x", .status = 401, .head = BASIC_CHALLENGE},
               {GET, .url = H "/x", .want = BASIC, .status = 307,
                .head = "Location: https://store.example/b?sig=1\n"},
               {GET, .url = "https://store.example/b?sig=1", .unwanted = "Authorization",
                .status = 200, .body = "blob"}}},
    {.name = "same origin keeps it",
     .login = &PASSWORD,
     .status = 200,
     .steps = {{GET, .url = H "/x", .status = 401, .head = BASIC_CHALLENGE},
               {GET, .url = H "/x", .want = BASIC, .status = 302, .head = "Location: /y\n"},
               {GET, .url = H "/y", .want = BASIC, .status = 200}}},
    {.name = "another port is another origin",
     .login = &PASSWORD,
     .status = 401,
     .steps = {{GET, .url = H "/x", .status = 401, .head = BASIC_CHALLENGE},
               {GET, .url = H "/x", .want = BASIC, .status = 302,
                .head = "Location: https://hub.example:444/y\n"},
               {GET, .url = "https://hub.example:444/y", .unwanted = "Authorization", .status = 401,
                .head = BASIC_CHALLENGE}}},
    {.name = "to plain HTTP: no",
     .want = KV_E_DENIED,
     .text = "GET 'hub.example': 'hub.example' redirects to plain HTTP at 'hub.example'",
     .steps = {{GET, .url = H "/x", .status = 302, .head = "Location: http://hub.example/y\n"}}},
    {.name = "a POST is not turned into a GET",
     .method = "POST",
     .status = 302,
     .steps = {{.method = "POST", .url = H "/x", .status = 302, .head = "Location: /y\n"}}},
    {.name = "307 keeps method and body",
     .method = "PUT",
     .body = "0123456789",
     .status = 201,
     .steps = {{.method = "PUT", .url = H "/x", .status = 307, .head = "Location: /y\n"},
               {.method = "PUT", .url = H "/y", .sent = "0123456789", .status = 201}}},
    {.name = "in a circle",
     .want = KV_E_PROTOCOL,
     .text = "GET 'hub.example': more than 10 redirects",
     .steps = {{GET, .url = H "/x", .status = 302, .head = "Location: /x\n"},
               {GET, .url = H "/x", .status = 302, .head = "Location: /x\n"},
               {GET, .url = H "/x", .status = 302, .head = "Location: /x\n"},
               {GET, .url = H "/x", .status = 302, .head = "Location: /x\n"},
               {GET, .url = H "/x", .status = 302, .head = "Location: /x\n"},
               {GET, .url = H "/x", .status = 302, .head = "Location: /x\n"},
               {GET, .url = H "/x", .status = 302, .head = "Location: /x\n"},
               {GET, .url = H "/x", .status = 302, .head = "Location: /x\n"},
               {GET, .url = H "/x", .status = 302, .head = "Location: /x\n"},
               {GET, .url = H "/x", .status = 302, .head = "Location: /x\n"},
               {GET, .url = H "/x", .status = 302, .head = "Location: /x\n"}}},
    {.name = "to a broken place",
     .want = KV_E_PROTOCOL,
     .steps = {{GET, .url = H "/x", .status = 302, .head = "Location: http://[\n"}}},
};

static const test_case TOKENS[] = {
    {.name = "anonymous token, kept for the next request",
     .times = 2,
     .status = 200,
     .steps = {{GET, .url = H "/x", .unwanted = "Authorization", .status = 401, .head = CHALLENGE},
               {GET, .url = TOKEN_URL, .unwanted = "Authorization", .status = 200, .body = TOKEN},
               {GET, .url = H "/x", .want = "Authorization: Bearer T1", .status = 200},
               {GET, .url = H "/x", .want = "Authorization: Bearer T1", .status = 200}}},
    {.name = "password goes to the token server only",
     .login = &PASSWORD,
     .status = 200,
     .steps = {{GET, .url = H "/x", .unwanted = "Authorization", .status = 401, .head = CHALLENGE},
               {GET, .url = TOKEN_URL "&account=ann", .want = BASIC, .status = 200,
                .body = "{\"access_token\":\"T2\"}"},
               {GET, .url = H "/x", .want = "Authorization: Bearer T2", .status = 200}}},
    {.name = "identity token is exchanged",
     .login = &IDENTITY,
     .status = 200,
     .steps = {{GET, .url = H "/x", .status = 401, .head = CHALLENGE},
               {.method = "POST",
                .url = "https://auth.example/t",
                .sent = "grant_type=refresh_token&service=hub&client_id=kitvault&"
                        "scope=repository%3Aa%2Fb%3Apull&refresh_token=s3cret",
                .status = 200,
                .body = TOKEN},
               {GET, .url = H "/x", .want = "Authorization: Bearer T1", .status = 200}}},
    {.name = "finished bearer token is used as it is",
     .login = &BEARER,
     .status = 200,
     .steps = {{GET, .url = H "/x", .status = 401, .head = CHALLENGE},
               {GET, .url = H "/x", .want = "Authorization: Bearer s3cret", .status = 200}}},
    {.name = "a token that expired early is fetched again, once",
     .times = 2,
     .status = 200,
     .steps = {{GET, .url = H "/x", .status = 401, .head = CHALLENGE},
               {GET, .url = TOKEN_URL, .status = 200, .body = TOKEN},
               {GET, .url = H "/x", .want = "Bearer T1", .status = 200},
               {GET, .url = H "/x", .want = "Bearer T1", .status = 401, .head = CHALLENGE},
               {GET, .url = TOKEN_URL, .status = 200, .body = "{\"token\":\"T3\"}"},
               {GET, .url = H "/x", .want = "Bearer T3", .status = 200}}},
    {.name = "a fresh token that does not help is the end",
     .status = 401,
     .steps = {{GET, .url = H "/x", .status = 401, .head = CHALLENGE},
               {GET, .url = TOKEN_URL, .status = 200, .body = TOKEN},
               {GET, .url = H "/x", .want = "Bearer T1", .status = 401, .head = CHALLENGE}}},
    {.name = "what the challenge asks on top is asked for",
     .status = 200,
     .steps = {{GET, .url = H "/x", .status = 401,
                .head = "WWW-Authenticate: Bearer realm=\"https://auth.example/t?a=b\","
                        "scope=\"repository:a/b:pull,push registry:catalog:*\"\n"},
               {GET,
                .url = "https://auth.example/t?a=b&scope=repository%3Aa%2Fb%3Apull&"
                       "scope=repository%3Aa%2Fb%3Apull%2Cpush&scope=registry%3Acatalog%3A%2A",
                .status = 200, .body = TOKEN},
               {GET, .url = H "/x", .status = 200}}},
    {.name = "token server refuses",
     .login = &PASSWORD,
     .want = KV_E_AUTH,
     .text = "GET 'hub.example': login to 'hub.example' refused: got response 401 (Unauthorized) "
             "from remote: bad password",
     .steps = {{GET, .url = H "/x", .status = 401, .head = CHALLENGE},
               {GET, .url = TOKEN_URL "&account=ann", .status = 401,
                .body =
                    "{\"errors\":[{\"code\":\"UNAUTHORIZED\",\"message\":\"bad password\"}]}"}}},
    {.name = "token server answers nonsense",
     .want = KV_E_SYNTAX,
     .steps = {{GET, .url = H "/x", .status = 401, .head = CHALLENGE},
               {GET, .url = TOKEN_URL, .status = 200, .body = "hello"}}},
    {.name = "token server answers without token",
     .want = KV_E_PROTOCOL,
     .text = "GET 'hub.example': token server of 'hub.example': no token in the answer",
     .steps = {{GET, .url = H "/x", .status = 401, .head = CHALLENGE},
               {GET, .url = TOKEN_URL, .status = 200, .body = "{\"expires_in\":5}"}}},
    {.name = "token that would be two headers",
     .want = KV_E_PROTOCOL,
     .steps = {{GET, .url = H "/x", .status = 401, .head = CHALLENGE},
               {GET, .url = TOKEN_URL, .status = 200, .body = "{\"token\":\"a\\r\\nX: y\"}"}}},
    {.name = "token server elsewhere in plain HTTP",
     .want = KV_E_DENIED,
     .text = "GET 'hub.example': 'hub.example' wants tokens to be fetched over plain HTTP from "
             "'auth.example'",
     .steps = {{GET, .url = H "/x", .status = 401,
                .head = "WWW-Authenticate: Bearer realm=\"http://auth.example/t\"\n"}}},
    {.name = "token request does not leave its origin",
     .login = &PASSWORD,
     .want = KV_E_DENIED,
     .steps = {{GET, .url = H "/x", .status = 401, .head = CHALLENGE},
               {GET, .url = TOKEN_URL "&account=ann", .status = 307,
                .head = "Location: https://evil.example/\n"}}},
    {.name = "challenge that does not parse",
     .want = KV_E_SYNTAX,
     .steps = {{GET, .url = H "/x", .status = 401, .head = "WWW-Authenticate: Bearer realm=\"\n"}}},
    {.name = "no challenge: the 401 is the answer",
     .login = &PASSWORD,
     .status = 401,
     .steps = {{GET, .url = H "/x", .status = 401}}},
};

static const test_case BASICS[] = {
    {.name = "basic, and at once the next time",
     .login = &PASSWORD,
     .times = 2,
     .status = 200,
     .steps = {{GET, .url = H "/x", .status = 401, .head = BASIC_CHALLENGE},
               {GET, .url = H "/x", .want = BASIC, .status = 200},
               {GET, .url = H "/x", .want = BASIC, .status = 200}}},
    {.name = "wrong password is not sent twice",
     .login = &PASSWORD,
     .status = 401,
     .steps = {{GET, .url = H "/x", .status = 401, .head = BASIC_CHALLENGE},
               {GET, .url = H "/x", .want = BASIC, .status = 401, .head = BASIC_CHALLENGE}}},
    {.name = "bearer comes before basic",
     .login = &BEARER,
     .status = 200,
     .steps = {{GET, .url = H "/x", .status = 401, .head = BASIC_CHALLENGE CHALLENGE},
               {GET, .url = H "/x", .want = "Bearer s3cret", .status = 200}}},
    {.name = "nobody logged in",
     .status = 401,
     .steps = {{GET, .url = H "/x", .status = 401, .head = BASIC_CHALLENGE}}},
    {.name = "not over plain HTTP",
     .url = "http://hub.example/x",
     .login = &PASSWORD,
     .want = KV_E_DENIED,
     .text = "GET 'hub.example': refusing to send credentials to 'hub.example' over plain HTTP",
     .steps = {{GET, .url = "http://hub.example/x", .status = 401, .head = BASIC_CHALLENGE}}},
    {.name = "over plain HTTP where the user said so",
     .url = "http://hub.example/x",
     .login = &PASSWORD,
     .plain_http = true,
     .status = 200,
     .steps = {{GET, .url = "http://hub.example/x", .status = 401, .head = BASIC_CHALLENGE},
               {GET, .url = "http://hub.example/x", .want = BASIC, .status = 200}}},
};

#define EACH(table)                                                                                \
    (void)state;                                                                                   \
    for (size_t i = 0; i < KV_COUNT(table); i++) check(&(table)[i])

static void sends(void **state)
{
    EACH(PLAIN);
}
static void retries(void **state)
{
    EACH(RETRIES);
}
static void follows(void **state)
{
    EACH(REDIRECTS);
}
static void fetches_tokens(void **state)
{
    EACH(TOKENS);
}
static void sends_passwords(void **state)
{
    EACH(BASICS);
}

static void says_what_a_status_means(void **state)
{
    static const struct {
        int status;
        const char *body;
        kv_code want;
        const char *text;
    } CASES[] = {
        {404, "{\"errors\":[{\"code\":\"NAME_UNKNOWN\",\"message\":\"no such repo\"}]}",
         KV_E_NOTFOUND, "got response 404 (Not Found) from remote: no such repo"},
        {403, "{\"errors\":[{\"code\":\"DENIED\"},{\"message\":\"x\\u001b[1m\"}]}", KV_E_DENIED,
         "got response 403 (Forbidden) from remote: DENIED; x [1m"},
        {401, "<html>", KV_E_AUTH, "got response 401 (Unauthorized) from remote"},
        {418, NULL, KV_E_PROTOCOL, "got response 418 from remote"},
        {599, "[]", KV_E_NETWORK, "got response 599 from remote"},
        {200, "{\"errors\":7}", KV_E_PROTOCOL, "got response 200 (OK) from remote"},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_error err = {0};
        kv_auto_http_response resp = {.status = CASES[i].status, .body = KV_BUF(4096)};
        kv_buf_adds(&resp.body, CASES[i].body ? CASES[i].body : "");
        kv_code got = kv_http_fail_status(&resp, &err);
        if (got != CASES[i].want || strcmp(err.msg, CASES[i].text) != 0)
            fail_msg("%d: code %d, '%s'", CASES[i].status, (int)got, err.msg);
    }
}

static void bounds_a_body(void **state)
{
    (void)state;
    static const kv_http_fake_step STEPS[] = {
        {GET, .url = H "/x", .status = 200, .body = "12345"},
        {GET, .url = H "/x", .status = 200, .body = "123456"}};
    kv_http_options o = KV_HTTP_OPTIONS_INIT;
    o.transport = kv_http_transport_fake(STEPS, 2);
    kv_auto(kv_http) http = NULL;
    assert_int_equal(kv_http_new(&o, &http, NULL), KV_OK);
    kv_http_request req = {.method = "GET", .url = H "/x"};
    kv_auto_http_response resp = {.body = KV_BUF(5)};
    assert_int_equal(kv_http_send(http, &req, &resp, NULL), KV_OK);
    kv_http_response_clear(&resp);
    assert_int_equal(kv_http_send(http, &req, &resp, NULL), KV_E_LIMIT);
}

KV_TEST_MAIN(cmocka_unit_test(sends), cmocka_unit_test(retries), cmocka_unit_test(follows),
             cmocka_unit_test(fetches_tokens), cmocka_unit_test(sends_passwords),
             cmocka_unit_test(says_what_a_status_means), cmocka_unit_test(bounds_a_body))

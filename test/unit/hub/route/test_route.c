#include "hub/route/route.h"

#include "hub/log.h"
#include "test/mem_wire.h"
#include "test/test.h"

static kv_code nothing(kv_hub *hub, kv_request *req, kv_error *err)
{
    (void)hub;
    return kv_respond_empty(req, 200, err);
}

/* clang-format off */
static const kv_route ROUTES[] = {
    {"/healthz", KV_GET, KV_RIGHT_NONE, nothing, ""},
    {"/v2/", KV_GET, KV_RIGHT_PING, nothing, ""},
    {"/v2/{name*}/tags/list", KV_GET, KV_RIGHT_PULL, nothing, ""},
    {"/v2/{name*}/manifests/{ref}", KV_GET, KV_RIGHT_PULL, nothing, ""},
    {"/v2/{name*}/manifests/{ref}", KV_PUT, KV_RIGHT_PUSH, nothing, ""},
    {"/v2/{name*}/blobs/uploads/", KV_POST, KV_RIGHT_PUSH, nothing, ""},
    {"/v2/{name*}/blobs/uploads/{id}", KV_PUT, KV_RIGHT_PUSH, nothing, ""},
    {"/v2/{name*}/blobs/{digest}", KV_GET, KV_RIGHT_PULL, nothing, ""},
    {"/api/v1/repos/{repo}", KV_HEAD, KV_RIGHT_PULL, nothing, ""},
    {"/api/v1/repos/{repo}", KV_GET, KV_RIGHT_PULL, nothing, ""},
    {"/api/v1/repos/{repo*}/-/history", KV_GET, KV_RIGHT_PULL, nothing, ""},
};
/* clang-format on */

static void finds_routes(void **state)
{
    static const struct {
        const char *method, *path;
        kv_code want;
        size_t route;
        const char *name, *value; /* one captured part */
    } CASES[] = {
        {"GET", "/healthz", KV_OK, 0, NULL, NULL},
        {"HEAD", "/healthz", KV_OK, 0, NULL, NULL},
        {"GET", "/v2/", KV_OK, 1, NULL, NULL},
        {"GET", "/v2/a/tags/list", KV_OK, 2, "name", "a"},
        {"GET", "/v2/a/b/c/tags/list?n=1", KV_OK, 2, "name", "a/b/c"},
        {"GET", "/v2/x/tags/list/tags/list", KV_OK, 2, "name", "x/tags/list"},
        {"GET", "/v2/manifests/manifests/manifests", KV_OK, 3, "name", "manifests"},
        {"GET", "/v2/a/manifests/sha256%3Aab", KV_OK, 3, "ref", "sha256:ab"},
        {"GET", "/v2/a/manifests/sha256:ab", KV_OK, 3, "ref", "sha256:ab"},
        {"PUT", "/v2/a/blobs/uploads/manifests/v1", KV_OK, 4, "name", "a/blobs/uploads"},
        {"POST", "/v2/a/blobs/uploads/", KV_OK, 5, "name", "a"},
        {"POST", "/v2/a/blobs/uploads/blobs/uploads/", KV_OK, 5, "name", "a/blobs/uploads"},
        {"PUT", "/v2/a/blobs/uploads/17", KV_OK, 6, "id", "17"},
        {"GET", "/v2/a/blobs/blobs/x", KV_OK, 7, "name", "a/blobs"},
        {"GET", "/v2/a%62/tags/list", KV_OK, 2, "name", "ab"},
        {"GET", "/v2/a/../b/tags/list", KV_OK, 2, "name",
         "a/../b"}, /* the name's grammar refuses */
        {"GET", "/api/v1/repos/a%2fb", KV_OK, 9, "repo", "a/b"},
        {"HEAD", "/api/v1/repos/a", KV_OK, 8, "repo", "a"},
        {"GET", "/api/v1/repos/a/b/-/history", KV_OK, 10, "repo", "a/b"},

        {"GET", "/", KV_E_NOTFOUND, 0, NULL, NULL},
        {"GET", "/healthz/", KV_E_NOTFOUND, 0, NULL, NULL},
        {"GET", "/v2/tags/list", KV_E_NOTFOUND, 0, NULL, NULL},
        {"GET", "/v2//tags/list", KV_E_NOTFOUND, 0, NULL, NULL},
        {"GET", "/v2/a/manifests/", KV_E_NOTFOUND, 0, NULL, NULL},
        {"GET", "/v2/a/%6Danifests/x", KV_E_NOTFOUND, 0, NULL, NULL},
        {"OPTIONS", "*", KV_E_NOTFOUND, 0, NULL, NULL},
        {"GET", "/v2/a%2Fb/tags/list", KV_E_SYNTAX, 0, NULL, NULL},
        {"GET", "/v2/a%/tags/list", KV_E_SYNTAX, 0, NULL, NULL},
        {"GET", "/v2/a/manifests/%00", KV_E_SYNTAX, 0, NULL, NULL},
        {"POST", "/healthz", KV_E_UNSUPPORTED, 0, NULL, NULL},
        {"DELETE", "/v2/a/manifests/x", KV_E_UNSUPPORTED, 0, NULL, NULL},
    };
    kv_error err = {0};
    kv_router *r;
    kv_server *srv = mem_server();
    (void)state;
    assert_int_equal(kv_router_new(NULL, ROUTES, KV_COUNT(ROUTES), NULL, &r, &err), KV_OK);
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto_buf in = KV_BUF(10000);
        kv_buf_addf(&in, "%s %s HTTP/1.1\r\nHost: h\r\n\r\n", CASES[i].method, CASES[i].path);
        mem_conn m;
        mem_open(&m, srv, kv_buf_sv(&in));
        kv_request *req = kv_request_new(srv);
        req->conn = &m.conn;
        assert_int_equal(mem_next_head(req), KV_HEAD_COMPLETE);
        assert_int_equal(req->refuse, 0);
        size_t route = 0;
        kv_code got = kv_router_find(r, req, &route, &err);
        kv_sv value = CASES[i].name ? kv_req_part(req, CASES[i].name) : KV_SV("");
        if (got != CASES[i].want || (got == KV_OK && route != CASES[i].route) ||
            (CASES[i].name && !kv_sv_is(value, CASES[i].value)))
            fail_msg("%s %s: code %d, route %zu, '%.*s'", CASES[i].method, CASES[i].path, (int)got,
                     route, KV_ARG(value));
        kv_request_free(req);
        kv_buf_clear(&m.out);
    }
    kv_router_free(r);
    kv_server_free(srv);
}

static void refuses_long_paths(void **state)
{
    kv_error err = {0};
    kv_router *r;
    kv_server *srv = mem_server();
    kv_auto_buf in = KV_BUF(10000);
    size_t route;
    (void)state;
    assert_int_equal(kv_router_new(NULL, ROUTES, KV_COUNT(ROUTES), NULL, &r, &err), KV_OK);
    kv_buf_adds(&in, "GET /v2");
    for (int i = 0; i < 200; i++) kv_buf_adds(&in, "/a");
    kv_buf_adds(&in, "/tags/list HTTP/1.1\r\nHost: h\r\n\r\n");
    mem_conn m;
    mem_open(&m, srv, kv_buf_sv(&in));
    kv_request *req = kv_request_new(srv);
    req->conn = &m.conn;
    assert_int_equal(mem_next_head(req), KV_HEAD_COMPLETE);
    assert_int_equal(kv_router_find(r, req, &route, &err), KV_E_NOTFOUND);
    kv_request_free(req);
    kv_buf_clear(&m.out);
    kv_router_free(r);
    kv_server_free(srv);
}

static void refuses_patterns(void **state)
{
    static const char *const CASES[] = {"", "a", "/{a*}/b/{c*}", "/1/2/3/4/5/6/7/8/9/10/11"};
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_route route = {.method = KV_GET, .pattern = CASES[i], .handler = nothing};
        kv_error err = {0};
        kv_router *r = NULL;
        if (kv_router_new(NULL, &route, 1, NULL, &r, &err) != KV_E_INVALID)
            fail_msg("'%s' was taken", CASES[i]);
    }
}

/* --- failures as answers --- */

static kv_code allow(kv_hub *hub, kv_request *req, const kv_route *route, kv_error *err)
{
    (void)hub;
    (void)req;
    return route->right == KV_RIGHT_ADMIN ? kv_fail(err, KV_E_AUTH, "who are you") : KV_OK;
}

static kv_code fail_as(kv_hub *hub, kv_request *req, kv_error *err)
{
    (void)hub;
    kv_code rc = kv_fail(err, KV_E_NOTFOUND, "no \"such\" blob");
    return kv_req_fail_as(req, rc, 404, "BLOB_UNKNOWN", KV_SV("{\"digest\":\"x\"}"));
}

static kv_code fail_plain(kv_hub *hub, kv_request *req, kv_error *err)
{
    (void)hub;
    kv_sv code = kv_req_part(req, "code");
    uint64_t n = 0;
    (void)kv_sv_to_u64(code, &n);
    return kv_fail(err, (kv_code)n, "reason");
}

static kv_code fail_late(kv_hub *hub, kv_request *req, kv_error *err)
{
    (void)hub;
    KV_TRY(kv_respond_head(req, 200, NULL, KV_LENGTH_UNKNOWN, err));
    KV_TRY(kv_respond_write(req, "part", 4, err));
    return kv_fail(err, KV_E_CORRUPT, "cannot read on");
}

static void answers_failures(void **state)
{
    static const kv_route FAILING[] = {
        {"/as", KV_GET, KV_RIGHT_NONE, fail_as, ""},
        {"/code/{code}", KV_GET, KV_RIGHT_NONE, fail_plain, ""},
        {"/api/code/{code}", KV_GET, KV_RIGHT_NONE, fail_plain, ""},
        {"/late", KV_GET, KV_RIGHT_NONE, fail_late, ""},
        {"/admin", KV_GET, KV_RIGHT_ADMIN, nothing, ""},
    };
    static const struct {
        const char *path;
        int status;
        const char *has;
    } CASES[] = {
        {"/as", 404,
         "{\"errors\":[{\"code\":\"BLOB_UNKNOWN\",\"message\":\"no \\\"such\\\" blob\","
         "\"detail\":{\"digest\":\"x\"}}]}"},
        {"/nowhere", 404, "\"code\":\"NOT_FOUND\""},
        {"/api/nowhere", 404, "{\"error\":{\"code\":\"not_found\",\"message\":"},
        {"/admin", 401, "\"code\":\"UNAUTHORIZED\",\"message\":\"who are you\""},
        {"/code/1", 400, "\"message\":\"reason\""},
        {"/code/2", 503, "Retry-After: 1"},
        {"/code/10", 500, "its log has the reason"},
        {"/code/11", 404, "NOT_FOUND"},
        {"/code/12", 409, "CONFLICT"},
        {"/code/13", 409, "CONFLICT"},
        {"/code/14", 507, "UNKNOWN"},
        {"/code/20", 500, "UNKNOWN"},
        {"/code/21", 413, "SIZE_INVALID"},
        {"/code/24", 400, "DIGEST_INVALID"},
        {"/code/25", 416, "RANGE_INVALID"},
        {"/code/30", 400, "SIZE_INVALID"},
        {"/code/31", 408, "TIMEOUT"},
        {"/code/32", 401, "UNAUTHORIZED"},
        {"/code/33", 403, "DENIED"},
        {"/code/34", 502, "UNKNOWN"},
        {"/code/35", 405, "UNSUPPORTED"},
        {"/api/code/33", 403, "\"code\":\"forbidden\""},
        {"/late", 200, "part"},
    };
    kv_error err = {0};
    kv_router *r;
    kv_server *srv = mem_server();
    (void)state;
    kv_log_set_level(KV_ERROR + 1);
    assert_int_equal(kv_router_new(NULL, FAILING, KV_COUNT(FAILING), allow, &r, &err), KV_OK);
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto_buf in = KV_BUF(10000);
        kv_buf_addf(&in, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", CASES[i].path);
        mem_conn m;
        mem_open(&m, srv, kv_buf_sv(&in));
        kv_request *req = kv_request_new(srv);
        req->conn = &m.conn;
        assert_int_equal(mem_next_head(req), KV_HEAD_COMPLETE);
        kv_router_serve(r, req);
        kv_respond_finish(req);
        if (kv_req_status(req) != CASES[i].status ||
            kv_sv_find_sub(kv_buf_sv(&m.out), kv_sv_of(CASES[i].has)) == SIZE_MAX)
            fail_msg("%s: status %d\n%s", CASES[i].path, kv_req_status(req), m.out.p);
        bool late = kv_sv_is(kv_sv_of(CASES[i].path), "/late");
        if (req->broken != late) fail_msg("%s: broken %d", CASES[i].path, req->broken);
        kv_request_free(req);
        kv_buf_clear(&m.out);
    }
    kv_router_free(r);
    kv_server_free(srv);
}

KV_TEST_MAIN(cmocka_unit_test(finds_routes), cmocka_unit_test(refuses_long_paths),
             cmocka_unit_test(refuses_patterns), cmocka_unit_test(answers_failures))

/* The registry client against scripted answers: what is asked, and what comes of it. */
#include "remote/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/hasher.h"
#include "http/transport.h"
#include "test/test.h"

#define R "https://hub.example"
#define V2 R "/v2/team/demo/"
#define UP V2 "blobs/uploads/"
/* sha256 of "hello\n" and of "{}" */
#define HELLO "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
#define EMPTY "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
#define MANIFEST                                                                                   \
    "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"application/vnd.oci.empty.v1+json\","        \
    "\"digest\":\"" EMPTY "\",\"size\":2},\"layers\":[]}"
/* clang-format off */
#define GET .method = "GET"
#define HEAD .method = "HEAD"
#define POST .method = "POST"
#define PUT .method = "PUT"
#define PATCH .method = "PATCH"
/* clang-format on */

typedef struct rig {
    kv_http_transport *transport;
    kv_remote *remote;
} rig;

static rig rig_new(const kv_http_fake_step *steps, size_t max, const char *registry)
{
    size_t n = 0;
    while (n < max && steps[n].method) n++;
    rig r = {.transport = kv_http_transport_fake(steps, n)};
    kv_reference ref = {.registry = kv_sv_of(registry), .repository = KV_SV("team/demo")};
    static const kv_remote_options O = KV_REMOTE_OPTIONS_INIT;
    assert_int_equal(kv_remote_open_oci(&ref, &O, r.transport, &r.remote, NULL), KV_OK);
    return r;
}

static void rig_end(rig *r, const char *name)
{
    const char *problem = kv_http_fake_problem(r->transport);
    if (problem) fail_msg("%s: %s", name, problem);
    kv_remote_close(r->remote);
}

static void expect(const char *name, kv_code got, kv_code want, const kv_error *err,
                   const char *text)
{
    if (got != want) fail_msg("%s: code %d, '%s'", name, (int)got, err->msg);
    if (got != KV_OK && text && strcmp(err->msg, text) != 0) fail_msg("%s: '%s'", name, err->msg);
}

static kv_digest digest_of(const char *text)
{
    kv_digest d;
    assert_int_equal(kv_digest_parse(kv_sv_of(text), &d, NULL), KV_OK);
    return d;
}

/* --- manifests --- */

static void resolves(void **state)
{
    static const struct {
        const char *name, *ref;
        kv_code want;
        const char *text; /* of the digest or error */
        kv_http_fake_step steps[3];
    } CASES[] = {
        {"tag",
         "v1",
         KV_OK,
         HELLO,
         {{HEAD, .url = V2 "manifests/v1",
           .want = "Accept: application/vnd.oci.image.manifest.v1+json, ", .status = 200,
           .head = "Docker-Content-Digest: " HELLO "\n"}}},
        {"digest",
         HELLO,
         KV_OK,
         HELLO,
         {{HEAD, .url = V2 "manifests/" HELLO, .status = 200,
           .head = "docker-content-digest: " HELLO "\n"}}},
        {"another digest than asked for",
         HELLO,
         KV_E_DIGEST,
         "content of " HELLO " has digest " EMPTY,
         {{HEAD, .url = V2 "manifests/" HELLO, .status = 200,
           .head = "Docker-Content-Digest: " EMPTY "\n"}}},
        {"missing",
         "v1",
         KV_E_NOTFOUND,
         "hub.example/team/demo:v1: not found",
         {{HEAD, .url = V2 "manifests/v1", .status = 404}}},
        {"missing digest",
         HELLO,
         KV_E_NOTFOUND,
         "hub.example/team/demo@" HELLO ": not found",
         {{HEAD, .url = V2 "manifests/" HELLO, .status = 404}}},
        {"no digest in the answer",
         "v1",
         KV_OK,
         HELLO,
         {{HEAD, .url = V2 "manifests/v1", .status = 200},
          {GET, .url = V2 "manifests/v1", .status = 200, .body = "hello\n"}}},
        {"HEAD refused: GET says why",
         "v1",
         KV_E_DENIED,
         "got response 403 (Forbidden) from remote: not yours",
         {{HEAD, .url = V2 "manifests/v1", .status = 403},
          {GET, .url = V2 "manifests/v1", .status = 403,
           .body = "{\"errors\":[{\"code\":\"DENIED\",\"message\":\"not yours\"}]}"}}},
        {"neither tag nor digest", "a/b", KV_E_ARG, "'a/b' is neither a tag nor a digest", {{0}}},
        {"broken digest", "sha256:12", KV_E_ARG, NULL, {{0}}},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        rig r = rig_new(CASES[i].steps, KV_COUNT(CASES[i].steps), "hub.example");
        kv_error err = {0};
        kv_digest d;
        kv_code got = kv_remote_resolve(r.remote, kv_sv_of(CASES[i].ref), &d, &err);
        expect(CASES[i].name, got, CASES[i].want, &err, CASES[i].text);
        if (got == KV_OK) assert_string_equal(kv_digest_str(&d).s, CASES[i].text);
        rig_end(&r, CASES[i].name);
    }
}

static void reads_manifests(void **state)
{
    static const struct {
        const char *name, *ref;
        kv_code want;
        const char *text;
        kv_http_fake_step step;
    } CASES[] = {
        {"plain",
         "v1",
         KV_OK,
         NULL,
         {GET, .url = V2 "manifests/v1", .status = 200,
          .head = "Content-Type: application/vnd.oci.image.manifest.v1+json; charset=utf-8\n",
          .body = MANIFEST}},
        {"type that says nothing",
         "v1",
         KV_OK,
         NULL,
         {GET, .url = V2 "manifests/v1", .status = 200, .head = "Content-Type: text/plain\n",
          .body = MANIFEST}},
        {"not what its digest says",
         HELLO,
         KV_E_DIGEST,
         NULL,
         {GET, .url = V2 "manifests/" HELLO, .status = 200, .body = MANIFEST}},
        {"not JSON",
         "v1",
         KV_E_SYNTAX,
         NULL,
         {GET, .url = V2 "manifests/v1", .status = 200, .body = "<html>"}},
        {"missing",
         "v1",
         KV_E_NOTFOUND,
         "hub.example/team/demo:v1: not found",
         {GET, .url = V2 "manifests/v1", .status = 404}},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        rig r = rig_new(&CASES[i].step, 1, "hub.example");
        kv_error err = {0};
        kv_auto(kv_manifest) m = NULL;
        kv_code got = kv_remote_manifest(r.remote, kv_sv_of(CASES[i].ref), &m, &err);
        expect(CASES[i].name, got, CASES[i].want, &err, CASES[i].text);
        if (got == KV_OK) assert_true(kv_sv_is(m->bytes, MANIFEST));
        rig_end(&r, CASES[i].name);
    }
}

static void puts_manifests(void **state)
{
    static const struct {
        const char *name;
        kv_code want;
        kv_http_fake_step step;
    } CASES[] = {
        {"created",
         KV_OK,
         {PUT, .url = V2 "manifests/v1",
          .want = "Content-Type: application/vnd.oci.image.manifest.v1+json", .sent = MANIFEST,
          .status = 201}},
        {"stored as something else",
         KV_E_DIGEST,
         {PUT, .url = V2 "manifests/v1", .status = 201,
          .head = "Docker-Content-Digest: " HELLO "\n"}},
        {"refused", KV_E_PROTOCOL, {PUT, .url = V2 "manifests/v1", .status = 400}},
    };
    (void)state;
    kv_auto(kv_manifest) m = NULL;
    assert_int_equal(kv_manifest_parse(KV_SV(MANIFEST), (kv_sv){0}, &m, NULL), KV_OK);
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        rig r = rig_new(&CASES[i].step, 1, "hub.example");
        kv_error err = {0};
        kv_code got = r.remote->ops->put_manifest(r.remote, KV_SV("v1"), m, &err);
        expect(CASES[i].name, got, CASES[i].want, &err, NULL);
        rig_end(&r, CASES[i].name);
    }
}

static void deletes(void **state)
{
    static const struct {
        const char *ref;
        int status;
        kv_code want;
    } CASES[] = {
        {"v1", 202, KV_OK},
        {HELLO, 202, KV_OK},
        {"v1", 404, KV_E_NOTFOUND},
        {"v1", 405, KV_E_UNSUPPORTED},
        {"v1", 400, KV_E_UNSUPPORTED}, /* tags are not digests to it */
        {HELLO, 405, KV_E_UNSUPPORTED},
        {HELLO, 400, KV_E_PROTOCOL},
        {"v1", 403, KV_E_DENIED},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        char url[256];
        snprintf(url, sizeof(url), V2 "manifests/%s", CASES[i].ref);
        kv_http_fake_step step = {.method = "DELETE", .url = url, .status = CASES[i].status};
        rig r = rig_new(&step, 1, "hub.example");
        kv_error err = {0};
        kv_code got = kv_remote_delete(r.remote, kv_sv_of(CASES[i].ref), &err);
        expect(CASES[i].ref, got, CASES[i].want, &err, NULL);
        if (got != KV_OK) assert_int_equal(err.code, got);
        rig_end(&r, CASES[i].ref);
    }
}

/* --- tags --- */

#define LIST V2 "tags/list?n=1000"
#define LINK(to) .head = "Link: <" to ">; rel=\"next\"\n"

static void lists_tags(void **state)
{
    static const struct {
        const char *name;
        kv_code want;
        const char *tags;
        kv_http_fake_step steps[4];
    } CASES[] = {
        {"one page",
         KV_OK,
         "a b ",
         {{GET, .url = LIST, .status = 200, .body = "{\"name\":\"x\",\"tags\":[\"a\",\"b\"]}"}}},
        {"null", KV_OK, "", {{GET, .url = LIST, .status = 200, .body = "{\"tags\":null}"}}},
        {"links",
         KV_OK,
         "a b ",
         {{GET, .url = LIST, .status = 200, LINK("/v2/team/demo/tags/list?last=a&n=1"),
           .body = "{\"tags\":[\"a\"]}"},
          {GET, .url = V2 "tags/list?last=a&n=1", .status = 200, LINK("list?last=b&n=1"),
           .body = "{\"tags\":[]}"},
          {GET, .url = V2 "tags/list?last=b&n=1", .status = 200, .body = "{\"tags\":[\"b\"]}"}}},
        {"link to itself ends",
         KV_OK,
         "a b ",
         {{GET, .url = LIST, .status = 200, LINK("?n=2"), .body = "{\"tags\":[\"a\"]}"},
          {GET, .url = V2 "tags/list?n=2", .status = 200, LINK("?n=2"),
           .body = "{\"tags\":[\"b\"]}"}}},
        {"unknown repository", KV_E_NOTFOUND, "", {{GET, .url = LIST, .status = 404}}},
        {"not JSON", KV_E_PROTOCOL, "", {{GET, .url = LIST, .status = 200, .body = "x"}}},
        {"no tag",
         KV_E_PROTOCOL,
         "",
         {{GET, .url = LIST, .status = 200, .body = "{\"tags\":[\"a\\u001b\"]}"}}},
        {"number",
         KV_E_PROTOCOL,
         "",
         {{GET, .url = LIST, .status = 200, .body = "{\"tags\":[1]}"}}},
        {"failure on the second page",
         KV_E_DENIED,
         "a ",
         {{GET, .url = LIST, .status = 200, LINK("?n=2"), .body = "{\"tags\":[\"a\"]}"},
          {GET, .url = V2 "tags/list?n=2", .status = 403}}},
        {"link to plain HTTP",
         KV_E_PROTOCOL,
         "a ",
         {{GET, .url = LIST, .status = 200, LINK("http://hub.example/x"),
           .body = "{\"tags\":[\"a\"]}"}}},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        rig r = rig_new(CASES[i].steps, KV_COUNT(CASES[i].steps), "hub.example");
        kv_error err = {0};
        kv_auto_buf tags = KV_BUF(4096);
        kv_auto_remote_tags it = kv_remote_tags_begin(r.remote);
        while (kv_remote_tags_next(&it)) kv_buf_addf(&tags, "%.*s ", KV_ARG(it.tag));
        expect(CASES[i].name, kv_remote_tags_end(&it, &err), CASES[i].want, &err, NULL);
        assert_int_equal(kv_remote_tags_end(&it, &err), KV_OK);
        if (!kv_sv_is(kv_buf_sv(&tags), CASES[i].tags))
            fail_msg("%s: '%.*s'", CASES[i].name, KV_ARG(kv_buf_sv(&tags)));
        rig_end(&r, CASES[i].name);
    }
}

/* A full page without a link goes on behind its last tag; one that ignores `last` ends. */
static void pages_without_links(void **state)
{
    (void)state;
    kv_auto_buf page = KV_BUF(1 << 20);
    kv_buf_adds(&page, "{\"tags\":[");
    for (int i = 0; i < 1000; i++) kv_buf_addf(&page, "%s\"t%d\"", i ? "," : "", i);
    kv_buf_adds(&page, "]}");
    const kv_http_fake_step steps[] = {
        {GET, .url = LIST, .status = 200, .body = page.p},
        {GET, .url = LIST "&last=t999", .status = 200, .body = page.p},
    };
    rig r = rig_new(steps, 2, "hub.example");
    size_t n = 0;
    kv_auto_remote_tags it = kv_remote_tags_begin(r.remote);
    while (kv_remote_tags_next(&it)) n++;
    assert_int_equal(kv_remote_tags_end(&it, NULL), KV_OK);
    assert_int_equal(n, 2000);
    rig_end(&r, "pages");
}

/* --- blobs coming --- */

#define BLOB V2 "blobs/" HELLO

typedef struct read_case {
    const char *name;
    kv_code want;
    const char *text;
    kv_http_fake_step steps[4];
} read_case;

static kv_code add_piece(void *ctx, const void *p, size_t n, kv_error *err)
{
    kv_buf *out = ctx;
    kv_buf_add(out, (kv_sv){p, n});
    return kv_buf_check(out, err);
}

/* The other way of reading, which leaves checking the digest to the caller. */
static kv_code drain_blob(kv_remote *r, const kv_descriptor *d, kv_error *err)
{
    kv_auto_buf bytes = KV_BUF(64);
    kv_auto(kv_remote_reader) reader = NULL;
    KV_TRY(r->ops->open_blob(r, &d->digest, d->size, 0, &reader, err));
    KV_TRY(kv_remote_reader_drain(reader, add_piece, &bytes, err));
    kv_digest got = kv_digest_of(KV_SHA256, kv_buf_sv(&bytes));
    return kv_digest_eq(&got, &d->digest) ? KV_OK : KV_E_DIGEST;
}

static void check_draining(const read_case *c)
{
    rig r = rig_new(c->steps, KV_COUNT(c->steps), "hub.example");
    kv_error err = {0};
    kv_descriptor d = {.digest = digest_of(HELLO), .size = 6};
    expect(c->name, drain_blob(r.remote, &d, &err), c->want, &err, c->text);
    rig_end(&r, c->name);
}

static kv_code refuse_piece(void *ctx, const void *p, size_t n, kv_error *err)
{
    (void)ctx;
    (void)p;
    (void)n;
    return kv_fail(err, KV_E_NETWORK, "no");
}

/* What a sink says is final, even when it looks like a broken connection. */
static void ends_when_a_sink_refuses(void **state)
{
    (void)state;
    static const kv_http_fake_step STEPS[] = {{GET, .url = BLOB, .status = 200, .body = "hello\n"}};
    rig r = rig_new(STEPS, KV_COUNT(STEPS), "hub.example");
    kv_digest d = digest_of(HELLO);
    kv_remote_reader *reader = NULL;
    assert_int_equal(r.remote->ops->open_blob(r.remote, &d, 6, 0, &reader, NULL), KV_OK);
    assert_int_equal(kv_remote_reader_drain(reader, refuse_piece, NULL, NULL), KV_E_NETWORK);
    kv_remote_reader_close(reader);
    rig_end(&r, "refusing sink");
}

static void reads_blobs(void **state)
{
    static const read_case CASES[] = {
        {"whole",
         KV_OK,
         NULL,
         {{GET, .url = BLOB, .unwanted = "Range:", .status = 200, .body = "hello\n"}}},
        {"broken, then continued",
         KV_OK,
         NULL,
         {{GET, .url = BLOB, .status = 200, .body = "hello\n", .cut = 2},
          {GET, .url = BLOB, .want = "Range: bytes=2-", .status = 206,
           .head = "Content-Range: bytes 2-5/6\nContent-Length: 4\n", .body = "llo\n"}}},
        {"broken, and no ranges",
         KV_OK,
         NULL,
         {{GET, .url = BLOB, .status = 200, .body = "hello\n", .cut = 2},
          {GET, .url = BLOB, .want = "Range: bytes=2-", .status = 200, .body = "hello\n"}}},
        {"ended early without a length",
         KV_OK,
         NULL,
         {{GET, .url = BLOB, .status = 200, .body = "hel"},
          {GET, .url = BLOB, .want = "Range: bytes=3-", .status = 206,
           .head = "Content-Range: bytes 3-5/6\n", .body = "lo\n"}}},
        {"another range",
         KV_E_PROTOCOL,
         NULL,
         {{GET, .url = BLOB, .status = 200, .body = "hello\n", .cut = 2},
          {GET, .url = BLOB, .status = 206, .head = "Content-Range: bytes 1-5/6\n",
           .body = "ello\n"}}},
        {"wrong content",
         KV_E_DIGEST,
         NULL,
         {{GET, .url = BLOB, .status = 200, .body = "hallo\n"}}},
        {"wrong length",
         KV_E_DIGEST,
         HELLO " has 7 bytes at the registry, not 6",
         {{GET, .url = BLOB, .status = 200, .head = "Content-Length: 7\n", .body = "hello!\n"}}},
        {"too many bytes",
         KV_E_DIGEST,
         NULL,
         {{GET, .url = BLOB, .status = 200, .body = "hello\nhello\n"}}},
        {"missing", KV_E_NOTFOUND, NULL, {{GET, .url = BLOB, .status = 404}}},
        {"refused", KV_E_DENIED, NULL, {{GET, .url = BLOB, .status = 403}}},
        {"gone on the way",
         KV_E_NOTFOUND,
         NULL,
         {{GET, .url = BLOB, .status = 200, .body = "hello\n", .cut = 2},
          {GET, .url = BLOB, .status = 404}}},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        rig r = rig_new(CASES[i].steps, KV_COUNT(CASES[i].steps), "hub.example");
        kv_error err = {0};
        kv_descriptor d = {.digest = digest_of(HELLO), .size = 6};
        kv_auto_str bytes = NULL;
        size_t n = 0;
        kv_code got = kv_remote_blob(r.remote, &d, &bytes, &n, &err);
        expect(CASES[i].name, got, CASES[i].want, &err, CASES[i].text);
        if (got == KV_OK) assert_string_equal(bytes, "hello\n");
        rig_end(&r, CASES[i].name);
        check_draining(&CASES[i]);
    }
}

static void refuses_large_blobs_in_memory(void **state)
{
    (void)state;
    rig r = rig_new(NULL, 0, "hub.example");
    kv_descriptor d = {.digest = digest_of(HELLO), .size = KV_MANIFEST_BYTES_MAX + 1ull};
    char *bytes;
    size_t n;
    assert_int_equal(kv_remote_blob(r.remote, &d, &bytes, &n, NULL), KV_E_LIMIT);
    rig_end(&r, "large");
}

/* --- blobs going --- */

static kv_code read_zeros(void *ctx, uint64_t off, void *dst, size_t n, size_t *out_n,
                          kv_error *err)
{
    (void)ctx;
    (void)off;
    (void)err;
    memset(dst, '0', n);
    *out_n = n;
    return KV_OK;
}

#define MIB (1u << 20)
#define D "digest=sha256%3A5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
#define MOUNT                                                                                      \
    UP "?mount=sha256%3A5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"          \
       "&from=team%2Fbase"
/* Steps that nearly every upload has. */
#define START                                                                                      \
    {                                                                                              \
        POST, .url = UP, .status = 202, .head = "Location: /u/1?s=0\n"                             \
    }
#define U0 R "/u/1?s=0"
#define U1 R "/u/1?s=1"
#define U2 R "/u/1?s=2"
#define AT(s, range) .status = 202, .head = "Location: /u/1?s=" s "\nRange: " range "\n"
#define LOOK                                                                                       \
    {                                                                                              \
        HEAD, .url = BLOB, .status = 404                                                           \
    }
#define BROKEN_PUT                                                                                 \
    {                                                                                              \
        PUT, .url = U0 "&" D, .fail = KV_E_NETWORK                                                 \
    }

typedef struct upload_case {
    const char *name;
    uint64_t size;
    kv_code want;
    const char *text, *mount, *registry;
    kv_http_fake_step steps[16];
} upload_case;

static const upload_case SMALL[] = {
    {"one PUT", 3, .steps = {START, {PUT, .url = U0 "&" D, .sent = "000", .status = 201}}},
    {"nothing at all", 0, .steps = {START, {PUT, .url = U0 "&" D, .sent = "", .status = 201}}},
    {"elsewhere, without a query", 1,
     .steps = {{POST, .url = UP, .status = 202, .head = "Location: https://other.example/u\n"},
               {PUT, .url = "https://other.example/u?" D, .status = 201}}},
    {"no place", 1, KV_E_PROTOCOL, "the registry names no place for an upload",
     .steps = {{POST, .url = UP, .status = 202}}},
    {"place in plain HTTP", 1, KV_E_PROTOCOL,
     .steps = {{POST, .url = UP, .status = 202, .head = "Location: http://hub.example/u\n"}}},
    {"not allowed to begin", 1, KV_E_DENIED, "got response 403 (Forbidden) from remote",
     .steps = {{POST, .url = UP, .status = 403}}},
    {"damaged", 1, KV_E_DIGEST,
     "the registry finds blob " HELLO " damaged: got response 400 (Bad Request) from remote: no",
     .steps = {START,
               {PUT, .url = U0 "&" D, .status = 400,
                .body = "{\"errors\":[{\"code\":\"DIGEST_INVALID\",\"message\":\"no\"}]}"}}},
    {"full", 1, KV_E_NOSPACE, .steps = {START, {PUT, .url = U0 "&" D, .status = 507}}},
    {"answer lost, blob there", 1,
     .steps = {START, BROKEN_PUT, {HEAD, .url = BLOB, .status = 200}}},
    {"broken, then again from the start", 3,
     .steps = {START,
               BROKEN_PUT,
               LOOK,
               {POST, .url = UP, .status = 202, .head = "Location: /u/2\n"},
               {PUT, .url = R "/u/2?" D, .sent = "000", .status = 201}}},
    {"session forgotten", 1,
     .steps = {START,
               {PUT, .url = U0 "&" D, .status = 404},
               LOOK,
               START,
               {PUT, .url = U0 "&" D, .status = 201}}},
    {"five broken tries are all", 1, KV_E_NETWORK,
     .steps = {START, BROKEN_PUT, LOOK, START, BROKEN_PUT, LOOK, START, BROKEN_PUT, LOOK, START,
               BROKEN_PUT, LOOK, START, BROKEN_PUT}},
};

static const upload_case MOUNTS[] = {
    {"mounted", 3, .mount = "team/base", .steps = {{POST, .url = MOUNT, .status = 201}}},
    {"not mounted: the session is used", 3, .mount = "team/base",
     .steps = {{POST, .url = MOUNT, .status = 202, .head = "Location: /u/1?s=0\n"},
               {PUT, .url = U0 "&" D, .status = 201}}},
    {"a mount that fails is no reason to", 3, .mount = "team/base",
     .steps = {{POST, .url = MOUNT, .status = 404}, START, {PUT, .url = U0 "&" D, .status = 201}}},
};

static const upload_case LARGE[] = {
    {"one streamed PATCH", 8 * MIB,
     .steps = {START,
               {PATCH, .url = U0, .unwanted = "Content-Range", AT("1", "0-8388607")},
               {PUT, .url = U1 "&" D, .sent = "", .status = 201}}},
    {"a host of one PUT", 8 * MIB, .registry = "ghcr.io",
     .steps = {{POST, .url = "https://ghcr.io/v2/team/demo/blobs/uploads/", .status = 202,
                .head = "Location: /u\n"},
               {PUT, .url = "https://ghcr.io/u?" D, .status = 201}}},
    {"PATCH unknown: one PUT", 8 * MIB,
     .steps =
         {START, {PATCH, .url = U0, .status = 405}, START, {PUT, .url = U0 "&" D, .status = 201}}},
    {"chunks as the registry wants them", 80 * MIB,
     .steps = {{POST, .url = UP, .status = 202,
                .head = "Location: /u/1?s=0\nOCI-Chunk-Min-Length: 5\n"},
               {PATCH, .url = U0, .want = "Content-Range: 0-67108863", AT("1", "0-67108863")},
               {PATCH, .url = U1, .want = "Content-Range: 67108864-83886079",
                AT("2", "0-83886079")},
               {PUT, .url = U2 "&" D, .sent = "", .status = 201}}},
    {"chunks that fit through a proxy", 12 * MIB,
     .steps = {START,
               {PATCH, .url = U0, .status = 413},
               START,
               {PATCH, .url = U0, .want = "Content-Range: 0-8388607", AT("1", "0-8388607")},
               {PATCH, .url = U1, .want = "Content-Range: 8388608-12582911", AT("2", "0-12582911")},
               {PUT, .url = U2 "&" D, .status = 201}}},
    {"nothing fits", 8 * MIB, KV_E_LIMIT,
     .steps = {START, {PATCH, .url = U0, .status = 413}, START, {PATCH, .url = U0, .status = 413}}},
    {"broken, and continued where the registry stands", 8 * MIB,
     .steps = {START,
               {PATCH, .url = U0, .fail = KV_E_NETWORK},
               {GET, .url = U0, .status = 204, .head = "Location: /u/1?s=1\nRange: 0-5242879\n"},
               {PATCH, .url = U1, .want = "Content-Range: 5242880-8388607", AT("2", "0-8388607")},
               {PUT, .url = U2 "&" D, .sent = "", .status = 201}}},
    {"all of it had arrived", 8 * MIB,
     .steps = {START,
               {PATCH, .url = U0, .status = 503},
               {GET, .url = U0, .status = 204, .head = "Location: /u/1?s=1\nRange: 0-8388607\n"},
               {PUT, .url = U1 "&" D, .sent = "", .status = 201}}},
    {"the broken one still holds the session", 8 * MIB,
     .steps = {START,
               {PATCH, .url = U0, .status = 409},
               {GET, .url = U0, .status = 204, .head = "Location: /u/1?s=1\nRange: 0-8388607\n"},
               {PUT, .url = U1 "&" D, .sent = "", .status = 201}}},
    {"broken, and nothing arrived: anew", 8 * MIB,
     .steps = {START,
               {PATCH, .url = U0, .fail = KV_E_TIMEOUT},
               {GET, .url = U0, .status = 204, .head = "Location: /u/1\nRange: 0-0\n"},
               LOOK,
               START,
               {PATCH, .url = U0, AT("1", "0-8388607")},
               {PUT, .url = U1 "&" D, .status = 201}}},
    {"broken, and the session is lost: anew", 8 * MIB,
     .steps = {START,
               {PATCH, .url = U0, .fail = KV_E_NETWORK},
               {GET, .url = U0, .status = 404},
               LOOK,
               START,
               {PATCH, .url = U0, AT("1", "0-8388607")},
               {PUT, .url = U1 "&" D, .status = 201}}},
    {"the session stands elsewhere", 8 * MIB,
     .steps = {START,
               {PATCH, .url = U0, .status = 416},
               {GET, .url = U0, .status = 204, .head = "Location: /u/1?s=1\nRange: 0-5242879\n"},
               {PATCH, .url = U1, .want = "Content-Range: 5242880-8388607", AT("2", "0-8388607")},
               {PUT, .url = U2 "&" D, .status = 201}}},
    {"registry has less than was sent", 8 * MIB,
     .steps = {START,
               {PATCH, .url = U0, AT("1", "0-4194303")},
               {PATCH, .url = U1, .want = "Content-Range: 4194304-8388607", AT("2", "0-8388607")},
               {PUT, .url = U2 "&" D, .status = 201}}},
    {"registry has more than was sent", 8 * MIB, KV_E_PROTOCOL,
     "the registry has 8388609 bytes of an upload after 8388608",
     .steps = {START, {PATCH, .url = U0, AT("1", "0-8388608")}}},
    {"not allowed", 8 * MIB, KV_E_DENIED, .steps = {START, {PATCH, .url = U0, .status = 403}}},
};

static void check_uploads(const upload_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const upload_case *c = &cases[i];
        rig r = rig_new(c->steps, KV_COUNT(c->steps), c->registry ? c->registry : "hub.example");
        kv_error err = {0};
        kv_http_source source = {.read = read_zeros, .size = c->size};
        kv_digest d = digest_of(HELLO);
        kv_code got = r.remote->ops->put_blob(r.remote, &d, &source, c->mount, &err);
        expect(c->name, got, c->want, &err, c->text);
        rig_end(&r, c->name);
    }
}

static void uploads_small(void **state)
{
    (void)state;
    check_uploads(SMALL, KV_COUNT(SMALL));
}
static void mounts(void **state)
{
    (void)state;
    check_uploads(MOUNTS, KV_COUNT(MOUNTS));
}
static void uploads_large(void **state)
{
    (void)state;
    check_uploads(LARGE, KV_COUNT(LARGE));
}

static const upload_case STREAMS[] = {
    {"fits into the buffer, and is there", 3, .steps = {{HEAD, .url = BLOB, .status = 200}}},
    {"fits into the buffer", 3,
     .steps = {LOOK, START, {PUT, .url = U0 "&" D, .sent = "000", .status = 201}}},
    {"nothing at all", 0,
     .steps = {LOOK, START, {PUT, .url = U0 "&" D, .sent = "", .status = 201}}},
    {"two chunks", 9 * MIB,
     .steps = {START,
               {PATCH, .url = U0, .want = "Content-Range: 0-8388607", AT("1", "0-8388607")},
               {PATCH, .url = U1, .want = "Content-Range: 8388608-9437183", AT("2", "0-9437183")},
               {PUT, .url = U2 "&" D, .sent = "", .status = 201}}},
    {"the last chunk again", 9 * MIB,
     .steps = {START,
               {PATCH, .url = U0, AT("1", "0-8388607")},
               {PATCH, .url = U1, .fail = KV_E_NETWORK},
               {GET, .url = U1, .status = 204, .head = "Location: /u/1?s=1\nRange: 0-8388607\n"},
               {PATCH, .url = U1, .want = "Content-Range: 8388608-9437183", AT("2", "0-9437183")},
               {PUT, .url = U2 "&" D, .status = 201}}},
    {"the registry went back behind what is kept", 9 * MIB, KV_E_NETWORK,
     .steps = {START,
               {PATCH, .url = U0, AT("1", "0-8388607")},
               {PATCH, .url = U1, .fail = KV_E_NETWORK},
               {GET, .url = U1, .status = 204, .head = "Location: /u/1?s=1\nRange: 0-99\n"},
               LOOK}},
    {"chunks larger than the buffer", 9 * MIB, KV_E_UNSUPPORTED,
     .steps = {{POST, .url = UP, .status = 202,
                .head = "Location: /u/1?s=0\nOCI-Chunk-Min-Length: 9000000\n"},
               {PATCH, .url = U0, AT("1", "0-8388607")}}},
    {"a host of one PUT", 9 * MIB, KV_E_UNSUPPORTED, .registry = "ghcr.io"},
};

static kv_code write_stream(kv_remote *r, uint64_t size, kv_error *err)
{
    enum { PIECE = 100000 };
    static char zeros[PIECE];
    memset(zeros, '0', sizeof(zeros));
    kv_remote_writer *w = NULL;
    kv_digest d = digest_of(HELLO);
    bool existed;
    KV_TRY(r->ops->write_blob(r, &w, err));
    kv_code rc = KV_OK;
    for (uint64_t left = size; left && rc == KV_OK;) {
        size_t n = left < PIECE ? (size_t)left : PIECE;
        rc = w->ops->write(w, zeros, n, err);
        left -= n;
    }
    if (rc == KV_OK) rc = w->ops->commit(w, &d, &existed, err);
    w->ops->close(w);
    return rc;
}

static void streams(void **state)
{
    (void)state;
    for (size_t i = 0; i < KV_COUNT(STREAMS); i++) {
        const upload_case *c = &STREAMS[i];
        rig r = rig_new(c->steps, KV_COUNT(c->steps), c->registry ? c->registry : "hub.example");
        kv_error err = {0};
        expect(c->name, write_stream(r.remote, c->size, &err), c->want, &err, c->text);
        rig_end(&r, c->name);
    }
}

static void opens(void **state)
{
    static const struct {
        const char *registry;
        bool plain;
        const char *origin;
        kv_code want;
    } CASES[] = {
        {"hub.example:8080", false, "https://hub.example:8080", KV_OK},
        {"localhost:5000", true, "http://localhost:5000", KV_OK},
        {"docker.io", false, "https://registry-1.docker.io", KV_OK},
        {"[::1]:5000", true, "http://[::1]:5000", KV_OK},
        {"a b", false, NULL, KV_E_ARG},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_reference ref = {.registry = kv_sv_of(CASES[i].registry), .repository = KV_SV("a")};
        kv_remote_options o = KV_REMOTE_OPTIONS_INIT;
        o.plain_http = CASES[i].plain;
        kv_auto(kv_remote) r = NULL;
        kv_error err = {0};
        kv_code got = kv_remote_open(&ref, &o, &r, &err);
        expect(CASES[i].registry, got, CASES[i].want, &err, NULL);
        if (got == KV_OK)
            assert_string_equal(((kv_oci_remote *)(void *)r)->origin, CASES[i].origin);
    }
}

KV_TEST_MAIN(cmocka_unit_test(resolves), cmocka_unit_test(reads_manifests),
             cmocka_unit_test(puts_manifests), cmocka_unit_test(deletes),
             cmocka_unit_test(lists_tags), cmocka_unit_test(pages_without_links),
             cmocka_unit_test(reads_blobs), cmocka_unit_test(ends_when_a_sink_refuses),
             cmocka_unit_test(refuses_large_blobs_in_memory), cmocka_unit_test(uploads_small),
             cmocka_unit_test(mounts), cmocka_unit_test(uploads_large), cmocka_unit_test(streams),
             cmocka_unit_test(opens))

#include "kitvault/reference.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "test/test.h"

#define HEX64 "1c18a3e8224688b90417b043728d5d82a39c78566fd63bfbe537a1b3611eaf3b"

static void parses(void **state)
{
    static const struct {
        const char *text, *full, *display; /* full NULL: display is the error */
    } CASES[] = {
        {"a", "localhost/a", "a"},
        {"a:b", "localhost/a:b", "a:b"},
        {"a/b/c:v1.0-rc", "localhost/a/b/c:v1.0-rc", "a/b/c:v1.0-rc"},
        {"localhost/x:y", "localhost/localhost/x:y", "localhost/x:y"},
        {"localhost:5000/ns/sub.repo/m_1:v1", "localhost:5000/ns/sub.repo/m_1:v1",
         "localhost:5000/ns/sub.repo/m_1:v1"},
        {"hub.example.org/a/b@sha256:" HEX64, "hub.example.org/a/b@sha256:" HEX64,
         "hub.example.org/a/b@sha256:" HEX64},
        {"a:tag@sha256:" HEX64, "localhost/a@sha256:" HEX64, "a@sha256:" HEX64},
        {"sha256:" HEX64, "localhost/_@sha256:" HEX64, "sha256:" HEX64},
        {"[::1]:5000/a:b", "[::1]:5000/a:b", "[::1]:5000/a:b"},
        {"a__b/c-d/e---f:_x", "localhost/a__b/c-d/e---f:_x", "a__b/c-d/e---f:_x"},
        {"a:b,c,d", "localhost/a:b", "a:b"},
        {"", NULL, "invalid reference: missing registry or repository"},
        {"Vec/Hello:v1", NULL, "repository (Vec/Hello) name must be lowercase"},
        {"a:bad tag", NULL, "invalid reference: invalid tag \"bad tag\""},
        {"a:", NULL, "invalid reference: invalid tag \"\""},
        {"a:.x", NULL, "invalid reference: invalid tag \".x\""},
        {"a:b:c", NULL, "invalid reference: invalid tag \"b:c\""},
        {"--/x:v1", NULL, "invalid reference: invalid repository \"--/x\""},
        {"--", NULL, "repository (--) must start and end with a letter or number"},
        {"a//b", NULL, "invalid reference: invalid repository \"a//b\""},
        {"a/", NULL, "invalid reference: invalid repository \"a/\""},
        {"/a", NULL, "invalid reference: invalid repository \"/a\""},
        {"a/../b", NULL, "invalid reference: invalid repository \"a/../b\""},
        {"a.-b", NULL, "invalid reference: invalid repository \"a.-b\""},
        {"a___b", NULL, "invalid reference: invalid repository \"a___b\""},
        {"a@sha256:12", NULL, "invalid reference: invalid digest \"sha256:12\""},
        {"a@", NULL, "invalid reference: invalid digest \"\""},
        {"host:port/a", NULL, "invalid reference: invalid registry \"host:port\""},
        {"h.:99999/a", NULL, "invalid reference: invalid registry \"h.:99999\""},
        {"a b.c/x", NULL, "invalid reference: invalid registry \"a b.c\""},
        {"a:b,c d", NULL, "invalid reference: invalid tag \"c d\""},
        {"a:b,", NULL, "invalid reference: invalid tag \"\""},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_error err = {0};
        kv_auto_reference r = {0};
        kv_code rc = kv_reference_parse(kv_sv_of(CASES[i].text), &r, &err);
        kv_auto_str full = rc == KV_OK ? kv_reference_full(&r) : NULL;
        kv_auto_str display = rc == KV_OK ? kv_reference_display(&r) : strdup(err.msg);
        if ((full == NULL) != (CASES[i].full == NULL) || strcmp(display, CASES[i].display) != 0 ||
            (full && strcmp(full, CASES[i].full) != 0))
            fail_msg("'%s': '%s', '%s'", CASES[i].text, full ? full : "", display);
    }
}

static void keeps_extra_tags(void **state)
{
    (void)state;
    kv_auto_reference r = {0}, other = {0};
    assert_int_equal(kv_reference_parse(KV_SV("h.x/a:b,c,d"), &r, NULL), KV_OK);
    assert_int_equal(r.n_extra, 2);
    assert_true(kv_sv_is(r.extra[0], "c") && kv_sv_is(r.extra[1], "d"));
    assert_true(kv_reference_is_remote(&r));
    assert_int_equal(kv_reference_with_tag(&r, KV_SV("latest"), &other, NULL), KV_OK);
    kv_auto_str full = kv_reference_full(&other), last = kv_reference_last(&other);
    assert_string_equal(full, "h.x/a:latest");
    assert_string_equal(last, "latest");
    kv_auto_reference bad = {0};
    assert_int_equal(kv_reference_with_tag(&r, KV_SV("-"), &bad, NULL), KV_E_SYNTAX);
}

static void bounds_lengths(void **state)
{
    (void)state;
    char name[300], tag[200];
    memset(name, 'a', sizeof(name));
    memset(tag, 't', sizeof(tag));
    assert_true(kv_repository_name_valid((kv_sv){name, 255}));
    assert_false(kv_repository_name_valid((kv_sv){name, 256}));
    assert_true(kv_tag_name_valid((kv_sv){tag, 128}));
    assert_false(kv_tag_name_valid((kv_sv){tag, 129}));
    assert_false(kv_repository_name_valid(KV_SV("_")));
}

KV_TEST_MAIN(cmocka_unit_test(parses), cmocka_unit_test(keeps_extra_tags),
             cmocka_unit_test(bounds_lengths))

#include "http/field.h"

#include <stdio.h>

#include "test/test.h"

#define SV KV_SV_INIT

static void parses_challenges(void **state)
{
    static const struct {
        const char *name;
        kv_sv value;
        kv_code want;
        size_t n;
        const char *shown; /* "scheme|realm|service|scope|error" of each, joined by newlines */
    } CASES[] = {
        {"bearer",
         SV("Bearer realm=\"https://h/token\",service=\"h\",scope=\"repository:a/b:pull,push\""),
         KV_OK, 1, "Bearer|https://h/token|h|repository:a/b:pull,push|"},
        {"basic", SV("Basic realm=\"hub\""), KV_OK, 1, "Basic|hub|||"},
        {"two in one", SV("Basic realm=\"a, b\", Bearer realm=\"r\" , error=\"invalid_token\""),
         KV_OK, 2, "Basic|a, b|||\nBearer|r|||invalid_token"},
        {"blanks around =", SV("Bearer realm = \"x\" , service=y"), KV_OK, 1, "Bearer|x|y||"},
        {"escapes", SV("Bearer realm=\"a\\\"b\\\\\""), KV_OK, 1, "Bearer|a\"b\\|||"},
        {"no parameters", SV("Negotiate"), KV_OK, 1, "Negotiate||||"},
        {"token68", SV("Negotiate YWJj==, Basic realm=\"x\""), KV_OK, 2,
         "Negotiate||||\nBasic|x|||"},
        {"empty elements", SV(",, Basic realm=x,,"), KV_OK, 1, "Basic|x|||"},
        {"other parameters", SV("Digest nonce=\"n\", qop=auth, realm=\"r\""), KV_OK, 1,
         "Digest|r|||"},
        {"last one wins", SV("Basic realm=a, realm=b"), KV_OK, 1, "Basic|b|||"},
        {"empty", SV(""), KV_OK, 0, ""},
        {"open quote", SV("Bearer realm=\"abc"), KV_E_SYNTAX, 0, ""},
        {"value missing", SV("Bearer a=b, realm="), KV_E_SYNTAX, 0, ""},
        {"no scheme", SV("=x"), KV_E_SYNTAX, 0, ""},
        {"junk behind scheme", SV("Bearer@x"), KV_E_SYNTAX, 0, ""},
        {"junk behind value", SV("Bearer realm=\"x\"y"), KV_E_SYNTAX, 0, ""},
        {"too many", SV("a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q"), KV_E_LIMIT, 16,
         "a||||\nb||||\nc||||\nd||||\ne||||\nf||||\ng||||\nh||||\ni||||\nj||||\nk||||\nl||||\n"
         "m||||\nn||||\no||||\np||||"},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_error err = {0};
        kv_auto(kv_arena) arena = kv_arena_new(1 << 16);
        kv_challenge list[KV_CHALLENGES_MAX];
        size_t n = 0;
        kv_code got = kv_challenge_parse(CASES[i].value, arena, list, &n, &err);
        kv_auto_buf shown = KV_BUF(1 << 16);
        for (size_t k = 0; k < n; k++)
            kv_buf_addf(&shown, "%s%.*s|%.*s|%.*s|%.*s|%.*s", k ? "\n" : "", KV_ARG(list[k].scheme),
                        KV_ARG(list[k].realm), KV_ARG(list[k].service), KV_ARG(list[k].scope),
                        KV_ARG(list[k].error));
        if (got != CASES[i].want || n != CASES[i].n || !kv_sv_is(kv_buf_sv(&shown), CASES[i].shown))
            fail_msg("%s: code %d, %zu challenges, '%.*s', '%s'", CASES[i].name, (int)got, n,
                     KV_ARG(kv_buf_sv(&shown)), err.msg);
    }
}

static void finds_next_link(void **state)
{
    static const struct {
        kv_sv value;
        const char *url;
    } CASES[] = {
        {SV("</v2/a/tags/list?last=x&n=2>; rel=\"next\""), "/v2/a/tags/list?last=x&n=2"},
        {SV("<a>; rel=prev, <b>; title=\"x, y\"; rel=next"), "b"},
        {SV("<a>;REL=\"first NEXT\""), "a"},
        {SV("<a>"), ""},
        {SV("<a>; rel=nextdoor"), ""},
        {SV("<a; rel=next"), ""},
        {SV("a; rel=next"), ""},
        {SV("<>; rel=next"), ""},
        {SV("<a>; rel=\""), ""},
        {SV(""), ""},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_sv got = kv_link_next(CASES[i].value);
        if (!kv_sv_is(got, CASES[i].url)) fail_msg("case %zu: '%.*s'", i, KV_ARG(got));
    }
}

static void parses_upload_range(void **state)
{
    static const struct {
        kv_sv value;
        bool ok;
        uint64_t n;
    } CASES[] = {
        {SV("0-41"), true, 42},
        {SV("bytes=0-41"), true, 42},
        {SV("0-0"), true, 0},
        {SV("0-18446744073709551614"), true, UINT64_MAX},
        {SV("0-18446744073709551615"), false, 0},
        {SV("1-41"), false, 0},
        {SV("0-"), false, 0},
        {SV("-5"), false, 0},
        {SV("0--1"), false, 0},
        {SV("41"), false, 0},
        {SV(""), false, 0},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        uint64_t n = 0;
        bool ok = kv_upload_range_parse(CASES[i].value, &n);
        if (ok != CASES[i].ok || n != CASES[i].n) fail_msg("case %zu", i);
    }
}

KV_TEST_MAIN(cmocka_unit_test(parses_challenges), cmocka_unit_test(finds_next_link),
             cmocka_unit_test(parses_upload_range))

#include <string.h>

#include "base/str.h"
#include "kitvault/kitfile.h"
#include "test/test.h"

#define BAD_TYPE(t)                                                                                \
    "invalid filter type " t " (must be one of kitfile, model, datasets, code, prompts, docs)"
#define BAD_FORM "invalid filter: should be in format <type1>,<type2>[:<filter1>,<filter2>]"

static void parses(void **state)
{
    static const struct {
        const char *text, *want; /* want NULL: fine */
    } CASES[] = {
        {"model", NULL},
        {"kitfile,model,datasets,code,prompts,docs", NULL},
        {"model:a,b", NULL},
        {"model:", NULL},
        {"bogus", BAD_TYPE("bogus")},
        {"", BAD_TYPE("")},
        {"model,", BAD_TYPE("")},
        {"Model", BAD_TYPE("Model")},
        {"dataset", BAD_TYPE("dataset")},
        {"model:a:b", BAD_FORM},
        {"bogus:a:b", BAD_FORM},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto_filters f = {0};
        kv_error err = {0};
        kv_code rc = kv_filters_add(&f, kv_sv_of(CASES[i].text), &err);
        if (rc != (CASES[i].want ? KV_E_ARG : KV_OK) ||
            strcmp(err.msg, CASES[i].want ? CASES[i].want : "") != 0)
            fail_msg("'%s': %d '%s'", CASES[i].text, (int)rc, err.msg);
    }
}

static void matches(void **state)
{
    static const struct {
        const char *filters[3];
        kv_layer_kind kind;
        const char *name, *path;
        bool want, kitfile;
    } CASES[] = {
        {{NULL}, KV_LAYER_MODEL, "n", "p", true, true},
        {{"model"}, KV_LAYER_MODEL, "n", "p", true, false},
        {{"model"}, KV_LAYER_PART, "n", "p", true, false},
        {{"model"}, KV_LAYER_CODE, "n", "p", false, false},
        {{"kitfile"}, KV_LAYER_MODEL, "n", "p", false, true},
        {{"docs,kitfile"}, KV_LAYER_DOCS, "", "p", true, true},
        {{"datasets:n"}, KV_LAYER_DATASET, "n", "p", true, false},
        {{"datasets:p"}, KV_LAYER_DATASET, "n", "p", true, false},
        {{"datasets:./p"}, KV_LAYER_DATASET, "n", "p", false, false},
        {{"datasets:x,p"}, KV_LAYER_DATASET, "n", "p", true, false},
        {{"code:n"}, KV_LAYER_CODE, "n", "p", false, false},
        {{"code:p"}, KV_LAYER_CODE, "n", "p", true, false},
        {{"docs:n"}, KV_LAYER_DOCS, "n", "p", false, false},
        {{"prompts:n"}, KV_LAYER_PROMPT, "n", "p", true, false},
        {{"code:p"}, KV_LAYER_PROMPT, "n", "p", false, false},
        {{"model:"}, KV_LAYER_MODEL, "", "p", true, false},
        {{"model:"}, KV_LAYER_MODEL, "n", "p", false, false},
        {{"docs", "model:n"}, KV_LAYER_MODEL, "n", "p", true, false},
        {{"docs", "model:x"}, KV_LAYER_MODEL, "n", "p", false, false},
        {{"model"}, KV_LAYER_UNKNOWN, "n", "p", false, false},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto_filters f = {0};
        for (size_t k = 0; CASES[i].filters[k]; k++)
            assert_int_equal(kv_filters_add(&f, kv_sv_of(CASES[i].filters[k]), NULL), KV_OK);
        const kv_kitfile_entry e = {.name = kv_sv_of(CASES[i].name),
                                    .path = kv_sv_of(CASES[i].path)};
        if (kv_filters_match(&f, CASES[i].kind, &e) != CASES[i].want ||
            kv_filters_match_kitfile(&f) != CASES[i].kitfile)
            fail_msg("%zu: %s", i, CASES[i].filters[0] ? CASES[i].filters[0] : "none");
    }
}

static void reduces_for_parents(void **state)
{
    const kv_kitfile_entry e = {.name = KV_SV("n"), .path = KV_SV("p")};
    kv_auto_filters none = {0}, some = {0}, other = {0}, out = {0}, out2 = {0}, out3 = {0};
    bool any = false;
    (void)state;
    assert_int_equal(kv_filters_for_parent(&none, &out, &any, NULL), KV_OK);
    assert_true(any && kv_filters_match(&out, KV_LAYER_MODEL, &e));
    assert_false(kv_filters_match(&out, KV_LAYER_CODE, &e) || kv_filters_match_kitfile(&out));

    assert_int_equal(kv_filters_add(&some, KV_SV("code,model,kitfile:x,n"), NULL), KV_OK);
    assert_int_equal(kv_filters_add(&some, KV_SV("docs"), NULL), KV_OK);
    assert_int_equal(kv_filters_for_parent(&some, &out2, &any, NULL), KV_OK);
    assert_true(any && kv_filters_match(&out2, KV_LAYER_PART, &e));
    assert_false(kv_filters_match(&out2, KV_LAYER_DOCS, &e) || kv_filters_match_kitfile(&out2));

    assert_int_equal(kv_filters_add(&other, KV_SV("docs"), NULL), KV_OK);
    assert_int_equal(kv_filters_for_parent(&other, &out3, &any, NULL), KV_OK);
    assert_false(any);
}

static void bounds_names(void **state)
{
    (void)state;
    kv_auto_filters f = {0};
    kv_auto_buf text = KV_BUF(1u << 20);
    kv_buf_adds(&text, "model:");
    for (int i = 0; i < 10000; i++) kv_buf_adds(&text, "a,");
    assert_int_equal(kv_filters_add(&f, kv_buf_sv(&text), NULL), KV_E_LIMIT);
    assert_int_equal(f.n, 0);
}

KV_TEST_MAIN(cmocka_unit_test(parses), cmocka_unit_test(matches),
             cmocka_unit_test(reduces_for_parents), cmocka_unit_test(bounds_names))

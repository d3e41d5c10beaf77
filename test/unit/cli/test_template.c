#include "cli/template.h"

#include <string.h>

#include "test/test.h"

static void formats(void **state)
{
    static const kv_sv TAGS[] = {KV_SV_INIT("v1"), KV_SV_INIT("latest")};
    static const kv_template_field FIELDS[] = {
        {.name = "Repo", .text = KV_SV_INIT("team/demo")},
        {.name = "Size", .text = KV_SV_INIT("2.5 KiB")},
        {.name = "Tags", .items = TAGS, .n_items = KV_COUNT(TAGS)},
        {.name = "None", .items = TAGS, .n_items = 0},
    };
    static const struct {
        const char *name;
        kv_sv text;
        kv_code code;
        const char *want; /* the text, or a part of the message */
    } CASES[] = {
        {"text alone", KV_SV_INIT("plain } text { "), KV_OK, "plain } text { "},
        {"nothing", KV_SV_INIT(""), KV_OK, ""},
        {"fields", KV_SV_INIT("{{ .Repo }} {{.Size}}"), KV_OK, "team/demo 2.5 KiB"},
        {"a list", KV_SV_INIT("{{ .Tags }}"), KV_OK, "[v1 latest]"},
        {"an empty list", KV_SV_INIT("{{ .None }}"), KV_OK, "[]"},
        {"index", KV_SV_INIT("{{ .Repo }}:{{ index .Tags 1 }}"), KV_OK, "team/demo:latest"},
        {"constants", KV_SV_INIT("{{ \"a\\\"b\\n\\t\\\\}}\" }}{{ `c\\}}` }}"), KV_OK,
         "a\"b\n\t\\}}c\\}}"},
        {"trimmed", KV_SV_INIT("a  {{- .Size -}}\n b"), KV_OK, "a2.5 KiBb"},
        {"a minus that is no trim", KV_SV_INIT("a {{-.Size}}"), KV_E_SYNTAX, "\"-.Size\""},
        {"comment", KV_SV_INIT("a{{/* .Nope */}}b"), KV_OK, "ab"},
        {"trimmed comment", KV_SV_INIT("a {{- /* c */ -}} b"), KV_OK, "ab"},
        {"open action", KV_SV_INIT("{{ .Repo"), KV_E_SYNTAX, "unclosed action"},
        {"open brace at the end", KV_SV_INIT("{{"), KV_E_SYNTAX, "unclosed action"},
        {"one closing brace", KV_SV_INIT("{{ .Repo }"), KV_E_SYNTAX, "unclosed action"},
        {"open constant", KV_SV_INIT("{{ \"a }}"), KV_E_SYNTAX, "unterminated"},
        {"backslash at the end", KV_SV_INIT("{{ \"a\\"), KV_E_SYNTAX, "unterminated"},
        {"unknown escape", KV_SV_INIT("{{ \"\\q\" }}"), KV_E_SYNTAX, "\\q"},
        {"empty action", KV_SV_INIT("{{ }}"), KV_E_SYNTAX, "missing value"},
        {"no such field", KV_SV_INIT("{{ .Nope }}"), KV_E_INVALID, "field Nope"},
        {"the dot alone", KV_SV_INIT("{{ . }}"), KV_E_INVALID, "field "},
        {"function", KV_SV_INIT("{{ printf .Repo }}"), KV_E_SYNTAX, "\"printf\" not defined"},
        {"two values", KV_SV_INIT("{{ .Repo .Size }}"), KV_E_SYNTAX, "unexpected .Size"},
        {"index out of range", KV_SV_INIT("{{ index .Tags 2 }}"), KV_E_INVALID, "out of range: 2"},
        {"index of nothing", KV_SV_INIT("{{ index .None 0 }}"), KV_E_INVALID, "out of range: 0"},
        {"index of a text", KV_SV_INIT("{{ index .Repo 0 }}"), KV_E_INVALID, "no list"},
        {"index without number", KV_SV_INIT("{{ index .Tags }}"), KV_E_SYNTAX, "needs a list"},
        {"index by a word", KV_SV_INIT("{{ index .Tags x }}"), KV_E_SYNTAX, "index with x"},
        {"index and more", KV_SV_INIT("{{ index .Tags 0 1 }}"), KV_E_SYNTAX, "unexpected 1"},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_error err = {0};
        kv_auto_buf out = KV_BUF(1000);
        kv_code code = kv_template_format(&out, CASES[i].text, FIELDS, KV_COUNT(FIELDS), &err);
        bool good = code == KV_OK ? kv_sv_is(kv_buf_sv(&out), CASES[i].want)
                                  : strstr(err.msg, CASES[i].want) != NULL;
        if (code != CASES[i].code || !good)
            fail_msg("%s: code %d, '%s', '%s'", CASES[i].name, (int)code, out.p ? out.p : "",
                     err.msg);
    }
}

static void checks_form(void **state)
{
    static const struct {
        const char *text;
        kv_code code;
        const char *why;
    } CASES[] = {
        {"plain {{ .Repo }}{{ index .Tags 7 }}{{ \"a\" }}{{/* c */}}", KV_OK, ""},
        {"{{ .Nope }}", KV_OK, ""}, /* shows with the first ModelKit, as in Go */
        {"{{bad", KV_E_SYNTAX, "unclosed action"},
        {"{{ bad }}", KV_E_SYNTAX, "\"bad\" not defined"},
        {"{{ index .Tags }}", KV_E_SYNTAX, "needs a list"},
        {"{{ index .Tags x }}", KV_E_SYNTAX, "index with x"},
        {"{{ .Repo .Size }}", KV_E_SYNTAX, "unexpected .Size"},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_error err = {0};
        kv_code code = kv_template_check(kv_sv_of(CASES[i].text), &err);
        if (code != CASES[i].code || !strstr(err.msg, CASES[i].why))
            fail_msg("%s: code %d, '%s'", CASES[i].text, (int)code, err.msg);
    }
}

static void bounds_output(void **state)
{
    (void)state;
    static const kv_template_field FIELDS[] = {{.name = "Repo", .text = KV_SV_INIT("0123456789")}};
    kv_auto_buf out = KV_BUF(15);
    kv_code code = kv_template_format(&out, KV_SV("{{.Repo}}{{.Repo}}"), FIELDS, 1, NULL);
    assert_int_equal(code, KV_E_LIMIT);
}

KV_TEST_MAIN(cmocka_unit_test(formats), cmocka_unit_test(checks_form),
             cmocka_unit_test(bounds_output))

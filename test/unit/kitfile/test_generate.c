#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kitfile/license.h"
#include "kitfile/skill.h"
#include "kitvault/kitfile.h"
#include "test/test.h"
#include "test/tmpdir.h"

#define MIT                                                                                        \
    "MIT License\n\nPermission is hereby granted, free of charge, to any person obtaining a copy " \
    "of this\nsoftware and associated documentation files (the \"Software\"), to deal in it. The " \
    "above\ncopyright notice and this permission notice shall be included in all copies.\n"
#define HEAD "manifestVersion: 1.0.0\n"

static void keep_line(void *ctx, kv_level level, kv_sv text)
{
    kv_buf_addf(ctx, "%d %.*s\n", (int)level, KV_ARG(text));
}

static void makes(void **state)
{
    static const struct {
        const char *name;
        const char *files[20]; /* "path", "path=size", "path:content", "dir/" */
        const char *want, *said;
        int depth;
    } CASES[] = {
        {"nothing", {NULL}, HEAD, "", 0},
        {"own files", {"Kitfile", ".kitignore", "kitfile", ".kitfile"}, HEAD, "", 0},
        {"one model",
         {"a/m.safetensors=5", "README.md", "config.json", "vocab.txt", 0},
         HEAD "model:\n  name: a/m\n  path: a/m.safetensors\n  parts:\n    - path: config.json\n"
              "    - path: vocab.txt\ndocs:\n  - path: README.md\n    description: Readme file\n",
         "",
         0},
        {"one large model",
         {"adapter.pt=10", "big.gguf=100", "z.onnx=10", 0},
         HEAD "model:\n  name: big\n  path: big.gguf\n  parts:\n    - path: adapter.pt\n"
              "    - path: z.onnx\n",
         "",
         0},
        {"model in pieces",
         {"m-1.safetensors=10", "m-2.safetensors=11", "m-3.safetensors=10", 0},
         HEAD "model:\n  path: m-1.safetensors\n  parts:\n    - path: m-2.safetensors\n"
              "    - path: m-3.safetensors\n",
         "",
         0},
        {"empty models",
         {"a.pt", "b.pt", 0},
         HEAD "model:\n  path: a.pt\n  parts:\n    - path: b.pt\n",
         "",
         0},
        {"weights by name",
         {"d/pytorch_model-00001.bin=5", "other.bin=5", 0},
         HEAD "model:\n  name: d/pytorch_model-00001\n  path: d/pytorch_model-00001.bin\ncode:\n"
              "  - path: .\n",
         "",
         0},
        {"data",
         {"a.csv", "b.parquet", "meta.json", "d/x.csv", "d/y.yaml", "paper.pdf", 0},
         HEAD "datasets:\n  - path: a.csv\n  - path: b.parquet\n  - path: d\n  - path: meta.json\n"
              "docs:\n  - path: paper.pdf\n",
         "",
         0},
        {"code",
         {"src/a.py", "docs/x.py", "tool/a.sh", "deep/a/b.csv", "only-meta/x.json", "empty/", 0},
         HEAD "code:\n  - path: src\n  - path: deep\n  - path: empty\n  - path: only-meta\n"
              "  - path: tool\ndocs:\n  - path: docs\n",
         "",
         0},
        {"much code",
         {"src/a.py", "a/x.py", "b/x.py", "c/x.py", "d/x.py", "e/x.py", "f/x.py", 0},
         HEAD "code:\n  - path: .\n",
         "",
         0},
        {"unknown file", {"src/a.py", "run.sh"}, HEAD "code:\n  - path: .\n", "", 0},
        {"mixed directory",
         {"m/w.pt=3", "m/train.py", "m/config.json", 0},
         HEAD "model:\n  name: m/w\n  path: m/w.pt\ncode:\n  - path: m\n",
         "",
         0},
        {"directory of a model",
         {"m/w.pt=9", "m/config.json", "m/x.yaml", 0},
         HEAD "model:\n  name: m/w\n  path: m/w.pt\n  parts:\n    - path: m/config.json\n"
              "    - path: m/x.yaml\n",
         "",
         0},
        {"prompts",
         {"AGENTS.md", "a.prompt.txt", "p/x.prompt", "p/claude.md", 0},
         HEAD "prompts:\n  - path: AGENTS.md\n  - path: a.prompt.txt\n  - path: p\n",
         "",
         0},
        {"license of a model",
         {"LICENSE.txt:" MIT, "m.onnx", 0},
         HEAD "model:\n  name: m\n  path: m.onnx\n  license: MIT\ndocs:\n  - path: LICENSE.txt\n"
              "    description: License file\n",
         "",
         0},
        {"license of data",
         {"license:" MIT, "a.csv", 0},
         HEAD "datasets:\n  - path: a.csv\n    license: MIT\ndocs:\n  - path: license\n"
              "    description: License file\n",
         "",
         0},
        {"license of code",
         {"LICENSE:" MIT, "a.csv", "b.csv", "x.py", 0},
         HEAD "code:\n  - path: .\n    license: MIT\ndatasets:\n  - path: a.csv\n  - path: b.csv\n"
              "docs:\n  - path: LICENSE\n    description: License file\n",
         "",
         0},
        {"license of all",
         {"LICENSE:" MIT},
         HEAD "package:\n  license: MIT\ndocs:\n  - path: LICENSE\n    description: License file\n",
         "",
         0},
        {"unknown license",
         {"LICENSE:all rights reserved", 0},
         HEAD "docs:\n  - path: LICENSE\n    description: License file\n",
         "3 Unable to determine license type\n",
         0},
        {"a skill",
         {"SKILL.md:---\nname: s\ndescription: d\nlicense: MIT\nx: [1]\n---\ntext\n", "run.sh", 0},
         HEAD "package:\n  name: s\n  description: d\n  license: MIT\nprompts:\n  - name: s\n"
              "    path: .\n    description: d\n",
         "",
         0},
        {"a skill without front matter", {"skill.md:text"}, HEAD "prompts:\n  - path: .\n", "", 0},
        {"skill directories",
         {"s/SKILL.md:---\nname: s\nlicense: ISC\n---\n", "s/run.sh", "docs/skill.md:---\nname: t",
          0},
         HEAD "prompts:\n  - path: docs\n  - name: s\n    path: s\n",
         "",
         0},
        {"one skill directory",
         {"lib/SKILL.md:---\nname: s\n---\n", 0},
         HEAD "package:\n  name: s\nprompts:\n  - name: s\n    path: lib\n",
         "",
         0},
        {"strange names",
         {"a b/x.csv", "yes.csv", "#.md", 0},
         HEAD "datasets:\n  - path: yes.csv\n  - path: a b\ndocs:\n  - path: '#.md'\n",
         "",
         0},
        {"a level deeper",
         {"a/x.csv", "a/y.md", "a/b/z.csv", "a/b/c/w.csv", "src/m.onnx=3", "run.sh", 0},
         HEAD "model:\n  name: src/m\n  path: src/m.onnx\ncode:\n  - path: a/b\n  - path: run.sh\n"
              "datasets:\n  - path: a/x.csv\ndocs:\n  - path: a/y.md\n",
         "",
         1},
        {"all levels",
         {"a/x.csv", "a/b/z.csv", "a/b/c/w.csv", "a/b/c/README", 0},
         HEAD "datasets:\n  - path: a/x.csv\n  - path: a/b/z.csv\n  - path: a/b/c/w.csv\n"
              "docs:\n  - path: a/b/c/README\n    description: Readme file\n",
         "",
         -1},
        {"a skill deeper",
         {"a/s/SKILL.md:---\nname: s\n---\n", "a/s/run.sh", 0},
         HEAD "package:\n  name: s\nprompts:\n  - name: s\n    path: a/s\n",
         "",
         -1},
        {"five unknown files",
         {"a/1.sh", "a/2.sh", "a/3.sh", "b/4.sh", "5.sh", 0},
         HEAD "code:\n  - path: 5.sh\n  - path: a/1.sh\n  - path: a/2.sh\n  - path: a/3.sh\n"
              "  - path: b/4.sh\n",
         "",
         -1},
        {"six unknown files",
         {"a/1.sh", "a/2.sh", "a/3.sh", "b/4.sh", "5.sh", "6.sh", 0},
         HEAD "code:\n  - path: .\n",
         "",
         -1},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        void *dir = NULL;
        assert_int_equal(tmpdir_setup(&dir), 0);
        for (size_t k = 0; CASES[i].files[k]; k++) {
            const char *spec = CASES[i].files[k], *mark = strpbrk(spec, "=:");
            kv_auto_str name = kv_sv_dup(
                (kv_sv){spec, mark ? (size_t)(mark - spec) : strlen(spec)});
            kv_auto_buf text = KV_BUF(4096);
            if (mark && *mark == ':') kv_buf_adds(&text, mark + 1);
            if (mark && *mark == '=')
                for (long n = strtol(mark + 1, NULL, 10); n > 0; n--) kv_buf_addc(&text, 'x');
            if (name[strlen(name) - 1] == '/')
                assert_int_equal(kv_mkdirs(tmpdir_path(dir, name), 0755, NULL), KV_OK);
            else
                tmpdir_write(dir, name, kv_buf_sv(&text), 0644);
        }
        kv_auto_buf said = KV_BUF(4096);
        kv_report report = {.line = keep_line, .ctx = &said};
        kv_generate_options opts = KV_GENERATE_OPTIONS_INIT;
        opts.report = &report;
        opts.depth = CASES[i].depth;
        kv_auto(kv_kitfile) kf = NULL;
        kv_auto_str yaml = NULL;
        kv_error err = {0};
        size_t n = 0;
        if (kv_kitfile_generate(dir, &opts, &kf, &err) != KV_OK)
            fail_msg("%s: %s", CASES[i].name, err.msg);
        assert_int_equal(kv_kitfile_format_yaml(kf, &yaml, &n, NULL), KV_OK);
        if (strcmp(yaml, CASES[i].want) != 0 || !kv_sv_is(kv_buf_sv(&said), CASES[i].said))
            fail_msg("%s:\n%s\nsaid %s", CASES[i].name, yaml, said.p ? said.p : "");
        assert_int_equal(kv_kitfile_validate(kf, NULL, NULL), KV_OK);
        tmpdir_teardown(&dir);
    }
}

static void passes_over_links(void **state)
{
    const char *dir = *state;
    kv_auto(kv_kitfile) kf = NULL;
    tmpdir_write(dir, "a.csv", KV_SV("x"), 0644);
    assert_int_equal(symlink("a.csv", tmpdir_path(dir, "b.csv")), 0);
    assert_int_equal(symlink(".", tmpdir_path(dir, "dir")), 0);
    assert_int_equal(mkfifo(tmpdir_path(dir, "c.csv"), 0600), 0);
    assert_int_equal(kv_kitfile_generate(dir, NULL, &kf, NULL), KV_OK);
    assert_int_equal(kf->datasets.n, 1);
    assert_int_equal(kf->code.n, 0);
}

static void describes_the_package(void **state)
{
    kv_generate_options opts = KV_GENERATE_OPTIONS_INIT;
    kv_auto(kv_kitfile) kf = NULL;
    kv_auto_str yaml = NULL;
    size_t n = 0;
    opts.name = KV_SV("n1");
    opts.description = KV_SV("d1");
    opts.author = KV_SV("a1");
    tmpdir_write(*state, "SKILL.md", KV_SV("---\nname: s\ndescription: d\n---\n"), 0644);
    assert_int_equal(kv_kitfile_generate(*state, &opts, &kf, NULL), KV_OK);
    assert_int_equal(kv_kitfile_format_yaml(kf, &yaml, &n, NULL), KV_OK);
    assert_string_equal(yaml, HEAD "package:\n  name: n1\n  description: d1\n  authors: [a1]\n"
                                   "prompts:\n  - name: s\n    path: .\n    description: d\n");
}

static void names_what_cannot_be_read(void **state)
{
    const char *dir = *state;
    static const struct {
        const char *name;
        kv_code code;
        const char *why;
    } CASES[] = {{"absent/./", KV_E_NOTFOUND, "no such file or directory"},
                 {"file", KV_E_NOTFOUND, "not a directory"}};
    tmpdir_write(dir, "file", KV_SV("x"), 0644);
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_kitfile *kf = NULL;
        kv_error err = {0};
        kv_auto_buf clean = KV_BUF(8192), want = KV_BUF(8192);
        const char *path = tmpdir_path(dir, CASES[i].name);
        kv_path_clean(kv_sv_of(path), &clean);
        kv_buf_addf(&want, "failed to read directory %s: open %s: %s", clean.p, clean.p,
                    CASES[i].why);
        kv_code rc = kv_kitfile_generate(path, NULL, &kf, &err);
        if (rc != CASES[i].code || strcmp(err.msg, want.p) != 0)
            fail_msg("%s: %d '%s'", path, (int)rc, err.msg);
    }
}

static void knows_licenses(void **state)
{
    static const struct {
        const char *text, *want;
    } CASES[] = {
        {"", ""},
        {"All rights reserved.", ""},
        {MIT, "MIT"},
        {"Apache License\n Version 2.0, January 2004\n TERMS AND CONDITIONS FOR USE, REPRODUCTION, "
         "AND DISTRIBUTION",
         "Apache-2.0"},
        {"Redistribution and use in source and binary forms, with or without modification, are "
         "permitted. * Redistributions in binary form must reproduce",
         "BSD-2-Clause"},
        {"Redistribution and use in source and binary forms, with or without\nmodification, are "
         "permitted. Redistributions in binary form must reproduce. Neither the name may be used "
         "to endorse or promote products derived from",
         "BSD-3-Clause"},
        {"Permission to use, copy, modify, and/or distribute this software for any purpose with or "
         "without fee is hereby granted, provided that the above copyright notice and this "
         "permission notice appear in all copies.",
         "ISC"},
        {"Permission to use, copy, modify, and/or distribute this software for any\npurpose with or "
         "without fee is hereby granted.",
         "0BSD"},
        {"GNU GENERAL PUBLIC LICENSE\n Version 3, 29 June 2007", "GPL-3.0"},
        {"GNU GENERAL PUBLIC LICENSE\n Version 2, June 1991", "GPL-2.0"},
        {"GNU LESSER GENERAL PUBLIC LICENSE\nVersion 2.1, February 1999", "LGPL-2.1"},
        {"GNU LESSER GENERAL PUBLIC LICENSE\nVersion 3, 29 June 2007", "LGPL-3.0"},
        {"GNU AFFERO GENERAL PUBLIC LICENSE\nVersion 3, 19 November 2007", "AGPL-3.0"},
        {"Mozilla Public License Version 2.0\n1.4. \"Covered Software\"", "MPL-2.0"},
        {"CC0 1.0 Universal", "CC0-1.0"},
        {"Creative Commons Attribution 4.0 International Public License", "CC-BY-4.0"},
        {"Creative Commons Attribution-NonCommercial-ShareAlike 4.0 International Public License",
         "CC-BY-NC-SA-4.0"},
        {"Boost Software License - Version 1.0 - August 17th, 2003", "BSL-1.0"},
        {MIT "CC0 1.0 Universal", ""}, /* two of them: which one counts is for a person to say */
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_sv got = kf_license_of(kv_sv_of(CASES[i].text));
        if (!kv_sv_is(got, CASES[i].want)) fail_msg("%s: %.*s", CASES[i].text, KV_ARG(got));
    }
}

static void reads_front_matter(void **state)
{
    static const struct {
        const char *text, *name, *description;
    } CASES[] = {
        {"", "", ""},
        {"# Title\n---\nname: x\n---\n", "", ""},
        {"---\nname: x\ndescription: two words\n---\nbody\n", "x", "two words"},
        {"---\r\nname: x\r\n---\r\n", "x", ""},
        {"---\nname: x\n", "", ""},      /* never closed */
        {"---\nname: [\n---\n", "", ""}, /* no YAML */
        {"---\n- name\n---\n", "", ""},  /* no map */
        {"---\n---\n", "", ""},          /* nothing */
        {"---\nname: [x]\ndescription: d\n---\n", "", "d"},
        {"---\nname: x\nname: y\n---\n", "", ""},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto(kv_arena) arena = kv_arena_new(1u << 16);
        kf_skill s;
        kf_skill_of(kv_sv_of(CASES[i].text), arena, &s);
        if (!kv_sv_is(s.name, CASES[i].name) || !kv_sv_is(s.description, CASES[i].description))
            fail_msg("'%s': '%.*s' '%.*s'", CASES[i].text, KV_ARG(s.name), KV_ARG(s.description));
    }
}

KV_TEST_MAIN(cmocka_unit_test(makes),
             cmocka_unit_test_setup_teardown(passes_over_links, tmpdir_setup, tmpdir_teardown),
             cmocka_unit_test_setup_teardown(describes_the_package, tmpdir_setup, tmpdir_teardown),
             cmocka_unit_test_setup_teardown(names_what_cannot_be_read, tmpdir_setup,
                                             tmpdir_teardown),
             cmocka_unit_test(knows_licenses), cmocka_unit_test(reads_front_matter))

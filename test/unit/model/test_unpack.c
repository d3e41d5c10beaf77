#include <dirent.h>
#include <sys/wait.h>

#include "base/crash.h"
#include "codec/compress.h"
#include "test/unit/model/memkit.h"

#define MODEL_TAR "application/vnd.kitops.modelkit.model.v1.tar"
#define DOCS_TAR "application/vnd.kitops.modelkit.docs.v1.tar"

static const kv_annotations NO_ANNOTATIONS;

/* --- helpers --- */

/* A kit whose one layer is `tar`, its path "m". */
static void one_layer_kit(memkit *k, kv_sv tar, const char *media_type, bool with_digest)
{
    kv_descriptor layer = memkit_add(k, media_type, tar);
    kv_auto_buf config = KV_BUF(10000);
    kv_buf_adds(&config, "{\"manifestVersion\":\"1.0.0\",\"package\":{},\"model\":{\"path\":\"m\"");
    if (with_digest) kv_buf_addf(&config, ",\"digest\":\"%s\"", kv_digest_str(&layer.digest).s);
    kv_buf_adds(&config, "}}");
    kv_descriptor c = memkit_add(k, KV_MT_KIT_CONFIG, kv_buf_sv(&config));
    memkit_seal(k, KV_MT_KIT_MANIFEST, &c, &layer, 1, NO_ANNOTATIONS);
}

/* Unpacks k into DIR/out, from a registry called example.com. */
static kv_code unpack_ref(const char *dir, memkit *k, const char *name,
                          const kv_unpack_options *wanted, kv_error *err)
{
    kv_auto(kv_store) s = NULL;
    kv_auto_reference ref = {0};
    kv_kit_source remote = memkit_source(k);
    assert_int_equal(kv_store_open(tmpdir_path(dir, "home"), &s, NULL), KV_OK);
    assert_int_equal(kv_reference_parse(kv_sv_of(name), &ref, NULL), KV_OK);
    kv_unpack_options opts = *wanted;
    opts.dir = tmpdir_path(dir, "out");
    opts.remote = &remote;
    return kv_unpack(s, &ref, &opts, err);
}

static kv_code unpack(const char *dir, memkit *k, const kv_unpack_options *opts, kv_error *err)
{
    return unpack_ref(dir, k, "example.com/a:v1", opts, err);
}

static void assert_text(const char *dir, const char *name, const char *want)
{
    kv_auto_buf got = KV_BUF(1u << 20);
    kv_error err = {0};
    if (kv_file_read(tmpdir_path(dir, name), &got, &err) != KV_OK) fail_msg("%s", err.msg);
    if (!kv_sv_is(kv_buf_sv(&got), want)) fail_msg("%s: '%s'", name, got.p ? got.p : "");
}

/* Names in a directory, sorted by hand: "a b c". */
static void assert_names(const char *dir, const char *name, const char *want)
{
    struct dirent **list;
    int n = scandir(tmpdir_path(dir, name), &list, NULL, alphasort);
    kv_auto_buf got = KV_BUF(10000);
    for (int i = 0; i < n; i++) {
        if (strcmp(list[i]->d_name, ".") != 0 && strcmp(list[i]->d_name, "..") != 0)
            kv_buf_addf(&got, "%s%s", got.n ? " " : "", list[i]->d_name);
        free(list[i]);
    }
    if (n >= 0) free(list);
    if (!kv_sv_is(kv_buf_sv(&got), want))
        fail_msg("%s holds '%s' instead of '%s'", name, got.p ? got.p : "", want);
}

/* --- hostile archives --- */

static void refuses_what_could_escape(void **state)
{
    static const struct {
        const char *name, *path;
        char type;
        kv_code want;
        const char *text; /* a part of the message */
    } CASES[] = {
        {"absolute", "/etc/evil", '0', KV_E_INVALID,
         "illegal file path: /etc/evil: absolute paths are not supported (/etc/evil)"},
        {"climbing", "../evil", '0', KV_E_INVALID,
         "illegal file path: ../evil: layer paths must stay within context directory"},
        {"climbing later", "m/../../evil", '0', KV_E_INVALID, "must stay within context directory"},
        {"directory climbing", "..", '5', KV_E_INVALID, "must stay within context directory"},
        {"through a link", "link/evil", '0', KV_E_INVALID,
         "illegal file path: link: paths must be within context directory"},
        {"directory through a link", "link/evil", '5', KV_E_INVALID,
         "paths must be within context directory"},
        {"onto a link", "link", '0', KV_E_INVALID, "paths must be within context directory"},
        {"onto a dangling link", "dangling", '0', KV_E_INVALID,
         "paths must be within context directory"},
        {"hard link", "m/l", '1', KV_E_UNSUPPORTED, "unrecognized type in archive: 49"},
        {"symbolic link", "m/l", '2', KV_E_UNSUPPORTED, "unrecognized type in archive: 50"},
        {"device", "m/l", '3', KV_E_UNSUPPORTED, "unrecognized type in archive: 51"},
        {"pipe", "m/l", '6', KV_E_UNSUPPORTED, "unrecognized type in archive: 54"},
        {"file where a directory is", "dir", '0', KV_E_EXISTS, "path 'dir' already exists"},
        {"file below a file", "file/x", '0', KV_E_EXISTS,
         "path 'file' already exists and is not a directory"},
        {"directory where a file is", "file", '5', KV_E_EXISTS,
         "path 'file' already exists and is not a directory"},
        {"the target itself as a file", ".", '0', KV_E_EXISTS, "path '.' already exists"},
    };
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        for (int overwrite = 0; overwrite < 2; overwrite++) {
            const char *dir = *state;
            assert_int_equal(kv_remove_tree(tmpdir_path(dir, "out"), NULL), KV_OK);
            tmpdir_write(dir, "outside/kept", KV_SV("kept"), 0644);
            tmpdir_write(dir, "out/file", KV_SV("old"), 0644);
            tmpdir_write(dir, "out/dir/x", KV_SV("old"), 0644);
            assert_int_equal(symlink("../outside", tmpdir_path(dir, "out/link")), 0);
            assert_int_equal(symlink("../outside/new", tmpdir_path(dir, "out/dangling")), 0);
            kv_auto_buf tar = KV_BUF(1u << 20);
            tar_add(&tar, "good", '0', 0644, KV_SV("good"));
            tar_add(&tar, CASES[i].path, CASES[i].type, 0644, KV_SV(""));
            tar_end(&tar);
            auto_memkit k = {0};
            one_layer_kit(&k, kv_buf_sv(&tar), MODEL_TAR, true);
            kv_unpack_options opts = KV_UNPACK_OPTIONS_INIT;
            opts.overwrite = overwrite;
            kv_error err = {0};
            kv_code rc = unpack(dir, &k, &opts, &err);
            if (rc != CASES[i].want || !strstr(err.msg, CASES[i].text))
                fail_msg("%s: code %d '%s'", CASES[i].name, (int)rc, err.msg);
            assert_true(kv_sv_starts(kv_sv_of(err.msg), KV_SV("failed to unpack: ")));
            assert_names(dir, "out", "Kitfile dangling dir file link");
            assert_names(dir, "outside", "kept");
            assert_text(dir, "outside/kept", "kept");
            assert_text(dir, "out/file", "old");
        }
    }
}

static void refuses_damaged_layers(void **state)
{
    static const char *const CASES[] = {"one byte changed", "cut", "longer", "line breaks",
                                        "other content behind the archive's end"};
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        const char *dir = *state;
        assert_int_equal(kv_remove_tree(tmpdir_path(dir, "out"), NULL), KV_OK);
        kv_auto_buf tar = KV_BUF(1u << 20);
        tar_add(&tar, "m", '5', 0755, KV_SV(""));
        tar_add(&tar, "m/a", '0', 0644, KV_SV("hello"));
        tar_end(&tar);
        auto_memkit k = {0};
        one_layer_kit(&k, kv_buf_sv(&tar), MODEL_TAR, true);
        memblob *layer = k.blobs->next; /* the config was added last */
        kv_code want = KV_E_DIGEST;
        switch (i) {
        case 0: layer->p[1024] ^= 1; break; /* the content */
        case 1: layer->n -= 1024; break;
        case 2:
            layer->p = realloc(layer->p, layer->n + 512);
            memset(layer->p + layer->n, 0, 512);
            layer->n += 512;
            break;
        case 3:
            k.fail_after = 1500;
            want = KV_E_NETWORK;
            break;
        default: layer->p[layer->n - 1] = 'x'; break;
        }
        kv_unpack_options opts = KV_UNPACK_OPTIONS_INIT;
        kv_error err = {0};
        kv_code rc = unpack(dir, &k, &opts, &err);
        if (rc != want) fail_msg("%s: code %d '%s'", CASES[i], (int)rc, err.msg);
        assert_names(dir, "out", "Kitfile");
    }
}

/* --- what exists --- */

static void existing_files(void **state)
{
    static const struct {
        const char *name;
        bool overwrite, ignore;
        kv_code want;
        const char *text; /* of m/a afterwards */
        unsigned mode;
    } CASES[] = {
        {"refused", false, false, KV_E_EXISTS, "old", 0640},
        {"replaced, keeps its mode", true, false, KV_OK, "new", 0640},
        {"left alone", false, true, KV_OK, "old", 0640},
        {"both switches: left alone", true, true, KV_OK, "old", 0640},
    };
    kv_auto_buf tar = KV_BUF(1u << 20);
    tar_add(&tar, "m", '5', 0755, KV_SV(""));
    tar_add(&tar, "m/a", '0', 0600, KV_SV("new"));
    tar_end(&tar);
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        const char *dir = *state;
        auto_memkit k = {0};
        one_layer_kit(&k, kv_buf_sv(&tar), MODEL_TAR, true);
        tmpdir_write(dir, "out/m/a", KV_SV("old"), 0640);
        kv_unpack_options opts = KV_UNPACK_OPTIONS_INIT;
        opts.overwrite = CASES[i].overwrite;
        opts.ignore_existing = CASES[i].ignore;
        kv_error err = {0};
        kv_code rc = unpack(dir, &k, &opts, &err);
        if (rc != CASES[i].want) fail_msg("%s: code %d '%s'", CASES[i].name, (int)rc, err.msg);
        if (rc) assert_string_equal(err.msg, "failed to unpack: path 'm/a' already exists");
        assert_text(dir, "out/m/a", CASES[i].text);
        assert_int_equal(tmpdir_mode(dir, "out/m/a"), CASES[i].mode);
    }
}

static void existing_kitfile(void **state)
{
    static const char SAME[] = "manifestVersion: 1.0.0\nmodel:\n  path: m\n";
    static const struct {
        const char *name, *text;
        bool overwrite;
        kv_code want;
        const char *msg;
    } CASES[] = {
        {"same", SAME, false, KV_OK, ""},
        {"same size", "manifestVersion: 2.0.0\nmodel:\n  path: m\n", false, KV_E_EXISTS,
         "failed to unpack: Kitfile exists and does not match model's Kitfile"},
        {"other size", "x", false, KV_E_EXISTS, "failed to unpack config: path "},
        {"longer", "manifestVersion: 2.0.0\nmodel:\n  path: m\n#####", false, KV_E_EXISTS,
         "failed to unpack config: path "},
        {"overwritten", "x", true, KV_OK, ""},
    };
    kv_auto_buf tar = KV_BUF(1u << 20);
    tar_end(&tar);
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        auto_memkit k = {0};
        one_layer_kit(&k, kv_buf_sv(&tar), MODEL_TAR, true);
        tmpdir_write(*state, "out/Kitfile", kv_sv_of(CASES[i].text), 0644);
        kv_unpack_options opts = KV_UNPACK_OPTIONS_INIT;
        opts.overwrite = CASES[i].overwrite;
        kv_error err = {0};
        kv_code rc = unpack(*state, &k, &opts, &err);
        if (rc != CASES[i].want || !kv_sv_starts(kv_sv_of(err.msg), kv_sv_of(CASES[i].msg)))
            fail_msg("%s: code %d '%s'", CASES[i].name, (int)rc, err.msg);
        assert_text(*state, "out/Kitfile", rc == KV_OK ? SAME : CASES[i].text);
    }
    assert_int_equal(unlink(tmpdir_path(*state, "out/Kitfile")), 0);
    assert_int_equal(mkdir(tmpdir_path(*state, "out/Kitfile"), 0755), 0);
    auto_memkit k = {0};
    one_layer_kit(&k, kv_buf_sv(&tar), MODEL_TAR, true);
    kv_unpack_options opts = KV_UNPACK_OPTIONS_INIT;
    opts.overwrite = true;
    assert_int_equal(unpack(*state, &k, &opts, NULL), KV_E_EXISTS);
}

static void modes(void **state)
{
    kv_auto_buf tar = KV_BUF(1u << 20);
    tar_add(&tar, "ro", '5', 0555, KV_SV(""));
    tar_add(&tar, "ro/in", '5', 0511, KV_SV(""));
    tar_add(&tar, "ro/in/f", '0', 0444, KV_SV("x"));
    tar_add(&tar, "suid", '0', 06755, KV_SV("x"));
    tar_add(&tar, "empty", '0', 04711, KV_SV(""));
    tar_add(&tar, "sticky-file", '0', 01644, KV_SV("x"));
    tar_add(&tar, "suid-dir", '5', 06755, KV_SV(""));
    tar_add(&tar, "sticky", '5', 01777, KV_SV(""));
    tar_add(&tar, "no/dirs/before", '0', 0644, KV_SV("x"));
    tar_end(&tar);
    auto_memkit k = {0};
    one_layer_kit(&k, kv_buf_sv(&tar), MODEL_TAR, true);
    kv_unpack_options opts = KV_UNPACK_OPTIONS_INIT;
    kv_error err = {0};
    mode_t mask = umask(022);
    kv_code rc = unpack(*state, &k, &opts, &err);
    umask(mask);
    if (rc != KV_OK) fail_msg("%s", err.msg);
    assert_int_equal(tmpdir_mode(*state, "out/ro"), 0555);
    assert_int_equal(tmpdir_mode(*state, "out/ro/in"), 0511);
    assert_int_equal(tmpdir_mode(*state, "out/ro/in/f"), 0444);
    /* Written to, and so taken away by the kernel unless root writes; an empty file keeps it. */
    assert_int_equal(tmpdir_mode(*state, "out/suid"), geteuid() == 0 ? 06755 : 0755);
    assert_int_equal(tmpdir_mode(*state, "out/empty"), 04711);
    assert_int_equal(tmpdir_mode(*state, "out/sticky-file"), 01644);
    assert_int_equal(tmpdir_mode(*state, "out/suid-dir"), 0755);
    assert_int_equal(tmpdir_mode(*state, "out/sticky"), 01755);
    assert_int_equal(tmpdir_mode(*state, "out/no/dirs"), 0755);
    assert_int_equal(chmod(tmpdir_path(*state, "out/ro"), 0755), 0);
    assert_int_equal(chmod(tmpdir_path(*state, "out/ro/in"), 0755), 0);
}

/* --- kinds of kits --- */

static void old_kits_begin_at_the_parent(void **state)
{
    kv_auto_buf tar = KV_BUF(1u << 20);
    tar_add(&tar, "weights", '5', 0755, KV_SV(""));
    tar_add(&tar, "weights/w", '0', 0644, KV_SV("x"));
    tar_end(&tar);
    auto_memkit k = {0};
    kv_descriptor layer = memkit_add(&k, MODEL_TAR, kv_buf_sv(&tar));
    kv_descriptor c = memkit_add(
        &k, KV_MT_KIT_CONFIG,
        KV_SV(
            "{\"manifestVersion\":\"1.0.0\",\"package\":{},\"model\":{\"path\":\"./a/b/weights\"}}"));
    memkit_seal(&k, "", &c, &layer, 1, NO_ANNOTATIONS);
    kv_unpack_options opts = KV_UNPACK_OPTIONS_INIT;
    kv_error err = {0};
    if (unpack(*state, &k, &opts, &err) != KV_OK) fail_msg("%s", err.msg);
    assert_text(*state, "out/a/b/weights/w", "x");
}

static void config_and_manifest_differ(void **state)
{
    kv_auto_buf tar = KV_BUF(1u << 20);
    tar_end(&tar);
    static const struct {
        const char *name, *config, *text;
    } CASES[] = {
        {"other digest",
         "{\"package\":{},\"model\":{\"path\":\"m\",\"digest\":\"sha256:"
         "1111111111111111111111111111111111111111111111111111111111111111\"}}",
         "digest in config and manifest do not match in model"},
        {"no entry", "{\"package\":{}}", "config and manifest do not match"},
        {"not JSON", "{", "failed to read model: "},
    };
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        auto_memkit k = {0};
        kv_descriptor layer = memkit_add(&k, MODEL_TAR, kv_buf_sv(&tar));
        kv_descriptor c = memkit_add(&k, KV_MT_KIT_CONFIG, kv_sv_of(CASES[i].config));
        memkit_seal(&k, KV_MT_KIT_MANIFEST, &c, &layer, 1, NO_ANNOTATIONS);
        kv_unpack_options opts = KV_UNPACK_OPTIONS_INIT;
        opts.overwrite = true;
        kv_error err = {0};
        kv_code rc = unpack(*state, &k, &opts, &err);
        if (rc == KV_OK || !strstr(err.msg, CASES[i].text))
            fail_msg("%s: %d '%s'", CASES[i].name, (int)rc, err.msg);
    }
}

static kv_code to_buf(void *ctx, const void *p, size_t n, kv_error *err)
{
    kv_buf_add(ctx, (kv_sv){p, n});
    return kv_buf_check(ctx, err);
}

static void compressed_layers(void **state)
{
    static const struct {
        kv_codec codec;
        const char *media_type;
    } CASES[] = {{KV_CODEC_GZIP, MODEL_TAR "+gzip"}, {KV_CODEC_ZSTD, MODEL_TAR "+zstd"}};
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_auto_buf tar = KV_BUF(1u << 20), packed = KV_BUF(1u << 20);
        tar_add(&tar, "m", '0', 0644, KV_SV("hello"));
        tar_end(&tar);
        kv_auto(kv_compressor) z = kv_compressor_new(CASES[i].codec, to_buf, &packed);
        assert_int_equal(kv_compressor_add(z, tar.p, tar.n, NULL), KV_OK);
        assert_int_equal(kv_compressor_end(z, NULL), KV_OK);
        auto_memkit k = {0};
        one_layer_kit(&k, kv_buf_sv(&packed), CASES[i].media_type, true);
        kv_unpack_options opts = KV_UNPACK_OPTIONS_INIT;
        opts.overwrite = true;
        kv_error err = {0};
        if (unpack(*state, &k, &opts, &err) != KV_OK) fail_msg("%zu: %s", i, err.msg);
        assert_text(*state, "out/m", "hello");
    }
}

typedef struct lines {
    kv_buf text;
} lines;
static void take_line(void *ctx, kv_level level, kv_sv text)
{
    lines *l = ctx;
    static const char LETTERS[] = "TDIWE";
    kv_buf_addf(&l->text, "%c %.*s\n", LETTERS[level], KV_ARG(text));
}

/* modctl's images: a layer per file, raw or tar, and no Kitfile. */
static void modelpack_without_kitfile(void **state)
{
    kv_auto_buf tar = KV_BUF(1u << 20);
    tar_add(&tar, "sub/conf.json", '0', 0644, KV_SV("{}"));
    tar_end(&tar);
    auto_memkit k = {0};
    kv_annotation a[] = {
        {KV_SV(KV_ANN_FILEPATH), KV_SV("w/model-1.bin")},
        {KV_SV("org.cncf.model.file.metadata+json"),
         KV_SV("{\"name\":\"model-1.bin\",\"mode\":384,\"size\":3}")},
        {KV_SV(KV_ANN_FILEPATH), KV_SV("w/model-2.bin")},
        {KV_SV(KV_ANN_FILEPATH), KV_SV("sub/conf.json")},
    };
    kv_descriptor layers[3] = {
        memkit_add(&k, "application/vnd.cncf.model.weight.v1.raw", KV_SV("one")),
        memkit_add(&k, "application/vnd.cncf.model.weight.v1.raw", KV_SV("two")),
        memkit_add(&k, "application/vnd.cncf.model.weight.config.v1.tar", kv_buf_sv(&tar)),
    };
    layers[0].annotations = (kv_annotations){a, 2};
    layers[1].annotations = (kv_annotations){a + 2, 1};
    layers[2].annotations = (kv_annotations){a + 3, 1};
    kv_descriptor c = memkit_add(&k, KV_MT_MODELPACK_CONFIG, KV_SV("{}"));
    memkit_seal(&k, KV_MT_MODELPACK_MANIFEST, &c, layers, 3, NO_ANNOTATIONS);
    lines said = {.text = KV_BUF(10000)};
    kv_report report = {.line = take_line, .ctx = &said};
    kv_unpack_options opts = KV_UNPACK_OPTIONS_INIT;
    opts.report = &report;
    kv_error err = {0};
    if (unpack(*state, &k, &opts, &err) != KV_OK) fail_msg("%s", err.msg);
    const char *rest = strchr(said.text.p, '\n') + 1; /* behind "Unpacking to DIR" */
    assert_string_equal(rest, "W Could not get Kitfile: artifact does not contain a Kitfile\n"
                              "W Functionality may be impacted\n"
                              "I Unpacking model  to w/model-1.bin\n"
                              "I Unpacking model part  to w/model-2.bin\n"
                              "I Unpacking model part  to sub/conf.json\n");
    kv_buf_clear(&said.text);
    assert_names(*state, "out", "sub w");
    assert_text(*state, "out/w/model-1.bin", "one");
    assert_int_equal(tmpdir_mode(*state, "out/w/model-1.bin"), 0600);
    assert_text(*state, "out/w/model-2.bin", "two");
    assert_text(*state, "out/sub/conf.json", "{}");
}

static void modelpack_with_kitfile(void **state)
{
    kv_auto_buf tar = KV_BUF(1u << 20);
    tar_add(&tar, "m", '0', 0644, KV_SV("hello"));
    tar_end(&tar);
    auto_memkit k = {0};
    kv_descriptor layer = memkit_add(&k, "application/vnd.cncf.model.weight.v1.tar",
                                     kv_buf_sv(&tar));
    kv_descriptor c = memkit_add(&k, KV_MT_MODELPACK_CONFIG, KV_SV("{}"));
    kv_annotation kitfile = {
        KV_SV(KV_ANN_KITFILE),
        KV_SV("{\"manifestVersion\":\"1.0.0\",\"package\":{},\"model\":{\"path\":\"m\"}}")};
    memkit_seal(&k, KV_MT_MODELPACK_MANIFEST, &c, &layer, 1, (kv_annotations){&kitfile, 1});
    kv_unpack_options opts = KV_UNPACK_OPTIONS_INIT;
    kv_error err = {0};
    if (unpack(*state, &k, &opts, &err) != KV_OK) fail_msg("%s", err.msg);
    assert_names(*state, "out", "Kitfile m");
    assert_text(*state, "out/m", "hello");
}

static void references(void **state)
{
    static const struct {
        const char *name, *want;
        kv_code code;
    } CASES[] = {
        {"a/b:v1", "failed to find reference a/b:v1: not found", KV_E_NOTFOUND},
        {"example.com/a:absent",
         "failed to find reference example.com/a:absent: reference example.com/a:absent is not "
         "present in local storage and could not be found in remote",
         KV_E_NOTFOUND},
        {"example.com/a:broken", "failed to find reference example.com/a:broken: line is dead",
         KV_E_NETWORK},
        {"example.com/a:v1", "failed to read model: reference exists but is not a modelkit",
         KV_E_UNSUPPORTED},
    };
    auto_memkit k = {0};
    kv_descriptor c = memkit_add(&k, "application/vnd.oci.image.config.v1+json", KV_SV("{}"));
    memkit_seal(&k, "", &c, NULL, 0, NO_ANNOTATIONS);
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_unpack_options opts = KV_UNPACK_OPTIONS_INIT;
        kv_error err = {0};
        kv_code rc = unpack_ref(*state, &k, CASES[i].name, &opts, &err);
        if (rc != CASES[i].code || strcmp(err.msg, CASES[i].want) != 0)
            fail_msg("%s: code %d '%s'", CASES[i].name, (int)rc, err.msg);
    }
    const kv_sv bad = KV_SV_INIT("bogus");
    kv_unpack_options opts = KV_UNPACK_OPTIONS_INIT;
    opts.filters = &bad;
    opts.n_filters = 1;
    kv_error err = {0};
    assert_int_equal(unpack(*state, &k, &opts, &err), KV_E_ARG);
    assert_true(kv_sv_starts(kv_sv_of(err.msg), KV_SV("invalid filter \"bogus\": ")));
}

/* A kit that refers to itself, and so to every kit of this source. */
static void cycles(void **state)
{
    auto_memkit k = {0};
    kv_descriptor c = memkit_add(
        &k, KV_MT_KIT_CONFIG, KV_SV("{\"package\":{},\"model\":{\"path\":\"example.com/b:v1\"}}"));
    memkit_seal(&k, KV_MT_KIT_MANIFEST, &c, NULL, 0, NO_ANNOTATIONS);
    kv_unpack_options opts = KV_UNPACK_OPTIONS_INIT;
    kv_error err = {0};
    assert_int_equal(unpack(*state, &k, &opts, &err), KV_E_INVALID);
    assert_string_equal(err.msg, "found cycle in modelkit references: "
                                 "[example.com/b:v1=>example.com/b:v1]");
}

/* --- interruptions --- */

static void cancelled(void **state)
{
    kv_auto_buf tar = KV_BUF(1u << 20);
    tar_add(&tar, "m", '0', 0644, KV_SV("hello"));
    tar_end(&tar);
    auto_memkit k = {0};
    one_layer_kit(&k, kv_buf_sv(&tar), MODEL_TAR, true);
    atomic_bool stop = true;
    kv_report report = {.cancel = &stop};
    kv_unpack_options opts = KV_UNPACK_OPTIONS_INIT;
    opts.report = &report;
    assert_int_equal(unpack(*state, &k, &opts, NULL), KV_E_CANCELLED);
    assert_names(*state, "out", "Kitfile");
}

static void killed(void **state)
{
    static const struct {
        const char *point, *left;
    } CASES[] = {{"unpack.after-stage", "Kitfile"}, {"unpack.after-layer", "Kitfile m"}};
    kv_auto_buf tar = KV_BUF(1u << 20);
    tar_add(&tar, "m", '0', 0644, KV_SV("hello"));
    tar_end(&tar);
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        const char *dir = *state;
        assert_int_equal(kv_remove_tree(tmpdir_path(dir, "out"), NULL), KV_OK);
        auto_memkit k = {0};
        one_layer_kit(&k, kv_buf_sv(&tar), MODEL_TAR, true);
        kv_unpack_options opts = KV_UNPACK_OPTIONS_INIT;
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            setenv("KITVAULT_CRASH_AT", CASES[i].point, 1);
            _exit(unpack(dir, &k, &opts, NULL) == KV_OK ? 0 : 1);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == KV_CRASH_STATUS);
        assert_int_equal(tmpdir_has(dir, "out/m"), strcmp(CASES[i].left, "Kitfile") != 0);
        kv_error err = {0};
        opts.ignore_existing = true; /* what is there is whole */
        if (unpack(dir, &k, &opts, &err) != KV_OK) fail_msg("%s", err.msg);
        assert_text(dir, "out/m", "hello");
        assert_names(dir, "out", "Kitfile m"); /* the staging directory was swept */
    }
}

#define ROW(f) cmocka_unit_test_setup_teardown(f, tmpdir_setup, tmpdir_teardown)
KV_TEST_MAIN(ROW(refuses_what_could_escape), ROW(refuses_damaged_layers), ROW(existing_files),
             ROW(existing_kitfile), ROW(modes), ROW(old_kits_begin_at_the_parent),
             ROW(config_and_manifest_differ), ROW(compressed_layers),
             ROW(modelpack_without_kitfile), ROW(modelpack_with_kitfile), ROW(references),
             ROW(cycles), ROW(cancelled), ROW(killed))

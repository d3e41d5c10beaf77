#include "kitvault/manifest.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "test/test.h"

#define HEX64 "1c18a3e8224688b90417b043728d5d82a39c78566fd63bfbe537a1b3611eaf3b"
#define DESC(type) "{\"mediaType\":\"" type "\",\"digest\":\"sha256:" HEX64 "\",\"size\":2560}"
#define HEAD "{\"schemaVersion\":2,"

static void parses(void **state)
{
    static const struct {
        const char *name, *text, *type;
        kv_code want;
        const char *msg; /* part of the error, or the media type */
    } CASES[] = {
        {"image", HEAD "\"config\":" DESC("c") ",\"layers\":[" DESC("l") "]}", "", KV_OK,
         KV_MT_IMAGE_MANIFEST},
        {"null layers", HEAD "\"config\":" DESC("c") ",\"layers\":null}", "", KV_OK,
         KV_MT_IMAGE_MANIFEST},
        {"index by shape", HEAD "\"manifests\":[]}", "", KV_OK, KV_MT_IMAGE_INDEX},
        {"docker by header", HEAD "\"config\":" DESC("c") ",\"layers\":[]}",
         KV_MT_DOCKER_MANIFEST "; charset=utf-8", KV_OK, KV_MT_DOCKER_MANIFEST},
        {"field", HEAD "\"mediaType\":\"" KV_MT_DOCKER_LIST "\",\"manifests\":[]}", "", KV_OK,
         KV_MT_DOCKER_LIST},
        {"foreign fields", HEAD "\"config\":" DESC("c") ",\"layers\":[],\"x\":{\"y\":1e400}}", "",
         KV_OK, KV_MT_IMAGE_MANIFEST},
        {"not json", "nope", "", KV_E_SYNTAX, "invalid JSON"},
        {"list", "[]", "", KV_E_INVALID, "document: expected object"},
        {"no version", "{}", "", KV_E_INVALID, "schemaVersion: missing"},
        {"version 1", "{\"schemaVersion\":1}", "", KV_E_UNSUPPORTED, "schema version 1 are not"},
        {"version 3", "{\"schemaVersion\":3}", "", KV_E_INVALID, "schemaVersion: expected 2"},
        {"disagrees", HEAD "\"mediaType\":\"" KV_MT_IMAGE_INDEX "\",\"manifests\":[]}",
         KV_MT_IMAGE_MANIFEST, KV_E_INVALID, "mediaType is"},
        {"schema 1 type", HEAD "\"manifests\":[]}",
         "application/vnd.docker.distribution.manifest.v1+json", KV_E_UNSUPPORTED, "not supported"},
        {"image without config", HEAD "\"layers\":[]}", "", KV_E_INVALID, "config: missing"},
        {"index with config", HEAD "\"manifests\":[],\"config\":" DESC("c") "}", KV_MT_IMAGE_INDEX,
         KV_E_INVALID, "an index may not"},
        {"image with manifests", HEAD "\"config\":" DESC("c") ",\"manifests\":[]}", "",
         KV_E_INVALID, "an image manifest may not"},
        {"layers not a list", HEAD "\"config\":" DESC("c") ",\"layers\":{}}", "", KV_E_INVALID,
         "layers: expected array"},
        {"bad digest",
         HEAD "\"config\":" DESC("c") ",\"layers\":[{\"mediaType\":\"x\",\"digest\":\"sha256:0\","
                                      "\"size\":1}]}",
         "", KV_E_SYNTAX, "layers[0].digest: invalid digest"},
        {"size missing",
         HEAD "\"config\":{\"mediaType\":\"x\",\"digest\":\"sha256:" HEX64 "\"},\"layers\":[]}", "",
         KV_E_INVALID, "config.size: missing"},
        {"size negative",
         HEAD "\"config\":{\"mediaType\":\"x\",\"digest\":\"sha256:" HEX64
              "\",\"size\":-1},\"layers\":[]}",
         "", KV_E_INVALID, "config.size: expected integer"},
        {"size too large",
         HEAD "\"config\":{\"mediaType\":\"x\",\"digest\":\"sha256:" HEX64
              "\",\"size\":9223372036854775808},\"layers\":[]}",
         "", KV_E_INVALID, "config.size: expected at most"},
        {"annotation not text", HEAD "\"manifests\":[],\"annotations\":{\"a\":1}}", "",
         KV_E_INVALID, "annotations.a: expected string"},
        {"annotations not an object", HEAD "\"manifests\":[],\"annotations\":[]}", "", KV_E_INVALID,
         "annotations: expected object"},
        {"subject", HEAD "\"manifests\":[],\"subject\":{}}", "", KV_E_INVALID,
         "subject.mediaType: missing"},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_error err = {0};
        kv_auto(kv_manifest) m = NULL;
        kv_code got = kv_manifest_parse(kv_sv_of(CASES[i].text), kv_sv_of(CASES[i].type), &m, &err);
        bool ok = got == CASES[i].want && (m ? kv_sv_is(m->media_type, CASES[i].msg)
                                             : strstr(err.msg, CASES[i].msg) != NULL);
        if (!ok) fail_msg("%s: code %d, '%s'", CASES[i].name, (int)got, err.msg);
    }
}

static void refuses_size(void **state)
{
    (void)state;
    kv_auto_buf b = KV_BUF(KV_MANIFEST_BYTES_MAX + 10);
    while (b.n <= KV_MANIFEST_BYTES_MAX) kv_buf_addc(&b, ' ');
    kv_auto(kv_manifest) m = NULL;
    assert_int_equal(kv_manifest_parse(kv_buf_sv(&b), KV_SV(""), &m, NULL), KV_E_LIMIT);
}

static void knows_layers(void **state)
{
    static const struct {
        const char *type, *subtype;
        kv_layer_kind kind;
        kv_layer_form form;
    } CASES[] = {
        {"application/vnd.kitops.modelkit.model.v1.tar", "", KV_LAYER_MODEL, KV_FORM_TAR},
        {"application/vnd.kitops.modelkit.modelpart.v1.tar+gzip", "", KV_LAYER_PART,
         KV_FORM_TAR_GZIP},
        {"application/vnd.kitops.modelkit.code.v1.tar", "prompt", KV_LAYER_PROMPT, KV_FORM_TAR},
        {"application/vnd.kitops.modelkit.docs.v1.tar+zstd", "", KV_LAYER_DOCS, KV_FORM_TAR_ZSTD},
        {"application/vnd.cncf.model.weight.v1.raw", "", KV_LAYER_MODEL, KV_FORM_RAW},
        {"application/vnd.cncf.model.weight.config.v1.tar", "", KV_LAYER_PART, KV_FORM_TAR},
        {"application/vnd.cnai.model.doc.v1.tar", "", KV_LAYER_DOCS, KV_FORM_TAR},
        {"application/vnd.oci.image.layer.v1.tar", "", KV_LAYER_UNKNOWN, KV_FORM_TAR},
        {"application/vnd.kitops.modelkit.model.v1.rar", "", KV_LAYER_UNKNOWN, KV_FORM_TAR},
    };
    (void)state;
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_annotation a = {KV_SV(KV_ANN_SUBTYPE), kv_sv_of(CASES[i].subtype)};
        kv_descriptor d = {.media_type = kv_sv_of(CASES[i].type), .annotations = {&a, 1}};
        kv_layer_type t = kv_layer_type_of(&d);
        if (t.kind != CASES[i].kind || t.form != CASES[i].form) fail_msg("%s", CASES[i].type);
    }
}

/* What is written is what is read; a prompt tells what it is in an annotation. */
static void media_types_are_read_back(void **state)
{
    (void)state;
    for (kv_layer_kind kind = KV_LAYER_MODEL; kind <= KV_LAYER_PROMPT; kind++)
        for (kv_layer_form form = KV_FORM_TAR; form <= KV_FORM_RAW; form++) {
            kv_layer_type want = {kind, form};
            const char *types[] = {kv_layer_media_type(want), kv_layer_modelpack_type(want)};
            kv_annotation a = {KV_SV(KV_ANN_SUBTYPE),
                               kind == KV_LAYER_PROMPT ? KV_SV("prompt") : KV_SV("")};
            for (size_t i = 0; i < KV_COUNT(types); i++) {
                kv_descriptor d = {.media_type = kv_sv_of(types[i]), .annotations = {&a, 1}};
                kv_layer_type got = kv_layer_type_of(&d);
                if (got.kind != kind || got.form != form) fail_msg("%s", types[i]);
            }
        }
}

/* The manifest of the vector in kit-compat.md 2.5, column B, version 1.11.0. */
static void writes_kits_bytes(void **state)
{
    (void)state;
    kv_annotation path = {KV_SV(KV_ANN_FILEPATH), KV_SV("model")};
    kv_annotation version = {KV_SV(KV_ANN_CLI_VERSION), KV_SV("1.11.0")};
    kv_descriptor layer = {
        .media_type = KV_SV("application/vnd.kitops.modelkit.model.v1.tar"),
        .size = 2560,
        .annotations = {&path, 1},
    };
    kv_manifest_parts parts = KV_MANIFEST_PARTS_INIT;
    parts.artifact_type = KV_SV(KV_MT_KIT_MANIFEST);
    parts.config.media_type = KV_SV(KV_MT_KIT_CONFIG);
    parts.config.size = 243;
    parts.layers = &layer;
    parts.n_layers = 1;
    parts.annotations = (kv_annotations){&version, 1};
    assert_int_equal(kv_digest_parse(KV_SV("sha256:" HEX64), &layer.digest, NULL), KV_OK);
    assert_int_equal(
        kv_digest_parse(
            KV_SV("sha256:5ef3d84c9c91ba37cd4d2a993df092ed5fafa49a1119c7aa2c886b6d5c215e75"),
            &parts.config.digest, NULL),
        KV_OK);
    char *text = NULL;
    size_t n = 0;
    assert_int_equal(kv_manifest_format(&parts, &text, &n, NULL), KV_OK);
    kv_auto(kv_manifest) m = NULL;
    assert_int_equal(kv_manifest_parse((kv_sv){text, n}, KV_SV(""), &m, NULL), KV_OK);
    free(text);
    assert_int_equal(n, 526);
    assert_string_equal(kv_digest_str(&m->digest).s,
                        "sha256:04e9ccc911e58cde01c4d6b32f4eb7dd2be197b0788e0b0531e71a279ac1b252");
    assert_int_equal(kv_manifest_kit_kind(m), KV_KIT_MODELKIT);
    assert_int_equal(kv_manifest_layers_size(m), 2560);
}

KV_TEST_MAIN(cmocka_unit_test(parses), cmocka_unit_test(refuses_size),
             cmocka_unit_test(knows_layers), cmocka_unit_test(media_types_are_read_back),
             cmocka_unit_test(writes_kits_bytes))

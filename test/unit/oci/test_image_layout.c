#include "oci/image_layout.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "test/test.h"

static void checks_versions(void **state)
{
    static const struct {
        const char *name;
        kv_sv text;
        kv_code code;
        const char *why;
    } CASES[] = {
        {"ours", KV_SV_INIT(KV_IMAGE_LAYOUT_TEXT), KV_OK, ""},
        {"blanks, more members", KV_SV_INIT("{ \"x\": [1], \"imageLayoutVersion\" : \"1.0.0\" }\n"),
         KV_OK, ""},
        {"another version", KV_SV_INIT("{\"imageLayoutVersion\":\"2.0.0\"}"), KV_E_UNSUPPORTED,
         "imageLayoutVersion '2.0.0': only 1.0.0 is supported"},
        {"no version", KV_SV_INIT("{}"), KV_E_CORRUPT, "imageLayoutVersion: missing"},
        {"a number", KV_SV_INIT("{\"imageLayoutVersion\":1}"), KV_E_CORRUPT, "is damaged"},
        {"a list", KV_SV_INIT("[]"), KV_E_CORRUPT, "is damaged"},
        {"cut", KV_SV_INIT("{\"imageLayout"), KV_E_CORRUPT, "is damaged"},
        {"empty", KV_SV_INIT(""), KV_E_CORRUPT, "is damaged"},
    };
    (void)state;
    char dir[] = "/tmp/kv-layout-XXXXXX";
    assert_non_null(mkdtemp(dir));
    kv_auto_str path = kv_path_join(dir, KV_IMAGE_LAYOUT_FILE);
    assert_int_equal(kv_image_layout_check(path, NULL), KV_OK); /* no file */
    for (size_t i = 0; i < KV_COUNT(CASES); i++) {
        kv_error err = {0};
        assert_int_equal(kv_file_write(path, CASES[i].text, 0600, NULL), KV_OK);
        kv_code code = kv_image_layout_check(path, &err);
        bool named = code == KV_OK || strstr(err.msg, path);
        if (code != CASES[i].code || !strstr(err.msg, CASES[i].why) || !named)
            fail_msg("%s: code %d, '%s'", CASES[i].name, (int)code, err.msg);
    }
    kv_auto_str large = calloc(1, 70000);
    assert_int_equal(kv_file_write(path, (kv_sv){large, 70000}, 0600, NULL), KV_OK);
    assert_int_equal(kv_image_layout_check(path, NULL), KV_E_CORRUPT);
    assert_int_equal(kv_image_layout_check(dir, NULL), KV_E_IO); /* a directory */
    assert_int_equal(kv_remove_tree(dir, NULL), KV_OK);
}

KV_TEST_MAIN(cmocka_unit_test(checks_versions))

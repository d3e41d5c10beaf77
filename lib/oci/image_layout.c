#include "oci/image_layout.h"

#include "base/file.h"
#include "json/json.h"

enum { LAYOUT_BYTES_MAX = 64 * 1024 }; /* own */

typedef struct raw_layout {
    kv_sv version;
} raw_layout;
static const kv_jfield FIELDS[] = {KV_JFIELD(raw_layout, version, "imageLayoutVersion", true)};
static const kv_jtable LAYOUT = KV_JTABLE(raw_layout, FIELDS);

static void close_doc(kv_jdoc **doc)
{
    kv_jdoc_free(*doc);
}

static kv_code damaged(const char *path, const kv_error *why, kv_error *err)
{
    return kv_fail(err, KV_E_CORRUPT, "'%s' is damaged (%s): it should say " KV_IMAGE_LAYOUT_TEXT,
                   path, why->msg);
}

kv_code kv_image_layout_check(const char *path, kv_error *err)
{
    kv_error why = {0};
    kv_auto_buf text = KV_BUF(LAYOUT_BYTES_MAX);
    kv_code rc = kv_file_read(path, &text, &why);
    if (rc == KV_E_NOTFOUND) return KV_OK;
    if (rc == KV_E_LIMIT) return damaged(path, &why, err);
    if (rc != KV_OK) {
        if (err) *err = why;
        return rc;
    }
    KV_CLEANUP(close_doc) kv_jdoc *doc = NULL;
    kv_auto(kv_arena) arena = kv_arena_new(LAYOUT_BYTES_MAX);
    raw_layout raw;
    if (!arena) return kv_fail(err, KV_E_NOMEM, "out of memory");
    if (kv_jdoc_parse(kv_buf_sv(&text), &doc, &why) != KV_OK ||
        kv_json_bind(kv_jdoc_root(doc), &LAYOUT, arena, "", &raw, &why) != KV_OK)
        return damaged(path, &why, err);
    if (kv_sv_is(raw.version, "1.0.0")) return KV_OK;
    return kv_fail(err, KV_E_UNSUPPORTED,
                   "'%s' has imageLayoutVersion '%.*s': only 1.0.0 is supported", path,
                   KV_ARG(kv_sv_sub(raw.version, 0, 64)));
}

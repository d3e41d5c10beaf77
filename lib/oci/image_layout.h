#pragma once
/* The file that says a directory is an OCI image layout, and in which version. */
#include "base/str.h"

#define KV_IMAGE_LAYOUT_FILE "oci-layout"
#define KV_IMAGE_LAYOUT_TEXT "{\"imageLayoutVersion\":\"1.0.0\"}"

/**
 * Whether the directory with this file (path) is laid out in the version we know; where there is no
 * such file there is nothing to refuse.
 * Errors: KV_E_UNSUPPORTED (another version), KV_E_CORRUPT (no image layout file), KV_E_IO.
 * Source: OCI image-spec 1.1, image-layout.md, "oci-layout file".
 */
KV_MUST_CHECK kv_code kv_image_layout_check(const char *path, kv_error *err);

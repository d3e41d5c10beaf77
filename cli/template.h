#pragma once
/* The part of Go's text/template that `list --format` needs: text, fields, index, constants, comments.
 *
 *   {{ .Repo }}   {{ index .Tags 0 }}   {{ "text" }}   {{- .Size -}}
 *
 * A list prints as Go prints it: [a b]. Everything else of the language is an error that says so.
 * Source: kit-compat.md 8 (list); pkg.go.dev/text/template for the forms.
 */
#include "base/str.h"

/** One field: a text, or a list when items is not NULL. */
typedef struct kv_template_field {
    const char *name;
    kv_sv text;
    const kv_sv *items;
    size_t n_items;
} kv_template_field;

/** Whether the template can be read at all; kv_template_format of one that can has no KV_E_SYNTAX. */
KV_MUST_CHECK kv_code kv_template_check(kv_sv template_text, kv_error *err);
/**
 * Appends the template's text for one set of fields.
 * Errors: KV_E_SYNTAX ("unclosed action", "function \"x\" not defined"), KV_E_INVALID ("no field X",
 * "index out of range: 3"): both with the place. Threads: pure.
 */
KV_MUST_CHECK kv_code kv_template_format(kv_buf *out, kv_sv template_text,
                                         const kv_template_field *fields, size_t n_fields,
                                         kv_error *err);

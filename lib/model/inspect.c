#include <math.h>
#include <stdlib.h>

#include "base/str.h"
#include "kitvault/model.h"
#include "json/json.h"

static kv_code parse(kv_sv text, const char *what, kv_jdoc **out, kv_error *err)
{
    kv_code rc = kv_jdoc_parse(text, out, err);
    return rc == KV_OK ? rc : kv_wrap(err, rc, "%s", what);
}

/* kit reads every number of a config as a double and shows that; scripts compare the text. */
static void add_number(kv_jout *j, kv_sv text)
{
    kv_auto_str z = kv_sv_dup(text);
    double d = z ? strtod(z, NULL) : 0;
    if (!z)
        j->buf->failed = KV_E_NOMEM;
    else if (isfinite(d))
        kv_jout_double(j, d);
    else
        kv_jout_raw(j, text); /* 1e400: kit could not have written it */
}

static void add_value(kv_jout *j, const kv_json *v) /* as deep as the parser allows */
{
    kv_jkind kind = kv_json_kind(v);
    if (kind == KV_JNUM) {
        add_number(j, kv_json_num_text(v));
        return;
    }
    if (kind != KV_JOBJ && kind != KV_JARR) {
        kv_jout_value(j, v);
        return;
    }
    kv_jiter it = kv_json_iter(v);
    kv_sv key;
    if (kind == KV_JOBJ)
        kv_jout_obj(j);
    else
        kv_jout_arr(j);
    for (const kv_json *e; (e = kv_json_next(&it, &key));) {
        if (kind == KV_JOBJ) kv_jout_key(j, key);
        add_value(j, e);
    }
    if (kind == KV_JOBJ)
        kv_jout_end_obj(j);
    else
        kv_jout_end_arr(j);
}

kv_code kv_kit_inspect_json(const kv_manifest *m, kv_sv kitfile_json, char **out, size_t *out_n,
                            kv_error *err)
{
    kv_auto(kv_jdoc) manifest = NULL;
    kv_auto(kv_jdoc) kitfile = NULL;
    KV_TRY(parse(m->bytes, "manifest", &manifest, err));
    if (kitfile_json.n) KV_TRY(parse(kitfile_json, "config", &kitfile, err));
    kv_sv version = kv_annotation_get(&m->annotations, KV_ANN_CLI_VERSION);

    kv_auto_buf text = KV_BUF(4 * KV_MANIFEST_BYTES_MAX);
    kv_jout j = kv_jout_make(&text, KV_JSON_GO, 2);
    kv_jout_obj(&j);
    kv_jout_kstr(&j, "digest", kv_sv_of(kv_digest_str(&m->digest).s));
    kv_jout_kstr(&j, "cliVersion", version.n ? version : KV_SV("unknown"));
    if (kitfile) {
        kv_jout_key(&j, KV_SV("kitfile"));
        add_value(&j, kv_jdoc_root(kitfile));
    }
    kv_jout_key(&j, KV_SV("manifest"));
    kv_jout_value(&j, kv_jdoc_root(manifest));
    kv_jout_end_obj(&j);
    KV_TRY(kv_buf_check(&text, err));
    *out_n = text.n;
    *out = kv_buf_take(&text);
    return *out ? KV_OK : kv_fail(err, KV_E_NOMEM, "out of memory");
}

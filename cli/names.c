#include "cli/names.h"

static bool names_one(const kv_reference *r)
{
    return r->tag.n || r->digest.alg;
}

kv_code kv_cli_reference(const char *text, kv_reference *out, kv_error *err)
{
    kv_code code = kv_reference_parse(kv_sv_of(text), out, err);
    if (code == KV_OK || code == KV_E_NOMEM) return code;
    return kv_wrap(err, KV_E_ARG, "invalid arguments: failed to parse reference");
}

kv_code kv_cli_reference_exact(const char *text, kv_reference *out, kv_error *err)
{
    kv_auto_reference r = {0};
    KV_TRY(kv_cli_reference(text, &r, err));
    if (!names_one(&r))
        return kv_fail(err, KV_E_ARG,
                       "invalid arguments: missing tag or digest from ModelKit reference '%s'",
                       text);
    *out = r;
    r = (kv_reference){0};
    return KV_OK;
}

kv_code kv_cli_reference_or_latest(const kv_cli *cli, const char *text, const char *intro,
                                   kv_reference *out, kv_error *err)
{
    kv_auto_reference r = {0};
    KV_TRY(kv_cli_reference(text, &r, err));
    if (names_one(&r)) {
        *out = r;
        r = (kv_reference){0};
        return KV_OK;
    }
    kv_auto_reference latest = {0};
    KV_TRY(kv_reference_with_tag(&r, KV_SV("latest"), &latest, err));
    kv_auto_str shown = kv_reference_display(&latest);
    if (!shown) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_cli_say(cli, "%s. Using 'latest' as default ('%s')", intro, shown);
    *out = latest;
    latest = (kv_reference){0};
    return KV_OK;
}

kv_code kv_cli_reference_single(const kv_reference *r, kv_error *err)
{
    if (!r->n_extra) return KV_OK;
    kv_auto_buf tags = KV_BUF(1024);
    for (size_t i = 0; i < r->n_extra; i++)
        kv_buf_addf(&tags, "%s%.*s", i ? ", " : "", KV_ARG(r->extra[i]));
    return kv_fail(err, KV_E_ARG,
                   "invalid arguments: invalid reference format: extra tags are not supported: %s",
                   tags.p ? tags.p : "");
}

kv_code kv_cli_reference_needs_registry(const kv_reference *r, kv_error *err)
{
    if (kv_reference_is_remote(r)) return KV_OK;
    kv_auto_str shown = kv_reference_display(r);
    return kv_fail(err, KV_E_ARG,
                   "invalid arguments: can not check remote: %s does not contain registry",
                   shown ? shown : "");
}

#include "cli/lookup.h"

static kv_code open_source(const kv_cli *cli, bool remote, const kv_net_args *net,
                           kv_lookup_result *r, kv_error *err)
{
    if (remote) {
        KV_TRY(kv_cli_reference_needs_registry(&r->reference, err));
        KV_TRY(kv_net_open(cli, net, &r->net, err));
        r->source = kv_net_source(&r->net);
        return KV_OK;
    }
    KV_TRY(kv_cli_store(cli, &r->store, err));
    r->source = kv_store_source(r->store);
    return KV_OK;
}

kv_code kv_lookup(const kv_cli *cli, const char *text, bool remote, const kv_net_args *net,
                  kv_lookup_result *out, kv_error *err)
{
    KV_TRY(kv_cli_reference_exact(text, &out->reference, err));
    KV_TRY(kv_cli_reference_single(&out->reference, err));
    KV_TRY(open_source(cli, remote, net, out, err));
    kv_code code = out->source.manifest(out->source.ctx, &out->reference, &out->manifest, err);
    if (code == KV_OK) return KV_OK;
    if (code != KV_E_NOTFOUND) return kv_wrap(err, code, "error resolving modelkit");
    kv_auto_str shown = kv_reference_display(&out->reference);
    return kv_fail(err, code, "could not find modelkit %s", shown ? shown : text);
}

kv_code kv_lookup_anywhere(const kv_cli *cli, const char *text, bool remote, const kv_net_args *net,
                           kv_lookup_result *out, kv_error *err)
{
    kv_code code = kv_lookup(cli, text, remote, net, out, err);
    if (code != KV_E_NOTFOUND || remote || !kv_reference_is_remote(&out->reference)) return code;
    kv_lookup_clear(out);
    return kv_lookup(cli, text, true, net, out, err);
}

void kv_lookup_clear(kv_lookup_result *r)
{
    kv_manifest_free(r->manifest);
    kv_net_close(&r->net);
    kv_store_close(r->store);
    kv_reference_clear(&r->reference);
    *r = (kv_lookup_result){0};
}

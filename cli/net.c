#include "cli/net.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/rate.h"

static const kv_opt OPTS[] = {
    KV_OPT(kv_net_args, plain_http, "plain-http", 0, "speak HTTP without TLS to the registry"),
    KV_OPT(kv_net_args, tls_verify, "tls-verify", 0,
           "check the registry's certificate; =false to trust anybody"),
    KV_OPT(kv_net_args, tls_certs, "tls-cert", 0,
           "also trust the authorities in this PEM `FILE` (repeatable)"),
    KV_OPT(kv_net_args, cert, "cert", 0,
           "show the registry the client certificate in this PEM `FILE`"),
    KV_OPT(kv_net_args, key, "key", 0, "PEM `FILE` with the key of --cert"),
    KV_OPT(kv_net_args, concurrency, "concurrency", 0, "move at most `N` blobs at once"),
    KV_OPT(kv_net_args, proxy, "proxy", 0,
           "go through the proxy at this `URL` (instead of what the environment says)"),
    KV_OPT(kv_net_args, limit_rate, "limit-rate", 0,
           "move at most `RATE` bytes per second, all blobs together: 500K, 20M, 1G"),
};
static const kv_net_args DEFAULTS = {
    .tls_verify = true,
    .concurrency = KV_REMOTE_CONCURRENCY,
};

/* Whether or not the command comes to speak to a registry, as in kit. */
static kv_code check(const void *args, kv_error *err)
{
    const kv_net_args *a = args;
    if (a->concurrency >= 1) return KV_OK;
    return kv_fail(err, KV_E_ARG,
                   "invalid arguments: invalid argument for concurrency (%d): must be at least 1",
                   a->concurrency);
}

const kv_opt_group kv_net_group = {
    .opts = OPTS,
    .n_opts = KV_COUNT(OPTS),
    .size = sizeof(kv_net_args),
    .defaults = &DEFAULTS,
    .check = check,
};

/* The first text that is not empty, or NULL. */
static const char *first(const char *a, const char *b)
{
    if (a && a[0]) return a;
    return b && b[0] ? b : NULL;
}

/* "20M": bytes per second, the letters as curl and wget take them. */
static kv_code parse_rate(const char *text, uint64_t *out, kv_error *err)
{
    *out = 0;
    if (!text || !text[0]) return KV_OK;
    kv_sv number = kv_sv_of(text);
    static const char UNITS[] = "KMG";
    const char *unit = strchr(UNITS, toupper((unsigned char)number.p[number.n - 1]));
    unsigned shift = 0;
    if (unit) {
        number.n--;
        shift = 10 * (unsigned)(unit - UNITS + 1);
    }
    uint64_t n;
    bool ok = kv_sv_to_u64(number, &n) && n <= UINT64_MAX >> shift;
    if (ok && n << shift >= KV_RATE_LEAST) {
        *out = n << shift;
        return KV_OK;
    }
    return kv_fail(err, KV_E_ARG,
                   "invalid arguments: invalid argument for limit-rate (%s): must be a number of "
                   "bytes per second, at least 1K",
                   text);
}

kv_code kv_net_open(const kv_cli *cli, const kv_net_args *args, kv_net *out, kv_error *err)
{
    uint64_t max_rate;
    KV_TRY(parse_rate(args->limit_rate, &max_rate, err));
    kv_auto_str path = kv_cli_home_path(cli, "credentials.json");
    if (!path) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_net net = {.options = KV_REMOTE_OPTIONS_INIT};
    kv_auto_str sessions = kv_cli_home_path(cli, "cache/uploads");
    if (!sessions) return kv_fail(err, KV_E_NOMEM, "out of memory");
    KV_TRY(kv_credentials_open(path, &net.credentials, err));
    kv_remote_options *o = &net.options;
    o->plain_http = args->plain_http;
    o->tls_verify = args->tls_verify;
    o->tls_certs = args->tls_certs.items;
    o->n_tls_certs = args->tls_certs.n;
    o->client_cert = first(getenv("KITOPS_CLIENT_CERT"), args->cert);
    o->client_key = first(getenv("KITOPS_CLIENT_KEY"), args->key);
    o->proxy = first(args->proxy, NULL);
    o->concurrency = (unsigned)args->concurrency;
    o->max_rate = max_rate;
    o->credentials = net.credentials;
    o->report = kv_cli_report(cli);
    o->session_dir = net.session_dir = KV_TAKE(sessions);
    *out = net;
    return KV_OK;
}

/* Kept until the end, since a stream of one repository may be open while another is asked. */
struct kv_net_repository {
    char *name;
    kv_remote *remote;
};

void kv_net_close(kv_net *net)
{
    for (size_t i = 0; i < net->n_open; i++) {
        kv_remote_close(net->open[i].remote);
        free(net->open[i].name);
    }
    free(net->open);
    kv_credentials_close(net->credentials);
    free(net->session_dir);
    *net = (kv_net){0};
}

kv_code kv_net_remote(kv_net *net, const kv_reference *ref, kv_remote **out, kv_error *err)
{
    kv_auto_buf name = KV_BUF(4096);
    kv_buf_addf(&name, "%.*s/%.*s", KV_ARG(ref->registry), KV_ARG(ref->repository));
    KV_TRY(kv_buf_check(&name, err));
    for (size_t i = 0; i < net->n_open; i++) {
        if (strcmp(net->open[i].name, name.p) != 0) continue;
        *out = net->open[i].remote;
        return KV_OK;
    }
    if (!KV_GROW(net->open, net->n_open, &net->cap_open))
        return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_auto(kv_remote) remote = NULL;
    KV_TRY(kv_remote_open(ref, &net->options, &remote, err));
    kv_auto_str key = kv_buf_take(&name);
    if (!key) return kv_fail(err, KV_E_NOMEM, "out of memory");
    *out = remote;
    net->open[net->n_open++] = (struct kv_net_repository){KV_TAKE(key), KV_TAKE(remote)};
    return KV_OK;
}

/* --- as a source of ModelKits --- */

static kv_code source_manifest(void *ctx, const kv_reference *ref, kv_manifest **out, kv_error *err)
{
    if (!kv_reference_is_remote(ref)) return kv_fail(err, KV_E_NOTFOUND, "not found");
    kv_remote *remote = NULL;
    KV_TRY(kv_net_remote(ctx, ref, &remote, err));
    kv_auto_str last = kv_reference_last(ref);
    if (!last) return kv_fail(err, KV_E_NOMEM, "out of memory");
    return kv_remote_manifest(remote, kv_sv_of(last), out, err);
}

static kv_code stream_read(void *ctx, void *dst, size_t n, size_t *out_n, kv_error *err)
{
    return kv_remote_stream_read(ctx, dst, n, out_n, err);
}

static void stream_close(void *ctx)
{
    kv_remote_stream_close(ctx);
}

static kv_code source_open_at(void *ctx, const kv_reference *ref, const kv_descriptor *d,
                              uint64_t offset, kv_kit_stream *out, kv_error *err)
{
    kv_remote *remote = NULL;
    KV_TRY(kv_net_remote(ctx, ref, &remote, err));
    kv_remote_stream *stream = NULL;
    KV_TRY(kv_remote_stream_open_at(remote, d, offset, &stream, err));
    *out = (kv_kit_stream){.read = stream_read, .close = stream_close, .ctx = stream};
    return KV_OK;
}

static kv_code source_open(void *ctx, const kv_reference *ref, const kv_descriptor *d,
                           kv_kit_stream *out, kv_error *err)
{
    return source_open_at(ctx, ref, d, 0, out, err);
}

kv_kit_source kv_net_source(kv_net *net)
{
    return (kv_kit_source){
        .manifest = source_manifest, .open = source_open, .open_at = source_open_at, .ctx = net};
}

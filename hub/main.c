#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "hub/access.h"
#include "hub/config.h"
#include "hub/handler/auth.h"
#include "hub/handler/handlers.h"
#include "hub/http/server.h"
#include "hub/log.h"
#include "hub/metrics.h"
#include "kitvault/version.h"

/* What serving takes; made and freed in this order. */
typedef struct host {
    kv_config config;
    int argc;
    char **argv; /* of the subcommand, to read the settings again */
    kv_hub hub;
    kv_router *router;
    kv_server *server;
    char *address_path; /* DATA/listen */
} host;

static void serve_request(void *ctx, kv_request *req)
{
    kv_router_serve(((const host *)ctx)->router, req);
}

static void done_request(void *ctx, kv_request *req)
{
    kv_access_done(&((host *)ctx)->hub, req);
}

static void add_server_metrics(void *ctx, kv_buf *out)
{
    kv_server_stats s;
    kv_server_get_stats(((host *)ctx)->server, &s);
    kv_metric_head(out, "kv_http_in_flight", "gauge", "Requests being served.");
    kv_metric_value(out, "kv_http_in_flight", "", s.active);
    kv_metric_head(out, "kv_http_connections", "gauge", "Open connections.");
    kv_metric_value(out, "kv_http_connections", "", s.connections);
    kv_metric_head(out, "kv_http_workers", "gauge", "Threads that serve.");
    kv_metric_value(out, "kv_http_workers", "", s.workers);
    kv_metric_head(out, "kv_http_connections_total", "counter",
                   "Connections by what became of them.");
    kv_metric_value(out, "kv_http_connections_total", "outcome=\"accepted\"", s.accepted);
    kv_metric_value(out, "kv_http_connections_total", "outcome=\"rejected\"", s.rejected);
}

/* Thread arenas of malloc would each keep what one worker once needed. */
static void bound_memory(void)
{
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_TRIM_THRESHOLD, 1 << 20);
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
}

/* A connection and a blob being sent take a descriptor each; the rest is for files. */
static unsigned fit_connections(uint64_t wanted)
{
    struct rlimit lim;
    if (getrlimit(RLIMIT_NOFILE, &lim) < 0) return (unsigned)wanted;
    lim.rlim_cur = lim.rlim_max;
    setrlimit(RLIMIT_NOFILE, &lim);
    getrlimit(RLIMIT_NOFILE, &lim);
    uint64_t most = lim.rlim_cur - lim.rlim_cur / 4;
    if (wanted <= most) return (unsigned)wanted;
    kv_log(KV_WARN, "the limit of open files allows %llu connections, not %llu",
           (unsigned long long)most, (unsigned long long)wanted);
    return (unsigned)most;
}

static kv_code set_log(const kv_config *c, kv_error *err)
{
    kv_level level;
    if (!kv_level_parse(kv_sv_of(c->log_level), &level))
        return kv_fail(err, KV_E_ARG,
                       "log.level: expected trace, debug, info, warn or error, not '%s'",
                       c->log_level);
    kv_log_set_level(level);
    kv_access_set_log(c->log_requests);
    return KV_OK;
}

static kv_code open_server(host *h, kv_error *err)
{
    const kv_config *c = &h->config;
    kv_server_options opt = {
        .listen = c->listen,
        .tls_cert = c->tls_cert[0] ? c->tls_cert : NULL,
        .tls_key = c->tls_key,
        .max_connections = fit_connections(c->max_connections),
        .max_per_address = (unsigned)c->max_per_address,
        .max_workers = (unsigned)c->max_requests,
        .head_timeout_s = (unsigned)c->head_timeout_s,
        .idle_timeout_s = (unsigned)c->idle_timeout_s,
        .body_timeout_s = (unsigned)c->body_timeout_s,
        .min_rate = (unsigned)c->min_rate,
        .serve = serve_request,
        .done = done_request,
        .ctx = h,
    };
    KV_TRY(kv_server_open(&opt, &h->server, err));
    if (c->no_auth && !kv_server_is_loopback(h->server))
        return kv_fail(err, KV_E_ARG,
                       "no_auth gives everything to everybody: it works only on a "
                       "loopback address, not on '%s'",
                       c->listen);
    return KV_OK;
}

/* Binds before it opens, so that a wrong address costs nothing; serves when all is open. */
static kv_code open_host(host *h, kv_error *err)
{
    const kv_config *c = &h->config;
    if (!c->data[0]) return kv_fail(err, KV_E_ARG, "--data DIR is needed");
    KV_TRY(set_log(c, err));
    KV_TRY(open_server(h, err));
    h->hub.metrics = kv_metrics_new(KV_ROUTES, KV_N_ROUTES);
    if (!h->hub.metrics || !kv_metrics_add_source(h->hub.metrics, add_server_metrics, h))
        return kv_fail(err, KV_E_NOMEM, "out of memory");
    h->address_path = kv_path_join(c->data, "listen");
    if (!h->address_path) return kv_fail(err, KV_E_NOMEM, "out of memory");
    KV_TRY(kv_hub_open(&h->hub, c, err));
    unlink(h->address_path); /* of a hub that was killed */
    KV_TRY(kv_router_new(&h->hub, KV_ROUTES, KV_N_ROUTES, kv_authorize, &h->router, err));
    return kv_server_start(h->server, err);
}

/* Whole or not at all, but not durable: it is worth nothing once this process is gone, and a sync
 * on a busy disk takes longer than the whole start. */
static kv_code write_address(const char *path, const char *address, kv_error *err)
{
    kv_auto_buf text = KV_BUF(256), temp = KV_BUF(8192);
    kv_buf_addf(&text, "%s\n", address);
    kv_buf_addf(&temp, "%s.new", path);
    KV_TRY(kv_buf_check(&text, err));
    KV_TRY(kv_buf_check(&temp, err));
    kv_auto_fd fd = open(temp.p, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) return kv_fail_sys(err, "cannot create '%s'", temp.p);
    KV_TRY(kv_write_all(fd, temp.p, text.p, text.n, err));
    if (rename(temp.p, path) < 0) return kv_fail_sys(err, "cannot rename to '%s'", path);
    return KV_OK;
}

/* For scripts: the address, with the port that was chosen, as a file and as a log line. */
static kv_code announce(const host *h, kv_error *err)
{
    const char *address = kv_server_address(h->server);
    KV_TRY(write_address(h->address_path, address, err));
    kv_log_line line;
    kv_log_begin(&line, KV_INFO, "listening");
    kv_jout_kstr(&line.json, "address", kv_sv_of(address));
    kv_jout_kbool(&line.json, "tls", h->config.tls_cert[0] != '\0');
    kv_jout_kstr(&line.json, "version", kv_sv_of(kv_version()));
    kv_log_end(&line);
    kv_log_flush(); /* somebody may be waiting for this line */
    return KV_OK;
}

static void reload(host *h)
{
    kv_error err = {0};
    kv_auto_config fresh = {0};
    kv_code rc = kv_config_load(h->argc, h->argv, environ, &fresh, &err);
    if (rc == KV_OK) rc = set_log(&fresh, &err);
    if (rc == KV_OK) rc = kv_server_reload(h->server, &err);
    if (rc == KV_OK)
        kv_log(KV_INFO, "settings and certificate were read again");
    else
        kv_log(KV_ERROR, "reload: %s", err.msg);
}

/* Returns when the hub shall stop. */
static void watch(host *h, const sigset_t *signals)
{
    static const struct timespec TICK = {.tv_nsec = 100000000};
    for (;;) {
        int sig = sigtimedwait(signals, NULL, &TICK);
        if (sig == SIGTERM || sig == SIGINT) return;
        if (sig == SIGHUP) reload(h);
        kv_server_tick(h->server);
        kv_log_flush();
    }
}

static kv_code run(host *h, kv_error *err)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* before there are threads: they inherit it */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file that would get too large is a failed write, not our end */
    KV_TRY(open_host(h, err));
    kv_code rc = announce(h, err);
    if (rc == KV_OK) watch(h, &signals);
    pthread_sigmask(SIG_UNBLOCK, &signals, NULL); /* a second signal does not wait */
    kv_log(KV_INFO, "stopping");
    unlink(h->address_path);
    if (!kv_server_stop(h->server, (unsigned)h->config.stop_grace_s * 1000)) {
        kv_log(KV_ERROR, "a request does not end; leaving without it"); /* errors are flushed */
        _exit(EXIT_FAILURE);
    }
    kv_log(KV_INFO, "stopped");
    return rc;
}

static kv_code serve(int argc, char **argv, kv_error *err)
{
    host h = {.argc = argc, .argv = argv, .hub = {.lock_fd = -1}};
    bound_memory();
    kv_code rc = kv_config_load(argc, argv, environ, &h.config, err);
    if (rc == KV_OK) rc = run(&h, err);
    kv_hub_close(&h.hub);
    kv_router_free(h.router);
    kv_server_free(h.server);
    kv_metrics_free(h.hub.metrics);
    kv_config_clear(&h.config);
    free(h.address_path);
    kv_log_flush();
    return rc;
}

static kv_code print_config(int argc, char **argv, kv_error *err)
{
    kv_auto_config c = {0};
    kv_auto_buf out = KV_BUF(1u << 20);
    KV_TRY(kv_config_load(argc, argv, environ, &c, err));
    kv_config_print(&c, &out);
    KV_TRY(kv_buf_check(&out, err));
    fwrite(out.p, 1, out.n, stdout);
    return KV_OK;
}

static kv_code print_help(int argc, char **argv, kv_error *err)
{
    (void)argc;
    (void)argv;
    kv_auto_buf out = KV_BUF(1u << 20);
    kv_config_help(&out);
    KV_TRY(kv_buf_check(&out, err));
    printf("kitvaultd: the KitVault hub, a registry for ModelKits\n\n"
           "Usage:\n"
           "  kitvaultd serve --data DIR [--listen HOST:PORT] [flags]\n"
           "  kitvaultd config [flags]     print the settings in force\n"
           "  kitvaultd version\n"
           "  kitvaultd manual             print the page kitvaultd(8)\n\n"
           "Flags of serve and config; each is also a line of the configuration file and an\n"
           "environment variable (kitvaultd config names them):\n%s",
           out.p);
    return KV_OK;
}

/* For the build, which installs it. */
static kv_code print_man(int argc, char **argv, kv_error *err)
{
    (void)argv;
    kv_auto_buf out = KV_BUF(1u << 20);
    if (argc) return kv_fail(err, KV_E_ARG, "manual takes no arguments");
    kv_config_man(&out);
    KV_TRY(kv_buf_check(&out, err));
    fwrite(out.p, 1, out.n, stdout);
    return KV_OK;
}

static kv_code print_version(int argc, char **argv, kv_error *err)
{
    (void)argv;
    if (argc) return kv_fail(err, KV_E_ARG, "version takes no arguments");
    printf("kitvaultd %s\n", kv_version());
    return KV_OK;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        kv_code (*run)(int argc, char **argv, kv_error *err);
    } COMMANDS[] = {
        {"serve", serve},      {"config", print_config}, {"version", print_version},
        {"manual", print_man}, {"--help", print_help},   {"-h", print_help},
        {"help", print_help},
    };
    kv_error err = {0};
    kv_code rc = KV_E_ARG;
    size_t i = 0, n = KV_COUNT(COMMANDS);
    while (i < n && (argc < 2 || strcmp(argv[1], COMMANDS[i].name) != 0)) i++;
    bool help = argc > 2 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0);
    if (argc < 2 || (i < n && help))
        rc = print_help(0, NULL, &err);
    else if (i == n)
        kv_fail(&err, rc, "unknown command '%s'; see kitvaultd --help", argv[1]);
    else
        rc = COMMANDS[i].run(argc - 2, argv + 2, &err);
    if (rc == KV_OK && fflush(stdout) != 0) rc = kv_fail_sys(&err, "cannot write the output");
    if (rc == KV_OK) return EXIT_SUCCESS;
    fprintf(stderr, "kitvaultd: %s\n", err.msg);
    return EXIT_FAILURE;
}

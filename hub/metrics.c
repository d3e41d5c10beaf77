#include "hub/metrics.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "kitvault/version.h"

enum { SOURCES = 8, OTHER_STATUS = 0 };

/* Statuses we answer with; index 0 stands for any other. */
static const int STATUSES[] = {0,   200, 201, 202, 204, 206, 301, 304, 307, 400, 401,
                               403, 404, 405, 408, 409, 412, 413, 414, 415, 416, 417,
                               422, 429, 431, 500, 501, 502, 503, 505, 507};
enum { N_STATUS = KV_COUNT(STATUSES) };

/* Microseconds; from a manifest out of memory to an upload of many gigabytes. */
static const uint64_t BOUNDS[] = {100,     250,      500,      1000,     2500,     5000,    10000,
                                  25000,   50000,    100000,   250000,   500000,   1000000, 2500000,
                                  5000000, 10000000, 30000000, 60000000, 300000000};
enum { N_BOUNDS = KV_COUNT(BOUNDS) };

typedef struct route_counters {
    atomic_ullong requests[N_STATUS];
    atomic_ullong time[N_BOUNDS + 1]; /* the last: above every bound */
    atomic_ullong time_sum_us, bytes_in, bytes_out;
} route_counters;

struct kv_metrics {
    const kv_route *routes;
    size_t n;
    int64_t started_s;
    struct {
        kv_metrics_fn *fn;
        void *ctx;
    } source[SOURCES];
    size_t n_sources;
    route_counters route[]; /* n, and one for requests without a route */
};

kv_metrics *kv_metrics_new(const kv_route *routes, size_t n_routes)
{
    kv_metrics *m = calloc(1, sizeof(*m) + (n_routes + 1) * sizeof(m->route[0]));
    if (!m) return NULL;
    m->routes = routes;
    m->n = n_routes;
    m->started_s = kv_now_us() / 1000000;
    return m;
}

void kv_metrics_free(kv_metrics *m)
{
    free(m);
}

static void add(atomic_ullong *to, uint64_t n)
{
    atomic_fetch_add_explicit(to, n, memory_order_relaxed);
}

static uint64_t get(const atomic_ullong *from)
{
    return atomic_load_explicit(from, memory_order_relaxed);
}

void kv_metrics_count(kv_metrics *m, size_t route, int status, uint64_t us, uint64_t bytes_in,
                      uint64_t bytes_out)
{
    route_counters *c = &m->route[route < m->n ? route : m->n];
    size_t s = OTHER_STATUS, b = 0;
    for (size_t i = 1; i < N_STATUS; i++)
        if (STATUSES[i] == status) s = i;
    while (b < N_BOUNDS && us > BOUNDS[b]) b++;
    add(&c->requests[s], 1);
    add(&c->time[b], 1);
    add(&c->time_sum_us, us);
    if (bytes_in) add(&c->bytes_in, bytes_in);
    if (bytes_out) add(&c->bytes_out, bytes_out);
}

bool kv_metrics_add_source(kv_metrics *m, kv_metrics_fn *fn, void *ctx)
{
    if (m->n_sources == SOURCES) return false;
    m->source[m->n_sources].fn = fn;
    m->source[m->n_sources++].ctx = ctx;
    return true;
}

/* --- the page --- */

void kv_metric_head(kv_buf *out, const char *name, const char *type, const char *help)
{
    kv_buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void kv_metric_value(kv_buf *out, const char *name, const char *labels, uint64_t value)
{
    bool some = labels[0] != '\0';
    kv_buf_addf(out, "%s%s%s%s %llu\n", name, some ? "{" : "", labels, some ? "}" : "",
                (unsigned long long)value);
}

static void route_labels(const kv_metrics *m, size_t i, char out[256])
{
    if (i == m->n)
        snprintf(out, 256, "route=\"none\",method=\"any\"");
    else
        snprintf(out, 256, "route=\"%s\",method=\"%s\"", m->routes[i].pattern,
                 kv_method_name(m->routes[i].method));
}

static void format_requests(const kv_metrics *m, kv_buf *out)
{
    kv_metric_head(out, "kv_http_requests_total", "counter", "Requests answered.");
    for (size_t i = 0; i <= m->n; i++) {
        char labels[256];
        route_labels(m, i, labels);
        for (size_t s = 0; s < N_STATUS; s++) {
            uint64_t n = get(&m->route[i].requests[s]);
            if (!n) continue;
            kv_buf_addf(out, "kv_http_requests_total{%s,code=\"%d\"} %llu\n", labels, STATUSES[s],
                        (unsigned long long)n);
        }
    }
}

static void format_seconds(const kv_metrics *m, kv_buf *out)
{
    kv_metric_head(out, "kv_http_request_seconds", "histogram",
                   "Time from the first byte of a request to the last of its response.");
    for (size_t i = 0; i <= m->n; i++) {
        char labels[256];
        uint64_t sum = 0;
        route_labels(m, i, labels);
        for (size_t b = 0; b <= N_BOUNDS; b++) sum += get(&m->route[i].time[b]);
        if (!sum) continue; /* a route nobody asked for yet */
        sum = 0;
        for (size_t b = 0; b < N_BOUNDS; b++) {
            sum += get(&m->route[i].time[b]);
            kv_buf_addf(out, "kv_http_request_seconds_bucket{%s,le=\"%g\"} %llu\n", labels,
                        (double)BOUNDS[b] / 1e6, (unsigned long long)sum);
        }
        sum += get(&m->route[i].time[N_BOUNDS]);
        kv_buf_addf(out, "kv_http_request_seconds_bucket{%s,le=\"+Inf\"} %llu\n", labels,
                    (unsigned long long)sum);
        kv_buf_addf(out, "kv_http_request_seconds_sum{%s} %.6f\n", labels,
                    (double)get(&m->route[i].time_sum_us) / 1e6);
        kv_buf_addf(out, "kv_http_request_seconds_count{%s} %llu\n", labels,
                    (unsigned long long)sum);
    }
}

static size_t adapter_of(const kv_metrics *m, size_t i)
{
    if (i == m->n) return 2;
    kv_sv pattern = kv_sv_of(m->routes[i].pattern);
    return kv_sv_starts(pattern, KV_SV("/v2/")) ? 0 : kv_sv_starts(pattern, KV_SV("/api/")) ? 1 : 2;
}

static void format_bytes(const kv_metrics *m, kv_buf *out)
{
    static const char *const ADAPTERS[] = {"oci", "api", "other"};
    uint64_t in[KV_COUNT(ADAPTERS)] = {0}, sent[KV_COUNT(ADAPTERS)] = {0};
    for (size_t i = 0; i <= m->n; i++) {
        in[adapter_of(m, i)] += get(&m->route[i].bytes_in);
        sent[adapter_of(m, i)] += get(&m->route[i].bytes_out);
    }
    kv_metric_head(out, "kv_bytes_total", "counter", "Bytes of request and response bodies.");
    for (size_t a = 0; a < KV_COUNT(ADAPTERS); a++) {
        char labels[64];
        snprintf(labels, sizeof(labels), "direction=\"in\",adapter=\"%s\"", ADAPTERS[a]);
        kv_metric_value(out, "kv_bytes_total", labels, in[a]);
        snprintf(labels, sizeof(labels), "direction=\"out\",adapter=\"%s\"", ADAPTERS[a]);
        kv_metric_value(out, "kv_bytes_total", labels, sent[a]);
    }
}

static void format_process(const kv_metrics *m, kv_buf *out)
{
    struct rusage use = {0};
    getrusage(RUSAGE_SELF, &use);
    kv_metric_head(out, "process_cpu_seconds_total", "counter", "Processor time.");
    kv_buf_addf(out, "process_cpu_seconds_total %.6f\n",
                (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
                    (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6);
    kv_auto_buf statm = KV_BUF(256);
    uint64_t pages = 0;
    if (kv_file_read("/proc/self/statm", &statm, NULL) == KV_OK) {
        kv_sv size, resident;
        kv_sv rest = kv_sv_cut(kv_buf_sv(&statm), ' ', &size, NULL);
        (void)kv_sv_cut(rest, ' ', &resident, NULL);
        (void)kv_sv_to_u64(resident, &pages);
    }
    kv_metric_head(out, "process_resident_memory_bytes", "gauge", "Memory in use.");
    kv_metric_value(out, "process_resident_memory_bytes", "",
                    pages * (uint64_t)sysconf(_SC_PAGESIZE));
    kv_metric_head(out, "process_start_time_seconds", "gauge", "When this process began.");
    kv_metric_value(out, "process_start_time_seconds", "", (uint64_t)m->started_s);
}

void kv_metrics_format(kv_metrics *m, kv_buf *out)
{
    kv_metric_head(out, "kv_build_info", "gauge", "Always 1; the labels say what runs.");
    kv_buf_addf(out, "kv_build_info{version=\"%s\"} 1\n", kv_version());
    format_requests(m, out);
    format_seconds(m, out);
    format_bytes(m, out);
    for (size_t i = 0; i < m->n_sources; i++) m->source[i].fn(m->source[i].ctx, out);
    format_process(m, out);
}

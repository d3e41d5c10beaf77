#pragma once
/* Counters in the text format of Prometheus. Threads: shared; counting takes no lock. */
#include "base/str.h"
#include "hub/route/route.h"

typedef struct kv_metrics kv_metrics;

/** One set of counters per route. routes is borrowed. NULL: no memory. */
kv_metrics *kv_metrics_new(const kv_route *routes, size_t n_routes);
void kv_metrics_free(kv_metrics *m);
KV_DEFINE_AUTO(kv_metrics, kv_metrics_free)

/** One finished request. route: its index, or SIZE_MAX for requests that found none. */
void kv_metrics_count(kv_metrics *m, size_t route, int status, uint64_t us, uint64_t bytes_in,
                      uint64_t bytes_out);

/** Adds its metrics to the page, with kv_metric_head and kv_metric_value. Called on any worker. */
typedef void kv_metrics_fn(void *ctx, kv_buf *out);
/** Before the first request. False: too many sources. */
bool kv_metrics_add_source(kv_metrics *m, kv_metrics_fn *fn, void *ctx);
/** type: "counter", "gauge". */
void kv_metric_head(kv_buf *out, const char *name, const char *type, const char *help);
/** labels: `kind="logical"`, or "". */
void kv_metric_value(kv_buf *out, const char *name, const char *labels, uint64_t value);

/** The whole page. */
void kv_metrics_format(kv_metrics *m, kv_buf *out);

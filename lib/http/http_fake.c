#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/transport.h"

typedef struct fake {
    kv_http_transport base;
    const kv_http_fake_step *steps;
    size_t n, at;
    char problem[512];
} fake;
typedef struct fake_exchange {
    kv_http_exchange base;
    kv_sv left;
    bool cut;
} fake_exchange;

KV_PRINTF(2, 3)
static kv_code differs(fake *f, const char *fmt, ...)
{
    if (f->problem[0]) return KV_E_INTERNAL;
    int n = snprintf(f->problem, sizeof(f->problem), "step %zu: ", f->at);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(f->problem + n, sizeof(f->problem) - (size_t)n, fmt, ap);
    va_end(ap);
    return KV_E_INTERNAL;
}

static bool headers_hold(const kv_http_wire *w, const char *text)
{
    for (const char *const *h = w->headers; *h; h++)
        if (strstr(*h, text)) return true;
    return false;
}

static kv_code check_body(fake *f, const kv_http_wire *w, const char *want, kv_error *err)
{
    if (!want) return KV_OK;
    kv_auto_buf got = KV_BUF(1 << 20);
    for (uint64_t off = 0; w->source && off < w->source->size;) {
        char piece[7]; /* small and odd, so that sources are asked at every offset */
        uint64_t left = w->source->size - off;
        size_t n = left < sizeof(piece) ? (size_t)left : sizeof(piece);
        KV_TRY(w->source->read(w->source->ctx, off, piece, n, &n, err));
        kv_buf_add(&got, (kv_sv){piece, n});
        off += n;
    }
    if (!kv_sv_is(kv_buf_sv(&got), want))
        return differs(f, "sent '%.*s', not '%s'", KV_ARG(kv_buf_sv(&got)), want);
    return KV_OK;
}

static kv_code check(fake *f, const kv_http_wire *w, kv_error *err)
{
    if (f->at == f->n) return differs(f, "unexpected %s %s", w->method, w->url);
    const kv_http_fake_step *s = &f->steps[f->at];
    if (strcmp(w->method, s->method) != 0 || strcmp(w->url, s->url) != 0)
        return differs(f, "%s %s, not %s %s", w->method, w->url, s->method, s->url);
    if (s->want && !headers_hold(w, s->want)) return differs(f, "no header '%s'", s->want);
    if (s->unwanted && headers_hold(w, s->unwanted)) return differs(f, "header '%s'", s->unwanted);
    return check_body(f, w, s->sent, err);
}

static const kv_http_transport_ops FAKE_OPS;

static kv_code fake_start(kv_http_transport *t, const kv_http_wire *w, kv_http_head *head,
                          kv_http_exchange **out, kv_error *err)
{
    fake *f = (fake *)(void *)t;
    if (check(f, w, err) != KV_OK) return kv_fail(err, KV_E_INTERNAL, "%s", f->problem);
    const kv_http_fake_step *s = &f->steps[f->at++];
    if (s->status == 0) {
        head->unreachable = s->unreachable;
        return kv_fail(err, s->fail, "scripted failure");
    }
    fake_exchange *x = calloc(1, sizeof(*x));
    if (!x) return kv_fail(err, KV_E_NOMEM, "out of memory");
    head->status = s->status;
    kv_buf_adds(head->lines, s->head ? s->head : "");
    x->base.ops = &FAKE_OPS;
    x->left = kv_sv_of(strcmp(w->method, "HEAD") == 0 ? NULL : s->body);
    x->cut = s->cut && s->cut < x->left.n;
    if (x->cut) x->left.n = s->cut;
    *out = &x->base;
    return KV_OK;
}

static kv_code fake_read(kv_http_exchange *base, void *dst, size_t n, size_t *out_n, kv_error *err)
{
    fake_exchange *x = (fake_exchange *)(void *)base;
    if (x->left.n == 0 && x->cut) return kv_fail(err, KV_E_NETWORK, "scripted break");
    if (n > x->left.n) n = x->left.n;
    if (n) memcpy(dst, x->left.p, n);
    x->left = kv_sv_from(x->left, n);
    *out_n = n;
    return KV_OK;
}

static void fake_close(kv_http_exchange *x)
{
    free(x);
}

static void fake_free(kv_http_transport *t)
{
    free(t);
}

static const kv_http_transport_ops FAKE_OPS = {
    .start = fake_start, .read = fake_read, .close = fake_close, .free = fake_free};

kv_http_transport *kv_http_transport_fake(const kv_http_fake_step *steps, size_t n)
{
    fake *f = calloc(1, sizeof(*f));
    if (!f) return NULL;
    f->base.ops = &FAKE_OPS;
    f->steps = steps;
    f->n = n;
    return &f->base;
}

const char *kv_http_fake_problem(kv_http_transport *t)
{
    fake *f = (fake *)(void *)t;
    if (!f->problem[0] && f->at < f->n)
        (void)differs(f, "%s %s never came", f->steps[f->at].method, f->steps[f->at].url);
    return f->problem[0] ? f->problem : NULL;
}

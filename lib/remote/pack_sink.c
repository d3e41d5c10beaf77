/* A remote as the place a ModelKit is packed into. */
#include <stdlib.h>

#include "remote/remote.h"

typedef struct pack_sink {
    kv_remote *remote;
    const kv_reference *ref;
} pack_sink;

static kv_code sink_open(void *ctx, void **out_blob, kv_error *err)
{
    const pack_sink *s = ctx;
    kv_remote_writer *w = NULL;
    KV_TRY(s->remote->ops->write_blob(s->remote, &w, err));
    *out_blob = w;
    return KV_OK;
}

static kv_code sink_write(void *blob, const void *p, size_t n, kv_error *err)
{
    kv_remote_writer *w = blob;
    return w->ops->write(w, p, n, err);
}

static kv_code sink_commit(void *blob, const kv_digest *d, bool *out_existed, kv_error *err)
{
    kv_remote_writer *w = blob;
    return w->ops->commit(w, d, out_existed, err);
}

static void sink_close(void *blob)
{
    kv_remote_writer *w = blob;
    w->ops->close(w);
}

static kv_code sink_manifest(void *ctx, kv_sv text, kv_error *err)
{
    const pack_sink *s = ctx;
    kv_auto(kv_manifest) m = NULL;
    KV_TRY(kv_manifest_parse(text, KV_SV(""), &m, err));
    kv_digest_text own = kv_digest_str(&m->digest);
    kv_sv ref = s->ref->tag.n ? s->ref->tag : kv_sv_of(own.s);
    KV_TRY(s->remote->ops->put_manifest(s->remote, ref, m, err));
    for (size_t i = 0; i < s->ref->n_extra; i++)
        KV_TRY(s->remote->ops->put_manifest(s->remote, s->ref->extra[i], m, err));
    return KV_OK;
}

kv_code kv_remote_sink(kv_remote *r, const kv_reference *ref, kv_kit_sink *out, kv_error *err)
{
    if (!r->ops->write_blob)
        return kv_fail(err, KV_E_UNSUPPORTED, "nothing can be packed straight into this place");
    pack_sink *s = malloc(sizeof(*s));
    if (!s) return kv_fail(err, KV_E_NOMEM, "out of memory");
    *s = (pack_sink){.remote = r, .ref = ref};
    *out = (kv_kit_sink){.open = sink_open,
                         .write = sink_write,
                         .commit = sink_commit,
                         .close = sink_close,
                         .manifest = sink_manifest,
                         .ctx = s};
    return KV_OK;
}

void kv_remote_sink_free(kv_kit_sink *sink)
{
    free(sink->ctx);
    *sink = (kv_kit_sink){0};
}

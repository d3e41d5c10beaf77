#include "remote/place.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "remote/oci_layout.h"

typedef struct scheme {
    const char *prefix;
    kv_place_kind kind;
    kv_code (*open)(const char *location, bool write, const kv_remote_options *network,
                    kv_layout **out, kv_error *err);
} scheme;
static const scheme SCHEMES[] = {
    {"store:", KV_PLACE_STORE, NULL},
    {"dir:", KV_PLACE_DIR, kv_layout_open_dir},
    {"archive:", KV_PLACE_ARCHIVE, kv_layout_open_archive},
    {"s3://", KV_PLACE_S3, kv_layout_open_s3},
};

void kv_place_clear(kv_place *p)
{
    kv_reference_clear(&p->ref);
    free(p->location);
    free(p->text);
    *p = (kv_place){0};
}

/* A name of a repository: here, or with a registry there. */
static kv_code take_reference(kv_place *p, kv_sv text, kv_error *err)
{
    KV_TRY(kv_reference_parse(text, &p->ref, err));
    if (p->ref.n_extra) return kv_fail(err, KV_E_ARG, "'%.*s': one tag at a time", KV_ARG(text));
    p->tag = p->ref.tag;
    p->digest = p->ref.digest;
    return KV_OK;
}

/* PATH, PATH:TAG, PATH@DIGEST; the tag is borrowed from p->text, where rest lies. */
static kv_code take_location(kv_place *p, kv_sv rest, kv_error *err)
{
    size_t slash = kv_sv_rfind(rest, '/'), at = kv_sv_rfind(rest, '@');
    size_t last = slash == SIZE_MAX ? 0 : slash + 1;
    kv_sv path = rest;
    if (at != SIZE_MAX && at >= last &&
        kv_digest_parse(kv_sv_from(rest, at + 1), &p->digest, NULL) == KV_OK) {
        path = kv_sv_sub(rest, 0, at);
    } else {
        size_t colon = kv_sv_rfind(rest, ':');
        if (colon != SIZE_MAX && colon >= last) {
            p->tag = kv_sv_from(rest, colon + 1);
            path = kv_sv_sub(rest, 0, colon);
        }
    }
    if (p->tag.n && !kv_tag_name_valid(p->tag))
        return kv_fail(err, KV_E_SYNTAX,
                       "'%s': '%.*s' is no tag (end a path that has a colon with another one)",
                       p->text, KV_ARG(p->tag));
    if (!path.n) return kv_fail(err, KV_E_ARG, "'%s' has no path", p->text);
    p->location = kv_sv_dup(path);
    return p->location ? KV_OK : kv_fail(err, KV_E_NOMEM, "out of memory");
}

static kv_code parse(kv_sv text, kv_place *p, kv_error *err)
{
    if (!text.n) return kv_fail(err, KV_E_ARG, "a place has no name");
    if (memchr(text.p, '\0', text.n)) return kv_fail(err, KV_E_ARG, "a place with a NUL byte");
    p->text = kv_sv_dup(text);
    if (!p->text) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_sv own = kv_sv_of(p->text);
    for (size_t i = 0; i < KV_COUNT(SCHEMES); i++) {
        kv_sv prefix = kv_sv_of(SCHEMES[i].prefix);
        if (!kv_sv_starts(own, prefix)) continue;
        p->kind = SCHEMES[i].kind;
        kv_sv rest = kv_sv_from(own, prefix.n);
        return SCHEMES[i].open ? take_location(p, rest, err) : take_reference(p, rest, err);
    }
    KV_TRY(take_reference(p, own, err));
    p->kind = kv_reference_is_remote(&p->ref) ? KV_PLACE_REGISTRY : KV_PLACE_STORE;
    return KV_OK;
}

kv_code kv_place_parse(kv_sv text, kv_place *out, kv_error *err)
{
    *out = (kv_place){0};
    kv_code rc = parse(text, out, err);
    if (rc != KV_OK) kv_place_clear(out);
    return rc;
}

kv_code kv_place_open(struct kv_store *store, const kv_place *p, bool write,
                      const kv_remote_options *network, kv_remote **out, kv_error *err)
{
    if (p->kind == KV_PLACE_REGISTRY) return kv_remote_open(&p->ref, network, out, err);
    if (p->kind == KV_PLACE_STORE)
        return kv_remote_open_store(store, &p->ref, write, network->report, out, err);
    for (size_t i = 0; i < KV_COUNT(SCHEMES); i++) {
        if (SCHEMES[i].kind != p->kind) continue;
        kv_layout *l = NULL;
        KV_TRY(SCHEMES[i].open(p->location, write, network, &l, err));
        return kv_layout_remote(l, network->report, out, err);
    }
    return kv_fail(err, KV_E_ARG, "'%s' is no place", p->text);
}

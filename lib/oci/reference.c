/* References by kit's grammar. Sentences are kit's, since scripts and people know them. */
#include "kitvault/reference.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

enum { REFERENCE_MAX = 4096, NAME_MAX_BYTES = 255, TAG_MAX_BYTES = 128, REGISTRY_MAX = 255 };

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_word(char c)
{
    return is_alnum(c) || (c >= 'A' && c <= 'Z') || c == '_';
}

/* One path component: [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)* */
static bool component_valid(kv_sv s)
{
    if (!s.n || !is_alnum(s.p[0]) || !is_alnum(s.p[s.n - 1])) return false;
    for (size_t i = 0; i < s.n;) {
        if (is_alnum(s.p[i])) {
            i++;
            continue;
        }
        size_t run = 1;
        while (i + run < s.n && s.p[i + run] == s.p[i]) run++;
        char c = s.p[i];
        bool ok = c == '-' || (c == '.' && run == 1) || (c == '_' && run <= 2);
        /* A separator of two kinds, such as "._", is none. */
        if (!ok || !is_alnum(s.p[i + run])) return false;
        i += run;
    }
    return true;
}

static bool repository_valid(kv_sv name)
{
    if (!name.n || name.p[name.n - 1] == '/') return false;
    while (name.n) {
        kv_sv part;
        name = kv_sv_cut(name, '/', &part, NULL);
        if (!component_valid(part)) return false;
    }
    return true;
}

bool kv_repository_name_valid(kv_sv name)
{
    return name.n <= NAME_MAX_BYTES && repository_valid(name);
}

bool kv_tag_name_valid(kv_sv tag)
{
    if (tag.n == 0 || tag.n > TAG_MAX_BYTES || !is_word(tag.p[0])) return false;
    for (size_t i = 1; i < tag.n; i++)
        if (!is_word(tag.p[i]) && tag.p[i] != '.' && tag.p[i] != '-') return false;
    return true;
}

/* HOST, HOST:PORT or [V6]:PORT, as a URL could carry it. */
static bool registry_valid(kv_sv r)
{
    if (r.n == 0 || r.n > REGISTRY_MAX) return false;
    kv_sv host = r, port = {0};
    if (r.p[0] == '[') {
        size_t end = kv_sv_find(r, ']');
        if (end == SIZE_MAX || end < 3) return false;
        host = kv_sv_sub(r, 1, end);
        for (size_t i = 0; i < host.n; i++)
            if (!host.p[i] || !strchr("0123456789abcdefABCDEF:.", host.p[i])) return false;
        kv_sv rest = kv_sv_from(r, end + 1);
        if (rest.n && rest.p[0] != ':') return false;
        port = kv_sv_from(rest, 1);
        if (rest.n && !port.n) return false;
    } else {
        bool found;
        port = kv_sv_cut(r, ':', &host, &found);
        if (!host.n || (found && !port.n)) return false;
        for (size_t i = 0; i < host.n; i++)
            if (!is_word(host.p[i]) && host.p[i] != '.' && host.p[i] != '-') return false;
    }
    uint64_t n;
    return port.n == 0 || (port.n <= 5 && kv_sv_to_u64(port, &n) && n <= 65535);
}

static bool has_alnum(kv_sv s)
{
    for (size_t i = 0; i < s.n; i++)
        if (is_alnum(s.p[i])) return true;
    return false;
}

static kv_code check_repository(kv_sv repo, kv_error *err)
{
    for (size_t i = 0; i < repo.n; i++)
        if (repo.p[i] >= 'A' && repo.p[i] <= 'Z')
            return kv_fail(err, KV_E_SYNTAX, "repository (%.*s) name must be lowercase",
                           KV_ARG(kv_sv_sub(repo, 0, 512)));
    if (repo.n && !has_alnum(repo)) /* kit asks for less than its sentence says */
        return kv_fail(err, KV_E_SYNTAX,
                       "repository (%.*s) must start and end with a letter or number",
                       KV_ARG(kv_sv_sub(repo, 0, 512)));
    if (!repository_valid(repo))
        return kv_fail(err, KV_E_SYNTAX, "invalid reference: invalid repository \"%.*s\"",
                       KV_ARG(kv_sv_sub(repo, 0, 512)));
    return KV_OK;
}

static kv_code check_tag(kv_sv tag, kv_error *err)
{
    if (kv_tag_name_valid(tag)) return KV_OK;
    return kv_fail(err, KV_E_SYNTAX, "invalid reference: invalid tag \"%.*s\"",
                   KV_ARG(kv_sv_sub(tag, 0, 512)));
}

/* Tags behind commas. */
static kv_code parse_extra(kv_sv rest, kv_reference *r, kv_error *err)
{
    size_t n = 1;
    for (size_t i = 0; i < rest.n; i++) n += rest.p[i] == ',';
    r->extra = calloc(n, sizeof(*r->extra));
    if (!r->extra) return kv_fail(err, KV_E_NOMEM, "out of memory");
    while (r->n_extra < n) {
        kv_sv tag;
        rest = kv_sv_cut(rest, ',', &tag, NULL);
        KV_TRY(check_tag(tag, err));
        r->extra[r->n_extra++] = tag;
    }
    return KV_OK;
}

/* REPOSITORY[:TAG][@DIGEST]; a tag before a digest is dropped, as kit does. */
static kv_code parse_path(kv_sv path, kv_reference *r, kv_error *err)
{
    bool has_digest, has_tag;
    kv_sv repo, digest = kv_sv_cut(path, '@', &repo, &has_digest);
    kv_sv tag = kv_sv_cut(repo, ':', &repo, &has_tag);
    r->repository = repo;
    KV_TRY(check_repository(repo, err));
    if (has_digest) {
        if (kv_digest_parse(digest, &r->digest, NULL) != KV_OK)
            return kv_fail(err, KV_E_SYNTAX, "invalid reference: invalid digest \"%.*s\"",
                           KV_ARG(kv_sv_sub(digest, 0, 512)));
        return KV_OK;
    }
    if (!has_tag) return KV_OK;
    r->tag = tag;
    return check_tag(tag, err);
}

static kv_code parse(kv_sv text, kv_reference *r, kv_error *err)
{
    if (kv_digest_parse(text, &r->digest, NULL) == KV_OK) {
        r->registry = KV_SV(KV_REGISTRY_LOCAL);
        r->repository = KV_SV(KV_REPOSITORY_NONE);
        return KV_OK;
    }
    kv_sv first, rest;
    bool has_extra, has_slash;
    rest = kv_sv_cut(text, ',', &first, &has_extra);

    kv_sv head, path = kv_sv_cut(first, '/', &head, &has_slash);
    bool registry = has_slash &&
                    (kv_sv_find(head, '.') != SIZE_MAX || kv_sv_find(head, ':') != SIZE_MAX);
    r->registry = registry ? head : KV_SV(KV_REGISTRY_LOCAL);
    if (!registry) path = first;
    if (registry && !registry_valid(head))
        return kv_fail(err, KV_E_SYNTAX, "invalid reference: invalid registry \"%.*s\"",
                       KV_ARG(kv_sv_sub(head, 0, 512)));
    KV_TRY(parse_path(path, r, err));
    return has_extra ? parse_extra(rest, r, err) : KV_OK;
}

kv_code kv_reference_parse(kv_sv text, kv_reference *out, kv_error *err)
{
    *out = (kv_reference){0};
    if (text.n == 0)
        return kv_fail(err, KV_E_SYNTAX, "invalid reference: missing registry or repository");
    if (text.n > REFERENCE_MAX)
        return kv_fail(err, KV_E_SYNTAX, "invalid reference: longer than %d bytes", REFERENCE_MAX);
    kv_reference r = {.mem = kv_sv_dup(text)};
    if (!r.mem) return kv_fail(err, KV_E_NOMEM, "out of memory");
    kv_code rc = parse((kv_sv){r.mem, text.n}, &r, err);
    if (rc != KV_OK) {
        kv_reference_clear(&r);
        return rc;
    }
    *out = r;
    return KV_OK;
}

void kv_reference_clear(kv_reference *r)
{
    free(r->extra);
    free(r->mem);
    *r = (kv_reference){0};
}

kv_code kv_reference_with_tag(const kv_reference *r, kv_sv tag, kv_reference *out, kv_error *err)
{
    *out = (kv_reference){0};
    if (tag.n) KV_TRY(check_tag(tag, err));
    kv_buf b = KV_BUF(2 * REFERENCE_MAX);
    kv_buf_add(&b, r->registry);
    kv_buf_add(&b, r->repository);
    kv_buf_add(&b, tag);
    if (b.failed) {
        kv_buf_clear(&b);
        return kv_fail(err, KV_E_NOMEM, "out of memory");
    }
    char *mem = kv_buf_take(&b);
    *out = (kv_reference){
        .registry = {mem, r->registry.n},
        .repository = {mem + r->registry.n, r->repository.n},
        .tag = {mem + r->registry.n + r->repository.n, tag.n},
        .mem = mem,
    };
    return KV_OK;
}

bool kv_reference_is_remote(const kv_reference *r)
{
    return !kv_sv_is(r->registry, KV_REGISTRY_LOCAL);
}

static void add_last(const kv_reference *r, kv_buf *b)
{
    if (r->digest.alg)
        kv_buf_addf(b, "@%s", kv_digest_str(&r->digest).s);
    else if (r->tag.n)
        kv_buf_addf(b, ":%.*s", KV_ARG(r->tag));
}

char *kv_reference_full(const kv_reference *r)
{
    kv_buf b = KV_BUF(2 * REFERENCE_MAX);
    kv_buf_addf(&b, "%.*s/%.*s", KV_ARG(r->registry), KV_ARG(r->repository));
    add_last(r, &b);
    return kv_buf_take(&b);
}

char *kv_reference_display(const kv_reference *r)
{
    kv_auto_str full = kv_reference_full(r);
    if (!full) return NULL;
    static const char *const PREFIXES[] = {KV_REGISTRY_LOCAL "/", KV_REPOSITORY_NONE, "@"};
    kv_sv s = kv_sv_of(full);
    for (size_t i = 0; i < KV_COUNT(PREFIXES); i++)
        if (kv_sv_starts(s, kv_sv_of(PREFIXES[i]))) s = kv_sv_from(s, strlen(PREFIXES[i]));
    return kv_sv_dup(s);
}

char *kv_reference_last(const kv_reference *r)
{
    return r->digest.alg ? strdup(kv_digest_str(&r->digest).s) : kv_sv_dup(r->tag);
}

#include "http/field.h"

#include <ctype.h>
#include <string.h>

static bool is_token_char(char c)
{
    return isalnum((unsigned char)c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static kv_sv take_token(kv_sv *s)
{
    size_t n = 0;
    while (n < s->n && is_token_char(s->p[n])) n++;
    kv_sv token = {s->p, n};
    *s = kv_sv_from(*s, n);
    return token;
}

static void skip_blanks(kv_sv *s)
{
    size_t n = 0;
    while (n < s->n && (s->p[n] == ' ' || s->p[n] == '\t')) n++;
    *s = kv_sv_from(*s, n);
}

/* Also commas: lists may hold empty elements (RFC 9110, 5.6.1). */
static void skip_separators(kv_sv *s)
{
    size_t n = 0;
    while (n < s->n && (s->p[n] == ' ' || s->p[n] == '\t' || s->p[n] == ',')) n++;
    *s = kv_sv_from(*s, n);
}

/* s begins behind the opening quote; false when the closing one is missing. */
static bool take_quoted(kv_sv *s, kv_arena *arena, kv_sv *out)
{
    char *text = kv_arena_alloc(arena, s->n + 1, 1);
    if (!text) return false;
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        char c = s->p[i];
        if (c == '"') {
            *out = (kv_sv){text, n};
            *s = kv_sv_from(*s, i + 1);
            return true;
        }
        if (c == '\\' && i + 1 < s->n) c = s->p[++i];
        text[n++] = c;
    }
    return false;
}

static bool take_value(kv_sv *s, kv_arena *arena, kv_sv *out)
{
    skip_blanks(s);
    if (s->n && s->p[0] == '"') {
        *s = kv_sv_from(*s, 1);
        return take_quoted(s, arena, out);
    }
    kv_sv token = take_token(s);
    *out = kv_arena_dup(arena, token);
    return token.n > 0 && out->p;
}

static void set_param(kv_challenge *c, kv_sv name, kv_sv value)
{
    const struct {
        const char *name;
        kv_sv *to;
    } known[] = {
        {"realm", &c->realm}, {"service", &c->service}, {"scope", &c->scope}, {"error", &c->error}};
    for (size_t i = 0; i < KV_COUNT(known); i++)
        if (kv_sv_eq_nocase(name, kv_sv_of(known[i].name))) *known[i].to = value;
}

/* True when s begins with `token =`, which a scheme never does; the token is taken then. */
static bool take_param_name(kv_sv *s, kv_sv *out)
{
    kv_sv at = *s;
    kv_sv name = take_token(&at);
    skip_blanks(&at);
    if (!name.n || !at.n || at.p[0] != '=') return false;
    *out = name;
    *s = kv_sv_from(at, 1);
    return true;
}

/* A token68 stands where the parameters of other schemes stand; it ends in '=' or at a comma. */
static bool skip_token68(kv_sv *s)
{
    size_t n = 0;
    while (n < s->n && s->p[n] && (isalnum((unsigned char)s->p[n]) || strchr("-._~+/", s->p[n])))
        n++;
    while (n < s->n && s->p[n] == '=') n++;
    kv_sv rest = kv_sv_from(*s, n);
    skip_blanks(&rest);
    if (n == 0 || (rest.n && rest.p[0] != ',')) return false;
    *s = rest;
    return true;
}

static bool take_challenge(kv_sv *s, kv_arena *arena, kv_challenge *out)
{
    kv_sv scheme = take_token(s);
    out->scheme = kv_arena_dup(arena, scheme);
    if (!scheme.n || !out->scheme.p) return false;
    if (s->n && s->p[0] != ' ' && s->p[0] != '\t' && s->p[0] != ',') return false;
    skip_blanks(s);
    if (s->n && s->p[0] != ',' && skip_token68(s)) return true;
    for (;;) {
        kv_sv before = *s, name, value;
        skip_separators(s);
        if (!take_param_name(s, &name)) {
            *s = before;
            return true;
        }
        if (!take_value(s, arena, &value)) return false;
        set_param(out, name, value);
        skip_blanks(s);
        if (s->n && s->p[0] != ',') return false;
    }
}

kv_code kv_challenge_parse(kv_sv value, kv_arena *arena, kv_challenge out[KV_CHALLENGES_MAX],
                           size_t *n, kv_error *err)
{
    for (;;) {
        skip_separators(&value);
        if (!value.n) return KV_OK;
        if (*n == KV_CHALLENGES_MAX)
            return kv_fail(err, KV_E_LIMIT, "more than %d WWW-Authenticate challenges",
                           KV_CHALLENGES_MAX);
        kv_challenge c = {0};
        if (!take_challenge(&value, arena, &c))
            return kv_fail(err, KV_E_SYNTAX, "bad WWW-Authenticate header");
        out[(*n)++] = c;
    }
}

/* The value of one parameter of a link, without quotes. s begins behind the '>'. */
static bool has_rel_next(kv_sv params)
{
    while (params.n) {
        kv_sv one, name;
        params = kv_sv_cut(params, ';', &one, NULL);
        kv_sv rel = kv_sv_trim(kv_sv_cut(one, '=', &name, NULL));
        if (!kv_sv_eq_nocase(kv_sv_trim(name), KV_SV("rel"))) continue;
        if (rel.n >= 2 && rel.p[0] == '"') rel = kv_sv_sub(rel, 1, rel.n - 1);
        while (rel.n) { /* a relation is a list of words */
            kv_sv word;
            rel = kv_sv_cut(rel, ' ', &word, NULL);
            if (kv_sv_eq_nocase(word, KV_SV("next"))) return true;
        }
    }
    return false;
}

/* Index of the comma that ends this link's parameters, quoted strings skipped. */
static size_t link_end(kv_sv s)
{
    bool quoted = false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"') quoted = !quoted;
        if (s.p[i] == ',' && !quoted) return i;
    }
    return s.n;
}

kv_sv kv_link_next(kv_sv value)
{
    for (;;) {
        skip_separators(&value);
        if (!value.n || value.p[0] != '<') return (kv_sv){0};
        bool closed;
        kv_sv url;
        value = kv_sv_cut(kv_sv_from(value, 1), '>', &url, &closed);
        if (!closed) return (kv_sv){0};
        size_t end = link_end(value);
        if (url.n && has_rel_next(kv_sv_sub(value, 0, end))) return url;
        value = kv_sv_from(value, end);
    }
}

bool kv_upload_range_parse(kv_sv value, uint64_t *out_n)
{
    if (kv_sv_starts(value, KV_SV("bytes="))) value = kv_sv_from(value, 6);
    kv_sv from;
    bool found;
    kv_sv to = kv_sv_cut(value, '-', &from, &found);
    uint64_t last;
    if (!found || !kv_sv_is(from, "0") || !kv_sv_to_u64(to, &last) || last == UINT64_MAX)
        return false;
    *out_n = last ? last + 1 : 0;
    return true;
}

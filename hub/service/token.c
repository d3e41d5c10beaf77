#include "hub/service/token.h"

#include "codec/text.h"

static const char PREFIX[] = "kvs_";

kv_code kv_token_format(const uint8_t key[KV_MAC_BYTES], const kv_token *t, kv_buf *out,
                        kv_error *err)
{
    kv_auto_buf claims = KV_BUF(KV_TOKEN_TEXT_MAX / 4 * 3 - 64);
    if (t->n_scopes > KV_TOKEN_SCOPES_MAX)
        return kv_fail(err, KV_E_LIMIT, "a token for more than %d repositories",
                       KV_TOKEN_SCOPES_MAX);
    kv_buf_addf(&claims, "%.*s\n%lld\n%.*s\n%lld\n%lld", KV_ARG(t->principal_id),
                (long long)t->generation, KV_ARG(t->id), (long long)t->issued_s,
                (long long)t->expires_s);
    for (size_t i = 0; i < t->n_scopes; i++)
        kv_buf_addf(&claims, "\n%u %.*s", t->scopes[i].allow, KV_ARG(t->scopes[i].repository));
    if (kv_buf_check(&claims, err) == KV_E_LIMIT)
        return kv_fail(err, KV_E_LIMIT, "a token for too many repositories");
    KV_TRY(kv_buf_check(&claims, err));

    size_t from = out->n;
    kv_buf_adds(out, PREFIX);
    kv_base64url_add(out, kv_buf_sv(&claims), false);
    KV_TRY(kv_buf_check(out, err));
    uint8_t mac[KV_MAC_BYTES];
    kv_mac(key, kv_sv_from(kv_buf_sv(out), from), mac);
    kv_buf_addc(out, '.');
    kv_base64url_add(out, (kv_sv){(const char *)mac, sizeof(mac)}, false);
    return kv_buf_check(out, err);
}

static bool seal_ok(const uint8_t key[KV_MAC_BYTES], kv_sv text, kv_sv *out_claims)
{
    size_t dot = kv_sv_rfind(text, '.');
    if (text.n > KV_TOKEN_TEXT_MAX || dot == SIZE_MAX || !kv_sv_starts(text, kv_sv_of(PREFIX)))
        return false;
    uint8_t want[KV_MAC_BYTES];
    kv_auto_buf mac = KV_BUF(2 * KV_MAC_BYTES);
    kv_mac(key, kv_sv_sub(text, 0, dot), want);
    if (kv_base64_parse(kv_sv_from(text, dot + 1), &mac, NULL) != KV_OK || mac.n != sizeof(want) ||
        !kv_secret_eq(mac.p, want, sizeof(want)))
        return false;
    *out_claims = kv_sv_sub(text, sizeof(PREFIX) - 1, dot);
    return true;
}

static int64_t number(kv_sv *rest)
{
    kv_sv line;
    uint64_t v = 0;
    *rest = kv_sv_cut(*rest, '\n', &line, NULL);
    return kv_sv_to_u64(line, &v) && v <= INT64_MAX ? (int64_t)v : 0;
}

/* Sealed by us, so only a change of the form between two versions could make this fail. */
static kv_code read_claims(kv_sv rest, kv_arena *arena, kv_token *out, kv_error *err)
{
    rest = kv_sv_cut(rest, '\n', &out->principal_id, NULL);
    out->generation = number(&rest);
    rest = kv_sv_cut(rest, '\n', &out->id, NULL);
    out->issued_s = number(&rest);
    out->expires_s = number(&rest);
    if (!rest.n) return KV_OK;
    kv_scope *scopes = KV_NEW(arena, kv_scope, KV_TOKEN_SCOPES_MAX);
    if (!scopes) return kv_fail(err, KV_E_NOMEM, "out of memory");
    out->scopes = scopes;
    while (rest.n && out->n_scopes < KV_TOKEN_SCOPES_MAX) {
        kv_sv line, allow;
        uint64_t bits = 0;
        rest = kv_sv_cut(rest, '\n', &line, NULL);
        scopes[out->n_scopes].repository = kv_sv_cut(line, ' ', &allow, NULL);
        if (kv_sv_to_u64(allow, &bits)) scopes[out->n_scopes].allow = (unsigned)(bits & 7);
        out->n_scopes++;
    }
    return KV_OK;
}

kv_code kv_token_parse(const uint8_t key[KV_MAC_BYTES], kv_sv text, int64_t now_s, kv_arena *arena,
                       kv_token *out, kv_error *err)
{
    kv_sv encoded;
    kv_auto_buf claims = KV_BUF(KV_TOKEN_TEXT_MAX);
    *out = (kv_token){0};
    if (!seal_ok(key, text, &encoded) || kv_base64_parse(encoded, &claims, NULL) != KV_OK)
        return kv_fail(err, KV_E_AUTH, "this token was not issued by this hub");
    kv_sv kept = kv_arena_dup(arena, kv_buf_sv(&claims));
    if (!kept.p) return kv_fail(err, KV_E_NOMEM, "out of memory");
    KV_TRY(read_claims(kept, arena, out, err));
    if (out->expires_s <= now_s) return kv_fail(err, KV_E_AUTH, "the token has expired");
    return KV_OK;
}

#include "http/range.h"

static bool all_digits(kv_sv s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9') return false;
    return s.n > 0;
}

/* Digits as a number; more than 64 bits hold is more than any content has. */
static uint64_t saturated(kv_sv digits)
{
    uint64_t n;
    return kv_sv_to_u64(digits, &n) ? n : UINT64_MAX;
}

kv_range_kind kv_range_parse(kv_sv value, uint64_t size, uint64_t *out_off, uint64_t *out_n)
{
    kv_sv unit, first;
    bool equals, dash;
    kv_sv last = kv_sv_cut(kv_sv_trim(value), '=', &unit, &equals);
    if (!equals || !kv_sv_eq_nocase(unit, KV_SV("bytes"))) return KV_RANGE_WHOLE;
    last = kv_sv_trim(kv_sv_cut(last, '-', &first, &dash));
    first = kv_sv_trim(first);
    if (!dash || (first.n && !all_digits(first)) || (last.n && !all_digits(last)) ||
        (!first.n && !last.n))
        return KV_RANGE_WHOLE;

    if (!first.n) { /* the last so many bytes */
        uint64_t n = saturated(last);
        if (n > size) n = size;
        if (n == 0) return KV_RANGE_NOWHERE;
        *out_off = size - n;
        *out_n = n;
        return KV_RANGE_PART;
    }
    uint64_t from = saturated(first), to = last.n ? saturated(last) : UINT64_MAX;
    if (from >= size || to < from) return KV_RANGE_NOWHERE;
    if (to >= size) to = size - 1;
    *out_off = from;
    *out_n = to - from + 1;
    return KV_RANGE_PART;
}

kv_code kv_content_range_parse(kv_sv value, kv_content_range *out, kv_error *err)
{
    kv_sv v = kv_sv_trim(value), part, first;
    bool slash, dash;
    if (kv_sv_starts(v, KV_SV("bytes "))) v = kv_sv_from(v, sizeof("bytes ") - 1);
    kv_sv total = kv_sv_cut(v, '/', &part, &slash);
    kv_sv last = kv_sv_cut(part, '-', &first, &dash);
    kv_content_range r = {.total = UINT64_MAX};
    bool ok = dash && kv_sv_to_u64(first, &r.first) && kv_sv_to_u64(last, &r.last) &&
              r.last >= r.first && r.last < UINT64_MAX;
    if (slash && !kv_sv_is(total, "*"))
        ok = ok && kv_sv_to_u64(total, &r.total) && r.last < r.total;
    if (!ok)
        return kv_fail(err, KV_E_SYNTAX, "'%.*s' is not a content range",
                       KV_ARG(kv_sv_sub(value, 0, 100)));
    *out = r;
    return KV_OK;
}

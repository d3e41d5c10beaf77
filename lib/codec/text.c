#include "codec/text.h"

#include <string.h>

static const char HEX[] = "0123456789abcdef";

void kv_hex_add(kv_buf *out, const void *p, size_t n)
{
    const uint8_t *b = p;
    size_t chars;
    char *at = kv_ckd_mul(&chars, n, (size_t)2) ? NULL : kv_buf_extend(out, chars);
    for (size_t i = 0; at && i < n; i++) {
        at[2 * i] = HEX[b[i] >> 4];
        at[2 * i + 1] = HEX[b[i] & 15];
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

bool kv_hex_parse(kv_sv text, void *out, size_t n)
{
    uint8_t *b = out;
    if (text.n / 2 != n || text.n % 2) return false;
    for (size_t i = 0; i < n; i++) {
        int hi = hex_digit(text.p[2 * i]), lo = hex_digit(text.p[2 * i + 1]);
        if (hi < 0 || lo < 0) return false;
        b[i] = (uint8_t)(hi << 4 | lo);
    }
    return true;
}

static void base64_add(kv_buf *out, kv_sv bytes, const char *alphabet, bool pad)
{
    const uint8_t *b = (const uint8_t *)bytes.p;
    for (size_t i = 0; i < bytes.n; i += 3) {
        size_t n = bytes.n - i < 3 ? bytes.n - i : 3;
        uint32_t v = (uint32_t)b[i] << 16;
        if (n > 1) v |= (uint32_t)b[i + 1] << 8;
        if (n > 2) v |= b[i + 2];
        for (size_t k = 0; k < 4; k++) {
            if (k <= n)
                kv_buf_addc(out, alphabet[(v >> (18 - 6 * k)) & 63]);
            else if (pad)
                kv_buf_addc(out, '=');
        }
    }
}

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

void kv_base64_add(kv_buf *out, kv_sv bytes)
{
    base64_add(out, bytes, LETTERS "+/", true);
}

void kv_base64url_add(kv_buf *out, kv_sv bytes, bool pad)
{
    base64_add(out, bytes, LETTERS "-_", pad);
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+' || c == '-') return 62;
    if (c == '/' || c == '_') return 63;
    return -1;
}

kv_code kv_base64_parse(kv_sv text, kv_buf *out, kv_error *err)
{
    size_t pad = 0;
    while (text.n && pad < 2 && text.p[text.n - 1] == '=') {
        text.n--;
        pad++;
    }
    if (text.n % 4 == 1 || (pad && (text.n + pad) % 4))
        return kv_fail(err, KV_E_SYNTAX, "base64 text has a wrong length");
    uint32_t v = 0;
    for (size_t i = 0; i < text.n; i++) {
        int d = base64_digit(text.p[i]);
        if (d < 0)
            return kv_fail(err, KV_E_SYNTAX, "base64 text has a wrong letter at byte %zu", i);
        v = v << 6 | (uint32_t)d;
        /* Letters 2, 3 and 4 of a group complete a byte each. */
        if (i % 4 == 1) kv_buf_addc(out, (char)(v >> 4 & 255));
        if (i % 4 == 2) kv_buf_addc(out, (char)(v >> 2 & 255));
        if (i % 4 == 3) kv_buf_addc(out, (char)(v & 255));
    }
    return kv_buf_check(out, err);
}

void kv_percent_add(kv_buf *out, kv_sv text, const char *keep)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c && (strchr(LETTERS "-._~", c) || strchr(keep, c)))
            kv_buf_addc(out, c);
        else
            kv_buf_addf(out, "%%%02X", (unsigned)(uint8_t)c);
    }
}

static int hex_digit_any(char c)
{
    return hex_digit(c >= 'A' && c <= 'F' ? (char)(c - 'A' + 'a') : c);
}

kv_code kv_percent_parse(kv_sv text, bool plus, kv_buf *out, kv_error *err)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '%') {
            int hi = i + 2 < text.n ? hex_digit_any(text.p[i + 1]) : -1;
            int lo = i + 2 < text.n ? hex_digit_any(text.p[i + 2]) : -1;
            if (hi < 0 || lo < 0 || (hi == 0 && lo == 0))
                return kv_fail(err, KV_E_SYNTAX, "broken percent-encoding at byte %zu", i);
            c = (char)(hi << 4 | lo);
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        kv_buf_addc(out, c);
    }
    return kv_buf_check(out, err);
}

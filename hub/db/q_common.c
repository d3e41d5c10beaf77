#include "hub/db/q_common.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void kv_q_copy(kv_sv text, char *out, size_t room)
{
    size_t n = text.n < room ? text.n : room - 1;
    if (n) memcpy(out, text.p, n);
    out[n] = '\0';
}

kv_code kv_q_none(kv_rows *r, kv_error *err, const char *fmt, ...)
{
    KV_TRY(kv_rows_end(r, err));
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return kv_fail(err, KV_E_NOTFOUND, "%s", text);
}

#include "kitvault/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static kv_code code_of_errno(int e)
{
    switch (e) {
    case ENOENT:
    case ENOTDIR: return KV_E_NOTFOUND;
    case EEXIST: return KV_E_EXISTS;
    case ENOMEM: return KV_E_NOMEM;
    case ENOSPC:
    case EDQUOT: return KV_E_NOSPACE;
    case EFBIG: return KV_E_LIMIT;
    default: return KV_E_IO;
    }
}

KV_PRINTF(3, 0)
static void fill(kv_error *err, kv_code code, const char *fmt, va_list ap)
{
    err->code = code;
    err->sys = 0;
    vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
}

kv_code kv_fail(kv_error *err, kv_code code, const char *fmt, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        fill(err, code, fmt, ap);
        va_end(ap);
    }
    return code;
}

kv_code kv_fail_sys(kv_error *err, const char *fmt, ...)
{
    int e = errno;
    kv_code code = code_of_errno(e);
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        fill(err, code, fmt, ap);
        va_end(ap);
        err->sys = e;
        size_t n = strlen(err->msg);
        char text[128];
        /* The GNU form returns the text; it may or may not use the buffer. */
        snprintf(err->msg + n, sizeof(err->msg) - n, ": %s", strerror_r(e, text, sizeof(text)));
    }
    errno = e;
    return code;
}

kv_code kv_wrap(kv_error *err, kv_code code, const char *fmt, ...)
{
    if (!err) return code;
    char context[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(context, sizeof(context), fmt, ap);
    va_end(ap);

    size_t n = strlen(context), old = strlen(err->msg);
    if (n + 2 + old >= sizeof(err->msg)) old = sizeof(err->msg) - n - 3;
    memmove(err->msg + n + 2, err->msg, old);
    err->msg[n + 2 + old] = '\0';
    memcpy(err->msg, context, n);
    err->msg[n] = ':';
    err->msg[n + 1] = ' ';
    err->code = code;
    return code;
}

kv_error_class kv_error_class_of(kv_code code)
{
    switch (code) {
    case KV_OK: return KV_CLASS_NONE;
    case KV_E_ARG: return KV_CLASS_USAGE;
    case KV_E_CANCELLED: return KV_CLASS_INTERRUPTED;
    case KV_E_NOTFOUND: return KV_CLASS_NOT_FOUND;
    case KV_E_AUTH:
    case KV_E_DENIED: return KV_CLASS_DENIED;
    case KV_E_CORRUPT:
    case KV_E_SYNTAX:
    case KV_E_INVALID:
    case KV_E_DIGEST: return KV_CLASS_DAMAGED;
    case KV_E_NETWORK:
    case KV_E_TIMEOUT:
    case KV_E_PROTOCOL: return KV_CLASS_NETWORK;
    case KV_E_POLICY: return KV_CLASS_REFUSED;
    case KV_E_NOMEM:
    case KV_E_INTERNAL:
    case KV_E_IO:
    case KV_E_EXISTS:
    case KV_E_BUSY:
    case KV_E_NOSPACE:
    case KV_E_LIMIT:
    case KV_E_RANGE:
    case KV_E_UNSUPPORTED: break;
    }
    return KV_CLASS_FAILED;
}

const char *kv_error_class_name(kv_error_class c)
{
    switch (c) {
    case KV_CLASS_NONE: return "none";
    case KV_CLASS_USAGE: return "usage";
    case KV_CLASS_NOT_FOUND: return "not found";
    case KV_CLASS_DENIED: return "denied";
    case KV_CLASS_DAMAGED: return "damaged";
    case KV_CLASS_NETWORK: return "network";
    case KV_CLASS_REFUSED: return "refused by policy";
    case KV_CLASS_INTERRUPTED: return "interrupted";
    case KV_CLASS_FAILED: break;
    }
    return "failed";
}

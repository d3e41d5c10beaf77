#pragma once
/* Errors of the whole library: a code to decide by, a sentence to show. */

#define KV_API __attribute__((visibility("default")))
#define KV_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define KV_MUST_CHECK __attribute__((warn_unused_result))

/** Why a call failed. Values are ABI: grouped, only appended. */
typedef enum kv_code {
    KV_OK = 0,
    KV_E_ARG = 1, /* the caller, or the user of the program, asked for something impossible */
    KV_E_NOMEM = 2,
    KV_E_CANCELLED = 3, /* the caller asked to stop (an interrupt) */
    KV_E_INTERNAL = 4,  /* a library underneath failed in a way that has no other name */
    KV_E_IO = 10,       /* kv_error.sys holds errno */
    KV_E_NOTFOUND = 11,
    KV_E_EXISTS = 12,
    KV_E_BUSY = 13,    /* somebody else holds the lock, session or file */
    KV_E_NOSPACE = 14, /* the disk or a quota is full */
    KV_E_CORRUPT = 20, /* bytes are not what they claim to be */
    KV_E_LIMIT = 21,   /* well formed, larger than we accept */
    KV_E_SYNTAX = 22,  /* text that does not parse */
    KV_E_INVALID = 23, /* parses, and breaks a rule */
    KV_E_DIGEST = 24,  /* content does not have the digest it should have */
    KV_E_RANGE = 25,   /* an offset or range that the object does not have */
    KV_E_NETWORK = 30, /* no connection, or it broke */
    KV_E_TIMEOUT = 31,
    KV_E_AUTH = 32,     /* not signed in, or with a wrong secret */
    KV_E_DENIED = 33,   /* signed in and not allowed */
    KV_E_PROTOCOL = 34, /* the peer answered something the protocol does not have */
    KV_E_UNSUPPORTED = 35,
    KV_E_POLICY = 36, /* a rule that somebody set says no */
} kv_code;

/** What kind of failure a code is, as programs around us tell them apart. Values are the exit
 * statuses of commands that kit does not have. Source: own; docs/guide.md, "When it fails". */
typedef enum kv_error_class {
    KV_CLASS_NONE = 0, /* no failure */
    KV_CLASS_FAILED = 1,
    KV_CLASS_USAGE = 2,
    KV_CLASS_NOT_FOUND = 3,
    KV_CLASS_DENIED = 4,
    KV_CLASS_DAMAGED = 5,
    KV_CLASS_NETWORK = 6,
    KV_CLASS_REFUSED = 7,
    KV_CLASS_INTERRUPTED = 130,
} kv_error_class;
KV_API kv_error_class kv_error_class_of(kv_code code);
/** "none", "failed", "usage", "not found", "denied", "damaged", "network", "refused by policy",
 * "interrupted". Static storage. */
KV_API const char *kv_error_class_name(kv_error_class c);

/* Room for the longest text that is one error: a Kitfile's list of problems. */
#define KV_ERROR_TEXT_MAX 4072

typedef struct kv_error {
    kv_code code;
    int sys;                     /* errno, or 0 */
    char msg[KV_ERROR_TEXT_MAX]; /* one finished sentence, lower case, no full stop */
} kv_error;

/** Fills err (may be NULL) and returns code: `return kv_fail(...)`. A text that is too long is cut. */
KV_API kv_code kv_fail(kv_error *err, kv_code code, const char *fmt, ...) KV_PRINTF(3, 4);
/** Same for a failed system call: keeps errno, picks the code from it, appends ": " and its text. */
KV_API kv_code kv_fail_sys(kv_error *err, const char *fmt, ...) KV_PRINTF(2, 3);
/** Puts "context: " in front of an error being passed up; returns code. */
KV_API kv_code kv_wrap(kv_error *err, kv_code code, const char *fmt, ...) KV_PRINTF(3, 4);

/** Passes a failure up; only where every resource is a cleanup variable. */
#define KV_TRY(call)                                                                               \
    do {                                                                                           \
        kv_code kv_rc_ = (call);                                                                   \
        if (kv_rc_ != KV_OK) return kv_rc_;                                                        \
    } while (0)

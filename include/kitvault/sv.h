#pragma once
/* Borrowed strings and the cleanup attribute, as the public headers use them. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** A borrowed run of bytes; not NUL-terminated. Lives as long as what it points into. */
typedef struct kv_sv {
    const char *p;
    size_t n;
} kv_sv;
/* clang-format off */
#define KV_SV_INIT(lit) {"" lit, sizeof(lit) - 1} /* for static tables */
/* clang-format on */
#define KV_SV(lit) ((kv_sv)KV_SV_INIT(lit))
/* For printf: "%.*s", KV_ARG(sv). */
#define KV_ARG(sv) (int)(sv).n, (sv).p

#define KV_CLEANUP(fn) __attribute__((cleanup(fn)))

/* Once per type: KV_DEFINE_AUTO(kv_store, kv_store_free). Then: kv_auto(kv_store) s = NULL; */
#define KV_DEFINE_AUTO(T, free_fn)                                                                 \
    typedef T *T##_autoptr; /* NOLINT(bugprone-macro-parentheses): a type */                       \
    static inline void T##_autofree(T##_autoptr *p)                                                \
    {                                                                                              \
        free_fn(*p);                                                                               \
    }
#define kv_auto(T) KV_CLEANUP(T##_autofree) T##_autoptr

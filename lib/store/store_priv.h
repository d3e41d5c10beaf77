#pragma once
/* Inside of a store object; for lib/store alone. */
#include <stdatomic.h>
#include <stdbool.h>

struct kv_store {
    char *home;
    bool waits;           /* kv_store_wait */
    atomic_bool prepared; /* directories and lists of an empty store are there */
};

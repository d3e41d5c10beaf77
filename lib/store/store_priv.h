#pragma once
/* Inside of a store object; for lib/store alone. */
#include <stdatomic.h>
#include <stdbool.h>

struct kv_store {
    char *home;
    bool relaxed;         /* kv_store_relax */
    atomic_bool prepared; /* directories and lists of an empty store are there */
};

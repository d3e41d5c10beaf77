#pragma once
/* Events that are counted and written in groups: kv_audit_count's table. For audit.c alone. */
#include "hub/service/audit.h"

#define KV_HOUR_US 3600000000LL
#define KV_COUNTED_MAX 8192 /* entries; about half a KiB each */

typedef struct kv_counted { /* one (action, outcome, actor, object, hour); owns its text */
    struct kv_counted *next;
    uint64_t hash;
    kv_principal who; /* with at most the one membership that matters */
    kv_member member;
    kv_event ev;
    int64_t hour_us;  /* when the hour began */
    uint64_t pending; /* counted and not written */
    bool written;     /* a leaf of this hour exists */
    bool in_hand;     /* being written */
} kv_counted;         /* its text lies behind it */

typedef struct kv_audit_counts kv_audit_counts; /* shared */
kv_audit_counts *kv_audit_counts_new(void);     /* NULL: no memory */
void kv_audit_counts_free(kv_audit_counts *c);
/** False: the table is full (or memory gone); write some and come again. */
bool kv_audit_counts_add(kv_audit_counts *c, const kv_principal *who, const kv_event *ev,
                         int64_t now_us);

typedef struct kv_due {
    const kv_counted *entry; /* stays until kv_audit_counts_done */
    uint64_t count;
} kv_due;
/**
 * Up to max entries to write: those no leaf tells of yet, those whose hour is over, with `all` every
 * one that has something pending. One caller at a time.
 */
size_t kv_audit_counts_due(kv_audit_counts *c, int64_t now_us, bool all, kv_due *out, size_t max);
/** Ends what kv_audit_counts_due began; written false: nothing was, all stays pending. */
void kv_audit_counts_done(kv_audit_counts *c, const kv_due *due, size_t n, bool written);
/** Forgets entries with nothing pending whose hour is over; with `all`, whatever their hour. */
void kv_audit_counts_forget(kv_audit_counts *c, int64_t now_us, bool all);

#pragma once
/*
 * Writing YAML with the bytes of kit's encoder (yaml.v3, indent 2): block style, lists indented
 * under their key, quotes where a reader could take text for something else. Lines are not folded.
 */
#include "base/str.h"
#include "kitvault/value.h"

#define KV_YOUT_DEPTH_MAX 72 /* own, above what readers accept; deeper sets buf->failed */

typedef struct kv_ylevel {
    unsigned indent; /* column of its keys or dashes */
    bool map, flow, empty;
} kv_ylevel;
typedef struct kv_yout { /* caller's storage, nothing to free; failures stick in buf */
    kv_buf *buf;
    unsigned depth;
    size_t column;
    bool whitespace; /* no blank is needed before the next thing */
    bool indention;  /* only indentation and dashes stand on this line so far */
    bool long_key;   /* "? key" was written: its value stands on a line of its own */
    kv_ylevel level[KV_YOUT_DEPTH_MAX];
} kv_yout;
kv_yout kv_yout_make(kv_buf *buf);
void kv_yout_map(kv_yout *y);
void kv_yout_seq(kv_yout *y, bool flow); /* within a flow list only scalars may stand */
void kv_yout_end(kv_yout *y);            /* of a map or list */
void kv_yout_key(kv_yout *y, kv_sv key);
void kv_yout_str(kv_yout *y, kv_sv s);
/** Maps are sorted as kit sorts them (item9 before item10); integers keep all their digits. */
void kv_yout_value(kv_yout *y, const kv_value *v);
/** Behind the root value: ends the last line. */
void kv_yout_finish(kv_yout *y);

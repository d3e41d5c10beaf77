#include "base/outfile.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum { PAGE = 4096 };

struct kv_outfile {
    int fd;
    const char *name;
    char *buffer;
    size_t fill;
    uint64_t written;
};

kv_outfile *kv_outfile_new(int fd, const char *name)
{
    kv_outfile *o = calloc(1, sizeof(*o));
    if (!o) return NULL;
    o->fd = fd;
    o->name = name;
    o->buffer = aligned_alloc(PAGE, KV_OUTFILE_BUFFER);
    if (o->buffer) return o;
    free(o);
    return NULL;
}

void kv_outfile_free(kv_outfile *o)
{
    if (!o) return;
    free(o->buffer);
    free(o);
}

static kv_code flush(kv_outfile *o, kv_error *err)
{
    KV_TRY(kv_pwrite_all(o->fd, o->name, o->buffer, o->fill, o->written, err));
    /* A hint: what it cannot do shows in the fsync. */
    (void)sync_file_range(o->fd, (off_t)o->written, (off_t)o->fill, SYNC_FILE_RANGE_WRITE);
    o->written += o->fill;
    o->fill = 0;
    return KV_OK;
}

char *kv_outfile_room(kv_outfile *o, size_t *out_n)
{
    *out_n = KV_OUTFILE_BUFFER - o->fill;
    return o->buffer + o->fill;
}

kv_code kv_outfile_took(kv_outfile *o, size_t n, kv_error *err)
{
    o->fill += n;
    return o->fill == KV_OUTFILE_BUFFER ? flush(o, err) : KV_OK;
}

kv_code kv_outfile_add(kv_outfile *o, const void *p, size_t n, kv_error *err)
{
    const char *at = p;
    while (n) {
        size_t room;
        char *dst = kv_outfile_room(o, &room);
        size_t step = n < room ? n : room;
        memcpy(dst, at, step);
        KV_TRY(kv_outfile_took(o, step, err));
        at += step;
        n -= step;
    }
    return KV_OK;
}

kv_code kv_outfile_end(kv_outfile *o, kv_error *err)
{
    return o->fill ? flush(o, err) : KV_OK;
}

uint64_t kv_outfile_size(const kv_outfile *o)
{
    return o->written + o->fill;
}

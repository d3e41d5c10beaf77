#include "hub/service/audit_count.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { N_BUCKETS = 2048 };

struct kv_audit_counts {
    pthread_mutex_t lock;
    size_t n;
    kv_counted *bucket[N_BUCKETS];
};

kv_audit_counts *kv_audit_counts_new(void)
{
    kv_audit_counts *c = calloc(1, sizeof *c);
    if (c) (void)pthread_mutex_init(&c->lock, NULL);
    return c;
}

void kv_audit_counts_free(kv_audit_counts *c)
{
    if (!c) return;
    for (size_t i = 0; i < N_BUCKETS; i++)
        while (c->bucket[i]) {
            kv_counted *e = c->bucket[i];
            c->bucket[i] = e->next;
            free(e);
        }
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}

static uint64_t mix(uint64_t h, kv_sv s)
{
    for (size_t i = 0; i < s.n; i++) h = (h ^ (unsigned char)s.p[i]) * 0x100000001b3u; /* FNV-1a */
    return (h ^ 0xff) * 0x100000001b3u;                                                /* an end */
}

/* Anonymous callers are told apart by their address. */
static kv_sv actor_key(const kv_principal *who)
{
    return who->id.n ? who->id : who->address;
}

static uint64_t hash_of(const kv_principal *who, const kv_event *ev)
{
    uint64_t h = 0xcbf29ce484222325u;
    h = mix(h, actor_key(who));
    h = mix(h, ev->object.digest);
    h = mix(h, ev->object.ref);
    h = mix(h, ev->object.id.n ? ev->object.id : ev->object.repo);
    return mix(h, kv_sv_of(ev->action));
}

static bool same(const kv_counted *e, const kv_principal *who, const kv_event *ev, int64_t hour_us)
{
    const kv_object *a = &e->ev.object, *b = &ev->object;
    return e->hour_us == hour_us && kv_sv_eq(actor_key(&e->who), actor_key(who)) &&
           strcmp(e->ev.action, ev->action) == 0 && e->ev.outcome == ev->outcome &&
           kv_sv_eq(e->ev.code, ev->code) && kv_sv_eq(a->id, b->id) &&
           kv_sv_eq(a->digest, b->digest) && kv_sv_eq(a->ref, b->ref) && kv_sv_eq(a->repo, b->repo);
}

static void keep(kv_sv *s, char **at)
{
    if (s->n) memcpy(*at, s->p, s->n);
    s->p = *at;
    *at += s->n;
}

static kv_counted *entry_new(const kv_principal *who, const kv_event *ev)
{
    kv_counted proto = {.who = *who, .ev = *ev};
    kv_member member = {0};
    for (size_t i = 0; i < who->n_members; i++)
        if (kv_sv_eq(who->members[i].ns, ev->object.ns)) member = who->members[i];
    kv_object *o = &proto.ev.object;
    kv_principal *w = &proto.who;
    kv_sv *const texts[] = {&w->id,         &w->name, &w->token_id, &w->address,    &w->user_agent,
                            &w->request_id, &o->id,   &o->ns,       &o->repo,       &o->ref,
                            &o->digest,     &o->name, &o->repo_id,  &proto.ev.code, &member.ns};
    size_t n = 0;
    for (size_t i = 0; i < KV_COUNT(texts); i++) n += texts[i]->n;
    kv_counted *e = malloc(sizeof *e + n);
    if (!e) return NULL;
    char *at = (char *)(e + 1); /* behind the padding, which the assignment below may write */
    for (size_t i = 0; i < KV_COUNT(texts); i++) keep(texts[i], &at);
    *e = proto;
    e->member = member;
    e->who.members = &e->member;
    e->who.n_members = member.ns.n != 0;
    e->who.scopes = NULL;
    e->who.n_scopes = 0;
    e->ev.pii = NULL;
    e->ev.n_pii = 0;
    e->ev.old_value = e->ev.new_value = e->ev.detail = KV_SV("");
    return e;
}

bool kv_audit_counts_add(kv_audit_counts *c, const kv_principal *who, const kv_event *ev,
                         int64_t now_us)
{
    int64_t hour_us = now_us - now_us % KV_HOUR_US;
    uint64_t hash = hash_of(who, ev);
    kv_counted **head = &c->bucket[hash % N_BUCKETS];
    pthread_mutex_lock(&c->lock);
    kv_counted *e = *head;
    while (e && !(e->hash == hash && same(e, who, ev, hour_us))) e = e->next;
    if (!e && c->n < KV_COUNTED_MAX && (e = entry_new(who, ev))) {
        e->hash = hash;
        e->hour_us = hour_us;
        e->next = *head;
        *head = e;
        c->n++;
    }
    if (e) e->pending++;
    pthread_mutex_unlock(&c->lock);
    return e;
}

size_t kv_audit_counts_due(kv_audit_counts *c, int64_t now_us, bool all, kv_due *out, size_t max)
{
    size_t n = 0;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; c->n && i < N_BUCKETS; i++)
        for (kv_counted *e = c->bucket[i]; e && n < max; e = e->next) {
            if (!e->pending || (!all && e->written && now_us < e->hour_us + KV_HOUR_US)) continue;
            e->in_hand = true;
            out[n++] = (kv_due){.entry = e, .count = e->pending};
        }
    pthread_mutex_unlock(&c->lock);
    return n;
}

void kv_audit_counts_done(kv_audit_counts *c, const kv_due *due, size_t n, bool written)
{
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < n; i++) {
        kv_counted *e = c->bucket[due[i].entry->hash % N_BUCKETS];
        while (e != due[i].entry) e = e->next;
        e->in_hand = false;
        if (!written) continue;
        e->pending -= due[i].count;
        e->written = true;
    }
    pthread_mutex_unlock(&c->lock);
}

void kv_audit_counts_forget(kv_audit_counts *c, int64_t now_us, bool all)
{
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; c->n && i < N_BUCKETS; i++)
        for (kv_counted **p = &c->bucket[i]; *p;) {
            kv_counted *e = *p;
            if (e->pending || e->in_hand || (!all && now_us < e->hour_us + KV_HOUR_US)) {
                p = &e->next;
                continue;
            }
            *p = e->next;
            free(e);
            c->n--;
        }
    pthread_mutex_unlock(&c->lock);
}

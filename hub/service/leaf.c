#include "hub/service/leaf.h"

#include "base/clock.h"
#include "json/json.h"

static void kstr(kv_jout *j, const char *key, kv_sv s)
{
    if (s.n) kv_jout_kstr(j, key, s);
}

static void kint(kv_jout *j, const char *key, uint64_t v)
{
    if (v) kv_jout_ku64(j, key, v);
}

static void kraw(kv_jout *j, const char *key, kv_sv json)
{
    if (!json.n) return;
    kv_jout_key(j, kv_sv_of(key));
    kv_jout_raw(j, json);
}

/* The role by which the actor could do this; the hub itself and a hub without authorisation use
 * none. */
static kv_role role_used(const kv_principal *who, kv_sv ns)
{
    if (who->everything) return KV_ROLE_NONE;
    if (who->admin) return KV_ROLE_ADMIN;
    for (size_t i = 0; ns.n && i < who->n_members; i++)
        if (kv_sv_eq(who->members[i].ns, ns)) return who->members[i].role;
    return KV_ROLE_NONE;
}

static void actor(kv_jout *j, const kv_principal *who, kv_sv ns)
{
    kv_role role = role_used(who, ns);
    kv_jout_key(j, KV_SV("actor"));
    kv_jout_obj(j);
    kint(j, "aal", who->aal);
    kstr(j, "authn", kv_sv_of(who->authn));
    kstr(j, "id", who->id);
    if (role != KV_ROLE_NONE) {
        kv_jout_key(j, KV_SV("roles"));
        kv_jout_arr(j);
        kv_jout_str(j, kv_sv_of(kv_role_name(role)));
        kv_jout_end_arr(j);
    }
    kstr(j, "token_id", who->token_id);
    kstr(j, "type", kv_sv_of(who->type));
    kv_jout_end_obj(j);
}

static void object(kv_jout *j, const kv_object *o)
{
    if (!o->type) return;
    kv_jout_key(j, KV_SV("object"));
    kv_jout_obj(j);
    kstr(j, "digest", o->digest);
    kstr(j, "id", o->id);
    kstr(j, "name", o->name);
    kstr(j, "ns", o->ns);
    kstr(j, "ref", o->ref);
    kstr(j, "repo", o->repo);
    kstr(j, "type", kv_sv_of(o->type));
    kv_jout_end_obj(j);
}

static void source(kv_jout *j, const kv_principal *who, kv_sv ip_hash)
{
    kv_sv ua = kv_sv_of(kv_user_agent_class(who->user_agent));
    if (!who->adapter && !ip_hash.n && !ua.n) return;
    kv_jout_key(j, KV_SV("source"));
    kv_jout_obj(j);
    kstr(j, "adapter", kv_sv_of(who->adapter));
    kstr(j, "ip_hash", ip_hash);
    kstr(j, "ua_class", ua);
    kv_jout_end_obj(j);
}

static const char *outcome_name(kv_outcome outcome)
{
    switch (outcome) {
    case KV_OUTCOME_OK: return "ok";
    case KV_OUTCOME_DENIED: return "denied";
    case KV_OUTCOME_FAILED: return "failed";
    }
    return "failed";
}

/* RFC 8785 sorts the members of every object, so they are written in that order here. */
kv_code kv_leaf_format(const kv_leaf *leaf, kv_buf *out, kv_error *err)
{
    const kv_event *ev = leaf->ev;
    char time[KV_TIME_TEXT_MAX];
    kv_time_format(leaf->time_us, 6, time);
    size_t before = out->n;
    kv_jout jout = kv_jout_make(out, KV_JSON_JCS, 0), *j = &jout;
    kv_jout_obj(j);
    kv_jout_kstr(j, "action", kv_sv_of(ev->action));
    actor(j, leaf->who, ev->object.ns);
    kstr(j, "code", ev->code);
    kraw(j, "detail", ev->detail);
    kraw(j, "new", ev->new_value);
    kstr(j, "node", leaf->node);
    object(j, &ev->object);
    kraw(j, "old", ev->old_value);
    kv_jout_kstr(j, "outcome", kv_sv_of(outcome_name(ev->outcome)));
    if (leaf->n_pii) {
        kv_jout_key(j, KV_SV("pii_hash"));
        kv_jout_obj(j);
        for (size_t i = 0; i < leaf->n_pii; i++) {
            kv_jout_key(j, leaf->pii[i].kind);
            kv_jout_str(j, leaf->pii[i].hash);
        }
        kv_jout_end_obj(j);
    }
    kint(j, "prev_object_seq", (uint64_t)leaf->prev_object_seq);
    kstr(j, "request_id", leaf->who->request_id);
    kv_jout_ku64(j, "seq", (uint64_t)leaf->seq);
    kint(j, "size", ev->size);
    source(j, leaf->who, leaf->ip_hash);
    kv_jout_kstr(j, "time", kv_sv_of(time));
    kv_jout_ku64(j, "v", 1);
    kv_jout_end_obj(j);
    KV_TRY(kv_buf_check(out, err));
    if (out->n - before > KV_LEAF_MAX)
        return kv_fail(err, KV_E_LIMIT, "an audit leaf of %zu bytes", out->n - before);
    return KV_OK;
}

void kv_object_key_add(const kv_object *o, kv_buf *out)
{
    if (!o->type || !o->id.n) return;
    kv_buf_addf(out, "%s:%.*s", o->type, KV_ARG(o->id));
    kv_sv own = kv_sv_is(kv_sv_of(o->type), "tag")    ? o->ref
                : kv_sv_is(kv_sv_of(o->type), "blob") ? o->digest
                                                      : KV_SV("");
    if (own.n) kv_buf_addf(out, ":%.*s", KV_ARG(own));
}

const char *kv_user_agent_class(kv_sv user_agent)
{
    static const struct {
        kv_sv starts;
        const char *name;
    } CLASSES[] = {
        {KV_SV_INIT("kitvault/"), "kitvault"},
        {KV_SV_INIT("kitops"), "kit"},
        {KV_SV_INIT("kit/"), "kit"},
        {KV_SV_INIT("oras"), "oras"},
        {KV_SV_INIT("docker/"), "docker"},
        {KV_SV_INIT("containerd/"), "containerd"},
        {KV_SV_INIT("containers/"), "containers"},
        {KV_SV_INIT("skopeo/"), "containers"},
        {KV_SV_INIT("crane/"), "crane"},
        {KV_SV_INIT("go-containerregistry"), "crane"},
        {KV_SV_INIT("regclient/"), "regclient"},
        {KV_SV_INIT("curl/"), "curl"},
        {KV_SV_INIT("python-"), "python"},
        {KV_SV_INIT("Python-"), "python"},
        {KV_SV_INIT("Go-http-client/"), "go"},
        {KV_SV_INIT("Mozilla/"), "browser"},
    };
    if (!user_agent.n) return "";
    for (size_t i = 0; i < KV_COUNT(CLASSES); i++)
        if (kv_sv_starts(user_agent, CLASSES[i].starts)) return CLASSES[i].name;
    return "other";
}

#include "base/clock.h"
#include "hub/handler/api.h"
#include "hub/handler/handlers.h"
#include "hub/service/user.h"

enum { ANSWER_MAX = 8 << 20 };

static void write_user(kv_jout *j, const kv_user *u)
{
    char created[KV_TIME_TEXT_MAX];
    kv_time_format(u->created_at_us, 6, created);
    kv_jout_obj(j);
    kv_jout_kstr(j, "id", u->id);
    kv_jout_kstr(j, "name", u->name);
    kv_jout_kstr(j, "kind", KV_SV("user"));
    kv_jout_kbool(j, "admin", u->admin);
    kv_jout_kbool(j, "disabled", u->disabled);
    kv_jout_kstr(j, "created_at", kv_sv_of(created));
    kv_jout_key(j, KV_SV("grants"));
    kv_jout_arr(j);
    for (size_t i = 0; i < u->n_grants; i++) {
        kv_jout_obj(j);
        kv_jout_kstr(j, "namespace", u->grants[i].ns);
        kv_jout_kstr(j, "role", kv_sv_of(kv_role_name(u->grants[i].role)));
        kv_jout_end_obj(j);
    }
    kv_jout_end_arr(j);
    kv_jout_end_obj(j);
}

/* Answers with the user as they are now. */
static kv_code answer_user(kv_hub *hub, kv_request *req, int status, kv_sv name, kv_error *err)
{
    kv_user u;
    kv_auto_buf body = KV_BUF(ANSWER_MAX);
    kv_arena *arena = kv_req_arena(req);
    if (!arena) return kv_fail(err, KV_E_NOMEM, "out of memory");
    KV_TRY(kv_user_get(hub->identity, kv_req_principal(req), name, arena, &u, err));
    kv_jout j = kv_jout_make(&body, KV_JSON_GO, 0);
    write_user(&j, &u);
    return kv_api_answer(req, status, &body, err);
}

kv_code kv_handle_api_me(kv_hub *hub, kv_request *req, kv_error *err)
{
    const kv_principal *who = kv_req_principal(req);
    if (who->id.n) return answer_user(hub, req, 200, who->name, err);
    return kv_respond_json(
        req, 200, KV_SV("{\"name\":\"\",\"kind\":\"anonymous\",\"admin\":true,\"grants\":[]}"),
        err);
}

kv_code kv_handle_api_users_get(kv_hub *hub, kv_request *req, kv_error *err)
{
    size_t limit;
    kv_sv cursor;
    kv_users users;
    kv_auto_buf body = KV_BUF(ANSWER_MAX);
    kv_arena *arena = kv_req_arena(req);
    if (!arena) return kv_fail(err, KV_E_NOMEM, "out of memory");
    KV_TRY(kv_api_page(req, &limit, &cursor, err));
    KV_TRY(kv_user_list(hub->identity, cursor, limit, arena, &users, err));
    kv_jout j = kv_jout_make(&body, KV_JSON_GO, 0);
    kv_jout_obj(&j);
    kv_jout_key(&j, KV_SV("items"));
    kv_jout_arr(&j);
    for (size_t i = 0; i < users.n; i++) write_user(&j, &users.items[i]);
    kv_jout_end_arr(&j);
    if (users.more) kv_jout_kstr(&j, "next_cursor", users.items[users.n - 1].name);
    kv_jout_end_obj(&j);
    return kv_api_answer(req, 200, &body, err);
}

kv_code kv_handle_api_users_post(kv_hub *hub, kv_request *req, kv_error *err)
{
    static const kv_jfield FIELDS[] = {
        KV_JFIELD(kv_new_user, name, "name", true),
        KV_JFIELD(kv_new_user, password, "password", true),
        KV_JFIELD(kv_new_user, email, "email", false),
        KV_JFIELD(kv_new_user, admin, "admin", false),
    };
    static const kv_jtable TABLE = {
        .fields = FIELDS, .n = KV_COUNT(FIELDS), .size = sizeof(kv_new_user), .strict = true};
    kv_new_user u;
    kv_auto(kv_jdoc) doc = NULL;
    KV_TRY(kv_api_body(req, &TABLE, &doc, &u, err));
    KV_TRY(kv_user_add(hub->identity, kv_req_principal(req), &u, err));
    kv_respond_addf(req, "Location", "/api/v1/users/%.*s", KV_ARG(u.name));
    return answer_user(hub, req, 201, u.name, err);
}

kv_code kv_handle_api_user_get(kv_hub *hub, kv_request *req, kv_error *err)
{
    return answer_user(hub, req, 200, kv_req_part(req, "user"), err);
}

kv_code kv_handle_api_user_password(kv_hub *hub, kv_request *req, kv_error *err)
{
    typedef struct new_password {
        kv_sv password;
    } new_password;
    static const kv_jfield FIELDS[] = {KV_JFIELD(new_password, password, "password", true)};
    static const kv_jtable TABLE = {
        .fields = FIELDS, .n = KV_COUNT(FIELDS), .size = sizeof(new_password), .strict = true};
    new_password p;
    kv_user self;
    kv_auto(kv_jdoc) doc = NULL;
    kv_sv name = kv_req_part(req, "user");
    const kv_principal *who = kv_req_principal(req);
    kv_arena *arena = kv_req_arena(req);
    if (!arena) return kv_fail(err, KV_E_NOMEM, "out of memory");
    KV_TRY(kv_user_get(hub->identity, who, name, arena, &self, err)); /* may who see that user? */
    KV_TRY(kv_api_body(req, &TABLE, &doc, &p, err));
    KV_TRY(kv_user_set_password(hub->identity, who, name, p.password, err));
    return kv_respond_empty(req, 204, err);
}

kv_code kv_handle_api_user_grant(kv_hub *hub, kv_request *req, kv_error *err)
{
    typedef struct new_grant {
        kv_sv role;
    } new_grant;
    static const kv_jfield FIELDS[] = {KV_JFIELD(new_grant, role, "role", true)};
    static const kv_jtable TABLE = {
        .fields = FIELDS, .n = KV_COUNT(FIELDS), .size = sizeof(new_grant), .strict = true};
    static const kv_role ROLES[] = {KV_ROLE_NONE, KV_ROLE_READ, KV_ROLE_WRITE};
    new_grant g;
    kv_auto(kv_jdoc) doc = NULL;
    kv_sv name = kv_req_part(req, "user");
    KV_TRY(kv_api_body(req, &TABLE, &doc, &g, err));
    for (size_t i = 0; i < KV_COUNT(ROLES); i++) {
        if (!kv_sv_is(g.role, kv_role_name(ROLES[i]))) continue;
        KV_TRY(kv_user_grant(hub->identity, kv_req_principal(req), name, kv_req_part(req, "ns"),
                             ROLES[i], err));
        return answer_user(hub, req, 200, name, err);
    }
    return kv_fail(err, KV_E_ARG, "role: expected read, write or none, not '%.*s'",
                   KV_ARG(kv_sv_sub(g.role, 0, 100)));
}

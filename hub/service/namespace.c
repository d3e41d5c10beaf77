#include "hub/service/namespace.h"

#include "hub/db/q_repository.h"

enum { NAME_MIN = 2, NAME_MAX = 64 };

static bool grammar_ok(kv_sv name)
{
    bool word = false; /* the last character was a letter or digit */
    if (name.n < NAME_MIN || name.n > NAME_MAX) return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool is_word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!is_word && (!word || (c != '.' && c != '_' && c != '-'))) return false;
        word = is_word;
    }
    return word;
}

/* Words that the hub's own pages and protocols begin with. */
static bool reserved(kv_sv name)
{
    static const char *const RESERVED[] = {
        "api",    "v2",      "r",     "ui",      "hf",      "mlflow", "dvc",     "vertex",
        "aws",    "tlog",    "blob",  "token",   "healthz", "readyz", "metrics", "login",
        "logout", "auditor", "admin", "explore", "search",  "static",
    };
    for (size_t i = 0; i < KV_COUNT(RESERVED); i++)
        if (kv_sv_is(name, RESERVED[i])) return true;
    return false;
}

bool kv_namespace_name_valid(kv_sv name)
{
    return kv_sv_is(name, "_") || (grammar_ok(name) && !reserved(name));
}

bool kv_user_name_valid(kv_sv name)
{
    return grammar_ok(name);
}

kv_code kv_namespace_ensure(kv_audit *audit, kv_tx *tx, const kv_principal *who, kv_sv ns,
                            char out_id[KV_UUID_MAX], kv_error *err)
{
    kv_error missing;
    kv_code rc = kv_q_namespace_find(tx, ns, out_id, &missing);
    if (rc == KV_OK) return KV_OK;
    if (rc != KV_E_NOTFOUND) return kv_fail(err, rc, "%s", missing.msg);
    if (reserved(ns))
        return kv_fail(err, KV_E_INVALID, "'%.*s' cannot be a namespace: the hub needs the word",
                       KV_ARG(ns));
    kv_uuid7(out_id);
    int64_t seq;
    kv_event ev = {.action = "namespace.created",
                   .object = {.type = "namespace", .id = kv_sv_of(out_id), .ns = ns}};
    KV_TRY(kv_audit_add(audit, tx, who, &ev, &seq, err));
    return kv_q_namespace_insert(tx, out_id, ns, kv_now_us(), seq, err);
}

/* The rules of a Kitfile. Source: kit-compat 1.2. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "kitfile/schema.h"

#define PART_TYPE_MAX 64u       /* kit's partTypeMaxLen */
#define PROBLEMS_MAX (8u << 20) /* bytes of all problems; own */
#define PROBLEM_MAX (64u << 10) /* bytes of one; own */
#define SERVERS_MAX 1000u       /* each is compared with each; own */

typedef struct user { /* a path, and the entry that has it */
    kv_sv path;
    kv_sv who;
    size_t order;
    bool quiet; /* its collisions are no errors to kit */
} user;

typedef struct checker {
    kv_arena *arena;
    user *users;
    size_t n_users, cap_users;
    kv_sv *problems;
    size_t n_problems, cap_problems;
    const kv_report *report;
    kv_error *err;
} checker;

static kv_code no_memory(const checker *c)
{
    return kv_fail(c->err, KV_E_LIMIT, "Kitfile needs too much memory to check");
}

static kv_code add_problem(checker *c, const kv_buf *text)
{
    if (!KV_GROW(c->problems, c->n_problems, &c->cap_problems)) return no_memory(c);
    kv_sv copy = kv_arena_dup(c->arena, kv_buf_sv(text));
    if (!copy.p) return no_memory(c);
    c->problems[c->n_problems++] = copy;
    return KV_OK;
}

#define PROBLEM(c, ...)                                                                            \
    do {                                                                                           \
        kv_auto_buf text_ = KV_BUF(PROBLEM_MAX);                                                   \
        kv_buf_addf(&text_, __VA_ARGS__);                                                          \
        KV_TRY(add_problem((c), &text_));                                                          \
    } while (0)

static kv_code add_user(checker *c, const kv_kitfile_iter *it)
{
    const kv_kitfile_entry *e = it->entry;
    kv_auto_buf who = KV_BUF(PROBLEM_MAX);
    switch (it->kind) {
    case KV_LAYER_MODEL: kv_buf_addf(&who, "model %.*s", KV_ARG(e->name)); break;
    case KV_LAYER_PART: kv_buf_addf(&who, "modelpart %.*s", KV_ARG(e->name)); break;
    case KV_LAYER_DATASET: kv_buf_addf(&who, "dataset %.*s", KV_ARG(e->name)); break;
    case KV_LAYER_CODE: kv_buf_addf(&who, "code layer %zu", it->index); break;
    case KV_LAYER_DOCS: kv_buf_addf(&who, "docs layer %zu", it->index); break;
    case KV_LAYER_MCPB: kv_buf_addf(&who, "mcpServer layer %zu", it->index); break;
    case KV_LAYER_PROMPT:
    case KV_LAYER_UNKNOWN: kv_buf_addf(&who, "prompt layer %zu", it->index); break;
    }
    if (!KV_GROW(c->users, c->n_users, &c->cap_users)) return no_memory(c);
    user *u = &c->users[c->n_users];
    /* kit names the datasets before code: the order in a message, not that of layers. */
    size_t rank = it->kind == KV_LAYER_DATASET ? 2 : it->kind == KV_LAYER_CODE ? 3 : it->section;
    *u = (user){.path = e->path.n ? e->path : KV_SV("."),
                .who = kv_arena_dup(c->arena, kv_buf_sv(&who)),
                .order = rank << 40 | it->index,
                .quiet = it->kind == KV_LAYER_PROMPT};
    if (!u->who.p) return no_memory(c);
    c->n_users++;
    return KV_OK;
}

/* --- one entry --- */

static bool is_word(char c, bool first)
{
    bool word = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_';
    return word || (!first && (c == '.' || c == '-'));
}

static kv_code check_part_type(checker *c, const kv_kitfile_entry *e)
{
    bool ok = true;
    for (size_t i = 0; i < e->type.n; i++) ok = ok && is_word(e->type.p[i], i == 0);
    if (!ok)
        PROBLEM(c,
                "modelpart %.*s has invalid type (must be alphanumeric with dots, dashes, and "
                "underscores)",
                KV_ARG(e->name));
    if (e->type.n > PART_TYPE_MAX)
        PROBLEM(c, "modelpart %.*s type is too long (must be fewer than %u characters)",
                KV_ARG(e->name), PART_TYPE_MAX);
    return KV_OK;
}

/* SCHEME of "SCHEME://...", else empty. A name with a colon alone is a file's name. */
static kv_sv url_scheme(kv_sv path)
{
    size_t n = kv_sv_find_sub(path, KV_SV("://"));
    if (n == SIZE_MAX || n == 0) return (kv_sv){"", 0};
    for (size_t i = 0; i < n; i++) {
        char c = path.p[i];
        bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
        bool other = (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
        if (!letter && (i == 0 || !other)) return (kv_sv){"", 0};
    }
    return kv_sv_sub(path, 0, n);
}

static const char *path_noun(kv_layer_kind kind)
{
    switch (kind) {
    case KV_LAYER_PART: return "model part";
    case KV_LAYER_CODE: return "code";
    case KV_LAYER_DATASET: return "dataset";
    case KV_LAYER_DOCS: return "doc";
    case KV_LAYER_PROMPT: return "prompt";
    case KV_LAYER_MCPB: return "mcpServer";
    case KV_LAYER_MODEL:
    case KV_LAYER_UNKNOWN: break;
    }
    return "model";
}

static kv_code check_path(checker *c, const kv_kitfile_iter *it, kv_sv who)
{
    kv_sv path = it->entry->path;
    if (it->kind == KV_LAYER_MODEL && kv_kitfile_is_reference(path)) return KV_OK;
    kv_sv scheme = url_scheme(path);
    if (kv_sv_is(scheme, "http") || kv_sv_is(scheme, "https"))
        PROBLEM(c, "HTTP urls are not supported in paths (%.*s)", KV_ARG(path));
    else if (kv_sv_is(scheme, "s3") && it->kind == KV_LAYER_MODEL)
        PROBLEM(c,
                "invalid path for model: only local paths and ModelKit references are permitted");
    else if (kv_sv_is(scheme, "s3"))
        PROBLEM(c, "invalid path for %s (%.*s): only local paths are permitted",
                path_noun(it->kind), KV_ARG(path));
    else if (scheme.n)
        PROBLEM(c, "unrecognized URL in path: %.*s", KV_ARG(path));
    else if (path.n && path.p[0] != '/' && !kv_path_is_local(path))
        PROBLEM(c, "paths must stay within the context directory (path %.*s in %.*s)", KV_ARG(path),
                KV_ARG(who));
    return KV_OK;
}

static kv_code check_remote(checker *c, const kv_kitfile_entry *e)
{
    if (!e->remote_path.n && e->remote_hash.n)
        PROBLEM(c, "remote hash is only applicable when remotePath is set");
    if (!e->remote_path.n) return KV_OK;
    if (!kv_sv_is(url_scheme(e->remote_path), "s3"))
        PROBLEM(c, "only S3 URLs are supported for remote dataset paths (%.*s)",
                KV_ARG(e->remote_path));
    if (!e->remote_hash.n)
        PROBLEM(c, "remoteHash is required when remote dataset paths are used (%.*s)",
                KV_ARG(e->remote_path));
    return KV_OK;
}

static kv_code check_bundle(checker *c, const kv_kitfile_entries *all, size_t i)
{
    const kv_kitfile_entry *e = &all->items[i];
    if (!kv_sv_ends(e->path, KV_SV(".mcpb")))
        PROBLEM(c, "mcpServer layer %zu has path %.*s, which does not end in .mcpb", i,
                KV_ARG(e->path));
    if (!e->name.n) PROBLEM(c, "mcpServer layer %zu has no name", i);
    for (size_t k = 0; e->name.n && k < i; k++) {
        if (!kv_sv_eq(all->items[k].name, e->name)) continue;
        PROBLEM(c, "mcpServer layers %zu and %zu have the same name %.*s", k, i, KV_ARG(e->name));
        break;
    }
    return KV_OK;
}

static kv_code check_entries(checker *c, const kv_kitfile *kf)
{
    if (kf->mcp_servers.n > SERVERS_MAX)
        return kv_fail(c->err, KV_E_LIMIT, "Kitfile has more than %u mcpServers", SERVERS_MAX);
    kv_kitfile copy = *kf; /* the iteration lets its user set digests; this one does not */
    kv_kitfile_iter it = kv_kitfile_begin(&copy);
    while (kv_kitfile_next(&it)) {
        KV_TRY(add_user(c, &it));
        KV_TRY(check_path(c, &it, c->users[c->n_users - 1].who));
        if (it.kind == KV_LAYER_PART && it.entry->type.n) KV_TRY(check_part_type(c, it.entry));
        if (it.kind == KV_LAYER_DATASET) KV_TRY(check_remote(c, it.entry));
        if (it.kind == KV_LAYER_MCPB) KV_TRY(check_bundle(c, &kf->mcp_servers, it.index));
    }
    return KV_OK;
}

/* --- paths used twice --- */

static int by_path(const void *a, const void *b)
{
    const user *x = a, *y = b;
    int c = kv_sv_cmp(x->path, y->path);
    return c ? c : x->order < y->order ? -1 : x->order > y->order;
}

/* "A and B", "A, B and C" */
static void join_users(kv_buf *out, const user *u, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i) kv_buf_adds(out, i + 1 == n ? " and " : ", ");
        kv_buf_add(out, u[i].who);
    }
    kv_buf_addf(out, " use the same path %.*s", KV_ARG(u[0].path));
}

static kv_code check_group(checker *c, const user *u, size_t n)
{
    size_t loud = 0;
    while (loud < n && !u[loud].quiet) loud++; /* prompts come last */
    kv_auto_buf text = KV_BUF(PROBLEM_MAX);
    if (n > 1) join_users(&text, u, loud > 1 ? loud : n);
    if (loud > 1)
        KV_TRY(add_problem(c, &text));
    else if (n > 1)
        kv_say(c->report, KV_WARN, "%s", text.p ? text.p : "");
    if (u[0].path.p[0] == '/')
        PROBLEM(c, "absolute paths are not supported in a Kitfile (path %.*s in %.*s)",
                KV_ARG(u[0].path), KV_ARG(u[0].who));
    return KV_OK;
}

static kv_code check_users(checker *c)
{
    if (c->n_users) qsort(c->users, c->n_users, sizeof(*c->users), by_path);
    for (size_t from = 0, to; from < c->n_users; from = to) {
        to = from + 1;
        while (to < c->n_users && kv_sv_eq(c->users[to].path, c->users[from].path)) to++;
        KV_TRY(check_group(c, c->users + from, to - from));
    }
    return KV_OK;
}

static int by_text(const void *a, const void *b)
{
    return kv_sv_cmp(*(const kv_sv *)a, *(const kv_sv *)b);
}

static kv_code conclude(checker *c)
{
    if (!c->n_problems) return KV_OK;
    qsort(c->problems, c->n_problems, sizeof(*c->problems), by_text);
    kv_auto_buf all = KV_BUF(KV_ERROR_TEXT_MAX);
    for (size_t i = 0; i < c->n_problems; i++)
        kv_buf_addf(&all, "\n  * %.*s", KV_ARG(c->problems[i]));
    return kv_fail(c->err, KV_E_INVALID, "errors while validating Kitfile: %s", all.p ? all.p : "");
}

kv_code kv_kitfile_validate(const kv_kitfile *kf, const kv_report *report, kv_error *err)
{
    kv_auto(kv_arena) arena = kv_arena_new(PROBLEMS_MAX);
    checker c = {.arena = arena, .report = report, .err = err};
    kv_code rc = arena ? check_entries(&c, kf) : kv_fail(err, KV_E_NOMEM, "out of memory");
    if (rc == KV_OK) rc = check_users(&c);
    if (rc == KV_OK) rc = conclude(&c);
    free(c.users);
    free(c.problems);
    return rc;
}

/* One field of a Kitfile, for `info --filter`. Source: kit-compat 8, quirk 10. */
#include "kitfile/kitfile_out.h"
#include "kitfile/schema.h"

/* \.?[a-zA-Z0-9_-]+(\.[a-zA-Z0-9_-]+)* */
static bool is_field_path(kv_sv s)
{
    if (s.n && s.p[0] == '.') s = kv_sv_from(s, 1);
    bool dot = true; /* a name is due */
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool name = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
                    c == '_' || c == '-';
        if (!name && (c != '.' || dot)) return false;
        dot = !name;
    }
    return !dot;
}

/* The struct that f of p leads into, NULL where no further step is possible. */
static const void *step_into(const kf_field *f, const void *p)
{
    if (f->kind == KF_STRUCT) return KF_GET(char, p, f);
    if (f->kind == KF_POINTER) return *KF_GET(const kv_kitfile_model *, p, f);
    return NULL;
}

static const kf_field *walk(const kv_kitfile *kf, kv_sv path, const void **out_p)
{
    const kf_type *type = &kf_kitfile;
    const void *p = kf;
    const kf_field *f = NULL;
    for (bool more = true; more;) {
        kv_sv name;
        path = kv_sv_cut(path, '.', &name, &more);
        if (f && !(p = step_into(f, p))) return NULL;
        if (f) type = f->sub;
        f = kf_find(type, name, true); /* kit wants dataSets, JSON has datasets */
        if (!f) return NULL;
    }
    *out_p = p;
    return f;
}

kv_code kv_kitfile_select(const kv_kitfile *kf, kv_sv field, char **out, size_t *out_n,
                          kv_error *err)
{
    if (kv_sv_find(field, '[') != SIZE_MAX)
        return kv_fail(err, KV_E_ARG,
                       "invalid filter: array access using '[]' is not currently supported");
    if (!is_field_path(field))
        return kv_fail(err, KV_E_ARG, "invalid filter: invalid filter: %.*s", KV_ARG(field));
    const void *p = NULL;
    const kf_field *f = walk(kf, field.p[0] == '.' ? kv_sv_from(field, 1) : field, &p);
    if (!f) return kv_fail(err, KV_E_NOTFOUND, "error filtering output: cannot find required node");

    kv_auto_buf b = KV_BUF(KF_TEXT_MAX);
    kv_yout y = kv_yout_make(&b);
    kf_write_yaml(&y, f, p, false);
    kv_yout_finish(&y);
    return kf_take(&b, out, out_n, err);
}

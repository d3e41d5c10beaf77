#include "cli/template.h"

typedef struct state {
    kv_buf *out;
    const kv_template_field *fields;
    size_t n_fields;
    bool reading; /* only the form counts: there are no fields, and nothing is printed */
    kv_error *err;
} state;

static bool blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static kv_sv trim_left(kv_sv s)
{
    while (s.n && blank(s.p[0])) s = kv_sv_from(s, 1);
    return s;
}

static kv_sv trim_right(kv_sv s)
{
    while (s.n && blank(s.p[s.n - 1])) s.n--;
    return s;
}

/* --- words of an action --- */

/* The end of a quoted constant that begins at s, or 0 when it is not closed. */
static size_t quoted_length(kv_sv s)
{
    char quote = s.p[0];
    for (size_t i = 1; i < s.n; i++) {
        if (s.p[i] == '\\' && quote == '"')
            i++;
        else if (s.p[i] == quote)
            return i + 1;
    }
    return 0;
}

/* Takes the next word off *rest; empty at the end. A quoted constant is one word. */
static kv_code next_word(const state *t, kv_sv *rest, kv_sv *out)
{
    kv_sv s = trim_left(*rest);
    size_t n = 0;
    if (s.n && (s.p[0] == '"' || s.p[0] == '`')) {
        n = quoted_length(s);
        if (!n) return kv_fail(t->err, KV_E_SYNTAX, "unterminated quoted string");
    } else {
        while (n < s.n && !blank(s.p[n])) n++;
    }
    *out = kv_sv_sub(s, 0, n);
    *rest = kv_sv_from(s, n);
    return KV_OK;
}

static kv_code find_field(const state *t, kv_sv word, const kv_template_field **out)
{
    static const kv_template_field ANY = {0};
    kv_sv name = kv_sv_from(word, 1);
    if (t->reading) {
        *out = &ANY;
        return KV_OK;
    }
    for (size_t i = 0; i < t->n_fields; i++) {
        if (!kv_sv_is(name, t->fields[i].name)) continue;
        *out = &t->fields[i];
        return KV_OK;
    }
    return kv_fail(t->err, KV_E_INVALID, "can't evaluate field %.*s", KV_ARG(name));
}

/* --- what they print --- */

static void put_field(const state *t, const kv_template_field *f)
{
    if (!f->items) {
        kv_buf_add(t->out, f->text);
        return;
    }
    kv_buf_addc(t->out, '[');
    for (size_t i = 0; i < f->n_items; i++) {
        if (i) kv_buf_addc(t->out, ' ');
        kv_buf_add(t->out, f->items[i]);
    }
    kv_buf_addc(t->out, ']');
}

static kv_code put_constant(const state *t, kv_sv word)
{
    kv_sv body = kv_sv_sub(word, 1, word.n - 1);
    if (word.p[0] == '`') {
        kv_buf_add(t->out, body);
        return KV_OK;
    }
    for (size_t i = 0; i < body.n; i++) {
        char c = body.p[i];
        if (c == '\\') {
            c = body.p[++i]; /* next_word found a quote behind it, so there is one more */
            if (c == 'n')
                c = '\n';
            else if (c == 't')
                c = '\t';
            else if (c != '"' && c != '\\')
                return kv_fail(t->err, KV_E_SYNTAX, "unknown escape \\%c", c);
        }
        kv_buf_addc(t->out, c);
    }
    return KV_OK;
}

/* index .Tags N */
static kv_code put_element(const state *t, kv_sv *rest)
{
    kv_sv field = {0}, number = {0};
    uint64_t at;
    const kv_template_field *f = NULL;
    KV_TRY(next_word(t, rest, &field));
    KV_TRY(next_word(t, rest, &number));
    if (!field.n || field.p[0] != '.' || !number.n)
        return kv_fail(t->err, KV_E_SYNTAX, "index needs a list and a number");
    KV_TRY(find_field(t, field, &f));
    if (!kv_sv_to_u64(number, &at))
        return kv_fail(t->err, KV_E_SYNTAX, "cannot index with %.*s", KV_ARG(number));
    if (t->reading) return KV_OK;
    if (f->items) {
        if (at >= f->n_items)
            return kv_fail(t->err, KV_E_INVALID, "error calling index: index out of range: %.*s",
                           KV_ARG(number));
        kv_buf_add(t->out, f->items[at]);
        return KV_OK;
    }
    return kv_fail(t->err, KV_E_INVALID, "can't index %.*s, which is no list", KV_ARG(field));
}

static kv_code put_action(const state *t, kv_sv action)
{
    kv_sv word = {0}, more = {0}, rest = action;
    KV_TRY(next_word(t, &rest, &word));
    if (!word.n) return kv_fail(t->err, KV_E_SYNTAX, "missing value for command");
    if (kv_sv_is(word, "index")) {
        KV_TRY(put_element(t, &rest));
    } else if (word.p[0] == '"' || word.p[0] == '`') {
        KV_TRY(put_constant(t, word));
    } else if (word.p[0] == '.') {
        const kv_template_field *f = NULL;
        KV_TRY(find_field(t, word, &f));
        put_field(t, f);
    } else {
        return kv_fail(t->err, KV_E_SYNTAX, "function \"%.*s\" not defined", KV_ARG(word));
    }
    KV_TRY(next_word(t, &rest, &more));
    if (more.n) return kv_fail(t->err, KV_E_SYNTAX, "unexpected %.*s in command", KV_ARG(more));
    return KV_OK;
}

/* --- text and actions --- */

/* Takes one action, "{{" already cut off, and the closing braces off *rest. trim_after: "-}}". */
static kv_code cut_action(const state *t, kv_sv *rest, kv_sv *out, bool *trim_after)
{
    kv_sv s = *rest;
    size_t i = 0;
    for (;;) {
        if (i + 1 >= s.n) return kv_fail(t->err, KV_E_SYNTAX, "unclosed action");
        if (s.p[i] == '}' && s.p[i + 1] == '}') break;
        if (s.p[i] == '"' || s.p[i] == '`') {
            size_t n = quoted_length(kv_sv_from(s, i));
            if (!n) return kv_fail(t->err, KV_E_SYNTAX, "unterminated quoted string");
            i += n;
        } else {
            i++;
        }
    }
    kv_sv action = kv_sv_sub(s, 0, i);
    *rest = kv_sv_from(s, i + 2);
    *trim_after = action.n >= 2 && kv_sv_ends(action, KV_SV("-")) && blank(action.p[action.n - 2]);
    if (*trim_after) action.n--;
    *out = action;
    return KV_OK;
}

static bool is_comment(kv_sv action)
{
    kv_sv s = kv_sv_trim(action);
    return s.n >= 4 && kv_sv_starts(s, KV_SV("/*")) && kv_sv_ends(s, KV_SV("*/"));
}

static kv_code format(const state *t, kv_sv rest)
{
    bool trim_next = false;
    while (rest.n) {
        size_t at = kv_sv_find_sub(rest, KV_SV("{{"));
        kv_sv text = kv_sv_sub(rest, 0, at);
        if (trim_next) text = trim_left(text);
        bool found = at != SIZE_MAX;
        rest = found ? kv_sv_from(rest, at + 2) : KV_SV("");
        bool trim_before = rest.n >= 2 && rest.p[0] == '-' && blank(rest.p[1]);
        if (trim_before) {
            text = trim_right(text);
            rest = kv_sv_from(rest, 1);
        }
        kv_buf_add(t->out, text);
        if (!found) break;
        kv_sv action = {0};
        KV_TRY(cut_action(t, &rest, &action, &trim_next));
        if (!is_comment(action)) KV_TRY(put_action(t, action));
    }
    return kv_buf_check(t->out, t->err);
}

kv_code kv_template_format(kv_buf *out, kv_sv template_text, const kv_template_field *fields,
                           size_t n_fields, kv_error *err)
{
    state t = {.out = out, .fields = fields, .n_fields = n_fields, .err = err};
    return format(&t, template_text);
}

kv_code kv_template_check(kv_sv template_text, kv_error *err)
{
    kv_auto_buf nowhere = KV_BUF(template_text.n + 1);
    state t = {.out = &nowhere, .reading = true, .err = err};
    return format(&t, template_text);
}

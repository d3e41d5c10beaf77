#include "cli/hub_event.h"

const kv_sv kv_event_head[KV_EVENT_COLUMNS] = {
    KV_SV_INIT("SEQ"),   KV_SV_INIT("TIME"), KV_SV_INIT("WHO"),
    KV_SV_INIT("EVENT"), KV_SV_INIT("WHAT"),
};

enum { CELL_MAX = 16384 };

static kv_sv text_at(const kv_json *obj, const char *outer, const char *key)
{
    return kv_json_str(kv_json_get(kv_json_get(obj, outer), key));
}

/* "sha256:" and twelve digits: enough to tell versions apart, and to find them. */
static kv_sv short_digest(kv_sv digest)
{
    enum { SHOWN = 19 };
    return kv_sv_sub(digest, 0, SHOWN);
}

/* A name may hold anything; nothing of it may command the terminal: C0, DEL, and C1, which UTF-8
 * writes as c2 80 to c2 9f. Broken UTF-8 prints as it is. */
static void add_visible(kv_buf *out, kv_sv text)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        unsigned char next = i + 1 < text.n ? (unsigned char)text.p[i + 1] : 0;
        bool c1 = (c == 0xc2 && next >= 0x80 && next <= 0x9f);
        if (c1) i++;
        kv_buf_addc(out, c < ' ' || c == 0x7f || c1 ? '?' : text.p[i]);
    }
}

static void add_part(kv_buf *out, const char *before, kv_sv text)
{
    if (!text.n) return;
    kv_buf_adds(out, before);
    add_visible(out, text);
}

/* repo:tag, repo@digest, a namespace, a name; then "old -> new", a number, a role. */
static void add_what(kv_buf *out, const kv_json *leaf)
{
    kv_sv repo = text_at(leaf, "object", "repo"), ref = text_at(leaf, "object", "ref");
    kv_sv digest = text_at(leaf, "object", "digest"), name = text_at(leaf, "object", "name");
    kv_sv old_digest = text_at(leaf, "old", "digest"), new_digest = text_at(leaf, "new", "digest");
    bool moves = old_digest.n || new_digest.n;
    add_part(out, "", repo);
    add_part(out, repo.n ? ":" : "", ref);
    if (!moves) add_part(out, repo.n ? "@" : "", short_digest(digest));
    add_part(out, repo.n ? " " : "", name);
    if (!repo.n) add_part(out, out->n ? " in " : "", text_at(leaf, "object", "ns"));
    if (moves) {
        add_part(out, " ", old_digest.n ? short_digest(old_digest) : KV_SV("(none)"));
        add_part(out, " -> ", new_digest.n ? short_digest(new_digest) : KV_SV("(none)"));
    }
    add_part(out, " n:", kv_json_num_text(kv_json_get(kv_json_get(leaf, "new"), "number")));
    add_part(out, " ", text_at(leaf, "new", "role"));
    add_part(out, " x", kv_json_num_text(kv_json_get(kv_json_get(leaf, "detail"), "count")));
    add_part(out, " ", kv_json_str(kv_json_get(leaf, "code")));
}

static void add_who(kv_buf *out, const kv_json *event, const kv_json *leaf)
{
    kv_sv name = kv_json_str(kv_json_get(event, "actor_name"));
    add_visible(out, name.n ? name : text_at(leaf, "actor", "type"));
}

static void add_event(kv_buf *out, const kv_json *leaf)
{
    kv_sv outcome = kv_json_str(kv_json_get(leaf, "outcome"));
    add_visible(out, kv_json_str(kv_json_get(leaf, "action")));
    if (outcome.n && !kv_sv_is(outcome, "ok")) add_part(out, " ", outcome);
}

kv_code kv_event_row(kv_table *table, const kv_json *event, kv_error *err)
{
    const kv_json *leaf = kv_json_get(event, "leaf");
    kv_auto_buf who = KV_BUF(CELL_MAX), action = KV_BUF(CELL_MAX), what = KV_BUF(CELL_MAX);
    kv_auto_buf time = KV_BUF(CELL_MAX);
    add_who(&who, event, leaf);
    add_event(&action, leaf);
    add_what(&what, leaf);
    add_visible(&time, kv_json_str(kv_json_get(leaf, "time")));
    const kv_sv row[KV_EVENT_COLUMNS] = {
        kv_json_num_text(kv_json_get(leaf, "seq")),
        kv_buf_sv(&time),
        kv_buf_sv(&who),
        kv_buf_sv(&action),
        kv_buf_sv(&what),
    };
    return kv_table_add(table, row, err);
}

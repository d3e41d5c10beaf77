#include "kitfile/skill.h"

#include "kitfile/schema.h"
#include "yaml/yaml.h"

#define SKILL_NODES_MAX (1u << 20) /* bytes of nodes; own */

/* The lines between the first "---" and the next one. */
static bool front_matter(kv_sv text, kv_sv *out)
{
    kv_sv line;
    bool more;
    kv_sv rest = kv_sv_cut(text, '\n', &line, &more);
    if (!kv_sv_is(kv_sv_trim(line), "---")) return false;
    const char *start = rest.p;
    while (more) {
        kv_sv next = kv_sv_cut(rest, '\n', &line, &more);
        if (kv_sv_is(kv_sv_trim(line), "---")) {
            *out = (kv_sv){start, (size_t)(line.p - start)};
            return true;
        }
        rest = next;
    }
    return false;
}

static kv_sv text_of(const kv_value *map, const char *key)
{
    for (size_t i = 0; i < map->n; i++)
        if (kv_sv_is(map->members[i].key, key) && map->members[i].value->kind == KV_VSTRING)
            return map->members[i].value->s;
    return (kv_sv){"", 0};
}

void kf_skill_of(kv_sv text, kv_arena *arena, kf_skill *out)
{
    *out = (kf_skill){0};
    kv_sv yaml;
    kv_auto(kv_ydoc) doc = NULL;
    if (!front_matter(text, &yaml)) return;
    if (kv_ydoc_parse(yaml, KV_KITFILE_DEPTH_MAX, SKILL_NODES_MAX, &doc, NULL) != KV_OK) return;
    if (!kv_ydoc_root(doc)) return;
    kv_ydec d = kv_ydec_make(arena, KV_KITFILE_DEPTH_MAX, NULL);
    const kv_value *v = kv_ydec_value(&d, kv_ydoc_root(doc));
    if (kv_ydec_end(&d) != KV_OK || !v || v->kind != KV_VMAP) return;
    out->name = text_of(v, "name");
    out->description = text_of(v, "description");
    out->license = text_of(v, "license");
}

#include "kitfile/schema.h"

/* clang-format off */
#define TEXT(T, m, k) {.key = (k), .off = offsetof(T, m), .kind = KF_STRING}
#define KEPT(T, m, k) {.key = (k), .off = offsetof(T, m), .kind = KF_STRING, .keep_json = true, .keep_yaml = true}
#define LIST(T, m, k, t) {.key = (k), .off = offsetof(T, m), .kind = KF_LIST, .sub = (t)}
#define DIGESTS(T, p) {.key = "digest", .off = offsetof(T, p digest), .kind = KF_DIGEST}, \
    {.key = "diffId", .off = offsetof(T, p diff_id), .kind = KF_DIGEST}
#define TYPE(id, go, f) static const kf_type id = {"artifact." go, "[]artifact." go, f, KV_COUNT(f)}

/* Order is that of both written forms. Source: kit-compat 1.1. */
static const kf_field PART_FIELDS[] = {
    TEXT(kv_kitfile_entry, name, "name"),
    TEXT(kv_kitfile_entry, path, "path"),
    TEXT(kv_kitfile_entry, license, "license"),
    TEXT(kv_kitfile_entry, type, "type"),
    DIGESTS(kv_kitfile_entry, ),
};
TYPE(PART, "ModelPart", PART_FIELDS);

static const kf_field MODEL_FIELDS[] = {
    TEXT(kv_kitfile_model, entry.name, "name"),
    TEXT(kv_kitfile_model, entry.path, "path"),
    TEXT(kv_kitfile_model, entry.license, "license"),
    TEXT(kv_kitfile_model, framework, "framework"),
    TEXT(kv_kitfile_model, format, "format"),
    TEXT(kv_kitfile_model, version, "version"),
    TEXT(kv_kitfile_model, entry.description, "description"),
    LIST(kv_kitfile_model, parts, "parts", &PART),
    {.key = "parameters", .off = offsetof(kv_kitfile_model, entry.parameters), .kind = KF_VALUE},
    DIGESTS(kv_kitfile_model, entry.),
};
TYPE(MODEL, "Model", MODEL_FIELDS);

static const kf_field CODE_FIELDS[] = {
    TEXT(kv_kitfile_entry, path, "path"),
    TEXT(kv_kitfile_entry, description, "description"),
    TEXT(kv_kitfile_entry, license, "license"),
    DIGESTS(kv_kitfile_entry, ),
};
TYPE(CODE, "Code", CODE_FIELDS);

static const kf_field DATASET_FIELDS[] = {
    TEXT(kv_kitfile_entry, name, "name"),
    TEXT(kv_kitfile_entry, path, "path"),
    TEXT(kv_kitfile_entry, remote_path, "remotePath"),
    TEXT(kv_kitfile_entry, remote_hash, "remoteHash"),
    TEXT(kv_kitfile_entry, description, "description"),
    TEXT(kv_kitfile_entry, license, "license"),
    {.key = "parameters", .off = offsetof(kv_kitfile_entry, parameters), .kind = KF_VALUE},
    DIGESTS(kv_kitfile_entry, ),
};
TYPE(DATASET, "DataSet", DATASET_FIELDS);

static const kf_field DOCS_FIELDS[] = {
    KEPT(kv_kitfile_entry, path, "path"),
    TEXT(kv_kitfile_entry, description, "description"),
    DIGESTS(kv_kitfile_entry, ),
};
TYPE(DOCS, "Docs", DOCS_FIELDS);

static const kf_field NAMED_FIELDS[] = {
    TEXT(kv_kitfile_entry, name, "name"),
    TEXT(kv_kitfile_entry, path, "path"),
    TEXT(kv_kitfile_entry, description, "description"),
    DIGESTS(kv_kitfile_entry, ),
};
TYPE(PROMPT, "Prompt", NAMED_FIELDS);
TYPE(MCP_SERVER, "MCPServer", NAMED_FIELDS);

static const kf_field PACKAGE_FIELDS[] = {
    TEXT(kv_kitfile_package, name, "name"),
    TEXT(kv_kitfile_package, version, "version"),
    TEXT(kv_kitfile_package, description, "description"),
    TEXT(kv_kitfile_package, license, "license"),
    {.key = "authors", .off = offsetof(kv_kitfile_package, authors), .kind = KF_STRINGS},
};
TYPE(PACKAGE, "Package", PACKAGE_FIELDS);

static const kf_field KITFILE_FIELDS[] = {
    KEPT(kv_kitfile, manifest_version, "manifestVersion"),
    {.key = "package", .off = offsetof(kv_kitfile, package), .kind = KF_STRUCT, .keep_json = true, .sub = &PACKAGE},
    {.key = "model", .off = offsetof(kv_kitfile, model), .kind = KF_POINTER, .sub = &MODEL},
    LIST(kv_kitfile, code, "code", &CODE),
    LIST(kv_kitfile, datasets, "datasets", &DATASET),
    LIST(kv_kitfile, docs, "docs", &DOCS),
    LIST(kv_kitfile, prompts, "prompts", &PROMPT),
    LIST(kv_kitfile, mcp_servers, "mcpServers", &MCP_SERVER),
};
/* clang-format on */
const kf_type kf_kitfile = {"artifact.KitFile", "[]artifact.KitFile", KITFILE_FIELDS,
                            KV_COUNT(KITFILE_FIELDS)};

bool kf_is_empty(const kf_field *f, const void *p)
{
    switch (f->kind) {
    case KF_STRING: return KF_GET(kv_sv, p, f)->n == 0;
    case KF_STRINGS: return KF_GET(kv_kitfile_strings, p, f)->n == 0;
    case KF_VALUE: return !*KF_GET(const kv_value *, p, f);
    case KF_DIGEST: return KF_GET(kv_digest, p, f)->alg == 0;
    case KF_POINTER: return !*KF_GET(const kv_kitfile_model *, p, f);
    case KF_LIST: return KF_GET(kv_kitfile_entries, p, f)->n == 0;
    case KF_STRUCT:
        for (size_t i = 0; i < f->sub->n; i++)
            if (!kf_is_empty(&f->sub->fields[i], KF_GET(char, p, f))) return false;
        return true;
    }
    return true;
}

const kf_field *kf_find(const kf_type *t, kv_sv key, bool nocase)
{
    for (size_t i = 0; i < t->n; i++) {
        kv_sv own = kv_sv_of(t->fields[i].key);
        if (nocase ? kv_sv_eq_nocase(own, key) : kv_sv_eq(own, key)) return &t->fields[i];
    }
    return NULL;
}

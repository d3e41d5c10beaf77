#include "blob/s3_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "codec/secret.h"

enum { FILE_BYTES_MAX = 1 << 20, NAME_MAX_BYTES = 256 };

static void wipe_str(char **s)
{
    if (*s) kv_wipe(*s, strlen(*s));
    free(*s);
    *s = NULL;
}

void kv_s3_config_clear(kv_s3_config *c)
{
    kv_free_str(&c->endpoint);
    kv_free_str(&c->bucket);
    kv_free_str(&c->region);
    wipe_str(&c->access_key);
    wipe_str(&c->secret_key);
    wipe_str(&c->session_token);
}

/* --- XML --- */

bool kv_xml_next(kv_sv *rest, const char *name, kv_sv *out)
{
    char begin[NAME_MAX_BYTES], end[NAME_MAX_BYTES];
    snprintf(begin, sizeof(begin), "<%s>", name);
    snprintf(end, sizeof(end), "</%s>", name);
    size_t at = kv_sv_find_sub(*rest, kv_sv_of(begin));
    if (at == SIZE_MAX) return false;
    kv_sv inner = kv_sv_from(*rest, at + strlen(begin));
    size_t n = kv_sv_find_sub(inner, kv_sv_of(end));
    if (n == SIZE_MAX) return false;
    *out = kv_sv_sub(inner, 0, n);
    *rest = kv_sv_from(inner, n + strlen(end));
    return true;
}

void kv_xml_text_add(kv_buf *out, kv_sv text)
{
    static const struct {
        kv_sv escape;
        char c;
    } ESCAPES[] = {
        {KV_SV_INIT("&quot;"), '"'}, {KV_SV_INIT("&#34;"), '"'}, {KV_SV_INIT("&amp;"), '&'},
        {KV_SV_INIT("&lt;"), '<'},   {KV_SV_INIT("&gt;"), '>'},  {KV_SV_INIT("&apos;"), '\''},
    };
    while (text.n) {
        size_t taken = 1;
        char c = text.p[0];
        for (size_t i = 0; c == '&' && i < KV_COUNT(ESCAPES); i++) {
            if (!kv_sv_starts(text, ESCAPES[i].escape)) continue;
            taken = ESCAPES[i].escape.n;
            c = ESCAPES[i].c;
            break;
        }
        kv_buf_addc(out, c);
        text = kv_sv_from(text, taken);
    }
}

/* --- ini files --- */

static bool is_section(kv_sv line, kv_sv section)
{
    kv_sv name = kv_sv_trim(kv_sv_sub(line, 1, line.n - 1));
    if (kv_sv_eq(name, section)) return true;
    if (!kv_sv_starts(name, KV_SV("profile "))) return false;
    return kv_sv_eq(kv_sv_trim(kv_sv_from(name, strlen("profile "))), section);
}

kv_code kv_aws_ini_get(kv_sv text, kv_sv section, const char *key, kv_sv *out, kv_error *err)
{
    *out = (kv_sv){0};
    bool inside = false;
    for (unsigned n = 1; text.n; n++) {
        kv_sv raw;
        text = kv_sv_cut(text, '\n', &raw, NULL);
        kv_sv line = kv_sv_trim(raw);
        if (!line.n || line.p[0] == '#' || line.p[0] == ';') continue;
        if (line.p[0] == '[') {
            if (line.p[line.n - 1] != ']')
                return kv_fail(err, KV_E_SYNTAX, "line %u: a section without its ']'", n);
            inside = is_section(line, section);
            continue;
        }
        if (raw.p[0] == ' ' || raw.p[0] == '\t') continue; /* of a nested setting */
        kv_sv name;
        bool has_value;
        kv_sv value = kv_sv_cut(line, '=', &name, &has_value);
        if (!has_value) return kv_fail(err, KV_E_SYNTAX, "line %u: no '='", n);
        if (inside && kv_sv_is(kv_sv_trim(name), key)) *out = kv_sv_trim(value);
    }
    return KV_OK;
}

/* --- what is found --- */

static const char *env(const char *name)
{
    const char *v = getenv(name);
    return v && *v ? v : NULL;
}

/* A file named by variable, or below the user's home; a missing one is empty. */
static kv_code read_file(const char *variable, const char *below_home, kv_buf *path, kv_buf *out,
                         kv_error *err)
{
    const char *named = env(variable), *home = env("HOME");
    if (!named && !home) return KV_OK;
    if (named)
        kv_buf_adds(path, named);
    else
        kv_buf_addf(path, "%s/%s", home, below_home);
    KV_TRY(kv_buf_check(path, err));
    kv_error local = {0};
    kv_code rc = kv_file_read(path->p, out, &local);
    if (rc == KV_OK || rc == KV_E_NOTFOUND) return KV_OK;
    if (err) *err = local;
    return rc;
}

typedef struct wanted {
    const char *key;
    char **out;
} wanted;

/* Takes what is not known yet. */
static kv_code take_from(const char *variable, const char *below_home, const wanted *w, size_t n,
                         kv_error *err)
{
    const char *profile = env("AWS_PROFILE");
    kv_auto_buf path = KV_BUF(8192);
    kv_auto_secret_buf text = KV_BUF(FILE_BYTES_MAX);
    KV_TRY(read_file(variable, below_home, &path, &text, err));
    for (size_t i = 0; i < n; i++) {
        kv_sv value;
        if (*w[i].out) continue;
        kv_code rc = kv_aws_ini_get(kv_buf_sv(&text), kv_sv_of(profile ? profile : "default"),
                                    w[i].key, &value, err);
        if (rc != KV_OK) return kv_wrap(err, rc, "'%s'", path.p);
        if (!value.n) continue;
        *w[i].out = kv_sv_dup(value);
        if (!*w[i].out) return kv_fail(err, KV_E_NOMEM, "out of memory");
    }
    return KV_OK;
}

static kv_code take_env(const char *name, char **out, kv_error *err)
{
    const char *v = env(name);
    if (*out || !v) return KV_OK;
    *out = strdup(v);
    return *out ? KV_OK : kv_fail(err, KV_E_NOMEM, "out of memory");
}

static kv_code take_all(kv_s3_config *c, kv_error *err)
{
    KV_TRY(take_env("AWS_ACCESS_KEY_ID", &c->access_key, err));
    KV_TRY(take_env("AWS_SECRET_ACCESS_KEY", &c->secret_key, err));
    KV_TRY(take_env("AWS_SESSION_TOKEN", &c->session_token, err));
    KV_TRY(take_env("AWS_REGION", &c->region, err));
    KV_TRY(take_env("AWS_DEFAULT_REGION", &c->region, err));
    KV_TRY(take_env("AWS_ENDPOINT_URL_S3", &c->endpoint, err));
    KV_TRY(take_env("AWS_ENDPOINT_URL", &c->endpoint, err));
    const wanted keys[] = {{"aws_access_key_id", &c->access_key},
                           {"aws_secret_access_key", &c->secret_key},
                           {"aws_session_token", &c->session_token}};
    const wanted places[] = {{"region", &c->region}, {"endpoint_url", &c->endpoint}};
    /* Keys belong together: those of the environment have no token of a file. */
    if (!c->access_key && !c->secret_key) {
        KV_TRY(take_from("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials", keys, KV_COUNT(keys),
                         err));
        KV_TRY(take_from("AWS_CONFIG_FILE", ".aws/config", keys, KV_COUNT(keys), err));
    }
    return take_from("AWS_CONFIG_FILE", ".aws/config", places, KV_COUNT(places), err);
}

/* Names of buckets are safe in a URL. Source: S3 User Guide, "Bucket naming rules". */
static bool is_bucket(kv_sv name)
{
    if (name.n < 3 || name.n > 63) return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.'))
            return false;
    }
    return true;
}

static kv_code complete(kv_s3_config *c, kv_error *err)
{
    if (!c->access_key || !c->secret_key)
        return kv_fail(err, KV_E_AUTH,
                       "no keys for S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a "
                       "profile in ~/.aws/credentials");
    if (!c->region) c->region = strdup("us-east-1");
    if (!c->region) return kv_fail(err, KV_E_NOMEM, "out of memory");
    if (!c->endpoint && asprintf(&c->endpoint, "https://s3.%s.amazonaws.com", c->region) < 0) {
        c->endpoint = NULL;
        return kv_fail(err, KV_E_NOMEM, "out of memory");
    }
    size_t n = strlen(c->endpoint);
    while (n && c->endpoint[n - 1] == '/') c->endpoint[--n] = '\0';
    return KV_OK;
}

kv_code kv_s3_config_load(const char *bucket, kv_s3_config *out, kv_error *err)
{
    kv_auto_s3_config c = {.bucket = strdup(bucket)};
    if (!c.bucket) return kv_fail(err, KV_E_NOMEM, "out of memory");
    if (!is_bucket(kv_sv_of(bucket)))
        return kv_fail(err, KV_E_INVALID, "'%s' is no name of a bucket", bucket);
    KV_TRY(take_all(&c, err));
    KV_TRY(complete(&c, err));
    *out = c;
    c = (kv_s3_config){0};
    return KV_OK;
}

#include "hub/config.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

#include "base/file.h"

enum { FILE_MAX = 1 << 20, TEXT_MAX = 4096 };

typedef struct setting {
    const char *key;
    size_t off;
    const char *standard;
    uint64_t min, max; /* of numbers */
    const char *help;
    char kind;    /* s text, b boolean, u number */
    bool reloads; /* SIGHUP reads it again */
} setting;

/* clang-format off */
#define TEXT(m, k, dflt, help_) {.key = (k), .off = offsetof(kv_config, m), .kind = 's', .standard = (dflt), .help = (help_)}
#define FLAG(m, k, dflt, rel, help_) {.key = (k), .off = offsetof(kv_config, m), .kind = 'b', .standard = (dflt), .reloads = (rel), .help = (help_)}
#define NUMBER(m, k, dflt, lo, hi, help_) {.key = (k), .off = offsetof(kv_config, m), .kind = 'u', .standard = (dflt), .min = (lo), .max = (hi), .help = (help_)}
static const setting SETTINGS[] = {
    TEXT(data, "data", "", "directory that holds everything the hub keeps; made when missing"),
    TEXT(listen, "listen", "127.0.0.1:8080", "HOST:PORT or [ADDRESS]:PORT to listen on; port 0 takes a free one"),
    TEXT(public_url, "public_url", "", "how clients reach this hub (https://hub.example); needed behind a proxy"),
    FLAG(no_auth, "no_auth", "false", false, "everybody may do everything; only when listening on loopback"),
    TEXT(admin_password_file, "admin.password_file", "", "file with the password of the first administrator; else one is made"),
    TEXT(tls_cert, "tls.cert", "", "PEM file with the certificate chain; SIGHUP reads the file again"),
    TEXT(tls_key, "tls.key", "", "PEM file with its private key; SIGHUP reads the file again"),
    {.key = "log.level", .off = offsetof(kv_config, log_level), .kind = 's', .standard = "info", .reloads = true,
     .help = "lowest level that is logged: trace, debug, info, warn, error"},
    FLAG(log_requests, "log.requests", "true", true, "one log line per request"),
    NUMBER(max_connections, "http.max_connections", "10000", 16, 1000000, "open connections; more are refused"),
    NUMBER(max_per_address, "http.max_connections_per_address", "512", 0, 65535, "of one peer address (IPv6: /64); 0: no limit"),
    NUMBER(max_requests, "http.max_requests", "640", 8, 10000, "requests served at once; more are answered 503"),
    NUMBER(head_timeout_s, "http.head_timeout", "10", 1, 600, "seconds from the first byte of a request head to its last"),
    NUMBER(idle_timeout_s, "http.idle_timeout", "120", 1, 86400, "seconds a connection may wait for its next request"),
    NUMBER(body_timeout_s, "http.body_timeout", "60", 1, 3600, "seconds over which a peer must keep http.min_rate"),
    NUMBER(min_rate, "http.min_rate", "1024", 1, 1u << 30, "bytes per second below which a peer is given up"),
    NUMBER(stop_grace_s, "stop.grace", "30", 0, 3600, "seconds that running requests have to end at a stop"),
};
/* clang-format on */

typedef struct loader {
    kv_config *config;
    bool set[KV_COUNT(SETTINGS)]; /* by a source that comes before the ones still to be read */
    kv_error *err;
} loader;

/* "http.head_timeout" as "http-head-timeout" or "HTTP_HEAD_TIMEOUT". */
static void rename_key(const char *key, char sep, bool upper, char out[64])
{
    size_t i = 0;
    for (; key[i] && i < 63; i++) {
        char c = key[i] == '.' || key[i] == '_' ? sep : key[i];
        out[i] = upper && c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
    }
    out[i] = '\0';
}

static size_t find(kv_sv name, char sep, bool upper)
{
    char text[64];
    for (size_t i = 0; i < KV_COUNT(SETTINGS); i++) {
        rename_key(SETTINGS[i].key, sep, upper, text);
        if (kv_sv_is(name, text)) return i;
    }
    return SIZE_MAX;
}

static size_t find_key(kv_sv key)
{
    for (size_t i = 0; i < KV_COUNT(SETTINGS); i++)
        if (kv_sv_is(key, SETTINGS[i].key)) return i;
    return SIZE_MAX;
}

/* where is how the source names the setting. */
static kv_code assign(loader *l, const setting *s, kv_sv value, const char *where)
{
    void *to = (char *)l->config + s->off;
    uint64_t number;
    if (s->kind == 's') {
        kv_sv copy = value.n <= TEXT_MAX ? kv_arena_dup(l->config->arena, value) : (kv_sv){0};
        if (!copy.p) return kv_fail(l->err, KV_E_ARG, "%s: the value is too long", where);
        *(const char **)to = copy.p;
    } else if (s->kind == 'b') {
        bool yes = kv_sv_is(value, "true");
        if (!yes && !kv_sv_is(value, "false"))
            return kv_fail(l->err, KV_E_ARG, "%s: expected true or false, not '%.*s'", where,
                           KV_ARG(value));
        *(bool *)to = yes;
    } else {
        if (!kv_sv_to_u64(value, &number) || number < s->min || number > s->max)
            return kv_fail(l->err, KV_E_ARG, "%s: expected a number from %llu to %llu, not '%.*s'",
                           where, (unsigned long long)s->min, (unsigned long long)s->max,
                           KV_ARG(value));
        *(uint64_t *)to = number;
    }
    return KV_OK;
}

/* --- the sources --- */

/* Takes --config out and assigns the rest. */
static kv_code read_flags(loader *l, int argc, char *const *argv, const char **out_file)
{
    for (int i = 0; i < argc; i++) {
        kv_sv name, arg = kv_sv_of(argv[i]);
        bool has_value;
        if (!kv_sv_starts(arg, KV_SV("--")))
            return kv_fail(l->err, KV_E_ARG, "unexpected argument '%s'", argv[i]);
        kv_sv value = kv_sv_cut(kv_sv_from(arg, 2), '=', &name, &has_value);
        bool is_file = kv_sv_is(name, "config");
        size_t at = is_file ? SIZE_MAX : find(name, '-', false);
        if (!is_file && at == SIZE_MAX)
            return kv_fail(l->err, KV_E_ARG, "unknown flag: --%.*s", KV_ARG(name));
        if (!has_value && !is_file && SETTINGS[at].kind == 'b') {
            value = KV_SV("true");
        } else if (!has_value) {
            if (i + 1 == argc)
                return kv_fail(l->err, KV_E_ARG, "flag needs an argument: --%.*s", KV_ARG(name));
            value = kv_sv_of(argv[++i]);
        }
        if (is_file) {
            *out_file = value.p; /* NUL-terminated: the end of an argument */
            continue;
        }
        char where[80];
        snprintf(where, sizeof(where), "--%.*s", KV_ARG(name));
        KV_TRY(assign(l, &SETTINGS[at], value, where));
        l->set[at] = true;
    }
    return KV_OK;
}

static kv_code read_env(loader *l, char *const *env)
{
    static const char PREFIX[] = "KITVAULT_";
    for (; *env; env++) {
        kv_sv name, value = kv_sv_cut(kv_sv_of(*env), '=', &name, NULL);
        if (!kv_sv_starts(name, kv_sv_of(PREFIX))) continue;
        size_t at = find(kv_sv_from(name, sizeof(PREFIX) - 1), '_', true);
        if (at == SIZE_MAX || l->set[at])
            continue; /* others of that prefix are not ours to judge */
        char where[96];
        snprintf(where, sizeof(where), "%.*s", KV_ARG(name));
        KV_TRY(assign(l, &SETTINGS[at], value, where));
        l->set[at] = true;
    }
    return KV_OK;
}

static kv_code read_file(loader *l, const char *path)
{
    kv_auto_buf text = KV_BUF(FILE_MAX);
    bool seen[KV_COUNT(SETTINGS)] = {0};
    KV_TRY(kv_file_read(path, &text, l->err));
    unsigned number = 0;
    for (kv_sv rest = kv_buf_sv(&text); rest.n;) {
        kv_sv line, key;
        bool has_value;
        char where[512];
        rest = kv_sv_cut(rest, '\n', &line, NULL);
        snprintf(where, sizeof(where), "%.400s:%u", path, ++number);
        line = kv_sv_trim(line);
        if (!line.n || line.p[0] == '#') continue;
        kv_sv value = kv_sv_trim(kv_sv_cut(line, '=', &key, &has_value));
        key = kv_sv_trim(key);
        if (!has_value || memchr(line.p, '\0', line.n))
            return kv_fail(l->err, KV_E_SYNTAX, "%s: expected KEY = VALUE", where);
        size_t at = find_key(key);
        if (at == SIZE_MAX)
            return kv_fail(l->err, KV_E_INVALID, "%s: unknown setting '%.*s'", where, KV_ARG(key));
        if (seen[at])
            return kv_fail(l->err, KV_E_INVALID, "%s: '%s' is set twice", where, SETTINGS[at].key);
        seen[at] = true;
        if (l->set[at]) continue;
        KV_TRY(assign(l, &SETTINGS[at], value, where));
    }
    for (size_t i = 0; i < KV_COUNT(SETTINGS); i++) l->set[i] = l->set[i] || seen[i];
    return KV_OK;
}

static kv_code load(loader *l, int argc, char *const *argv, char *const *env)
{
    const char *file = NULL;
    for (size_t i = 0; i < KV_COUNT(SETTINGS); i++)
        KV_TRY(assign(l, &SETTINGS[i], kv_sv_of(SETTINGS[i].standard), SETTINGS[i].key));
    KV_TRY(read_flags(l, argc, argv, &file));
    KV_TRY(read_env(l, env));
    if (file) KV_TRY(read_file(l, file));
    const kv_config *c = l->config;
    if (!c->tls_cert[0] != !c->tls_key[0])
        return kv_fail(l->err, KV_E_ARG, "tls.cert and tls.key need each other");
    return KV_OK;
}

kv_code kv_config_load(int argc, char *const *argv, char *const *env, kv_config *out, kv_error *err)
{
    *out = (kv_config){.arena = kv_arena_new(FILE_MAX)};
    if (!out->arena) return kv_fail(err, KV_E_NOMEM, "out of memory");
    loader l = {.config = out, .err = err};
    kv_code rc = load(&l, argc, argv, env);
    if (rc != KV_OK) kv_config_clear(out);
    return rc;
}

void kv_config_clear(kv_config *c)
{
    kv_arena_free(c->arena);
    *c = (kv_config){0};
}

/* --- showing --- */

static void print_value(const kv_config *c, const setting *s, kv_buf *out)
{
    const void *at = (const char *)c + s->off;
    if (s->kind == 's') kv_buf_adds(out, *(const char *const *)at);
    if (s->kind == 'b') kv_buf_adds(out, *(const bool *)at ? "true" : "false");
    if (s->kind == 'u') kv_buf_addf(out, "%llu", (unsigned long long)*(const uint64_t *)at);
}

void kv_config_print(const kv_config *c, kv_buf *out)
{
    for (size_t i = 0; i < KV_COUNT(SETTINGS); i++) {
        const setting *s = &SETTINGS[i];
        char flag[64], variable[64];
        rename_key(s->key, '-', false, flag);
        rename_key(s->key, '_', true, variable);
        kv_buf_addf(out, "%s# %s\n# --%s, KITVAULT_%s; default '%s'; %s\n", i ? "\n" : "", s->help,
                    flag, variable, s->standard,
                    s->reloads ? "SIGHUP reloads it" : "read at start");
        kv_buf_addf(out, "%s = ", s->key);
        print_value(c, s, out);
        kv_buf_addc(out, '\n');
    }
}

void kv_config_help(kv_buf *out)
{
    static const char *const KINDS[] = {['s'] = " TEXT", ['u'] = " NUMBER", ['b'] = ""};
    for (size_t i = 0; i < KV_COUNT(SETTINGS); i++) {
        const setting *s = &SETTINGS[i];
        char flag[64], left[96];
        rename_key(s->key, '-', false, flag);
        snprintf(left, sizeof(left), "--%s%s", flag, KINDS[(unsigned char)s->kind]);
        kv_buf_addf(out, "  %-42s %s", left, s->help);
        if (s->standard[0]) kv_buf_addf(out, " (%s)", s->standard);
        kv_buf_addc(out, '\n');
    }
    kv_buf_addf(out, "  %-42s %s\n", "--config FILE", "read settings from FILE, too");
}

/* A hyphen that is one on the terminal too, so that a flag can be copied. */
static void add_roff(kv_buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '-' || *text == '\\') kv_buf_addc(out, '\\');
        kv_buf_addc(out, *text);
    }
}

static void add_setting(kv_buf *out, const setting *s)
{
    char flag[64], variable[64];
    rename_key(s->key, '-', false, flag);
    rename_key(s->key, '_', true, variable);
    kv_buf_adds(out, ".TP\n.B \\-\\-");
    add_roff(out, flag);
    if (s->kind != 'b') kv_buf_adds(out, s->kind == 'u' ? " \\fINUMBER\\fR" : " \\fITEXT\\fR");
    kv_buf_addc(out, '\n');
    add_roff(out, s->help);
    kv_buf_addf(out, ".\n.br\nFile: \\fB%s\\fR; environment: \\fBKITVAULT_%s\\fR", s->key,
                variable);
    if (s->standard[0]) {
        kv_buf_adds(out, "; default: ");
        add_roff(out, s->standard);
    }
    kv_buf_adds(out, s->reloads ? "; SIGHUP reloads it.\n" : ".\n");
}

void kv_config_man(kv_buf *out)
{
    kv_buf_adds(out,
                ".TH KITVAULTD 8\n"
                ".SH NAME\nkitvaultd \\- the KitVault hub, a registry for ModelKits\n"
                ".SH SYNOPSIS\n"
                ".B kitvaultd serve \\-\\-data\n\\fIDIR\\fR [\\fIflags\\fR]\n.br\n"
                ".B kitvaultd config\n[\\fIflags\\fR]\n.br\n.B kitvaultd version\n"
                ".SH DESCRIPTION\n"
                ".B serve\nruns the hub on its data directory until SIGTERM or SIGINT: then it "
                "takes no more requests, ends the running ones, and leaves. Its address is "
                "also in \\fIDIR\\fR/listen. SIGHUP reads certificate, key and some settings "
                "again. The log is one JSON object per line on standard error.\n.PP\n"
                ".B config\nprints the settings in force as a configuration file.\n"
                ".SH SETTINGS\nA flag counts before an environment variable, that before the "
                "configuration file, which holds lines \\fIkey\\fR = \\fIvalue\\fR.\n"
                ".TP\n.B \\-\\-config \\fIFILE\\fR\nThe configuration file.\n");
    for (size_t i = 0; i < KV_COUNT(SETTINGS); i++) add_setting(out, &SETTINGS[i]);
    kv_buf_adds(out, ".SH EXAMPLES\n.nf\n"
                     "kitvaultd serve \\-\\-data hub \\-\\-listen 127.0.0.1:0\n"
                     "kitvaultd config \\-\\-http\\-idle\\-timeout 60\n.fi\n");
}

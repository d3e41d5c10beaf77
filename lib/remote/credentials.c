#include "kitvault/credentials.h"

#include <libgen.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "remote/auth_file.h"
#include "remote/auth_helper.h"

enum { LOCK_WAIT_MS = 10000, HOST_MAX = 4096 };

struct kv_credentials {
    char *path;
    pthread_mutex_t lock; /* one reader or writer of the files at a time */
};

kv_code kv_credentials_open(const char *path, kv_credentials **out, kv_error *err)
{
    kv_credentials *c = calloc(1, sizeof(*c));
    if (c) c->path = strdup(path);
    if (!c || !c->path) {
        free(c);
        return kv_fail(err, KV_E_NOMEM, "out of memory");
    }
    pthread_mutex_init(&c->lock, NULL);
    *out = c;
    return KV_OK;
}

void kv_credentials_close(kv_credentials *c)
{
    if (!c) return;
    pthread_mutex_destroy(&c->lock);
    free(c->path);
    free(c);
}

/* A file that is not there is an empty one. */
static kv_code load(const char *path, kv_auth_file *out, kv_error *err)
{
    kv_auto_buf text = KV_BUF(KV_AUTH_FILE_MAX);
    kv_error e = {0};
    kv_code rc = kv_file_read(path, &text, &e);
    if (rc == KV_OK) {
        rc = kv_auth_file_parse(kv_buf_sv(&text), out, &e);
        if (text.p) explicit_bzero(text.p, text.n);
        if (rc != KV_OK) (void)kv_wrap(&e, rc, "'%s'", path);
    }
    if (rc == KV_OK || rc == KV_E_NOTFOUND) return KV_OK;
    if (err) *err = e;
    return rc;
}

/* The address under which a helper knows the registry: the key of old for Docker Hub. */
static const char *server_of(kv_sv host, const char *text)
{
    return kv_sv_is(host, "index.docker.io") ? "https://index.docker.io/v1/" : text;
}

static kv_code get_from(const char *path, const kv_buf *host, kv_login *out, kv_error *err)
{
    kv_auto_auth_file f = {0};
    KV_TRY(load(path, &f, err));
    kv_sv name = kv_buf_sv(host);
    kv_sv helper = kv_auth_file_helper(&f, name);
    if (helper.n) {
        kv_error e = {0};
        kv_code rc = kv_auth_helper_get(helper, server_of(name, host->p), out, &e);
        if (rc == KV_OK) return KV_OK;
        /* Not in the helper: a login made before the helper was set up may stand in the file. */
        if (rc != KV_E_NOTFOUND) {
            if (err) *err = e;
            return kv_wrap(err, rc, "'%s'", path);
        }
    }
    kv_code rc = kv_auth_file_get(&f, name, out, err);
    return rc == KV_OK || rc == KV_E_NOTFOUND ? rc : kv_wrap(err, rc, "'%s'", path);
}

/* NULL: the user has no home and names no place. */
static char *docker_path(void)
{
    const char *dir = getenv("DOCKER_CONFIG");
    if (dir && *dir) return kv_path_join(dir, "config.json");
    const char *home = getenv("HOME");
    return home && *home ? kv_path_join(home, ".docker/config.json") : NULL;
}

kv_code kv_credentials_get(kv_credentials *c, kv_sv host, kv_login *out, kv_error *err)
{
    kv_auto_buf name = KV_BUF(HOST_MAX);
    KV_TRY(kv_auth_host(host, &name, err));
    if (!name.n) return kv_fail(err, KV_E_ARG, "no registry named");
    kv_auto_str docker = docker_path();
    pthread_mutex_lock(&c->lock);
    kv_code rc = get_from(c->path, &name, out, err);
    if (rc == KV_E_NOTFOUND && docker) {
        rc = get_from(docker, &name, out, err);
        /* A helper that Docker's file names and this machine lacks is no reason to stop: what is
         * public can be had without it. */
        if (rc == KV_E_UNSUPPORTED) rc = KV_E_NOTFOUND;
    }
    pthread_mutex_unlock(&c->lock);
    return rc;
}

/* Under the lock of the process and of the file. login NULL: drop. */
static kv_code change(kv_credentials *c, const kv_buf *host, const kv_login *login, kv_error *err)
{
    kv_auto_auth_file f = {0};
    KV_TRY(load(c->path, &f, err));
    kv_sv name = kv_buf_sv(host);
    kv_sv helper = kv_auth_file_helper(&f, name);
    if (helper.n && login)
        return kv_auth_helper_store(helper, server_of(name, host->p), login, err);
    if (helper.n) KV_TRY(kv_auth_helper_erase(helper, server_of(name, host->p), err));
    kv_auto_buf text = KV_BUF(KV_AUTH_FILE_MAX);
    KV_TRY(kv_auth_file_format(&f, name, login, &text, err));
    kv_code rc = kv_file_write(c->path, kv_buf_sv(&text), 0600, err);
    explicit_bzero(text.p, text.n);
    return rc;
}

static kv_code change_locked(kv_credentials *c, kv_sv host, const kv_login *login, kv_error *err)
{
    kv_auto_buf name = KV_BUF(HOST_MAX);
    KV_TRY(kv_auth_host(host, &name, err));
    if (!name.n) return kv_fail(err, KV_E_ARG, "no registry named");
    kv_auto_str copy = strdup(c->path);
    kv_auto_buf lock_path = KV_BUF(HOST_MAX * 4);
    kv_buf_addf(&lock_path, "%s.lock", c->path);
    KV_TRY(kv_buf_check(&lock_path, err));
    if (!copy) return kv_fail(err, KV_E_NOMEM, "out of memory");
    KV_TRY(kv_mkdirs(dirname(copy), 0755, err));
    kv_auto_fd lock = -1;
    KV_TRY(kv_lock_file(lock_path.p, true, LOCK_WAIT_MS, &lock, err));
    kv_file_sweep(c->path); /* a killed login would leave a secret lying about */
    pthread_mutex_lock(&c->lock);
    kv_code rc = change(c, &name, login, err);
    pthread_mutex_unlock(&c->lock);
    return rc;
}

kv_code kv_credentials_put(kv_credentials *c, kv_sv host, const kv_login *login, kv_error *err)
{
    if (!login->secret || (login->user && strchr(login->user, ':')))
        return kv_fail(err, KV_E_ARG, "a user name cannot be kept with a colon in it");
    return change_locked(c, host, login, err);
}

kv_code kv_credentials_drop(kv_credentials *c, kv_sv host, kv_error *err)
{
    return change_locked(c, host, NULL, err);
}

#include "cli/dev_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/proc.h"

enum {
    POLL_MS = 50,
    START_MS = 60000,
    STOP_MS = 10000,
    LOCK_MS = 500, /* somebody may be looking whether it is locked */
};

typedef struct paths {
    char *dir, *pid, *log;
} paths;

static void clear_paths(paths *p)
{
    free(p->dir);
    free(p->pid);
    free(p->log);
}

static kv_code find_paths(const kv_cli *cli, paths *out, kv_error *err)
{
    out->dir = kv_cli_home_path(cli, "harness");
    out->pid = kv_cli_home_path(cli, "harness/process.pid");
    out->log = kv_cli_home_path(cli, "harness/harness.log");
    if (out->dir && out->pid && out->log) return KV_OK;
    return kv_fail(err, KV_E_NOMEM, "out of memory");
}

static void pause_ms(long ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    nanosleep(&t, NULL);
}

/* --- addresses --- */

static void free_addresses(struct addrinfo **a)
{
    if (*a) freeaddrinfo(*a);
}

static kv_code look_up(const char *host, int port, struct addrinfo **out, kv_error *err)
{
    char service[16];
    snprintf(service, sizeof(service), "%d", port);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    int rc = getaddrinfo(host, service, &hints, out);
    if (rc == 0) return KV_OK;
    *out = NULL;
    return kv_fail(err, KV_E_ARG, "host '%s' cannot be used: %s", host, gai_strerror(rc));
}

static bool takes_connections(const struct addrinfo *a)
{
    for (; a; a = a->ai_next) {
        kv_auto_fd fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
        if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) == 0) return true;
    }
    return false;
}

static int port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } name;
    socklen_t n = sizeof(name);
    if (getsockname(fd, &name.any, &n) < 0) return 0;
    return ntohs(name.any.sa_family == AF_INET6 ? name.v6.sin6_port : name.v4.sin_port);
}

kv_code kv_dev_free_port(const char *host, int *out, kv_error *err)
{
    KV_CLEANUP(free_addresses) struct addrinfo *a = NULL;
    KV_TRY(look_up(host, 0, &a, err));
    kv_auto_fd fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
    if (fd < 0 || bind(fd, a->ai_addr, a->ai_addrlen) < 0)
        return kv_fail_sys(err, "cannot listen on '%s'", host);
    *out = port_of(fd);
    return KV_OK;
}

/* --- start --- */

static kv_code wait_ready(const kv_cli *cli, pid_t pid, const kv_dev_server *s, kv_error *err)
{
    KV_CLEANUP(free_addresses) struct addrinfo *a = NULL;
    KV_TRY(look_up(s->host, s->port, &a, err));
    uint64_t until = kv_mono_us() + (uint64_t)START_MS * 1000;
    while (!takes_connections(a)) {
        int status;
        if (waitpid(pid, &status, WNOHANG) == pid)
            return kv_fail(err, KV_E_IO, "'%s' ended at once; '%s dev logs' shows what it said",
                           s->program, kv_cli_program(cli));
        KV_TRY(kv_check_cancel(kv_cli_report(cli), err));
        if (kv_mono_us() >= until)
            return kv_fail(err, KV_E_TIMEOUT, "'%s' takes no connections at %s:%d", s->program,
                           s->host, s->port);
        pause_ms(POLL_MS);
    }
    return KV_OK;
}

/* It leads a session, so whatever it started stops, too. */
static void end_group(pid_t pid, int signal_number)
{
    kill(-pid, signal_number);
}

static kv_code spawn(const kv_dev_server *s, int log_fd, pid_t *out_pid, kv_error *err)
{
    char port[16];
    snprintf(port, sizeof(port), "%d", s->port);
    const char *const argv[] = {s->program, "--model", s->model, "--host",
                                s->host,    "--port",  port,     NULL};
    return kv_proc_start(argv, log_fd, out_pid, err);
}

static kv_code write_pid(const char *path, pid_t pid, kv_error *err)
{
    char text[32];
    int n = snprintf(text, sizeof(text), "%ld", (long)pid);
    return kv_file_write(path, (kv_sv){text, (size_t)n}, 0644, err);
}

kv_code kv_dev_start(const kv_cli *cli, const kv_dev_server *s, kv_error *err)
{
    KV_CLEANUP(clear_paths) paths p = {0};
    kv_auto_fd log = -1;
    KV_TRY(find_paths(cli, &p, err));
    KV_TRY(kv_mkdirs(p.dir, 0755, err));
    kv_code code = kv_lock_file(p.log, true, LOCK_MS, &log, err);
    if (code == KV_E_BUSY)
        return kv_fail(err, KV_E_EXISTS, "a server is running already; '%s dev stop' ends it",
                       kv_cli_program(cli));
    KV_TRY(code);
    if (ftruncate(log, 0) < 0) return kv_fail_sys(err, "cannot empty '%s'", p.log);
    pid_t pid;
    KV_TRY(spawn(s, log, &pid, err));
    code = write_pid(p.pid, pid, err);
    if (code == KV_OK) code = wait_ready(cli, pid, s, err);
    if (code == KV_OK) return KV_OK;
    end_group(pid, SIGKILL);
    unlink(p.pid);
    return code;
}

/* --- stop, logs --- */

static kv_code read_pid(const char *path, pid_t *out, kv_error *err)
{
    kv_auto_buf text = KV_BUF(32);
    uint64_t pid;
    kv_code code = kv_file_read(path, &text, err);
    if (code == KV_E_NOTFOUND) return kv_fail(err, code, "no Running server found");
    KV_TRY(code);
    if (!kv_sv_to_u64(kv_sv_trim(kv_buf_sv(&text)), &pid) || pid < 2 || pid > INT32_MAX)
        return kv_fail(err, KV_E_CORRUPT, "'%s' holds no process id", path);
    *out = (pid_t)pid;
    return KV_OK;
}

kv_code kv_dev_stop(const kv_cli *cli, kv_error *err)
{
    KV_CLEANUP(clear_paths) paths p = {0};
    kv_auto_fd log = -1;
    pid_t pid;
    KV_TRY(find_paths(cli, &p, err));
    KV_TRY(read_pid(p.pid, &pid, err));
    kv_code code = kv_lock_file(p.log, true, 0, &log, NULL);
    if (code == KV_OK) { /* it ended by itself */
        unlink(p.pid);
        return kv_fail(err, KV_E_NOTFOUND, "no running process found with PID %ld", (long)pid);
    }
    end_group(pid, SIGTERM);
    code = kv_lock_file(p.log, true, STOP_MS, &log, err);
    if (code == KV_E_BUSY) {
        end_group(pid, SIGKILL);
        code = kv_lock_file(p.log, true, STOP_MS, &log, err);
    }
    KV_TRY(code);
    unlink(p.pid);
    return KV_OK;
}

static bool is_running(const char *log_path)
{
    kv_auto_fd fd = -1;
    return kv_lock_file(log_path, false, 0, &fd, NULL) == KV_E_BUSY;
}

static kv_code copy_out(const kv_cli *cli, int fd, const char *name, kv_error *err)
{
    char piece[16384];
    for (;;) {
        KV_TRY(kv_check_cancel(kv_cli_report(cli), err));
        ssize_t n = read(fd, piece, sizeof(piece));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return kv_fail_sys(err, "error reading log file '%s'", name);
        if (n == 0) return KV_OK;
        kv_cli_put(cli, (kv_sv){piece, (size_t)n});
    }
}

kv_code kv_dev_logs(const kv_cli *cli, bool follow, kv_error *err)
{
    enum { FOLLOW_MS = 200 };
    KV_CLEANUP(clear_paths) paths p = {0};
    KV_TRY(find_paths(cli, &p, err));
    kv_auto_fd fd = open(p.log, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return kv_fail_sys(err, "error reading log file '%s'", p.log);
    for (;;) {
        bool more = follow && is_running(p.log); /* asked first: what came before its end is read */
        kv_code code = copy_out(cli, fd, p.log, err);
        if (code == KV_E_CANCELLED && follow) return KV_OK;
        KV_TRY(code);
        if (!more) return KV_OK;
        fflush(stdout);
        pause_ms(FOLLOW_MS);
    }
}

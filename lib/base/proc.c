#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

extern char **environ;
enum { READ_STEP = 4096, REAP_POLL_MS = 5 };

/* One socket pair is the program's input and output: unlike a pipe, it can be written without
 * SIGPIPE. */
static kv_code spawn(const char *const *argv, int child_fd, pid_t *out_pid, kv_error *err)
{
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, child_fd, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, child_fd, STDOUT_FILENO);
    char *const *args;
    memcpy(&args, &argv, sizeof(args)); /* the interface is older than const */
    int rc = posix_spawnp(out_pid, argv[0], &actions, NULL, args, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (rc == 0) return KV_OK;
    errno = rc;
    return kv_fail_sys(err, "cannot run '%s'", argv[0]);
}

static kv_code give(int fd, const char *name, kv_sv *input, kv_error *err)
{
    ssize_t put = send(fd, input->p, input->n, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put >= 0) {
        *input = kv_sv_from(*input, (size_t)put);
    } else if (errno == EPIPE || errno == ECONNRESET) {
        *input = (kv_sv){0}; /* it does not want to know more */
    } else if (errno != EAGAIN && errno != EINTR) {
        return kv_fail_sys(err, "cannot write to '%s'", name);
    }
    if (input->n == 0) shutdown(fd, SHUT_WR);
    return KV_OK;
}

static kv_code take(int fd, const char *name, kv_buf *out, bool *out_end, kv_error *err)
{
    char piece[READ_STEP];
    ssize_t got = recv(fd, piece, sizeof(piece), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return KV_OK;
    if (got <= 0) { /* a reset: it ended without reading its input */
        *out_end = true;
        return KV_OK;
    }
    kv_buf_add(out, (kv_sv){piece, (size_t)got});
    if (out->failed) return kv_fail(err, KV_E_LIMIT, "'%s' prints too much", name);
    return KV_OK;
}

static int left_ms(uint64_t until_us)
{
    uint64_t now = kv_mono_us();
    return now >= until_us ? 0 : (int)((until_us - now + 999) / 1000);
}

static kv_code talk(int fd, const char *name, kv_sv input, uint64_t until_us, kv_buf *out,
                    kv_error *err)
{
    if (input.n == 0) shutdown(fd, SHUT_WR);
    for (bool end = false; !end;) {
        int ms = left_ms(until_us);
        if (ms == 0) return kv_fail(err, KV_E_TIMEOUT, "'%s' takes too long", name);
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (input.n) p.events |= POLLOUT;
        int n = poll(&p, 1, ms);
        if (n < 0 && errno != EINTR) return kv_fail_sys(err, "cannot wait for '%s'", name);
        if (n <= 0) continue;
        if (p.revents & POLLOUT && input.n) KV_TRY(give(fd, name, &input, err));
        if (p.revents & (POLLIN | POLLHUP | POLLERR)) KV_TRY(take(fd, name, out, &end, err));
    }
    return KV_OK;
}

/* False: still running when the time was up. */
static bool reap(pid_t pid, uint64_t until_us, int *out_status)
{
    int status;
    for (;;) {
        pid_t got = waitpid(pid, &status, WNOHANG);
        if (got < 0 && errno != EINTR)
            status = 127 << 8; /* somebody else took it: SIGCHLD ignored */
        if (got == pid || (got < 0 && errno != EINTR)) break;
        if (left_ms(until_us) == 0) return false;
        struct timespec t = {.tv_nsec = REAP_POLL_MS * 1000000L};
        nanosleep(&t, NULL);
    }
    *out_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return true;
}

kv_code kv_proc_run(const char *const *argv, kv_sv input, unsigned timeout_ms, kv_buf *out,
                    int *out_status, kv_error *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return kv_fail_sys(err, "cannot make a socket pair");
    kv_auto_fd ours = pair[0];
    kv_auto_fd theirs = pair[1];
    uint64_t until = kv_mono_us() + (uint64_t)timeout_ms * 1000;
    pid_t pid;
    KV_TRY(spawn(argv, theirs, &pid, err));
    kv_close_fd(&theirs);
    kv_code rc = talk(ours, argv[0], input, until, out, err);
    if (rc == KV_OK && !reap(pid, until, out_status))
        rc = kv_fail(err, KV_E_TIMEOUT, "'%s' takes too long", argv[0]);
    if (rc == KV_OK) return KV_OK;
    kill(pid, SIGKILL);
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    return rc;
}

kv_code kv_proc_start(const char *const *argv, int out_fd, int *out_pid, kv_error *err)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out_fd, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out_fd, STDERR_FILENO);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
    char *const *args;
    memcpy(&args, &argv, sizeof(args)); /* the interface is older than const */
    pid_t pid;
    int rc = posix_spawnp(&pid, argv[0], &actions, &attributes, args, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    errno = rc;
    if (rc) return kv_fail_sys(err, "cannot run '%s'", argv[0]);
    *out_pid = pid;
    return KV_OK;
}

/*
 * A small load generator for registries over plain HTTP on loopback: cheap enough that the server,
 * not the client, is what is measured, and with no dependency.
 *
 *   bench_load HOST:PORT get PATH CONNECTIONS SECONDS   keep-alive GETs as fast as they go
 *   bench_load HOST:PORT put NAME FILE DIGEST           POST, one PUT with the whole file
 *
 * get prints "REQUESTS SECONDS BYTES"; put prints "SECONDS". Any status but the expected one, and
 * a connection that breaks, ends the run with exit status 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>

enum { HEAD_MAX = 16 * 1024, DISCARD_STEP = 1 << 20, SENDFILE_STEP = 1 << 30 };

typedef struct target {
    struct sockaddr_in addr;
    const char *host; /* "HOST:PORT" */
} target;

static void die(const char *what)
{
    fprintf(stderr, "bench_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static target target_of(const char *host)
{
    char name[64];
    const char *colon = strrchr(host, ':');
    if (!colon || (size_t)(colon - host) >= sizeof(name)) die("HOST:PORT expected");
    memcpy(name, host, (size_t)(colon - host));
    name[colon - host] = '\0';
    target t = {.host = host};
    t.addr.sin_family = AF_INET;
    t.addr.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    if (inet_pton(AF_INET, name, &t.addr.sin_addr) != 1) die("an IPv4 address expected");
    return t;
}

static int dial(const target *t)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;
    if (fd < 0) die("socket");
    if (connect(fd, (const struct sockaddr *)&t->addr, sizeof(t->addr)) < 0) die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

static void send_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t put = send(fd, p, n, MSG_NOSIGNAL);
        if (put <= 0) die("send");
        p += put;
        n -= (size_t)put;
    }
}

typedef struct response {
    int status;
    uint64_t left; /* bytes of the body that have not arrived */
    char head[HEAD_MAX];
    size_t head_n;
    size_t head_end; /* 0 while the head is not complete */
} response;

/* The value of a header, copied to out; empty when absent. */
static void header_of(const response *r, const char *name, char *out, size_t room)
{
    size_t n = strlen(name);
    out[0] = '\0';
    for (const char *line = strstr(r->head, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, n) != 0 || line[2 + n] != ':') continue;
        const char *from = line + 3 + n;
        while (*from == ' ') from++;
        size_t len = strcspn(from, "\r");
        if (len >= room) len = room - 1;
        memcpy(out, from, len);
        out[len] = '\0';
        return;
    }
}

/* Takes n bytes that arrived behind r->head; false: more is needed. */
static bool response_feed(response *r, size_t n)
{
    r->head_n += n;
    r->head[r->head_n] = '\0';
    char *end = strstr(r->head, "\r\n\r\n");
    if (!end) {
        if (r->head_n >= HEAD_MAX - 1) die("a head that is too long");
        return false;
    }
    r->head_end = (size_t)(end - r->head) + 4;
    r->status = (int)strtol(r->head + 9, NULL, 10);
    char length[32];
    header_of(r, "Content-Length", length, sizeof(length));
    r->left = strtoull(length, NULL, 10) - (r->head_n - r->head_end);
    return true;
}

static void response_read(int fd, response *r)
{
    static char sink[DISCARD_STEP];
    do {
        memset(r, 0, sizeof(*r));
        ssize_t got;
        do {
            got = recv(fd, r->head + r->head_n, HEAD_MAX - 1 - r->head_n, 0);
            if (got <= 0) die("recv");
        } while (!response_feed(r, (size_t)got));
    } while (r->status == 100);
    while (r->left) {
        ssize_t got = recv(fd, sink, r->left < sizeof(sink) ? r->left : sizeof(sink), 0);
        if (got <= 0) die("recv");
        r->left -= (uint64_t)got;
    }
}

/* --- get --- */

typedef struct getter {
    int fd;
    response r;
} getter;

typedef struct totals {
    uint64_t requests, bytes;
} totals;

/* Reads what is there; returns true when a response is complete. MSG_TRUNC drops the bytes of a
 * body in the kernel: the client costs next to nothing. */
static bool getter_step(getter *g, totals *sum)
{
    if (g->r.head_end == 0) {
        ssize_t got = recv(g->fd, g->r.head + g->r.head_n, HEAD_MAX - 1 - g->r.head_n,
                           MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN) return false;
        if (got <= 0) die("recv");
        sum->bytes += (uint64_t)got;
        if (!response_feed(&g->r, (size_t)got)) return false;
        if (g->r.status != 200) {
            fprintf(stderr, "bench_load: status %d\n", g->r.status);
            exit(1);
        }
    }
    while (g->r.left) {
        size_t want = g->r.left < DISCARD_STEP ? (size_t)g->r.left : DISCARD_STEP;
        ssize_t got = recv(g->fd, NULL, want, MSG_DONTWAIT | MSG_TRUNC);
        if (got < 0 && errno == EAGAIN) return false;
        if (got <= 0) die("recv");
        sum->bytes += (uint64_t)got;
        g->r.left -= (uint64_t)got;
    }
    sum->requests++;
    g->r.head_n = g->r.head_end = 0;
    return true;
}

static int run_get(const target *t, const char *path, int n, double seconds)
{
    char request[4096];
    int len = snprintf(request, sizeof(request),
                       "GET %s HTTP/1.1\r\nHost: %s\r\n"
                       "Accept: application/vnd.oci.image.manifest.v1+json, */*\r\n\r\n",
                       path, t->host);
    if (len < 0 || (size_t)len >= sizeof(request)) die("a path that is too long");
    getter *g = calloc((size_t)n, sizeof(*g));
    int poller = epoll_create1(EPOLL_CLOEXEC);
    if (!g || poller < 0) die("start");
    for (int i = 0; i < n; i++) {
        g[i].fd = dial(t);
        struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &g[i]};
        if (epoll_ctl(poller, EPOLL_CTL_ADD, g[i].fd, &ev) < 0) die("epoll");
        send_all(g[i].fd, request, (size_t)len);
    }
    totals sum = {0};
    double start = now();
    int open = n;
    while (open) {
        struct epoll_event evs[64];
        int got = epoll_wait(poller, evs, 64, 30000);
        if (got <= 0) die("nothing arrived");
        for (int i = 0; i < got; i++) {
            getter *one = evs[i].data.ptr;
            if (!getter_step(one, &sum)) continue;
            /* A request that has begun is always finished: no server is left with a reset. */
            if (now() - start < seconds) {
                send_all(one->fd, request, (size_t)len);
            } else {
                epoll_ctl(poller, EPOLL_CTL_DEL, one->fd, NULL);
                close(one->fd);
                open--;
            }
        }
    }
    printf("%llu %.6f %llu\n", (unsigned long long)sum.requests, now() - start,
           (unsigned long long)sum.bytes);
    free(g);
    close(poller);
    return 0;
}

/* --- put --- */

static int run_put(const target *t, const char *name, const char *file, const char *digest)
{
    int in = open(file, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (in < 0 || fstat(in, &st) < 0) die(file);
    static response r;
    char head[4096], location[2048];
    double start = now();
    int fd = dial(t);
    int len = snprintf(
        head, sizeof(head),
        "POST /v2/%s/blobs/uploads/ HTTP/1.1\r\nHost: %s\r\nContent-Length: 0\r\n\r\n", name,
        t->host);
    send_all(fd, head, (size_t)len);
    response_read(fd, &r);
    header_of(&r, "Location", location, sizeof(location));
    const char *path = strstr(location, "/v2/");
    if (r.status != 202 || !path) die("POST was not answered with 202 and a Location");
    len = snprintf(head, sizeof(head),
                   "PUT %s%cdigest=%s HTTP/1.1\r\nHost: %s\r\nContent-Length: %lld\r\n"
                   "Content-Type: application/octet-stream\r\n\r\n",
                   path, strchr(path, '?') ? '&' : '?', digest, t->host, (long long)st.st_size);
    if (len < 0 || (size_t)len >= sizeof(head)) die("a location that is too long");
    send_all(fd, head, (size_t)len);
    for (off_t off = 0; off < st.st_size;)
        if (sendfile(fd, in, &off, SENDFILE_STEP) <= 0) die("sendfile");
    response_read(fd, &r);
    if (r.status != 201) die("PUT was not answered with 201");
    printf("%.6f\n", now() - start);
    close(fd);
    close(in);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 6 && strcmp(argv[2], "get") == 0) {
        target t = target_of(argv[1]);
        return run_get(&t, argv[3], (int)strtol(argv[4], NULL, 10), strtod(argv[5], NULL));
    }
    if (argc == 6 && strcmp(argv[2], "put") == 0) {
        target t = target_of(argv[1]);
        return run_put(&t, argv[3], argv[4], argv[5]);
    }
    fprintf(stderr, "usage: bench_load HOST:PORT get PATH CONNECTIONS SECONDS\n"
                    "       bench_load HOST:PORT put NAME FILE DIGEST\n");
    return 2;
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Where the uploads of `make bench` go: an HTTP server that throws away what it gets, as
 * cheaply as the kernel can (MSG_TRUNC: no copy), so that it is not what is measured.
 *
 *     sink CLOUD
 *
 * listens on a port of 127.0.0.1, prints "port N", and ends when its standard input does.
 * A PUT is answered by {}, a POST of Cloudinary's upload API as that would, without a
 * look at signatures. Each connection has a thread. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

/* A request's head and the beginning of its body, which has the text fields. */
#define HEAD_MAX 16384
#define FIELD "name=\"public_id\"\r\n\r\n"

static const char *cloud;
static int port;

typedef struct request {
    char head[HEAD_MAX + 1];
    size_t len;  /* of head */
    size_t body; /* where in head the body begins */
    long long left;
} request;

static int tell(int fd, const char *text)
{
    return send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
}

/* Reads on into head. */
static int more(int fd, request *r)
{
    ssize_t got = recv(fd, r->head + r->len, HEAD_MAX - r->len, 0);

    if (got <= 0)
        return 0;
    r->len += (size_t)got;
    r->head[r->len] = '\0';
    return 1;
}

static const char *header(const request *r, const char *name)
{
    const char *line = r->head;

    while ((line = strstr(line, "\r\n")) && line < r->head + r->body) {
        line += 2;
        if (strncasecmp(line, name, strlen(name)) == 0)
            return line + strlen(name);
    }
    return NULL;
}

static int read_head(int fd, request *r)
{
    const char *end, *length;

    r->len = r->body = 0;
    do {
        if (r->len >= HEAD_MAX || !more(fd, r))
            return 0;
        end = strstr(r->head, "\r\n\r\n");
    } while (!end);
    r->body = (size_t)(end + 4 - r->head);
    length = header(r, "content-length:");
    r->left = (length ? strtoll(length, NULL, 10) : 0) - (long long)(r->len - r->body);
    return !header(r, "expect:") || tell(fd, "HTTP/1.1 100 Continue\r\n\r\n");
}

/* The first bytes of the body are kept, the others not even copied. */
static int read_body(int fd, request *r)
{
    while (r->left > 0 && r->len < r->body + 2048 && r->len < HEAD_MAX) {
        size_t before = r->len;

        if (!more(fd, r))
            return 0;
        r->left -= (long long)(r->len - before);
    }
    while (r->left > 0) {
        size_t most = r->left < (1 << 20) ? (size_t)r->left : 1 << 20;
        ssize_t got = recv(fd, NULL, most, MSG_TRUNC);

        if (got <= 0)
            return 0;
        r->left -= got;
    }
    return 1;
}

static int answer(int fd, const request *r)
{
    char body[1024] = "{}", text[2048];
    const char *id = strstr(r->head + r->body, FIELD);

    if (strstr(r->head, "/image/destroy"))
        snprintf(body, sizeof(body), "{\"result\":\"ok\"}");
    else if (strncmp(r->head, "POST ", 5) == 0 && id) {
        int len = (int)strcspn(id + strlen(FIELD), "\r");
        const char *name = id + strlen(FIELD);

        snprintf(body, sizeof(body),
                 "{\"public_id\":\"%.*s\",\"secure_url\":"
                 "\"http://127.0.0.1:%d/%s/image/upload/v1/%.*s.png\"}",
                 len, name, port, cloud, len, name);
    }
    snprintf(text, sizeof(text),
             "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
             strlen(body), body);
    return tell(fd, text);
}

static void *serve(void *arg)
{
    int fd = (int)(intptr_t)arg;
    request *r = malloc(sizeof(*r));

    while (r && read_head(fd, r) && read_body(fd, r) && answer(fd, r))
        ;
    free(r);
    close(fd);
    return NULL;
}

static void *accept_all(void *arg)
{
    int listener = (int)(intptr_t)arg, on = 1, fd;

    while ((fd = accept(listener, NULL, NULL)) >= 0) {
        pthread_t thread;

        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd) == 0)
            pthread_detach(thread);
        else
            close(fd);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    pthread_t thread;
    char byte;

    cloud = argc > 1 ? argv[1] : "demo";
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 256) ||
        getsockname(listener, (struct sockaddr *)&address, &size) ||
        pthread_create(&thread, NULL, accept_all, (void *)(intptr_t)listener)) {
        perror("sink");
        return 1;
    }
    port = ntohs(address.sin_port);
    printf("port %d\n", port);
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    return 0;
}

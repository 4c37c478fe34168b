/* SPDX-License-Identifier: Apache-2.0 */

/** A server of the test's own that says what a Redis server should not: a
 *  listening socket on loopback, a thread for each connection, a script. */
#ifndef UP_TEST_REDIS_FAKE_H
#define UP_TEST_REDIS_FAKE_H

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FAKE_CONNECTIONS 256

typedef struct fake fake;

/** What it does with the connection number nth (from 0); then the connection is closed. */
typedef void (*fake_script)(fake *f, int fd, int nth);

typedef struct fake_connection {
    pthread_t thread;
    fake *owner;
    int fd, nth;
} fake_connection;

struct fake {
    fake_script script;
    const char *text; /* for the script */
    size_t text_len;
    int delay;  /* likewise: microseconds */
    void *data; /* likewise */
    int fd, port;
    pthread_t thread;
    int accepted;
    fake_connection connections[FAKE_CONNECTIONS];
    pthread_mutex_t mutex; /* guards the log */
    char log[64 * 1024];   /* what it was sent */
    size_t log_len;
};

/** Waits for a command, or a part of it, as text; logs it. 0 where the client has left. */
static int fake_command(fake *f, int fd, char *buffer, size_t size)
{
    ssize_t len = recv(fd, buffer, size - 1, 0);

    if (len <= 0)
        return 0;
    buffer[len] = '\0';
    pthread_mutex_lock(&f->mutex);
    if (f->log_len + (size_t)len < sizeof(f->log)) {
        memcpy(f->log + f->log_len, buffer, (size_t)len);
        f->log_len += (size_t)len;
    }
    pthread_mutex_unlock(&f->mutex);
    return 1;
}

__attribute__((unused)) static int fake_read(fake *f, int fd)
{
    char buffer[16 * 1024];

    return fake_command(f, fd, buffer, sizeof(buffer));
}

/** 0 where the client has left. */
__attribute__((unused)) static int fake_write(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);

        if (sent <= 0)
            return 0;
        data += sent;
        len -= (size_t)sent;
    }
    return 1;
}

__attribute__((unused)) static int fake_say(int fd, const char *text)
{
    return fake_write(fd, text, strlen(text));
}

/** How many connections there were. */
__attribute__((unused)) static int fake_accepted(fake *f)
{
    return __atomic_load_n(&f->accepted, __ATOMIC_SEQ_CST);
}

/** How often this was sent to it. */
__attribute__((unused)) static int fake_heard(fake *f, const char *text)
{
    int count = 0;
    size_t len = strlen(text);

    pthread_mutex_lock(&f->mutex);
    for (size_t i = 0; i + len <= f->log_len; i++)
        count += memcmp(f->log + i, text, len) == 0;
    pthread_mutex_unlock(&f->mutex);
    return count;
}

static void *fake_serve(void *data)
{
    fake_connection *c = data;

    c->owner->script(c->owner, c->fd, c->nth);
    shutdown(c->fd, SHUT_RDWR);
    return NULL;
}

static void *fake_accept(void *data)
{
    fake *f = data;
    int fd;

    while (f->accepted < FAKE_CONNECTIONS && (fd = accept(f->fd, NULL, NULL)) >= 0) {
        fake_connection *c = &f->connections[f->accepted];

        c->owner = f;
        c->fd = fd;
        c->nth = f->accepted;
        __atomic_add_fetch(&f->accepted, 1, __ATOMIC_SEQ_CST);
        if (pthread_create(&c->thread, NULL, fake_serve, c) != 0)
            exit(1);
    }
    return NULL;
}

/** Starts it on a loopback port, with text (NUL-terminated) for its script. */
__attribute__((unused)) static fake *fake_start(fake_script script, const char *text, int delay)
{
    struct sockaddr_in sin = {.sin_family = AF_INET};
    socklen_t len = sizeof(sin);
    fake *f = calloc(1, sizeof(*f));

    if (!f)
        exit(1);
    f->script = script;
    f->text = text;
    f->text_len = text ? strlen(text) : 0;
    f->delay = delay;
    pthread_mutex_init(&f->mutex, NULL);
    f->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(f->fd, (struct sockaddr *)&sin, sizeof(sin)) != 0 || listen(f->fd, 100) != 0 ||
        getsockname(f->fd, (struct sockaddr *)&sin, &len) != 0)
        exit(1);
    f->port = ntohs(sin.sin_port);
    pthread_create(&f->thread, NULL, fake_accept, f);
    return f;
}

/** Stops it, breaking off what its connections do. */
__attribute__((unused)) static void fake_stop(fake *f)
{
    shutdown(f->fd, SHUT_RDWR);
    pthread_join(f->thread, NULL);
    close(f->fd);
    for (int i = 0; i < f->accepted; i++)
        shutdown(f->connections[i].fd, SHUT_RDWR);
    for (int i = 0; i < f->accepted; i++) {
        pthread_join(f->connections[i].thread, NULL);
        close(f->connections[i].fd);
    }
    pthread_mutex_destroy(&f->mutex);
    free(f);
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */

/** A Postgres that answers each statement with one row, until it does what one
 *  should not: it speaks the protocol (version 3) by a script of redis_fake.h's. */
#ifndef UP_TEST_PG_FAKE_H
#define UP_TEST_PG_FAKE_H

#include "redis_fake.h"

#include <netinet/tcp.h>

/** What it does wrong, and when. Messages are counted from 1 on each connection, after
 *  the startup; a session's first statement is these: Parse, Bind, Describe, Execute and
 *  Sync for the settings, Parse for each that is prepared, Bind, Describe and Execute for
 *  each that is run, Sync. */
typedef struct pg_plan {
    int nth;           /* on which connection, from 0; -1: on each */
    int at;            /* with which message, 0: with none */
    const char *error; /* its SQLSTATE: an error, and nothing more before the Sync */
    const char *bytes; /* or these, instead of the answer */
    size_t len;
    const char *before; /* said before the answer, e.g. a notice */
    size_t before_len;
    int limit; /* so many bytes it sends, -1: without end */
    int hangs; /* at the limit: 1: it says no more; 0: it closes the connection */
    int pause; /* microseconds between two bytes */
} pg_plan;

#define PG_NO_PLAN ((pg_plan){.nth = -1, .limit = -1})

static pg_plan pg;

/* One connection: what it has read, what it has sent. */
typedef struct pg_session {
    int fd, nth, sent, failed;
    char in[64 * 1024];
    size_t in_len;
} pg_session;

/** Makes a message: its type, its length, and its content; to is large enough. */
__attribute__((unused)) static size_t pg_message(char *to, char type, const char *content,
                                                 size_t len)
{
    to[0] = type;
    to[1] = to[2] = 0;
    to[3] = (char)((len + 4) >> 8);
    to[4] = (char)(len + 4);
    memcpy(to + 5, content, len);
    return len + 5;
}

/** An error, or a notice, of this code, said by this function of the server's. */
__attribute__((unused)) static size_t pg_report(char *to, char type, const char *severity,
                                                const char *state, const char *function)
{
    char content[256];
    int len = snprintf(content, sizeof(content), "S%s%cV%s%cC%s%cMas the plan says%cR%s%c%c",
                       severity, 0, severity, 0, state, 0, 0, function, 0, 0);

    return pg_message(to, type, content, (size_t)len);
}

static int is_planned(const pg_session *s)
{
    return pg.nth < 0 || pg.nth == s->nth;
}

/* The client has to end what hangs. */
static int pg_hang(const pg_session *s)
{
    char byte;

    while (recv(s->fd, &byte, 1, 0) > 0)
        ;
    return 0;
}

static int pg_send(pg_session *s, const char *data, size_t len)
{
    int limited = is_planned(s) && pg.limit >= 0 && s->sent + (int)len > pg.limit;
    size_t some = limited ? (size_t)(pg.limit - s->sent) : len;

    s->sent += (int)some;
    for (; is_planned(s) && pg.pause && some; some--, data++) {
        usleep((useconds_t)pg.pause);
        if (!fake_write(s->fd, data, 1))
            return 0;
    }
    if (!fake_write(s->fd, data, some))
        return 0;
    return !limited || (pg.hangs && pg_hang(s));
}

/* What a server says to a message; 0 bytes where it says nothing. */
static size_t pg_answer(char type, char *to)
{
    static const char column[] = "\0\1c\0\0\0\0\0\0\0\0\0\0\31\377\377\377\377\377\377\0\0";
    size_t len;

    switch (type) {
    case 'P':
        return pg_message(to, '1', "", 0);
    case 'B':
        return pg_message(to, '2', "", 0);
    case 'D':
        return pg_message(to, 'T', column, sizeof(column) - 1);
    case 'E':
        len = pg_message(to, 'D', "\0\1\0\0\0\3row", 9);
        return len + pg_message(to + len, 'C', "SELECT 1", 9);
    case 'S':
        return pg_message(to, 'Z', "I", 1);
    default:
        return 0;
    }
}

static int pg_reply(pg_session *s, char type, int number)
{
    char out[1024];
    int now = is_planned(s) && number == pg.at;

    if (now && pg.before && !pg_send(s, pg.before, pg.before_len))
        return 0;
    if (now && pg.error) {
        s->failed = 1;
        if (!pg_send(s, out, pg_report(out, 'E', "ERROR", pg.error, "planned")))
            return 0;
    }
    if (now && pg.bytes)
        return pg_send(s, pg.bytes, pg.len);
    if (type == 'S')
        s->failed = 0;
    return s->failed || pg_send(s, out, pg_answer(type, out));
}

/* Reads until there are so many bytes; 0 where the client has left. */
static int pg_fill(pg_session *s, size_t len)
{
    while (s->in_len < len) {
        ssize_t got = recv(s->fd, s->in + s->in_len, sizeof(s->in) - s->in_len, 0);

        if (got <= 0)
            return 0;
        s->in_len += (size_t)got;
    }
    return 1;
}

static size_t pg_length(const char *at)
{
    const unsigned char *u = (const unsigned char *)at;

    return (size_t)u[0] << 24 | (size_t)u[1] << 16 | (size_t)u[2] << 8 | u[3];
}

static void pg_drop(pg_session *s, size_t len)
{
    s->in_len -= len;
    memmove(s->in, s->in + len, s->in_len);
}

/* Its text in the log: "P" for Parse and so on, after "/" for a new connection. */
static void pg_note(fake *f, char what)
{
    pthread_mutex_lock(&f->mutex);
    if (f->log_len < sizeof(f->log))
        f->log[f->log_len++] = what;
    pthread_mutex_unlock(&f->mutex);
}

/** The script: fake_start(pg_script, NULL, 0). */
__attribute__((unused)) static void pg_script(fake *f, int fd, int nth)
{
    static const char welcome[] = "R\0\0\0\10\0\0\0\0S\0\0\0\31client_encoding\0UTF8\0"
                                  "S\0\0\0\30server_version\00015.0\0Z\0\0\0\5I";
    pg_session *s = calloc(1, sizeof(*s));
    int number = 0;

    if (!s)
        exit(1);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    s->fd = fd;
    s->nth = nth;
    pg_note(f, '/');
    if (pg_fill(s, 4) && pg_fill(s, pg_length(s->in)) &&
        fake_write(fd, welcome, sizeof(welcome) - 1)) {
        pg_drop(s, pg_length(s->in));
        while (pg_fill(s, 5) && pg_fill(s, 1 + pg_length(s->in + 1))) {
            char type = s->in[0];

            pg_note(f, type);
            pg_drop(s, 1 + pg_length(s->in + 1));
            if (type == 'X' || !pg_reply(s, type, ++number))
                break;
        }
    }
    free(s);
}

#endif

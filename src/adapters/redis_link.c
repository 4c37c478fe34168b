/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/redis_link.h"

#include <apr_strings.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

/* A peer that vanished without a word is noticed after 15 + 3 × 5 seconds of silence. */
#define KEEPALIVE_IDLE 15
#define KEEPALIVE_INTERVAL 5
#define KEEPALIVE_PROBES 3

#define TIMED_OUT                                                                                  \
    "timed out; does the server hang, is it overloaded, does a firewall drop its packets, or is "  \
    "the timeout too short?"

/** Waits until fd is ready. @return 0, or ETIMEDOUT, or another errno. */
static int wait_ready(int fd, short events, apr_time_t deadline)
{
    struct pollfd pfd = {.fd = fd, .events = events};

    for (;;) {
        apr_time_t left = deadline - up_clock();
        int rv;

        /* Even where data is there: else a server that trickles would never time out. */
        if (left <= 0)
            return ETIMEDOUT;
        rv = poll(&pfd, 1, (int)((left + 999) / 1000));
        if (rv > 0)
            return 0;
        if (rv < 0 && errno != EINTR)
            return errno;
    }
}

static const char *explain(apr_pool_t *p, const char *doing, int error)
{
    const char *advice = "";

    if (error == ETIMEDOUT)
        return apr_psprintf(p, "%s " TIMED_OUT, doing);
    if (error == ECONNREFUSED || error == ENOENT)
        advice = "; is the server running, and does it listen there?";
    else if (error == EACCES || error == EPERM)
        advice = "; let httpd's user connect (unixsocketperm, the folder's permissions)";
    return apr_psprintf(p, "%s failed: %s%s", doing, strerror(error), advice);
}

/** connect(2) on a socket that does not block. @return 0 or an errno. */
static int connect_within(int fd, const up_redis_address *address, apr_time_t deadline)
{
    int error = 0, rv;
    socklen_t len = sizeof(error);

    while (connect(fd, (const struct sockaddr *)&address->storage, address->len) != 0) {
        if (errno == EINPROGRESS) {
            rv = wait_ready(fd, POLLOUT, deadline);
            if (rv == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
                rv = errno;
            return rv ? rv : error;
        }
        /* A Unix socket whose backlog is full: nothing tells when it no longer is. */
        if (errno != EAGAIN && errno != EINTR)
            return errno;
        if (up_clock() >= deadline)
            return ETIMEDOUT;
        poll(NULL, 0, 5);
    }
    return 0;
}

static void set_tcp_options(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {{IPPROTO_TCP, TCP_NODELAY, 1},
                   {SOL_SOCKET, SO_KEEPALIVE, 1},
                   {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE},
                   {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL},
                   {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES}};

    /* Without them it works as well, only later or slower. */
    for (apr_size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value,
                         sizeof(options[i].value));
}

/** Tries one address. @return 0 or an errno; then *fd is -1. */
static int try_address(int *fd, const up_redis_address *address, apr_time_t deadline)
{
    int family = address->storage.ss_family, error;

    *fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (*fd < 0)
        return errno;
    error = connect_within(*fd, address, deadline);
    if (error) {
        close(*fd);
        *fd = -1;
    } else if (family != AF_UNIX) {
        set_tcp_options(*fd);
    }
    return error;
}

/** Tries each address in turn; the time is shared among those that are left. */
static const char *connect_any(up_redis_link *link, const up_redis_addresses *addresses,
                               apr_time_t deadline, apr_pool_t *p)
{
    int error = 0;

    for (int i = 0; i < addresses->count; i++) {
        link->peer = addresses->entries[i];
        error = try_address(&link->fd, &link->peer, up_redis_share(deadline, addresses->count - i));
        if (!error)
            return NULL;
    }
    return explain(p, "connecting", error);
}

#if HIREDIS_MAJOR < 1
/** hiredis allocates an array as soon as its length was announced, up to 16 GiB. */
static void *create_limited_array(const redisReadTask *task, int elements)
{
    const redisReplyObjectFunctions *functions = task->privdata;

    return elements > UP_REDIS_ELEMENTS_MAX ? NULL : functions->createArray(task, elements);
}

static void limit_arrays(up_redis_link *link)
{
    link->functions = *link->reader->fn;
    link->functions.createArray = create_limited_array;
    link->reader->privdata = link->reader->fn;
    link->reader->fn = &link->functions;
}
#else
static void limit_arrays(up_redis_link *link)
{
    link->reader->maxelements = UP_REDIS_ELEMENTS_MAX;
}
#endif

/** @return 0 or an errno. */
static int send_all(int fd, const char *data, apr_size_t len, apr_time_t deadline)
{
    while (len) {
        ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);

        if (sent >= 0) {
            data += sent;
            len -= (apr_size_t)sent;
        } else if (errno == EAGAIN) {
            int error = wait_ready(fd, POLLOUT, deadline);

            if (error)
                return error;
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

/** @return NULL or what is wrong. */
static const char *send_command(up_redis_link *link, const up_redis_command *command,
                                apr_time_t deadline, apr_pool_t *p)
{
    char *text = NULL;
    long long len = redisFormatCommandArgv(&text, command->argc, command->argv, command->lens);
    int error;

    if (len < 0)
        return "no memory is left for the command";
    error = send_all(link->fd, text, (apr_size_t)len, deadline);
    redisFreeCommand(text);
    return error ? explain(p, "sending", error) : NULL;
}

const char *up_redis_link_send(up_redis_link *link, const up_redis_command *command,
                               apr_time_t deadline, apr_pool_t *p)
{
    const char *wrong = "the connection is broken";

    if (!link->broken && link->fd >= 0)
        wrong = send_command(link, command, deadline, p);
    if (wrong)
        link->broken = 1;
    return wrong;
}

/** Reads once into the reader what has come. @return NULL or what is wrong. */
static const char *read_some(up_redis_link *link, int *came, apr_pool_t *p)
{
    char buffer[16 * 1024];
    ssize_t len = recv(link->fd, buffer, sizeof(buffer), 0);

    *came = len > 0;
    if (len < 0)
        return errno == EAGAIN || errno == EINTR ? NULL : explain(p, "reading", errno);
    if (len == 0)
        return "the server closed the connection; see its log (maxclients, timeout, a restart)";
    link->partial += (apr_size_t)len;
    if (link->partial > UP_REDIS_REPLY_MAX)
        return "the reply is larger than 4 MiB; is this a Redis server?";
    redisReaderFeed(link->reader, buffer, (size_t)len);
    return NULL;
}

/** A reply of what was read. @return NULL where it is not complete yet, or something is wrong. */
static redisReply *parse(up_redis_link *link, const char **wrong, apr_pool_t *p)
{
    void *reply = NULL;

    *wrong = NULL;
    if (redisReaderGetReply(link->reader, &reply) == REDIS_OK) {
        if (reply)
            link->partial = link->reader->len - link->reader->pos;
        return reply;
    }
    *wrong = "the reply is too large, or no memory is left; is this a Redis server?";
    if (link->reader->err != REDIS_ERR_OOM)
        *wrong = apr_psprintf(p, "the reply is not Redis' protocol (%s); is this a Redis server?",
                              link->reader->errstr);
    return NULL;
}

redisReply *up_redis_link_next(up_redis_link *link, const char **wrong, apr_pool_t *p)
{
    redisReply *reply;
    int came = 1;

    do {
        reply = parse(link, wrong, p);
        if (!reply && !*wrong)
            *wrong = read_some(link, &came, p);
    } while (!reply && !*wrong && came);
    if (*wrong)
        link->broken = 1;
    return reply;
}

static redisReply *read_reply(up_redis_link *link, apr_time_t deadline, const char **wrong,
                              apr_pool_t *p)
{
    redisReply *reply = NULL;

    while (!reply) {
        int came, error = wait_ready(link->fd, POLLIN, deadline);

        *wrong = error ? explain(p, "waiting for the reply", error) : read_some(link, &came, p);
        if (!*wrong)
            reply = parse(link, wrong, p);
        if (*wrong)
            return NULL;
    }
    /* What is left over would be taken for the answer to the next command. */
    if (link->partial) {
        *wrong = "the server said more than it was asked; is this a Redis server?";
        freeReplyObject(reply);
        return NULL;
    }
    return reply;
}

/** What a master answers that was demoted, or is about to be: another may be the master by now. */
static int is_outdated(const redisReply *reply)
{
    static const char *const codes[] = {"READONLY ", "MASTERDOWN ", "NOREPLICAS ", "LOADING "};

    for (apr_size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (strncmp(reply->str, codes[i], strlen(codes[i])) == 0)
            return 1;
    return 0;
}

redisReply *up_redis_link_ask(up_redis_link *link, const up_redis_command *command,
                              apr_time_t deadline, const char **wrong, apr_pool_t *p)
{
    redisReply *reply = NULL;

    *wrong = up_redis_link_send(link, command, deadline, p);
    if (!*wrong)
        reply = read_reply(link, deadline, wrong, p);
    if (!reply || (link->master && reply->type == REDIS_REPLY_ERROR && is_outdated(reply)))
        link->broken = 1;
    return reply;
}

/** A command of the handshake, which must be answered by +OK. */
static const char *ask_ok(up_redis_link *link, int argc, const char **argv, apr_time_t deadline,
                          apr_pool_t *p)
{
    up_redis_command command = {argc, argv, NULL};
    const char *wrong;
    redisReply *reply = up_redis_link_ask(link, &command, deadline, &wrong, p);

    if (reply && reply->type == REDIS_REPLY_ERROR)
        wrong = up_redis_complaint(p, reply, &command);
    else if (reply && (reply->type != REDIS_REPLY_STATUS || strcmp(reply->str, "OK") != 0))
        wrong = "an unexpected reply; is this a Redis server?";
    freeReplyObject(reply);
    return wrong ? apr_psprintf(p, "%s: %s", argv[0], wrong) : NULL;
}

static const char *shake_hands(up_redis_link *link, const up_redis_settings *settings,
                               apr_time_t deadline, apr_pool_t *p)
{
    const char *auth[] = {"AUTH", settings->username, settings->password};
    const char *wrong = NULL;

    if (settings->password && settings->username) {
        wrong = ask_ok(link, 3, auth, deadline, p);
    } else if (settings->password) {
        auth[1] = settings->password;
        wrong = ask_ok(link, 2, auth, deadline, p);
    }
    if (!wrong && settings->db) {
        const char *select[] = {"SELECT", apr_itoa(p, settings->db)};

        wrong = ask_ok(link, 2, select, deadline, p);
    }
    return wrong;
}

const char *up_redis_link_open(up_redis_link *link, const up_redis_addresses *addresses,
                               const up_redis_settings *settings, apr_time_t deadline,
                               apr_pool_t *p)
{
    const char *wrong = connect_any(link, addresses, deadline, p);

    if (wrong)
        return wrong;
    link->reused = link->broken = link->master = 0;
    link->partial = 0;
    link->reader = redisReaderCreate();
    if (!link->reader) {
        wrong = "no memory is left for a connection";
    } else {
        limit_arrays(link);
        wrong = shake_hands(link, settings, deadline, p);
    }
    if (wrong)
        up_redis_link_close(link);
    return wrong;
}

void up_redis_link_close(up_redis_link *link)
{
    if (link->fd >= 0)
        close(link->fd);
    if (link->reader)
        redisReaderFree(link->reader);
    link->fd = -1;
    link->reader = NULL;
    link->reused = link->broken = link->master = 0;
}

int up_redis_link_is_alive(const up_redis_link *link)
{
    char byte;

    return recv(link->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

/** What to do about an error reply that begins so. The first that fits counts. */
static const struct {
    const char *prefix, *advice;
} advices[] = {
    {"NOAUTH", "the server wants a password: put it into the URL"},
    {"WRONGPASS", "check user and password in the URL"},
    {"ERR invalid password", "check the password in the URL"},
    {"ERR AUTH", "the server has no password: take it out of the URL, or set requirepass"},
    {"ERR Client sent AUTH", "the server has no password: take it out of the URL"},
    {"NOPERM",
     "allow its user the commands EXISTS, SET, SCAN (with index= SSCAN and SREM), UNLINK, "
     "SELECT, ROLE and WAIT, and the keys (ACL SETUSER)"},
    {"LOADING", "the server is starting and answers once its data is loaded"},
    {"READONLY", "the server is a replica: let the URL name the primary, or its sentinels"},
    {"NOREPLICAS", "the server writes nothing as too few replicas follow it "
                   "(min-replicas-to-write): bring one back"},
    {"MASTERDOWN", "the server is a replica without its primary: let the URL name the primary, "
                   "or its sentinels"},
    {"OOM", "the server's memory is full: raise maxmemory"},
    {"MISCONF", "the server cannot save to disk: see its log"},
    {"BUSY", "a script blocks the server: SCRIPT KILL or FUNCTION KILL ends it"},
    {"MOVED", "a Redis Cluster is not supported: name a server of its own"},
    {"CLUSTERDOWN", "a Redis Cluster is not supported: name a server of its own"},
    {"DENIED", "the server is in protected mode: give it a password or a bind address"},
    {"ERR max number of clients", "raise maxclients, or lower the number of connections"},
    {"ERR DB index", "the URL names a database that the server does not have (databases)"},
    {"ERR unknown command", "Redis 4.0 or later is needed, with its commands not renamed"},
};

static const char *find_advice(const char *text)
{
    for (apr_size_t i = 0; i < sizeof(advices) / sizeof(advices[0]); i++)
        if (strncmp(text, advices[i].prefix, strlen(advices[i].prefix)) == 0)
            return advices[i].advice;
    return "see the server's log";
}

const char *up_redis_quote(apr_pool_t *p, const redisReply *reply, const up_redis_command *command)
{
    apr_size_t len = strspn(reply->str, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                        "0123456789 .,-_()<>");
    char *text = apr_pstrmemdup(p, reply->str, len < 120 ? len : 120);

    for (int i = 1; i < command->argc; i++) {
        char *found = *command->argv[i] ? strstr(text, command->argv[i]) : NULL;

        if (found)
            *found = '\0';
    }
    return apr_psprintf(p, "the server answered \"%s%s\"", text,
                        strlen(text) < reply->len ? "..." : "");
}

const char *up_redis_complaint(apr_pool_t *p, const redisReply *reply,
                               const up_redis_command *command)
{
    return apr_pstrcat(p, up_redis_quote(p, reply, command), "; ", find_advice(reply->str), NULL);
}

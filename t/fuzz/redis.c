/* SPDX-License-Identifier: Apache-2.0 */

/* What a Redis server answers, to the token store and all under it (connections, handshake,
 * sentinels). Sockets are pairs of this process, whose other end has the answers in it already: one
 * packet is what one read gives, and after the last one the connection is closed.
 *
 * The input: a byte for which call is made, a byte for the settings; then connections, divided by
 * 0xFF, each of packets, divided by 0xFE. */
#include "fuzz.h"

#include "adapters/redis_tokens.h"

#include <apr_strings.h>
#include <errno.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 12
#define PACKETS_MAX 32
#define HEARD_MAX 65536

#define JTI "secret-jti"
#define SUBJECT "secret@x"
#define PASSWORD "hunter2"
#define SESSION_KEY "refresh_token:" SUBJECT ":"

enum call { IS_REVOKED, REVOKE, REVOKE_SESSIONS, ASK_TWICE, CALLS };
enum settings { WITH_LOGIN = 1, WITH_REPLICAS = 2, WITH_SENTINELS = 4, SILENT = 8 };

static const uint8_t *script;
static size_t script_len;
static int is_silent;
static int peers[CONNECTIONS_MAX], peer_count;

/* --- The system's calls, as the adapter sees them --- */

static void send_packets(int fd, const uint8_t *data, size_t size)
{
    int packets;

    for (packets = 0; size > 0 && packets < PACKETS_MAX; packets++) {
        const uint8_t *end = memchr(data, 0xfe, size);
        size_t len = end ? (size_t)(end - data) : size;

        if (len > 0 && send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            break;
        data += end ? len + 1 : len;
        size -= end ? len + 1 : len;
    }
    shutdown(fd, SHUT_WR);
}

static void next_connection(int fd)
{
    const uint8_t *end = memchr(script, 0xff, script_len);
    size_t len = end ? (size_t)(end - script) : script_len;

    send_packets(fd, script, len);
    script += end ? len + 1 : len;
    script_len -= end ? len + 1 : len;
}

int socket(int domain, int type, int protocol)
{
    int pair[2];

    (void)domain;
    (void)protocol;
    if (peer_count == CONNECTIONS_MAX || script_len == 0) {
        errno = EMFILE;
        return -1;
    }
    must(socketpair(AF_UNIX, SOCK_SEQPACKET | (type & ~0xf), 0, pair) == 0);
    next_connection(pair[1]);
    peers[peer_count++] = pair[1];
    return pair[0];
}

int connect(int fd, const struct sockaddr *address, socklen_t len)
{
    (void)fd;
    must(len > 0 && (address->sa_family == AF_INET || address->sa_family == AF_INET6));
    return 0;
}

/* An idle connection on which the next answer waits already would not be used again. */
ssize_t recv(int fd, void *data, size_t size, int flags)
{
    if (is_silent && flags & MSG_PEEK) {
        errno = EAGAIN;
        return -1;
    }
    return recvfrom(fd, data, size, flags, NULL, NULL);
}

/* A name that a sentinel gives is looked up nowhere. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **found)
{
    static struct sockaddr_in sin = {.sin_family = AF_INET};
    static struct addrinfo info = {.ai_family = AF_INET,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_addr = (struct sockaddr *)&sin,
                                   .ai_addrlen = sizeof(sin)};

    (void)service;
    if (!node || node[0] == '.' || (hints->ai_flags & AI_NUMERICHOST && node[0] > '9'))
        return EAI_NONAME;
    *found = &info;
    return 0;
}

void freeaddrinfo(struct addrinfo *found)
{
    (void)found;
}

/* --- What was sent --- */

/* All the commands of all connections, as they were sent. */
static char *hear(size_t *len)
{
    static char heard[HEARD_MAX];
    int i;

    *len = 0;
    for (i = 0; i < peer_count; i++) {
        ssize_t got;

        while (*len < HEARD_MAX &&
               (got = recv(peers[i], heard + *len, HEARD_MAX - *len, MSG_DONTWAIT)) > 0)
            *len += (size_t)got;
        close(peers[i]);
    }
    peer_count = 0;
    return heard;
}

/* Every key that was removed is this subject's. A command is as redisFormatCommandArgv() has it. */
static void check_removed(const char *heard, size_t len)
{
    const char *end = heard + len, *at = heard;

    while ((at = memmem(at, (size_t)(end - at), "$6\r\nUNLINK\r\n", 12)) != NULL) {
        const char *start = at;
        long count, i, size;
        char *next;

        while (start > heard && *start != '*')
            start--;
        count = strtol(start + 1, NULL, 10);
        at += 12;
        for (i = 1; i < count; i++) {
            must(at < end && *at == '$');
            size = strtol(at + 1, &next, 10);
            at = next + 2;
            must(end - at >= size + 2 && (size_t)size >= strlen(SESSION_KEY));
            must(memcmp(at, SESSION_KEY, strlen(SESSION_KEY)) == 0);
            at += size + 2;
        }
    }
}

/* --- The calls --- */

/* A problem is one of ours, with a line for the log that nobody can write into, and that repeats no
 * secret argument of the command that it is about, though the server may. */
static void check_problem(const up_problem *problem)
{
    must(problem->code == UP_SERVICE_UNAVAILABLE && problem->log);
    must(fuzz_is_printable(problem->log));
    if (strstr(problem->log, "sentinel"))
        return;
    if (strstr(problem->log, " EXISTS: ") || strstr(problem->log, " SET: "))
        must(!strstr(problem->log, "blacklisted_access_token:" JTI));
    if (strstr(problem->log, " AUTH: "))
        must(!strstr(problem->log, PASSWORD));
}

static void ask(up_token_store *store, apr_pool_t *p, const uint8_t *data, size_t size)
{
    int revoked = -1;
    up_problem *problem = store->is_revoked(store, p, JTI, &revoked);

    must(revoked == 0 || revoked == 1);
    if (problem) {
        must(revoked == 1);
        check_problem(problem);
    } else {
        /* Nothing but the number 0 lets a token through. */
        must(revoked || memchr(data, '0', size));
        must(memchr(data, ':', size));
    }
}

static up_token_store *make_store(apr_pool_t *p, int bits)
{
    up_redis_settings settings = {.timeout = apr_time_from_sec(5),
                                  .scan_timeout = apr_time_from_sec(5),
                                  .max_connections = 2};
    const char *url = bits & WITH_SENTINELS ? "redis+sentinel://10.0.0.1,10.0.0.2/mymaster"
                                            : "redis://10.0.0.1:6379/0";
    up_token_store *store;

    if (bits & WITH_LOGIN)
        url = bits & WITH_SENTINELS ? "redis+sentinel://me:" PASSWORD
                                      "@10.0.0.1,10.0.0.2/mymaster/3"
                                      "?sentinel_password=" PASSWORD
                                    : "redis://:" PASSWORD "@10.0.0.1:6379/3";
    must(!up_redis_parse(p, url, &settings));
    settings.replicas = bits & WITH_REPLICAS ? 1 : 0;
    store = up_redis_tokens_create(p, &settings, NULL);
    must(store);
    return store;
}

static void call(up_token_store *store, apr_pool_t *p, enum call which, const uint8_t *data,
                 size_t size)
{
    up_problem *problem = NULL;

    if (which == REVOKE)
        problem = store->revoke(store, p, JTI, 60);
    else if (which == REVOKE_SESSIONS)
        problem = store->revoke_sessions(store, p, SUBJECT);
    else
        ask(store, p, data, size);
    if (which == ASK_TWICE)
        ask(store, p, data, size);
    if (problem)
        check_problem(problem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p = fuzz_pool();
    size_t len;
    const char *heard;

    if (size < 3)
        return 0;
    script = data + 2;
    script_len = size - 2;
    is_silent = data[1] & SILENT;
    peer_count = 0;
    call(make_store(p, data[1]), p, (enum call)(data[0] % CALLS), data + 2, size - 2);
    heard = hear(&len);
    check_removed(heard, len);
    return fuzz_done();
}

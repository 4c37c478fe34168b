/* SPDX-License-Identifier: Apache-2.0 */

/** The token store where its Redis server is down, hangs, is restarted, trickles, or
 *  has lost its name. SIGPIPE keeps its default: nothing may raise it. */
#include "redis_ask.h"

#include <dlfcn.h>
#include <netdb.h>
#include <sys/un.h>

/* --- Out of reach --------------------------------------------------------------------------- */

static void test_out_of_reach(void)
{
    fails(store_at_port(free_port(), 4), "nobody listens", "Connection refused");
    ok(logged("is the server running"), "  and what to do");
    fails(store_at("redis+unix:///tmp/up_no_such_folder/sock", 4), "no such socket",
          "No such file");
    fails(store_at("redis+unix:///dev/null", 4), "no socket at all", "Connection refused");
}

/** A listener that never accepts: connections beyond its backlog stay in the making. */
typedef struct full_listener {
    int fd, count, fds[12];
} full_listener;

static int fill_listener(full_listener *l, struct sockaddr *sa, socklen_t *len)
{
    l->count = 0;
    l->fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(l->fd, sa, *len) != 0 || listen(l->fd, 0) != 0 || getsockname(l->fd, sa, len) != 0)
        return 0;
    for (; l->count < 12; l->count++) {
        l->fds[l->count] = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(l->fds[l->count], sa, *len);
    }
    return 1;
}

static void close_listener(full_listener *l)
{
    while (l->count)
        close(l->fds[--l->count]);
    close(l->fd);
}

static void test_backlogs(void)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    struct sockaddr_in sin = {.sin_family = AF_INET};
    socklen_t un_len = sizeof(sun), in_len = sizeof(sin);
    full_listener l;

    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ok(fill_listener(&l, (struct sockaddr *)&sin, &in_len), "a port that does not accept");
    fails(store_at_port(ntohs(sin.sin_port), 4), "connecting hangs", "connecting timed out");
    close_listener(&l);

    snprintf(sun.sun_path, sizeof(sun.sun_path), "/tmp/up_backlog_%d", (int)getpid());
    ok(fill_listener(&l, (struct sockaddr *)&sun, &un_len), "a socket that does not accept");
    fails(store_at(apr_pstrcat(pool, "redis+unix://", sun.sun_path, NULL), 4), "connecting hangs",
          "connecting timed out");
    close_listener(&l);
    unlink(sun.sun_path);
}

/* --- A real server, stopped and restarted --------------------------------------------------- */

static redis_server server;

static void test_hung(const char *url)
{
    up_token_store *store = store_at(url, 4), *cold = store_at(url, 4);
    apr_time_t start;

    is_int(revoked(store), 0, "the server answers");
    kill(server.pid, SIGSTOP);
    fails(store, "the server hangs, the connection was open", "timed out");
    fails(store, "again, on a new connection", "timed out");
    fails(cold, "and the first connection of a store", "timed out");
    start = up_clock();
    ok(sessions_fail(store, "timed out"), "sessions are not revoked");
    ok(up_clock() - start < 3 * TIMEOUT + SLACK, "  within the scan's limit");
    kill(server.pid, SIGCONT);
    is_int(revoked(store), 0, "it goes on, and the next request succeeds");
    is_int(revoked(store), 0, "and the one after it");
}

static int descriptors_before;

/** Once each of a hundred threads has its connection. */
static void go_on(void)
{
    for (int i = 0; i < 500 && count_descriptors() < descriptors_before + 100; i++)
        usleep(10000);
    kill(server.pid, SIGCONT);
}

/** A store with a hundred idle connections: as the server stands still, each needs its own. */
static up_token_store *hundred_idle(const char *url)
{
    static asker askers[100];
    up_redis_settings settings = {.timeout = apr_time_from_sec(10), .max_connections = 100};
    up_token_store *store;
    long clients = server_info(&server, "clients", "connected_clients");

    up_redis_parse(pool, url, &settings);
    store = up_redis_tokens_create(pool, &settings, NULL);
    descriptors_before = count_descriptors();
    kill(server.pid, SIGSTOP);
    is_int(ask_at_once(store, askers, 100, go_on), 100, "a hundred requests at once");
    clients = server_info(&server, "clients", "connected_clients") - clients;
    is_int(clients, 100, "leave a hundred idle connections");
    return store;
}

static void test_restart(const char *url)
{
    up_token_store *store = hundred_idle(url);
    int wrong = 0, before = count_descriptors();

    server_kill(&server);
    if (!ok(server_start(&server), "the server is restarted"))
        return;
    is_int(revoked(store), 0, "the first request after it succeeds");
    for (int i = 0; i < 200; i++)
        wrong += revoked(store) != 0;
    is_int(wrong, 0, "and the next 200");
    ok(count_descriptors() < before - 90, "the dead connections are closed");
    is_int(server_info(&server, "clients", "connected_clients"), 2, "one is made");
}

/** All threads come back at once to a hundred dead connections. */
static void test_restart_crowd(const char *url)
{
    static asker askers[100];
    up_token_store *store = hundred_idle(url);

    server_kill(&server);
    if (!ok(server_start(&server), "the server is restarted"))
        return;
    is_int(ask_at_once(store, askers, 100, NULL), 100, "the first hundred requests succeed");
}

static void test_down_and_back(void)
{
    up_token_store *store = store_at_port(server.port, 4);

    is_int(revoked(store), 0, "the server answers");
    server_kill(&server);
    fails(store, "the server is gone", "Connection refused");
    fails(store, "and stays so", "Connection refused");
    if (!ok(server_start(&server), "the server is back"))
        return;
    is_int(revoked(store), 0, "the first request succeeds");
    admin(&server, 0, "CLIENT", "KILL", "TYPE", "normal");
    is_int(revoked(store), 0, "so does the first after the server closed all connections");
}

/* --- Scripts of a server that fails --------------------------------------------------------- */

/** The text, a byte at a time. */
static void trickle(fake *f, int fd, int nth)
{
    (void)nth;
    if (!fake_read(f, fd))
        return;
    for (size_t i = 0; i < f->text_len; i++) {
        if (!fake_write(fd, f->text + i, 1))
            return;
        usleep((useconds_t)f->delay);
    }
    fake_read(f, fd);
}

static void say_nothing(fake *f, int fd, int nth)
{
    (void)nth;
    while (fake_read(f, fd))
        ;
}

static void hang_up(fake *f, int fd, int nth)
{
    (void)nth;
    fake_read(f, fd);
}

/** Answers once on each connection, and hangs up only when it is asked again: an idle
 *  connection looks alive and is not. */
static void answer_once(fake *f, int fd, int nth)
{
    (void)nth;
    if (fake_read(f, fd) && fake_say(fd, ":0\r\n"))
        fake_read(f, fd);
}

/** Answers once on the first connection, never on others. */
static void answer_first(fake *f, int fd, int nth)
{
    if (fake_read(f, fd) && nth == 0 && fake_say(fd, ":0\r\n"))
        fake_read(f, fd);
}

/** The first four connections answer once, slowly, and then nothing any more, as behind
 *  a firewall that forgot them. */
static void fall_silent(fake *f, int fd, int nth)
{
    int answers = nth < 4 ? 1 : 1000;

    while (fake_read(f, fd)) {
        if (nth < 4)
            usleep(100000);
        if (answers-- > 0)
            fake_say(fd, ":0\r\n");
    }
}

/** Ends and resets the connection while the client is still sending. */
static void reset(fake *f, int fd, int nth)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    (void)nth;
    fake_read(f, fd);
    shutdown(fd, SHUT_WR);
    usleep(50000);
    dup2(null, fd);
    close(null);
}

static void test_stale(void)
{
    up_token_store *store;
    fake *f = fake_store(&store, answer_once, NULL, 0);

    for (int i = 0; i < 4; i++)
        is_int(revoked(store), 0, "a connection that dies when it is used again is replaced");
    is_int(fake_accepted(f), 4, "each time by a new one");
    fake_stop(f);

    f = fake_store(&store, answer_first, NULL, 0);
    is_int(revoked(store), 0, "a connection is made");
    fails(store, "it is stale, and a new one is no better", "closed the connection");
    is_int(fake_accepted(f), 2, "so two were tried, no more");
    fake_stop(f);

    f = fake_store(&store, hang_up, NULL, 0);
    fails(store, "a server that hangs up", "closed the connection");
    is_int(fake_accepted(f), 1, "a new connection's failure is not tried again");
    fake_stop(f);
}

/** A command that is still being sent when the server hangs up. */
static void test_broken_pipe(void)
{
    char *longest = apr_palloc(pool, 8000001);
    up_token_store *store;
    up_problem *problem;
    fake *f = fake_store(&store, reset, NULL, 0);

    memset(longest, 'j', 8000000);
    longest[8000000] = '\0';
    problem = store->revoke(store, pool, longest, 10);
    ok(problem && strstr(problem->log, "SET: sending failed"), "hung up on while sending: %s",
       problem ? problem->log : "no problem");
    fake_stop(f);
}

/** Four idle connections, all forgotten by a firewall: one request pays, not four. */
static void test_forgotten(void)
{
    up_token_store *store;
    asker askers[4];
    fake *f = fake_store(&store, fall_silent, NULL, 0);

    is_int(ask_at_once(store, askers, 4, NULL), 4, "four at once are answered");
    is_int(fake_accepted(f), 4, "on four connections");
    fails(store, "all of which fall silent", "timed out");
    is_int(revoked(store), 0, "the next request has a new one");
    is_int(ask_at_once(store, askers, 4, NULL), 4, "so have four at once");
    fake_stop(f);
}

static void test_trickle(void)
{
    up_token_store *store;
    fake *f = fake_store(&store, trickle, ":1\r\n", 10000);

    is_int(revoked(store), 1, "an answer that trickles in is one");
    fake_stop(f);
    f = fake_store(&store, trickle,
                   "$100\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 20000);
    fails(store, "one that trickles for a second", "timed out");
    fake_stop(f);
    f = fake_store(&store, trickle,
                   "$100\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 20000);
    ok(sessions_fail(store, "timed out"), "a scan that trickles");
    fake_stop(f);
}

static void test_silence(void)
{
    up_token_store *store;
    fake *f = fake_store(&store, say_nothing, NULL, 0);
    asker askers[7];
    int late = 0;

    fails(store, "a server that is silent", "timed out");
    ask_at_once(store, askers, 7, NULL);
    for (int i = 0; i < 7; i++)
        late += askers[i].answer != -1 || askers[i].took > TIMEOUT + SLACK;
    is_int(late, 0, "7 threads on 4 connections: all fail within the limit");
    fake_stop(f);
}

static void *scan_once(void *data)
{
    asker *a = data;
    apr_pool_t *p;

    apr_pool_create(&p, NULL);
    a->answer = a->store->revoke_sessions(a->store, p, "secret@x") != NULL;
    apr_pool_destroy(p);
    return NULL;
}

/** Scans without end have all connections for longer than a request may wait. */
static void test_exhausted(void)
{
    up_redis_settings settings = {
        .timeout = TIMEOUT, .scan_timeout = apr_time_from_sec(3), .max_connections = 4};
    fake *f = fake_start(say_text, "*2\r\n$1\r\n7\r\n*0\r\n", 0);
    up_token_store *store;
    asker scans[4];

    up_redis_parse(pool, apr_psprintf(pool, "redis://127.0.0.1:%d", f->port), &settings);
    store = up_redis_tokens_create(pool, &settings, NULL);
    for (int i = 0; i < 4; i++) {
        scans[i].store = store;
        pthread_create(&scans[i].thread, NULL, scan_once, &scans[i]);
    }
    for (int i = 0; i < 100 && fake_accepted(f) < 4; i++)
        usleep(20000);
    fails(store, "no connection is free", "none of its 4 connections became free");
    for (int i = 0; i < 4; i++)
        pthread_join(scans[i].thread, NULL);
    is_int(fake_accepted(f), 4, "no fifth one was made");
    fake_stop(f);
    fails(store, "later there is, to no avail", "Connection refused");
}

/* --- Names ---------------------------------------------------------------------------------- */

typedef int (*look_up)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

/** In place of the C library's, which it calls: a name server that hangs, a name that is
 *  unknown, a name of two addresses. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **res)
{
    look_up real = (look_up)dlsym(RTLD_NEXT, "getaddrinfo");
    int rv;

    if (!node || !hints || (hints->ai_flags & AI_NUMERICHOST) || !strstr(node, ".test"))
        return real(node, service, hints, res);
    if (strcmp(node, "unknown.test") == 0)
        return EAI_NONAME;
    if (strcmp(node, "slow.test") == 0)
        usleep(1000000);
    if (strcmp(node, "two.test") != 0)
        return real("127.0.0.1", service, hints, res);
    rv = real("127.0.0.2", service, hints, res);
    return rv ? rv : real("127.0.0.1", service, hints, &(*res)->ai_next);
}

/** So that each request has to connect. */
static void answer_and_leave(fake *f, int fd, int nth)
{
    (void)nth;
    if (fake_read(f, fd))
        fake_say(fd, ":0\r\n");
}

static void test_names(void)
{
    up_token_store *store;
    fake *f = fake_start(answer_and_leave, NULL, 0);

    store = store_at(apr_psprintf(pool, "redis://quick.test:%d", f->port), 8);
    is_int(revoked(store), 0, "a host by its name");
    store = store_at(apr_psprintf(pool, "redis://localhost:%d", f->port), 8);
    is_int(revoked(store), 0, "localhost, whatever its first address is");
    store = store_at(apr_psprintf(pool, "redis://unknown.test:%d", f->port), 8);
    fails(store, "a name that is unknown", "resolving the host failed");
    fake_stop(f);
}

static void test_two_addresses(void)
{
    struct sockaddr_in sin = {.sin_family = AF_INET};
    socklen_t len = sizeof(sin);
    full_listener l;
    fake *f = fake_start(answer_and_leave, NULL, 0);
    up_token_store *store = store_at(apr_psprintf(pool, "redis://two.test:%d", f->port), 8);

    is_int(revoked(store), 0, "the first of two addresses refuses, the second answers");
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
    sin.sin_port = htons((unsigned short)f->port);
    ok(fill_listener(&l, (struct sockaddr *)&sin, &len), "the first one hangs");
    is_int(revoked(store), 0, "then the second has its share of the time");
    close_listener(&l);
    fake_stop(f);
}

static void test_slow_names(void)
{
    fake *f = fake_start(answer_and_leave, NULL, 0);
    up_token_store *store = store_at(apr_psprintf(pool, "redis://slow.test:%d", f->port), 8);
    asker askers[6];
    int quick = 0;

    ask_at_once(store, askers, 6, NULL);
    for (int i = 0; i < 6; i++)
        quick += askers[i].answer == -1 && askers[i].took < TIMEOUT + SLACK &&
                 strstr(askers[i].log, "hangs") != NULL;
    is_int(quick, 5, "where the look-up hangs one thread waits, the others give up in time");
    is_int(ask_at_once(store, askers, 6, NULL), 6, "once it is known all go on");
    usleep(1100000);
    ask_at_once(store, askers, 6, NULL);
    quick = 0;
    for (int i = 0; i < 6; i++)
        quick += askers[i].answer == 0 && askers[i].took < TIMEOUT;
    is_int(quick, 5, "when it is looked up again one thread waits, the others know it still");
    fake_stop(f);
}

static void test_ipv6(void)
{
    struct sockaddr_in6 sin = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t len = sizeof(sin);
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), peer;
    char buffer[256];
    asker a = {0};

    if (fd < 0 || bind(fd, (struct sockaddr *)&sin, len) != 0 || listen(fd, 1) != 0) {
        ok(1, "IPv6 # SKIP there is none here");
        close(fd);
        return;
    }
    getsockname(fd, (struct sockaddr *)&sin, &len);
    a.store = store_at(apr_psprintf(pool, "redis://[::1]:%d", ntohs(sin.sin6_port)), 1);
    pthread_create(&a.thread, NULL, ask_once, &a);
    peer = accept(fd, NULL, NULL);
    ok(recv(peer, buffer, sizeof(buffer), 0) > 0 && fake_say(peer, ":1\r\n"), "asked by IPv6");
    pthread_join(a.thread, NULL);
    is_int(a.answer, 1, "and answered");
    close(peer);
    close(fd);
}

/* --- All of it ------------------------------------------------------------------------------ */

static void test_real_server(void)
{
    if (!server_is_installed()) {
        ok(1, "a real server # SKIP redis-server is not installed");
        return;
    }
    if (ok(server_start(&server), "a redis-server is started")) {
        const char *tcp = apr_psprintf(pool, "redis://127.0.0.1:%d", server.port);
        const char *sock = apr_psprintf(pool, "redis+unix://%s", server.sock);

        test_hung(tcp);
        test_hung(sock);
        test_restart(tcp);
        test_restart(sock);
        test_restart_crowd(tcp);
        test_restart_crowd(sock);
        test_down_and_back();
    }
    server_remove(&server);
}

int main(void)
{
    apr_initialize();
    in_pool(test_out_of_reach);
    in_pool(test_backlogs);
    in_pool(test_real_server);
    in_pool(test_stale);
    in_pool(test_broken_pipe);
    in_pool(test_forgotten);
    in_pool(test_trickle);
    in_pool(test_silence);
    in_pool(test_exhausted);
    in_pool(test_names);
    in_pool(test_two_addresses);
    in_pool(test_slow_names);
    in_pool(test_ipv6);
    apr_terminate();
    return done_testing();
}
